#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "device/noise_spectrum.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

/// Composite Simpson rule.
double integral(const std::function<double(double)>& f, double low, double high, int intervals) {
  const double h = (high - low) / intervals;
  double sum = f(low) + f(high);
  for (int k = 1; k < intervals; ++k) sum += (k % 2 == 1 ? 4.0 : 2.0) * f(low + k * h);
  return sum * h / 3.0;
}

NoiseSpectrum single(double tau_s, double variance = 1.0) {
  return {{{1.0 / (2.0 * std::numbers::pi * tau_s), variance}}, 0.0};
}

/// Least-squares slope of log density against log frequency.
double spectrum_slope(const NoiseSpectrum& spectrum, double f_low, double decades) {
  constexpr int kPoints = 200;
  double xx = 0.0, xy = 0.0;
  for (int k = 0; k < kPoints; ++k) {
    const double x = decades * (k / (kPoints - 1.0) - 0.5);
    xx += x * x;
    xy += x * std::log10(spectrum.density(f_low * std::pow(10.0, x + 0.5 * decades)));
  }
  return xy / xx;
}

}  // namespace

TEST_CASE("The variance of a window average is the integral of the autocovariance", "[device][analytic]") {
  // (2 / T) * integral of (1 - u / T) R(u) over 0..T, by quadrature, on both sides of the series' switch.
  for (const double x : {1e-6, 1e-3, 0.1, 0.4999, 0.5001, 1.0, 5.0, 30.0}) {
    const double tau = 1e-6, window = x * tau;
    const auto spectrum = single(tau, 2.5);
    const auto weighted = [&](double u) { return (1.0 - u / window) * spectrum.autocovariance(u); };
    const double direct = 2.0 / window * integral(weighted, 0.0, window, 4000);
    INFO("T / tau = " << x);
    CHECK(spectrum.window_variance(window) == Approx(direct).epsilon(1e-9));
  }
}

TEST_CASE("The variance of a window average is the spectrum seen through the window's sinc", "[device][analytic]") {
  // A second route, over frequency: integral of S(f) sinc^2(pi f T). f = tan(angle) / (2 pi tau) maps the tail to a finite interval.
  const double tau = 1e-6;
  const auto spectrum = single(tau, 2.5);
  for (const double x : {0.3, 2.0}) {
    const auto integrand = [&](double angle) {
      const double f = std::tan(angle) / (2.0 * std::numbers::pi * tau);
      const double phase = std::numbers::pi * f * x * tau;
      const double sinc = phase == 0.0 ? 1.0 : std::sin(phase) / phase;
      const double df = (1.0 + std::tan(angle) * std::tan(angle)) / (2.0 * std::numbers::pi * tau);
      return spectrum.density(f) * sinc * sinc * df;
    };
    // What is cut off lies above f = 1 / (2 pi tau * 1e-3) and contributes less than 1e-6.
    const double direct = integral(integrand, 0.0, std::numbers::pi / 2.0 - 1e-3, 200000);
    CHECK(spectrum.window_variance(x * tau) == Approx(direct).epsilon(1e-5));
  }
}

TEST_CASE("The density of the Lorentzians integrates to their variance", "[device][analytic]") {
  const auto spectrum = make_spectrum({.exponent = 0.8, .corner_low_hz = 1e3, .corner_high_hz = 1e6, .variance = 3.0});
  const auto per_log = [&](double log_f) { return spectrum.density(std::exp(log_f)) * std::exp(log_f); };
  CHECK(integral(per_log, std::log(1e-3), std::log(1e13), 20000) == Approx(3.0).epsilon(1e-5));
  CHECK(spectrum.variance() == Approx(3.0).epsilon(1e-14));
  CHECK(spectrum.autocovariance(0.0) == Approx(3.0).epsilon(1e-14));
}

TEST_CASE("The Allan variance is window variance minus covariance of neighbours, to full precision", "[device][analytic]") {
  const double tau = 1e-6;
  const auto spectrum = single(tau);
  for (const double x : {0.2, 0.4999, 0.5001, 1.0, 10.0, 100.0}) {
    const double t = x * tau;
    CHECK(spectrum.allan_variance(t) == Approx(spectrum.window_variance(t) - spectrum.window_covariance(t, t)).epsilon(1e-12));
  }
  // 2x/3 - x^2/2 for small x = T / tau; the plain difference would have lost every digit.
  CHECK(spectrum.allan_variance(1e-9 * tau) == Approx(2e-9 / 3.0 * (1.0 - 0.75e-9)).epsilon(1e-12));
}

TEST_CASE("Means of reads follow from the covariances of windows", "[device][analytic]") {
  const auto spectrum = make_spectrum({.exponent = 1.0, .white_per_hz = 1e-9});
  const double t = 3e-8;
  CHECK(spectrum.mean_of_reads_variance(1, t, t) == Approx(spectrum.window_variance(t)).epsilon(1e-13));
  CHECK(spectrum.mean_of_reads_variance(256, t, t) == Approx(spectrum.window_variance(256 * t)).epsilon(1e-11));
  const Index reads = 7;
  const double period = 2.5e-7;
  double direct = 7.0 * spectrum.window_variance(t);
  for (Index k = 1; k < reads; ++k)
    direct += 2.0 * static_cast<double>(reads - k) * spectrum.window_covariance(t, static_cast<double>(k) * period);
  CHECK(spectrum.mean_of_reads_variance(reads, t, period) == Approx(direct / 49.0).epsilon(1e-13));
}

