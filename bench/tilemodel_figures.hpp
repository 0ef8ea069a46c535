// Groups of bench_tilemodel.
#pragma once

#include "bench/figure_table.hpp"

namespace crosstile::bench {

// tilemodel_cost_figures.cpp
void form_cost_figures(Report& report);
void closure_cost_figures(Report& report);
void training_figures(Report& report);
// tilemodel_error_figures.cpp
void error_a_figures(Report& report);
void error_b_figures(Report& report);
void heterogeneous_figures(Report& report);
void wire_figures(Report& report);
// tilemodel_mesh_figures.cpp
void exact_figures(Report& report);
void mesh_figures(Report& report);
void calibrated_figures(Report& report);

}  // namespace crosstile::bench
