#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "device/noise_trace.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

NoiseSpectrum single_lorentzian(double tau_s, double variance = 1.0) {
  return {{{1.0 / (2.0 * std::numbers::pi * tau_s), variance}}, 0.0};
}

/// Sample mean of the products of two zero-mean quantities, device by device, and whether it lies within five standard errors.
struct Product {
  double sum = 0.0, sum_of_squares = 0.0, count = 0.0;
  void add(double value) {
    sum += value;
    sum_of_squares += value * value;
    count += 1.0;
  }
  double mean() const { return sum / count; }
  double five_errors() const { return 5.0 * std::sqrt((sum_of_squares / count - mean() * mean()) / count); }
};
void check_mean(const Product& p, double expected) {
  CHECK(std::abs(p.mean() - expected) < p.five_errors());
  CHECK(p.five_errors() < 0.25 * std::abs(expected));  // the bound must be able to fail
}

TraceKey device_key(Index device, std::uint64_t event = 0) { return {21, 3, static_cast<std::uint64_t>(device), event}; }

}  // namespace

TEST_CASE("One exact step has the joint statistics of an Ornstein-Uhlenbeck process", "[device][statistics][analytic]") {
  const double tau = 1e-7;
  const auto spectrum = single_lorentzian(tau, 4.0);
  for (const double x : {0.05, 0.7, 3.0, 12.0}) {
    INFO("T / tau = " << x);
    const NoiseStep step(spectrum, x * tau);
    Product begin_average, average_average, average_end, end_end;
    for (Index device = 0; device < 20000; ++device) {
      NoiseTraceSampler sampler(spectrum, device_key(device));
      const double begin = sampler.value();
      const double average = sampler.advance(step);
      begin_average.add(begin * average);
      average_average.add(average * average);
      average_end.add(average * sampler.value());
      end_end.add(sampler.value() * sampler.value());
    }
    const double edge = 4.0 * (1.0 - std::exp(-x)) / x;
    check_mean(begin_average, edge);  // reversible: the same on both sides
    check_mean(average_end, edge);
    check_mean(average_average, 4.0 * 2.0 * (x - 1.0 + std::exp(-x)) / (x * x));
    check_mean(end_end, 4.0);
  }
}

TEST_CASE("Averaging short steps gives the same variance as one long step", "[device][statistics]") {
  const double tau = 1e-7, window = 2e-7;
  const auto spectrum = single_lorentzian(tau);
  Product squares;
  for (Index device = 0; device < 4000; ++device) {
    const Vector averages = noise_trace(spectrum, window / 40.0, 40, device_key(device)).average;
    const double whole = window_averages(averages, 40)(0);
    squares.add(whole * whole);
  }
  check_mean(squares, 2.0 * 0.5 * (1.0 - 0.5 * (1.0 - std::exp(-2.0))));  // 2 s^2 tau/T (1 - tau/T (1 - exp(-T/tau)))
}

TEST_CASE("Traces of a full spectrum have its window, Allan and lag statistics", "[device][statistics]") {
  const auto spectrum = make_spectrum({.exponent = 0.75, .white_per_hz = 3e-10});
  const double dt = 2e-9;
  Product window_1, window_16, allan_8, lag_1, values;
  for (Index device = 0; device < 12000; ++device) {
    const auto trace = noise_trace(spectrum, dt, 32, device_key(device));
    const Vector by_16 = window_averages(trace.average, 16), by_8 = window_averages(trace.average, 8);
    window_1.add(trace.average(31) * trace.average(31));
    window_16.add(by_16(1) * by_16(1));
    allan_8.add(0.5 * (by_8(1) - by_8(0)) * (by_8(1) - by_8(0)));
    lag_1.add(trace.average(4) * trace.average(5));
    values.add(trace.value(10) * trace.value(11));
  }
  check_mean(window_1, spectrum.window_variance(dt));
  check_mean(window_16, spectrum.window_variance(16 * dt));
  check_mean(allan_8, spectrum.allan_variance(8 * dt));
  check_mean(lag_1, spectrum.window_covariance(dt, dt));
  check_mean(values, spectrum.autocovariance(dt));
}

