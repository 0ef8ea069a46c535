#include <Eigen/LU>
#include <catch2/catch.hpp>
#include <cmath>

#include "device/cell.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

data::TileSpec mos_tile(Index rows, Index cols, double r_ohm) {
  data::TileSpec tile = plain_tile(rows, cols);
  tile.r_row_ohm = tile.r_col_ohm = r_ohm;
  tile.selector.kind = data::SelectorKind::mos;
  return tile;
}

LineDrive drive_all(const Crossbar& crossbar, std::uint64_t seed) {
  LineDrive drive{Vector(crossbar.lines()), std::vector<bool>(static_cast<std::size_t>(crossbar.lines()), true)};
  for (Index l = 0; l < crossbar.lines(); ++l)
    drive.line_volt[l] = crossbar.polarity(l) * crossbar.tile.v_read_volt * (2.0 * random_uniform({seed, Stream::test, 5}, static_cast<std::uint64_t>(l), 0) - 0.5);
  return drive;
}

// Newton with dense LU on all wire nodes, the cells' slopes by central differences: shares only the law of one cell with the solver.
class DenseNetwork {
 public:
  DenseNetwork(const Crossbar& crossbar, const LineDrive& drive) : crossbar_(crossbar), drive_(drive) {}

  Vector sense_ampere() {
    const Index count = (crossbar_.lines() + crossbar_.rows()) * crossbar_.cols();
    Vector v = Vector::Zero(count);
    for (int step = 0; step < 60; ++step) {
      matrix_ = Matrix::Zero(count, count);
      f_ = Vector::Zero(count);
      assemble(v);
      const Vector change = matrix_.partialPivLu().solve(f_);
      v -= change;
      if (change.cwiseAbs().maxCoeff() < 1e-15) break;
    }
    Vector sense(crossbar_.cols());
    for (Index j = 0; j < sense.size(); ++j) sense[j] = v[end(j)] / end_ohm();
    return sense;
  }

 private:
  Index row(Index l, Index j) const { return l * crossbar_.cols() + j; }
  Index column(Index i, Index j) const { return (crossbar_.lines() + i) * crossbar_.cols() + j; }
  Index end(Index j) const { return column(crossbar_.tile.sensed_north(j) ? 0 : crossbar_.rows() - 1, j); }
  double end_ohm() const { return crossbar_.tile.sense_segment * crossbar_.tile.r_col_ohm + crossbar_.tile.r_sense_ohm; }

  void ground(Index a, double r, double volt, const Vector& v) {
    f_[a] += (v[a] - volt) / r;
    matrix_(a, a) += 1.0 / r;
  }
  void resistor(Index a, Index b, double r, const Vector& v) {
    const double i = (v[a] - v[b]) / r;
    f_[a] += i;
    f_[b] -= i;
    matrix_(a, a) += 1.0 / r;
    matrix_(b, b) += 1.0 / r;
    matrix_(a, b) -= 1.0 / r;
    matrix_(b, a) -= 1.0 / r;
  }
  void cell(Index a, Index b, double g, const Vector& v) {
    const auto& tile = crossbar_.tile;
    const auto current = [&](double up, double down) {
      return device::cell_branch(tile.cell, tile.selector, g, v[a] + up, v[b] + down, tile.selector.gate_on_volt).current_ampere;
    };
    const double h = 1e-6, i = current(0.0, 0.0);
    const double by_a = (current(h, 0.0) - current(-h, 0.0)) / (2.0 * h), by_b = (current(0.0, h) - current(0.0, -h)) / (2.0 * h);
    f_[a] += i;
    f_[b] -= i;
    matrix_(a, a) += by_a;
    matrix_(a, b) += by_b;
    matrix_(b, a) -= by_a;
    matrix_(b, b) -= by_b;
  }

