#include "circuit/operating_point.hpp"

#include <algorithm>

namespace crosstile::circuit {

OperatingPointSolver::OperatingPointSolver(const Crossbar& crossbar, const SteadyOptions& options)
    : crossbar_(crossbar), options_(options), mesh_(crossbar), linear_(crossbar.tile.ohmic_cells()) {
  device_ = to_internal(crossbar, crossbar.conductance_siemens);
  ohmic_ = device_ / (1.0 + device_ * crossbar.tile.selector.r_on_ohm);
}

void OperatingPointSolver::set_lines(const std::vector<Index>& lines) {
  active_g_.resize(static_cast<Index>(lines.size()), crossbar_.cols());
  for (Index k = 0; k < active_g_.rows(); ++k) active_g_.row(k) = ohmic_.row(lines[static_cast<std::size_t>(k)]);
  mesh_.factor(lines, active_g_);
}

SteadyReport OperatingPointSolver::solve(const Vector& line_volt, OperatingPoint& point) {
  return linear_ ? solve_linear(line_volt, point) : solve_newton(line_volt, point);
}

SteadyReport OperatingPointSolver::solve_linear(const Vector& line_volt, OperatingPoint& point) {
  const Array ideal = active_g_.colwise() * line_volt.array();
  const double scale = ideal.size() > 0 ? ideal.abs().maxCoeff() : 0.0;
  const LinearReport linear = mesh_.solve(ideal, ideal, point.drop, point.column, options_.tolerance * scale, options_.max_iterations);
  point.slope = active_g_;
  point.cell_ampere = ideal - active_g_ * (point.drop + point.column);
  SteadyReport report;
  report.iterations = linear.iterations;
  const double largest = point.cell_ampere.size() > 0 ? point.cell_ampere.abs().maxCoeff() : 0.0;
  report.kirchhoff_error = largest > 0.0 ? linear.residual_ampere / largest : 0.0;
  if (!linear.converged || !point.column.allFinite() || !point.drop.allFinite()) report.status = Status::not_converged;
  return report;
}

Vector OperatingPointSolver::sense_current(const OperatingPoint& point) const {
  Vector sense = Vector::Zero(crossbar_.cols());
  for (Index j = 0; j < crossbar_.cols(); ++j)
    sense[crossbar_.column_order[static_cast<std::size_t>(j)]] = point.cell_ampere.col(j).sum();
  return sense;
}

PowerBudget OperatingPointSolver::power(const Vector& line_volt, const OperatingPoint& point) const {
  const data::TileSpec& tile = crossbar_.tile;
  PowerBudget power;
  if (point.cell_ampere.rows() == 0) return power;
  const auto& current = point.cell_ampere;
  power.source = (current.rowwise().sum() * line_volt.array()).sum();
  power.cells = power.source - ((point.drop + point.column) * current).sum();
  if (tile.r_driver_ohm > 0.0) {
    const double head = tile.r_driver_ohm + tile.r_row_ohm;
    if (tile.drivers == data::DriverEnds::west) {
      power.drivers = tile.r_driver_ohm * current.rowwise().sum().square().sum();
    } else {
      const auto& order = crossbar_.column_order;
      const auto at = [&](Index physical) { return std::find(order.begin(), order.end(), physical) - order.begin(); };
      const double west = point.drop.col(at(0)).square().sum();
      const double east = point.drop.col(at(crossbar_.cols() - 1)).square().sum();
      power.drivers = tile.r_driver_ohm * (west + east) / (head * head);
    }
  }
  power.row_wires = (point.drop * current).sum() - power.drivers;
  power.senses = tile.r_sense_ohm * current.colwise().sum().square().sum();
  power.column_wires = (point.column * current).sum() - power.senses;
  return power;
}

}  // namespace crosstile::circuit
