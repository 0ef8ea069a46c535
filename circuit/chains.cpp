#include "circuit/chains.hpp"

#include <algorithm>

namespace crosstile::circuit {

void Chains::factor(const ChainWires& wires, const Eigen::Ref<const Array>& diagonal, const Vector& end_extra_ohm) {
  length_ = diagonal.rows();
  ground_at_first_ = wires.ground_at_first;
  const Index chains = diagonal.cols();
  pass_.resize(length_, chains);
  series_.resize(length_, chains);
  norton_.setConstant(chains, wires.far_shunt_siemens);
  double* const g = norton_.data();
  for (Index step = 0; step < length_; ++step) {
    const Index k = node(step);
    const double* const d = diagonal.data() + k * diagonal.outerStride();
    double* const w = pass_.data() + k * chains;
    double* const a = series_.data() + k * chains;
    const double gap = wires.gap_ohm[k];
    const bool last = step == length_ - 1 && end_extra_ohm.size() > 0;
    for (Index j = 0; j < chains; ++j) {
      const double r = last ? gap + end_extra_ohm[j] : gap;
      const double total = g[j] + d[j];
      w[j] = 1.0 / (1.0 + total * r);
      a[j] = r * w[j];
      g[j] = total * w[j];
    }
  }
}

void Chains::solve(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v) const {
  // A group of chains at a time: forward and backward sweep of it stay in cache.
  constexpr Index kGroup = 64;
  for (Index begin = 0; begin < pass_.cols(); begin += kGroup)
    solve_group(b, v, begin, std::min(kGroup, pass_.cols() - begin));
}

void Chains::solve_group(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v, Index begin, Index count) const {
  const auto row = [&](const Array& array, Index k) { return array.data() + k * array.cols() + begin; };
  const auto out = [&](Index k) { return v.data() + k * v.outerStride() + begin; };
  // From the far end: the Norton current s of everything behind a node.
  for (Index step = 0; step < length_; ++step) {
    const Index k = node(step);
    const double* const bk = b.data() + k * b.outerStride() + begin;
    double* const s = out(k);
    if (step == 0) {
      for (Index j = 0; j < count; ++j) s[j] = bk[j];
      continue;
    }
    const double* const w = row(pass_, node(step - 1));
    const double* const s_before = out(node(step - 1));
    for (Index j = 0; j < count; ++j) s[j] = bk[j] + w[j] * s_before[j];
  }
  // Back from the ground: v = (v_next + r s) / (1 + g r).
  for (Index step = length_ - 1; step >= 0; --step) {
    const Index k = node(step);
    const double* const a = row(series_, k);
    double* const vk = out(k);
    if (step == length_ - 1) {
      for (Index j = 0; j < count; ++j) vk[j] *= a[j];
      continue;
    }
    const double* const w = row(pass_, k);
    const double* const v_next = out(node(step + 1));
    for (Index j = 0; j < count; ++j) vk[j] = a[j] * vk[j] + w[j] * v_next[j];
  }
}

}  // namespace crosstile::circuit
