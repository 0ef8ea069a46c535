// Averages of a unit-variance Ornstein-Uhlenbeck process over windows, as functions of x = window / tau. Internal to the module.
// Each is a difference of nearly equal terms for small x; there a Taylor series keeps full relative precision.
#pragma once

#include <cmath>

namespace crosstile::device::ou {

inline constexpr double kSeriesBelow = 0.5;  // 20 terms of either series end below 1e-19 here

/// sum over n >= first of (-1)^n numerator(n) x^(n - drop) / n!
template <typename Numerator>
double alternating_series(double x, int first, int drop, const Numerator& numerator) {
  double factorial = 1.0, sum = 0.0;
  for (int n = 1; n < first; ++n) factorial *= n;
  double power = std::pow(x, first - drop);
  for (int n = first; n < first + 20; ++n, power *= x) {
    factorial *= n;
    sum += (n % 2 == 0 ? 1.0 : -1.0) * numerator(n) * power / factorial;
  }
  return sum;
}

/// Variance of the window average: 2 (x - 1 + e^-x) / x^2.
inline double window_variance(double x) {
  if (x < kSeriesBelow) return 2.0 * alternating_series(x, 2, 2, [](int) { return 1.0; });
  return 2.0 * (x + std::expm1(-x)) / (x * x);
}

/// Weight of the value at a window's edge in the window's average: (1 - e^-x) / x.
inline double edge_weight(double x) { return -std::expm1(-x) / x; }

/// Variance of the window average given the value at its begin: (2 x - 3 + 4 e^-x - e^-2x) / x^2. It is also the Allan variance,
/// window variance - edge weight^2.
inline double driven_variance(double x) {
  if (x < kSeriesBelow) return alternating_series(x, 3, 2, [](int n) { return 4.0 - std::ldexp(1.0, n); });
  return (2.0 * x - 3.0 + 4.0 * std::exp(-x) - std::exp(-2.0 * x)) / (x * x);
}

}  // namespace crosstile::device::ou
