// Internal. Error figures of models against reference sets. docs/theory.md, "Least-squares correction".
#pragma once

#include <vector>

#include "data/reference_set.hpp"
#include "tilemodel/fit.hpp"
#include "tilemodel/regression.hpp"

namespace crosstile::tilemodel {

// q quantile of |values|, linear between neighbours; sorts and takes absolute values in place.
double quantile_of_abs(std::vector<double>& values, double q);

// 1 LSB of a single bit line, coulomb. Errors: bad_data when all charges are 0.
double lsb_of(const data::ReferenceSet& set);

// base minus reference of the given vectors.
ErrorFigures figures(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors,
                     double lsb_coulomb);

}  // namespace crosstile::tilemodel
