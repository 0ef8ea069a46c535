#include <catch2/catch.hpp>

#include "odeint_oracle.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

data::TileSpec wired_tile() {
  data::TileSpec tile = plain_tile(3, 3);
  tile.r_row_ohm = 250.0;
  tile.r_col_ohm = 300.0;
  tile.r_driver_ohm = 100.0;
  tile.r_sense_ohm = 150.0;
  tile.c_row_farad = 20e-15;
  tile.c_col_farad = 30e-15;
  tile.g_min_siemens = 5e-6;
  tile.g_max_siemens = 150e-6;
  tile.sense = data::SenseEnd::alternate;
  tile.pulse.dac_bits = 3;
  tile.pulse.t_settle_s = 2e-9;
  tile.front_end.gain_bandwidth_hz = 2e9;
  tile.front_end.slew_volt_per_s = 3e8;
  tile.front_end.offset_volt = 1e-3;
  tile.front_end.leak_siemens = 1e-7;
  tile.front_end.charge_per_count_coulomb = 0.5e-15;
  return tile;
}

// What the front ends held at the end of the (only) window, before a counter's floor.
Vector collected(const Crossbar& crossbar, const IntVector& codes, TransientOptions options) {
  options.record_every = 1'000'000'000;
  for (Index j = 0; j < crossbar.cols(); ++j) options.record_columns.push_back(j);
  const auto transient = solve_transient(crossbar, codes, options);
  REQUIRE(transient.failure == "");
  if (crossbar.tile.front_end.kind != data::FrontEndKind::cco) return transient.charge_coulomb;
  const auto& counts = transient.waveforms.front_end_counts;
  const Vector last = counts.row(counts.rows() - 1).transpose();
  for (Index j = 0; j < crossbar.cols(); ++j)
    CHECK(transient.charge_coulomb[j] == std::floor(last[j]) * crossbar.tile.front_end.charge_per_count_coulomb);
  return last;
}

double gap(const Vector& a, const Vector& b) { return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("Whole crossbars with RC agree with Boost.Odeint for every drive, cell, selector, edge and front end", "[cross]") {
  using namespace data;
  std::uint64_t number = 0;
  for (const Drive drive : {Drive::level, Drive::gated, Drive::bipolar})
    for (const CellLaw law : {CellLaw::ohmic, CellLaw::sinh})
      for (const SelectorKind selector : {SelectorKind::resistor, SelectorKind::mos})
        for (const FrontEndKind front : {FrontEndKind::ideal, FrontEndKind::integrator, FrontEndKind::cco}) {
          ++number;
          TileSpec tile = wired_tile();
          tile.drive = drive;
          tile.weight_layout = drive == Drive::bipolar ? WeightLayout::bipolar : WeightLayout::single;
          tile.pulse.sign = drive == Drive::bipolar ? SignMode::bipolar : SignMode::two_phase;
          tile.cell.law = law;
          tile.cell.v_h_volt = 0.08;
          tile.selector.kind = selector;
          tile.selector.r_on_ohm = number % 2 == 0 ? 1500.0 : 0.0;
          tile.front_end.kind = front;
          tile.drivers = number % 3 == 0 ? DriverEnds::both : DriverEnds::west;
          tile.pulse.t_edge_s = number % 4 == 3 ? 0.0 : 0.4e-9;
          const Matrix g = random_conductances(tile, number);
          const Crossbar crossbar = drive == Drive::bipolar ? Crossbar(tile, g, random_conductances(tile, number, 1)) : Crossbar(tile, g);
          const IntVector codes = drive == Drive::bipolar ? random_codes(3, -3, 3, number) : random_codes(3, 1, 3, number);
          CAPTURE(number, to_name(drive), to_name(law), to_name(selector), to_name(front), tile.pulse.t_edge_s);
          TransientOptions options;
          options.relative_tolerance = 1e-9;
          CHECK(gap(collected(crossbar, codes, options), OdeintOracle(crossbar, codes).run()) < 2e-8);
        }
}

TEST_CASE("A trace of conductances through RC wires and transistors agrees with Boost.Odeint", "[cross]") {
  data::TileSpec tile = wired_tile();
  tile.drive = data::Drive::gated;
  tile.selector.kind = data::SelectorKind::mos;
  tile.pulse.t_edge_s = 0.3e-9;
  const Array base = random_conductances(tile, 5).array();
  const auto at_step = [&](Index step) -> Array { return base * (1.0 + 0.2 * std::sin(1.0 + 2.3 * static_cast<double>(step))); };
  const Crossbar crossbar(tile, base.matrix());
  const IntVector codes = random_codes(3, 1, 3, 5);
  constexpr double kStep = 0.37e-9;
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  options.trace.step_s = kStep;
  options.trace.mean = [&](Index step, Array& g) { g = at_step(step); };
  OdeintOracle oracle(crossbar, codes, [&](double t) { return at_step(static_cast<Index>(std::floor(t / kStep))); }, kStep);
  const Vector expected = oracle.run();
  CHECK(gap(collected(crossbar, codes, options), expected) < 2e-8);
  CHECK(gap(collected(crossbar, codes, {}), expected) > 1e-3);  // the trace matters
}
