// Many drives at once, and what makes hard meshes easy: both must not change an answer.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "nodal_oracle.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

Matrix random_drives(const Crossbar& crossbar, Index drives) {
  Matrix volt(drives, crossbar.lines());
  for (Index v = 0; v < drives; ++v)
    for (Index l = 0; l < crossbar.lines(); ++l)
      volt(v, l) = 0.4 * random_uniform({17, Stream::test, 2}, static_cast<std::uint64_t>(v), static_cast<std::uint64_t>(l)) - 0.1;
  return volt;
}

std::vector<bool> all_on(const Crossbar& crossbar) { return std::vector<bool>(static_cast<std::size_t>(crossbar.lines()), true); }

// Largest difference between a batch and its drives solved one by one, over the largest current.
double batch_error(const Crossbar& crossbar, const Matrix& volt, const std::vector<bool>& conducting) {
  const SteadyBatch batch = solve_steady_batch(crossbar, volt, conducting, 2);
  REQUIRE(batch.report.status == Status::ok);
  double worst = 0.0, most = 0.0;
  for (Index v = 0; v < volt.rows(); ++v) {
    const Vector alone = solve_steady(crossbar, {volt.row(v).transpose(), conducting}).sense_ampere;
    worst = std::max(worst, (alone - batch.sense_ampere.row(v).transpose()).cwiseAbs().maxCoeff());
    most = std::max(most, alone.cwiseAbs().maxCoeff());
  }
  return worst / most;
}

}  // namespace

TEST_CASE("A batch of drives gives what each of them gives alone", "[identity]") {
  struct Case {
    Index rows, cols, drives;
    double r;
    data::SenseEnd sense;
    data::DriverEnds drivers;
  };
  using data::DriverEnds;
  using data::SenseEnd;
  for (const auto& c : {Case{1, 1, 3, 1.0, SenseEnd::south, DriverEnds::west}, Case{5, 3, 9, 30.0, SenseEnd::alternate, DriverEnds::both},
                        Case{33, 29, 20, 0.35, SenseEnd::alternate, DriverEnds::west}, Case{64, 72, 17, 5.0, SenseEnd::north, DriverEnds::both},
                        Case{96, 80, 11, 100.0, SenseEnd::south, DriverEnds::west}, Case{20, 24, 1, 3.0, SenseEnd::south, DriverEnds::west}}) {
    data::TileSpec tile = plain_tile(c.rows, c.cols);
    tile.r_row_ohm = c.r;
    tile.r_col_ohm = 0.7 * c.r;
    tile.r_sense_ohm = 10.0;
    tile.sense = c.sense;
    tile.drivers = c.drivers;
    const Crossbar crossbar(tile, random_conductances(tile, 4));
    std::vector<bool> conducting = all_on(crossbar);
    CAPTURE(c.rows, c.cols, c.r);
    CHECK(batch_error(crossbar, random_drives(crossbar, c.drives), conducting) < 1e-11);
    if (c.rows < 4) continue;
    for (Index l = 0; l < c.rows; l += 3) conducting[static_cast<std::size_t>(l)] = false;
    CHECK(batch_error(crossbar, random_drives(crossbar, c.drives), conducting) < 1e-11);
  }
}

TEST_CASE("A batch takes ideal wires, bipolar pairs and cells that are not ohmic", "[identity]") {
  data::TileSpec tile = plain_tile(18, 14);
  const Matrix g = random_conductances(tile, 4);
  tile.r_row_ohm = 0.0;
  const Crossbar columns(tile, g);
  CHECK(batch_error(columns, random_drives(columns, 10), all_on(columns)) < 1e-12);
  tile.r_row_ohm = 6.0;
  tile.r_col_ohm = 0.0;
  const Crossbar rows(tile, g);
  CHECK(batch_error(rows, random_drives(rows, 10), all_on(rows)) < 1e-12);
  tile.r_col_ohm = 4.0;
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.1;
  const Crossbar sinh(tile, g);
  CHECK(batch_error(sinh, random_drives(sinh, 3), all_on(sinh)) < 1e-11);
  tile.cell.law = data::CellLaw::ohmic;
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  const Crossbar pairs(tile, g, random_conductances(tile, 5));
  CHECK(batch_error(pairs, random_drives(pairs, 12), all_on(pairs)) < 1e-11);
}

