// Internal. What a reference set covers.
#pragma once

#include <vector>

#include "data/reference_set.hpp"
#include "tilemodel/fit.hpp"

namespace crosstile::tilemodel {

std::vector<ParameterRange> validity_of(const data::ReferenceSet& set);

}  // namespace crosstile::tilemodel
