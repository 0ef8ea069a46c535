// Internal. Vector-Jacobian products of the ladder and of the binned ladder, one pass of one vector at a time, in
// double precision and with obvious loops. docs/theory.md, "Gradients".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "tilemodel/binned.hpp"
#include "tilemodel/ladder.hpp"
#include "tilemodel/ladder_solution.hpp"

namespace crosstile::tilemodel {

// Gradient of a loss by the wire of a bit line.
struct WireGradient {
  double cell_ohm = 0.0;  // by r_col_ohm, the wire behind the last cell included
  double end_ohm = 0.0;   // by r_sense_ohm
};

// Where a kernel adds its gradients: rows by position; rows by position x columns of the group.
struct GradientTargets {
  double* lengths;
  Matrix* g;
  WireGradient* wire;
};

struct LadderGradientScratch {
  LadderSolution solution;
  std::vector<Index> positions;
  std::vector<double> ends, conductance, source, after_ohm, gap;
};

// lengths: pulse lengths in code steps by position; charge_gradient: columns of the group. A pulse of length 0 has
// the derivative of a growing pulse; with signed drive the mean of both signs.
void ladder_gradient(const ColumnWire& wire, const Panels& g, const double* lengths, bool signed_drive,
                     const double* charge_gradient, LadderGradientScratch& scratch,
                     const GradientTargets& out);
void binned_gradient(const BinnedLadder& ladder, const double* lengths, int longest_code, bool signed_drive,
                     const double* charge_gradient, LadderGradientScratch& scratch,
                     const GradientTargets& out);

}  // namespace crosstile::tilemodel
