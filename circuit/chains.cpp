#include "circuit/chains.hpp"

namespace crosstile::circuit {

void Chains::factor(const ChainWires& wires, const Eigen::Ref<const Array>& diagonal, const Vector& end_extra_ohm) {
  length_ = diagonal.rows();
  chains_ = diagonal.cols();
  ground_at_first_ = wires.ground_at_first;
  gap_ohm_.assign(wires.gap_ohm.begin(), wires.gap_ohm.end());
  end_ohm_.assign(static_cast<std::size_t>(chains_), length_ > 0 ? wires.gap_ohm[node(length_ - 1)] : 0.0);
  for (Index j = 0; j < end_extra_ohm.size(); ++j) end_ohm_[static_cast<std::size_t>(j)] += end_extra_ohm[j];
  pass_.resize(length_, chains_);
  std::vector<double> behind(static_cast<std::size_t>(chains_), wires.far_shunt_siemens);
  for (Index step = 0; step < length_; ++step) {
    const Index k = node(step);
    const double* const __restrict d = diagonal.data() + k * diagonal.outerStride();
    double* const __restrict share = pass_.row(k);
    const double gap = wires.gap_ohm[k];
    double* const __restrict g = behind.data();
    const bool last = step == length_ - 1;
    for (Index j = 0; j < chains_; ++j) {
      const double r = last ? end_ohm_[static_cast<std::size_t>(j)] : gap;
      const double total = g[j] + d[j];
      share[j] = 1.0 / (1.0 + total * r);
      g[j] = total * share[j];
    }
  }
}

void Chains::solve(const Eigen::Ref<const Array>& b, Eigen::Ref<Array> v) const {
  eliminate(v, [&](Index k, double* out) {
    const double* const in = b.data() + k * b.outerStride();
    if (in != out) std::copy(in, in + chains_, out);
  });
  substitute(v, [](Index, const double*) {});
}

}  // namespace crosstile::circuit
