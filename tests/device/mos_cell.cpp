#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "device/cell.hpp"

using namespace crosstile;
using device::cell_branch;
using device::cell_point;
using device::CellModel;

namespace {

data::SelectorSpec transistor() {
  data::SelectorSpec selector;
  selector.kind = data::SelectorKind::mos;
  return selector;
}

data::CellSpec law_of(data::CellLaw law, double v_h_volt = 0.1) {
  data::CellSpec cell;
  cell.law = law;
  cell.v_h_volt = v_h_volt;
  return cell;
}

struct MosCase {
  data::CellSpec cell;
  data::SelectorSpec selector;
  double g_siemens, v_row_volt, v_column_volt, gate_volt;
};

/// Both laws, transistors from far below threshold to 2 V above it, conductances of 10 nS to 1 mS, voltages of both signs.
std::vector<MosCase> random_mos_cases(Index count) {
  std::vector<MosCase> cases;
  for (Index n = 0; n < count; ++n) {
    const auto u = random_uniform4({12, Stream::test, 0}, static_cast<std::uint64_t>(n), 0);
    const auto w = random_uniform4({12, Stream::test, 0}, static_cast<std::uint64_t>(n), 1);
    MosCase c;
    c.cell = law_of(n % 2 == 0 ? data::CellLaw::ohmic : data::CellLaw::sinh, 0.04 + 0.3 * u[0]);
    c.selector = transistor();
    c.selector.threshold_volt = 0.2 + 0.4 * u[1];
    c.selector.slope_factor = 1.0 + 0.6 * u[2];
    c.selector.temperature_kelvin = 250.0 + 100.0 * u[3];
    c.selector.beta_ampere_per_volt2 = 1e-3 * std::pow(10.0, 2.0 * w[0] - 1.0);
    c.g_siemens = std::pow(10.0, -8.0 + 5.0 * w[1]);
    c.v_row_volt = 0.8 * w[2] - 0.4;
    c.v_column_volt = 0.2 * w[3] - 0.1;
    c.gate_volt = n % 5 == 0 ? 0.1 : 0.6 + 1.8 * u[0];
    cases.push_back(c);
  }
  return cases;
}

device::CellBranch at(const MosCase& c, double row_step = 0.0, double column_step = 0.0) {
  return cell_branch(c.cell, c.selector, c.g_siemens, c.v_row_volt + row_step, c.v_column_volt + column_step, c.gate_volt);
}

/// The law as written in docs/theory.md, in long double, solved by bisection on the inner node.
long double by_hand(const MosCase& c) {
  const long double phi = 1.380649e-23L / 1.602176634e-19L * c.selector.temperature_kelvin;
  const long double n = c.selector.slope_factor;
  const auto f = [&](long double v) {
    const long double u = v / (2 * phi);
    const long double l = u > 40 ? u + std::exp(-u) : std::log1p(std::exp(u));
    return l * l;
  };
  const long double v_p = (c.gate_volt - c.selector.threshold_volt) / n;
  const auto mos = [&](long double x) {
    return 2 * n * c.selector.beta_ampere_per_volt2 * phi * phi * (f(v_p - c.v_column_volt) - f(v_p - x));
  };
  const auto device = [&](long double v) {
    return c.cell.law == data::CellLaw::ohmic ? c.g_siemens * v : c.g_siemens * c.cell.v_h_volt * std::sinh(v / c.cell.v_h_volt);
  };
  long double low = std::min(c.v_row_volt, c.v_column_volt), high = std::max(c.v_row_volt, c.v_column_volt);
  for (int step = 0; step < 200; ++step) {
    const long double x = 0.5L * (low + high);
    (mos(x) < device(c.v_row_volt - x) ? low : high) = x;
  }
  const long double x = 0.5L * (low + high);
  return std::abs(x - c.v_column_volt) < std::abs(c.v_row_volt - x) ? device(c.v_row_volt - x) : mos(x);
}

}  // namespace

TEST_CASE("A transistor cell carries the current that its law gives in extended precision", "[device][analytic]") {
  for (const auto& c : random_mos_cases(2000)) {
    const double expected = static_cast<double>(by_hand(c));
    CAPTURE(c.g_siemens, c.v_row_volt, c.v_column_volt, c.gate_volt);
    CHECK(std::abs(at(c).current_ampere - expected) <= 1e-12 * std::abs(expected));
  }
}

