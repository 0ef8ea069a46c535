// The smooth part of a mesh in strips: hat functions along both kinds of wire, on which the whole network is
// solved directly. It predicts what the loss of a row does to all others, and takes out of a Gauss-Seidel
// sweep what such sweeps are slow at. docs/theory.md, "Sweeps".
#pragma once

#include <Eigen/Cholesky>
#include <vector>

#include "circuit/strip_kernels.hpp"
#include "core/types.hpp"

namespace crosstile::circuit {

// Columns sensed at one end, and the slots that conduct in the order of the wire.
struct StripGroup {
  bool north = false;
  Index first_strip = 0, strips = 0, cols = 0;
  std::vector<Index> order;  // slots, from the far end towards the sense
  std::vector<double> ohm;   // to the next one, from the last to ground
};

class StripModes {
 public:
  struct Rows {
    double ohm = 0.0, head_ohm = 0.0;  // per cell; driver to first cell
    bool both_drivers = false;
  };
  // Number of hat functions along a wire by its electrical length sqrt(r g) N.
  struct Hats {
    double per_length = 2.0;
    Index fewest = 4, most = 12;
  };
  // physical: strips x kStrip places, the physical column or -1.
  void choose(const std::vector<StripGroup>& groups, const std::vector<Index>& physical, const Rows& rows,
              Index across, Index along);
  static Index hats_for(double electrical_length, const Hats& hats);
  // One slot: its physical row and its conductances, one strip after another.
  void place_slots(const std::vector<Index>& rows);
  void add_conductances(Index slot, Index strip, const double* g);
  // Factorises for the groups' slots. False when a matrix is not positive definite.
  bool factor(const std::vector<StripGroup>& groups);

  Index unknowns() const { return along_ * across_; }
  Index groups() const { return static_cast<Index>(column_factor_.size()); }

  // Sums over the nodes of pattern times value: a slot's {sum, sum * place} in every strip, added to `out`
  // (unknowns).
  void gather(Index slot, Index first_strip, Index strips, const double* moments, double factor,
              double* out) const;
  // The same for many slots: first their sums at the knots (along x strips x 2), then those of the hats.
  void add_to_knots(Index slot, const double* moments, std::vector<double>& knots) const;
  void gather_knots(const std::vector<double>& knots, Index first_strip, Index strips, double* out) const;
  std::size_t knots_size() const { return static_cast<std::size_t>(along_ * strips_ * 2); }
  // Of the conductances of a slot.
  void gather_conductances(Index slot, Index first_strip, Index strips, double factor, double* out) const;
  // Smooth drops that go with sources of the rows (unknowns) and of the columns (groups x unknowns), and the
  // columns' voltages beside them.
  Vector solve(const Vector& rows, const Vector& columns) const;
  Vector column_volts(const Vector& columns, const Vector& drops) const;  // groups x unknowns
  // {value, slope} of a pattern in strips first .. first + strips - 1, for some slots.
  void expand(const double* smooth, Index first, Index strips, const std::vector<Index>& slots,
              std::vector<double>& out) const;

 private:
  struct Weight {
    Index knot = 0;
    double share = 0.0;  // of the knot after it
  };
  Index strips_ = 0, along_ = 1, across_ = 1;  // hats along the columns, and along the rows
  Index along_wanted_ = 1;
  std::vector<double> hat_;  // across x strips x {value, slope}
  Matrix row_wire_;
  std::vector<Matrix> mass_;                // of each group: sums of products of two hats over its columns
  std::vector<Weight> weight_;              // slots
  std::vector<double> conductance_;         // slots x strips x {sum g, sum g place, sum g place^2}
  Eigen::LLT<Eigen::MatrixXd> row_factor_;  // of the rows with the columns eliminated
  std::vector<Eigen::LLT<Eigen::MatrixXd>> column_factor_;
  std::vector<Eigen::MatrixXd> couple_;
};

}  // namespace crosstile::circuit
