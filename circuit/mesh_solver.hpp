// The linear network of active lines and columns, factorised once and solved for many right-hand sides.
// Unknowns: e = drop along the row wires, c = voltage of the column nodes (both zero where the wires are ideal). With cell coupling G
//     [ T_r + G + S_r      G          ] [e]   [b_r]
//     [     G          T_c + G + S_c  ] [c] = [b_c]
// which is symmetric positive definite. docs/theory.md, "Structured chain solve".
#pragma once

#include <vector>

#include "circuit/chains.hpp"
#include "circuit/circuit.hpp"
#include "circuit/coarse_mesh.hpp"
#include "circuit/row_chains.hpp"

namespace crosstile::circuit {

struct LinearReport {
  bool converged = true;
  int iterations = 0;
  double residual_ampere = 0.0;  // largest Kirchhoff error of a node
};

class MeshSolver {
 public:
  explicit MeshSolver(const Crossbar& crossbar);

  // Additions on the diagonal beside the cells (implicit time steps), and to the columns' sense resistance (front ends).
  struct Shunts {
    double row_siemens = 0.0;
    double column_siemens = 0.0;  // once per physical row
    Vector sense_extra_ohm;       // cols, internal order; empty: none
  };

  // lines: active lines, ascending. g: lines.size() x cols in internal column order. Inactive lines' column wire stays.
  void factor(const std::vector<Index>& lines, const Array& g, const Shunts& shunts);
  void factor(const std::vector<Index>& lines, const Array& g) { factor(lines, g, Shunts{}); }
  // all: every line x cols, of which `lines` are taken.
  void factor_lines(const std::vector<Index>& lines, const Array& all);

  // c holds the initial guess. Stops when the largest Kirchhoff error is below `tolerance_ampere`.
  LinearReport solve(const Array& b_row, const Array& b_column, Array& e, Array& c, double tolerance_ampere, int max_iterations);
  // The same, e only when wanted (not null).
  LinearReport solve_columns(const Array& b_row, const Array& b_column, Array* e, Array& c, double tolerance_ampere, int max_iterations);
  // The same for the currents that drive voltages (one a line) push through the grounded cells: b_row = b_column = G V.
  LinearReport solve_drive(const Vector& line_volt, Array& e, Array& c, double tolerance_ampere, int max_iterations);

  // The same without e: the columns' voltages are enough for the sense currents where there is resistance before the sense.
  LinearReport solve_drive_columns(const Vector& line_volt, Array& c, double tolerance_ampere, int max_iterations);
  bool senses_by_voltage() const;
  Vector sense_current(const Array& c) const;  // cols, internal order

  // Largest current that the drive voltages push through a grounded cell.
  double largest_drive_ampere(const Vector& line_volt) const;

  // Wires of the rows and of the columns sensed south or north, between the active lines.
  ChainWires row_wires() const;
  ChainWires column_wires(bool north) const;
  // Factorisations from now on go with or without the coarse correction (with it where it pays, at first).
  void allow_coarse(bool allowed) { coarse_allowed_ = allowed; }
  // Step lengths and direction ratios of the last solve's conjugate gradients; empty when the coarse correction took part.
  const std::vector<double>& step_lengths() const { return step_lengths_; }
  const std::vector<double>& direction_ratios() const { return direction_ratios_; }

  bool has_row_wires() const { return has_rows_; }
  bool has_column_wires() const { return has_columns_; }
  const std::vector<Index>& lines() const { return lines_; }
  const Sheet& conductance() const { return g_; }  // of the active lines, as factorised
  // Ampere that the last solve left unaccounted for at the column nodes; null when it was exact.
  const Sheet* residual() const { return swept_ ? &residual_ : nullptr; }

  // Share of a current injected at physical row `row` of a column wire that belongs to active lines `first` and `second`
  // (-1: to ground); equally the weights with which the wire's voltage there is made of theirs.
  struct WireShare {
    Index first = -1, second = -1;
    double first_weight = 0.0, second_weight = 0.0;
  };
  WireShare wire_share(Index row, bool north) const;

 private:
  template <typename Source>
  LinearReport solve_from(const Source& source, Array* e, Array& c, double tolerance_ampere, int max_iterations);  // e: null when not wanted
  template <typename Source>
  void solve_rows(const Source& source, const Array& c, Array& e);
  template <typename Source>
  double first_sweep(const Source& source, Array& c);
  double precondition(double step, Array& c, double& worst);
  double apply_schur(double beta);
  template <typename Use>
  void for_each_group(const Use& use) const;
  void factor_wires(const Shunts& shunts);
  void factor_coarse();
  double diagonal_shunt(Index k) const;
  void factor_rows(double shunt_siemens);
  void factor_columns(const Eigen::Ref<const Array>& diagonal, const Vector& sense_extra_ohm);
  double distance_ohm(Index row_a, Index row_b) const;
  double sense_distance_ohm(Index row, bool north) const;

  const Crossbar& crossbar_;
  bool has_rows_;
  bool has_columns_;
  bool extra_ = false;
  bool swept_ = false;
  bool coarse_allowed_ = true;
  std::vector<Index> lines_;
  Sheet g_;
  Chains south_, north_;
  RowChains rows_;
  CoarseMesh coarse_;
  Shunts shunts_;
  std::vector<Index> position_;                            // physical column -> internal column
  std::vector<double> lanes_;                              // one block of rows in lane order
  Sheet residual_, direction_, image_, applied_;           // workspaces of solve: r, p, (z, then S p), M p
  std::vector<double> step_lengths_, direction_ratios_;
  Sheet smooth_;                                           // three rows: smooth part of z, z and M z with it
};

// The internal order differs from the physical one: some columns are sensed north and others south.
inline bool has_internal_order(const Crossbar& crossbar) { return crossbar.south_columns > 0 && crossbar.south_columns < crossbar.cols(); }

// Columns of `physical` gathered into the solvers' internal order, and back.
Array to_internal(const Crossbar& crossbar, const Eigen::Ref<const Array>& physical);
Array to_physical(const Crossbar& crossbar, const Eigen::Ref<const Array>& internal);

}  // namespace crosstile::circuit
