// Figures of the circuit solver beside its baselines: scripts/bench.sh circuit
#include "bench/circuit_figures.hpp"

#include "bench/cholmod_baseline.hpp"
#include "bench/openblas.hpp"

namespace crosstile::bench {

void agreement_figures(Report& report) {
  report.add(Figure{.name = "random small tiles, every drive and cell law, charge error",
                    .goal = at_most(2e-6),
                    .reached = {},
                    .note = "1e-5 where cells are not ohmic",
                    .baseline = Baseline{"ngspice", {}, "reltol 1e-6"},
                    .is_test = true,
                    .command = "test_circuit \"Random small tiles*\""});
}

}  // namespace crosstile::bench

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);
  const Program program{
      "circuit",
      {{"cholmod", "512 x 512 at 0.35 ohm beside CHOLMOD", cholmod_figures},
       {"size", "larger tiles and resistances", size_figures},
       {"cost", "cost against size and resistance", cost_series},
       {"effective", "effective matrix", effective_figures},
       {"gated", "event-driven charge, gated", gated_figures},
       {"level", "event-driven charge, level drive with RC", level_figures},
       {"transient", "transient beside ngspice", transient_figures},
       {"agreement", "agreement with ngspice", agreement_figures}},
      {{"CHOLMOD", cholmod_version_text() + " (supernodal, AMD order)"},
       {"BLAS", openblas_text()},
       {"ngspice", ngspice_version_text()}}};
  return run_program(program, argc, argv);
}
