// What drives the crossbar during one pass, cut where anything jumps or bends: every edge of a pulse, both ends of its ramps, every change
// of the conductances. docs/theory.md, "Transient".
#pragma once

#include <vector>

#include "circuit/circuit.hpp"

namespace crosstile::circuit {

// Drive between two restarts: row and gate voltages are linear in time.
struct DriveInterval {
  double begin_s = 0.0, end_s = 0.0;
  Vector volt_begin, volt_slope;   // lines, V and V/s
  Vector gate_begin, gate_slope;   // lines; where both are 0 the line does not conduct
  Index trace_step = 0;            // of the conductance trace
  Vector volt_end() const { return volt_begin + volt_slope * (end_s - begin_s); }
};

class DrivePlan {
 public:
  // The pass begins time_offset_s after the product.
  DrivePlan(const Crossbar& crossbar, const data::Pass& pass, const ConductanceTrace& trace, double time_offset_s);

  Index size() const { return static_cast<Index>(edges_.size()) - 1; }
  DriveInterval interval(Index k) const;
  // Charge of the largest column while the longest pulse lasts, all rows on.
  double full_charge_coulomb() const;

 private:
  double share(Index row, double t) const;  // of the row's pulse that is on, 0 to 1

  const Crossbar& crossbar_;
  data::Pass pass_;
  data::PulseTimes times_;
  double ramp_s_;
  double merged_ = 0.0;        // share of a ramp by which an edge may have been moved
  double trace_step_s_, time_offset_s_;
  std::vector<double> edges_;  // ascending, from 0 to the window's end
};

}  // namespace crosstile::circuit
