#include "circuit/transient_system.hpp"

#include <algorithm>
#include <cmath>

#include "circuit/front_end.hpp"
#include "core/error.hpp"
#include "device/cell.hpp"

namespace crosstile::circuit {

namespace {

// Conductance that holds a node at its present voltage while the others are solved for.
constexpr double kPin = 1e30;

}  // namespace

TransientSystem::TransientSystem(const Crossbar& crossbar)
    : crossbar_(crossbar),
      mesh_(crossbar),
      ohmic_(crossbar.tile.ohmic_cells()),
      op_amp_(crossbar.tile.front_end.kind == data::FrontEndKind::integrator) {
  const auto& tile = crossbar.tile;
  end_ohm_ = tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm;
  row_nodes_ = tile.ideal_supply() ? 0 : (tile.r_row_ohm > 0.0 ? tile.cols : 1);
  column_nodes_ = tile.r_col_ohm > 0.0 ? tile.rows : (end_ohm_ > 0.0 ? 1 : 0);
  if (op_amp_) {
    if (end_ohm_ == 0.0)
      throw Error(ErrorKind::usage, "front_end \"integrator\" needs resistance between the last cell and the op-amp; "
                                    "set r_sense_ohm, or sense_segment and r_col_ohm, above 0");
    c_int_ = integration_capacitance(tile);
  }
  front_states_ = op_amp_ ? 2 : 1;
  column_offset_ = crossbar.lines() * row_nodes_;
  front_offset_ = column_offset_ + column_nodes_ * crossbar.cols();
  device_ = to_internal(crossbar, crossbar.conductance_siemens);
  ohmic_g_ = device_ / (1.0 + device_ * tile.selector.r_on_ohm);
  all_lines_.resize(static_cast<std::size_t>(crossbar.lines()));
  for (std::size_t l = 0; l < all_lines_.size(); ++l) all_lines_[l] = static_cast<Index>(l);
  row_position_.resize(static_cast<std::size_t>(crossbar.cols()));
  for (std::size_t j = 0; j < row_position_.size(); ++j) row_position_[static_cast<std::size_t>(crossbar.column_order[j])] = static_cast<Index>(j);
  b_row_.resize(crossbar.lines(), crossbar.cols());
  b_column_.resize(crossbar.lines(), crossbar.cols());
}

Vector TransientSystem::differential() const {
  const auto& tile = crossbar_.tile;
  Vector id = Vector::Ones(size());
  if (tile.c_row_farad == 0.0) id.head(column_offset_).setZero();
  if (tile.c_col_farad == 0.0) id.segment(column_offset_, front_offset_ - column_offset_).setZero();
  if (pinned_end())
    for (Index j = 0; j < crossbar_.cols(); ++j)
      id[column_offset_ + end_node(j >= crossbar_.south_columns) * crossbar_.cols() + j] = 0.0;
  return id;
}

Vector TransientSystem::absolute_tolerance(double volt) const {
  Vector tolerance = Vector::Constant(size(), volt);
  // A charge error as small as that of a sense voltage acting over one code.
  const auto& tile = crossbar_.tile;
  if (!op_amp_) tolerance.tail(crossbar_.cols()).setConstant(volt * tile.g_max_siemens * tile.pulse.t_lsb_s);
  return tolerance;
}

Vector TransientSystem::initial_state() const {
  Vector y = Vector::Zero(size());
  if (op_amp_) y.tail(crossbar_.cols()).setConstant(OpAmp(crossbar_.tile.front_end, c_int_).reset_output());
  return y;
}

double TransientSystem::line_volt(double t, Index line) const {
  return interval_.volt_begin[line] + interval_.volt_slope[line] * (t - interval_.begin_s);
}

void TransientSystem::evaluate_cells(double t, const double* y) {
  const Index cols = crossbar_.cols();
  current_.resize(crossbar_.lines(), cols);
  for (Index l = 0; l < crossbar_.lines(); ++l) {
    const double volt = line_volt(t, l);
    double* const out = current_.data() + l * cols;
    if (!interval_.conducting[static_cast<std::size_t>(l)]) {
      current_.row(l).setZero();
      continue;
    }
    // Voltage across each cell of the line, then the cell law.
    const double* const e = y + l * row_nodes_;
    const double* const c = y + column_offset_ + column_node(l) * cols;
    for (Index j = 0; j < cols; ++j) out[j] = volt;
    if (row_nodes_ == 1) current_.row(l) -= e[0];
    if (row_nodes_ > 1)
      for (Index j = 0; j < cols; ++j) out[j] -= e[j];
    if (column_nodes_ > 0)
      for (Index j = 0; j < cols; ++j) out[j] -= c[j];
    if (ohmic_) {
      current_.row(l) *= ohmic_g_.row(l);
      continue;
    }
    for (Index j = 0; j < cols; ++j) {
      const auto cell = device::cell_point(crossbar_.tile.cell, crossbar_.tile.selector, device_(l, j), out[j]);
      out[j] = cell.current_ampere;
      slope_(l, j) = cell.conductance_siemens;
    }
  }
}

// Rows of `e` are stored in the internal column order; wires connect physical neighbours.
void TransientSystem::wire_currents(const double* y, double* f) const {
  const auto& tile = crossbar_.tile;
  const Index cols = crossbar_.cols();
  const bool both = tile.drivers == data::DriverEnds::both;
  const double head = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
  for (Index l = 0; l < crossbar_.lines() && row_nodes_ > 0; ++l) {
    const double* const e = y + l * row_nodes_;
    double* const fe = f + l * row_nodes_;
    if (row_nodes_ == 1) {
      fe[0] += (both ? 2.0 : 1.0) * head * e[0];
      continue;
    }
    const double g = 1.0 / tile.r_row_ohm;
    const auto& order = row_position_;
    fe[order[0]] += head * e[order[0]];
    if (both) fe[order[static_cast<std::size_t>(cols - 1)]] += head * e[order[static_cast<std::size_t>(cols - 1)]];
    for (std::size_t p = 0; p + 1 < order.size(); ++p) {
      const double i = g * (e[order[p]] - e[order[p + 1]]);
      fe[order[p]] += i;
      fe[order[p + 1]] -= i;
    }
  }
  if (column_nodes_ < 2) return;
  const double g = 1.0 / tile.r_col_ohm;
  const ConstGrid c(y + column_offset_, column_nodes_, cols);
  Grid fc(f + column_offset_, column_nodes_, cols);
  for (Index i = 0; i + 1 < column_nodes_; ++i) {
    fc.row(i) += g * (c.row(i) - c.row(i + 1));
    fc.row(i + 1) += g * (c.row(i + 1) - c.row(i));
  }
}

double TransientSystem::sense_current_internal(const double* y, Index j) const {
  const Index cols = crossbar_.cols();
  const Index end = end_node(j >= crossbar_.south_columns);
  if (column_nodes_ > 0 && end_ohm_ > 0.0) {
    const double* const front = y + front_offset_;
    const double v_x = op_amp_ ? front[j] + front[cols + j] : 0.0;
    return (y[column_offset_ + end * cols + j] - v_x) / end_ohm_;
  }
  if (column_nodes_ == 0) return current_.col(j).sum();
  // The end node is the virtual ground itself: what its cells and its wire bring.
  double sum = 0.0;
  for (Index l = end * crossbar_.lines_per_row; l < (end + 1) * crossbar_.lines_per_row; ++l) sum += current_(l, j);
  const Index neighbour = end == 0 ? 1 : end - 1;
  return sum + y[column_offset_ + neighbour * cols + j] / crossbar_.tile.r_col_ohm;
}

void TransientSystem::front_end_residual(const double* y, const double* y_prime, double* f) const {
  const Index cols = crossbar_.cols();
  const double* const state = y + front_offset_;
  const double* const rate = y_prime + front_offset_;
  double* const out = f + front_offset_;
  if (!op_amp_) {
    for (Index j = 0; j < cols; ++j) out[j] = rate[j] - sense_current_internal(y, j);
    return;
  }
  const OpAmp amp(crossbar_.tile.front_end, c_int_);
  for (Index j = 0; j < cols; ++j) {
    const double v_cap = state[j], v_out = state[cols + j];
    out[j] = c_int_ * rate[j] + amp.leak_siemens * v_cap - sense_current_internal(y, j);
    out[cols + j] = rate[cols + j] - amp.output_slope(v_cap + v_out, v_out);
  }
}

void TransientSystem::residual(double t, const double* y, const double* y_prime, double* f) {
  const auto& tile = crossbar_.tile;
  const Index cols = crossbar_.cols();
  if (!ohmic_) slope_.setZero(crossbar_.lines(), cols);
  evaluate_cells(t, y);
  std::fill(f, f + size(), 0.0);
  wire_currents(y, f);
  for (Index l = 0; l < crossbar_.lines() && row_nodes_ > 0; ++l) {
    double* const fe = f + l * row_nodes_;
    const double* const rate = y_prime + l * row_nodes_;
    const double drive_rate = interval_.volt_slope[l];
    if (row_nodes_ == 1) {
      fe[0] += static_cast<double>(cols) * tile.c_row_farad * (rate[0] - drive_rate) - current_.row(l).sum();
      continue;
    }
    for (Index j = 0; j < cols; ++j) fe[j] += tile.c_row_farad * (rate[j] - drive_rate) - current_(l, j);
  }
  if (column_nodes_ > 0) {
    const double c_node = tile.c_col_farad * static_cast<double>(column_nodes_ == 1 ? tile.rows : 1);
    Grid fc(f + column_offset_, column_nodes_, cols);
    fc += c_node * ConstGrid(y_prime + column_offset_, column_nodes_, cols);
    for (Index l = 0; l < crossbar_.lines(); ++l) fc.row(column_node(l)) -= current_.row(l);
    for (Index j = 0; j < cols; ++j) {
      const Index end = end_node(j >= crossbar_.south_columns);
      if (pinned_end()) fc(end, j) = y[column_offset_ + end * cols + j];
      else fc(end, j) += sense_current_internal(y, j);
    }
  }
  front_end_residual(y, y_prime, f);
}

void TransientSystem::factor(double cj, const double* y, double row_pin, double column_pin) {
  const auto& tile = crossbar_.tile;
  MeshSolver::Shunts shunts;
  shunts.row_siemens = cj * tile.c_row_farad + row_pin;
  shunts.column_siemens = cj * tile.c_col_farad + column_pin;
  if (op_amp_ && cj > 0.0) {
    const OpAmp amp(tile.front_end, c_int_);
    const Index cols = crossbar_.cols();
    front_impedance_.resize(cols);
    for (Index j = 0; j < cols; ++j) {
      const double v_cap = y[front_offset_ + j], v_out = y[front_offset_ + cols + j];
      const auto slope = amp.slopes(v_cap + v_out, v_out);
      const double held = 1.0 - slope.by_input / (cj + slope.by_output + slope.by_input);
      front_impedance_[j] = held / (c_int_ * cj + amp.leak_siemens);
    }
    shunts.sense_extra_ohm = front_impedance_;
  }
  mesh_.factor(all_lines_, ohmic_ ? active_device_ : slope_, shunts);
}

// Right-hand side of the state's layout -> the mesh solver's (one entry a grid node; a collapsed wire's sum at its first node).
void TransientSystem::gather_sources(const double* b) {
  const Index cols = crossbar_.cols();
  b_row_.setZero();
  b_column_.setZero();
  for (Index l = 0; l < crossbar_.lines(); ++l) {
    if (row_nodes_ == 1) b_row_(l, 0) = b[l];
    if (row_nodes_ > 1) b_row_.row(l) = ConstGrid(b + l * cols, 1, cols).row(0);
    const bool owner = l % crossbar_.lines_per_row == 0 && (column_nodes_ > 1 || (column_nodes_ == 1 && l == 0));
    if (owner) b_column_.row(l) = ConstGrid(b + column_offset_ + column_node(l) * cols, 1, cols).row(0);
  }
}

bool TransientSystem::solve_newton_system(double cj, double t, const double* y, const double* b, double* x) {
  const Index cols = crossbar_.cols();
  if (!ohmic_ || op_amp_ || cj != factored_cj_) {
    if (!ohmic_) {
      slope_.setZero(crossbar_.lines(), cols);
      evaluate_cells(t, y);
    }
    factor(cj, y, 0.0, 0.0);
    factored_cj_ = cj;
  }
  gather_sources(b);
  const OpAmp amp(crossbar_.tile.front_end, op_amp_ ? c_int_ : 1.0);
  Vector rest(op_amp_ ? cols : 0);  // v_x of the front end when no current flows
  for (Index j = 0; j < rest.size(); ++j) {
    const double v_cap = y[front_offset_ + j], v_out = y[front_offset_ + cols + j];
    const auto slope = amp.slopes(v_cap + v_out, v_out);
    const double total = cj + slope.by_output + slope.by_input;
    rest[j] = front_impedance_[j] * b[front_offset_ + j] + b[front_offset_ + cols + j] / total;
    const Index line = column_nodes_ == 1 ? 0 : end_node(j >= crossbar_.south_columns) * crossbar_.lines_per_row;
    b_column_(line, j) += rest[j] / (end_ohm_ + front_impedance_[j]);
  }
  const double scale = std::max(b_row_.abs().maxCoeff(), b_column_.abs().maxCoeff());
  x_column_.setZero(crossbar_.lines(), cols);
  const auto report = mesh_.solve(b_row_, b_column_, x_row_, x_column_, 1e-6 * scale, 500);
  linear_iterations_ += report.iterations;
  if (!report.converged) return false;

  for (Index l = 0; l < crossbar_.lines(); ++l) {
    if (row_nodes_ == 1) x[l] = x_row_(l, 0);
    if (row_nodes_ > 1) Grid(x + l * cols, 1, cols).row(0) = x_row_.row(l);
    const bool owner = l % crossbar_.lines_per_row == 0 && (column_nodes_ > 1 || (column_nodes_ == 1 && l == 0));
    if (owner) Grid(x + column_offset_ + column_node(l) * cols, 1, cols).row(0) = x_column_.row(l);
  }
  const Array& g = ohmic_ ? active_device_ : slope_;
  for (Index j = 0; j < cols; ++j) {
    const Index end = end_node(j >= crossbar_.south_columns);
    if (op_amp_) {
      const double i = (x[column_offset_ + end * cols + j] - rest[j]) / (end_ohm_ + front_impedance_[j]);
      const double v_cap = y[front_offset_ + j], v_out = y[front_offset_ + cols + j];
      const auto slope = amp.slopes(v_cap + v_out, v_out);
      const double x_cap = (b[front_offset_ + j] + i) / (c_int_ * cj + amp.leak_siemens);
      x[front_offset_ + j] = x_cap;
      x[front_offset_ + cols + j] = (b[front_offset_ + cols + j] - slope.by_input * x_cap) / (cj + slope.by_output + slope.by_input);
      continue;
    }
    double i = 0.0;
    if (column_nodes_ > 0 && end_ohm_ > 0.0) {
      i = x[column_offset_ + end * cols + j] / end_ohm_;
    } else if (column_nodes_ == 0) {
      for (Index l = 0; l < crossbar_.lines(); ++l) i -= g(l, j) * x_row_(l, j);
    } else {
      for (Index l = end * crossbar_.lines_per_row; l < (end + 1) * crossbar_.lines_per_row; ++l) i -= g(l, j) * x_row_(l, j);
      i += x[column_offset_ + (end == 0 ? 1 : end - 1) * cols + j] / crossbar_.tile.r_col_ohm;
    }
    x[front_offset_ + j] = (b[front_offset_ + j] + i) / cj;
  }
  return true;
}

bool TransientSystem::enter(const DriveInterval& interval, const Vector& previous_volt, Vector& y, Vector& y_prime) {
  const auto& tile = crossbar_.tile;
  const Index cols = crossbar_.cols();
  interval_ = interval;
  factored_cj_ = -1.0;
  active_device_ = ohmic_g_;
  for (Index l = 0; l < crossbar_.lines(); ++l) {
    if (!interval.conducting[static_cast<std::size_t>(l)]) active_device_.row(l).setZero();
    // The row's capacitance keeps v = V - e through a jump of V.
    if (tile.c_row_farad > 0.0 && row_nodes_ > 0)
      y.segment(l * row_nodes_, row_nodes_).array() += interval.volt_begin[l] - previous_volt[l];
  }

  const Vector id = differential();
  Vector f(size()), zero = Vector::Zero(size()), x = zero;
  const bool rows_free = row_nodes_ > 0 && tile.c_row_farad == 0.0;
  const bool columns_free = column_nodes_ > 0 && tile.c_col_farad == 0.0;
  if (rows_free || columns_free) {
    bool done = false;
    for (int step = 0; step < 50 && !done; ++step) {
      // A pinned unknown has no residual of its own: its equation is not one of the algebraic ones.
      residual(interval.begin_s, y.data(), zero.data(), f.data());
      f.array() *= 1.0 - id.array();
      factor(0.0, y.data(), rows_free ? 0.0 : kPin, columns_free ? 0.0 : kPin);
      gather_sources(f.data());
      const double scale = std::max(b_row_.abs().maxCoeff(), b_column_.abs().maxCoeff());
      x_column_.setZero(crossbar_.lines(), cols);
      const auto report = mesh_.solve(b_row_, b_column_, x_row_, x_column_, 1e-12 * scale, 2000);
      if (!report.converged) return false;
      double largest = 0.0;
      for (Index l = 0; l < crossbar_.lines(); ++l) {
        for (Index k = 0; rows_free && k < row_nodes_; ++k) {
          y[l * row_nodes_ + k] -= x_row_(l, k);
          largest = std::max(largest, std::abs(x_row_(l, k)));
        }
        if (columns_free && l % crossbar_.lines_per_row == 0 && (column_nodes_ > 1 || l == 0)) {
          y.segment(column_offset_ + column_node(l) * cols, cols) -= x_column_.row(l).matrix().transpose();
          largest = std::max(largest, x_column_.row(l).abs().maxCoeff());
        }
      }
      if (!std::isfinite(largest)) return false;
      done = largest <= 1e-13 * tile.v_read_volt;
    }
    if (!done) return false;
  }

  // Rates of the differential unknowns from F(y, 0); an algebraic unknown starts with rate 0.
  residual(interval.begin_s, y.data(), zero.data(), f.data());
  y_prime = zero;
  const double c_row = tile.c_row_farad * static_cast<double>(row_nodes_ == 1 ? cols : 1);
  const double c_col = tile.c_col_farad * static_cast<double>(column_nodes_ == 1 ? tile.rows : 1);
  for (Index k = 0; k < front_offset_; ++k)
    if (id[k] == 1.0) y_prime[k] = -f[k] / (k < column_offset_ ? c_row : c_col);
  for (Index k = front_offset_; k < size(); ++k) y_prime[k] = -f[k] / (op_amp_ && k < front_offset_ + cols ? c_int_ : 1.0);
  return y_prime.allFinite();
}

Vector TransientSystem::measured_charge(const Vector& y) const {
  const Index cols = crossbar_.cols();
  Vector charge(cols);
  const double reset = op_amp_ ? OpAmp(crossbar_.tile.front_end, c_int_).reset_output() : 0.0;
  for (Index j = 0; j < cols; ++j) {
    const double state = y[y.size() - cols + j];
    charge[crossbar_.column_order[static_cast<std::size_t>(j)]] = op_amp_ ? -c_int_ * (state - reset) : state;
  }
  return charge;
}

double TransientSystem::row_voltage(double t, const Vector& y, Index line, Index column) const {
  const double volt = line_volt(t, line);
  if (row_nodes_ == 0) return volt;
  return volt - y[line * row_nodes_ + (row_nodes_ == 1 ? 0 : row_position_[static_cast<std::size_t>(column)])];
}

double TransientSystem::column_voltage(const Vector& y, Index row, Index column) const {
  if (column_nodes_ == 0) return 0.0;
  return y[column_offset_ + (column_nodes_ == 1 ? 0 : row) * crossbar_.cols() + row_position_[static_cast<std::size_t>(column)]];
}

double TransientSystem::sense_current(double, const Vector& y, Index column) const {
  return sense_current_internal(y.data(), row_position_[static_cast<std::size_t>(column)]);
}

}  // namespace crosstile::circuit