TEST_CASE("White noise averages as one over the number of reads", "[device][analytic]") {
  const NoiseSpectrum white{{}, 4e-9};
  CHECK(white.density(1e5) == 4e-9);
  CHECK(white.window_variance(1e-8) == Approx(0.2).epsilon(1e-14));
  CHECK(white.allan_variance(1e-8) == Approx(0.2).epsilon(1e-14));
  CHECK(white.mean_of_reads_variance(256, 1e-8, 1e-7) == Approx(0.2 / 256.0).epsilon(1e-14));
  CHECK(white.variance() == 0.0);
}

TEST_CASE("The pure 1/f setting has slope -1 within 0.02 over four decades", "[device][analytic]") {
  const auto spectrum = make_spectrum({.exponent = 1.0});
  CHECK(spectrum_slope(spectrum, std::pow(10.0, 4.5), 4.0) == Approx(-1.0).margin(0.02));
  for (double decade = 4.5; decade < 8.0; decade += 0.5)  // and in every single decade of them
    CHECK(spectrum_slope(spectrum, std::pow(10.0, decade), 1.0) == Approx(-1.0).margin(0.02));
}

TEST_CASE("The spectrum follows the exponent asked for", "[device][analytic]") {
  for (const double exponent : {0.6, 0.8, 1.2, 1.4}) {
    INFO("exponent " << exponent);
    const auto spectrum = make_spectrum({.exponent = exponent, .corner_low_hz = 1.0, .corner_high_hz = 1e13});
    CHECK(spectrum_slope(spectrum, std::pow(10.0, 4.5), 4.0) == Approx(-exponent).margin(0.02));
  }
}

TEST_CASE("The pure 1/f setting has a flat Allan variance", "[device][analytic]") {
  const auto spectrum = make_spectrum({.exponent = 1.0});
  double low = 1e300, high = 0.0;
  for (int k = 0; k <= 80; ++k) {  // 1 ns .. 10 us
    const double value = spectrum.allan_variance(1e-9 * std::pow(10.0, k / 20.0));
    low = std::min(low, value);
    high = std::max(high, value);
  }
  CHECK(high / low < 1.10);
  // Theory: S(f) = h / f has Allan variance 2 ln 2 h, and h = variance / ln(f_high / f_low) but for the ends.
  const double h = spectrum.density(1e7) * 1e7;
  CHECK(spectrum.allan_variance(1e-7) == Approx(2.0 * std::numbers::ln2 * h).epsilon(0.002));
}

TEST_CASE("The ripple of the sum stays within the documented bound", "[device][analytic]") {
  for (const int per_decade : {1, 2}) {
    const auto spectrum = make_spectrum({.corner_low_hz = 1.0, .corner_high_hz = 1e14, .corners_per_decade = per_decade});
    double low = 1e300, high = 0.0;
    for (int k = 0; k <= 200; ++k) {  // two decades in the middle, where the ends do not matter
      const double f = 1e6 * std::pow(10.0, k / 100.0);
      low = std::min(low, spectrum.density(f) * f);
      high = std::max(high, spectrum.density(f) * f);
    }
    const double ripple = 4.0 * std::exp(-std::numbers::pi * std::numbers::pi * per_decade / std::numbers::ln10);
    CHECK(0.5 * (high - low) / (0.5 * (high + low)) == Approx(ripple).epsilon(0.05));
  }
}

TEST_CASE("Scaling the amplitude scales every variance by the square", "[device][property]") {
  const auto spectrum = make_spectrum({.exponent = 0.7, .white_per_hz = 1e-9});
  const auto twice = spectrum.scaled(2.0);
  CHECK(twice.density(3e5) == Approx(4.0 * spectrum.density(3e5)).epsilon(1e-14));
  CHECK(twice.window_variance(1e-8) == Approx(4.0 * spectrum.window_variance(1e-8)).epsilon(1e-14));
}

TEST_CASE("Spectra refuse bad input by name", "[device][error]") {
  CHECK_THROWS_WITH(make_spectrum({.exponent = 2.5}), Catch::Contains("exponent = 2.5") && Catch::Contains("0 to 2"));
  CHECK_THROWS_WITH(make_spectrum({.corner_low_hz = 1e6, .corner_high_hz = 1e5}), Catch::Contains("corner_high_hz"));
  CHECK_THROWS_WITH(make_spectrum({.corners_per_decade = 0}), Catch::Contains("corners_per_decade"));
  CHECK_THROWS_WITH(make_spectrum({.variance = -1.0}), Catch::Contains("variance"));
  const auto spectrum = make_spectrum({});
  CHECK_THROWS_WITH(spectrum.window_variance(0.0), Catch::Contains("window_s"));
  CHECK_THROWS_WITH(spectrum.window_covariance(1e-8, 0.5e-8), Catch::Contains("overlap"));
  CHECK_THROWS_WITH(spectrum.mean_of_reads_variance(0, 1e-8, 1e-8), Catch::Contains("reads"));
  CHECK_THROWS_WITH(spectrum.density(-1.0), Catch::Contains("frequency_hz"));
  CHECK_THROWS_WITH((NoiseSpectrum{{{1e6, 1.0}, {0.0, 1.0}}, 0.0}.validate()), Catch::Contains("lorentzians[1].corner_hz"));
}
