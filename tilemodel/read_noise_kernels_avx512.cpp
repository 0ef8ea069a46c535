// The read-noise kernels for AVX-512; see read_noise_kernels.hpp.
#include "tilemodel/read_noise_kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>

namespace crosstile::tilemodel::noise_kernels {
namespace {

constexpr int kLanes = 16;
typedef float V __attribute__((vector_size(kLanes * 4)));
typedef unsigned U __attribute__((vector_size(kLanes * 4)));

inline V all(float value) { return (V)_mm512_set1_ps(value); }

inline V rough_rsqrt(V v) { return (V)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)v); }
inline V rsqrt(V v) {
  const V r = rough_rsqrt(v);
  return r * (1.5f - 0.5f * v * r * r);
}

constexpr unsigned kMultiplier[2] = {0xD2511F53u, 0xCD9E8D57u};

// As in the base kernels: even and odd lanes as 64-bit numbers.
inline void philox(const KeySchedule& key, const U counter[4], U out[4]) {
  constexpr int kXor3 = 0x96;
  __m512i even[4], odd[4];
  for (int w = 0; w < 4; ++w) {
    even[w] = (__m512i)counter[w];
    odd[w] = _mm512_maskz_srli_epi64(0xff, even[w], 32);
  }
  const __m512i m0 = _mm512_set1_epi32(static_cast<int>(kMultiplier[0])), m1 = _mm512_set1_epi32(static_cast<int>(kMultiplier[1]));
#pragma GCC unroll 10
  for (int round = 0; round < kRounds; ++round) {
    const __m512i a = _mm512_set1_epi32(static_cast<int>(key.word[0][round])), b = _mm512_set1_epi32(static_cast<int>(key.word[1][round]));
#pragma GCC unroll 2
    for (int side = 0; side < 2; ++side) {
      __m512i* c = side == 0 ? even : odd;
      const __m512i p0 = _mm512_maskz_mul_epu32(0xff, c[0], m0), p1 = _mm512_maskz_mul_epu32(0xff, c[2], m1);
      c[0] = _mm512_ternarylogic_epi64(_mm512_maskz_srli_epi64(0xff, p1, 32), c[1], a, kXor3);
      c[2] = _mm512_ternarylogic_epi64(_mm512_maskz_srli_epi64(0xff, p0, 32), c[3], b, kXor3);
      c[1] = p1;
      c[3] = p0;
    }
  }
  for (int w = 0; w < 4; ++w)
    out[w] = (U)_mm512_mask_blend_epi32(0xaaaa, even[w], _mm512_maskz_slli_epi64(0xff, odd[w], 32));
}

inline unsigned due_of(const unsigned* words, const unsigned* renewals) {
  return _mm512_cmplt_epu32_mask(_mm512_loadu_si512(words), _mm512_loadu_si512(renewals));
}

int select_rows(const unsigned char* bytes, int count, unsigned char least, unsigned short* rows) {
  int found = 0;
  const __m512i limit = _mm512_set1_epi8(static_cast<char>(least));
  for (int i = 0; i < count; i += 64) {
    unsigned long long mask = _mm512_cmpge_epu8_mask(_mm512_loadu_si512(bytes + i), limit);
    for (; mask != 0; mask &= mask - 1) rows[found++] = static_cast<unsigned short>(i + __builtin_ctzll(mask));
  }
  return found;
}

int byte_place(int column) { return 16 * (column % 16 / 4) + 4 * (column / 16) + column % 4; }

void sparse_sums(const SparseSums& job) {
  constexpr int kPairs = 8;  // pairs of rows whose sums fit 16 bits
  const __m512i zero = _mm512_setzero_si512();
  __m512i sum[4] = {zero, zero, zero, zero};
  for (int begin = 0; begin < job.count; begin += 2 * kPairs) {
    const int end = begin + 2 * kPairs < job.count ? begin + 2 * kPairs : job.count;
    __m512i low = zero, high = zero;
    for (int r = begin; r < end; r += 2) {
      const __m512i weights = _mm512_set1_epi32(job.weights[r / 2]);
      const __m512i first = _mm512_loadu_si512(job.bytes + job.rows[r] * kPanel);
      const __m512i second = _mm512_loadu_si512(job.bytes + job.rows[r + 1] * kPanel);
      low = _mm512_add_epi16(low, _mm512_maddubs_epi16(_mm512_unpacklo_epi8(first, second), weights));
      high = _mm512_add_epi16(high, _mm512_maddubs_epi16(_mm512_unpackhi_epi8(first, second), weights));
    }
    sum[0] = _mm512_add_epi32(sum[0], _mm512_unpacklo_epi16(low, zero));
    sum[1] = _mm512_add_epi32(sum[1], _mm512_unpackhi_epi16(low, zero));
    sum[2] = _mm512_add_epi32(sum[2], _mm512_unpacklo_epi16(high, zero));
    sum[3] = _mm512_add_epi32(sum[3], _mm512_unpackhi_epi16(high, zero));
  }
  for (int q = 0; q < 4; ++q) {
    const V value = (V)_mm512_maskz_cvtepi32_ps(0xffff, sum[q]);
    _mm512_storeu_ps(job.variance + 16 * q, (__m512)(value * job.factor + job.rest * (V)_mm512_loadu_ps(job.column + 16 * q)));
  }
}

#include "tilemodel/read_noise_kernels_impl.hpp"

}  // namespace

const Table& table_avx512() {
  static constexpr Table table{"avx512", column_noise, sparse_sums, dense_sums, select_rows, byte_place};
  return table;
}
bool has_avx512() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"); }

}  // namespace crosstile::tilemodel::noise_kernels
#else
namespace crosstile::tilemodel::noise_kernels {

const Table& table_avx512() { return table_base(); }
bool has_avx512() { return false; }

}  // namespace crosstile::tilemodel::noise_kernels
#endif
