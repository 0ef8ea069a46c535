#include "circuit/row_chains.hpp"

namespace crosstile::circuit {

void RowChains::factor(const ChainWires& wires, const Array& diagonal, const std::vector<Index>& position) {
  lines_ = diagonal.rows();
  cols_ = diagonal.cols();
  position_ = position;
  in_order_ = true;
  for (Index j = 0; j < cols_; ++j) in_order_ = in_order_ && position[static_cast<std::size_t>(j)] == j;
  const auto size = static_cast<std::size_t>(blocks() * cols_ * kLanes);
  pass_.resize(size);
  series_.resize(size);
  for (Index block = 0; block < blocks(); ++block) {
    double* const w = pass_.data() + block * cols_ * kLanes;
    double* const a = series_.data() + block * cols_ * kLanes;
    pack(block, [&](Index line) { return diagonal.data() + line * cols_; }, w);
    double g[kLanes];
    for (double& value : g) value = wires.far_shunt_siemens;
    for (Index j = cols_ - 1; j >= 0; --j) {
      const double r = wires.gap_ohm[j];
      for (Index lane = 0; lane < kLanes; ++lane) {
        const double total = g[lane] + w[j * kLanes + lane];
        const double share = 1.0 / (1.0 + total * r);
        w[j * kLanes + lane] = share;
        a[j * kLanes + lane] = r * share;
        g[lane] = total * share;
      }
    }
  }
}

void RowChains::solve_block(Index block, double* buffer) const {
  const double* const w = pass_.data() + block * cols_ * kLanes;
  const double* const a = series_.data() + block * cols_ * kLanes;
  for (Index j = cols_ - 2; j >= 0; --j)
    for (Index lane = 0; lane < kLanes; ++lane)
      buffer[j * kLanes + lane] += w[(j + 1) * kLanes + lane] * buffer[(j + 1) * kLanes + lane];
  for (Index lane = 0; lane < kLanes; ++lane) buffer[lane] *= a[lane];
  for (Index j = 1; j < cols_; ++j)
    for (Index lane = 0; lane < kLanes; ++lane)
      buffer[j * kLanes + lane] = a[j * kLanes + lane] * buffer[j * kLanes + lane] + w[j * kLanes + lane] * buffer[(j - 1) * kLanes + lane];
}

}  // namespace crosstile::circuit