  void assemble(const Vector& v) {
    const auto& tile = crossbar_.tile;
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      ground(row(l, 0), tile.r_driver_ohm + tile.r_row_ohm, drive_.line_volt[l], v);
      if (tile.drivers == data::DriverEnds::both) ground(row(l, tile.cols - 1), tile.r_driver_ohm + tile.r_row_ohm, drive_.line_volt[l], v);
      for (Index j = 0; j + 1 < tile.cols; ++j) resistor(row(l, j), row(l, j + 1), tile.r_row_ohm, v);
      for (Index j = 0; j < tile.cols && drive_.conducting[static_cast<std::size_t>(l)]; ++j)
        cell(row(l, j), column(crossbar_.row_of_line(l), j), crossbar_.conductance_siemens(l, j), v);
    }
    for (Index j = 0; j < tile.cols; ++j) {
      for (Index i = 0; i + 1 < tile.rows; ++i) resistor(column(i, j), column(i + 1, j), tile.r_col_ohm, v);
      ground(end(j), end_ohm(), 0.0, v);
    }
  }

  const Crossbar& crossbar_;
  LineDrive drive_;
  Matrix matrix_;
  Vector f_;
};

// Kirchhoff's law in every wire node from the node voltages and the law of one cell, over the largest cell current.
double kirchhoff(const Crossbar& crossbar, const LineDrive& drive, const SteadyState& state) {
  const auto& tile = crossbar.tile;
  const device::CellModel cells(tile.cell, tile.selector);
  Array current(crossbar.lines(), crossbar.cols());
  for (Index l = 0; l < crossbar.lines(); ++l)
    for (Index j = 0; j < crossbar.cols(); ++j)
      current(l, j) = cells.branch(crossbar.conductance_siemens(l, j), drive.line_volt[l] - state.row_drop_volt(l, j), state.column_volt(l, j),
                                   tile.selector.gate_on_volt).current_ampere;
  double worst = 0.0;
  // Drops sum up the currents behind them: checked as voltages over one wire segment, so that good wires do not hide cell currents.
  for (Index l = 0; l < crossbar.lines(); ++l) {
    double behind = 0.0, rounding = 0.0;
    for (Index j = crossbar.cols() - 1; j >= 0; --j) {
      behind += current(l, j);
      const double before = j > 0 ? state.row_drop_volt(l, j - 1) : 0.0;
      rounding = 4e-16 * std::abs(state.row_drop_volt(l, j)) / tile.r_row_ohm;
      worst = std::max(worst, std::abs((state.row_drop_volt(l, j) - before) / tile.r_row_ohm - behind) - rounding);
    }
  }
  for (Index j = 0; j < crossbar.cols(); ++j) {
    double behind = 0.0;
    for (Index i = 0; i < crossbar.rows(); ++i) {
      behind += current(i, j);
      const double next = i + 1 < crossbar.rows() ? state.column_volt(i + 1, j) : 0.0;
      const double rounding = 4e-16 * std::abs(state.column_volt(i, j)) / tile.r_col_ohm;
      worst = std::max(worst, std::abs((state.column_volt(i, j) - next) / tile.r_col_ohm - behind) - rounding);
    }
  }
  return worst / current.abs().maxCoeff();
}

}  // namespace

TEST_CASE("Transistor tiles agree with Newton's method on the dense network", "[cross]") {
  using namespace data;
  std::uint64_t number = 0;
  for (const CellLaw law : {CellLaw::ohmic, CellLaw::sinh})
    for (const SenseEnd sense : {SenseEnd::south, SenseEnd::north, SenseEnd::alternate})
      for (const double r : {0.35, 20.0, 300.0})
        for (const bool bipolar : {false, true}) {
          ++number;
          TileSpec tile = mos_tile(5, 4, r);
          tile.cell.law = law;
          tile.cell.v_h_volt = 0.06;
          tile.sense = sense;
          tile.r_driver_ohm = number % 2 == 0 ? 150.0 : 0.0;
          tile.r_sense_ohm = number % 3 == 0 ? 200.0 : 0.0;
          tile.drivers = number % 4 == 1 ? DriverEnds::both : DriverEnds::west;
          tile.g_max_siemens = 200e-6;
          tile.drive = bipolar ? Drive::bipolar : Drive::level;
          tile.weight_layout = bipolar ? WeightLayout::bipolar : WeightLayout::single;
          const Matrix g = random_conductances(tile, number);
          const Crossbar crossbar = bipolar ? Crossbar(tile, g, random_conductances(tile, number, 1)) : Crossbar(tile, g);
          LineDrive drive = drive_all(crossbar, number);
          if (number % 5 == 0) drive.conducting[1] = false;
          const SteadyState state = solve_steady(crossbar, drive);
          CAPTURE(number, to_name(law), to_name(sense), r, bipolar);
          REQUIRE(state.report.status == Status::ok);
          CHECK(state.report.kirchhoff_error <= 1e-13);
          const Vector expected = DenseNetwork(crossbar, drive).sense_ampere();
          CHECK((state.sense_ampere - expected).cwiseAbs().maxCoeff() <= 1e-10 * expected.cwiseAbs().maxCoeff());
        }
}

