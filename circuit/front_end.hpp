// Op-amp integrator of one column as two states: voltage across the feedback capacitor, and op-amp output.
// One pole with finite gain, slew limit, and an output that is pushed back beyond its swing. docs/theory.md, "Front ends".
#pragma once

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
};

}  // namespace crosstile::circuit
