#include "circuit/front_end.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "circuit/circuit.hpp"

namespace crosstile::circuit {

namespace {

// How fast an output beyond its swing returns, in units of the gain-bandwidth: the output stage clips hard.
constexpr double kClipRate = 100.0;

}  // namespace

double integration_capacitance(const data::TileSpec& tile) {
  if (tile.front_end.c_int_farad) return *tile.front_end.c_int_farad;
  const double full_column = static_cast<double>(tile.rows) * tile.g_max_siemens * tile.v_read_volt *
                             data::max_code(tile.pulse.dac_bits) * tile.pulse.t_lsb_s;
  return full_column / tile.front_end.swing_volt;
}

OpAmp::OpAmp(const data::FrontEndSpec& spec, double c_int)
    : c_int_farad(c_int),
      leak_siemens(spec.leak_siemens),
      offset_volt(spec.offset_volt),
      unity_rad_per_s(2.0 * std::numbers::pi * spec.gain_bandwidth_hz),
      pole_rad_per_s(unity_rad_per_s / spec.dc_gain),
      slew(spec.slew_volt_per_s),
      swing(spec.swing_volt) {}

double OpAmp::reset_output() const { return offset_volt * unity_rad_per_s / (unity_rad_per_s + pole_rad_per_s); }

double OpAmp::output_slope(double v_x, double v_out) const {
  const double wanted = unity_rad_per_s * (offset_volt - v_x) - pole_rad_per_s * v_out;
  const double beyond = v_out - std::clamp(v_out, -swing, swing);
  return slew * std::tanh(wanted / slew) - kClipRate * unity_rad_per_s * beyond;
}

OpAmp::Slopes OpAmp::slopes(double v_x, double v_out) const {
  const double wanted = unity_rad_per_s * (offset_volt - v_x) - pole_rad_per_s * v_out;
  const double t = std::tanh(wanted / slew);
  const double gain = 1.0 - t * t;
  const double clip = std::abs(v_out) > swing ? kClipRate * unity_rad_per_s : 0.0;
  return {gain * unity_rad_per_s, gain * pole_rad_per_s + clip};
}

Oscillator::Oscillator(const data::FrontEndSpec& spec)
    : charge_per_count_coulomb(spec.charge_per_count_coulomb),
      highest_frequency_hz(spec.highest_frequency_hz),
      highest_count(std::ldexp(1.0, spec.counter_bits) - 1.0) {}

double Oscillator::frequency(double ampere) const { return std::clamp(ampere / charge_per_count_coulomb, 0.0, highest_frequency_hz); }

double Oscillator::count(double phase) const { return std::clamp(std::floor(phase), 0.0, highest_count); }

}  // namespace crosstile::circuit
