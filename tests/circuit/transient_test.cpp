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
