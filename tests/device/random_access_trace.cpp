#include "device/random_access_trace.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/error.hpp"
#include "mean_check.hpp"
#include "core/parallel.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

NoiseSpectrum lorentzian_of(double tau_s, double variance) {
  return {{{1.0 / (2.0 * std::numbers::pi * tau_s), variance}}, 0.0};
}

TraceKey cell_key(Index device, std::uint64_t event = 0) { return {31, 2, static_cast<std::uint64_t>(device), event}; }

}  // namespace

TEST_CASE("Windows anywhere on a trace have the closed form's variances and covariances", "[device][statistics]") {
  // Times in ticks of 1 ps; the far pair begins two days after the begin of the trace.
  const auto spectrum = make_spectrum({.exponent = 0.75, .white_per_hz = 3e-10});
  const RandomAccessNoise noise(spectrum);
  constexpr Tick kNs = 1000, kTwoDays = Tick{172800} * 1'000'000'000'000 + 777;
  test::MeanCheck near, wide, adjacent, apart, uneven;
  for (Index device = 0; device < 4000; ++device) {
    const auto key = cell_key(device);
    const double a = noise.average(key, 130 * kNs, 131 * kNs), b = noise.average(key, 131 * kNs, 132 * kNs);
    near.add(a * a);
    adjacent.add(a * b);
    const double early = noise.average(key, kTwoDays, kTwoDays + 127 * kNs);
    const double late = noise.average(key, kTwoDays + 1258 * kNs, kTwoDays + 1385 * kNs);
    wide.add(early * early);
    apart.add(early * late);
    uneven.add(early * noise.average(key, kTwoDays + 127 * kNs, kTwoDays + 254 * kNs));
  }
  near.check(spectrum.window_variance(1e-9));
  adjacent.check(spectrum.window_covariance(1e-9, 1e-9));
  wide.check(spectrum.window_variance(127e-9));
  apart.check(spectrum.window_covariance(127e-9, 1258e-9));
  uneven.check(spectrum.window_covariance(127e-9, 127e-9));
}

TEST_CASE("Values and averages of one process have the joint moments of Ornstein and Uhlenbeck", "[device][statistics][analytic]") {
  const double tau = 3.3e-8;
  const NoiseSpectrum spectrum = lorentzian_of(tau, 4.0);
  const RandomAccessNoise noise(spectrum, {.tick_s = 1e-11, .root_s = 1e-7});
  for (const Tick length : {Tick{300}, Tick{5000}, Tick{200000}}) {  // T / tau = 0.09, 1.5, 61: beyond the root too
    const double x = static_cast<double>(length) * 1e-11 / tau;
    INFO("T / tau = " << x);
    test::MeanCheck begin_average, average_end, average_average, begin_end;
    for (Index device = 0; device < 4000; ++device) {
      const auto key = cell_key(device);
      const Tick begin = 12345;
      const double v = noise.value(key, begin), w = noise.value(key, begin + length), m = noise.average(key, begin, begin + length);
      begin_average.add(v * m);
      average_end.add(m * w);
      average_average.add(m * m);
      begin_end.add(v * w);
    }
    const double edge = 4.0 * (1.0 - std::exp(-x)) / x;
    if (x < 10.0) begin_average.check(edge), average_end.check(edge);
    if (x < 1.0) begin_end.check(4.0 * std::exp(-x));
    average_average.check(4.0 * 2.0 * (x - 1.0 + std::exp(-x)) / (x * x));
  }
}

