// Cost and error of the closure: bin/bench_closure (--quick leaves out the larger sets, --json PATH as the others).
//
// Cost in plain products as bench_tilemodel counts them: float32, 128 vectors times 512 x 512, the faster of OpenBLAS and Eigen, one
// thread, timed in turn with the model. Error against the exact ladder, in LSB of docs/theory.md, inputs (a).
#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/figure_table.hpp"
#include "bench/openblas.hpp"
#include "circuit/reference_inputs.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::bench {

namespace {

constexpr Index kBatch = 128;
constexpr int kRounds = 40;

struct Inputs {
  data::TileSpec tile;
  Matrix g_siemens;
  IntMatrix codes;
};

// Inputs (a): scale and density drawn per vector, standard normal weights, the G+ array.
Inputs inputs_a(Index vectors, double r_col_ohm, data::SenseEnd sense) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.sense = sense;
  tile.r_col_ohm = r_col_ohm;
  circuit::DrawOptions draw;
  draw.draws = 1;
  draw.vectors = vectors;
  const auto set = circuit::draw_reference_inputs(tile, draw, 1);
  return {tile, set.g_plus_siemens[0], set.codes};
}

tilemodel::ModelSpec closure(int block_rows, int bins) {
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::closure;
  spec.block_rows = block_rows;
  spec.closure_bins = bins;
  return spec;
}

class PlainProduct {
 public:
  explicit PlainProduct(const Inputs& in)
      : codes_(in.codes.cast<float>()), g_(in.g_siemens.cast<float>()), charge_(in.codes.rows(), g_.cols()) {}
  void run() {
    eigen_.add(cpu_seconds([&] { charge_.noalias() = codes_ * g_; }));
    blas_.add(cpu_seconds([&] {
      const auto m = static_cast<int>(codes_.rows()), k = static_cast<int>(codes_.cols()), n = static_cast<int>(g_.cols());
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0F, codes_.data(), k, g_.data(), n, 0.0F, charge_.data(), n);
    }));
  }
  const Samples& best() const { return eigen_.best() < blas_.best() ? eigen_ : blas_; }
  Baseline baseline() const { return {"plain product", seconds(best()), eigen_.best() < blas_.best() ? "Eigen" : "OpenBLAS"}; }

 private:
  MatrixF codes_, g_, charge_;
  Samples eigen_, blas_;
};

void add_cost(Report& report, const std::string& name, std::optional<Goal> goal, const Inputs& in, const tilemodel::ModelSpec& spec) {
  const tilemodel::TileModel model(spec, in.tile, in.g_siemens);
  tilemodel::Workspace workspace;
  MatrixF charge;
  model.charge(in.codes, charge, workspace);  // the workspace grows once
  PlainProduct plain(in);
  Samples ours;
  for (int round = 0; round < kRounds; ++round) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      plain.run();
      ours.add(cpu_seconds([&] { model.charge(in.codes, charge, workspace); }));
    }
  }
  report.add(Figure{.name = name,
                    .goal = goal,
                    .reached = times(ours.best() / plain.best().best()),
                    .note = to_text(seconds(ours)),
                    .baseline = plain.baseline()});
}

void forward_costs(Report& report) {
  const Inputs south = inputs_a(kBatch, 1.0, data::SenseEnd::south);
  struct Setting {
    int block_rows, bins;
    double goal;
  };
  for (const Setting s : {Setting{64, 1, 1.6}, {32, 1, 1.6}, {16, 1, 2.2}, {8, 1, 3.2}, {64, 2, 4.0}, {32, 2, 4.0}, {16, 2, 4.0}, {8, 2, 5.0}, {32, 4, 0.0}})
    add_cost(report, fmt::format("closure L = {}, T' = {}: cost", s.block_rows, s.bins),
             s.goal > 0.0 ? std::optional<Goal>(at_most(s.goal)) : std::nullopt, south, closure(s.block_rows, s.bins));
  add_cost(report, "closure L = 32, T' = 1, alternate sense: cost", at_most(2.1), inputs_a(kBatch, 1.0, data::SenseEnd::alternate),
           closure(32, 1));
  tilemodel::ModelSpec two = closure(32, 1);
  two.references = 2;
  add_cost(report, "closure L = 32, T' = 1, two reference columns: cost", {}, south, two);
}

