// The ladder's float32 kernel for AVX-512; see ladder_kernels.hpp.
#include "tilemodel/ladder_kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

namespace crosstile::tilemodel::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kPieces = 4;
constexpr int kGroupEnds = 10;
using V = __m512;

inline V all(float value) {
  return _mm512_set1_ps(value);
}
inline V reciprocal(V v) {
  const V r = _mm512_maskz_rcp14_ps(0xffff, v);  // 14 bits, doubled by one Newton step
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(v, r, _mm512_set1_ps(2.0f)));
}

#include "tilemodel/ladder_kernels_impl.hpp"

}  // namespace

const LadderTable& ladder_table_avx512() {
  static constexpr LadderTable table{"avx512", kLanes, kPanelCols, kGroupEnds, ladder_charge};
  return table;
}

}  // namespace crosstile::tilemodel::kernels
#else
namespace crosstile::tilemodel::kernels {

const LadderTable& ladder_table_avx512() {
  return ladder_table_base();
}

}  // namespace crosstile::tilemodel::kernels
#endif
