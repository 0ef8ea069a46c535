#include "device/noise_estimates.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "core/random.hpp"
#include "device/random_access_trace.hpp"

using namespace crosstile;
using namespace crosstile::device;

TEST_CASE("Welch's method gives a sine its power and white noise its level", "[device][analytic]") {
  constexpr Index kLength = 4096, kSegment = 512;
  Vector sine(kLength);
  for (Index n = 0; n < kLength; ++n) sine(n) = 3.0 * std::sin(2.0 * std::numbers::pi * 40.0 / kSegment * static_cast<double>(n) + 0.3);
  const auto density = welch_density(sine, 1e-3, kSegment);
  CHECK(density.segments == 15);
  CHECK(density.frequency_hz(39) == Approx(40.0 / (kSegment * 1e-3)));
  CHECK(density.per_hz.sum() / (kSegment * 1e-3) == Approx(4.5).epsilon(1e-10));  // amplitude^2 / 2

  const Vector white = random_normal_matrix({3, Stream::test, 0}, 1, 65536).row(0);
  const auto level = welch_density(white, 1e-3, 256);
  CHECK(level.per_hz.mean() == Approx(2e-3).epsilon(0.03));  // variance spread over 0 .. 500 Hz
}

TEST_CASE("The density of averages integrates to their variance and tends to the spectrum at low frequency", "[device][analytic]") {
  const auto spectrum = make_spectrum({.exponent = 0.8, .white_per_hz = 2e-10});
  const double step = 5e-9;
  double sum = 0.0;
  constexpr int kPoints = 200000;
  for (int k = 0; k < kPoints; ++k) {  // u^3 spreads the points towards 0, where the density rises
    const double u = (k + 0.5) / kPoints;
    sum += averaged_density(spectrum, 0.5 / step * u * u * u, step) * 0.5 / step * 3.0 * u * u / kPoints;
  }
  CHECK(sum == Approx(spectrum.window_variance(step)).epsilon(1e-4));
  CHECK(averaged_density(spectrum, 1e5, step) == Approx(spectrum.density(1e5)).epsilon(1e-3));
  CHECK(averaged_density(spectrum, 9e7, step) > 1.05 * spectrum.density(9e7) * std::pow(std::sin(1.4137) / 1.4137, 2));  // aliases
}

TEST_CASE("Measured density and Allan variance of a 1/f trace: slope -1 over four decades, flat within 10 percent",
          "[device][statistics]") {
  // Three rates of reading cover 1e4 .. 2e8 Hz; a bin's scatter is 1 / sqrt(segments * devices), averaged further over bands.
  const auto spectrum = make_spectrum({.exponent = 1.0});
  std::vector<double> frequency, measured;
  constexpr Index kSegment = 256, kCount = 1024;
  for (const double step : {1e-9, 1e-7, 1e-6}) {
    const RandomAccessNoise noise(spectrum, {.tick_s = step, .root_s = 1024.0 * step});
    Vector per_hz = Vector::Zero(kSegment / 2 - 1), at;
    constexpr Index kDevices = 60;
    for (Index device = 0; device < kDevices; ++device) {
      const Vector reads = noise.reads({7, 0, static_cast<std::uint64_t>(device), 0}, {.first = 0, .window = 1, .period = 1, .count = kCount});
      const auto density = welch_density(reads, step, kSegment);
      per_hz += density.per_hz / kDevices;
      at = density.frequency_hz;
    }
    for (Index low = 2; low < 100; low = low * 3 / 2 + 1) {  // bands of rising width; each against the closed form of averages
      const Index high = std::min<Index>(low * 3 / 2 + 1, per_hz.size());
      double ratio = 0.0, centre = 0.0;
      for (Index k = low; k < high; ++k) {
        ratio += per_hz(k) / averaged_density(spectrum, at(k), step) / static_cast<double>(high - low);
        centre += std::log(at(k)) / static_cast<double>(high - low);
      }
      CHECK(ratio == Approx(1.0).margin(5.0 / std::sqrt(7.0 * kDevices * static_cast<double>(high - low) / 1.8)));
      frequency.push_back(std::exp(centre));
      measured.push_back(ratio * spectrum.density(std::exp(centre)));  // averaging and aliases taken out
    }
  }
  const auto count = static_cast<Index>(frequency.size());
  const Vector x = Eigen::Map<Vector>(frequency.data(), count), y = Eigen::Map<Vector>(measured.data(), count);
  CHECK(x.maxCoeff() / x.minCoeff() > 1e4);
  CHECK(log_log_slope(x, y) == Approx(-1.0).margin(0.02));
}

TEST_CASE("The estimated Allan variance has the closed form's mean", "[device][statistics]") {
  const auto spectrum = make_spectrum({.exponent = 1.0});
  const RandomAccessNoise noise(spectrum, {.tick_s = 1e-9, .root_s = 1e-6});
  for (const Index samples : {1, 8, 64}) {
    double sum = 0.0, squares = 0.0;
    constexpr Index kDevices = 200;
    for (Index device = 0; device < kDevices; ++device) {
      const double a =
          allan_variance(noise.reads({9, 0, static_cast<std::uint64_t>(device), 0}, {.first = 0, .window = 1, .period = 1, .count = 256}), samples);
      sum += a / kDevices;
      squares += a * a / kDevices;
    }
    const double expected = spectrum.allan_variance(static_cast<double>(samples) * 1e-9);
    CHECK(std::abs(sum - expected) < 5.0 * std::sqrt((squares - sum * sum) / kDevices));
    CHECK(expected == Approx(spectrum.allan_variance(1e-8)).epsilon(0.1));  // flat
  }
  CHECK(allan_variance((Vector(4) << 1, 2, 4, 8).finished(), 1) == Approx((1.0 + 4.0 + 16.0) / 6.0));
  CHECK(allan_variance((Vector(4) << 1, 2, 4, 8).finished(), 2) == Approx(0.5 * 4.5 * 4.5));
}

TEST_CASE("Estimates of noise refuse bad input by name", "[device][error]") {
  CHECK_THROWS_WITH(welch_density(Vector::Zero(100), 1.0, 7), Catch::Contains("segment"));
  CHECK_THROWS_WITH(welch_density(Vector::Zero(100), 1.0, 128), Catch::Contains("segment") && Catch::Contains("128"));
  CHECK_THROWS_WITH(welch_density(Vector::Zero(100), 1.0, 33), Catch::Contains("even"));
  CHECK_THROWS_WITH(welch_density(Vector::Zero(100), 0.0, 32), Catch::Contains("step_s = 0"));
  CHECK_THROWS_WITH(allan_variance(Vector::Zero(3), 2), Catch::Contains("Allan variance = 2"));
  CHECK_THROWS_WITH(averaged_density(make_spectrum({}), 1e9, 1e-9), Catch::Contains("frequency_hz"));
  CHECK_THROWS_WITH(log_log_slope(Vector::Ones(2), Vector::Zero(2)), Catch::Contains("y of a log-log slope = 0"));
}
