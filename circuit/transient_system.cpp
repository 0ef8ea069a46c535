// The equations; their linear systems are in transient_solve.cpp.
#include "circuit/transient_system.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace crosstile::circuit {

TransientSystem::TransientSystem(const Crossbar& crossbar)
    : crossbar_(crossbar),
      mesh_(crossbar),
      cells_(crossbar.tile.cell, crossbar.tile.selector),
      amp_(crossbar.tile.front_end, 1.0),
      oscillator_(crossbar.tile.front_end),
      ohmic_(crossbar.tile.ohmic_cells()),
      op_amp_(crossbar.tile.front_end.kind == data::FrontEndKind::integrator),
      cco_(crossbar.tile.front_end.kind == data::FrontEndKind::cco) {
  const auto& tile = crossbar.tile;
  end_ohm_ = tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm;
  row_nodes_ = tile.ideal_supply() ? 0 : (tile.r_row_ohm > 0.0 ? tile.cols : 1);
  column_nodes_ = tile.r_col_ohm > 0.0 ? tile.rows : (end_ohm_ > 0.0 ? 1 : 0);
  if (op_amp_) {
    if (end_ohm_ == 0.0)
      throw Error(ErrorKind::usage, "front_end \"integrator\" needs resistance between the last cell and the op-amp; "
                                    "set r_sense_ohm, or sense_segment and r_col_ohm, above 0");
    c_int_ = integration_capacitance(tile);
    amp_ = OpAmp(tile.front_end, c_int_);
    amp_slopes_.resize(static_cast<std::size_t>(crossbar.cols()));
  }
  front_states_ = op_amp_ ? 2 : 1;
  column_offset_ = crossbar.lines() * row_nodes_;
  front_offset_ = column_offset_ + column_nodes_ * crossbar.cols();
  all_lines_.resize(static_cast<std::size_t>(crossbar.lines()));
  for (std::size_t l = 0; l < all_lines_.size(); ++l) all_lines_[l] = static_cast<Index>(l);
  row_position_.resize(static_cast<std::size_t>(crossbar.cols()));
  in_order_ = true;
  for (std::size_t j = 0; j < row_position_.size(); ++j) {
    row_position_[static_cast<std::size_t>(crossbar.column_order[j])] = static_cast<Index>(j);
    in_order_ = in_order_ && crossbar.column_order[j] == static_cast<Index>(j);
  }
  for (Array* grid : {&current_, &slope_, &f_row_, &f_column_, &active_g_}) grid->setZero(crossbar.lines(), crossbar.cols());
  row_volt_.setZero(1, crossbar.cols());
  by_column_ = ground_ = row_volt_;
  front_f_.setZero(front_states_ * crossbar.cols());
  front_rate_ = front_current_ = Vector::Zero(crossbar.cols());
  limited_.assign(static_cast<std::size_t>(crossbar.cols()), false);
  set_conductances(crossbar.conductance_siemens);
}

void TransientSystem::set_conductances(const Eigen::Ref<const Array>& physical) { device_ = to_internal(crossbar_, physical); }

double TransientSystem::row_capacitance() const {
  return crossbar_.tile.c_row_farad * static_cast<double>(row_nodes_ == 1 ? crossbar_.cols() : 1);
}

double TransientSystem::column_capacitance() const {
  return crossbar_.tile.c_col_farad * static_cast<double>(column_nodes_ == 1 ? crossbar_.rows() : 1);
}

Vector TransientSystem::differential() const {
  const auto& tile = crossbar_.tile;
  Vector id = Vector::Ones(size());
  if (tile.c_row_farad == 0.0) id.head(column_offset_).setZero();
  if (tile.c_col_farad == 0.0) id.segment(column_offset_, front_offset_ - column_offset_).setZero();
  if (pinned_end())
    for (Index j = 0; j < crossbar_.cols(); ++j) id[column_offset_ + end_node(j) * crossbar_.cols() + j] = 0.0;
  return id;
}

void TransientSystem::error_weights(const double* y, double* weights) const {
  const Eigen::Map<const Eigen::ArrayXd> nodes(y, front_offset_);
  Eigen::Map<Eigen::ArrayXd>(weights, front_offset_) = (tolerances_.relative * nodes.abs() + tolerances_.volt).inverse();
  // The norm is a mean over all states; the front ends' errors are to count as the mean over their columns.
  const double unit = op_amp_ ? c_int_ : (cco_ ? oscillator_.charge_per_count_coulomb : 1.0);
  const double weight = std::sqrt(static_cast<double>(size()) / static_cast<double>(crossbar_.cols())) * unit / tolerances_.charge_coulomb;
  std::fill(weights + front_offset_, weights + size(), weight);
}

double TransientSystem::first_step(const Vector& y, const Vector& y_prime, double length_s) const {
  const Index count = op_amp_ ? size() : front_offset_;
  const auto per_tolerance = y_prime.head(count).array() / (tolerances_.relative * y.head(count).array().abs() + tolerances_.volt);
  const double norm = count > 0 ? std::sqrt(per_tolerance.square().sum() / static_cast<double>(size())) : 0.0;
  const double longest = 1e-3 * length_s;
  return norm * longest > 0.5 ? 0.5 / norm : longest;
}

