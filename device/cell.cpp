#include "device/cell.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

constexpr double kCellMost = std::numeric_limits<double>::max();
constexpr double kVoltPerKelvin = 1.380649e-23 / 1.602176634e-19;  // Boltzmann constant over elementary charge (exact SI values)

void require_positive(const char* field, double value) {
  if (!(value > 0.0 && std::isfinite(value))) throw_out_of_range(field, value, "allowed: above 0");
}

/// Root y >= 0 of y + a sinh(y) = w for a > 0, w >= 0. The left side is convex, and both starting bounds lie at or above the
/// root (sinh y >= y, and y >= 0), so Newton's steps fall towards it and stop when rounding turns them.
double series_root(double a, double w) {
  double y = std::min(w / (1.0 + a), std::asinh(w / a));
  for (int step = 0; step < 100; ++step) {
    const double next = y - (y - w + a * std::sinh(y)) / (1.0 + a * std::cosh(y));
    if (!(next < y)) return y;
    y = std::max(next, 0.0);
  }
  return y;
}

/// 1 / (1 + exp(-u)) and ln(1 + exp(u)), for any u.
double logistic(double u) { return u >= 0.0 ? 1.0 / (1.0 + std::exp(-u)) : std::exp(u) / (1.0 + std::exp(u)); }
double softplus(double u) { return std::max(u, 0.0) + std::log1p(std::exp(-std::abs(u))); }

/// The channel between its source at u_s (in units of 2 phi below pinch-off) and its drain at u_s - d: current and slopes over I_s.
class Channel {
 public:
  explicit Channel(double u_source) : u_(u_source), source_(softplus(u_source)), share_(logistic(u_source)) {}

  double current(double d) const {
    const double drain = softplus(u_ - d);
    // ln(1 + e^u) - ln(1 + e^(u - d)): the plain difference would lose the current of a small d.
    const double difference = std::abs(d) <= 1.0 ? -std::log1p(share_ * std::expm1(-d)) : source_ - drain;
    return difference * (source_ + drain);
  }
  double by_drain(double d) const { return 2.0 * softplus(u_ - d) * logistic(u_ - d); }
  double by_source() const { return 2.0 * source_ * share_; }

 private:
  double u_, source_, share_;
};

}  // namespace

CellModel::CellModel(const data::CellSpec& cell, const data::SelectorSpec& selector)
    : sinh_(cell.law == data::CellLaw::sinh),
      mos_(selector.kind == data::SelectorKind::mos),
      v_h_(cell.v_h_volt),
      r_on_(mos_ ? 0.0 : selector.r_on_ohm) {
  require_in_range("selector.r_on_ohm", selector.r_on_ohm, 0.0, kCellMost);
  if (sinh_) require_positive("cell.v_h_volt", cell.v_h_volt);
  if (!mos_) return;
  require_positive("selector.beta_ampere_per_volt2", selector.beta_ampere_per_volt2);
  require_positive("selector.slope_factor", selector.slope_factor);
  require_positive("selector.temperature_kelvin", selector.temperature_kelvin);
  require_in_range("selector.threshold_volt", selector.threshold_volt, -kCellMost, kCellMost);
  const double phi = kVoltPerKelvin * selector.temperature_kelvin;
  two_phi_ = 2.0 * phi;
  scale_ampere_ = 2.0 * selector.slope_factor * selector.beta_ampere_per_volt2 * phi * phi;
  threshold_ = selector.threshold_volt;
  slope_factor_ = selector.slope_factor;
}

double CellModel::device_current(double g, double v) const { return sinh_ ? g * v_h_ * std::sinh(v / v_h_) : g * v; }

// From the current, so that a voltage beyond the range of cosh is no trouble.
double CellModel::device_slope(double g, double current) const { return sinh_ ? g * std::hypot(1.0, current / (g * v_h_)) : g; }

CellBranch CellModel::series_resistor(double g, double v) const {
  if (!sinh_) {
    const double total = g / (1.0 + g * r_on_);
    return {total * v, total, total};
  }
  const double w = std::abs(v) / v_h_;
  const double y = r_on_ > 0.0 ? series_root(g * r_on_, w) : w;
  const double current = g * v_h_ * std::sinh(y);
  const double slope = g * std::cosh(y);
  // slope / (1 + r slope) written so that a huge slope gives 1 / r instead of infinity over infinity.
  const double total = r_on_ > 0.0 ? 1.0 / (1.0 / slope + r_on_) : slope;
  return {std::copysign(current, v), total, total};
}

// Unknown: the voltage w between inner node and column, from p(w) = (device voltage at the channel's current) - (v - w) = 0. p rises with
// a slope of at least 1 and never overflows; for a forward cell it is concave, so Newton's steps from the tangent at 0 rise to the root.
CellBranch CellModel::series_transistor(double g, double v_row, double v_column, double gate) const {
  const Channel channel(((gate - threshold_) / slope_factor_ - v_column) / two_phi_);
  const double v = v_row - v_column;
  const double unit = g * v_h_;
  double low = std::min(v, 0.0), high = std::max(v, 0.0);
  double w = v / (1.0 + scale_ampere_ / two_phi_ * channel.by_drain(0.0) / g);
  double before = kCellMost;
  for (int step = 0; step < 200; ++step) {
    const double current = scale_ampere_ * channel.current(w / two_phi_);
    const double by_drain = scale_ampere_ / two_phi_ * channel.by_drain(w / two_phi_);
    const double p = (sinh_ ? v_h_ * std::asinh(current / unit) : current / g) - (v - w);
    (p < 0.0 ? low : high) = w;
    double next = w - p / (1.0 + by_drain / device_slope(g, current));
    // Bisection where Newton's steps leave the bracket or crawl (not where rounding stops them).
    const bool crawls = std::abs(p) > 0.5 * before && std::abs(p) > 1e-6 * std::abs(v);
    if (!(next >= low && next <= high) || crawls) next = 0.5 * (low + high);
    before = std::abs(p);
    const double change = std::abs(next - w);
    w = next;
    if (!(change > 2.0 * std::numeric_limits<double>::epsilon() * std::abs(v))) break;
  }
  // Of the two expressions for the current, that which feels the rounding of w least.
  const double left = v - w;
  const bool by_device = std::abs(w) < std::abs(left) && (!sinh_ || std::abs(w) < v_h_);
  const double current = by_device ? device_current(g, left) : scale_ampere_ * channel.current(w / two_phi_);
  const double by_device_volt = device_slope(g, current);
  const double by_drain = scale_ampere_ / two_phi_ * channel.by_drain(w / two_phi_);
  const double by_source = scale_ampere_ / two_phi_ * channel.by_source();
  const double share = by_device_volt / (by_device_volt + by_drain);
  return {current, share * by_drain, share * by_source};
}

CellBranch CellModel::branch(double g, double v_row, double v_column, double gate) const {
  if (g == 0.0 || gate <= 0.0) return {};
  return mos_ ? series_transistor(g, v_row, v_column, gate) : series_resistor(g, v_row - v_column);
}

CellPoint cell_point(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_volt) {
  const auto at = cell_branch(cell, selector, g_siemens, v_volt, 0.0, selector.kind == data::SelectorKind::mos ? selector.gate_on_volt : 1.0);
  return {at.current_ampere, at.by_row_siemens};
}

CellBranch cell_branch(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_row_volt,
                       double v_column_volt, double gate_volt) {
  require_in_range("cell conductance (siemens)", g_siemens, 0.0, kCellMost);
  return CellModel(cell, selector).branch(g_siemens, v_row_volt, v_column_volt, gate_volt);
}

}  // namespace crosstile::device
