// Counter-based random numbers (Philox 4x64, 10 rounds; Salmon et al., SC 2011, through Random123).
// Every number is a pure function of (seed, stream, tile, row, column, event, k): no state, the same numbers for any number of threads
// and in any order of evaluation.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/types.hpp"

namespace crosstile {

/// What the numbers are for; two streams never share a number. Values are part of the file formats: append only.
enum class Stream : std::uint32_t {
  test = 0,
  weights = 1,
  inputs = 2,
  programming = 3,
  drift = 4,
  read_noise = 5,
  noise_trace = 6,
  initial_weights = 7,
  shuffle = 8,
  weight_noise = 9,
  output_noise = 10,
  adc = 11,
  subset = 12,
  dropout = 13
};

struct RandomKey {
  std::uint64_t seed = 1;
  Stream stream = Stream::test;
  std::uint32_t tile = 0;
};

/// Four independent 64-bit words for the counter (row, column, event, k).
std::array<std::uint64_t, 4> random_bits(const RandomKey& key, std::uint64_t row, std::uint64_t column,
                                         std::uint64_t event = 0, std::uint64_t k = 0);
/// Four independent uniforms in the open interval (0, 1).
std::array<double, 4> random_uniform4(const RandomKey& key, std::uint64_t row, std::uint64_t column,
                                      std::uint64_t event = 0, std::uint64_t k = 0);
/// Four independent standard normals (Box-Muller on random_uniform4).
std::array<double, 4> random_normal4(const RandomKey& key, std::uint64_t row, std::uint64_t column,
                                     std::uint64_t event = 0, std::uint64_t k = 0);
/// The first of random_uniform4 / random_normal4.
double random_uniform(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event = 0);
double random_normal(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event = 0);

/// Standard normals for a whole matrix: element (i, j) is component j % 4 of random_normal4(key, i, j / 4, event).
Matrix random_normal_matrix(const RandomKey& key, Index rows, Index cols, std::uint64_t event = 0);
/// The same layout with uniforms in (0, 1).
Matrix random_uniform_matrix(const RandomKey& key, Index rows, Index cols, std::uint64_t event = 0);

/// A permutation of 0..count-1 (Fisher-Yates; position i draws from counter (i, 0, event)).
std::vector<Index> random_permutation(const RandomKey& key, Index count, std::uint64_t event = 0);

}  // namespace crosstile
