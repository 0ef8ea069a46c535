#include "circuit/operating_point.hpp"

#include <algorithm>
#include <cmath>

#include "device/cell.hpp"

namespace crosstile::circuit {

OperatingPointSolver::OperatingPointSolver(const Crossbar& crossbar, const SteadyOptions& options)
    : crossbar_(crossbar), options_(options), mesh_(crossbar), linear_(crossbar.tile.cell.law == data::CellLaw::ohmic) {
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

void OperatingPointSolver::evaluate_cells(const Vector& line_volt, OperatingPoint& point) const {
  const auto& active = mesh_.lines();
  for (Index k = 0; k < point.drop.rows(); ++k) {
    const Index line = active[static_cast<std::size_t>(k)];
    for (Index j = 0; j < point.drop.cols(); ++j) {
      const double v = line_volt[k] - point.drop(k, j) - point.column(k, j);
      const auto cell = device::cell_point(crossbar_.tile.cell, crossbar_.tile.selector, device_(line, j), v);
      point.cell_ampere(k, j) = cell.current_ampere;
      point.slope(k, j) = cell.conductance_siemens;
    }
  }
}

// Newton on I(V - e - c): each step solves the mesh with the cells' slopes; the linearised cell current is I0 + g (v - v0).
SteadyReport OperatingPointSolver::solve_newton(const Vector& line_volt, OperatingPoint& point) {
  const std::vector<Index> lines = mesh_.lines();
  mesh_.factor(lines, active_g_);  // an earlier Newton run left its own slopes there
  SteadyReport report = solve_linear(line_volt, point);
  for (int step = 0; step < options_.max_newton; ++step) {
    evaluate_cells(line_volt, point);
    const double largest = point.cell_ampere.size() > 0 ? point.cell_ampere.abs().maxCoeff() : 0.0;
    const Array source = point.cell_ampere + point.slope * (point.drop + point.column);
    mesh_.factor(lines, point.slope);
    Array drop = point.drop;
    Array column = point.column;
    const LinearReport linear = mesh_.solve(source, source, drop, column, options_.tolerance * largest, options_.max_iterations);
    report.iterations += linear.iterations;
    report.newton_steps = step + 1;
    const Array change = point.slope * (drop + column - point.drop - point.column);
    point.drop = drop;
    point.column = column;
    // The neglected second-order current, at most a factor times |change| * |dv| / v_h, is what is left of Kirchhoff's law.
    const double worst = change.size() > 0 ? change.abs().maxCoeff() : 0.0;
    report.kirchhoff_error = largest > 0.0 ? worst / largest : 0.0;
    if (!linear.converged || !std::isfinite(worst)) break;
    if (worst <= 100.0 * options_.tolerance * largest) {
      evaluate_cells(line_volt, point);
      report.status = Status::ok;
      return report;
    }
  }
  report.status = Status::not_converged;
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