// Forward and both gradients beside three plain products, which is what a linear layer takes.
void training_costs(Report& report) {
  const Inputs in = inputs_a(kBatch, 1.0, data::SenseEnd::south);
  const Matrix codes = in.codes.cast<double>();
  const Matrix by_charge = Matrix::Constant(kBatch, in.tile.cols, 1e12);
  const tilemodel::TileModel model(closure(32, 1), in.tile, in.g_siemens);
  tilemodel::Workspace workspace;
  tilemodel::Gradient gradient;
  MatrixF charge;
  PlainProduct plain(in);
  Samples ours;
  for (int round = 0; round < kRounds; ++round) {
    plain.run();
    ours.add(cpu_seconds([&] {
      model.charge(in.codes, charge, workspace);
      model.gradient(codes, by_charge, gradient, workspace);
    }));
  }
  report.add(Figure{.name = "closure L = 32, T' = 1: forward and gradients, over three plain products",
                    .goal = at_most(2.0),
                    .reached = times(ours.best() / (3.0 * plain.best().best())),
                    .note = to_text(seconds(ours)),
                    .baseline = plain.baseline()});
}

double quantile_999(const Matrix& values) {
  std::vector<double> all(values.data(), values.data() + values.size());
  for (double& value : all) value = std::abs(value);
  const auto place = all.begin() + static_cast<std::ptrdiff_t>(0.999 * static_cast<double>(all.size() - 1));
  std::nth_element(all.begin(), place, all.end());
  return *place;
}

Matrix charge_of(const tilemodel::ModelSpec& spec, const Inputs& in) {
  Matrix charge;
  tilemodel::TileModel(spec, in.tile, in.g_siemens).charge(in.codes, charge);
  return charge;
}

void errors(Report& report) {
  const Index vectors = report.quick() ? 128 : 1024;
  struct Wire {
    double ohm, one_bin, two_bins;  // goals, RMS LSB
  };
  for (const Wire wire : {Wire{0.15, 0.015, 0.008}, {1.0, 0.09, 0.045}, {20.0, 0.0, 0.0}}) {
    const Inputs in = inputs_a(vectors, wire.ohm, data::SenseEnd::south);
    const Matrix exact = charge_of({}, in);
    const double lsb = quantile_999(exact) / 255.0;
    const auto add = [&](const std::string& name, double goal, const tilemodel::ModelSpec& spec) {
      const Matrix error = (charge_of(spec, in) - exact) / lsb;
      const double rms = std::sqrt(error.squaredNorm() / static_cast<double>(error.size()));
      report.add(Figure{.name = fmt::format("{}, {} ohm: RMS error (LSB)", name, wire.ohm),
                        .goal = goal > 0.0 ? std::optional<Goal>(at_most(goal)) : std::nullopt,
                        .reached = number(rms),
                        .note = fmt::format("99.9 %: {:.3g}", quantile_999(error))});
    };
    tilemodel::ModelSpec ideal;
    ideal.form = tilemodel::Form::ideal;
    add("ideal", 0.0, ideal);
    for (const int block_rows : {64, 32, 16, 8}) add(fmt::format("closure L = {}", block_rows), wire.one_bin, closure(block_rows, 1));
    for (const int bins : {2, 3, 4}) add(fmt::format("closure L = 32, T' = {}", bins), wire.two_bins, closure(32, bins));
  }
}

}  // namespace

}  // namespace crosstile::bench

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);
  const Program program{"closure",
                        {{"cost", "forward product", forward_costs}, {"training", "forward and gradients", training_costs}, {"error", "against the exact ladder", errors}},
                        {{"BLAS", openblas_text()}, {"Eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)}}};
  return run_program(program, argc, argv);
}
