// Charge of rows that drop out one after another, solved in sweeps over all intervals: against the general
// method, which solves every interval by conjugate gradients (and is the one that accounts for energy).
#include <catch2/catch.hpp>
#include <vector>

#include "circuit/strip_kernels.hpp"
#include "circuit/strip_mesh.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

ChargeResult charge_of(const Crossbar& crossbar, const IntVector& codes, bool energy) {
  ChargeOptions options;
  options.energy = energy;
  return solve_charge(crossbar, codes, options);
}

double charge_error(const Vector& a, const Vector& b) {
  return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("Gated charge by sweeps is that of conjugate gradients", "[identity]") {
  using namespace data;
  struct Shape {
    Index rows, cols;
  };
  std::uint64_t number = 0;
  for (const Shape shape : {Shape{1, 1}, Shape{2, 7}, Shape{9, 3}, Shape{37, 41}, Shape{70, 33}})
    for (const SenseEnd sense : {SenseEnd::south, SenseEnd::north, SenseEnd::alternate})
      for (const int variant : {0, 1, 2, 3, 4}) {
        ++number;
        TileSpec tile = plain_tile(shape.rows, shape.cols);
        tile.sense = sense;
        tile.r_row_ohm = variant == 3 ? 0.0 : 5.0;
        tile.r_driver_ohm = variant == 1 || variant == 3 ? 30.0 : 0.0;
        tile.r_col_ohm = variant == 4 ? 0.0 : 7.0;
        tile.r_sense_ohm = variant >= 2 ? 40.0 : 0.0;
        tile.sense_segment = variant == 1 ? 0.0 : 1.0;
        tile.drivers = variant == 2 ? DriverEnds::both : DriverEnds::west;
        tile.selector.r_on_ohm = variant == 2 ? 1000.0 : 0.0;
        tile.c_row_farad = variant == 1 ? 0.0 : 50e-15;
        tile.c_col_farad = variant == 2 ? 0.0 : 80e-15;
        tile.pulse.dac_bits = 6;
        tile.pulse.t_lsb_s = tile.pulse.t_settle_s = 100e-9;
        tile.pulse.passes = variant == 1 ? Passes::split : Passes::conventional;
        tile.pulse.sign = variant == 4 ? SignMode::bipolar : SignMode::two_phase;
        const Crossbar crossbar(tile, random_conductances(tile, number));
        IntVector codes = random_codes(shape.rows, -31, 31, number);
        codes[0] = 9;
        CAPTURE(shape.rows, shape.cols, to_name(sense), variant);
        const ChargeResult general = charge_of(crossbar, codes, true),
                           sweeps = charge_of(crossbar, codes, false);
        REQUIRE(general.status == Status::ok);
        REQUIRE(sweeps.status == Status::ok);
        CHECK(charge_error(sweeps.charge_coulomb, general.charge_coulomb) < 1e-11);
        CHECK(sweeps.rc_share == Approx(general.rc_share).margin(1e-11));
        CHECK(sweeps.intervals == general.intervals);
        CHECK(sweeps.shortest_interval_s == Approx(general.shortest_interval_s).epsilon(1e-9));
      }
}

TEST_CASE("Charge of a row that conducts alone does not depend on the rows that have stopped", "[analytic]") {
  // One row, one column: the cell in series with both wires, V t / R; with more rows the columns' wires are
  // longer.
  data::TileSpec tile = plain_tile(3, 1);
  tile.r_row_ohm = 11.0;
  tile.r_col_ohm = 13.0;
  Matrix g(3, 1);
  g << 20e-6, 5e-6, 10e-6;
  const IntVector codes = (IntVector(3) << 100, 0, 0).finished();
  const double ohm = 11.0 + 1.0 / 20e-6 + 3 * 13.0;
  const ChargeResult alone = charge_of(Crossbar(tile, g), codes, false);
  CHECK(alone.charge_coulomb[0] == Approx(tile.v_read_volt * 100e-9 / ohm).epsilon(1e-12));
  // And once a second row has stopped, the rest of the charge is the same.
  const IntVector both = (IntVector(3) << 100, 0, 40).finished();
  const IntVector shorter = (IntVector(3) << 60, 0, 0).finished();
  const IntVector together = (IntVector(3) << 40, 0, 40).finished();
  const double sum = charge_of(Crossbar(tile, g), shorter, false).charge_coulomb[0] +
                     charge_of(Crossbar(tile, g), together, false).charge_coulomb[0];
  CHECK(charge_of(Crossbar(tile, g), both, false).charge_coulomb[0] == Approx(sum).epsilon(1e-11));
}

TEST_CASE("Gated charge takes resistive tiles, open cells and unequal columns", "[identity]") {
  for (const double ohm : {0.01, 30.0, 300.0}) {
    data::TileSpec tile = plain_tile(96, 64);
    tile.r_row_ohm = tile.r_col_ohm = ohm;
    tile.sense = data::SenseEnd::alternate;
    Matrix g = random_conductances(tile, 3);
    for (Index i = 0; i < g.rows(); ++i)
      for (Index j = 0; j < g.cols(); ++j) g(i, j) *= (i * 7 + j) % 5 == 0 ? 0.0 : (j % 3 == 0 ? 0.02 : 1.0);
    const Crossbar crossbar(tile, g);
    const IntVector codes = random_codes(96, 0, 12, 5);
    CAPTURE(ohm);
    const ChargeResult general = charge_of(crossbar, codes, true), sweeps = charge_of(crossbar, codes, false);
    REQUIRE(sweeps.status == Status::ok);
    CHECK(charge_error(sweeps.charge_coulomb, general.charge_coulomb) < 1e-10);
  }
}

TEST_CASE("Gated charge says so when it may not iterate enough", "[error]") {
  data::TileSpec tile = plain_tile(64, 64);
  tile.r_row_ohm = tile.r_col_ohm = 20.0;
  const Crossbar crossbar(tile, random_conductances(tile, 3));
  ChargeOptions options;
  options.energy = false;
  options.steady.max_iterations = 2;
  CHECK(solve_charge(crossbar, random_codes(64, 0, 12, 5), options).status == Status::not_converged);
}

TEST_CASE("The sweeps for wide vectors do what the others do", "[kernel]") {
  if (!strip_kernels::has_avx512()) return;
  using namespace strip_kernels;
  constexpr Index slots = 16, strips = 2, cols = 60;
  const auto random = [](std::uint32_t stream) {
    std::vector<double> values(static_cast<std::size_t>(slots * strips * kStrip));
    for (std::size_t k = 0; k < values.size(); ++k)
      values[k] = random_uniform({5, Stream::test, stream}, k, 0);
    return values;
  };
  const auto field = [](const std::vector<double>& values) {
    return Field{values.data(), slots * kStrip, kStrip};
  };
  const auto g = random(1), drop = random(2), charge = random(3), before = random(4), now = random(5),
             pass = random(6), column_in = random(7);
  const auto pattern = random(8), change = random(9);
  const std::vector<double> volt(slots, 0.3);
  const std::vector<Index> order{3, 0, 7, 5, 12, 1};
  const std::vector<double> ohm{1.0, 0.5, 0.0, 2.0, 1.0, 3.0};
  std::vector<Index> offset;
  std::vector<double> row_ohm(cols, 0.7);
  for (Index j = 0; j < cols; ++j) offset.push_back((cols - 1 - j) * kRowLanes);
  for (const bool charges : {false, true})
    for (const bool sense_only : {false, true}) {
      std::vector<std::vector<double>> columns_out, rows_out;
      std::vector<double> worst;
      for (const Table* const table : {&table_base(), &table_avx512()}) {
        std::vector<double> share(slots * kStrip, 0.0), column(slots * kStrip, 0.0), current(kStrip, 0.0);
        Columns task;
        task.strip = 1;
        task.order = order.data();
        task.ohm = ohm.data();
        task.count = static_cast<Index>(order.size());
        task.g = field(g);
        task.drop = field(drop);
        task.pattern = {pattern.data(), 2 * strips};
        task.volt = charges ? nullptr : volt.data();
        task.charge = field(charge);
        task.share = share.data();
        task.column = column.data();
        task.current = current.data();
        for (task.half = 0; task.half < 2; ++task.half) {
          task.factor = true;
          task.sense_only = false;
          table->columns(task);
          task.factor = false;
          task.sense_only = sense_only;
          table->columns(task);
        }
        column.insert(column.end(), current.begin(), current.end());
        columns_out.push_back(column);

        std::vector<double> next(g.size(), 0.0), buffer(strips * kStrip * kRowLanes, 0.0),
            moments(kRowLanes * strips * 2, 0.0);
        Rows rows;
        rows.first = 8;
        rows.strips = strips;
        rows.cols = cols;
        rows.offset = offset.data();
        rows.ohm = row_ohm.data();
        rows.pass = pass.data();
        rows.g = field(g);
        rows.column = field(column_in);
        rows.drop = field(drop);
        rows.pattern = {pattern.data(), 2 * strips};
        rows.next = next.data();
        rows.volt = charges ? nullptr : volt.data();
        rows.before = field(before);
        rows.now = field(now);
        rows.change = {change.data(), 2 * strips};
        rows.farad = 0.4;
        rows.buffer = buffer.data();
        rows.moments = moments.data();
        worst.push_back(table->rows(rows));
        next.insert(next.end(), moments.begin(), moments.end());
        rows_out.push_back(next);
      }
      const auto distance = [](const std::vector<std::vector<double>>& two) {
        double most = 0.0, size = 0.0;
        for (std::size_t k = 0; k < two[0].size(); ++k) {
          most = std::max(most, std::abs(two[0][k] - two[1][k]));
          size = std::max(size, std::abs(two[0][k]));
        }
        REQUIRE(size > 0.1);
        return most / size;
      };
      CAPTURE(charges, sense_only);
      CHECK(distance(columns_out) < 1e-13);
      CHECK(distance(rows_out) < 1e-13);
      CHECK(worst[1] == Approx(worst[0]).epsilon(1e-13));
    }
}