TEST_CASE("A transistor far above threshold is 1 / (beta (v_gs - v_t)) ohm", "[device][analytic]") {
  // 0.6 V are 11.6 times 2 phi above threshold: exp(-8.9) is what weak inversion still adds.
  const auto cell = law_of(data::CellLaw::ohmic);
  const auto short_circuit = cell_branch(cell, transistor(), 1e9, 1e-6, 0.0, 1.0);
  CHECK(short_circuit.by_row_siemens == Approx(1.5e-3 * 0.6).epsilon(2e-3));
  auto selector = transistor();
  selector.temperature_kelvin = 30.0;
  CHECK(cell_branch(cell, selector, 1e9, 1e-6, 0.0, 1.0).by_row_siemens == Approx(1.5e-3 * (0.6 - 1.3e-6)).epsilon(1e-9));
  // In series with a device: two resistors.
  const auto series = cell_branch(cell, selector, 25e-6, 1e-9, 0.0, 1.0);
  CHECK(series.current_ampere == Approx(1e-9 / (1.0 / 25e-6 + 1.0 / 0.9e-3)).epsilon(1e-7));
  CHECK(series.by_row_siemens == Approx(1.0 / (1.0 / 25e-6 + 1.0 / 0.9e-3)).epsilon(1e-7));
}

TEST_CASE("A transistor saturates at beta (v_gs - v_t)^2 / 2n and falls by exp(-v / n phi) below threshold", "[device][analytic]") {
  const auto cell = law_of(data::CellLaw::ohmic);
  auto selector = transistor();
  selector.temperature_kelvin = 30.0;
  CHECK(cell_branch(cell, selector, 1.0, 5.0, 0.0, 1.0).current_ampere == Approx(1.5e-3 * 0.36 / 2.6).epsilon(1e-6));
  selector.temperature_kelvin = 300.0;
  selector.threshold_volt = 1.0;
  const double phi = 1.380649e-23 / 1.602176634e-19 * 300.0;
  const double low = cell_branch(cell, selector, 1.0, 1.0, 0.0, 0.05).current_ampere;
  const double high = cell_branch(cell, selector, 1.0, 1.0, 0.0, 0.10).current_ampere;
  CHECK(high / low == Approx(std::exp(0.05 / (1.3 * phi))).epsilon(1e-5));
}

TEST_CASE("Source and drain of a transistor change places with the sign of its current", "[device][property]") {
  // A short-circuited device leaves the transistor alone between the two nodes.
  for (auto c : random_mos_cases(500)) {
    c.cell.law = data::CellLaw::ohmic;
    c.g_siemens = 1e12;
    const double forward = at(c).current_ampere;
    std::swap(c.v_row_volt, c.v_column_volt);
    CHECK(at(c).current_ampere == Approx(-forward).epsilon(1e-9));
  }
}

TEST_CASE("The slopes of a transistor cell are those of its current", "[device][property]") {
  int unequal = 0;
  for (const auto& c : random_mos_cases(1000)) {
    const double h = 1e-5;
    const auto point = at(c);
    const double by_row = (at(c, h).current_ampere - at(c, -h).current_ampere) / (2.0 * h);
    const double by_column = -(at(c, 0.0, h).current_ampere - at(c, 0.0, -h).current_ampere) / (2.0 * h);
    CAPTURE(c.g_siemens, c.v_row_volt, c.v_column_volt, c.gate_volt);
    // h^2 / 6 of the third derivative over scales of 2 phi and v_h; rounding of the currents over h.
    const double rounding = 1e-10 * std::abs(point.current_ampere) + 1e-25;
    CHECK(std::abs(point.by_row_siemens - by_row) <= 1e-6 * by_row + rounding / h * 1e-3);
    CHECK(std::abs(point.by_column_siemens - by_column) <= 1e-6 * by_column + rounding / h * 1e-3);
    CHECK(point.by_row_siemens >= 0.0);
    CHECK(point.by_row_siemens <= (c.cell.law == data::CellLaw::ohmic ? c.g_siemens : std::numeric_limits<double>::infinity()));
    unequal += std::abs(by_row - by_column) > 1e-3 * by_row ? 1 : 0;
  }
  CHECK(unequal > 500);  // the transistor does tell its two nodes apart
}

TEST_CASE("The current of a transistor cell rises with row and gate voltage and falls with the column's", "[device][property]") {
  for (auto c : random_mos_cases(500)) {
    const double i = at(c).current_ampere;
    CHECK(at(c, 1e-4).current_ampere >= i);
    CHECK(at(c, 0.0, 1e-4).current_ampere <= i);
    if (c.gate_volt > 0.5) CHECK(at(c, 1e-4).current_ampere > i);
    c.gate_volt += 0.01;
    CHECK(std::abs(at(c).current_ampere) >= std::abs(i));
  }
}

TEST_CASE("A closed gate and a device without conductance are open cells", "[device][analytic]") {
  for (const double gate : {0.0, -1.0}) {
    const auto off = cell_branch(law_of(data::CellLaw::sinh), transistor(), 25e-6, 0.2, 0.0, gate);
    CHECK(off.current_ampere == 0.0);
    CHECK(off.by_row_siemens == 0.0);
    CHECK(off.by_column_siemens == 0.0);
    CHECK(cell_branch(law_of(data::CellLaw::ohmic), {}, 25e-6, 0.2, 0.0, gate).current_ampere == 0.0);
  }
  CHECK(cell_branch(law_of(data::CellLaw::ohmic), transistor(), 0.0, 0.2, 0.0, 1.0).current_ampere == 0.0);
  CHECK(cell_branch(law_of(data::CellLaw::ohmic), transistor(), 25e-6, 0.2, 0.2, 1.0).current_ampere == 0.0);
}

