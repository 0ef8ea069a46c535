// The linear network driven from its sense ends: what reciprocity compares with a drive from the rows.
#pragma once

#include "circuit/circuit.hpp"

namespace crosstile::circuit {

struct SenseDrive {
  Status status = Status::ok;
  Vector line_ampere;  ///< lines; current into each line's drivers, which are held at 0 V
};

/// Virtual ground j replaced by a source of sense_volt[j] (cols, physical order), all lines conducting, all
/// drivers at 0 V. One solve. Reciprocity: for any line voltages a and sense voltages b, a . line_ampere(b) =
/// b . sense_ampere(a). Errors: usage for cells that are not ohmic, or another number of voltages.
SenseDrive solve_sense_drive(const Crossbar& crossbar, const Vector& sense_volt,
                             const SteadyOptions& options = {});

}  // namespace crosstile::circuit
