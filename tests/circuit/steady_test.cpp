#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "nodal_oracle.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

LineDrive uniform_drive(const Crossbar& crossbar, double volt) {
  return {Vector::Constant(crossbar.lines(), volt), std::vector<bool>(static_cast<std::size_t>(crossbar.lines()), true)};
}

LineDrive random_drive(const Crossbar& crossbar, std::uint64_t seed, double closed = 1.0) {
  LineDrive drive = uniform_drive(crossbar, 0.0);
  for (Index l = 0; l < crossbar.lines(); ++l) {
    drive.line_volt[l] = crossbar.tile.v_read_volt * random_uniform({seed, Stream::test, 5}, static_cast<std::uint64_t>(l), 0);
    drive.conducting[static_cast<std::size_t>(l)] = random_uniform({seed, Stream::test, 6}, static_cast<std::uint64_t>(l), 0) < closed;
  }
  return drive;
}

double relative(const Eigen::Ref<const Vector>& a, const Eigen::Ref<const Vector>& b) {
  return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff();
}

// A uniform ladder with an open far end. u_k = A cosh((k + 1/2) a) solves u_{k+1} - 2 u_k + u_{k-1} = r g u_k with
// 2 cosh a = 2 + r g; u = V one segment behind the last cell gives A; the current is the last segment's, written without differences.
double uniform_ladder_current(Index rows, double r, double g, double volt) {
  const double a = 2.0 * std::asinh(0.5 * std::sqrt(r * g));
  const double n = static_cast<double>(rows);
  return volt * 2.0 * std::sinh(n * a) * std::sinh(0.5 * a) / (r * std::cosh((n + 0.5) * a));
}

}  // namespace

TEST_CASE("A uniform column is the closed-form ladder", "[analytic]") {
  for (const Index rows : {1, 2, 7, 64, 512})
    for (const double r : {0.01, 0.35, 20.0}) {
      data::TileSpec tile = plain_tile(rows, 3);
      tile.r_row_ohm = 0.0;
      tile.r_col_ohm = r;
      const Crossbar crossbar(tile, Matrix::Constant(rows, 3, 25e-6));
      const auto state = solve_steady(crossbar, uniform_drive(crossbar, 0.2));
      CAPTURE(rows, r);
      CHECK(state.sense_ampere[1] == Approx(uniform_ladder_current(rows, r, 25e-6, 0.2)).epsilon(1e-11));
    }
}

TEST_CASE("A uniform row with grounded columns is the closed-form ladder, from one end or both", "[analytic]") {
  const Index cols = 40;
  const double r = 3.0, g = 25e-6;
  data::TileSpec tile = plain_tile(1, cols);
  tile.r_row_ohm = r;
  tile.r_col_ohm = 0.0;
  const Crossbar west(tile, Matrix::Constant(1, cols, g));
  const double total = solve_steady(west, uniform_drive(west, 0.2)).sense_ampere.sum();
  CHECK(total == Approx(uniform_ladder_current(cols, r, g, 0.2)).epsilon(1e-12));
  // Two drivers: by symmetry each feeds half the row.
  tile.drivers = data::DriverEnds::both;
  const Crossbar both(tile, Matrix::Constant(1, cols, g));
  CHECK(solve_steady(both, uniform_drive(both, 0.2)).sense_ampere.sum() ==
        Approx(2.0 * uniform_ladder_current(cols / 2, r, g, 0.2)).epsilon(1e-12));
}

TEST_CASE("One cell with every resistance in series", "[analytic]") {
  data::TileSpec tile = plain_tile(1, 1);
  tile.r_row_ohm = 3.0;
  tile.r_col_ohm = 5.0;
  tile.r_driver_ohm = 70.0;
  tile.r_sense_ohm = 110.0;
  tile.sense_segment = 0.5;
  tile.selector.r_on_ohm = 1300.0;
  const Crossbar crossbar(tile, Matrix::Constant(1, 1, 20e-6));
  const double total = 3.0 + 70.0 + 1300.0 + 1.0 / 20e-6 + 2.5 + 110.0;
  const auto state = solve_steady(crossbar, uniform_drive(crossbar, 0.2));
  CHECK(state.sense_ampere[0] == Approx(0.2 / total).epsilon(1e-14));
  CHECK(state.power.source == Approx(0.2 * 0.2 / total).epsilon(1e-13));
  CHECK(state.power.drivers == Approx(70.0 * std::pow(0.2 / total, 2)).epsilon(1e-13));
  CHECK(state.power.senses == Approx(110.0 * std::pow(0.2 / total, 2)).epsilon(1e-13));
  CHECK(state.power.row_wires == Approx(3.0 * std::pow(0.2 / total, 2)).epsilon(1e-9));
  CHECK(state.power.column_wires == Approx(2.5 * std::pow(0.2 / total, 2)).epsilon(1e-9));
}

