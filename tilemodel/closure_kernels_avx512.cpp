// The closure's kernels for AVX-512; see closure_kernels.hpp.
#include "tilemodel/closure_kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

namespace crosstile::tilemodel::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kPanelPieces = 2;

inline __m512 all(float value) {
  return _mm512_set1_ps(value);
}
inline __m512 reciprocal(__m512 v) {
  const __m512 r = _mm512_maskz_rcp14_ps(0xffff, v);  // 14 bits, doubled by one Newton step
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(v, r, _mm512_set1_ps(2.0f)));
}
template <int step>
inline __m512 plus_shifted(__m512 v) {
  const __m512i moved =
      _mm512_maskz_alignr_epi32(0xffff, _mm512_castps_si512(v), _mm512_setzero_si512(), 16 - step);
  return v + _mm512_castsi512_ps(moved);
}
inline __m512 running_sum(__m512 v) {
  return plus_shifted<8>(plus_shifted<4>(plus_shifted<2>(plus_shifted<1>(v))));
}

#include "tilemodel/closure_kernels_impl.hpp"
#include "tilemodel/closure_backward_impl.hpp"

inline V look_up(const Levels& table, Whole level) {
  return __builtin_shuffle(table.part[0], table.part[1], level);
}

}  // namespace

const Table& table_avx512() {
  static constexpr Table table{"avx512", kLanes, kLanes * kPanelPieces, follow_reference, columns,
                               columns_backward, product, reference_backward};
  return table;
}
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

}  // namespace crosstile::tilemodel::kernels
#else
namespace crosstile::tilemodel::kernels {

const Table& table_avx512() {
  return table_base();
}
bool has_avx512() {
  return false;
}

}  // namespace crosstile::tilemodel::kernels
#endif
