// Internal. Panels of columns and the vector type their kernels are written with (GCC vector extension: AVX2
// where the build has it, pairs of SSE2 operations where it has not; no intrinsics).
#pragma once

#include "core/types.hpp"

namespace crosstile::tilemodel {

// Six registers of u and six of J, or twelve accumulators, fill the sixteen registers of AVX2 and hide the
// latency of a multiply-add.
inline constexpr int kLanes = 4;
inline constexpr int kPanelVectors = 6;
inline constexpr Index kPanelCols = kLanes * kPanelVectors;

using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));
using LanesInMemory =
    double __attribute__((vector_size(kLanes * sizeof(double)), aligned(alignof(double)), may_alias));

inline const LanesInMemory* lanes(const double* p) {
  return reinterpret_cast<const LanesInMemory*>(p);
}
inline LanesInMemory* lanes(double* p) {
  return reinterpret_cast<LanesInMemory*>(p);
}

}  // namespace crosstile::tilemodel
