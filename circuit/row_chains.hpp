// The row wires of a tile as chains, sixteen lines in SIMD lanes: a block of rows is brought into lane order in cache, solved, and brought
// back, while what feeds it and what uses its result is computed on the way, so that every array is read and written once.
#pragma once

#include <algorithm>
#include <vector>

#include "circuit/chains.hpp"
#include "circuit/lanes.hpp"

namespace crosstile::circuit {

class RowChains {
 public:
  static constexpr Index kLanes = 16;

  // diagonal: lines x cols, columns in internal order; position[j]: internal index of physical column j. Wires as for Chains.
  void factor(const ChainWires& wires, const Sheet& diagonal, double shunt_siemens, const std::vector<Index>& position);

  Index lines() const { return lines_; }
  Index blocks() const { return (lines_ + kLanes - 1) / kLanes; }
  // Room that solve() works in: a block in lane order, and four rows.
  std::vector<double> make_buffer() const { return std::vector<double>(static_cast<std::size_t>(cols_ * kLanes + 4 * row_stride())); }

  // Solves all lines. source(k, out) writes the right-hand side of line k, internal column order; use(k, v) takes its solution. The lines of a
  // block go through `source`, then through `use`, before the next block's do.
  template <typename Source, typename Use>
  void solve(double* buffer, const Source& source, const Use& use) const {
    for (Index block = 0; block < blocks(); ++block) {
      pack(block, buffer, source);
      solve_block(block, buffer);
      unpack(block, buffer, use);
    }
  }

 private:
  // Solves the lines of one block in place: buffer is cols x kLanes, internal column order.
  void solve_block(Index block, double* buffer) const;

  // Four lines at a time go through a few rows of cache, so that every array is read along its rows.
  template <typename Source>
  void pack(Index block, double* buffer, const Source& source) const {
    double* const rows = buffer + cols_ * kLanes;
    const Index stride = row_stride();
    for (Index group = 0; group < kLanes; group += 4) {
      const Index first = block * kLanes + group;
      for (Index lane = 0; lane < 4; ++lane) {
        double* const row = rows + lane * stride;
        if (first + lane < lines_) source(first + lane, row);
        else std::fill(row, row + cols_, 0.0);
      }
      for (Index j = 0; j < cols_; j += 4) {
        Lanes4 a = load<Lanes4>(rows + j), b = load<Lanes4>(rows + stride + j), c = load<Lanes4>(rows + 2 * stride + j),
               d = load<Lanes4>(rows + 3 * stride + j);
        transpose(a, b, c, d);
        double* const out = buffer + j * kLanes + group;
        store(out, a);
        if (j + 1 < cols_) store(out + kLanes, b);
        if (j + 2 < cols_) store(out + 2 * kLanes, c);
        if (j + 3 < cols_) store(out + 3 * kLanes, d);
      }
    }
  }

  template <typename Use>
  void unpack(Index block, double* buffer, const Use& use) const {
    double* const rows = buffer + cols_ * kLanes;
    const Index stride = row_stride();
    for (Index group = 0; group < kLanes; group += 4) {
      const Index first = block * kLanes + group;
      if (first >= lines_) return;
      for (Index j = 0; j < cols_; j += 4) {
        const double* const in = buffer + j * kLanes + group;
        const auto column = [&](Index more) { return j + more < cols_ ? load<Lanes4>(in + more * kLanes) : Lanes4{}; };
        Lanes4 a = column(0), b = column(1), c = column(2), d = column(3);
        transpose(a, b, c, d);
        store(rows + j, a);
        store(rows + stride + j, b);
        store(rows + 2 * stride + j, c);
        store(rows + 3 * stride + j, d);
      }
      for (Index lane = 0; lane < 4 && first + lane < lines_; ++lane) use(first + lane, static_cast<const double*>(rows + lane * stride));
    }
  }

  Index row_stride() const { return (cols_ + 3) / 4 * 4 + 8; }

  Index lines_ = 0, cols_ = 0;
  std::vector<Index> offset_;  // of physical column j in a buffer
  std::vector<double> gap_ohm_;
  LargeVector<double> pass_;   // blocks x cols (physical) x lanes, as in Chains
};

}  // namespace crosstile::circuit
