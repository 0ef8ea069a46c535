// An independent account of the transient: every wire node of a small crossbar an unknown, laws and pulses written down from docs/theory.md,
// integrated by Boost.Odeint's controlled Dormand-Prince pair. Shares no code with the solver. Needs positive wire resistances and
// capacitances, left-aligned pulses in one pass (codes >= 0, or sign mode bipolar) and a window of 2^(bits - 1) t_lsb + t_settle.
#pragma once

#include <algorithm>
#include <boost/numeric/odeint.hpp>
#include <cmath>
#include <numbers>

#include "circuit/circuit.hpp"

namespace crosstile::circuit::test {

class OdeintOracle {
 public:
  // g(t) as lines x cols, physical order, constant between multiples of g_step_s (0: always).
  OdeintOracle(const Crossbar& crossbar, const IntVector& codes, std::function<Array(double t)> g = {}, double g_step_s = 0.0)
      : tile_(crossbar.tile), per_row_(crossbar.lines_per_row), lines_(crossbar.lines()), codes_(codes), g_(std::move(g)), g_step_s_(g_step_s) {
    if (!g_) g_ = [fixed = crossbar.conductance_siemens](double) { return fixed; };
    window_s_ = std::ldexp(tile_.pulse.t_lsb_s, tile_.pulse.dac_bits - 1) + tile_.pulse.t_settle_s;
  }

  // Front-end states at the end of the window, a column each: charge; -c_int (v_out - v_out at reset); phase in counts.
  Vector run(double tolerance = 1e-10) {
    using Stepper = boost::numeric::odeint::runge_kutta_dopri5<State>;
    State x(static_cast<std::size_t>(front(2, 0)), 0.0);
    const double reset = tile_.front_end.offset_volt * tile_.front_end.dc_gain / (1.0 + tile_.front_end.dc_gain);
    for (Index l = 0; l < lines_; ++l)
      for (Index j = 0; j < tile_.cols && gated(); ++j) x[row(l, j)] = volt(l, 0.0);
    for (Index j = 0; j < tile_.cols && integrator(); ++j) x[front(1, j)] = reset;
    const auto times = edges();
    for (std::size_t k = 0; k + 1 < times.size(); ++k) {
      const double begin = times[k], end = times[k + 1], inside = 1e-9 * (end - begin);
      conductance_ = g_(0.5 * (begin + end));
      const auto rate = [&](const State& s, State& ds, double t) { derivative(s, ds, std::clamp(t, begin + inside, end - inside)); };
      boost::numeric::odeint::integrate_adaptive(boost::numeric::odeint::make_controlled<Stepper>(1e-3 * tolerance, tolerance), rate, x, begin,
                                                 end, 1e-14);
    }
    Vector out(tile_.cols);
    const double c_int = integrator() ? integration_capacitance(tile_) : 1.0;
    for (Index j = 0; j < tile_.cols; ++j) out[j] = integrator() ? -c_int * (x[front(1, j)] - reset) : kChargeUnit * x[front(0, j)];
    if (cco()) out /= tile_.front_end.charge_per_count_coulomb;
    return out;
  }

 private:
  using State = std::vector<double>;
  static constexpr double kChargeUnit = 1e-15;  // charges are states of the order of volts to the error control

  bool gated() const { return tile_.drive == data::Drive::gated; }
  bool integrator() const { return tile_.front_end.kind == data::FrontEndKind::integrator; }
  bool cco() const { return tile_.front_end.kind == data::FrontEndKind::cco; }
  bool mos() const { return tile_.selector.kind == data::SelectorKind::mos; }
  std::size_t row(Index l, Index j) const { return static_cast<std::size_t>(l * tile_.cols + j); }
  std::size_t column(Index i, Index j) const { return static_cast<std::size_t>((lines_ + i) * tile_.cols + j); }
  std::size_t front(Index state, Index j) const { return static_cast<std::size_t>((lines_ + tile_.rows + state) * tile_.cols + j); }

  std::vector<double> edges() const {
    std::vector<double> times{0.0, window_s_};
    for (Index i = 0; i < tile_.rows; ++i)
      for (const double t : {0.0, std::abs(codes_[i]) * tile_.pulse.t_lsb_s}) {
        times.push_back(t);
        times.push_back(t + tile_.pulse.t_edge_s);
      }
    for (double t = g_step_s_; g_step_s_ > 0.0 && t < window_s_; t += g_step_s_) times.push_back(t);
    std::sort(times.begin(), times.end());
    std::vector<double> out;
    for (const double t : times)
      if (t <= window_s_ && (out.empty() || t - out.back() > 1e-14)) out.push_back(t);
    return out;
  }

  // Share of the pulse of row i that is on: 0 to 1.
  double pulse(Index i, double t) const {
    const double end = std::abs(codes_[i]) * tile_.pulse.t_lsb_s, edge = tile_.pulse.t_edge_s;
    if (codes_[i] == 0) return 0.0;
    if (edge == 0.0 || (gated() && !mos())) return t < end ? 1.0 : 0.0;
    return std::min(t / edge, 1.0) - (t > end ? std::min((t - end) / edge, 1.0) : 0.0);
  }
  double volt(Index l, double t) const {
    const double sign = (per_row_ == 2 && l % 2 == 1 ? -1.0 : 1.0) * (codes_[l / per_row_] < 0 ? -1.0 : 1.0);
    return sign * tile_.v_read_volt * (gated() ? 1.0 : pulse(l / per_row_, t));
  }

