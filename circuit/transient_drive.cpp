#include "circuit/transient_drive.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

DrivePlan::DrivePlan(const Crossbar& crossbar, const data::Pass& pass, const ConductanceTrace& trace, double time_offset_s)
    : crossbar_(crossbar),
      pass_(pass),
      times_(data::pulse_times(pass, crossbar.tile.pulse)),
      trace_step_s_(trace.step_s),
      time_offset_s_(time_offset_s) {
  const auto& tile = crossbar.tile;
  // A resistor selector switches at once; a level pulse and a transistor's gate ramp.
  const bool ramps = tile.drive != data::Drive::gated || tile.selector.kind == data::SelectorKind::mos;
  ramp_s_ = ramps ? tile.pulse.t_edge_s : 0.0;
  std::vector<double> wanted{0.0, pass.window_s};
  const auto add = [&](double t) {
    if (t > 0.0 && t < pass.window_s) wanted.push_back(t);
  };
  for (Index i = 0; i < crossbar.rows(); ++i)
    if (pass.codes[i] != 0)
      for (const double t : {times_.start_s[i], times_.end_s[i]}) {
        add(t);
        if (ramp_s_ > 0.0) add(t + ramp_s_);
      }
  double shortest = tile.pulse.t_lsb_s;
  if (trace) {
    shortest = std::min(shortest, trace_step_s_);
    const double first = std::floor(time_offset_s / trace_step_s_) + 1.0;
    const double last = std::floor((time_offset_s + pass.window_s) / trace_step_s_);
    for (double step = first; step <= last; step += 1.0) add(step * trace_step_s_ - time_offset_s);
  }
  std::sort(wanted.begin(), wanted.end());
  // Times that differ by rounding are one edge; the window's end stays.
  constexpr double kSame = 1e-6;
  for (const double t : wanted)
    if (edges_.empty() || t - edges_.back() > kSame * shortest) edges_.push_back(t);
  edges_.back() = pass.window_s;
  if (ramp_s_ > 0.0) merged_ = 2.0 * kSame * shortest / ramp_s_;
}

double DrivePlan::share(Index row, double t) const {
  // Rise over [start, start + ramp], fall over [end, end + ramp]; a pulse shorter than its ramp overlaps both (area kept).
  const auto done = [&](double begin) { return ramp_s_ > 0.0 ? std::clamp((t - begin) / ramp_s_, 0.0, 1.0) : (t > begin ? 1.0 : 0.0); };
  const double on = done(times_.start_s[row]) - done(times_.end_s[row]);
  return on > merged_ ? on : 0.0;  // an edge moved to its neighbour leaves no trickle behind
}

DriveInterval DrivePlan::interval(Index k) const {
  const auto& tile = crossbar_.tile;
  const bool gated = tile.drive == data::Drive::gated;
  const double gate_on = tile.selector.kind == data::SelectorKind::mos ? tile.selector.gate_on_volt : 1.0;
  DriveInterval out;
  out.begin_s = edges_[static_cast<std::size_t>(k)];
  out.end_s = edges_[static_cast<std::size_t>(k) + 1];
  const double length = out.end_s - out.begin_s, middle = 0.5 * (out.begin_s + out.end_s);
  out.volt_begin = out.volt_slope = out.gate_begin = out.gate_slope = Vector::Zero(crossbar_.lines());
  if (trace_step_s_ > 0.0) out.trace_step = static_cast<Index>(std::floor((time_offset_s_ + middle) / trace_step_s_));
  for (Index l = 0; l < crossbar_.lines(); ++l) {
    const Index row = crossbar_.row_of_line(l);
    const double volt = crossbar_.polarity(l) * (pass_.codes[row] < 0 ? -1.0 : 1.0) * tile.v_read_volt;
    // Without ramps the share is constant; its value in the middle does not depend on how the edges were rounded.
    const double begin = pass_.codes[row] == 0 ? 0.0 : share(row, ramp_s_ > 0.0 ? out.begin_s : middle);
    const double end = pass_.codes[row] == 0 || ramp_s_ == 0.0 ? begin : share(row, out.end_s);
    if (gated) {
      out.volt_begin[l] = volt;
      out.gate_begin[l] = gate_on * begin;
      out.gate_slope[l] = gate_on * (end - begin) / length;
    } else {
      out.gate_begin[l] = gate_on;
      out.volt_begin[l] = volt * begin;
      out.volt_slope[l] = volt * (end - begin) / length;
    }
  }
  return out;
}

double DrivePlan::full_charge_coulomb() const {
  const auto& tile = crossbar_.tile;
  const double column = crossbar_.conductance_siemens.colwise().sum().maxCoeff();
  return column * tile.v_read_volt * static_cast<double>(std::max(pass_.longest_code, 1)) * tile.pulse.t_lsb_s;
}

}  // namespace crosstile::circuit
