// Current of one cell as a function of the voltages of its row node and its column node: the conduction law of the device
// in series with its selector. Equations: docs/theory.md, "Device statistics", "Cell laws".
#pragma once

#include <span>

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
///   selector "mos": cell_branch(..., v_volt, 0, gate_on_volt)
/// G is the low-field conductance. Odd in v (not with selector "mos"), strictly increasing in v; g = 0 is an open cell: {0, 0}.
/// Without r_on the sinh law overflows to infinity beyond |v| = 710 v_h; a NaN voltage gives NaN.
/// Errors: usage when G or r_on is negative or not finite, v_h is not positive (sinh law), or a transistor's beta, slope factor or
/// temperature is not positive (selector "mos").
CellPoint cell_point(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_volt);

/// Working point between two node voltages, which a transistor tells apart: its gate and bulk are held against the virtual ground.
struct CellBranch {
  double current_ampere = 0.0;
  double by_row_siemens = 0.0;     ///< d current / d row voltage, >= 0
  double by_column_siemens = 0.0;  ///< minus d current / d column voltage, >= 0; equal to by_row for a resistor
};

/// Working point for any gate voltage; a gate at 0 or below is an open cell (the leakage of a selector that is off is neglected).
///   resistor: cell_point(v_row - v_column)
///   mos:      the current I of the device at v_row - x that is also the transistor's between x (drain) and v_column (source),
///             I = I_s (F(v_p - v_column) - F(v_p - x)),  F(v) = ln^2(1 + exp(v / 2 phi)),
///             v_p = (v_gate - V_T0) / n,  I_s = 2 n beta phi^2,  phi = k T / q; solved for x to double precision. r_on is not used.
/// Finite for any finite voltage with selector "mos". Errors: as cell_point.
CellBranch cell_branch(const data::CellSpec& cell, const data::SelectorSpec& selector, double g_siemens, double v_row_volt,
                       double v_column_volt, double gate_volt);

/// The cells of a tile with the constants of their law worked out once, for loops over a network.
class CellModel {
 public:
  /// Errors: as cell_point, for everything but G.
  CellModel(const data::CellSpec& cell, const data::SelectorSpec& selector);

  /// As cell_branch; g_siemens finite and >= 0 (not checked).
  CellBranch branch(double g_siemens, double v_row_volt, double v_column_volt, double gate_volt) const;

  /// Many cells behind one gate voltage; all spans of the same length, no overlap of inputs and outputs. Vectorised: the currents are
  /// those of branch() within about 1e-13 of themselves.
  struct Inputs {
    std::span<const double> g_siemens, v_row_volt, v_column_volt;
  };
  struct Outputs {
    std::span<double> current_ampere, by_row_siemens, by_column_siemens;
  };
  void branches(double gate_volt, const Inputs& in, const Outputs& out) const;

 private:
  CellBranch series_resistor(double g_siemens, double v_volt) const;
  CellBranch series_transistor(double g_siemens, double v_row_volt, double v_column_volt, double gate_volt) const;
  double device_current(double g_siemens, double v_volt) const;
  double device_slope(double g_siemens, double current_ampere) const;

  bool sinh_;
  bool mos_;
  double v_h_;
  double r_on_;
  double two_phi_ = 0.0, scale_ampere_ = 0.0;  // 2 k T / q; I_s
  double threshold_ = 0.0, slope_factor_ = 1.0;
};

}  // namespace crosstile::device
