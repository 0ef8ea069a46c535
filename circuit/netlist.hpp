// A tile as ngspice decks: the same circuit as solve_transient's, written for a program that shares nothing with this one.
// What stands in a deck, and why: docs/theory.md, "SPICE decks".
#pragma once

#include <string>
#include <vector>

#include "circuit/circuit.hpp"
#include "data/pulse.hpp"

namespace crosstile::circuit {

/// Tolerances written into the deck. The defaults give charges to 2e-6 of the largest one (ohmic cells) or 1e-5;
/// abstol, vntol and chgtol follow the tile's own currents, voltages and charges.
struct NetlistOptions {
  double reltol = 1e-6;         ///< of currents and voltages in one step, and of the charges that choose the step
  double trtol = 0.001;         ///< ngspice's factor on the error of a step: charges of cells that are not ohmic need it small
  double max_step_s = 0.0;      ///< largest time step; 0: half of t_lsb
  double switching_s = 0.0;     ///< how long an ideal edge takes; 0: 2e-7 t_lsb. Its centre is late by half of that
  void validate() const;        ///< usage Error naming the field

  /// For measuring ngspice's time: the loosest tolerances with which the charges of a settled tile of ohmic cells and an ideal front
  /// end are still within 1e-5 of the largest one (with edges of a tenth of t_lsb; without edges 1e-9).
  static NetlistOptions fast() { return {.reltol = 1e-4, .trtol = 1.0}; }
};

/// One electrical pass: its own deck, because the network starts each pass from rest.
struct Netlist {
  Index number = 0;         ///< 0 .. passes-1, in the order of data::make_passes
  double weight = 1.0;      ///< the product's charge is sum of weight * (charge of the pass)
  double window_s = 0.0;
  std::string text;         ///< the deck; `ngspice -b` prints end_s, points and charge_<column> (coulomb), with cco also phase_<column>
};

/// Decks of all passes of one signed code vector (rows); none when every code is 0. The same bytes for the same arguments.
/// Errors: usage for codes outside the DAC's range, options out of range, and a tile that solve_transient refuses too (an op-amp
/// without any resistance before it).
std::vector<Netlist> write_netlists(const Crossbar& crossbar, const IntVector& codes, const NetlistOptions& options = {});
/// The deck of one pass; `title` goes into its first line.
std::string write_netlist(const Crossbar& crossbar, const data::Pass& pass, const std::string& title, const NetlistOptions& options = {});

}  // namespace crosstile::circuit