Vector TransientSystem::initial_state() const {
  Vector y = Vector::Zero(size());
  if (op_amp_) y.tail(crossbar_.cols()).setConstant(amp_.reset_output());
  return y;
}

double TransientSystem::line_volt(double t, Index line) const {
  return interval_.volt_begin[line] + interval_.volt_slope[line] * (t - interval_.begin_s);
}

void TransientSystem::evaluate_cells(double t, const double* y) {
  for (Index l = 0; l < crossbar_.lines(); ++l)
    evaluate_line(l, line_volt(t, l), interval_.gate_begin[l] + interval_.gate_slope[l] * (t - interval_.begin_s), y);
}

// Currents of one line's cells; for non-linear ones their slopes too. The linear solver is symmetric, so a transistor's two slopes become
// one, that of the side that has wires, or their mean; Newton's iteration corrects the rest.
void TransientSystem::evaluate_line(Index line, double volt, double gate, const double* y) {
  const Index cols = crossbar_.cols();
  const double* const __restrict e = y + line * row_nodes_;
  const Index node = column_nodes_ > 1 ? crossbar_.row_of_line(line) : 0;
  const double* const __restrict c = column_nodes_ > 0 ? y + column_offset_ + node * cols : nullptr;
  double* const __restrict v = row_volt_.data();
  if (row_nodes_ > 1)
    for (Index j = 0; j < cols; ++j) v[j] = volt - e[j];
  else
    row_volt_.setConstant(row_nodes_ == 1 ? volt - e[0] : volt);
  double* const __restrict current = current_.data() + line * cols;
  if (ohmic_) {
    const double* const __restrict g = active_g_.data() + line * cols;
    if (c != nullptr)
      for (Index j = 0; j < cols; ++j) current[j] = g[j] * (v[j] - c[j]);
    else
      for (Index j = 0; j < cols; ++j) current[j] = g[j] * v[j];
    return;
  }
  const auto count = static_cast<std::size_t>(cols);
  cells_.branches(gate, {{device_.data() + line * cols, count}, {v, count}, {c != nullptr ? c : ground_.data(), count}},
                  {{current, count}, {slope_.data() + line * cols, count}, {by_column_.data(), count}});
  const double column_share = row_nodes_ == 0 ? 1.0 : (column_nodes_ == 0 ? 0.0 : 0.5);
  slope_.row(line) += column_share * (by_column_.row(0) - slope_.row(line));
}

// Current through the row wire out of each node, in drops; `f` holds the rest of the node's equation.
void TransientSystem::add_row_wire(const double* __restrict e, double* __restrict f) const {
  const auto& tile = crossbar_.tile;
  const Index cols = crossbar_.cols();
  const double head = 1.0 / (tile.r_row_ohm + tile.r_driver_ohm);
  const bool both = tile.drivers == data::DriverEnds::both;
  if (row_nodes_ == 1) {
    f[0] += (both ? 2.0 : 1.0) * head * e[0];
    return;
  }
  const double g = 1.0 / tile.r_row_ohm;
  const auto at = [&](Index physical) { return row_position_[static_cast<std::size_t>(physical)]; };
  f[at(0)] += head * e[at(0)];
  if (both) f[at(cols - 1)] += head * e[at(cols - 1)];
  if (!in_order_) {
    for (Index p = 0; p + 1 < cols; ++p) {
      const double i = g * (e[at(p)] - e[at(p + 1)]);
      f[at(p)] += i;
      f[at(p + 1)] -= i;
    }
    return;
  }
  if (cols < 2) return;
  f[0] += g * (e[0] - e[1]);
  f[cols - 1] += g * (e[cols - 1] - e[cols - 2]);
  for (Index j = 1; j + 1 < cols; ++j) f[j] += g * ((e[j] - e[j - 1]) + (e[j] - e[j + 1]));
}

void TransientSystem::row_residual(const double* y, const double* y_prime) {
  const Index cols = crossbar_.cols();
  const double capacitance = row_capacitance();
  for (Index l = 0; l < crossbar_.lines() && row_nodes_ > 0; ++l) {
    const double* const __restrict rate = y_prime + l * row_nodes_;
    const double* const __restrict current = current_.data() + l * cols;
    double* const __restrict f = f_row_.data() + l * cols;
    const double drive = interval_.volt_slope[l];
    if (row_nodes_ == 1) f[0] = capacitance * (rate[0] - drive) - current_.row(l).sum();
    else
      for (Index j = 0; j < cols; ++j) f[j] = capacitance * (rate[j] - drive) - current[j];
    add_row_wire(y + l * row_nodes_, f);
  }
}

