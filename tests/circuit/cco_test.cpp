#include <catch2/catch.hpp>
#include <cmath>

#include "circuit/front_end.hpp"
#include "core/error.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

// Ideal wires: every cell's current is G v_read while its pulse lasts.
data::TileSpec ideal_tile(Index rows, Index cols) {
  data::TileSpec tile = plain_tile(rows, cols);
  tile.r_row_ohm = tile.r_col_ohm = 0.0;
  tile.front_end.kind = data::FrontEndKind::cco;
  tile.front_end.charge_per_count_coulomb = 3.1e-15;
  tile.front_end.highest_frequency_hz = 50e9;
  tile.front_end.counter_bits = 20;
  return tile;
}

// One RC: cell and sense resistance in parallel charge the column node. Sense current i (1 - exp(-t / tau)).
struct OneCell {
  data::TileSpec tile = ideal_tile(1, 1);
  double g = 20e-6, current, tau;
  OneCell() {
    tile.r_col_ohm = 500.0;
    tile.r_sense_ohm = 1500.0;
    tile.c_col_farad = 2e-12;
    tile.pulse.dac_bits = 5;
    const double sense = 2000.0;
    current = tile.v_read_volt / (1.0 / g + sense);
    tau = tile.c_col_farad / (g + 1.0 / sense);
  }
  double charge(double t) const { return current * (t - tau * (1.0 - std::exp(-t / tau))); }
};

}  // namespace

TEST_CASE("An oscillator counts the charge of ideal wires down to the last whole count", "[analytic]") {
  const data::TileSpec tile = ideal_tile(7, 5);
  const Crossbar crossbar(tile, random_conductances(tile, 2));
  const IntVector codes = random_codes(7, 0, 127, 2);
  const auto result = solve_transient(crossbar, codes);
  REQUIRE(result.failure == "");
  CHECK(result.saturated_columns == 0);
  for (Index j = 0; j < 5; ++j) {
    double charge = 0.0;
    for (Index i = 0; i < 7; ++i) charge += crossbar.conductance_siemens(i, j) * tile.v_read_volt * codes[i] * tile.pulse.t_lsb_s;
    CHECK(result.charge_coulomb[j] == std::floor(charge / 3.1e-15) * 3.1e-15);
  }
}

TEST_CASE("Positive and negative inputs are counted apart and subtracted", "[property]") {
  data::TileSpec tile = ideal_tile(7, 3);
  const Matrix g = random_conductances(tile, 3);
  const IntVector codes = random_codes(7, -127, 127, 3);
  const IntVector positive = codes.cwiseMax(0), negative = (-codes).cwiseMax(0);
  const Vector both = solve_transient(Crossbar(tile, g), codes).charge_coulomb;
  const Vector plus = solve_transient(Crossbar(tile, g), positive).charge_coulomb;
  const Vector minus = solve_transient(Crossbar(tile, g), negative).charge_coulomb;
  for (Index j = 0; j < 3; ++j) CHECK(both[j] == Approx(plus[j] - minus[j]).epsilon(1e-14));
}

TEST_CASE("The oscillator stops at its highest frequency and its counter at its last count, and both are reported", "[analytic]") {
  data::TileSpec tile = ideal_tile(2, 2);
  Matrix g(2, 2);
  g << 20e-6, 1e-6, 20e-6, 1e-6;  // 8 uA and 0.4 uA with both rows on, 4 uA and 0.2 uA with one
  IntVector codes(2);
  codes << 100, 40;
  SECTION("frequency") {
    tile.front_end.highest_frequency_hz = 1e9;  // 3.1 uA
    const auto result = solve_transient(Crossbar(tile, g), codes);
    REQUIRE(result.failure == "");
    CHECK(result.saturated_columns == 1);
    CHECK(result.charge_coulomb[0] == Approx(100 * 3.1e-15).margin(3.1e-15));
    CHECK(result.charge_coulomb[1] == std::floor((0.2e-6 * 100e-9 + 0.2e-6 * 40e-9) / 3.1e-15) * 3.1e-15);
  }
  SECTION("counter") {
    tile.front_end.counter_bits = 7;
    const auto result = solve_transient(Crossbar(tile, g), codes);
    CHECK(result.saturated_columns == 1);
    CHECK(result.charge_coulomb[0] == 127 * 3.1e-15);
    CHECK(result.charge_coulomb[1] == 9 * 3.1e-15);
  }
}

