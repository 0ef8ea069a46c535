// Figures of the fast tile models beside the plain matrix product: scripts/bench.sh tilemodel
//
// "Plain product": float32, a batch of 128 vectors times 512 x 512, the faster of OpenBLAS and Eigen, one thread, timed in turn with
// the model. A new form is one more function and one more line in main.
#include <cblas.h>
#include <fmt/format.h>

#include "bench/figure_table.hpp"
#include "bench/openblas.hpp"
#include "bench/workloads.hpp"
#include "circuit/reference_inputs.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::bench {

namespace {

constexpr Index kBatch = 128;

// One array of conductances and a batch of inputs.
struct Inputs {
  data::TileSpec tile;
  Matrix g_siemens;
  IntMatrix codes;
};

// Inputs (a): codes half-normal, scale and density drawn per vector; conductances from standard normal weights, the G+ array.
Inputs inputs_a(data::Drive drive) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.sense = data::SenseEnd::south;
  tile.drive = drive;
  circuit::DrawOptions draw;
  draw.draws = 1;
  draw.vectors = kBatch;
  const auto set = circuit::draw_reference_inputs(tile, draw, 1);
  return {tile, set.g_plus_siemens[0], set.codes};
}

class PlainProduct {
 public:
  explicit PlainProduct(const Inputs& inputs)
      : codes_(inputs.codes.cast<float>()), g_(inputs.g_siemens.cast<float>()), charge_(kBatch, g_.cols()) {}

  void run() {
    eigen_.add(cpu_seconds([&] { charge_.noalias() = codes_ * g_; }));
    blas_.add(cpu_seconds([&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(codes_.rows()), static_cast<int>(g_.cols()),
                  static_cast<int>(codes_.cols()), 1.0F, codes_.data(), static_cast<int>(codes_.cols()), g_.data(),
                  static_cast<int>(g_.cols()), 0.0F, charge_.data(), static_cast<int>(g_.cols()));
    }));
  }
  const Samples& best() const { return eigen_.best() < blas_.best() ? eigen_ : blas_; }
  Baseline baseline() const { return {"plain product", seconds(best()), eigen_.best() < blas_.best() ? "Eigen" : "OpenBLAS"}; }

 private:
  MatrixF codes_, g_, charge_;
  Samples eigen_, blas_;
};

// Cost of a model in plain products.
void add_cost(Report& report, const std::string& name, std::optional<Goal> goal, const Inputs& inputs, const tilemodel::TileModel& model) {
  tilemodel::Workspace workspace;
  Matrix charge;
  PlainProduct plain(inputs);
  Samples ours;
  model.charge(inputs.codes, charge, workspace);  // the workspace grows once
  for (int round = 0; round < (report.quick() ? 5 : 15); ++round) {
    for (int repeat = 0; repeat < 5; ++repeat) plain.run();
    ours.add(cpu_seconds([&] { model.charge(inputs.codes, charge, workspace); }));
  }
  report.add(Figure{.name = name,
                    .goal = goal,
                    .reached = times(ours.best() / plain.best().best()),
                    .note = to_text(seconds(ours)),
                    .baseline = plain.baseline()});
}

tilemodel::TileModel model_of(tilemodel::Form form, const Inputs& inputs) {
  tilemodel::ModelSpec spec;
  spec.form = form;
  return {spec, inputs.tile, inputs.g_siemens};
}

void ideal_figures(Report& report) {
  const Inputs inputs = inputs_a(data::Drive::gated);
  add_cost(report, "ideal: cost", {}, inputs, model_of(tilemodel::Form::ideal, inputs));
}

void effective_figures(Report& report) {
  const Inputs inputs = inputs_a(data::Drive::level);
  const Matrix w_eff = effective_matrix(circuit::Crossbar(inputs.tile, inputs.g_siemens));
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::effective;
  add_cost(report, "effective, linear drives: cost", at_most(1.1), inputs, {spec, inputs.tile, inputs.g_siemens, w_eff});
}

void ladder_figures(Report& report) {
  const Inputs inputs = inputs_a(data::Drive::gated);
  add_cost(report, "ladder, gated, inputs (a): cost", at_most(50), inputs, model_of(tilemodel::Form::ladder, inputs));
}

void binned_figures(Report& report) {
  const Inputs inputs = inputs_a(data::Drive::gated);
  add_cost(report, "binned, 8 segments, 8 bins, inputs (a): cost", {}, inputs, model_of(tilemodel::Form::binned, inputs));
}

}  // namespace

}  // namespace crosstile::bench

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);
  const Program program{"tilemodel",
                        {{"ideal", "ideal product", ideal_figures},
                         {"effective", "one matrix for linear drives", effective_figures},
                         {"ladder", "exact ladder", ladder_figures},
                         {"binned", "binned ladder", binned_figures}},
                        {{"BLAS", openblas_text()},
                         {"Eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)}}};
  return run_program(program, argc, argv);
}
