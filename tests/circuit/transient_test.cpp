#include <catch2/catch.hpp>

#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

// The tile on which event-driven and transient charge are compared: RC matters, and the network settles between edges.
data::TileSpec rc_tile(double c_farad) {
  data::TileSpec tile = plain_tile(16, 16);
  tile.r_row_ohm = tile.r_col_ohm = 5.0;
  tile.c_row_farad = tile.c_col_farad = c_farad;
  return tile;
}

double distance(const Vector& a, const Vector& b) { return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("Event-driven and SUNDIALS charge agree where RC matters", "[cross]") {
  const data::TileSpec tile = rc_tile(50e-15);
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const IntVector codes = random_codes(16, 1, 4, 1);
  const auto events = solve_charge(crossbar, codes);
  REQUIRE(events.status == Status::ok);
  CHECK(events.rc_share > 1e-4);
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  const auto transient = solve_transient(crossbar, codes, options);
  REQUIRE(transient.failure == "");
  REQUIRE(transient.status == Status::ok);
  INFO("steps " << transient.steps << " rc share " << events.rc_share);
  CHECK(distance(events.charge_coulomb, transient.charge_coulomb) < 1e-7);
}

TEST_CASE("A network that does not settle between edges is reported, and the transient is the answer", "[cross]") {
  const data::TileSpec tile = rc_tile(500e-15);
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const IntVector codes = random_codes(16, 1, 4, 1);
  const auto events = solve_charge(crossbar, codes);
  CHECK(events.status == Status::not_settled);
  CHECK(events.slowest_time_constant_s > 0.2e-9);
  CHECK(events.shortest_interval_s == Approx(1e-9));
  TransientOptions coarse, fine;
  coarse.relative_tolerance = 1e-6;
  fine.relative_tolerance = 1e-9;
  const auto a = solve_transient(crossbar, codes, coarse);
  const auto b = solve_transient(crossbar, codes, fine);
  REQUIRE(a.status == Status::ok);
  CHECK(distance(a.charge_coulomb, b.charge_coulomb) < 1e-7);
  // What the event-driven method would have said is well outside that.
  CHECK(distance(events.charge_coulomb, b.charge_coulomb) > 1e-6);
}

TEST_CASE("Event-driven and transient charge agree for every kind of tile", "[cross][property]") {
  // Every drive, sense end, driver end, pulse mode and limit of ideal wires, on tiles small enough for a tight transient.
  using namespace data;
  std::uint64_t number = 0;
  for (const Drive drive : {Drive::level, Drive::bipolar, Drive::gated})
    for (const SenseEnd sense : {SenseEnd::south, SenseEnd::north, SenseEnd::alternate})
      for (const double r_row : {0.0, 40.0})
        for (const double r_col : {0.0, 60.0})
          for (const int variant : {0, 1, 2}) {
            ++number;
            TileSpec tile = plain_tile(5, 4);
            tile.drive = drive;
            tile.weight_layout = drive == Drive::bipolar ? WeightLayout::bipolar : WeightLayout::single;
            tile.sense = sense;
            tile.r_row_ohm = r_row;
            tile.r_col_ohm = r_col;
            tile.r_driver_ohm = variant == 1 ? 100.0 : 0.0;
            tile.r_sense_ohm = variant == 2 ? 150.0 : 0.0;
            tile.sense_segment = variant == 1 ? 0.5 : 1.0;
            tile.drivers = variant == 2 ? DriverEnds::both : DriverEnds::west;
            tile.c_row_farad = variant == 1 ? 0.0 : 20e-15;
            tile.c_col_farad = variant == 0 ? 30e-15 : (variant == 1 ? 10e-15 : 0.0);
            tile.selector.r_on_ohm = variant == 2 ? 1000.0 : 0.0;
            tile.pulse.dac_bits = 5;
            tile.pulse.passes = variant == 0 ? Passes::conventional : (variant == 1 ? Passes::split : Passes::bit_serial);
            tile.pulse.split_bits = 2;
            tile.pulse.align = variant == 1 ? PulseAlign::centre : PulseAlign::left;
            tile.pulse.sign = variant == 2 ? SignMode::bipolar : SignMode::two_phase;
            tile.pulse.t_edge_s = drive == Drive::gated ? 0.0 : 0.1e-9;
            tile.g_max_siemens = 200e-6;
            const Matrix g = random_conductances(tile, number);
            const Crossbar crossbar = drive == Drive::bipolar ? Crossbar(tile, g, random_conductances(tile, number, 1)) : Crossbar(tile, g);
            const IntVector codes = random_codes(5, -15, 15, number);
            CAPTURE(number, to_name(drive), to_name(sense), r_row, r_col, variant);
            const auto events = solve_charge(crossbar, codes);
            REQUIRE(events.status == Status::ok);
            TransientOptions options;
            options.relative_tolerance = 1e-8;
            const auto transient = solve_transient(crossbar, codes, options);
            REQUIRE(transient.failure == "");
            CHECK(distance(events.charge_coulomb, transient.charge_coulomb) < 1e-7);
          }
}

TEST_CASE("Event-driven and transient charge agree for sinh cells", "[cross]") {
  data::TileSpec tile = plain_tile(6, 5);
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.06;
  tile.selector.r_on_ohm = 800.0;
  tile.r_row_ohm = tile.r_col_ohm = 60.0;
  tile.g_max_siemens = 100e-6;
  tile.pulse.dac_bits = 5;
  const Matrix g = random_conductances(tile, 6);
  const IntVector codes = random_codes(6, -15, 15, 6);
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  for (const data::Drive drive : {data::Drive::gated, data::Drive::level}) {
    tile.drive = drive;
    CAPTURE(data::to_name(drive));
    tile.c_row_farad = tile.c_col_farad = 0.0;
    const auto at_rest = solve_charge(Crossbar(tile, g), codes);
    REQUIRE(at_rest.status == Status::ok);
    CHECK(distance(at_rest.charge_coulomb, solve_transient(Crossbar(tile, g), codes, options).charge_coulomb) < 1e-7);

    // With capacitance the correction takes each cell's voltage to move as one exponential. Gated cells nearly do; behind the jump of a level
    // drive rows and columns follow at different speeds, and a quarter of the RC part stays (v_h is a third of the read voltage here).
    tile.c_row_farad = tile.c_col_farad = 20e-15;
    const auto events = solve_charge(Crossbar(tile, g), codes);
    REQUIRE(events.status == Status::ok);
    const auto transient = solve_transient(Crossbar(tile, g), codes, options);
    REQUIRE(transient.failure == "");
    const double share = distance(at_rest.charge_coulomb, transient.charge_coulomb);
    INFO("RC share " << share);
    CHECK(distance(events.charge_coulomb, transient.charge_coulomb) < (drive == data::Drive::gated ? 0.01 : 0.3) * share);
  }
}

TEST_CASE("The charge of a settled linear network does not depend on the tolerance of its waveforms", "[property]") {
  data::TileSpec tile = rc_tile(5e-15);
  tile.drive = data::Drive::level;
  const Matrix g = random_conductances(tile, 1);
  const IntVector codes = random_codes(16, 1, 20, 1);
  TransientOptions options;
  for (const double t_edge_s : {0.0, 0.1e-9}) {
    tile.pulse.t_edge_s = t_edge_s;
    const Crossbar crossbar(tile, g);
    const Vector exact = solve_charge(crossbar, codes).charge_coulomb;
    long steps = 0;
    for (const double tolerance : {1e-6, 1e-4, 1e-2}) {
      options.relative_tolerance = tolerance;
      const auto transient = solve_transient(crossbar, codes, options);
      REQUIRE(transient.failure == "");
      CAPTURE(t_edge_s, tolerance, transient.steps);
      // Ramps are no invariant: their charge has a tolerance of its own.
      CHECK(distance(transient.charge_coulomb, exact) < (t_edge_s == 0.0 ? 1e-9 : 1e-5));
      CHECK((steps == 0 || transient.steps < steps));
      steps = transient.steps;
    }
  }
}

TEST_CASE("Waveforms keep their tolerance", "[analytic]") {
  // One cell, its column's capacitance and the sense resistance: one exponential up, another down once the cell is open.
  data::TileSpec tile = plain_tile(1, 1);
  tile.r_row_ohm = 0.0;
  tile.r_sense_ohm = 1999.0;
  tile.c_col_farad = 1e-12;
  tile.pulse.dac_bits = 5;
  const double g = 25e-6, up = 1e-12 / (g + 1.0 / 2000.0), down = 1e-12 * 2000.0;
  const double top = 0.2 * g / (g + 1.0 / 2000.0), peak = top * (1.0 - std::exp(-12e-9 / up));
  IntVector codes(1);
  codes << 12;
  TransientOptions options;
  options.charge_tolerance = 1.0;  // the waveform's alone
  options.record_every = 1;
  options.record_rows = {0};
  options.record_columns = {0};
  for (const double tolerance : {1e-2, 1e-4, 1e-6}) {
    options.relative_tolerance = tolerance;
    const auto result = solve_transient(Crossbar(tile, Matrix::Constant(1, 1, g)), codes, options);
    REQUIRE(result.failure == "");
    const auto& waves = result.waveforms;
    double worst = 0.0;
    for (std::size_t k = 0; k < waves.time_s.size(); ++k) {
      const double t = waves.time_s[k];
      const double exact = t <= 12e-9 ? top * (1.0 - std::exp(-t / up)) : peak * std::exp(-(t - 12e-9) / down);
      worst = std::max(worst, std::abs(waves.column_volt(static_cast<Index>(k), 0) - exact));
      CHECK(waves.sense_ampere(static_cast<Index>(k), 0) == Approx(waves.column_volt(static_cast<Index>(k), 0) / 2000.0));
    }
    CAPTURE(tolerance, waves.time_s.size());
    CHECK(waves.time_s.front() == 0.0);
    CHECK(waves.time_s.back() == Approx(17e-9));
    CHECK(worst < tolerance * 0.2);  // local errors of 0.1 of that, as many as an exponential takes
    CHECK(worst > 1e-3 * tolerance * 0.2);
  }
}

TEST_CASE("A transient that takes too many steps says so", "[error]") {
  const data::TileSpec tile = rc_tile(50e-15);
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  TransientOptions options;
  options.max_steps = 40;
  for (const Index record_every : {0, 1}) {
    options.record_every = record_every;
    const auto result = solve_transient(crossbar, random_codes(16, 1, 4, 1), options);
    CHECK(result.status == Status::not_converged);
    CHECK(result.failure == "more than 40 steps");
  }
}

TEST_CASE("Impossible options of a transient are refused by name", "[error]") {
  const data::TileSpec tile = rc_tile(50e-15);
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const IntVector codes = random_codes(16, 1, 4, 1);
  const auto refused = [&](auto change, const std::string& what) {
    TransientOptions options;
    change(options);
    CHECK_THROWS_WITH(solve_transient(crossbar, codes, options), Catch::Contains(what));
  };
  refused([](auto& o) { o.relative_tolerance = 0.0; }, "relative_tolerance = 0");
  refused([](auto& o) { o.absolute_tolerance_volt = -1.0; }, "absolute_tolerance_volt = -1");
  refused([](auto& o) { o.charge_tolerance = 2.0; }, "charge_tolerance = 2");
  refused([](auto& o) { o.record_columns = {16}; }, "record_columns = 16");
  CHECK_THROWS_WITH(solve_transient(crossbar, random_codes(15, 1, 4, 1)), Catch::Contains("15 codes for 16 rows"));
}

TEST_CASE("Gate edges cost or add the charge of their threshold, and vanish with their length", "[property]") {
  // The gate passes the threshold late on the rising edge, and as late again on the falling one: the pulse is shifted, its charge all but kept.
  data::TileSpec tile = plain_tile(8, 4);
  tile.selector.kind = data::SelectorKind::mos;
  tile.pulse.dac_bits = 5;
  const Matrix g = random_conductances(tile, 5);
  const IntVector codes = random_codes(8, 2, 15, 5);
  const Vector sharp = solve_transient(Crossbar(tile, g), codes).charge_coulomb;
  double before = 0.0;
  for (const double t_edge_s : {0.1e-9, 0.4e-9}) {
    tile.pulse.t_edge_s = t_edge_s;
    const auto result = solve_transient(Crossbar(tile, g), codes);
    REQUIRE(result.failure == "");
    const double change = distance(result.charge_coulomb, sharp);
    CHECK(change > before);
    CHECK(change < 0.2 * t_edge_s / 2e-9);
    before = change;
  }
  // Behind a resistor the rows switch at once.
  tile.selector.kind = data::SelectorKind::resistor;
  const Vector with = solve_transient(Crossbar(tile, g), codes).charge_coulomb;
  tile.pulse.t_edge_s = 0.0;
  CHECK(distance(with, solve_transient(Crossbar(tile, g), codes).charge_coulomb) < 1e-12);
}