TEST_CASE("An oscillator does not count backwards", "[analytic]") {
  data::TileSpec tile = ideal_tile(2, 2);
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  tile.pulse.sign = data::SignMode::bipolar;
  Matrix plus(2, 2), minus(2, 2);
  plus << 10e-6, 1e-6, 10e-6, 1e-6;
  minus << 1e-6, 10e-6, 1e-6, 10e-6;
  IntVector codes(2);
  codes << 50, 120;
  const auto result = solve_transient(Crossbar(tile, plus, minus), codes);
  CHECK(result.charge_coulomb[0] == std::floor(9e-6 * 0.2 * 170e-9 / 3.1e-15) * 3.1e-15);
  CHECK(result.charge_coulomb[1] == 0.0);
  CHECK(result.saturated_columns == 0);
}

TEST_CASE("Phase and sense current of one RC follow their closed forms", "[analytic]") {
  const OneCell one;
  IntVector codes(1);
  codes << 15;
  TransientOptions options;
  options.relative_tolerance = 1e-8;
  options.record_every = 1;
  options.record_rows = {0};
  options.record_columns = {0};
  const auto result = solve_transient(Crossbar(one.tile, Matrix::Constant(1, 1, one.g)), codes, options);
  REQUIRE(result.failure == "");
  const auto& waves = result.waveforms;
  REQUIRE(waves.front_end_counts.rows() == static_cast<Index>(waves.time_s.size()));
  REQUIRE(waves.front_end_counts.cols() == 1);
  CHECK(waves.front_end_volt.size() == 0);
  Index inside = 0;
  for (std::size_t k = 0; k < waves.time_s.size(); ++k) {
    const double t = waves.time_s[k];
    if (t >= 15e-9) continue;
    ++inside;
    const auto row = static_cast<Index>(k);
    CHECK(std::abs(waves.sense_ampere(row, 0) - one.current * (1.0 - std::exp(-t / one.tau))) < 1e-6 * one.current);
    CHECK(std::abs(waves.front_end_counts(row, 0) - one.charge(t) / 3.1e-15) < 1e-6 * one.charge(15e-9) / 3.1e-15);
    CHECK(waves.row_volt(row, 0) == one.tile.v_read_volt);
  }
  CHECK(inside > 20);
  // After the pulse the open cell lets the column discharge through the sense.
  const Index last = waves.front_end_counts.rows() - 1;
  CHECK(waves.time_s.back() == Approx(17e-9));
  const double held = one.tile.c_col_farad * 2000.0 * one.current * (1.0 - std::exp(-15e-9 / one.tau));
  const double end = one.charge(15e-9) + held * (1.0 - std::exp(-2e-9 / (one.tile.c_col_farad * 2000.0)));
  CHECK(waves.front_end_counts(last, 0) == Approx(end / 3.1e-15).epsilon(1e-7));
  CHECK(result.charge_coulomb[0] == std::floor(end / 3.1e-15) * 3.1e-15);

  // The macro-model alone, driven by that current.
  FrontEndDrive drive;
  drive.window_s = 17e-9;
  drive.breaks_s = {15e-9};
  drive.ampere = [&](double t) {
    if (t < 15e-9) return one.current * (1.0 - std::exp(-t / one.tau));
    return held / (one.tile.c_col_farad * 2000.0) * std::exp(-(t - 15e-9) / (one.tile.c_col_farad * 2000.0));
  };
  const auto alone = drive_front_end(one.tile.front_end, 0.0, drive, 1e-11);
  CHECK(alone.counts == Approx(end / 3.1e-15).epsilon(1e-9));
  CHECK(alone.charge_coulomb == result.charge_coulomb[0]);
  CHECK_FALSE(alone.saturated);
}

TEST_CASE("An integrator alone follows its closed forms: leak, finite gain, slew, swing", "[analytic]") {
  data::FrontEndSpec spec;
  spec.kind = data::FrontEndKind::integrator;
  spec.gain_bandwidth_hz = 50e9;
  spec.dc_gain = 1e9;
  spec.slew_volt_per_s = 1e15;
  const double c_int = 1e-12;
  FrontEndDrive drive;
  drive.window_s = 100e-9;
  drive.ampere = [](double) { return 2e-6; };
  SECTION("leak") {
    spec.leak_siemens = 1e-5;  // time constant 100 ns
    const auto out = drive_front_end(spec, c_int, drive);
    CHECK(out.charge_coulomb == Approx(2e-6 / 1e-5 * c_int * (1.0 - std::exp(-1.0))).epsilon(1e-4));
    CHECK_FALSE(out.saturated);
  }
  SECTION("finite gain") {
    // With gain A the summing node follows the output: C (1 + 1/A) of v_out has to be charged.
    spec.dc_gain = 20.0;
    const auto out = drive_front_end(spec, c_int, drive);
    CHECK(out.charge_coulomb == Approx(2e-6 * 100e-9 / (1.0 + 1.0 / 20.0)).epsilon(1e-3));
  }
  SECTION("slew") {
    spec.slew_volt_per_s = 1e6;  // half of what the current asks for
    spec.swing_volt = 10.0;
    const auto out = drive_front_end(spec, c_int, drive);
    CHECK(out.charge_coulomb == Approx(c_int * 1e6 * 100e-9).epsilon(1e-2));
  }
  SECTION("swing") {
    drive.ampere = [](double t) { return t < 50e-9 ? 20e-6 : 0.0; };  // asks for 1 V
    drive.breaks_s = {50e-9};
    const auto out = drive_front_end(spec, c_int, drive);
    CHECK(out.saturated);
    CHECK(out.output_volt == Approx(-0.6).epsilon(0.02));
  }
  SECTION("ideal front end") {
    spec.kind = data::FrontEndKind::ideal;
    drive.ampere = [](double t) { return 1e-6 * std::sin(t * 1e8); };
    CHECK(drive_front_end(spec, c_int, drive).charge_coulomb == Approx(1e-14 * (1.0 - std::cos(10.0))).epsilon(1e-7));
  }
}

