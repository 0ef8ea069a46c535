#include "device/nanosecond_noise.hpp"

#include <cmath>
#include <limits>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

double quartic(const std::array<double, 5>& c, double x) { return (((c[0] * x + c[1]) * x + c[2]) * x + c[3]) * x + c[4]; }

/// log10(T / 1 ns) of a T inside the range; 1000 * 1e-9 is not exactly 1e-6, so the ends are met to rounding.
double checked_decades(const NanosecondReadNoise& noise, double t_s) {
  constexpr double kRounding = 1e-12;
  const bool inside = t_s >= noise.t_low_s * (1.0 - kRounding) && t_s <= noise.t_high_s * (1.0 + kRounding);
  if (!inside) require_in_range("integration time t_s of the nanosecond read noise", t_s, noise.t_low_s, noise.t_high_s);
  return std::log10(t_s / 1e-9);
}

}  // namespace

double NanosecondReadNoise::slope(double t_s) const { return quartic(a, checked_decades(*this, t_s)); }

double NanosecondReadNoise::offset_siemens(double t_s) const { return quartic(b_siemens, checked_decades(*this, t_s)); }

double NanosecondReadNoise::sigma_siemens(double g_siemens, double t_s) const {
  require_in_range("g_siemens", g_siemens, 0.0, std::numeric_limits<double>::max());
  const double x = checked_decades(*this, t_s);
  return quartic(a, x) * g_siemens + quartic(b_siemens, x);
}

double offset_conductance_siemens(const NanosecondReadNoise& noise, int points) {
  require_in_range("points", points, 2, 1e6);
  double sum = 0.0;
  for (int k = 0; k < points; ++k) {
    const double t_s = noise.t_low_s * std::pow(noise.t_high_s / noise.t_low_s, k / (points - 1.0));
    sum += noise.offset_siemens(t_s) / noise.slope(t_s);
  }
  return sum / points;
}

}  // namespace crosstile::device
