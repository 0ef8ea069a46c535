// Groups of figures of the circuit program; each measures through the public functions of circuit/circuit.hpp only.
#pragma once

#include "bench/figure_table.hpp"

namespace crosstile::bench {

/// 512 x 512 at 0.35 ohm beside CHOLMOD: first vector, memory, agreement, further vectors.
void cholmod_figures(Report& report);
/// Larger tiles and resistances over the 512 x 512, 0.35 ohm case; time and memory at 2048; convergence at 2048 and 100 ohm.
void size_figures(Report& report);
/// Time and iterations against N at 1 ohm and against r at 512.
void cost_series(Report& report);
void effective_figures(Report& report);
/// Event-driven gated charge, half-normal codes and MNIST images, without and with RC.
void gated_figures(Report& report);
void level_figures(Report& report);
/// Transient beside ngspice at equal charge accuracy; cost against N.
void transient_figures(Report& report);
/// What is a test rather than a measurement.
void agreement_figures(Report& report);

/// "39", or that it is not installed.
std::string ngspice_version_text();

}  // namespace crosstile::bench
