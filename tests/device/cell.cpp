#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "device/cell.hpp"

using namespace crosstile;
using device::cell_point;
using device::CellPoint;

namespace {

data::CellSpec cell_of(data::CellLaw law, double v_h_volt = 0.25) {
  data::CellSpec cell;
  cell.law = law;
  cell.v_h_volt = v_h_volt;
  return cell;
}

struct Case {
  data::CellSpec cell;
  data::SelectorSpec selector;
  double g_siemens;
  double v_volt;
};

/// Both laws, with and without on-resistance, conductances of 1 nS to 1 mS and voltages of +-1 V.
std::vector<Case> random_cases(Index count) {
  std::vector<Case> cases;
  for (Index n = 0; n < count; ++n) {
    const auto u = random_uniform4({11, Stream::test, 0}, static_cast<std::uint64_t>(n), 0);
    const auto w = random_uniform4({11, Stream::test, 0}, static_cast<std::uint64_t>(n), 1);
    Case c;
    c.cell = cell_of(u[0] < 0.3 ? data::CellLaw::ohmic : data::CellLaw::sinh, 0.02 + 0.5 * u[1]);
    c.selector.r_on_ohm = u[2] < 0.25 ? 0.0 : std::pow(10.0, 6.0 * w[0]);
    c.g_siemens = std::pow(10.0, -9.0 + 6.0 * u[3]);
    c.v_volt = 2.0 * w[1] - 1.0;
    cases.push_back(c);
  }
  return cases;
}

CellPoint at(const Case& c, double v_volt) { return cell_point(c.cell, c.selector, c.g_siemens, v_volt); }

}  // namespace

TEST_CASE("An ohmic cell and its on-resistance divide the voltage as two resistors", "[device][analytic]") {
  const auto p = cell_point(cell_of(data::CellLaw::ohmic), {1000.0}, 25e-6, 0.2);
  CHECK(p.current_ampere == Approx(0.2 / (40e3 + 1000.0)).epsilon(1e-15));
  CHECK(p.conductance_siemens == Approx(1.0 / 41e3).epsilon(1e-15));
}

TEST_CASE("A sinh cell without on-resistance is its closed form", "[device][analytic]") {
  const auto p = cell_point(cell_of(data::CellLaw::sinh, 0.25), {0.0}, 10e-6, 0.5);
  CHECK(p.current_ampere == Approx(10e-6 * 0.25 * 3.6268604078470188).epsilon(1e-15));  // sinh 2
  CHECK(p.conductance_siemens == Approx(10e-6 * 3.7621956910836314).epsilon(1e-15));    // cosh 2
}

TEST_CASE("The sinh cell with on-resistance hits points computed backwards from the inner voltage", "[device][analytic]") {
  // v follows in closed form from the voltage inside the device, so the answer is known without solving anything.
  for (const double y : {1e-9, 1e-3, 0.3, 1.0, 3.0, 10.0, 30.0}) {
    for (const double a : {1e-12, 1e-3, 1.0, 1e3, 1e9}) {
      const double g = 1e-5, v_h = 0.25, r_on = a / g;
      const double current = g * v_h * std::sinh(y);
      const double slope = g * std::cosh(y);
      const auto p = cell_point(cell_of(data::CellLaw::sinh, v_h), {r_on}, g, y * v_h + r_on * current);
      INFO("y = " << y << ", a = " << a);
      CHECK(p.current_ampere == Approx(current).epsilon(2e-14));
      CHECK(p.conductance_siemens == Approx(slope / (1.0 + slope * r_on)).epsilon(2e-14));
    }
  }
}

TEST_CASE("Device and on-resistance together take up the applied voltage", "[device][property]") {
  for (const auto& c : random_cases(2000)) {
    if (c.cell.law == data::CellLaw::ohmic) continue;
    const double i = at(c, c.v_volt).current_ampere;
    const double v_c = c.cell.v_h_volt * std::asinh(i / (c.g_siemens * c.cell.v_h_volt));
    CHECK(std::abs(v_c + i * c.selector.r_on_ohm - c.v_volt) <= 1e-15 + 1e-14 * std::abs(c.v_volt));
  }
}

