// Many independent wires ("chains") of the same length, each a resistive ladder that ends in one ground, solved exactly.
// Written with resistances, so a wire resistance of zero is an ordinary value and not a division by it. docs/theory.md, "One wire".
#pragma once

#include "core/types.hpp"

namespace crosstile::circuit {

/// Wire resistances of a family of chains. Node k = 0..length-1 along the wire; `ground_at_first` says where the ground is:
/// false: behind node length-1, true: behind node 0.
struct ChainWires {
  Vector gap_ohm;             ///< length; resistance from node k to its neighbour towards the ground (the last one: to the ground)
  bool ground_at_first = false;
  double far_shunt_siemens = 0.0;  ///< second connection to ground, at the far end (drivers at both ends)
};

/// Solves (T + diag(d)) v = b for every chain; T is the wire's conductance matrix. Arrays are length x chains, row-major:
/// the loop over chains is the contiguous one.
class Chains {
 public:
  /// Factorises. end_extra_ohm: chains, or empty: added to the last resistance of each chain.
  void factor(const ChainWires& wires, const Eigen::Ref<const Array>& diagonal, const Vector& end_extra_ohm = {});
  /// In and out may be the same array.
  void solve(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v) const;

 private:
  void solve_group(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v, Index begin, Index count) const;
  Index node(Index step) const { return ground_at_first_ ? length_ - 1 - step : step; }
  bool ground_at_first_ = false;
  Index length_ = 0;
  Array pass_;    // 1 / (1 + g r): share of a Norton current, and of the next node's voltage, that passes the wire
  Array series_;  // r / (1 + g r)
  Vector norton_; // workspace of factor
};

}  // namespace crosstile::circuit
