#include <algorithm>
#include <cmath>

#include "circuit/circuit.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

namespace {

// Everything is computed anew from node voltages, resistor by resistor; only positive resistances carry a checkable voltage.
class NodeAccount {
 public:
  NodeAccount(const Crossbar& crossbar, const LineDrive& drive, const SteadyState& state)
      : crossbar_(crossbar), drive_(drive), state_(state),
        row_sum_(Array::Zero(crossbar.lines(), crossbar.cols())),
        column_sum_(Array::Zero(crossbar.rows(), crossbar.cols())) {
    add_cells();
    if (crossbar.tile.r_row_ohm > 0.0) add_row_wires();
    if (crossbar.tile.r_col_ohm > 0.0) add_column_wires();
  }

  SteadyCheck report() const {
    SteadyCheck check;
    const auto& tile = crossbar_.tile;
    const double largest = std::max(largest_cell_, 1e-300);
    if (tile.r_row_ohm > 0.0) check.kirchhoff = row_sum_.abs().maxCoeff() / largest;
    if (tile.r_col_ohm > 0.0) {
      Array sums = column_sum_;
      if (end_ohm() == 0.0)  // the sense node is the virtual ground itself and takes any current
        for (Index j = 0; j < tile.cols; ++j) sums(sense_row(j), j) = 0.0;
      check.kirchhoff = std::max(check.kirchhoff, sums.abs().maxCoeff() / largest);
    }
    const double total = state_.sense_ampere.cwiseAbs().sum();
    check.current_balance = std::abs(state_.sense_ampere.sum() - cell_sum_) / std::max(total, 1e-300);
    const auto& p = state_.power;
    double lost = cell_power_ + p.drivers + p.senses;
    lost += tile.r_row_ohm > 0.0 ? row_power_ : p.row_wires;
    lost += tile.r_col_ohm > 0.0 ? column_power_ : p.column_wires;
    check.power_balance = p.source != 0.0 ? std::abs(p.source - lost) / std::abs(p.source) : std::abs(lost);
    check.maximum_principle = outside_range();
    check.ideal_excess = ideal_excess();
    return check;
  }

 private:
  double end_ohm() const { return crossbar_.tile.sense_segment * crossbar_.tile.r_col_ohm + crossbar_.tile.r_sense_ohm; }
  Index sense_row(Index j) const { return crossbar_.tile.sensed_north(j) ? 0 : crossbar_.rows() - 1; }
  double row_volt(Index l, Index j) const { return drive_.line_volt[l] - state_.row_drop_volt(l, j); }
  Index line_of(Index i) const { return i * crossbar_.lines_per_row; }

  void add_cells() {
    const auto& tile = crossbar_.tile;
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      if (!drive_.conducting[static_cast<std::size_t>(l)]) continue;
      for (Index j = 0; j < tile.cols; ++j) {
        const double v = row_volt(l, j) - state_.column_volt(l, j);
        const double i = device::cell_branch(tile.cell, tile.selector, crossbar_.conductance_siemens(l, j), row_volt(l, j),
                                             state_.column_volt(l, j), tile.selector.gate_on_volt)
                             .current_ampere;
        row_sum_(l, j) -= i;
        column_sum_(crossbar_.row_of_line(l), j) += i;
        cell_power_ += i * v;
        cell_sum_ += i;
        largest_cell_ = std::max(largest_cell_, std::abs(i));
      }
    }
  }

  void add_row_wires() {
    const auto& tile = crossbar_.tile;
    const double head = tile.r_row_ohm + tile.r_driver_ohm;
    const auto driver = [&](Index l, Index j) {
      const double i = state_.row_drop_volt(l, j) / head;
      row_sum_(l, j) += i;
      row_power_ += i * i * tile.r_row_ohm;
    };
    for (Index l = 0; l < crossbar_.lines(); ++l) {
      driver(l, 0);
      if (tile.drivers == data::DriverEnds::both) driver(l, tile.cols - 1);
      for (Index j = 0; j + 1 < tile.cols; ++j) {
        const double i = (state_.row_drop_volt(l, j + 1) - state_.row_drop_volt(l, j)) / tile.r_row_ohm;
        row_sum_(l, j) -= i;
        row_sum_(l, j + 1) += i;
        row_power_ += i * i * tile.r_row_ohm;
      }
    }
  }

  void add_column_wires() {
    const auto& tile = crossbar_.tile;
    for (Index j = 0; j < tile.cols; ++j) {
      for (Index i = 0; i + 1 < tile.rows; ++i) {
        const double current = (state_.column_volt(line_of(i), j) - state_.column_volt(line_of(i + 1), j)) / tile.r_col_ohm;
        column_sum_(i, j) -= current;
        column_sum_(i + 1, j) += current;
        column_power_ += current * current * tile.r_col_ohm;
      }
      const Index end = sense_row(j);
      if (end_ohm() > 0.0) column_sum_(end, j) -= state_.column_volt(line_of(end), j) / end_ohm();
      column_power_ += std::pow(state_.sense_ampere[j], 2) * tile.sense_segment * tile.r_col_ohm;
    }
  }

  // How far the worst node lies outside the range of the sources (and the virtual ground), over that range; <= 0 when inside.
  double outside_range() const {
    const double low = std::min(0.0, drive_.line_volt.minCoeff());
    const double high = std::max(0.0, drive_.line_volt.maxCoeff());
    double worst = -1.0;
    const double range = std::max(high - low, 1e-300);
    for (Index l = 0; l < crossbar_.lines(); ++l)
      for (Index j = 0; j < crossbar_.cols(); ++j)
        for (const double v : {row_volt(l, j), state_.column_volt(l, j)})
          worst = std::max(worst, std::max(v - high, low - v) / range);
    return worst;
  }

  // Total sensed current over total ideal current, minus 1: at most 0 for drives of one sign and ohmic cells.
  double ideal_excess() const {
    double ideal = 0.0;
    for (Index l = 0; l < crossbar_.lines(); ++l)
      if (drive_.conducting[static_cast<std::size_t>(l)]) ideal += drive_.line_volt[l] * crossbar_.conductance_siemens.row(l).sum();
    return ideal > 0.0 ? state_.sense_ampere.sum() / ideal - 1.0 : 0.0;
  }

  const Crossbar& crossbar_;
  const LineDrive& drive_;
  const SteadyState& state_;
  Array row_sum_, column_sum_;
  double cell_power_ = 0.0, row_power_ = 0.0, column_power_ = 0.0, cell_sum_ = 0.0, largest_cell_ = 0.0;
};

}  // namespace

SteadyCheck check_steady(const Crossbar& crossbar, const LineDrive& drive, const SteadyState& state) {
  return NodeAccount(crossbar, drive, state).report();
}

}  // namespace crosstile::circuit