TEST_CASE("A batch does not depend on the number of threads", "[identity]") {
  const data::TileSpec tile = plain_tile(40, 36);
  const Crossbar crossbar(tile, random_conductances(tile, 4));
  const Matrix volt = random_drives(crossbar, 30);
  const Matrix one = solve_steady_batch(crossbar, volt, all_on(crossbar), 1).sense_ampere;
  CHECK(solve_steady_batch(crossbar, volt, all_on(crossbar), 3).sense_ampere == one);
}

TEST_CASE("A drive that is not a number is not answered", "[error]") {
  const data::TileSpec tile = plain_tile(20, 20);
  const Crossbar crossbar(tile, random_conductances(tile, 4));
  Matrix volt = random_drives(crossbar, 12);
  volt(7, 3) = std::numeric_limits<double>::quiet_NaN();
  CHECK(solve_steady_batch(crossbar, volt, all_on(crossbar)).report.status == Status::not_converged);
  CHECK_THROWS_WITH(solve_steady_batch(crossbar, Matrix::Zero(2, 19), all_on(crossbar)), Catch::Contains("20"));
}

TEST_CASE("Iterations hardly grow with wire resistance, and the answer stays that of sparse Cholesky", "[cross]") {
  for (const double r : {0.01, 1.0, 20.0, 100.0}) {
    data::TileSpec tile = plain_tile(144, 150);
    tile.r_row_ohm = r;
    tile.r_col_ohm = r;
    tile.sense = data::SenseEnd::alternate;
    Matrix g = random_conductances(tile, 6);
    for (Index j = 0; j < tile.cols; j += 3) g.col(j) *= 0.01;  // columns unlike each other
    const Crossbar crossbar(tile, g);
    LineDrive drive{random_drives(crossbar, 1).row(0).transpose(), all_on(crossbar)};
    for (Index l = 50; l < 70; ++l) drive.conducting[static_cast<std::size_t>(l)] = false;
    const SteadyState state = solve_steady(crossbar, drive);
    CAPTURE(r);
    CHECK(state.report.status == Status::ok);
    CHECK(state.report.iterations <= 16);
    const Vector oracle = NodalOracle(crossbar, drive).solve().sense_ampere;
    CHECK((state.sense_ampere - oracle).cwiseAbs().maxCoeff() < 1e-10 * oracle.cwiseAbs().maxCoeff());
    CHECK(state.report.sense_error < 1e-10);
  }
}

TEST_CASE("The estimate of the sense currents' error is one", "[property]") {
  data::TileSpec tile = plain_tile(128, 128);
  tile.r_row_ohm = tile.r_col_ohm = 5.0;
  const Crossbar crossbar(tile, random_conductances(tile, 6));
  const LineDrive drive{Vector::Constant(128, 0.2), all_on(crossbar)};
  const Vector exact = solve_steady(crossbar, drive, {.tolerance = 1e-14}).sense_ampere;
  for (const double tolerance : {1e-4, 1e-6, 1e-8}) {
    const SteadyState state = solve_steady(crossbar, drive, {.tolerance = tolerance});
    const double error = ((state.sense_ampere - exact).array() / exact.array()).abs().maxCoeff();
    CAPTURE(tolerance, error, state.report.sense_error);
    CHECK(error <= 3.0 * state.report.sense_error);
    CHECK(state.report.sense_error <= 1e3 * error);
  }
}

