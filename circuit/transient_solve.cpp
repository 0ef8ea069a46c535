// Newton's systems of the transient: the steady network's structure with c_j C on the diagonal, so the chain solve is their solver.
#include <algorithm>
#include <cmath>

#include "circuit/transient_system.hpp"

namespace crosstile::circuit {

namespace {

// Conductance that holds a node at its present voltage while the others are solved for.
constexpr double kPin = 1e30;

// Part of the current of a cell fully on that is nothing: tolerances relative to a residual need an end when all is at rest.
constexpr double kNothing = 1e-18;

double largest_of(const Array& array) { return array.abs().maxCoeff(); }

}  // namespace

double TransientSystem::nothing_ampere() const { return kNothing * crossbar_.tile.g_max_siemens * crossbar_.tile.v_read_volt; }

void TransientSystem::factor(double cj, double row_pin, double column_pin) {
  const auto& tile = crossbar_.tile;
  MeshSolver::Shunts shunts;
  shunts.row_siemens = cj * tile.c_row_farad + row_pin;
  shunts.column_siemens = cj * tile.c_col_farad + column_pin;
  if (op_amp_ && cj > 0.0) {
    front_impedance_.resize(crossbar_.cols());
    factored_slopes_ = amp_slopes_;
    for (Index j = 0; j < crossbar_.cols(); ++j) {
      const auto& slope = factored_slopes_[static_cast<std::size_t>(j)];
      const double held = 1.0 - slope.by_input / (cj + slope.by_output + slope.by_input);
      front_impedance_[j] = held / (c_int_ * cj + amp_.leak_siemens);
    }
    shunts.sense_extra_ohm = front_impedance_;
  }
  mesh_.factor(all_lines_, ohmic_ ? active_g_ : slope_, shunts);
  factored_cj_ = cj;
}

// What the front ends' own residuals push into the columns: v_x of each when no current flows, over the resistance in between.
void TransientSystem::op_amp_sources() {
  const Index cols = crossbar_.cols();
  front_rest_.resize(cols);
  b_column_ = f_column_;
  for (Index j = 0; j < cols; ++j) {
    const auto& slope = factored_slopes_[static_cast<std::size_t>(j)];
    const double total = factored_cj_ + slope.by_output + slope.by_input;
    front_rest_[j] = front_impedance_[j] * front_f_[j] + front_f_[cols + j] / total;
    b_column_(end_line(j), j) += front_rest_[j] / (end_ohm_ + front_impedance_[j]);
  }
}

bool TransientSystem::solve(double cj, bool new_step, double reduction, double* x) {
  const Index cols = crossbar_.cols();
  if (cj != factored_cj_ || (new_step && !linear())) factor(cj, 0.0, 0.0);
  if (op_amp_) op_amp_sources();
  const Array& b_column = op_amp_ ? b_column_ : f_column_;
  const double scale = std::max(largest_of(f_row_), largest_of(b_column));
  x_column_.setZero(crossbar_.lines(), cols);
  const auto report = mesh_.solve(f_row_, b_column, x_row_, x_column_, std::max(reduction * scale, nothing_ampere()), 500);
  linear_iterations_ += report.iterations;
  if (!report.converged) return false;
  scatter(x_row_, x_column_, x);
  front_end_solution(cj, x);
  return true;
}

// Change of the sense current that belongs to the change x of the state (virtual grounds).
double TransientSystem::sense_correction(const double* x, Index j) const {
  const Index cols = crossbar_.cols();
  if (column_nodes_ > 0 && end_ohm_ > 0.0) return x[column_offset_ + end_node(j) * cols + j] / end_ohm_;
  const Array& g = ohmic_ ? active_g_ : slope_;
  double i = 0.0;
  if (column_nodes_ == 0) {
    for (Index l = 0; l < crossbar_.lines(); ++l) i -= g(l, j) * x_row_(l, j);
    return i;
  }
  for (Index l = end_line(j); l < end_line(j) + lines_per_row(); ++l) i -= g(l, j) * x_row_(l, j);
  return i + x[column_offset_ + (end_node(j) == 0 ? 1 : end_node(j) - 1) * cols + j] / crossbar_.tile.r_col_ohm;
}

void TransientSystem::front_end_solution(double cj, double* x) const {
  const Index cols = crossbar_.cols();
  double* const front = x + front_offset_;
  for (Index j = 0; j < cols; ++j) {
    if (!op_amp_) {
      // The state's rate becomes that of the corrected sense current, whatever the oscillator's limits make of it.
      front[j] = (front_rate_[j] - collected_rate(front_current_[j] - sense_correction(x, j))) / cj;
      continue;
    }
    const auto& slope = factored_slopes_[static_cast<std::size_t>(j)];
    const double i = (x[column_offset_ + end_node(j) * cols + j] - front_rest_[j]) / (end_ohm_ + front_impedance_[j]);
    const double x_cap = (front_f_[j] + i) / (c_int_ * cj + amp_.leak_siemens);
    front[j] = x_cap;
    front[cols + j] = (front_f_[cols + j] - slope.by_input * x_cap) / (cj + slope.by_output + slope.by_input);
  }
}

// Grids of one entry a node -> the state's layout.
void TransientSystem::scatter(const Array& row, const Array& column, double* to) const {
  const Index cols = crossbar_.cols(), per_row = lines_per_row();
  for (Index l = 0; l < crossbar_.lines() && row_nodes_ > 0; ++l)
    std::copy_n(row.data() + l * cols, row_nodes_, to + l * row_nodes_);
  for (Index i = 0; i < column_nodes_; ++i) std::copy_n(column.data() + i * per_row * cols, cols, to + column_offset_ + i * cols);
}

void TransientSystem::copy_residual(double* f) const {
  scatter(f_row_, f_column_, f);
  std::copy(front_f_.begin(), front_f_.end(), f + front_offset_);
}

// Unknowns without capacitance, with the others held.
bool TransientSystem::solve_algebraic(Vector& y, bool rows_free, bool columns_free) {
  const Vector rest = Vector::Zero(size());
  Vector x = rest;
  for (int step = 0; step < 50; ++step) {
    residual(interval_.begin_s, y.data(), rest.data());
    if (!rows_free) f_row_.setZero();  // held unknowns ask for nothing
    if (!columns_free) f_column_.setZero();
    factor(0.0, rows_free ? 0.0 : kPin, columns_free ? 0.0 : kPin);
    const double scale = std::max(largest_of(f_row_), largest_of(f_column_));
    x_column_.setZero(crossbar_.lines(), crossbar_.cols());
    const auto report = mesh_.solve(f_row_, f_column_, x_row_, x_column_, std::max(1e-12 * scale, nothing_ampere()), 2000);
    if (!report.converged) return false;
    scatter(x_row_, x_column_, x.data());
    if (!rows_free) x.head(column_offset_).setZero();
    if (!columns_free) x.segment(column_offset_, front_offset_ - column_offset_).setZero();
    y -= x;
    const double change = x.cwiseAbs().maxCoeff();
    if (!std::isfinite(change)) return false;
    if (change <= 1e-13 * crossbar_.tile.v_read_volt) return true;
  }
  return false;
}

bool TransientSystem::enter(const DriveInterval& interval, const Vector& previous_volt, Vector& y, Vector& y_prime) {
  const auto& tile = crossbar_.tile;
  interval_ = interval;
  factored_cj_ = -1.0;
  for (Index l = 0; l < crossbar_.lines(); ++l) {
    const bool conducts = interval.gate_begin[l] > 0.0 || interval.gate_slope[l] > 0.0;
    if (!conducts) active_g_.row(l).setZero();
    else if (ohmic_) active_g_.row(l) = device_.row(l) / (1.0 + device_.row(l) * tile.selector.r_on_ohm);
    // The row's capacitance keeps v = V - e through a jump of V.
    if (tile.c_row_farad > 0.0 && row_nodes_ > 0) y.segment(l * row_nodes_, row_nodes_).array() += interval.volt_begin[l] - previous_volt[l];
  }
  const Vector id = differential();
  const bool rows_free = row_nodes_ > 0 && tile.c_row_farad == 0.0, columns_free = column_nodes_ > 0 && tile.c_col_farad == 0.0;
  if ((rows_free || columns_free) && !solve_algebraic(y, rows_free, columns_free)) return false;

  // Rates of the differential unknowns from F(y, 0); an algebraic unknown starts with rate 0.
  y_prime.setZero(size());
  residual(interval.begin_s, y.data(), y_prime.data());
  Vector f(size());
  copy_residual(f.data());
  for (Index k = 0; k < front_offset_; ++k)
    if (id[k] == 1.0) y_prime[k] = -f[k] / (k < column_offset_ ? row_capacitance() : column_capacitance());
  for (Index k = front_offset_; k < size(); ++k) y_prime[k] = -f[k] / (op_amp_ && k < front_offset_ + crossbar_.cols() ? c_int_ : 1.0);
  factored_cj_ = -1.0;
  return y_prime.allFinite();
}

}  // namespace crosstile::circuit
