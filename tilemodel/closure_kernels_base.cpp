// The closure's kernels for what the library is built for (AVX2 by default); see closure_kernels.hpp.
#include "tilemodel/closure_kernels.hpp"

namespace crosstile::tilemodel::kernels {
namespace {

constexpr int kLanes = 8;
constexpr int kPanelPieces = 2;

typedef float V8 __attribute__((vector_size(kLanes * 4)));
inline V8 all(float value) {
  return V8{value, value, value, value, value, value, value, value};
}
inline V8 reciprocal(V8 v) {
  return 1.0f / v;
}
inline V8 running_sum(V8 v) {
  typedef int Places __attribute__((vector_size(kLanes * 4)));
  v += __builtin_shuffle(v, V8{}, Places{8, 0, 1, 2, 3, 4, 5, 6});
  v += __builtin_shuffle(v, V8{}, Places{8, 8, 0, 1, 2, 3, 4, 5});
  return v + __builtin_shuffle(v, V8{}, Places{8, 8, 8, 8, 0, 1, 2, 3});
}

#include "tilemodel/closure_kernels_impl.hpp"
#include "tilemodel/closure_backward_impl.hpp"

inline V look_up(const Levels& table, Whole level) {
  const Whole lane = level & (kLanes - 1), piece = level / kLanes;
  V value = __builtin_shuffle(table.part[0], lane);
  for (int k = 1; k < kPieces; ++k) value = piece == k ? __builtin_shuffle(table.part[k], lane) : value;
  return value;
}

}  // namespace

const Table& table_base() {
  static constexpr Table table{"base", kLanes, kLanes * kPanelPieces, follow_reference, columns,
                               columns_backward, product, reference_backward};
  return table;
}

}  // namespace crosstile::tilemodel::kernels
