#include "nn/bulk_random.hpp"

#include <array>
#include <numbers>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace crosstile::nn {

namespace {

constexpr std::uint32_t kMultiply0 = 0xD2511F53, kMultiply1 = 0xCD9E8D57;  // Philox 4x32
constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;
constexpr int kLanes = 8;

// Word w of the counter of lane l is at [w][l]; the output has the same layout.
using Counters = std::array<std::array<std::uint32_t, kLanes>, 4>;

#if defined(__AVX2__)

struct Product {
  __m256i high, low;
};

Product multiply(__m256i a, __m256i factor) {
  const __m256i even = _mm256_mul_epu32(a, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factor);
  return {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA),
          _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA)};
}

void philox(const BulkKey& key, const Counters& in, std::uint32_t* out) {
  const auto load = [](const std::uint32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  };
  const auto broadcast = [](std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); };
  __m256i c0 = load(in[0].data()), c1 = load(in[1].data()), c2 = load(in[2].data()), c3 = load(in[3].data());
  const __m256i m0 = broadcast(kMultiply0), m1 = broadcast(kMultiply1);
  std::uint32_t k0 = key.low, k1 = key.high;
  for (int round = 0; round < kRounds; ++round, k0 += kWeyl0, k1 += kWeyl1) {
    const Product p0 = multiply(c0, m0), p1 = multiply(c2, m1);
    c0 = _mm256_xor_si256(_mm256_xor_si256(p1.high, c1), broadcast(k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(p0.high, c3), broadcast(k1));
    c1 = p1.low;
    c3 = p0.low;
  }
  const auto store = [&](int word, __m256i value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + word * kLanes), value);
  };
  store(0, c0), store(1, c1), store(2, c2), store(3, c3);
}

#else

void philox(const BulkKey& key, const Counters& in, std::uint32_t* out) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    std::uint32_t c0 = in[0][lane], c1 = in[1][lane], c2 = in[2][lane], c3 = in[3][lane];
    std::uint32_t k0 = key.low, k1 = key.high;
    for (int round = 0; round < kRounds; ++round, k0 += kWeyl0, k1 += kWeyl1) {
      const std::uint64_t p0 = std::uint64_t{kMultiply0} * c0, p1 = std::uint64_t{kMultiply1} * c2;
      c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<std::uint32_t>(p1);
      c3 = static_cast<std::uint32_t>(p0);
    }
    const std::array<std::uint32_t, 4> words = {c0, c1, c2, c3};
    for (std::size_t w = 0; w < 4; ++w) out[w * kLanes + lane] = words[w];
  }
}

#endif

constexpr int kBlockGroups = 8;  // of a pass through the transcendental functions
using Block = Eigen::Array<float, Eigen::Dynamic, 1, 0, kBlockGroups * kBulkGroup, 1>;
using Words = std::array<std::uint32_t, kBlockGroups * kBulkGroup>;

// From the upper 31 bits as a signed number: vector units convert those directly.
float to_unit(std::uint32_t bits) {
  return (static_cast<float>(static_cast<std::int32_t>(bits >> 1)) + 0.25F) * 0x1p-31F;
}

}  // namespace

BulkKey bulk_key(const RandomKey& key) {
  const auto bits = random_bits(key, 0, 0, 0, 0x62756c6bU);
  return {static_cast<std::uint32_t>(bits[0]), static_cast<std::uint32_t>(bits[0] >> 32)};
}

void bulk_bits(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
               std::uint32_t* out) {
  Counters counter;
  counter[1].fill(static_cast<std::uint32_t>(place.step));
  counter[2].fill((static_cast<std::uint32_t>(place.step >> 32) << 16) | (place.part & 0xFFFFU));
  counter[3].fill(place.row);
  for (int g = 0; g < groups; ++g) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane)
      counter[0][lane] = (first_group + static_cast<std::uint32_t>(g)) * kLanes + lane;
    philox(key, counter, out + g * kBulkGroup);
  }
}

void bulk_uniforms(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
                   float* out) {
  Words words;
  for (int g = 0; g < groups; g += kBlockGroups) {
    const int now = std::min(kBlockGroups, groups - g);
    bulk_bits(key, place, first_group + static_cast<std::uint32_t>(g), now, words.data());
    for (int k = 0; k < now * kBulkGroup; ++k)
      out[g * kBulkGroup + k] = to_unit(words[static_cast<std::size_t>(k)]);
  }
}

void bulk_normals(const BulkKey& key, const BulkPlace& place, std::uint32_t first_group, int groups,
                  float* out) {
  constexpr auto kTwoPi = static_cast<float>(2.0 * std::numbers::pi);
  constexpr int kHalf = kBulkGroup / 2;
  Words words;
  Block radius, angle;
  for (int g = 0; g < groups; g += kBlockGroups) {
    const int now = std::min(kBlockGroups, groups - g), pairs = now * kHalf;
    bulk_bits(key, place, first_group + static_cast<std::uint32_t>(g), now, words.data());
    radius.resize(pairs);
    angle.resize(pairs);
    for (int k = 0; k < now; ++k)
      for (int i = 0; i < kHalf; ++i) {
        const auto at = static_cast<std::size_t>(k * kBulkGroup + i);
        radius[k * kHalf + i] = to_unit(words[at]);
        angle[k * kHalf + i] = to_unit(words[at + kHalf]) - 0.5F;
      }
    radius = (-2.0F * radius.log()).sqrt();
    angle *= kTwoPi;
    float* to = out + g * kBulkGroup;
    const Block cosine = angle.cos();
    angle = angle.sin();
    for (int k = 0; k < now; ++k)
      for (int i = 0; i < kHalf; ++i) {
        const int at = k * kHalf + i;
        to[k * kBulkGroup + i] = radius[at] * cosine[at];
        to[k * kBulkGroup + kHalf + i] = radius[at] * angle[at];
      }
  }
}

}  // namespace crosstile::nn
