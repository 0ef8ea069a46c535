// Current of one cell as a function of the voltage between its row node and its column node: the conduction law of the device
// in series with its selector. Equations: docs/theory.md, "Device statistics", "Cell laws".
#pragma once

#include "data/tile.hpp"

namespace crosstile::device {

/// Working point of a cell: what a Newton step on the whole network needs.
struct CellPoint {
  double current_ampere = 0.0;
  double conductance_siemens = 0.0;  ///< differential, d current / d voltage
};

/// Working point at `v_volt` across device and selector together; the column node at the virtual ground, the gate of a
/// transistor fully on.
///   ohmic: i = G v / (1 + G r_on)
///   sinh:  i = G v_h sinh(v_c / v_h) with v = v_c + r_on i, solved for v_c to double precision
/// G is the low-field conductance. Odd in v (not with selector "mos"), strictly increasing in v; g = 0 is an open cell: {0, 0}.
/// Without r_on the sinh law overflows to infinity beyond |v| = 710 v_h; a NaN voltage gives NaN.
/// Errors: usage when G or r_on is negative or not finite, or v_h is not positive (sinh law).
CellPoint cell_point(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_volt);

/// Working point between two node voltages, which a transistor tells apart: its gate and bulk are held against the virtual ground.
struct CellBranch {
  double current_ampere = 0.0;
  double by_row_siemens = 0.0;     ///< d current / d row voltage, >= 0
  double by_column_siemens = 0.0;  ///< minus d current / d column voltage, >= 0; equal to by_row for a resistor
};
CellBranch cell_branch(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_row_volt,
                       double v_column_volt, double gate_volt);

}  // namespace crosstile::device
