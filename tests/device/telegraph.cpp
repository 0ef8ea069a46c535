#include "device/telegraph.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "mean_check.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

TraceKey trap_key(Index device) { return {41, 1, static_cast<std::uint64_t>(device), 0}; }

}  // namespace

TEST_CASE("A trap has the occupation and the autocovariance of its Lorentzian", "[device][statistics][analytic]") {
  const Trap trap{.corner_hz = 2e3, .occupation = 0.3, .amplitude = 0.5};
  const double tau = trap.lorentzian().tau_s(), begin = 0.37;
  CHECK(trap.lorentzian().variance == Approx(0.25 * 0.21).epsilon(1e-14));
  const NoiseSpectrum spectrum{{trap.lorentzian()}, 0.0};
  test::MeanCheck occupied, lag, window, windows_apart;
  for (Index device = 0; device < 20000; ++device) {
    const auto key = trap_key(device);
    const double now = trap_state(trap, key, 0, begin), later = trap_state(trap, key, 0, begin + 0.7 * tau);
    occupied.add(now);
    lag.add((now - 0.3) * (later - 0.3));
    const double first = trap_average(trap, key, 0, begin, begin + 2.0 * tau) - trap.mean();
    window.add(first * first);
    windows_apart.add(first * (trap_average(trap, key, 0, begin + 2.5 * tau, begin + 4.5 * tau) - trap.mean()));
  }
  occupied.check(0.3);
  lag.check(0.21 * std::exp(-0.7));
  window.check(spectrum.window_variance(2.0 * tau));
  windows_apart.check(spectrum.window_covariance(2.0 * tau, 2.5 * tau));
}

TEST_CASE("The average of a telegraph window is that of its parts and agrees with its states", "[device][property]") {
  const Trap trap{.corner_hz = 1e5, .occupation = 0.6, .amplitude = -0.1};
  const auto key = trap_key(3);
  const double begin = 1.5e-3, middle = 1.5041e-3, end = 1.52e-3;
  const double parts = trap_average(trap, key, 2, begin, middle) * (middle - begin) + trap_average(trap, key, 2, middle, end) * (end - middle);
  CHECK(trap_average(trap, key, 2, begin, end) == Approx(parts / (end - begin)).epsilon(1e-10));
  constexpr int kPoints = 20000;  // a midpoint sum over the states
  double sum = 0.0;
  for (int k = 0; k < kPoints; ++k) sum += trap_state(trap, key, 2, begin + (k + 0.5) / kPoints * (end - begin));
  const double switches = (end - begin) * 2.0 * std::numbers::pi * trap.corner_hz;  // at most so many, on average
  CHECK(std::abs(trap.amplitude * sum / kPoints - trap_average(trap, key, 2, begin, end)) < 0.1 * (3.0 * switches + 5.0) / kPoints);
  CHECK(trap_average(trap, key, 3, begin, end) != trap_average(trap, key, 2, begin, end));
}

TEST_CASE("A trap that is always or never full does not fluctuate", "[device][analytic]") {
  for (const double occupation : {0.0, 1.0}) {
    const Trap trap{.corner_hz = 1e6, .occupation = occupation, .amplitude = 0.25};
    CHECK(trap_average(trap, trap_key(1), 0, 0.0, 1e-5) == Approx(0.25 * occupation).margin(1e-15));
  }
}

TEST_CASE("A population of traps has the number and the amplitudes of its model", "[device][statistics]") {
  const TelegraphModel model{.traps_per_device = 1.5, .corner_low_hz = 10.0, .corner_high_hz = 1e5, .relative_amplitude = 0.02};
  test::MeanCheck number, size, decades;
  for (Index device = 0; device < 5000; ++device) {
    const auto traps = device_traps(model, trap_key(device));
    number.add(static_cast<double>(traps.size()));
    for (const Trap& trap : traps) {
      size.add(std::abs(trap.amplitude));
      decades.add(std::log10(trap.corner_hz));
    }
  }
  number.check(1.5);
  size.check(0.02);
  decades.check(3.0);
  CHECK(device_traps({}, trap_key(0)).empty());
  const auto traps = device_traps(model, trap_key(8));
  CHECK(telegraph_average(traps, trap_key(8), 0.1, 0.2) == telegraph_average(device_traps(model, trap_key(8)), trap_key(8), 0.1, 0.2));
}

TEST_CASE("Telegraph noise refuses bad input by name", "[device][error]") {
  CHECK_THROWS_WITH(trap_state({.corner_hz = 0.0}, {}, 0, 1.0), Catch::Contains("corner_hz = 0"));
  CHECK_THROWS_WITH(trap_state({.occupation = 1.1}, {}, 0, 1.0), Catch::Contains("occupation = 1.1"));
  CHECK_THROWS_WITH(trap_state({}, {}, 0, -1.0), Catch::Contains("time of telegraph noise (s) = -1"));
  CHECK_THROWS_WITH(trap_average({}, {}, 0, 1.0, 1.0), Catch::Contains("end of a telegraph window"));
  CHECK_THROWS_WITH(device_traps({.traps_per_device = -1.0}, {}), Catch::Contains("traps_per_device = -1"));
}
