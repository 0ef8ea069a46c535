// Operating point of non-linear cells: Newton's method outside, the chain solve inside. docs/theory.md, "Structured chain solve".
#include <algorithm>
#include <cmath>
#include <limits>

#include "circuit/operating_point.hpp"

namespace crosstile::circuit {

namespace {

std::span<double> row_of(Array& array, Index k) { return {array.data() + k * array.cols(), static_cast<std::size_t>(array.cols())}; }

std::span<const double> row_of(const Array& array, Index k) { return {array.data() + k * array.cols(), static_cast<std::size_t>(array.cols())}; }

double largest(const Array& array) { return array.size() > 0 ? array.abs().maxCoeff() : 0.0; }

constexpr double kInnerReduction = 1e-4;  // each linear solve reduces the residual by this
constexpr double kRefactor = 1e-2;        // a step that reduces it by less asks for new slopes

}  // namespace

// Currents and slopes at point.drop, point.column. The linear solver is symmetric, so a transistor's two slopes become one: that of the
// side that has wires, or their mean.
void OperatingPointSolver::evaluate_cells(const Vector& line_volt, OperatingPoint& point) {
  const auto& tile = crossbar_.tile;
  const device::CellModel cells(tile.cell, tile.selector);
  const double gate = tile.selector.kind == data::SelectorKind::mos ? tile.selector.gate_on_volt : 1.0;
  const double row_share = !mesh_.has_column_wires() ? 1.0 : (mesh_.has_row_wires() ? 0.5 : 0.0);
  const auto& active = mesh_.lines();
  point.cell_ampere.resize(point.drop.rows(), point.drop.cols());
  point.slope.resize(point.drop.rows(), point.drop.cols());
  Array volt(1, point.drop.cols()), by_column(1, point.drop.cols());
  for (Index k = 0; k < point.drop.rows(); ++k) {
    volt.row(0) = line_volt[k] - point.drop.row(k);
    cells.branches(gate, {row_of(device_, active[static_cast<std::size_t>(k)]), row_of(volt, 0), row_of(point.column, k)},
                   {row_of(point.cell_ampere, k), row_of(point.slope, k), row_of(by_column, 0)});
    point.slope.row(k) += (1.0 - row_share) * (by_column.row(0) - point.slope.row(k));
  }
}

// Where Newton starts: the drops and column voltages left by the solve before, 0 for lines that were off or driven otherwise.
bool OperatingPointSolver::newton_start(const Vector& line_volt, OperatingPoint& point) {
  const auto& active = mesh_.lines();
  const Index rows = static_cast<Index>(active.size());
  const bool guessed = point.column.rows() == rows && point.column.cols() == crossbar_.cols() && point.column.allFinite();
  if (!guessed) point.column.setZero(rows, crossbar_.cols());
  point.drop.setZero(rows, crossbar_.cols());
  bool warm = guessed && largest(point.column) > 0.0;
  for (Index k = 0; k < rows && newton_drop_.rows() > 0; ++k) {
    const Index line = active[static_cast<std::size_t>(k)];
    if (newton_volt_[line] != line_volt[k]) continue;  // NaN: the line was off
    point.drop.row(k) = newton_drop_.row(line);
    warm = true;
  }
  return warm;
}

void OperatingPointSolver::remember_newton(const Vector& line_volt, const OperatingPoint& point) {
  const auto& active = mesh_.lines();
  newton_drop_.resize(crossbar_.lines(), crossbar_.cols());
  newton_volt_.setConstant(crossbar_.lines(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t k = 0; k < active.size(); ++k) {
    newton_drop_.row(active[k]) = point.drop.row(static_cast<Index>(k));
    newton_volt_[active[k]] = line_volt[static_cast<Index>(k)];
  }
}

// Each step solves the wires with the linearised cells I_0 + g (v - v_0), which leaves the currents `wire_` in the wires of both sides; what
// they differ from the cells' true currents is the Kirchhoff error.
SteadyReport OperatingPointSolver::solve_newton(const Vector& line_volt, OperatingPoint& point) {
  SteadyReport report;
  const bool warm = newton_start(line_volt, point);
  newton_iterate(line_volt, point, warm, report);
  if (warm && report.status != Status::ok) {  // once more from rest
    point.drop.setZero();
    point.column.setZero();
    newton_iterate(line_volt, point, false, report);
  }
  remember_newton(line_volt, point);
  return report;
}

void OperatingPointSolver::newton_iterate(const Vector& line_volt, OperatingPoint& point, bool warm, SteadyReport& report) {
  const std::vector<Index> lines = mesh_.lines();
  evaluate_cells(line_volt, point);
  if (lines.empty()) return;
  newton_slope_ = point.slope;
  newton_wire_.setZero(point.drop.rows(), point.drop.cols());  // at rest no current flows in the wires
  bool wire_known = !warm, fresh = true;
  double error = largest(point.cell_ampere), linear_error = 0.0;
  report.status = Status::not_converged;
  for (int step = 0; step < options_.max_newton && std::isfinite(error); ++step) {
    if (fresh) mesh_.factor(lines, newton_slope_);
    newton_source_ = point.cell_ampere + newton_slope_ * (point.drop + point.column);
    newton_drop_next_ = point.drop;
    newton_column_next_ = point.column;
    const double goal = options_.tolerance * largest(point.cell_ampere);
    const auto linear = mesh_.solve(newton_source_, newton_source_, newton_drop_next_, newton_column_next_,
                                    std::max(kInnerReduction * error, 0.1 * goal), options_.max_iterations);
    report.iterations += linear.iterations;
    ++report.newton_steps;
    const double length = newton_advance(line_volt, wire_known, point);
    linear_error = (1.0 - length) * linear_error + length * linear.residual_ampere;
    const double before = error;
    error = (newton_wire_ - point.cell_ampere).abs().maxCoeff() + linear_error;
    const double current = largest(point.cell_ampere);
    report.kirchhoff_error = current > 0.0 ? error / current : 0.0;
    if (!linear.converged || length == 0.0) return;
    if (error <= options_.tolerance * current) {
      report.status = Status::ok;
      return;
    }
    fresh = !(error <= kRefactor * before);
    if (fresh) newton_slope_ = point.slope;
    wire_known = true;
  }
}

// Moves `point` towards the linear solution: all the way where that reduces the slope of the network's co-content along the step, else to
// where that slope changes sign (co-content: the convex function whose minimum is the operating point). Returns the share of the step; 0: none.
double OperatingPointSolver::newton_advance(const Vector& line_volt, bool wire_known, OperatingPoint& point) {
  // From here on newton_*_next_ is the begin of the step, and point its end.
  const double start = ((newton_drop_next_ - point.drop + newton_column_next_ - point.column) * (newton_wire_ - point.cell_ampere)).sum();
  point.drop.swap(newton_drop_next_);
  point.column.swap(newton_column_next_);
  newton_wire_next_ = newton_source_ - newton_slope_ * (point.drop + point.column);
  newton_wire_.swap(newton_wire_next_);
  evaluate_cells(line_volt, point);
  const double full = ((point.drop - newton_drop_next_ + point.column - newton_column_next_) * (newton_wire_ - point.cell_ampere)).sum();
  if (std::isfinite(full) && (!wire_known || full < 0.0 || full <= 0.9 * std::abs(start))) return 1.0;
  if (!wire_known) return 0.0;

  const Array drop_step = point.drop - newton_drop_next_, column_step = point.column - newton_column_next_;
  const Array wire_step = newton_wire_ - newton_wire_next_;
  double low = 0.0, high = 1.0;
  for (int trial = 0; trial < 40; ++trial) {
    const double share = 0.5 * (low + high);
    point.drop = newton_drop_next_ + share * drop_step;
    point.column = newton_column_next_ + share * column_step;
    newton_wire_ = newton_wire_next_ + share * wire_step;
    evaluate_cells(line_volt, point);
    const double here = ((drop_step + column_step) * (newton_wire_ - point.cell_ampere)).sum();
    if (std::abs(here) <= 0.9 * std::abs(start)) return share;
    (here < 0.0 ? low : high) = share;  // not finite counts as too far
  }
  return 0.0;
}

}  // namespace crosstile::circuit