TEST_CASE("Non-linear tiles converge by themselves from 0.01 to 100 ohm per cell and fulfil Kirchhoff's law in every node", "[property]") {
  for (const data::CellLaw law : {data::CellLaw::ohmic, data::CellLaw::sinh})
    for (const data::SelectorKind selector : {data::SelectorKind::resistor, data::SelectorKind::mos})
      for (const double v_h : {0.25, 0.05})
        for (const double r : {0.01, 1.0, 100.0}) {
          if (law == data::CellLaw::ohmic && (selector == data::SelectorKind::resistor || v_h < 0.1)) continue;
          data::TileSpec tile = mos_tile(64, 64, r);
          tile.cell.law = law;
          tile.cell.v_h_volt = v_h;
          tile.selector.kind = selector;
          const Crossbar crossbar(tile, random_conductances(tile, 3));
          const LineDrive drive = drive_all(crossbar, 3);
          const SteadyState state = solve_steady(crossbar, drive);
          CAPTURE(data::to_name(law), data::to_name(selector), v_h, r, state.report.newton_steps, state.report.kirchhoff_error);
          REQUIRE(state.report.status == Status::ok);
          CHECK(state.report.kirchhoff_error <= 1e-13);
          CHECK(state.report.newton_steps <= 12);
          // Of 64 currents a wire carries: rounding of the sums, and the 64 nodes' own errors.
          CHECK(kirchhoff(crossbar, drive, state) < 64 * 2e-13);
        }
}

TEST_CASE("Ideal wires on either side leave a transistor tile its exact limit", "[analytic]") {
  // Both sides ideal: every cell sits between its drive and the virtual ground.
  data::TileSpec tile = mos_tile(6, 5, 0.0);
  const Crossbar crossbar(tile, random_conductances(tile, 8));
  const LineDrive drive = drive_all(crossbar, 8);
  const auto state = solve_steady(crossbar, drive);
  REQUIRE(state.report.status == Status::ok);
  for (Index j = 0; j < 5; ++j) {
    double sum = 0.0;
    for (Index i = 0; i < 6; ++i) sum += device::cell_point(tile.cell, tile.selector, crossbar.conductance_siemens(i, j), drive.line_volt[i]).current_ampere;
    CHECK(state.sense_ampere[j] == Approx(sum).epsilon(1e-12));
  }
  // One side ideal is the limit of small resistances.
  for (const bool rows : {false, true}) {
    data::TileSpec ideal = mos_tile(6, 5, 20.0), nearly = ideal;
    (rows ? ideal.r_row_ohm : ideal.r_col_ohm) = 0.0;
    (rows ? nearly.r_row_ohm : nearly.r_col_ohm) = 1e-5;
    const auto a = solve_steady(Crossbar(ideal, crossbar.conductance_siemens.matrix()), drive);
    const auto b = solve_steady(Crossbar(nearly, crossbar.conductance_siemens.matrix()), drive);
    REQUIRE(a.report.status == Status::ok);
    CHECK((a.sense_ampere - b.sense_ampere).cwiseAbs().maxCoeff() < 1e-7 * a.sense_ampere.cwiseAbs().maxCoeff());
    CHECK((a.sense_ampere - b.sense_ampere).cwiseAbs().maxCoeff() > 0.0);
  }
}