TEST_CASE("A driven oscillator keeps its limits", "[analytic]") {
  data::FrontEndSpec spec;
  spec.kind = data::FrontEndKind::cco;
  spec.charge_per_count_coulomb = 1e-15;
  spec.highest_frequency_hz = 1e9;  // 1 uA
  FrontEndDrive drive;
  drive.window_s = 100e-9;
  drive.breaks_s = {20e-9, 50e-9};
  drive.ampere = [](double t) { return t < 20e-9 ? 0.5e-6 : (t < 50e-9 ? -1e-6 : 2e-6); };
  const auto out = drive_front_end(spec, 0.0, drive);
  CHECK(out.saturated);
  CHECK(out.counts == Approx(10.0 + 50.0).epsilon(1e-9));
  spec.highest_frequency_hz = 1e10;
  CHECK_FALSE(drive_front_end(spec, 0.0, drive).saturated);
  spec.counter_bits = 6;
  const auto full = drive_front_end(spec, 0.0, drive);
  CHECK(full.saturated);
  CHECK(full.charge_coulomb == Approx(63e-15).epsilon(1e-15));
}

TEST_CASE("A front end alone refuses nonsense by name", "[error]") {
  data::FrontEndSpec spec;
  FrontEndDrive drive;
  drive.window_s = 1e-9;
  CHECK_THROWS_WITH(drive_front_end(spec, 1e-12, drive), Catch::Contains("no current"));
  drive.ampere = [](double) { return 0.0; };
  spec.kind = data::FrontEndKind::integrator;
  CHECK_THROWS_WITH(drive_front_end(spec, 0.0, drive), Catch::Contains("c_int_farad = 0"));
  CHECK_THROWS_WITH(drive_front_end(spec, 1e-12, drive, 1.0), Catch::Contains("tolerance = 1"));
  drive.window_s = 0.0;
  CHECK_THROWS_WITH(drive_front_end(spec, 1e-12, drive), Catch::Contains("window_s = 0"));
}

TEST_CASE("Op-amps at their swing are reported, and their waveform shows it", "[property]") {
  data::TileSpec tile = plain_tile(4, 3);
  tile.r_col_ohm = 300.0;
  tile.c_col_farad = 20e-15;
  tile.pulse.dac_bits = 5;
  tile.front_end.kind = data::FrontEndKind::integrator;
  Matrix g = random_conductances(tile, 4);
  g.col(1) *= 0.05;
  const IntVector codes = random_codes(4, 10, 15, 4);
  const Vector free = solve_transient(Crossbar(tile, g), codes).charge_coulomb;
  tile.front_end.c_int_farad = 0.5 * std::min(free[0], free[2]) / tile.front_end.swing_volt;
  TransientOptions options;
  options.record_every = 1;
  options.record_columns = {0, 1, 2};
  const auto result = solve_transient(Crossbar(tile, g), codes, options);
  REQUIRE(result.failure == "");
  CHECK(result.saturated_columns == 2);
  const auto& out = result.waveforms.front_end_volt;
  REQUIRE(out.rows() == static_cast<Index>(result.waveforms.time_s.size()));
  CHECK(out.col(0).minCoeff() < -0.6);
  CHECK(out.col(1).minCoeff() > -0.6);
  CHECK(result.waveforms.front_end_counts.size() == 0);
  for (const Index j : {0, 1, 2})
    CHECK(result.charge_coulomb[j] == Approx(-*tile.front_end.c_int_farad * (out(out.rows() - 1, j) - out(0, j))).epsilon(1e-12));
  CHECK(solve_transient(Crossbar(tile, g), IntVector::Zero(4)).saturated_columns == 0);
}
