#include "core/random.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace crosstile {

namespace {

// (n + 1/2) / 2^53 with n = the upper 53 bits: never 0 and never 1.
double to_open_unit(std::uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }

template <typename Draw>
Matrix fill_matrix(Index rows, Index cols, const Draw& draw) {
  Matrix out(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; j += 4) {
      const auto four = draw(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j / 4));
      for (Index k = 0; k < std::min<Index>(4, cols - j); ++k) out(i, j + k) = four[static_cast<std::size_t>(k)];
    }
  }
  return out;
}

}  // namespace

std::array<std::uint64_t, 4> random_bits(const RandomKey& key, std::uint64_t row, std::uint64_t column,
                                         std::uint64_t event, std::uint64_t k) {
  const std::uint64_t second = (static_cast<std::uint64_t>(key.stream) << 32) | key.tile;
  const r123::Philox4x64::key_type words = {{key.seed, second}};
  const r123::Philox4x64::ctr_type counter = {{row, column, event, k}};
  const auto out = r123::Philox4x64()(counter, words);
  return {out[0], out[1], out[2], out[3]};
}

std::array<double, 4> random_uniform4(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event,
                                      std::uint64_t k) {
  const auto bits = random_bits(key, row, column, event, k);
  return {to_open_unit(bits[0]), to_open_unit(bits[1]), to_open_unit(bits[2]), to_open_unit(bits[3])};
}

std::array<double, 4> random_normal4(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event,
                                     std::uint64_t k) {
  const auto u = random_uniform4(key, row, column, event, k);
  const double r0 = std::sqrt(-2.0 * std::log(u[0]));
  const double r1 = std::sqrt(-2.0 * std::log(u[2]));
  const double a0 = 2.0 * std::numbers::pi * u[1];
  const double a1 = 2.0 * std::numbers::pi * u[3];
  return {r0 * std::cos(a0), r0 * std::sin(a0), r1 * std::cos(a1), r1 * std::sin(a1)};
}

double random_uniform(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event) {
  return to_open_unit(random_bits(key, row, column, event)[0]);
}

double random_normal(const RandomKey& key, std::uint64_t row, std::uint64_t column, std::uint64_t event) {
  return random_normal4(key, row, column, event)[0];
}

Matrix random_normal_matrix(const RandomKey& key, Index rows, Index cols, std::uint64_t event) {
  return fill_matrix(rows, cols,
                     [&](std::uint64_t i, std::uint64_t j) { return random_normal4(key, i, j, event); });
}

Matrix random_uniform_matrix(const RandomKey& key, Index rows, Index cols, std::uint64_t event) {
  return fill_matrix(rows, cols,
                     [&](std::uint64_t i, std::uint64_t j) { return random_uniform4(key, i, j, event); });
}

std::vector<Index> random_permutation(const RandomKey& key, Index count, std::uint64_t event) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  for (Index i = count - 1; i > 0; --i) {
    const double u = random_uniform(key, static_cast<std::uint64_t>(i), 0, event);
    const auto pick = std::min<Index>(static_cast<Index>(u * static_cast<double>(i + 1)), i);
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(pick)]);
  }
  return order;
}

}  // namespace crosstile
