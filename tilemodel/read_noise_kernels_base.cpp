// The read-noise kernels for what the library is built for (AVX2 by default); see read_noise_kernels.hpp.
#include "tilemodel/read_noise_kernels.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace crosstile::tilemodel::noise_kernels {
namespace {

constexpr int kLanes = 8;
typedef float V __attribute__((vector_size(kLanes * 4)));
typedef unsigned U __attribute__((vector_size(kLanes * 4)));

inline V all(float value) { return V{value, value, value, value, value, value, value, value}; }

constexpr unsigned kMultiplier[2] = {0xD2511F53u, 0xCD9E8D57u};

#if defined(__AVX2__)

inline V rsqrt(V v) {
  const V r = _mm256_rsqrt_ps(v);
  return r * (1.5f - 0.5f * v * r * r);
}
inline V rough_rsqrt(V v) { return rsqrt(v); }

// Even and odd lanes as 64-bit numbers whose upper halves are ignored: a product is both of its halves at once.
inline void philox(const KeySchedule& key, const U counter[4], U out[4]) {
  __m256i even[4], odd[4];
  for (int w = 0; w < 4; ++w) {
    even[w] = (__m256i)counter[w];
    odd[w] = _mm256_srli_epi64(even[w], 32);
  }
  const __m256i m0 = _mm256_set1_epi32(static_cast<int>(kMultiplier[0])), m1 = _mm256_set1_epi32(static_cast<int>(kMultiplier[1]));
#pragma GCC unroll 10
  for (int round = 0; round < kRounds; ++round) {
    const __m256i a = _mm256_set1_epi32(static_cast<int>(key.word[0][round])), b = _mm256_set1_epi32(static_cast<int>(key.word[1][round]));
#pragma GCC unroll 2
    for (int side = 0; side < 2; ++side) {
      __m256i* c = side == 0 ? even : odd;
      const __m256i p0 = _mm256_mul_epu32(c[0], m0), p1 = _mm256_mul_epu32(c[2], m1);
      c[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c[1]), a);
      c[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c[3]), b);
      c[1] = p1;
      c[3] = p0;
    }
  }
  for (int w = 0; w < 4; ++w) out[w] = (U)_mm256_blend_epi32(even[w], _mm256_slli_epi64(odd[w], 32), 0xaa);
}

inline unsigned due_of(const unsigned* words, const unsigned* renewals) {
  unsigned due = 0;
  const __m256i flip = _mm256_set1_epi32(static_cast<int>(0x80000000u));  // unsigned order
  for (int part = 0; part < 2; ++part) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 8 * part));
    const __m256i p = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(renewals + 8 * part));
    const __m256i below = _mm256_cmpgt_epi32(_mm256_xor_si256(p, flip), _mm256_xor_si256(w, flip));
    due |= static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(below))) << (8 * part);
  }
  return due;
}

int select_rows(const unsigned char* bytes, int count, unsigned char least, unsigned short* rows) {
  int found = 0;
  const __m256i limit = _mm256_set1_epi8(static_cast<char>(least));
  for (int i = 0; i < count; i += 32) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + i));
    unsigned mask = static_cast<unsigned>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(v, limit), v)));
    for (; mask != 0; mask &= mask - 1) rows[found++] = static_cast<unsigned short>(i + __builtin_ctz(mask));
  }
  return found;
}

// Unpacking works within 16 bytes; this order of the columns comes out straight.
int byte_place(int column) {
  const int half = column / 32, j = column % 32;
  return half * 32 + 16 * (j % 8 / 4) + 4 * (j / 8) + j % 4;
}

