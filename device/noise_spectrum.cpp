#include "device/noise_spectrum.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "core/error.hpp"
#include "device/ou_averages.hpp"

namespace crosstile::device {

namespace {

constexpr double kSpectrumMost = std::numeric_limits<double>::max();
constexpr double kSmallest = std::numeric_limits<double>::min();

void check_window(double window_s) { require_in_range("window_s", window_s, kSmallest, kSpectrumMost); }

}  // namespace

double Lorentzian::tau_s() const { return 1.0 / (2.0 * std::numbers::pi * corner_hz); }

double NoiseSpectrum::density(double frequency_hz) const {
  require_in_range("frequency_hz", frequency_hz, 0.0, kSpectrumMost);
  double sum = white_per_hz;
  for (const auto& l : lorentzians) {
    const double ratio = frequency_hz / l.corner_hz;
    sum += 4.0 * l.variance * l.tau_s() / (1.0 + ratio * ratio);
  }
  return sum;
}

double NoiseSpectrum::variance() const {
  double sum = 0.0;
  for (const auto& l : lorentzians) sum += l.variance;
  return sum;
}

double NoiseSpectrum::autocovariance(double lag_s) const {
  require_in_range("lag_s", lag_s, 0.0, kSpectrumMost);
  double sum = 0.0;
  for (const auto& l : lorentzians) sum += l.variance * std::exp(-lag_s / l.tau_s());
  return sum;
}

double NoiseSpectrum::window_variance(double window_s) const {
  check_window(window_s);
  double sum = white_per_hz / (2.0 * window_s);
  for (const auto& l : lorentzians) sum += l.variance * ou::window_variance(window_s / l.tau_s());
  return sum;
}

double NoiseSpectrum::window_covariance(double window_s, double lag_s) const {
  check_window(window_s);
  require_in_range("lag_s (windows may not overlap)", lag_s, window_s, kSpectrumMost);
  double sum = 0.0;
  for (const auto& l : lorentzians) {
    const double edge = ou::edge_weight(window_s / l.tau_s());
    sum += l.variance * edge * edge * std::exp(-(lag_s - window_s) / l.tau_s());
  }
  return sum;
}

double NoiseSpectrum::allan_variance(double window_s) const {
  check_window(window_s);
  double sum = white_per_hz / (2.0 * window_s);
  for (const auto& l : lorentzians) sum += l.variance * ou::driven_variance(window_s / l.tau_s());
  return sum;
}

double NoiseSpectrum::mean_of_reads_variance(Index reads, double window_s, double period_s) const {
  check_window(window_s);
  require_in_range("reads", static_cast<double>(reads), 1.0, 1e9);
  require_in_range("period_s (windows may not overlap)", period_s, window_s, kSpectrumMost);
  const double n = static_cast<double>(reads);
  double sum = white_per_hz / (2.0 * window_s) / n;
  for (const auto& l : lorentzians) {
    const double tau = l.tau_s();
    const double edge = ou::edge_weight(window_s / tau);
    const double decay = std::exp(-period_s / tau);
    double power = std::exp(-(period_s - window_s) / tau), pairs = 0.0;
    for (Index k = 1; k < reads && power > 0.0; ++k, power *= decay) pairs += (n - static_cast<double>(k)) * power;
    sum += l.variance * (ou::window_variance(window_s / tau) / n + 2.0 * edge * edge * pairs / (n * n));
  }
  return sum;
}

NoiseSpectrum NoiseSpectrum::scaled(double factor) const {
  NoiseSpectrum out = *this;
  for (auto& l : out.lorentzians) l.variance *= factor * factor;
  out.white_per_hz *= factor * factor;
  return out;
}

void NoiseSpectrum::validate() const {
  for (std::size_t k = 0; k < lorentzians.size(); ++k) {
    const std::string name = "lorentzians[" + std::to_string(k) + "]";
    require_in_range(name + ".corner_hz", lorentzians[k].corner_hz, 1e-12, 1e18);
    require_in_range(name + ".variance", lorentzians[k].variance, 0.0, kSpectrumMost);
  }
  require_in_range("white_per_hz", white_per_hz, 0.0, kSpectrumMost);
}

void SpectrumShape::validate() const {
  require_in_range("exponent", exponent, 0.0, 2.0);
  require_in_range("corner_low_hz", corner_low_hz, 1e-12, 1e18);
  require_in_range("corner_high_hz", corner_high_hz, corner_low_hz, 1e18);
  require_in_range("corners_per_decade", corners_per_decade, 1, 100);
  require_in_range("variance", variance, 0.0, kSpectrumMost);
  require_in_range("white_per_hz", white_per_hz, 0.0, kSpectrumMost);
}

NoiseSpectrum make_spectrum(const SpectrumShape& shape) {
  shape.validate();
  const double decades = std::log10(shape.corner_high_hz / shape.corner_low_hz);
  const auto intervals = static_cast<std::size_t>(std::lround(decades * shape.corners_per_decade));
  NoiseSpectrum out;
  out.white_per_hz = shape.white_per_hz;
  double total = 0.0;
  for (std::size_t k = 0; k <= intervals; ++k) {
    const double position = intervals == 0 ? 0.0 : static_cast<double>(k) / static_cast<double>(intervals);
    const double above = std::pow(10.0, decades * position);  // corner / lowest corner
    out.lorentzians.push_back({shape.corner_low_hz * above, std::pow(above, 1.0 - shape.exponent)});
    total += out.lorentzians.back().variance;
  }
  for (auto& l : out.lorentzians) l.variance *= shape.variance / total;
  return out;
}

}  // namespace crosstile::device