TEST_CASE("A wide transistor is no resistance, and at 100 K a narrow one is the resistor beta makes of it", "[property]") {
  data::TileSpec tile = mos_tile(8, 8, 5.0), plain = tile;
  plain.selector = {};
  const Matrix g = random_conductances(tile, 9);
  const LineDrive drive = drive_all(Crossbar(plain, g), 9);
  const Vector without = solve_steady(Crossbar(plain, g), drive).sense_ampere;
  tile.selector.beta_ampere_per_volt2 = 10.0;  // 0.17 ohm
  const Vector wide = solve_steady(Crossbar(tile, g), drive).sense_ampere;
  CHECK((wide - without).cwiseAbs().maxCoeff() < 1e-5 * without.cwiseAbs().maxCoeff());

  tile.selector.beta_ampere_per_volt2 = 1.5e-3;
  tile.selector.temperature_kelvin = 100.0;
  plain.selector.r_on_ohm = 1.0 / (1.5e-3 * 0.6);
  const Vector narrow = solve_steady(Crossbar(tile, g), drive).sense_ampere;
  const Vector resistor = solve_steady(Crossbar(plain, g), drive).sense_ampere;
  const double gap = (narrow - resistor).cwiseAbs().maxCoeff() / without.cwiseAbs().maxCoeff();
  CHECK(gap < 2e-3);
  CHECK(gap > 1e-6);  // the millivolts between drain and source of a transistor do count
  CHECK((narrow - without).cwiseAbs().maxCoeff() > 5e-3 * without.cwiseAbs().maxCoeff());
}

TEST_CASE("Newton's method that may not finish says so", "[error]") {
  data::TileSpec tile = mos_tile(16, 16, 20.0);
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.05;
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  SteadyOptions options;
  options.max_newton = 2;
  CHECK(solve_steady(crossbar, drive_all(crossbar, 1), options).report.status == Status::not_converged);
  options = {};
  options.max_iterations = 0;
  CHECK(solve_steady(crossbar, drive_all(crossbar, 1), options).report.status == Status::not_converged);
  // Beyond the range of sinh: no number, and no answer either.
  tile.selector = {};
  tile.cell.v_h_volt = 1e-5;
  const Crossbar beyond(tile, random_conductances(tile, 1));
  CHECK(solve_steady(beyond, drive_all(beyond, 1)).report.status == Status::not_converged);
}

TEST_CASE("Event-driven and transient charge agree for transistor cells", "[cross]") {
  data::TileSpec tile = mos_tile(6, 5, 60.0);
  tile.g_max_siemens = 100e-6;
  tile.pulse.dac_bits = 5;
  const IntVector codes = random_codes(6, -15, 15, 6);
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  for (const data::CellLaw law : {data::CellLaw::ohmic, data::CellLaw::sinh})
    for (const data::Drive drive : {data::Drive::gated, data::Drive::level}) {
      tile.cell.law = law;
      tile.cell.v_h_volt = 0.1;
      tile.drive = drive;
      CAPTURE(data::to_name(law), data::to_name(drive));
      const Matrix g = random_conductances(tile, 6);
      tile.c_row_farad = tile.c_col_farad = 0.0;
      const auto at_rest = solve_charge(Crossbar(tile, g), codes);
      REQUIRE(at_rest.status == Status::ok);
      const double largest = at_rest.charge_coulomb.cwiseAbs().maxCoeff();
      const auto without = solve_transient(Crossbar(tile, g), codes, options);
      REQUIRE(without.failure == "");
      CHECK((at_rest.charge_coulomb - without.charge_coulomb).cwiseAbs().maxCoeff() < 1e-8 * largest);
      // With capacitance: within the share of the RC part that the mean chord conductance leaves (docs/theory.md, "Event-driven charge").
      tile.c_row_farad = tile.c_col_farad = 20e-15;
      const auto events = solve_charge(Crossbar(tile, g), codes);
      REQUIRE(events.status == Status::ok);
      const auto transient = solve_transient(Crossbar(tile, g), codes, options);
      REQUIRE(transient.failure == "");
      const double share = (at_rest.charge_coulomb - transient.charge_coulomb).cwiseAbs().maxCoeff();
      const double error = (events.charge_coulomb - transient.charge_coulomb).cwiseAbs().maxCoeff();
      CAPTURE(share / largest, error / share);
      // A level drive's pulses charge and discharge: what an ohmic device behind a transistor leaves of that is next to nothing.
      CHECK(error < std::max((drive == data::Drive::gated ? 0.01 : 0.3) * share, 1e-5 * largest));
    }
}
