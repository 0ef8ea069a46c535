// Operating point of non-linear cells.
#include <cmath>

#include "circuit/operating_point.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

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

}  // namespace crosstile::circuit
