// What reads one column, as equations. docs/theory.md, "Front ends".
//   OpAmp       integrator as two states: voltage across the feedback capacitor, and op-amp output; one pole with finite gain, slew limit,
//               and an output that is pushed back beyond its swing
//   Oscillator  current-controlled oscillator and counter behind an ideal virtual ground; one state, the phase
// and drive_front_end, which integrates either for a given current (Boost.Odeint).
#pragma once

#include <functional>
#include <vector>

#include "data/tile.hpp"

namespace crosstile::circuit {

struct OpAmp {
  double c_int_farad, leak_siemens, offset_volt;
  double unity_rad_per_s, pole_rad_per_s;  // 2 pi f_u; the same over A0
  double slew, swing;

  OpAmp(const data::FrontEndSpec& spec, double c_int);

  // Output after reset (feedback switch closed): v_x = v_out.
  double reset_output() const;
  // d v_out / dt for the summing-node voltage v_x = v_cap + v_out.
  double output_slope(double v_x, double v_out) const;
  // Its derivatives: by v_x, and by v_out at fixed v_x (both negated: they are conductance-like and >= 0).
  struct Slopes {
    double by_input, by_output;
  };
  Slopes slopes(double v_x, double v_out) const;
  bool clips(double v_out) const { return v_out > swing || v_out < -swing; }
};

struct Oscillator {
  double charge_per_count_coulomb, highest_frequency_hz;
  double highest_count;  // 2^counter_bits - 1

  explicit Oscillator(const data::FrontEndSpec& spec);

  // d phase / dt, counts per second: current over charge per count, between 0 and the highest frequency.
  double frequency(double ampere) const;
  bool limits(double ampere) const { return ampere > highest_frequency_hz * charge_per_count_coulomb; }
  // What the counter shows at the end of a pass, and whether it stopped before.
  double count(double phase) const;
  bool overflows(double phase) const { return phase >= highest_count + 1.0; }
};

/// A front end alone, driven by a current.
struct FrontEndDrive {
  std::function<double(double t_s)> ampere;  ///< current out of the column into the front end
  double window_s = 0.0;
  std::vector<double> breaks_s;              ///< ascending times at which the current jumps or bends: the integrator restarts there
};
struct FrontEndOutput {
  double charge_coulomb = 0.0;  ///< what it reports at the end of the window: -c_int (v_out - v_out after reset), or counts times charge per count
  double output_volt = 0.0;     ///< integrator: v_out at the end
  double counts = 0.0;          ///< cco: phase at the end, before counting
  bool saturated = false;       ///< output at its swing; highest frequency or full counter
  long steps = 0;
};
/// Integrates the macro-model with Boost.Odeint's controlled Dormand-Prince pair (error per step, relative and of a volt or a count:
/// tolerance); kind "ideal" collects the charge itself. Small systems only: an explicit method takes steps of about 1 / (2 pi f_u).
/// Errors: usage when the window or c_int is not positive, or no current is given.
FrontEndOutput drive_front_end(const data::FrontEndSpec& spec, double c_int_farad, const FrontEndDrive& drive, double tolerance = 1e-9);

}  // namespace crosstile::circuit
