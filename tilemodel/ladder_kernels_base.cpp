// The ladder's float32 kernel for what the library is built for (AVX2 by default); see ladder_kernels.hpp.
#include "tilemodel/ladder_kernels.hpp"

namespace crosstile::tilemodel::kernels {
namespace {

constexpr int kLanes = 8;
constexpr int kPieces = 3;
constexpr int kGroupEnds = 8;  // seven pairs of D and y leave room in sixteen registers
typedef float V __attribute__((vector_size(kLanes * 4)));

inline V all(float value) {
  return V{value, value, value, value, value, value, value, value};
}
inline V reciprocal(V v) {
  return 1.0f / v;
}

#include "tilemodel/ladder_kernels_impl.hpp"

}  // namespace

const LadderTable& ladder_table_base() {
  static constexpr LadderTable table{"base", kLanes, kPanelCols, kGroupEnds, ladder_charge};
  return table;
}

}  // namespace crosstile::tilemodel::kernels
