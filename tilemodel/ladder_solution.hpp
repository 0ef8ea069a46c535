// Internal. One column ladder at one instant, with everything its derivatives need. docs/theory.md, "Gradients".
#pragma once

#include <vector>

#include "core/types.hpp"

namespace crosstile::tilemodel {

// A rung is a conductance to its drive, `source` its short-circuit current; after_ohm is the wire to the next rung,
// behind the last one up to the virtual ground. Rungs may have conductance 0. Currents and voltages for a drive of
// 1 V; rung 0 is farthest from the sense.
struct LadderSolution {
  Vector column;    // c: voltage of the column node
  Vector share;     // x: part of a current injected at the node that reaches the sense
  Vector resist;    // Z: ohm, of the node to ground
  Vector current;   // through the wire behind the rung, towards the sense
  Vector response;  // through the wire behind the rung, per volt at the sense end with all drives at 0

  void resize(Index rungs);
  void solve(const double* conductance, const double* source, const double* after_ohm, Index rungs);
};

// Pieces of time in which a pulse of `length` pieces ends: one, or two where it ends on the edge between them, each
// of which then counts half: the mean of both one-sided derivatives.
struct PulseEnd {
  PulseEnd(double length, Index pieces);
  double weight() const { return 1.0 / parts; }
  Index piece[2] = {0, 0};
  int parts = 0;
};

}  // namespace crosstile::tilemodel
