// Many independent wires ("chains") of the same length, each a resistive ladder that ends in one ground, solved exactly.
// Written with resistances, so a wire resistance of zero is an ordinary value and not a division by it. docs/theory.md, "One wire".
#pragma once

#include <vector>

#include "circuit/lanes.hpp"
#include "core/types.hpp"

namespace crosstile::circuit {

/// Wire resistances of a family of chains. Node k = 0..length-1 along the wire; `ground_at_first` says where the ground is:
/// false: behind node length-1, true: behind node 0.
struct ChainWires {
  Vector gap_ohm;             ///< length; resistance from node k to its neighbour towards the ground (the last one: to the ground)
  bool ground_at_first = false;
  double far_shunt_siemens = 0.0;  ///< second connection to ground, at the far end (drivers at both ends)
};

/// Solves (T + diag(d)) v = b for every chain; T is the wire's conductance matrix. Arrays are length x chains, row-major, or `chains` columns
/// of a wider array: the loop over chains is the contiguous one.
class Chains {
 public:
  /// Factorises. end_extra_ohm: chains, or empty: added to the last resistance of each chain.
  void factor(const ChainWires& wires, const Eigen::Ref<const Array>& diagonal, const Vector& end_extra_ohm = {});
  /// In and out may be the same array.
  void solve(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v) const;

  // The two halves of a solve, for loops that do more on the way. source(k, out) writes the right-hand side of node k of all chains, and
  // use(k, v) takes the solution there. `v` holds what passes between the halves, then the solution.
  template <typename Source>
  void eliminate(Eigen::Ref<Array> v, const Source& source) const {
    for (Index step = 0; step < length_; ++step) {
      const Index k = node(step);
      double* const n = row(v, k);
      source(k, n);
      if (step == 0) continue;
      const double* const __restrict share = pass_.row(node(step - 1));
      const double* const __restrict before = row(v, node(step - 1));
      for (Index j = 0; j < chains_; ++j) n[j] += share[j] * before[j];
    }
  }
  // The same with the chain's own step in the caller's loop: source(k, out, share, before) must leave its right-hand side plus
  // share * before in `out`. Both are null for the first node.
  template <typename Source>
  void eliminate_with(Eigen::Ref<Array> v, const Source& source) const {
    for (Index step = 0; step < length_; ++step) {
      const Index k = node(step);
      if (step == 0) source(k, row(v, k), static_cast<const double*>(nullptr), static_cast<const double*>(nullptr));
      else source(k, row(v, k), pass_.row(node(step - 1)), static_cast<const double*>(row(v, node(step - 1))));
    }
  }
  template <typename Use>
  void substitute(Eigen::Ref<Array> v, const Use& use) const {
    for (Index step = length_ - 1; step >= 0; --step) {
      const Index k = node(step);
      double* const __restrict n = row(v, k);
      const double* const __restrict share = pass_.row(k);
      if (step == length_ - 1) {
        for (Index j = 0; j < chains_; ++j) n[j] = share[j] * n[j] * end_ohm_[static_cast<std::size_t>(j)];
      } else {
        const double gap = gap_ohm_[static_cast<std::size_t>(k)];
        const double* const __restrict next = row(v, node(step + 1));
        for (Index j = 0; j < chains_; ++j) n[j] = share[j] * (next[j] + gap * n[j]);
      }
      use(k, static_cast<const double*>(n));
    }
  }

 private:
  static double* row(Eigen::Ref<Array>& v, Index k) { return v.data() + k * v.outerStride(); }
  Index node(Index step) const { return ground_at_first_ ? length_ - 1 - step : step; }

  bool ground_at_first_ = false;
  Index length_ = 0, chains_ = 0;
  Sheet pass_;                   // 1 / (1 + g r): share of a Norton current, and of the next node's voltage, that passes the wire
  std::vector<double> gap_ohm_;
  std::vector<double> end_ohm_;  // chains: last resistance
};

}  // namespace crosstile::circuit