TEST_CASE("Transistor cells stay finite and consistent at absurd voltages", "[device][property]") {
  for (const auto law : {data::CellLaw::ohmic, data::CellLaw::sinh})
    for (const double v : {1.0, 30.0, 1e3, 1e6, -1.0, -30.0, -1e3, -1e6})
      for (const double gate : {1e-9, 0.4, 1.0, 50.0, 1e4})
        for (const double g : {1e-12, 25e-6, 10.0}) {
          CAPTURE(v, gate, g);
          const MosCase c{law_of(law, 0.05), transistor(), g, v, 0.0, gate};
          const auto point = at(c);
          REQUIRE(std::isfinite(point.current_ampere));
          CHECK(std::isfinite(point.by_row_siemens));
          CHECK(std::isfinite(point.by_column_siemens));
          if (std::abs(v) <= 30.0) {
            const double expected = static_cast<double>(by_hand(c));
            CHECK(std::abs(point.current_ampere - expected) <= 1e-9 * std::abs(expected) + 1e-30);
          }
        }
}

TEST_CASE("cell_point is the branch against the virtual ground with the gate on", "[device][identity]") {
  for (const auto& c : random_mos_cases(100)) {
    const auto point = cell_point(c.cell, c.selector, c.g_siemens, c.v_row_volt);
    const auto branch = cell_branch(c.cell, c.selector, c.g_siemens, c.v_row_volt, 0.0, c.selector.gate_on_volt);
    CHECK(point.current_ampere == branch.current_ampere);
    CHECK(point.conductance_siemens == branch.by_row_siemens);
  }
}

TEST_CASE("Many cells at once are the cells one by one", "[device][kernel]") {
  // Rows of awkward lengths, every law and selector; open cells, equal nodes, reverse currents, voltages beyond exp's range in between.
  const auto cases = random_mos_cases(1000);
  std::uint64_t number = 0;
  for (const auto law : {data::CellLaw::ohmic, data::CellLaw::sinh})
    for (const int selector_kind : {0, 1, 2})
      for (const std::size_t length : {std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{33}})
        for (const double gate : {0.0, 0.02, 0.45, 1.0, 3.0}) {
          data::SelectorSpec selector = selector_kind == 2 ? transistor() : data::SelectorSpec{};
          if (selector_kind == 1) selector.r_on_ohm = 1000.0;
          const CellModel model(law_of(law, 0.05), selector);
          std::vector<double> g(length), v_row(length), v_column(length), current(length, -1.0), by_row(length, -1.0), by_column(length, -1.0);
          for (std::size_t k = 0; k < length; ++k) {
            const MosCase& c = cases[(++number) % cases.size()];
            g[k] = k % 7 == 3 ? 0.0 : c.g_siemens;
            v_row[k] = k % 11 == 9 ? 25.0 : c.v_row_volt;
            v_column[k] = k % 5 == 4 ? v_row[k] : c.v_column_volt;
          }
          model.branches(gate, {g, v_row, v_column}, {current, by_row, by_column});
          for (std::size_t k = 0; k < length; ++k) {
            const auto one = model.branch(g[k], v_row[k], v_column[k], gate);
            CAPTURE(data::to_name(law), selector_kind, gate, g[k], v_row[k], v_column[k]);
            CHECK(std::abs(current[k] - one.current_ampere) <= 1e-11 * std::abs(one.current_ampere) + 1e-27);
            CHECK(std::abs(by_row[k] - one.by_row_siemens) <= 1e-9 * one.by_row_siemens + 1e-27);
            CHECK(std::abs(by_column[k] - one.by_column_siemens) <= 1e-9 * one.by_column_siemens + 1e-27);
          }
        }
}

TEST_CASE("A transistor refuses impossible parameters by name", "[device][error]") {
  const auto cell = law_of(data::CellLaw::ohmic);
  const auto refused = [&](auto change, const std::string& what) {
    auto selector = transistor();
    change(selector);
    CHECK_THROWS_WITH(cell_branch(cell, selector, 1e-6, 0.1, 0.0, 1.0), Catch::Contains(what));
  };
  refused([](auto& s) { s.beta_ampere_per_volt2 = 0.0; }, "beta_ampere_per_volt2 = 0");
  refused([](auto& s) { s.slope_factor = -1.0; }, "slope_factor = -1");
  refused([](auto& s) { s.temperature_kelvin = 0.0; }, "temperature_kelvin = 0");
  refused([](auto& s) { s.threshold_volt = std::numeric_limits<double>::quiet_NaN(); }, "threshold_volt");
}
