// Figures of the fast tile models: scripts/bench.sh tilemodel
//
// "Plain product": float32, a batch of 128 vectors times 512 x 512, the faster of OpenBLAS and Eigen, one thread, timed in turn with
// the model.
#include "bench/tilemodel_figures.hpp"

#include <fmt/format.h>

#include <Eigen/Core>

#include "bench/openblas.hpp"

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);
  const Program program{"tilemodel",
                        {{"exact", "where a form is exact", exact_figures},
                         {"cost", "forms, in plain products", form_cost_figures},
                         {"closure", "closure, in plain products", closure_cost_figures},
                         {"training", "forward and gradients", training_figures},
                         {"error-a", "inputs (a) against the exact ladder", error_a_figures},
                         {"error-b", "inputs (b) against the exact ladder", error_b_figures},
                         {"heterogeneous", "columns that differ", heterogeneous_figures},
                         {"mesh", "full mesh against the circuit", mesh_figures},
                         {"calibrated", "fitted to the circuit", calibrated_figures},
                         {"wire", "curves: error against wire resistance and against cost", wire_figures}},
                        {{"BLAS", openblas_text()},
                         {"Eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)}}};
  return run_program(program, argc, argv);
}