TEST_CASE("A trace of constant conductances changes nothing, and steps are weighted by their time", "[property]") {
  data::TileSpec tile = plain_tile(12, 9);
  tile.r_row_ohm = tile.r_col_ohm = 0.0;
  const Matrix g = random_conductances(tile, 3);
  const Crossbar crossbar(tile, g);
  const IntVector codes = random_codes(12, 0, 60, 5);
  const Vector alone = solve_charge(crossbar, codes).charge_coulomb;
  ChargeOptions options;
  options.trace.step_s = 7.3e-9;
  options.trace.mean = [&](Index, Array& out) { out = g.array(); };
  CHECK((solve_charge(crossbar, codes, options).charge_coulomb - alone).cwiseAbs().maxCoeff() < 1e-13 * alone.maxCoeff());
  // Twice the conductance from 14.6 ns on; without wires a row's charge is V sum of g dt.
  options.trace.mean = [&](Index step, Array& out) { out = g.array() * (step < 2 ? 1.0 : 2.0); };
  Vector expected = Vector::Zero(9);
  for (Index i = 0; i < 12; ++i) {
    const double t = codes[i] * 1e-9;
    expected += 0.2 * (std::min(t, 14.6e-9) + 2.0 * std::max(0.0, t - 14.6e-9)) * g.row(i).transpose();
  }
  CHECK((solve_charge(crossbar, codes, options).charge_coulomb - expected).cwiseAbs().maxCoeff() < 1e-13 * expected.maxCoeff());
  options.trace.mean = [&](Index, Array& out) { out = -g.array(); };
  CHECK_THROWS_WITH(solve_charge(crossbar, codes, options), Catch::Contains("trace") && Catch::Contains("0 to 1 siemens"));
}

TEST_CASE("Supply currents and wire charging of a tile without wire resistance", "[analytic]") {
  data::TileSpec tile = plain_tile(6, 5);
  tile.drive = data::Drive::level;
  tile.r_row_ohm = tile.r_col_ohm = 0.0;
  tile.c_row_farad = 2e-15;
  const Matrix g = random_conductances(tile, 3);
  const Crossbar crossbar(tile, g);
  IntVector codes(6);
  codes << 10, 0, 127, 64, 1, 0;
  const ChargeResult result = solve_charge(crossbar, codes);
  const double window = 129e-9;  // 128 codes and the settling time
  for (Index i = 0; i < 6; ++i) {
    const double current = 0.2 * g.row(i).sum();
    CHECK(result.peak_supply_ampere[i] == Approx(codes[i] > 0 ? current : 0.0).epsilon(1e-12));
    CHECK(result.average_supply_ampere[i] == Approx(current * codes[i] * 1e-9 / window).epsilon(1e-12).margin(1e-20));
  }
  CHECK(result.wire_charging_joule == Approx(4.0 * 5.0 * 2e-15 * 0.2 * 0.2).epsilon(1e-12));  // C V^2 for each of four pulses
}

TEST_CASE("An oscillator counts whole charges, and says when it cannot follow", "[analytic]") {
  data::TileSpec tile = plain_tile(6, 5);
  tile.r_row_ohm = tile.r_col_ohm = 0.0;
  tile.front_end.kind = data::FrontEndKind::cco;
  tile.front_end.charge_per_count_coulomb = 16e-15;
  tile.front_end.highest_frequency_hz = 1e12;
  const Crossbar crossbar(tile, random_conductances(tile, 3));
  const IntVector codes = random_codes(6, 20, 127, 5);
  data::TileSpec plain = tile;
  plain.front_end = {};
  const Vector charge = solve_charge(Crossbar(plain, random_conductances(tile, 3)), codes).charge_coulomb;
  const ChargeResult counted = solve_charge(crossbar, codes);
  CHECK(counted.saturated_columns == 0);
  for (Index j = 0; j < 5; ++j) CHECK(counted.charge_coulomb[j] == Approx(std::floor(charge[j] / 16e-15) * 16e-15).epsilon(1e-12));

  tile.front_end.counter_bits = 3;
  const ChargeResult full = solve_charge(Crossbar(tile, random_conductances(tile, 3)), codes);
  CHECK(full.saturated_columns == 5);
  CHECK(full.charge_coulomb.maxCoeff() == Approx(7.0 * 16e-15));

  tile.front_end.counter_bits = 20;
  tile.front_end.highest_frequency_hz = 1e8;  // 1.6 uA
  const ChargeResult slow = solve_charge(Crossbar(tile, random_conductances(tile, 3)), codes);
  CHECK(slow.saturated_columns == 5);
  CHECK(slow.charge_coulomb.maxCoeff() < 1.6e-6 * 128e-9);
}
