// Internal. What the float32 kernels need to follow a reference column, for those who call them: tables of a pass, and
// the tile around the column.
#pragma once

#include <cstdint>
#include <vector>

#include "core/types.hpp"
#include "tilemodel/closure.hpp"
#include "tilemodel/closure_kernels.hpp"

namespace crosstile::tilemodel {

// Floats on 64-byte boundaries that only ever grow.
class AlignedFloats {
 public:
  float* reserve(Index count);
  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  std::vector<float> storage_;
  float* data_ = nullptr;
};

inline constexpr Index kLongestTable = 256;  // slots of a pass up to which shares are looked up

// Of passes with so many slots: what lasts how long, and which share of every level a pulse of each code covers.
class PassTables {
 public:
  PassTables() = default;
  explicit PassTables(int longest_code) { fill(longest_code); }
  // Nothing happens when they are of this pass already.
  void fill(int longest_code);
  // lengths: positions, in levels; codes: positions, or null where lengths need not be whole codes.
  int levels() const { return levels_; }
  kernels::Pass pass(const float* lengths, const std::uint16_t* codes) const;

 private:
  int longest_code_ = 0, levels_ = 0;
  float variance_ = 0.0f;
  AlignedFloats durations_;  // levels, then their reciprocals
  AlignedFloats shares_;     // codes x levels
};

// conductance: positions; offset: in-block positions.
kernels::Reference kernel_reference(const ClosureShape& shape, const float* conductance, const float* offset);

}  // namespace crosstile::tilemodel
