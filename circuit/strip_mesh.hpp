// A linear mesh whose rows drop out one after another, as under gated drive: rows stand in the order in which
// they do ("slots"), so that those that conduct are always the first ones and nothing is ever moved. Solved
// by Gauss-Seidel sweeps over rows and columns whose smooth errors a direct solve on a few hat functions
// takes out. docs/theory.md, "Sweeps".
#pragma once

#include <optional>
#include <vector>

#include "circuit/circuit.hpp"
#include "circuit/large_array.hpp"
#include "circuit/strip_kernels.hpp"
#include "circuit/strip_modes.hpp"

namespace crosstile::circuit {

// Slots x columns in strips; elements are not initialised.
class StripArray {
 public:
  void resize(Index strips, Index slots, Index cols) {
    // Rows of several arrays would otherwise fall on the same place of their pages.
    strip_ = slots * strip_kernels::kStrip + 8;
    if (data_.size() < strips * strip_) data_.resize((strips * strip_ + cols - 1) / cols, cols);
  }
  void fill(double value) { data_.setConstant(value); }
  double* at(Index t, Index s) { return data_.data() + t * strip_ + s * strip_kernels::kStrip; }
  const double* at(Index t, Index s) const { return data_.data() + t * strip_ + s * strip_kernels::kStrip; }
  strip_kernels::Field field() const { return {data_.data(), strip_, strip_kernels::kStrip}; }
  // Its memory, for another array of as many columns: a large one costs more to ask for than to fill.
  Array give_memory() {
    Array memory;
    memory.swap(data_);
    return memory;
  }

 private:
  Index strip_ = 0;
  Array data_;
};

class StripMesh {
 public:
  // Ohmic cells between wires of both kinds, one line a row.
  static bool takes(const Crossbar& crossbar);
  StripMesh(const Crossbar& crossbar, const StripModes::Hats& hats);

  // rows: those that conduct at first, the last to be dropped first. Conductances of the device with its
  // on-resistance: lines x cols, internal column order.
  void take_rows(const std::vector<Index>& rows, const Array& g);
  // Only the first `count` slots conduct from now on. False when the network cannot be factorised.
  bool keep(Index count);

  // Right-hand sides: drive voltages of the slots, or charges on the nodes of the columns and farad (before -
  // now + change) on the rows.
  struct Source {
    const double* volt = nullptr;
    strip_kernels::Field charge, before, now;
    const std::vector<double>* change = nullptr;  // pattern
    double farad = 0.0;
  };
  // Where the sweeps begin: drops and what the hats add to them, near the solution; or, without drops,
  // sources of which the hats make a guess of the columns' voltages.
  struct Start {
    std::optional<strip_kernels::Field> drop;
    Vector smooth;         // unknowns
    Vector rows, columns;  // unknowns, groups x unknowns: sums of the hats times the sources
  };
  struct Stop {
    double tolerance_ampere = 0.0;  // largest Kirchhoff error of a node
    int max_sweeps = 0;
  };
  struct Answer {
    StripArray* drop = nullptr;  // may be the guess
    StripArray* column = nullptr;
    Vector smooth;  // belongs to `drop`
    Vector sense;   // cols, internal order
    int sweeps = 0;
    double residual_ampere = 0.0;
    bool converged = false;
  };
  // The sense currents: the last half sweep has no measured error, but one extrapolated from the decrease of
  // those before.
  void solve(const Source& source, const Start& start, const Stop& stop, Answer& answer);
  // The same for several sources, each strip of wires for all of them while it is in cache. No source changes
  // the answer of another.
  struct Request {
    Source source;
    Start start;
    Stop stop;
    Answer* answer = nullptr;
  };
  void solve_together(const std::vector<Request>& requests);
  // The node voltages: sweeps until the error is measured to be small. lost: strips x kStrip, what each
  // column lacks, all its nodes together.
  void solve_nodes(const Source& source, const Start& start, const Stop& stop, std::vector<double>& lost,
                   Answer& answer);

  const std::vector<StripGroup>& groups() const { return groups_; }
  const std::vector<Index>& rows() const { return rows_; }
  const StripModes& modes() const { return modes_; }
  Index slots() const { return static_cast<Index>(rows_.size()); }
  Index padded_slots() const { return padded_; }
  Index count() const { return count_; }
  const std::vector<Index>& conducting() const { return conducting_; }  // slots
  Index strips() const { return strips_; }
  const StripArray& conductance() const { return g_; }
  Index modes_groups() const { return static_cast<Index>(groups_.size()); }
  const std::vector<double>& pattern() const {
    return pattern_;
  }  // slots x strips: smooth part of the answer last found
  void restore_pattern(const std::vector<double>& pattern) { pattern_ = pattern; }
  // {sum, sum * place} in every strip of the cells' currents of a slot at the answer last found.
  void current_moments(Index slot, double volt, const StripArray& drop, const StripArray& column,
                       double* moments) const;
  // A slot that was dropped no longer takes part in the sweeps of the rows beside it.
  void silence(Index slot);
  // Memory of an array of the mesh's size; the next solve makes its factors again.
  Array give_memory() {
    factored_ = false;
    return share_.give_memory();
  }
  strip_kernels::Field nothing() const { return {zeros_.data(), 0, 0}; }
  double largest_conductance() const { return largest_g_; }
  std::size_t pattern_size() const { return static_cast<std::size_t>(padded_ * strips_ * 2); }
  double sense_ohm(Index row, bool north) const;

 private:
  void factor_rows();
  // A right-hand side on its way.
  struct Run {
    const Source* source = nullptr;
    Stop stop;
    Answer* answer = nullptr;
    std::vector<double>* pattern = nullptr;
    strip_kernels::Field guess;
    double error = 0.0, decrease = 1.0;  // of the last sweep: largest Kirchhoff error, and over that before
    int even = 1;                        // sweeps after which the decrease is an even one
    bool done = false;
  };
  using Runs = std::vector<Run*>;
  void begin(const Start& start, Run& run);
  bool is_near(const Run& run) const;
  void finish(std::vector<Run>& runs);
  void sweep_columns(const Runs& runs, bool sense_only);
  void sweep_rows(const Runs& runs, double* lost);

  const Crossbar& crossbar_;
  const strip_kernels::Table& kernels_;
  Index strips_ = 0, padded_ = 0, count_ = 0;
  std::vector<StripGroup> groups_;
  std::vector<Index> physical_;  // strips x kStrip: physical column, -1: none
  std::vector<Index> offset_;    // physical column -> place in a row sweep's buffer
  std::vector<double> row_ohm_;
  std::vector<Index> rows_;        // slot -> physical row
  std::vector<Index> conducting_;  // slots
  std::vector<Index> by_row_;      // slots, rows ascending
  double largest_g_ = 0.0;
  StripArray g_, share_;
  LargeVector<double> pass_;  // row blocks x cols x lanes
  StripModes modes_;
  std::vector<double> zeros_, buffer_, moments_, pattern_, current_;
  bool factored_ = false;  // shares are those of the slots that conduct
  double decrease_ = 1.0;  // of the Kirchhoff error in a sweep, as measured last
};

}  // namespace crosstile::circuit
