#include "circuit/operating_point.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

OperatingPointSolver::OperatingPointSolver(const Crossbar& crossbar, const SteadyOptions& options)
    : crossbar_(crossbar),
      options_(options),
      mesh_(crossbar),
      linear_(crossbar.tile.ohmic_cells()),
      device_(has_internal_order(crossbar) ? reordered_ : crossbar.conductance_siemens) {
  reload_conductances();
}

void OperatingPointSolver::reload_conductances() {
  if (has_internal_order(crossbar_)) reordered_ = to_internal(crossbar_, crossbar_.conductance_siemens);
  const double r_on = crossbar_.tile.selector.r_on_ohm;
  if (r_on > 0.0) ohmic_ = device_ / (1.0 + device_ * r_on);
}

void OperatingPointSolver::set_lines(const std::vector<Index>& lines) {
  mesh_.factor_lines(lines, ohmic());
}

SteadyReport OperatingPointSolver::solve(const Vector& line_volt, OperatingPoint& point) {
  SteadyReport report;
  if (linear_) {
    report = solve_linear(line_volt, point);
  } else {
    report = solve_newton(line_volt, point);
    add_up(point);
  }
  report.sense_error = sense_error(point);
  return report;
}

SteadyReport OperatingPointSolver::solve_sense(const Vector& line_volt, OperatingPoint& point) {
  if (!linear_ || !mesh_.has_row_wires() || !mesh_.senses_by_voltage()) return solve(line_volt, point);
  SteadyReport report;
  point.largest_ampere = mesh_.largest_drive_ampere(line_volt);
  const LinearReport linear =
      mesh_.solve_drive_columns(line_volt, point.column, options_.tolerance * point.largest_ampere, options_.max_iterations);
  point.sense_ampere = mesh_.sense_current(point.column);
  report.iterations = linear.iterations;
  report.kirchhoff_error = point.largest_ampere > 0.0 ? linear.residual_ampere / point.largest_ampere : 0.0;
  if (!linear.converged || !point.sense_ampere.allFinite()) report.status = Status::not_converged;
  return report;
}

SteadyReport OperatingPointSolver::solve_linear(const Vector& line_volt, OperatingPoint& point) {
  SteadyReport report;
  const double scale = mesh_.largest_drive_ampere(line_volt);
  const LinearReport linear = mesh_.solve_drive(line_volt, point.drop, point.column, options_.tolerance * scale, options_.max_iterations);
  report.iterations = linear.iterations;
  const Index rows = point.drop.rows(), cols = point.drop.cols();
  if (point.cell_ampere.rows() != rows || point.cell_ampere.cols() != cols) point.cell_ampere.resize(rows, cols);
  for (Index k = 0; k < rows; ++k) {
    const double* const __restrict g = mesh_.conductance().row(k);
    const double* const __restrict e = point.drop.data() + k * cols;
    const double* const __restrict c = point.column.data() + k * cols;
    double* const __restrict current = point.cell_ampere.data() + k * cols;
    const double volt = line_volt[k];
    for (Index j = 0; j < cols; ++j) current[j] = g[j] * (volt - e[j] - c[j]);
  }
  add_up(point);
  report.kirchhoff_error = point.largest_ampere > 0.0 ? linear.residual_ampere / point.largest_ampere : 0.0;
  if (!linear.converged || !std::isfinite(point.largest_ampere) || !std::isfinite(point.drop_watt + point.column_watt))
    report.status = Status::not_converged;
  return report;
}

// Sums of the cells' currents, in one pass over the arrays.
void OperatingPointSolver::add_up(OperatingPoint& point) const {
  const Index rows = point.cell_ampere.rows(), cols = point.cell_ampere.cols();
  point.line_ampere.resize(rows);
  point.sense_ampere.setZero(cols);
  point.drop_watt = point.column_watt = point.largest_ampere = 0.0;
  double* const __restrict sense = point.sense_ampere.data();
  for (Index k = 0; k < rows; ++k) {
    const double* const __restrict current = point.cell_ampere.data() + k * cols;
    for (Index j = 0; j < cols; ++j) sense[j] += current[j];
    point.line_ampere[k] = Eigen::Map<const Eigen::ArrayXd>(current, cols).sum();
    point.drop_watt += dot(point.drop.data() + k * cols, current, cols);
    point.column_watt += dot(point.column.data() + k * cols, current, cols);
    point.largest_ampere = larger(point.largest_ampere, largest(current, cols));
  }
}

// What the iteration leaves unaccounted for in a column, over the current that the column delivers; the worst column.
double OperatingPointSolver::sense_error(const OperatingPoint& point) const {
  const Sheet* const residual = mesh_.residual();
  if (residual == nullptr) return 0.0;
  Vector lost = Vector::Zero(crossbar_.cols());
  for (Index k = 0; k < residual->rows(); ++k) lost += Eigen::Map<const Vector>(residual->row(k), residual->cols()).cwiseAbs();
  double worst = 0.0;
  for (Index j = 0; j < lost.size(); ++j)
    if (lost[j] > 0.0) worst = std::max(worst, lost[j] / std::max(std::abs(point.sense_ampere[j]), 1e-300));
  return worst;
}

Vector OperatingPointSolver::sense_current(const OperatingPoint& point) const {
  Vector sense(crossbar_.cols());
  for (Index j = 0; j < crossbar_.cols(); ++j) sense[crossbar_.column_order[static_cast<std::size_t>(j)]] = point.sense_ampere[j];
  return sense;
}

PowerBudget OperatingPointSolver::power(const Vector& line_volt, const OperatingPoint& point) const {
  const data::TileSpec& tile = crossbar_.tile;
  PowerBudget power;
  if (point.cell_ampere.rows() == 0) return power;
  power.source = point.line_ampere.dot(line_volt);
  power.cells = power.source - point.drop_watt - point.column_watt;
  if (tile.r_driver_ohm > 0.0) {
    const double head = tile.r_driver_ohm + tile.r_row_ohm;
    if (tile.drivers == data::DriverEnds::west) {
      power.drivers = tile.r_driver_ohm * point.line_ampere.squaredNorm();
    } else {
      const auto& order = crossbar_.column_order;
      const auto at = [&](Index physical) { return std::find(order.begin(), order.end(), physical) - order.begin(); };
      const double west = point.drop.col(at(0)).square().sum();
      const double east = point.drop.col(at(crossbar_.cols() - 1)).square().sum();
      power.drivers = tile.r_driver_ohm * (west + east) / (head * head);
    }
  }
  power.row_wires = point.drop_watt - power.drivers;
  power.senses = tile.r_sense_ohm * point.sense_ampere.squaredNorm();
  power.column_wires = point.column_watt - power.senses;
  return power;
}

}  // namespace crosstile::circuit