TEST_CASE("The chain solve agrees with sparse Cholesky", "[cross]") {
  struct Case {
    Index rows, cols;
    double r;
    data::SenseEnd sense;
    data::DriverEnds drivers;
    double closed;
    bool bipolar;
  };
  using data::DriverEnds;
  using data::SenseEnd;
  for (const auto& c : {Case{1, 1, 1.0, SenseEnd::south, DriverEnds::west, 1.0, false},
                        Case{1, 9, 5.0, SenseEnd::north, DriverEnds::both, 1.0, false},
                        Case{17, 1, 5.0, SenseEnd::north, DriverEnds::west, 0.7, false},
                        Case{40, 33, 0.01, SenseEnd::alternate, DriverEnds::west, 0.5, false},
                        Case{33, 40, 100.0, SenseEnd::alternate, DriverEnds::both, 0.6, false},
                        Case{24, 20, 20.0, SenseEnd::alternate, DriverEnds::west, 1.0, true},
                        Case{128, 128, 0.35, SenseEnd::south, DriverEnds::west, 1.0, false},
                        Case{128, 96, 20.0, SenseEnd::alternate, DriverEnds::both, 0.5, false}}) {
    data::TileSpec tile = plain_tile(c.rows, c.cols);
    tile.r_row_ohm = c.r;
    tile.r_col_ohm = 1.3 * c.r;
    tile.r_driver_ohm = 12.0;
    tile.r_sense_ohm = 30.0;
    tile.selector.r_on_ohm = 500.0;
    tile.sense = c.sense;
    tile.drivers = c.drivers;
    Matrix g = random_conductances(tile, 11);
    g(0, 0) = c.rows * c.cols > 1 ? 0.0 : g(0, 0);  // an open cell
    if (c.bipolar) {
      tile.drive = data::Drive::bipolar;
      tile.weight_layout = data::WeightLayout::bipolar;
    }
    const Crossbar crossbar = c.bipolar ? Crossbar(tile, g, random_conductances(tile, 12)) : Crossbar(tile, g);
    const LineDrive drive = random_drive(crossbar, 3, c.closed);
    const auto state = solve_steady(crossbar, drive);
    CAPTURE(c.rows, c.cols, c.r, c.bipolar);
    CHECK(state.report.status == Status::ok);
    const auto oracle = NodalOracle(crossbar, drive).solve();
    CHECK(relative(state.sense_ampere, oracle.sense_ampere) < 1e-10);
    Matrix row_volt = -state.row_drop_volt.matrix();
    row_volt.colwise() += drive.line_volt;
    CHECK((row_volt - oracle.row_volt).cwiseAbs().maxCoeff() < 1e-10 * tile.v_read_volt);
    for (Index l = 0; l < crossbar.lines(); ++l)
      CHECK((state.column_volt.row(l).matrix() - oracle.column_volt.row(crossbar.row_of_line(l))).cwiseAbs().maxCoeff() < 1e-10 * tile.v_read_volt);
  }
}

TEST_CASE("Wires without resistance give the ideal product exactly", "[property]") {
  data::TileSpec tile = plain_tile(30, 20);
  tile.r_row_ohm = tile.r_col_ohm = 0.0;
  const Matrix g = random_conductances(tile, 2);
  const Crossbar crossbar(tile, g);
  const LineDrive drive = random_drive(crossbar, 4);
  CHECK(relative(solve_steady(crossbar, drive).sense_ampere, g.transpose() * drive.line_volt) < 1e-15 * 30);
}

TEST_CASE("A vanishing wire resistance approaches the ideal product in first order", "[order]") {
  data::TileSpec tile = plain_tile(30, 20);
  const Matrix g = random_conductances(tile, 2);
  const auto error = [&](double r) {
    tile.r_row_ohm = tile.r_col_ohm = r;
    const Crossbar crossbar(tile, g);
    const LineDrive drive = random_drive(crossbar, 4);
    return relative(solve_steady(crossbar, drive).sense_ampere, g.transpose() * drive.line_volt);
  };
  const double order = std::log2(error(0.02) / error(0.01));
  CHECK(order == Approx(1.0).margin(0.01));
}

TEST_CASE("A linear network is reciprocal and superposes", "[property]") {
  data::TileSpec tile = plain_tile(25, 18);
  tile.drive = data::Drive::level;
  tile.r_driver_ohm = tile.r_sense_ohm = 20.0;
  tile.sense = data::SenseEnd::alternate;
  const Crossbar crossbar(tile, random_conductances(tile, 8));
  const Matrix w = effective_matrix(crossbar, 2);
  // W came from driving the senses; driving the rows must give the same currents.
  LineDrive unit = uniform_drive(crossbar, 0.0);
  for (const Index i : {0, 7, 24}) {
    unit.line_volt.setZero();
    unit.line_volt[i] = 1.0;
    CHECK(relative(solve_steady(crossbar, unit).sense_ampere, w.row(i).transpose()) < 1e-12);
  }
  const LineDrive a = random_drive(crossbar, 1), b = random_drive(crossbar, 2);
  LineDrive sum = a;
  sum.line_volt += b.line_volt;
  const Vector added = solve_steady(crossbar, a).sense_ampere + solve_steady(crossbar, b).sense_ampere;
  CHECK(relative(solve_steady(crossbar, sum).sense_ampere, added) < 1e-12);
}