void TransientSystem::column_residual(const double* y, const double* y_prime) {
  if (column_nodes_ == 0) return;
  const Index cols = crossbar_.cols(), per_row = lines_per_row();
  const double capacitance = column_capacitance();
  const double g = column_nodes_ > 1 ? 1.0 / crossbar_.tile.r_col_ohm : 0.0;
  for (Index i = 0; i < column_nodes_; ++i) {
    const double* const __restrict c = y + column_offset_ + i * cols;
    // A missing neighbour is the node itself: no current.
    const double* const above = i > 0 ? c - cols : c;
    const double* const below = i + 1 < column_nodes_ ? c + cols : c;
    const double* const __restrict rate = y_prime + column_offset_ + i * cols;
    double* const __restrict f = f_column_.data() + i * per_row * cols;
    for (Index j = 0; j < cols; ++j) f[j] = capacitance * rate[j] + g * ((c[j] - above[j]) + (c[j] - below[j]));
    const Index lines = column_nodes_ == 1 ? crossbar_.lines() : per_row;
    for (Index l = i * per_row; l < i * per_row + lines; ++l) {
      const double* const __restrict current = current_.data() + l * cols;
      for (Index j = 0; j < cols; ++j) f[j] -= current[j];
    }
  }
  for (Index j = 0; j < cols; ++j) {
    double& f = f_column_(end_line(j), j);
    if (pinned_end()) f = y[column_offset_ + end_node(j) * cols + j];
    else f += sense_current_internal(y, j);
  }
}

double TransientSystem::sense_current_internal(const double* y, Index j) const {
  const Index cols = crossbar_.cols();
  if (column_nodes_ > 0 && end_ohm_ > 0.0) {
    const double* const front = y + front_offset_;
    const double v_x = op_amp_ ? front[j] + front[cols + j] : 0.0;
    return (y[column_offset_ + end_node(j) * cols + j] - v_x) / end_ohm_;
  }
  if (column_nodes_ == 0) return current_.col(j).sum();
  // The end node is the virtual ground itself: what its cells and its wire bring.
  double sum = 0.0;
  for (Index l = end_line(j); l < end_line(j) + lines_per_row(); ++l) sum += current_(l, j);
  const Index neighbour = end_node(j) == 0 ? 1 : end_node(j) - 1;
  return sum + y[column_offset_ + neighbour * cols + j] / crossbar_.tile.r_col_ohm;
}

double TransientSystem::collected_rate(double sense_ampere) const { return cco_ ? oscillator_.frequency(sense_ampere) : sense_ampere; }

void TransientSystem::front_end_residual(const double* y, const double* y_prime) {
  const Index cols = crossbar_.cols();
  const double* const state = y + front_offset_;
  const double* const rate = y_prime + front_offset_;
  for (Index j = 0; j < cols; ++j) {
    const double ampere = sense_current_internal(y, j);
    if (!op_amp_) {
      front_current_[j] = ampere;
      front_rate_[j] = rate[j];
      front_f_[j] = rate[j] - collected_rate(ampere);
      continue;
    }
    const double v_cap = state[j], v_out = state[cols + j];
    amp_slopes_[static_cast<std::size_t>(j)] = amp_.slopes(v_cap + v_out, v_out);
    front_f_[j] = c_int_ * rate[j] + amp_.leak_siemens * v_cap - ampere;
    front_f_[cols + j] = rate[cols + j] - amp_.output_slope(v_cap + v_out, v_out);
  }
}

void TransientSystem::residual(double t, const double* y, const double* y_prime) {
  evaluate_cells(t, y);
  row_residual(y, y_prime);
  column_residual(y, y_prime);
  front_end_residual(y, y_prime);
}

void TransientSystem::note_limits(const double* y) {
  for (Index j = 0; j < crossbar_.cols(); ++j) {
    const bool met = op_amp_ ? amp_.clips(y[front_offset_ + crossbar_.cols() + j]) : cco_ && oscillator_.limits(sense_current_internal(y, j));
    if (met) limited_[static_cast<std::size_t>(j)] = true;
  }
}

void TransientSystem::note_pass_end(const Vector& y) {
  for (Index j = 0; cco_ && j < crossbar_.cols(); ++j)
    if (oscillator_.overflows(y[front_offset_ + j])) limited_[static_cast<std::size_t>(j)] = true;
}

Index TransientSystem::limited_columns() const { return std::count(limited_.begin(), limited_.end(), true); }

Vector TransientSystem::measured_charge(const Vector& y) const {
  const Index cols = crossbar_.cols();
  Vector charge(cols);
  for (Index j = 0; j < cols; ++j) {
    const double state = y[y.size() - cols + j];
    double& out = charge[crossbar_.column_order[static_cast<std::size_t>(j)]];
    if (op_amp_) out = -c_int_ * (state - amp_.reset_output());
    else out = cco_ ? oscillator_.count(state) * oscillator_.charge_per_count_coulomb : state;
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

double TransientSystem::sense_current(const Vector& y, Index column) const {
  return sense_current_internal(y.data(), row_position_[static_cast<std::size_t>(column)]);
}

double TransientSystem::front_end_state(const Vector& y, Index column) const {
  return y[y.size() - crossbar_.cols() + row_position_[static_cast<std::size_t>(column)]];
}

}  // namespace crosstile::circuit
