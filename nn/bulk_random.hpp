// Internal. Random numbers by the thousand, for noise and pulses: Philox 4x32 with 10 rounds (Salmon et al.,
// SC 2011), eight counters at a time. As everywhere, a number is a pure function of its key and place.
#pragma once

#include <cstdint>

#include "core/random.hpp"

namespace crosstile::nn {

/// Key of one family of numbers, derived from the project's key; families with different keys are unrelated.
struct BulkKey {
  std::uint32_t low = 0, high = 0;
};
BulkKey bulk_key(const RandomKey& key);

/// Where a run of numbers starts; its numbers are counted from 0 by `n`.
struct BulkPlace {
  std::uint64_t step = 0;  ///< batch since the start; 48 bits count
  std::uint32_t row = 0;   ///< sample or word line
  std::uint32_t part = 0;  ///< what for; 16 bits count
};

/// Numbers come in groups of this many; a run may be read in pieces that begin at multiples of it.
inline constexpr int kBulkGroup = 32;

/// Groups first_group, first_group + 1, ... of a run: 32 random bits each. `out` has room for whole groups.
void bulk_bits(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
               std::uint32_t* out);
/// Uniform in [0, 1], steps of 2^-32 (float: rounded to 24 bits).
void bulk_uniforms(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
                   float* out);
/// Standard normal in single precision (Box-Muller on 32-bit uniforms): no value beyond 6.77, where a true
/// normal has 1.3e-11 of its mass.
void bulk_normals(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
                  float* out);

/// The whole groups that hold `count` numbers.
constexpr int bulk_groups(Index count) {
  return static_cast<int>((count + kBulkGroup - 1) / kBulkGroup);
}

}  // namespace crosstile::nn
