#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "device/nanosecond_noise.hpp"

using namespace crosstile;
using device::NanosecondReadNoise;

TEST_CASE("Nanosecond read noise has its known values at 1, 10, 100 ns and 1 us", "[device][kat]") {
  const NanosecondReadNoise noise;
  struct Row {
    double t_s, a, b_siemens;  // the quartics at x = 0, 1, 2, 3, summed by hand
  };
  for (const Row& row : {Row{1e-9, 0.02578764, 117.763144e-9}, Row{10e-9, 0.01607462, 72.79002023e-9},
                         Row{100e-9, 0.0113044, 50.3721666e-9}, Row{1e-6, 0.00812922, 36.28119739e-9}}) {
    INFO("T = " << row.t_s);
    CHECK(noise.slope(row.t_s) == Approx(row.a).epsilon(1e-10));
    CHECK(noise.offset_siemens(row.t_s) == Approx(row.b_siemens).epsilon(1e-9));
    CHECK(noise.sigma_siemens(25e-6, row.t_s) == Approx(row.a * 25e-6 + row.b_siemens).epsilon(1e-9));
    CHECK(noise.sigma_siemens(0.0, row.t_s) == Approx(row.b_siemens).epsilon(1e-9));
  }
}

TEST_CASE("Averaging reduces nanosecond read noise, but as T^-0.18 and not as white noise", "[device][property]") {
  const NanosecondReadNoise noise;
  double before = 1.0;
  for (int k = 0; k <= 60; ++k) {
    const double sigma = noise.sigma_siemens(10e-6, 1e-9 * std::pow(10.0, k / 20.0));
    CHECK(sigma < before);
    before = sigma;
  }
  const double power = std::log(noise.slope(100e-9) / noise.slope(1e-9)) / std::log(100.0);
  CHECK(power == Approx(-0.18).margin(0.005));
}

TEST_CASE("Nanosecond read noise is one process in (G + 4.5 uS)", "[device][property]") {
  const NanosecondReadNoise noise;
  for (int k = 0; k <= 60; ++k) {
    const double t_s = 1e-9 * std::pow(10.0, k / 20.0);
    const double ratio = noise.offset_siemens(t_s) / noise.slope(t_s);
    CHECK(ratio > 4.4e-6);
    CHECK(ratio < 4.6e-6);
  }
  CHECK(device::offset_conductance_siemens(noise) == Approx(4.494e-6).margin(0.001e-6));
}

TEST_CASE("Integration times outside the published range are refused, not clamped", "[device][error]") {
  const NanosecondReadNoise noise;
  for (const double t_s : {0.0, 0.99e-9, 1.01e-6, 1.0, -1e-9, std::numeric_limits<double>::quiet_NaN()}) {
    INFO("T = " << t_s);
    CHECK_THROWS_WITH(noise.slope(t_s), Catch::Contains("integration time") && Catch::Contains("1e-09 to 1e-06"));
    CHECK_THROWS_AS(noise.offset_siemens(t_s), Error);
    CHECK_THROWS_AS(noise.sigma_siemens(1e-6, t_s), Error);
  }
  CHECK_NOTHROW(noise.slope(1000 * 1e-9));  // 1.0000000000000002e-06: 1 us to rounding
  CHECK_THROWS_WITH(noise.sigma_siemens(-1e-6, 1e-8), Catch::Contains("g_siemens = -1e-06"));
}
