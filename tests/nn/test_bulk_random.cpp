#include <Random123/philox.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "nn/bulk_random.hpp"

using namespace crosstile;
using namespace crosstile::nn;

TEST_CASE("Bulk bits are Philox 4x32 on the counter of their place", "[nn][cross]") {
  const BulkKey key{0x12345678U, 0x9ABCDEF0U};
  const BulkPlace place{0x1234567890AULL, 77, 3};
  std::vector<std::uint32_t> bits(3 * kBulkGroup);
  bulk_bits(key, place, 5, 3, bits.data());
  for (std::uint32_t g = 0; g < 3; ++g)
    for (std::uint32_t lane = 0; lane < 8; ++lane) {
      const r123::Philox4x32::ctr_type counter = {{(5 + g) * 8 + lane, 0x4567890AU, (0x123U << 16) | 3U, 77}};
      const auto out = r123::Philox4x32()(counter, r123::Philox4x32::key_type{{key.low, key.high}});
      for (std::uint32_t w = 0; w < 4; ++w) CHECK(bits[g * kBulkGroup + w * 8 + lane] == out[w]);
    }
}

TEST_CASE("A run of bulk numbers is the same in pieces", "[nn][identity]") {
  const BulkKey key = bulk_key({7, Stream::test, 1});
  std::vector<float> whole(20 * kBulkGroup), piece(20 * kBulkGroup);
  bulk_normals(key, {4, 2, 1}, 0, 20, whole.data());
  for (int g = 0; g < 20; ++g)
    bulk_normals(key, {4, 2, 1}, static_cast<std::uint32_t>(g), 1, piece.data() + g * kBulkGroup);
  CHECK(whole == piece);
  bulk_normals(bulk_key({8, Stream::test, 1}), {4, 2, 1}, 0, 20, piece.data());
  CHECK(whole != piece);
}

TEST_CASE("Bulk normals have the moments and the tail of a normal", "[nn][statistics]") {
  constexpr int kRuns = 2000, kGroups = 4;
  const double count = kRuns * kGroups * kBulkGroup;
  const BulkKey key = bulk_key({3, Stream::test, 2});
  std::vector<float> normal(kGroups * kBulkGroup);
  double sum[5] = {}, neighbours = 0.0, beyond = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    bulk_normals(key, {static_cast<std::uint64_t>(run), 0, 0}, 0, kGroups, normal.data());
    for (std::size_t k = 0; k < normal.size(); ++k) {
      const double z = normal[k];
      sum[1] += z, sum[2] += z * z, sum[3] += z * z * z, sum[4] += z * z * z * z;
      if (k > 0) neighbours += z * normal[k - 1];
      beyond += std::abs(z) > 3.0 ? 1.0 : 0.0;
    }
  }
  // Variances of z, z^2, z^3, z^4: 1, 2, 15, 96.
  const double five = 5.0 / std::sqrt(count);
  CHECK(std::abs(sum[1] / count) < five);
  CHECK(std::abs(sum[2] / count - 1.0) < five * std::sqrt(2.0));
  CHECK(std::abs(sum[3] / count) < five * std::sqrt(15.0));
  CHECK(std::abs(sum[4] / count - 3.0) < five * std::sqrt(96.0));
  CHECK(std::abs(neighbours / count) < five);
  const double tail = std::erfc(3.0 / std::sqrt(2.0));
  CHECK(std::abs(beyond / count - tail) < five * std::sqrt(tail));
}

TEST_CASE("Bulk uniforms cover the unit interval evenly", "[nn][statistics]") {
  std::vector<float> uniform(4000 * kBulkGroup);
  bulk_uniforms(bulk_key({3, Stream::test, 3}), {}, 0, 4000, uniform.data());
  std::vector<double> cells(16, 0.0);
  for (const float u : uniform) {
    REQUIRE((u >= 0.0F && u <= 1.0F));
    cells[std::min<std::size_t>(15, static_cast<std::size_t>(u * 16.0F))] += 1.0;
  }
  const double expected = static_cast<double>(uniform.size()) / 16.0;
  for (const double n : cells) CHECK(std::abs(n - expected) < 5.0 * std::sqrt(expected));
}
