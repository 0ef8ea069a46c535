#include "circuit/strip_kernels.hpp"

namespace crosstile::circuit::strip_kernels {

namespace {

constexpr Index kWidth = 4;
using V = double __attribute__((vector_size(32)));

// Rows of a 4 x 4 block in, its columns out.
inline void turn(V (&a)[kWidth]) {
  const V top_even = __builtin_shufflevector(a[0], a[1], 0, 4, 2, 6),
          top_odd = __builtin_shufflevector(a[0], a[1], 1, 5, 3, 7);
  const V low_even = __builtin_shufflevector(a[2], a[3], 0, 4, 2, 6),
          low_odd = __builtin_shufflevector(a[2], a[3], 1, 5, 3, 7);
  a[0] = __builtin_shufflevector(top_even, low_even, 0, 1, 4, 5);
  a[1] = __builtin_shufflevector(top_odd, low_odd, 0, 1, 4, 5);
  a[2] = __builtin_shufflevector(top_even, low_even, 2, 3, 6, 7);
  a[3] = __builtin_shufflevector(top_odd, low_odd, 2, 3, 6, 7);
}

#include "circuit/strip_kernels_impl.hpp"

}  // namespace

const Table& table_base() {
  static constexpr Table table{"base", columns, rows};
  return table;
}

}  // namespace crosstile::circuit::strip_kernels
