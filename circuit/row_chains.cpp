#include "circuit/row_chains.hpp"

#include <array>

namespace crosstile::circuit {

namespace {

constexpr Index kVectors = RowChains::kLanes / 4;
using Lines = std::array<Lanes4, kVectors>;

inline Lines load_lines(const double* at) {
  Lines lines;
  for (Index v = 0; v < kVectors; ++v) lines[static_cast<std::size_t>(v)] = load<Lanes4>(at + 4 * v);
  return lines;
}
inline void store_lines(double* at, const Lines& lines) {
  for (Index v = 0; v < kVectors; ++v) store(at + 4 * v, lines[static_cast<std::size_t>(v)]);
}

}  // namespace

void RowChains::factor(const ChainWires& wires, const Sheet& diagonal, double shunt_siemens, const std::vector<Index>& position) {
  lines_ = diagonal.rows();
  cols_ = diagonal.cols();
  offset_.resize(position.size());
  for (std::size_t j = 0; j < position.size(); ++j) offset_[j] = position[j] * kLanes;
  gap_ohm_.assign(wires.gap_ohm.begin(), wires.gap_ohm.end());
  pass_.resize(static_cast<std::size_t>(blocks() * cols_ * kLanes));
  std::vector<double> buffer = make_buffer();
  for (Index block = 0; block < blocks(); ++block) {
    pack(block, buffer.data(), [&](Index k, double* out) {
      const double* const d = diagonal.row(k);
      for (Index j = 0; j < cols_; ++j) out[j] = d[j] + shunt_siemens;
    });
    double* const pass = pass_.data() + block * cols_ * kLanes;
    Lines g;
    for (auto& value : g) value = Lanes4{} + wires.far_shunt_siemens;
    for (Index j = cols_ - 1; j >= 0; --j) {
      const Lines d = load_lines(buffer.data() + offset_[static_cast<std::size_t>(j)]);
      const double r = wires.gap_ohm[j];
      Lines share;
      for (std::size_t v = 0; v < g.size(); ++v) {
        const Lanes4 total = g[v] + d[v];
        share[v] = 1.0 / (1.0 + total * r);
        g[v] = total * share[v];
      }
      store_lines(pass + j * kLanes, share);
    }
  }
}

void RowChains::solve_block(Index block, double* buffer) const {
  const double* const pass = pass_.data() + block * cols_ * kLanes;
  const Index* const offset = offset_.data();
  // From the far end: the Norton current of everything behind a node.
  Lines behind{};
  for (Index j = cols_ - 1; j >= 0; --j) {
    const Lines source = load_lines(buffer + offset[j]);
    const Lines share = load_lines(pass + j * kLanes);
    Lines current;
    for (std::size_t v = 0; v < behind.size(); ++v) {
      current[v] = source[v] + behind[v];
      behind[v] = share[v] * behind[v] + share[v] * source[v];  // share * current, with the shorter chain of dependences
    }
    store_lines(buffer + offset[j], current);
  }
  // Back from the driver: v = (v_next + r n) / (1 + g r).
  Lines volt{};
  for (Index j = 0; j < cols_; ++j) {
    const Lines current = load_lines(buffer + offset[j]);
    const Lines share = load_lines(pass + j * kLanes);
    const double r = gap_ohm_[static_cast<std::size_t>(j)];
    for (std::size_t v = 0; v < volt.size(); ++v) volt[v] = share[v] * volt[v] + share[v] * current[v] * r;
    store_lines(buffer + offset[j], volt);
  }
}

}  // namespace crosstile::circuit
