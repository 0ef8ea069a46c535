// The row wires of a tile as chains, eight lines in SIMD lanes: a block of eight rows is brought into lane order in cache, solved, and
// brought back, so that the arrays are read and written once.
#pragma once

#include <vector>

#include "circuit/chains.hpp"

namespace crosstile::circuit {

class RowChains {
 public:
  static constexpr Index kLanes = 8;

  // diagonal: lines x cols, columns in internal order; position[j]: internal index of physical column j. Wires as for Chains.
  void factor(const ChainWires& wires, const Array& diagonal, const std::vector<Index>& position);

  Index lines() const { return lines_; }
  Index blocks() const { return (lines_ + kLanes - 1) / kLanes; }

  // Solves the lines of one block in place: buffer is cols x kLanes, physical column order, right-hand side in, solution out.
  void solve_block(Index block, double* buffer) const;

  // buffer <- rows first_line(block).. of `array` (what is beyond the last line: 0), and back.
  template <typename Row>
  void pack(Index block, const Row& row_pointer, double* buffer) const {
    for (Index lane = 0; lane < kLanes; ++lane) {
      const Index line = block * kLanes + lane;
      if (line >= lines_) {
        for (Index j = 0; j < cols_; ++j) buffer[j * kLanes + lane] = 0.0;
        continue;
      }
      const double* const row = row_pointer(line);
      if (in_order_)
        for (Index j = 0; j < cols_; ++j) buffer[j * kLanes + lane] = row[j];
      else
        for (Index j = 0; j < cols_; ++j) buffer[j * kLanes + lane] = row[position_[static_cast<std::size_t>(j)]];
    }
  }
  void unpack_line(const double* buffer, Index lane, double* row) const {
    if (in_order_)
      for (Index j = 0; j < cols_; ++j) row[j] = buffer[j * kLanes + lane];
    else
      for (Index j = 0; j < cols_; ++j) row[position_[static_cast<std::size_t>(j)]] = buffer[j * kLanes + lane];
  }

 private:
  Index lines_ = 0, cols_ = 0;
  bool in_order_ = true;
  std::vector<Index> position_;
  std::vector<double> pass_;    // blocks x cols x lanes, as in Chains
  std::vector<double> series_;
};

}  // namespace crosstile::circuit
