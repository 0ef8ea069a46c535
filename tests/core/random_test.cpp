#include "core/random.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

using namespace crosstile;

namespace {

struct KnownAnswer {
  std::array<std::uint64_t, 4> counter;
  std::array<std::uint64_t, 2> key;
  std::array<std::uint64_t, 4> words;
};

// philox4x64, 10 rounds, from the file kat_vectors of Random123 1.14 (D. E. Shaw Research).
const std::vector<KnownAnswer> kKnownAnswers = {
    {{0, 0, 0, 0}, {0, 0}, {0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b}},
    {{~0ULL, ~0ULL, ~0ULL, ~0ULL},
     {~0ULL, ~0ULL},
     {0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6, 0xa09caebf594f0ba0}},
    {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89},
     {0x452821e638d01377, 0xbe5466cf34e90c6c},
     {0xa528f45403e61d95, 0x38c72dbd566e9788, 0xa5a1610e72fd18b5, 0x57bd43b5e52b7fe6}}};

}  // namespace

TEST_CASE("random_bits gives the published answers of Philox 4x64-10", "[kat]") {
  for (const auto& known : kKnownAnswers) {
    const RandomKey key{known.key[0], static_cast<Stream>(known.key[1] >> 32),
                        static_cast<std::uint32_t>(known.key[1])};
    REQUIRE(random_bits(key, known.counter[0], known.counter[1], known.counter[2], known.counter[3]) ==
            known.words);
  }
}

TEST_CASE("Every part of the key and of the counter changes the numbers", "[property]") {
  const RandomKey key{7, Stream::weights, 3};
  const std::vector<std::array<std::uint64_t, 4>> draws = {random_bits(key, 1, 2, 3, 4),
                                                           random_bits({8, Stream::weights, 3}, 1, 2, 3, 4),
                                                           random_bits({7, Stream::inputs, 3}, 1, 2, 3, 4),
                                                           random_bits({7, Stream::weights, 4}, 1, 2, 3, 4),
                                                           random_bits(key, 0, 2, 3, 4),
                                                           random_bits(key, 1, 0, 3, 4),
                                                           random_bits(key, 1, 2, 0, 4),
                                                           random_bits(key, 1, 2, 3, 0)};
  REQUIRE(std::set(draws.begin(), draws.end()).size() == draws.size());
}

TEST_CASE("Standard normals have the moments of a standard normal", "[statistics]") {
  constexpr Index kRows = 500;
  constexpr Index kCols = 2000;
  const Matrix z = random_normal_matrix({11, Stream::test, 0}, kRows, kCols);
  const double n = static_cast<double>(z.size());
  REQUIRE(std::abs(z.mean()) < 5.0 * std::sqrt(1.0 / n));
  REQUIRE(std::abs(z.array().square().mean() - 1.0) < 5.0 * std::sqrt(2.0 / n));
  REQUIRE(std::abs(z.array().cube().mean()) < 5.0 * std::sqrt(15.0 / n));
  REQUIRE(std::abs(z.array().pow(4).mean() - 3.0) < 5.0 * std::sqrt(96.0 / n));
  // Two-sided 3 sigma tail.
  const double tail = std::erfc(3.0 / std::sqrt(2.0));
  REQUIRE(std::abs((z.array().abs() > 3.0).cast<double>().mean() - tail) <
          5.0 * std::sqrt(tail * (1.0 - tail) / n));
}

TEST_CASE("Neighbouring normals are uncorrelated", "[statistics]") {
  constexpr Index kDraws = 200000;
  std::array<double, 6> sums{};
  for (Index k = 0; k < kDraws; ++k) {
    const auto z = random_normal4({5, Stream::test, 0}, static_cast<std::uint64_t>(k), 0);
    const auto next = random_normal4({5, Stream::test, 0}, static_cast<std::uint64_t>(k + 1), 0);
    const std::array<double, 6> products{z[0] * z[1], z[0] * z[2],    z[1] * z[2],
                                         z[2] * z[3], z[0] * next[0], z[3] * next[0]};
    for (std::size_t p = 0; p < sums.size(); ++p) sums[p] += products[p];
  }
  for (const double sum : sums) REQUIRE(std::abs(sum) < 5.0 * std::sqrt(static_cast<double>(kDraws)));
}

TEST_CASE("Uniforms lie in the open unit interval with mean 1/2 and variance 1/12", "[statistics]") {
  const Matrix u = random_uniform_matrix({3, Stream::test, 0}, 400, 1000);
  const double n = static_cast<double>(u.size());
  REQUIRE(u.minCoeff() > 0.0);
  REQUIRE(u.maxCoeff() < 1.0);
  REQUIRE(std::abs(u.mean() - 0.5) < 5.0 * std::sqrt(1.0 / (12.0 * n)));
  REQUIRE(std::abs((u.array() - 0.5).square().mean() - 1.0 / 12.0) < 5.0 * std::sqrt(1.0 / (180.0 * n)));
}

TEST_CASE("A matrix of normals holds random_normal4 in the documented layout", "[property]") {
  const RandomKey key{9, Stream::weights, 2};
  const Matrix z = random_normal_matrix(key, 3, 7, 5);
  for (Index i = 0; i < z.rows(); ++i)
    for (Index j = 0; j < z.cols(); ++j) {
      const auto four =
          random_normal4(key, static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j / 4), 5);
      REQUIRE(z(i, j) == four[static_cast<std::size_t>(j % 4)]);
    }
}

TEST_CASE("random_permutation returns each index once", "[property]") {
  for (const Index count : {0, 1, 2, 17, 1000}) {
    auto order = random_permutation({1, Stream::shuffle, 0}, count, 4);
    std::sort(order.begin(), order.end());
    REQUIRE(static_cast<Index>(order.size()) == count);
    for (Index k = 0; k < count; ++k) REQUIRE(order[static_cast<std::size_t>(k)] == k);
  }
}

TEST_CASE("All permutations of four are equally frequent", "[statistics]") {
  constexpr int kDraws = 48000;
  std::map<std::vector<Index>, int> counts;
  for (int event = 0; event < kDraws; ++event)
    ++counts[random_permutation({1, Stream::shuffle, 0}, 4, static_cast<std::uint64_t>(event))];
  REQUIRE(counts.size() == 24);
  const double p = 1.0 / 24.0;
  for (const auto& [order, count] : counts)
    REQUIRE(std::abs(count - kDraws * p) < 5.0 * std::sqrt(kDraws * p * (1.0 - p)));
}