TEST_CASE("The average of a window is that of its parts, and does not depend on what else was asked", "[device][property]") {
  const RandomAccessNoise noise(make_spectrum({.exponent = 0.75, .white_per_hz = 1e-10}));
  const auto key = cell_key(5);
  const std::vector<Tick> edges{1'000'000, 1'000'001, 1'003'000, 1'129'517, 2'500'000, 9'000'003};
  const Vector parts = noise.averages(key, edges);
  double sum = 0.0;
  for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
    CHECK(noise.average(key, edges[k], edges[k + 1]) == Approx(parts(static_cast<Index>(k))).epsilon(1e-9));
    sum += parts(static_cast<Index>(k)) * static_cast<double>(edges[k + 1] - edges[k]);
  }
  CHECK(noise.average(key, edges.front(), edges.back()) == Approx(sum / static_cast<double>(edges.back() - edges.front())).epsilon(1e-9));
  const Vector reads = noise.reads(key, {.first = 1'000'000, .window = 127'000, .period = 258'000, .count = 3});
  for (Index k = 0; k < 3; ++k) {
    const Tick begin = 1'000'000 + k * 258'000;
    CHECK(reads(k) == Approx(noise.average(key, begin, begin + 127'000)).epsilon(1e-12));
  }
  const Vector rare = noise.reads(key, {.first = 0, .window = 127'000, .period = 1'000'000'000'000, .count = 3});  // one a second
  CHECK(rare(2) == noise.average(key, 2'000'000'000'000, 2'000'000'127'000));
}

TEST_CASE("Short windows approach the value of the trace", "[device][analytic]") {
  const RandomAccessNoise noise(lorentzian_of(1e-6, 1.0));
  for (const Tick at : {Tick{0}, Tick{1}, Tick{4096}, Tick{123'456'789}, (Tick{1} << 50) + 11}) {
    const double value = noise.value(cell_key(3), at);
    CHECK(std::abs(noise.average(cell_key(3), at, at + 1) - value) < 5.0 * std::sqrt(2.0 * 1e-6));  // one tick is 1e-6 tau
    CHECK(noise.value(cell_key(3), at + 2'000'000'000) != value);
  }
}

TEST_CASE("Different cells and events have traces of their own; threads change nothing", "[device][property]") {
  const RandomAccessNoise noise(make_spectrum({.white_per_hz = 1e-10}));
  const auto window_of = [&](Index device) { return noise.average(cell_key(device), 7'000'000, 7'127'000); };
  std::vector<double> alone(12), threaded(12);
  for (Index device = 11; device >= 0; --device) alone[static_cast<std::size_t>(device)] = window_of(device);
  parallel_for(12, 4, [&](Index device, int) { threaded[static_cast<std::size_t>(device)] = window_of(device); });
  CHECK(alone == threaded);
  CHECK(alone[0] != alone[1]);
  CHECK(noise.average(cell_key(0, 1), 7'000'000, 7'127'000) != alone[0]);
}

TEST_CASE("The mean of 256 reads of one cell falls as 1/f predicts, not as white noise", "[device][statistics]") {
  const auto spectrum = make_spectrum({.exponent = 1.0});
  const RandomAccessNoise noise(spectrum, {.tick_s = 1e-9, .root_s = 1e-6});
  test::MeanCheck mean_read;
  for (Index device = 0; device < 800; ++device) {
    const double mean = noise.reads(cell_key(device), {.first = 36 * device, .window = 36, .period = 36, .count = 256}).mean();
    mean_read.add(mean * mean);
  }
  mean_read.check(spectrum.mean_of_reads_variance(256, 36e-9, 36e-9));
}

TEST_CASE("Random-access traces refuse bad input by name", "[device][error]") {
  const auto spectrum = make_spectrum({});
  CHECK_THROWS_WITH(RandomAccessNoise(spectrum, {.tick_s = 0.0}), Catch::Contains("tick_s = 0"));
  CHECK_THROWS_WITH(RandomAccessNoise(spectrum, {.root_s = 1e-13}), Catch::Contains("root_s = 1e-13"));
  const RandomAccessNoise noise(spectrum);
  CHECK_THROWS_WITH(noise.average({}, 5, 5), Catch::Contains("must rise"));
  CHECK_THROWS_WITH(noise.average({}, -1, 5), Catch::Contains("0 and 2^62"));
  CHECK_THROWS_WITH(noise.reads({}, {.window = 10, .period = 9}), Catch::Contains("period (ticks) = 9"));
  CHECK_THROWS_WITH(noise.tick(-1.0), Catch::Contains("t_s of a noise trace = -1"));
  CHECK_THROWS_WITH(noise.value({}, -1), Catch::Contains("0 and 2^62"));
}