TEST_CASE("The differential conductance is the slope of the current", "[device][property]") {
  int exact = 0, cases = 0;
  for (const auto& c : random_cases(500)) {
    const double h = 1e-5 * c.cell.v_h_volt;
    const double slope = (at(c, c.v_volt + h).current_ampere - at(c, c.v_volt - h).current_ampere) / (2.0 * h);
    const double g = at(c, c.v_volt).conductance_siemens;
    // h^2/6 truncation of the central difference is 2e-11, rounding eps |v| / h at most 1e-9 of the current.
    CHECK(slope == Approx(g).epsilon(1e-8));
    cases += 1;
    exact += slope == g ? 1 : 0;
  }
  CHECK(exact < cases / 2);  // the conductance is not itself a difference quotient
}

TEST_CASE("The cell current is odd and strictly increasing in the voltage", "[device][property]") {
  for (const auto& c : random_cases(500)) {
    const auto plus = at(c, c.v_volt), minus = at(c, -c.v_volt);
    CHECK(plus.current_ampere == -minus.current_ampere);
    CHECK(plus.conductance_siemens == minus.conductance_siemens);
    CHECK(plus.conductance_siemens > 0.0);
    CHECK(at(c, c.v_volt + 1e-9).current_ampere > plus.current_ampere);
    if (c.selector.r_on_ohm > 0.0) CHECK(plus.conductance_siemens < 1.0 / c.selector.r_on_ohm);
  }
}

TEST_CASE("A sinh cell at low voltage is the ohmic cell", "[device][property]") {
  for (const auto& c : random_cases(500)) {
    const double v = 1e-5 * c.cell.v_h_volt;
    const auto ohmic = cell_point(cell_of(data::CellLaw::ohmic), c.selector, c.g_siemens, v);
    CHECK(at(c, v).current_ampere == Approx(ohmic.current_ampere).epsilon(1e-10));
    CHECK(at(c, 0.0).current_ampere == 0.0);
  }
}

TEST_CASE("A cell without conductance is open", "[device][analytic]") {
  for (const auto law : {data::CellLaw::ohmic, data::CellLaw::sinh}) {
    const auto p = cell_point(cell_of(law), {1000.0}, 0.0, 0.7);
    CHECK(p.current_ampere == 0.0);
    CHECK(p.conductance_siemens == 0.0);
  }
}

TEST_CASE("A sinh cell far above its voltage scale is limited by the on-resistance", "[device][analytic]") {
  const auto p = cell_point(cell_of(data::CellLaw::sinh, 1e-3), {1000.0}, 1e-6, 5.0);  // 5000 v_h: sinh would overflow
  CHECK(std::isfinite(p.current_ampere));
  CHECK(p.current_ampere == Approx(5e-3).epsilon(0.01));
  CHECK(p.conductance_siemens == Approx(1e-3).epsilon(0.01));
}

TEST_CASE("A cell refuses negative and non-finite parameters by name", "[device][error]") {
  const auto ohmic = cell_of(data::CellLaw::ohmic);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(cell_point(ohmic, {0.0}, -1e-6, 0.1), Catch::Contains("cell conductance"));
  CHECK_THROWS_WITH(cell_point(ohmic, {0.0}, nan, 0.1), Catch::Contains("cell conductance"));
  CHECK_THROWS_WITH(cell_point(ohmic, {-5.0}, 1e-6, 0.1), Catch::Contains("r_on_ohm = -5"));
  CHECK_THROWS_WITH(cell_point(cell_of(data::CellLaw::sinh, 0.0), {0.0}, 1e-6, 0.1), Catch::Contains("v_h_volt = 0"));
}
