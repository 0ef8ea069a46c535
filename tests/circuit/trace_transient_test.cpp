#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

data::TileSpec trace_tile() {
  data::TileSpec tile = plain_tile(4, 3);
  tile.r_row_ohm = 30.0;
  tile.r_col_ohm = 50.0;
  tile.g_max_siemens = 100e-6;
  tile.pulse.dac_bits = 4;
  return tile;
}

ConductanceTrace wobble(const Matrix& base, double step_s) {
  ConductanceTrace trace;
  trace.step_s = step_s;
  trace.mean = [base](Index step, Array& g) {
    g = base.array() * (1.0 + 0.3 * std::sin(0.7 + 1.9 * static_cast<double>(step)));
    g(0, 0) *= 1.0 + 0.1 * std::cos(static_cast<double>(step));
  };
  return trace;
}

// Without capacitance the charge is a sum of steady states: one for every stretch between two changes of anything.
Vector by_steady_states(const data::TileSpec& tile, const ConductanceTrace& trace, const IntVector& codes) {
  Vector charge = Vector::Zero(tile.cols);
  const double window = std::ldexp(tile.pulse.t_lsb_s, tile.pulse.dac_bits - 1) + tile.pulse.t_settle_s;
  double offset = 0.0;
  for (const int sign : {1, -1}) {
    const IntVector part = (sign * codes).cwiseMax(0);
    if (part.maxCoeff() == 0) continue;
    std::vector<double> edges{0.0, window};
    for (const int code : part) edges.push_back(code * tile.pulse.t_lsb_s);
    for (double t = 0.0; t < offset + window; t += trace.step_s)
      if (t > offset) edges.push_back(t - offset);
    std::sort(edges.begin(), edges.end());
    for (std::size_t k = 0; k + 1 < edges.size(); ++k) {
      const double length = edges[k + 1] - edges[k], middle = 0.5 * (edges[k] + edges[k + 1]);
      if (length < 1e-15) continue;
      Array g(tile.rows, tile.cols);
      trace.mean(static_cast<Index>(std::floor((offset + middle) / trace.step_s)), g);
      const Crossbar now(tile, g.matrix());
      LineDrive drive{Vector::Zero(tile.rows), std::vector<bool>(static_cast<std::size_t>(tile.rows))};
      for (Index i = 0; i < tile.rows; ++i) {
        const bool on = middle < part[i] * tile.pulse.t_lsb_s;
        drive.line_volt[i] = on || tile.drive == data::Drive::gated ? tile.v_read_volt : 0.0;
        drive.conducting[static_cast<std::size_t>(i)] = on || tile.drive != data::Drive::gated;
      }
      charge += sign * length * solve_steady(now, drive).sense_ampere;
    }
    offset += window;
  }
  return charge;
}

}  // namespace

TEST_CASE("A conductance trace is one steady state after another, through all passes", "[cross]") {
  const Matrix base = random_conductances(trace_tile(), 1);
  for (const data::Drive drive : {data::Drive::gated, data::Drive::level})
    for (const data::CellLaw law : {data::CellLaw::ohmic, data::CellLaw::sinh})
      for (const double step_s : {0.3e-9, 1e-9, 2.5e-9, 100e-9}) {
        data::TileSpec tile = trace_tile();
        tile.drive = drive;
        tile.cell.law = law;
        tile.cell.v_h_volt = 0.1;
        IntVector codes(4);
        codes << 7, -3, 4, -6;
        TransientOptions options;
        options.relative_tolerance = 1e-8;
        options.trace = wobble(base, step_s);
        const auto result = solve_transient(Crossbar(tile, base), codes, options);
        REQUIRE(result.failure == "");
        const Vector expected = by_steady_states(tile, options.trace, codes);
        CAPTURE(data::to_name(drive), data::to_name(law), step_s);
        CHECK((result.charge_coulomb - expected).cwiseAbs().maxCoeff() < 1e-9 * expected.cwiseAbs().maxCoeff());
        const Vector without = solve_transient(Crossbar(tile, base), codes).charge_coulomb;
        CHECK((without - expected).cwiseAbs().maxCoeff() > 1e-3 * expected.cwiseAbs().maxCoeff());
      }
}

TEST_CASE("A trace that does not change changes nothing", "[identity]") {
  data::TileSpec tile = trace_tile();
  tile.c_row_farad = tile.c_col_farad = 5e-15;
  const Matrix g = random_conductances(tile, 2);
  const IntVector codes = random_codes(4, 1, 7, 2);
  TransientOptions options;
  options.relative_tolerance = 1e-8;
  const Vector without = solve_transient(Crossbar(tile, g), codes, options).charge_coulomb;
  options.trace.step_s = 0.77e-9;
  options.trace.mean = [&](Index, Array& out) { out = g.array(); };
  const Vector with = solve_transient(Crossbar(tile, g), codes, options).charge_coulomb;
  CHECK((with - without).cwiseAbs().maxCoeff() < 1e-10 * without.cwiseAbs().maxCoeff());
}

TEST_CASE("A trace's steps are asked for in order, each once, with room for the lines of the crossbar", "[property]") {
  data::TileSpec tile = trace_tile();
  const Matrix g = random_conductances(tile, 3);
  IntVector codes(4);
  codes << 7, 1, -5, 2;
  for (const bool bipolar : {false, true}) {
    if (bipolar) {
      tile.drive = data::Drive::bipolar;
      tile.weight_layout = data::WeightLayout::bipolar;
      tile.pulse.sign = data::SignMode::bipolar;
    }
    const Crossbar crossbar = bipolar ? Crossbar(tile, g, g) : Crossbar(tile, g);
    std::vector<Index> asked;
    TransientOptions options;
    options.trace.step_s = 1.7e-9;
    options.trace.mean = [&](Index step, Array& out) {
      asked.push_back(step);
      CHECK(out.rows() == (bipolar ? 8 : 4));
      CHECK(out.cols() == 3);
      out = crossbar.conductance_siemens;
    };
    REQUIRE(solve_transient(crossbar, codes, options).failure == "");
    // Windows of 8 + 1 ns: two passes are steps 0 to 10, a signed one is 0 to 5.
    REQUIRE(asked.size() == (bipolar ? 6 : 11));
    for (std::size_t k = 0; k < asked.size(); ++k) CHECK(asked[k] == static_cast<Index>(k));
  }
}

TEST_CASE("Impossible traces are refused by name", "[error]") {
  const data::TileSpec tile = trace_tile();
  const Crossbar crossbar(tile, random_conductances(tile, 4));
  const IntVector codes = random_codes(4, 1, 7, 4);
  const auto refused = [&](ConductanceTrace trace, const std::string& what) {
    TransientOptions options;
    options.trace = std::move(trace);
    CHECK_THROWS_WITH(solve_transient(crossbar, codes, options), Catch::Contains(what));
  };
  const auto fill = [](double value) { return [value](Index, Array& g) { g.setConstant(value); }; };
  refused({-1e-9, fill(1e-6)}, "trace.step_s = -1");
  refused({std::numeric_limits<double>::quiet_NaN(), fill(1e-6)}, "trace.step_s");
  refused({1e-9, {}}, "trace.mean");
  refused({1e-9, fill(-1e-6)}, "conductance trace, step 0");
  refused({1e-9, fill(std::numeric_limits<double>::infinity())}, "conductance trace, step 0");
  refused({1e-9, [](Index, Array& g) { g.resize(1, 1); g.setZero(); }}, "4 x 3");
}