TEST_CASE("The mean of 256 successive reads keeps most of its variance, as 1/f predicts", "[device][statistics]") {
  const auto spectrum = make_spectrum({.exponent = 1.0});
  const double window = 36e-9;  // the read length at which 3.47 falls to 1.53; elsewhere the ratio moves by its logarithm only
  const double one = spectrum.window_variance(window), mean_256 = spectrum.mean_of_reads_variance(256, window, window);
  CHECK(one / mean_256 == Approx(3.47 / 1.53).epsilon(0.01));
  CHECK(one / mean_256 < 256.0 / 50.0);                        // white noise would fall 256 times
  Product single_read, mean_read;
  for (Index device = 0; device < 2000; ++device) {
    const Vector reads = noise_trace(spectrum, window, 256, device_key(device)).average;
    single_read.add(reads(0) * reads(0));
    mean_read.add(reads.mean() * reads.mean());
  }
  check_mean(single_read, one);
  check_mean(mean_read, mean_256);
  CHECK(mean_read.mean() > 50.0 * single_read.mean() / 256.0);
}

TEST_CASE("Reads with gaps between them have the closed form's variance of the mean", "[device][statistics]") {
  const auto spectrum = make_spectrum({.exponent = 1.0, .white_per_hz = 2e-10});
  const double window = 1e-8, period = 1e-6;
  const NoiseStep read(spectrum, window), gap(spectrum, period - window);
  Product mean_square;
  for (Index device = 0; device < 4000; ++device) {
    NoiseTraceSampler sampler(spectrum, device_key(device));
    double sum = 0.0;
    for (int k = 0; k < 8; ++k) {
      sum += sampler.advance(read);
      sampler.advance(gap);
    }
    mean_square.add(sum * sum / 64.0);
  }
  check_mean(mean_square, spectrum.mean_of_reads_variance(8, window, period));
}

TEST_CASE("A trace depends on its key alone", "[device][property]") {
  const auto spectrum = make_spectrum({.white_per_hz = 1e-10});
  const auto trace_of = [&](Index device) { return noise_trace(spectrum, 1e-9, 50, device_key(device)).average; };
  std::vector<Vector> alone(12), threaded(12);
  for (Index device = 11; device >= 0; --device) alone[static_cast<std::size_t>(device)] = trace_of(device);
  parallel_for(12, 4, [&](Index device, int) { threaded[static_cast<std::size_t>(device)] = trace_of(device); });
  CHECK(alone == threaded);
  CHECK(alone[0] != alone[1]);
  CHECK(noise_trace(spectrum, 1e-9, 50, device_key(0, 1)).average != alone[0]);  // another event, another trace
  CHECK(noise_trace(spectrum, 1e-9, 20, device_key(0)).average == alone[0].head(20));
}

TEST_CASE("Different devices and different events of a device are independent", "[device][statistics]") {
  const auto spectrum = single_lorentzian(1e-6);
  Product neighbours, events;
  for (Index device = 0; device < 20000; ++device) {
    const double here = NoiseTraceSampler(spectrum, device_key(device)).value();
    neighbours.add(here * NoiseTraceSampler(spectrum, device_key(device + 1)).value());
    events.add(here * NoiseTraceSampler(spectrum, device_key(device, 1)).value());
  }
  CHECK(std::abs(neighbours.mean()) < neighbours.five_errors());
  CHECK(std::abs(events.mean()) < events.five_errors());
}

TEST_CASE("Window averages leave an unfilled rest out", "[device][analytic]") {
  const Vector steps = (Vector(7) << 1, 2, 3, 4, 5, 6, 100).finished();
  CHECK(window_averages(steps, 3) == (Vector(2) << 2, 5).finished());
  CHECK(window_averages(steps, 8).size() == 0);
}

TEST_CASE("Traces refuse bad input by name", "[device][error]") {
  const auto spectrum = make_spectrum({});
  CHECK_THROWS_WITH(NoiseStep(spectrum, 0.0), Catch::Contains("step_s = 0"));
  CHECK_THROWS_WITH(noise_trace(spectrum, 1e-9, -1, {}), Catch::Contains("count"));
  CHECK_THROWS_WITH(window_averages(Vector::Zero(3), 0), Catch::Contains("steps_per_window"));
  NoiseTraceSampler sampler(spectrum, {});
  CHECK_THROWS_WITH(sampler.advance(NoiseStep(single_lorentzian(1e-6), 1e-9)), Catch::Contains("different spectra"));
}
