// Internal. Maximum likelihood of spreads: normal numbers whose standard deviation is a linear function.
#pragma once

#include "core/types.hpp"

namespace crosstile::validation {

struct SpreadFit {
  Vector mean, spread;                ///< coefficients
  Matrix mean_covariance, spread_covariance;
};
/// y_d ~ N(X_d mean, known_d + (Z_d spread)^2), Fisher scoring; X may have no columns. `spread` is where the iteration starts.
SpreadFit fit_normal_spread(const Vector& y, const Vector& known, const Matrix& x, const Matrix& z, const Vector& spread);
/// sum_d ~ exp(2 Z_d spread) chi^2 with dof_d degrees of freedom.
SpreadFit fit_log_variance(const Vector& sum, const Vector& dof, const Matrix& z);

/// Two-sided p-value of the Kolmogorov-Smirnov distance to the standard normal (asymptotic, Stephens' correction).
double normal_p_value(Vector values);

}  // namespace crosstile::validation
