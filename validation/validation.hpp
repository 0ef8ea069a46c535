// validation: is the fast model right, and what does a run say?
// Fast models against the full circuit on vectors no fit has seen, beside the baselines any model must beat
// (ideal product with fitted gains, best linear map); error metrics with their definitions; the numbers and
// pictures of a run, and the page that shows them.
#pragma once

#include "validation/baselines.hpp"
#include "validation/compare.hpp"
#include "validation/figures.hpp"
#include "validation/metrics.hpp"
#include "validation/report.hpp"
#include "validation/results.hpp"
