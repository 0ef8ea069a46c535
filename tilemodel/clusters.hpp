// Internal. Reference columns by clustering: columns that load the wire alike share one reference, their mean.
// docs/theory.md, "Closure", "Reference columns".
#pragma once

#include <vector>

#include "core/types.hpp"

namespace crosstile::tilemodel {

struct Clusters {
  std::vector<std::vector<Index>> members;  // columns, ascending; no cluster is empty
  Matrix centre;                            // clusters x rows: mean of the members
};

// g: rows by position (0 farthest from the sense) x columns. count: clusters, at most the columns; 0: one more as
// long as that leaves half of the mean square distance or less and the columns of a cluster differ by more than twice what independent
// cells would, up to kMostAutomatic. Distances are between the conductances summed
// up from the far end in steps of `length` rows, which is what drives the second order of the ladder.
// Deterministic.
inline constexpr int kMostAutomatic = 8;
Clusters cluster_columns(const Matrix& g, Index length, int count);

}  // namespace crosstile::tilemodel