  double device(double g, double v) const {
    return tile_.cell.law == data::CellLaw::ohmic ? g * v : g * tile_.cell.v_h_volt * std::sinh(v / tile_.cell.v_h_volt);
  }
  double channel(double v_source, double v_drain, double gate) const {
    const auto& s = tile_.selector;
    const double phi = 8.617333262145178e-5 * s.temperature_kelvin, v_p = (gate - s.threshold_volt) / s.slope_factor;
    const auto f = [&](double v) {
      const double l = std::log1p(std::exp(v / (2.0 * phi)));
      return l * l;
    };
    return 2.0 * s.slope_factor * s.beta_ampere_per_volt2 * phi * phi * (f(v_p - v_source) - f(v_p - v_drain));
  }
  // Regula falsi on the inner node; an end that stays twice counts half (Illinois).
  double cell(double g, double v_row, double v_column, double on) const {
    if (on <= 0.0 || g == 0.0 || v_row == v_column) return 0.0;
    const auto& s = tile_.selector;
    const double gate = on * s.gate_on_volt;
    if (!mos() && s.r_on_ohm == 0.0) return device(g, v_row - v_column);
    const auto excess = [&](double x) { return (mos() ? channel(v_column, x, gate) : (x - v_column) / s.r_on_ohm) - device(g, v_row - x); };
    double a = v_column, b = v_row, f_a = excess(a), f_b = excess(b), x = a;
    for (int k = 0; k < 60; ++k) {
      x = (a * f_b - b * f_a) / (f_b - f_a);
      const double f = excess(x);
      if (std::abs(f) < 1e-19 || std::abs(b - a) < 1e-16) break;
      if ((f > 0.0) == (f_b > 0.0)) {
        f_a *= (f_b - f) / f_b > 0.5 ? 1.0 : 0.5;
        b = x;
        f_b = f;
      } else {
        a = b;
        f_a = f_b;
        b = x;
        f_b = f;
      }
    }
    return device(g, v_row - x);
  }

  void derivative(const State& x, State& dx, double t) const {
    std::fill(dx.begin(), dx.end(), 0.0);
    const auto wire = [&](std::size_t a, std::size_t b, double r) {
      const double i = (x[a] - x[b]) / r;
      dx[a] -= i;
      dx[b] += i;
    };
    const double head = tile_.r_driver_ohm + tile_.r_row_ohm;
    for (Index l = 0; l < lines_; ++l) {
      dx[row(l, 0)] += (volt(l, t) - x[row(l, 0)]) / head;
      if (tile_.drivers == data::DriverEnds::both) dx[row(l, tile_.cols - 1)] += (volt(l, t) - x[row(l, tile_.cols - 1)]) / head;
      for (Index j = 0; j + 1 < tile_.cols; ++j) wire(row(l, j), row(l, j + 1), tile_.r_row_ohm);
      const Index i = l / per_row_;
      const double on = gated() ? pulse(i, t) : 1.0;
      for (Index j = 0; j < tile_.cols; ++j) {
        const double current = cell(conductance_(l, j), x[row(l, j)], x[column(i, j)], on);
        dx[row(l, j)] -= current;
        dx[column(i, j)] += current;
      }
    }
    for (Index j = 0; j < tile_.cols; ++j) {
      for (Index i = 0; i + 1 < tile_.rows; ++i) wire(column(i, j), column(i + 1, j), tile_.r_col_ohm);
      sense(x, dx, j);
    }
    for (std::size_t k = 0; k < row(lines_, 0); ++k) dx[k] /= tile_.c_row_farad;
    for (std::size_t k = row(lines_, 0); k < front(0, 0); ++k) dx[k] /= tile_.c_col_farad;
  }

  void sense(const State& x, State& dx, Index j) const {
    const auto& f = tile_.front_end;
    const std::size_t end = column(tile_.sensed_north(j) ? 0 : tile_.rows - 1, j);
    const double v_cap = x[front(0, j)], v_out = x[front(1, j)], v_x = integrator() ? v_cap + v_out : 0.0;
    const double current = (x[end] - v_x) / (tile_.sense_segment * tile_.r_col_ohm + tile_.r_sense_ohm);
    dx[end] -= current;
    if (cco()) dx[front(0, j)] = std::clamp(current / f.charge_per_count_coulomb, 0.0, f.highest_frequency_hz) * f.charge_per_count_coulomb / kChargeUnit;
    else if (!integrator()) dx[front(0, j)] = current / kChargeUnit;
    if (!integrator()) return;
    const double unity = 2.0 * std::numbers::pi * f.gain_bandwidth_hz;
    dx[front(0, j)] = (current - f.leak_siemens * v_cap) / integration_capacitance(tile_);
    const double wanted = unity * (f.offset_volt - v_x) - unity / f.dc_gain * v_out;
    const double beyond = v_out - std::clamp(v_out, -f.swing_volt, f.swing_volt);
    dx[front(1, j)] = f.slew_volt_per_s * std::tanh(wanted / f.slew_volt_per_s) - 100.0 * unity * beyond;
  }

  data::TileSpec tile_;
  Index per_row_, lines_;
  IntVector codes_;
  std::function<Array(double)> g_;
  double g_step_s_, window_s_ = 0.0;
  Array conductance_;
};

}  // namespace crosstile::circuit::test