void sparse_sums(const SparseSums& job) {
  constexpr int kPairs = 8;  // pairs of rows whose sums fit 16 bits
  const __m256i zero = _mm256_setzero_si256();
  __m256i sum[2][4] = {};
  for (int begin = 0; begin < job.count; begin += 2 * kPairs) {
    const int end = begin + 2 * kPairs < job.count ? begin + 2 * kPairs : job.count;
    __m256i low[2] = {zero, zero}, high[2] = {zero, zero};
    for (int r = begin; r < end; r += 2) {
      const __m256i weights = _mm256_set1_epi32(job.weights[r / 2]);
      for (int half = 0; half < 2; ++half) {
        const auto* a = reinterpret_cast<const __m256i*>(job.bytes + job.rows[r] * kPanel + 32 * half);
        const auto* b = reinterpret_cast<const __m256i*>(job.bytes + job.rows[r + 1] * kPanel + 32 * half);
        const __m256i first = _mm256_loadu_si256(a), second = _mm256_loadu_si256(b);
        low[half] = _mm256_add_epi16(low[half], _mm256_maddubs_epi16(_mm256_unpacklo_epi8(first, second), weights));
        high[half] = _mm256_add_epi16(high[half], _mm256_maddubs_epi16(_mm256_unpackhi_epi8(first, second), weights));
      }
    }
    for (int half = 0; half < 2; ++half) {
      sum[half][0] = _mm256_add_epi32(sum[half][0], _mm256_unpacklo_epi16(low[half], zero));
      sum[half][1] = _mm256_add_epi32(sum[half][1], _mm256_unpackhi_epi16(low[half], zero));
      sum[half][2] = _mm256_add_epi32(sum[half][2], _mm256_unpacklo_epi16(high[half], zero));
      sum[half][3] = _mm256_add_epi32(sum[half][3], _mm256_unpackhi_epi16(high[half], zero));
    }
  }
  for (int q = 0; q < 8; ++q) {
    const V value = _mm256_cvtepi32_ps(sum[q / 4][q % 4]);
    _mm256_storeu_ps(job.variance + 8 * q, value * job.factor + job.rest * (V)_mm256_loadu_ps(job.column + 8 * q));
  }
}

#else

inline V rsqrt(V v) {
  for (int l = 0; l < kLanes; ++l) v[l] = 1.0f / __builtin_sqrtf(v[l]);
  return v;
}
inline V rough_rsqrt(V v) { return rsqrt(v); }

inline void philox(const KeySchedule& key, const U counter[4], U out[4]) {
  for (int l = 0; l < kLanes; ++l) {
    unsigned c[4] = {counter[0][l], counter[1][l], counter[2][l], counter[3][l]};
    for (int round = 0; round < kRounds; ++round) {
      const unsigned long long p0 = static_cast<unsigned long long>(c[0]) * kMultiplier[0];
      const unsigned long long p1 = static_cast<unsigned long long>(c[2]) * kMultiplier[1];
      c[0] = static_cast<unsigned>(p1 >> 32) ^ c[1] ^ key.word[0][round];
      c[2] = static_cast<unsigned>(p0 >> 32) ^ c[3] ^ key.word[1][round];
      c[1] = static_cast<unsigned>(p1);
      c[3] = static_cast<unsigned>(p0);
    }
    for (int w = 0; w < 4; ++w) out[w][l] = c[w];
  }
}

inline unsigned due_of(const unsigned* words, const unsigned* renewals) {
  unsigned due = 0;
  for (unsigned k = 0; k < kMostHeld; ++k) due |= (words[k] < renewals[k] ? 1u : 0u) << k;
  return due;
}

int select_rows(const unsigned char* bytes, int count, unsigned char least, unsigned short* rows) {
  int found = 0;
  for (int i = 0; i < count; ++i)
    if (bytes[i] >= least) rows[found++] = static_cast<unsigned short>(i);
  return found;
}

int byte_place(int column) { return column; }

void sparse_sums(const SparseSums& job) {
  int sum[kPanel] = {};
  for (int r = 0; r < job.count; ++r)
    for (int j = 0; j < kPanel; ++j) sum[j] += (r % 2 == 0 ? job.weights[r / 2] & 0xff : job.weights[r / 2] >> 8 & 0xff) * job.bytes[job.rows[r] * kPanel + j];
  for (int j = 0; j < kPanel; ++j) job.variance[j] = static_cast<float>(sum[j]) * job.factor + job.rest * job.column[j];
}

#endif

#include "tilemodel/read_noise_kernels_impl.hpp"

}  // namespace

const Table& table_base() {
  static constexpr Table table{"base", column_noise, sparse_sums, dense_sums, select_rows, byte_place};
  return table;
}

}  // namespace crosstile::tilemodel::noise_kernels
