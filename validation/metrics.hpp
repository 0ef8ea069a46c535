// How far one set of charges is from another: the figures every comparison quotes, with their definitions.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/reference_set.hpp"

namespace crosstile::validation {

/// The q-quantile of values a_0 <= ... <= a_(n-1): linear interpolation at position q (n - 1), the definition
/// 7 of Hyndman and Fan (Am. Stat. 50, 361, 1996) and numpy's default. Errors: usage for no values, a value
/// that is not finite, or q outside 0..1.
double quantile(std::vector<double> values, double q);
/// The q-quantile of |value| over all elements of a matrix.
double abs_quantile(const Matrix& values, double q);

/// The two yardsticks of a reference set.
struct Scale {
  double lsb_coulomb = 0.0;  ///< 99.9 % quantile of the |single-bit-line charges| of all vectors / 255
  double differential_rms_coulomb =
      0.0;  ///< RMS over all vectors of the differential output G+ - G- (or of the only output)
};
/// Errors: bad_data when the set has no charges, or one of the yardsticks is zero.
Scale scale_of(const data::ReferenceSet& set);

/// Errors of a model against a reference, element by element: e = model - reference.
struct ErrorMetrics {
  double rms_lsb = 0.0;
  double quantile_999_lsb = 0.0;  ///< 99.9 % quantile of |e|
  double max_lsb = 0.0;           ///< largest |e|
  double bias_lsb = 0.0;          ///< mean of e
  double rms_relative = 0.0;      ///< RMS of e / RMS of the differential output
  Index count = 0;                ///< number of elements
  Index worst_row = 0;            ///< where |e| is largest (the first one)
  Index worst_column = 0;
};
/// Both matrices: vectors x columns, coulomb. Errors: usage for different shapes, no elements, a scale that
/// is not positive, or an element that is not finite.
ErrorMetrics error_metrics(const Matrix& model_coulomb, const Matrix& reference_coulomb, const Scale& scale);

/// Counts per interval [edge_k, edge_(k+1)); the last interval includes its upper edge.
struct Histogram {
  Vector edges;        ///< bins + 1, increasing
  Vector counts;       ///< bins
  double below = 0.0;  ///< elements below the first edge
  double above = 0.0;  ///< elements above the last edge
};
/// Errors: usage for fewer than two edges, edges that do not increase, or a value that is not finite.
Histogram histogram(const Matrix& values, const Vector& edges);
/// `bins` intervals of equal width between low < high.
Vector linear_edges(double low, double high, Index bins);
/// Intervals of equal ratio, `per_decade` to a decade, whole decades that contain 0 < low < high.
Vector decade_edges(double low, double high, Index per_decade);

}  // namespace crosstile::validation
