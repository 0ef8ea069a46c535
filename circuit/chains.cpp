#include "circuit/chains.hpp"

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
  const Index chains = pass_.cols();
  // From the far end: the Norton current s of everything behind a node.
  for (Index step = 0; step < length_; ++step) {
    const Index k = node(step);
    const double* const bk = b.data() + k * b.outerStride();
    double* const s = v.data() + k * v.outerStride();
    if (step == 0) {
      for (Index j = 0; j < chains; ++j) s[j] = bk[j];
      continue;
    }
    const Index before = node(step - 1);
    const double* const w = pass_.data() + before * chains;
    const double* const s_before = v.data() + before * v.outerStride();
    for (Index j = 0; j < chains; ++j) s[j] = bk[j] + w[j] * s_before[j];
  }
  // Back from the ground: v = (v_next + r s) / (1 + g r).
  for (Index step = length_ - 1; step >= 0; --step) {
    const Index k = node(step);
    const double* const a = series_.data() + k * chains;
    double* const vk = v.data() + k * v.outerStride();
    if (step == length_ - 1) {
      for (Index j = 0; j < chains; ++j) vk[j] *= a[j];
      continue;
    }
    const double* const w = pass_.data() + k * chains;
    const double* const v_next = v.data() + node(step + 1) * v.outerStride();
    for (Index j = 0; j < chains; ++j) vk[j] = a[j] * vk[j] + w[j] * v_next[j];
  }
}

}  // namespace crosstile::circuit
