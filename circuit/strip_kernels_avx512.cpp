// The sweeps for AVX-512; see strip_kernels.hpp.
#include "circuit/strip_kernels.hpp"

namespace crosstile::circuit::strip_kernels {

#if defined(__AVX512F__) && defined(__AVX512DQ__)

namespace {

constexpr Index kWidth = 8;
using V = double __attribute__((vector_size(64)));

// Rows of an 8 x 8 block in, its columns out.
inline void turn(V (&a)[kWidth]) {
  V pair[8], four[8];
  for (Index l = 0; l < 8; l += 2) {
    pair[l] = __builtin_shufflevector(a[l], a[l + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    pair[l + 1] = __builtin_shufflevector(a[l], a[l + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (Index l = 0; l < 8; l += 4)
    for (Index odd = 0; odd < 2; ++odd) {
      four[l + odd] = __builtin_shufflevector(pair[l + odd], pair[l + odd + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      four[l + odd + 2] =
          __builtin_shufflevector(pair[l + odd], pair[l + odd + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (Index l = 0; l < 4; ++l) {
    a[l] = __builtin_shufflevector(four[l], four[l + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    a[l + 4] = __builtin_shufflevector(four[l], four[l + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

#include "circuit/strip_kernels_impl.hpp"

}  // namespace

const Table& table_avx512() {
  static constexpr Table table{"avx512", columns, rows};
  return table;
}
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

#else

const Table& table_avx512() {
  return table_base();
}
bool has_avx512() {
  return false;
}

#endif

}  // namespace crosstile::circuit::strip_kernels