TEST_CASE("Gated rows do not superpose", "[property]") {
  data::TileSpec tile = plain_tile(64, 8);
  const Crossbar crossbar(tile, random_conductances(tile, 8));
  LineDrive all = uniform_drive(crossbar, 0.2), first = all, second = all;
  for (std::size_t l = 0; l < 64; ++l) (l < 32 ? second : first).conducting[l] = false;
  const Vector added = solve_steady(crossbar, first).sense_ampere + solve_steady(crossbar, second).sense_ampere;
  CHECK(relative(solve_steady(crossbar, all).sense_ampere, added) > 1e-3);
}

TEST_CASE("Power, node voltages and sensed current obey their laws", "[property]") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    data::TileSpec tile = plain_tile(40, 30);
    tile.r_row_ohm = 7.0;
    tile.r_col_ohm = 4.0;
    tile.r_driver_ohm = 30.0;
    tile.r_sense_ohm = 60.0;
    tile.sense = data::SenseEnd::alternate;
    const Matrix g = random_conductances(tile, seed);
    const Crossbar crossbar(tile, g);
    const LineDrive drive = random_drive(crossbar, seed, 0.6);
    const auto state = solve_steady(crossbar, drive);
    const auto report = check_steady(crossbar, drive, state);
    CHECK(report.kirchhoff < 1e-10);
    CHECK(report.power_balance < 1e-10);
    CHECK(report.current_balance < 1e-11);
    CHECK(report.maximum_principle <= 0.0);
  }
}

TEST_CASE("Sinh cells with a series resistance meet Kirchhoff's law in every node", "[property]") {
  data::TileSpec tile = plain_tile(20, 16);
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.05;
  tile.selector.r_on_ohm = 2000.0;
  tile.r_row_ohm = tile.r_col_ohm = 20.0;
  const Matrix g = random_conductances(tile, 5);
  const Crossbar crossbar(tile, g);
  const LineDrive drive = random_drive(crossbar, 9, 0.8);
  const auto state = solve_steady(crossbar, drive);
  REQUIRE(state.report.status == Status::ok);
  CHECK(state.report.newton_steps > 1);
  const auto report = check_steady(crossbar, drive, state);
  CHECK(report.kirchhoff < 1e-10);
  CHECK(report.power_balance < 1e-10);
  // The law itself, cell by cell: v = r_on i + v_h asinh(i / (G v_h)).
  double worst = 0.0;
  for (Index l = 0; l < 20; ++l)
    for (Index j = 0; j < 16 && drive.conducting[static_cast<std::size_t>(l)]; ++j) {
      const double i = state.cell_ampere(l, j);
      const double v = drive.line_volt[l] - state.row_drop_volt(l, j) - state.column_volt(l, j);
      worst = std::max(worst, std::abs(v - 2000.0 * i - 0.05 * std::asinh(i / (g(l, j) * 0.05))));
    }
  CHECK(worst < 1e-12);
}

TEST_CASE("Kirchhoff's law is noticed when broken", "[property]") {
  data::TileSpec tile = plain_tile(6, 5);
  const Crossbar crossbar(tile, random_conductances(tile, 5));
  const LineDrive drive = uniform_drive(crossbar, 0.2);
  auto state = solve_steady(crossbar, drive);
  state.column_volt(3, 2) += 1e-9;
  CHECK(check_steady(crossbar, drive, state).kirchhoff > 1e-5);
}

TEST_CASE("An iteration limit gives a status, not an answer", "[error]") {
  data::TileSpec tile = plain_tile(64, 64);
  tile.r_row_ohm = tile.r_col_ohm = 100.0;
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  SteadyOptions options;
  options.max_iterations = 2;
  CHECK(solve_steady(crossbar, uniform_drive(crossbar, 0.2), options).report.status == Status::not_converged);
}

TEST_CASE("Bad conductances are refused by name and place", "[error]") {
  const data::TileSpec tile = plain_tile(3, 4);
  Matrix g = Matrix::Constant(3, 4, 1e-6);
  g(2, 1) = std::nan("");
  CHECK_THROWS_WITH(Crossbar(tile, g), Catch::Contains("row 2, column 1") && Catch::Contains("0 to 1 siemens"));
  g(2, 1) = -1e-9;
  CHECK_THROWS_WITH(Crossbar(tile, g), Catch::Contains("row 2, column 1"));
  CHECK_THROWS_WITH(Crossbar(tile, Matrix::Zero(3, 3)), Catch::Contains("3 x 3") && Catch::Contains("3 x 4"));
  CHECK_THROWS_WITH(Crossbar(tile, Matrix::Zero(3, 4), Matrix::Zero(3, 4)), Catch::Contains("bipolar"));
  data::TileSpec gated = tile;
  const Crossbar crossbar(gated, Matrix::Constant(3, 4, 1e-6));
  CHECK_THROWS_WITH(effective_matrix(crossbar), Catch::Contains("linear") && Catch::Contains("gated"));
  CHECK_THROWS_WITH(solve_charge(crossbar, IntVector::Constant(3, 128)), Catch::Contains("128") && Catch::Contains("127"));
}
