// Figures of the device noise: scripts/bench.sh device
//
// "Plain product": float32, a batch of 128 vectors times 512 x 512, the faster of OpenBLAS and Eigen, one thread, timed in turn with
// the noise. The noise is added to charges that are already there, so its cost is what it adds to any product.
#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/figure_table.hpp"
#include "bench/openblas.hpp"
#include "bench/workloads.hpp"
#include "circuit/reference_inputs.hpp"
#include "device/device.hpp"
#include "tilemodel/read_noise.hpp"

namespace crosstile::bench {

namespace {

constexpr Index kBatch = 128;

struct NoiseInputs {
  data::TileSpec tile;
  Matrix g_siemens;
  IntMatrix codes;
};

// Codes half-normal, scale and density drawn per vector; conductances from standard normal weights, the G+ array.
NoiseInputs drawn_inputs() {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  circuit::DrawOptions draw;
  draw.draws = 1;
  draw.vectors = kBatch;
  const auto set = circuit::draw_reference_inputs(tile, draw, 1);
  return {tile, set.g_plus_siemens[0], set.codes};
}

// Phase-change noise with corners six decades below one per product.
tilemodel::ReadNoiseSpec six_decades() {
  const device::ShortNoise pcm;
  device::SpectrumShape shape = pcm.shape;
  shape.corner_low_hz = 1.0;
  return {make_spectrum(shape), pcm.g_offset_siemens};
}

void rate_figure(Report& report, bool base, double goal) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = 1;  // the variances cost nothing then
  const Matrix g = Matrix::Constant(1, tile.cols, 10e-6);
  tilemodel::ColumnReadNoise noise(tile, g, six_decades());
  const std::string name = fmt::format("column noise, correlated over six decades: samples a second, {}", base ? "AVX2" : "AVX-512");
  if (!base && std::string(noise.kernel()) == "base") return report.skip(name, at_least(goal), "1/s", "no AVX-512 here");
  if (base) noise.use_base_kernel();
  const IntMatrix codes = IntMatrix::Constant(kBatch, 1, 100);
  MatrixF charge = MatrixF::Zero(kBatch, tile.cols);
  tilemodel::ColumnReadNoise::State state;
  noise.add(codes, charge, state);
  Samples samples;
  for (int round = 0; round < (report.quick() ? 200 : 1000); ++round) samples.add(cpu_seconds([&] { noise.add(codes, charge, state); }));
  report.add(Figure{.name = name,
                    .goal = at_least(goal),
                    .reached = {static_cast<double>(charge.size()) / samples.best(), "1/s", samples.spread()},
                    .note = to_text(seconds(samples)) + " for 128 x 512"});
}

void rate_figures(Report& report) {
  rate_figure(report, false, 3e8);
  rate_figure(report, true, 1.5e8);
}

class FasterProduct {
 public:
  explicit FasterProduct(const NoiseInputs& inputs)
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

void cost_figure(Report& report, const NoiseInputs& inputs, tilemodel::Variances variances, double goal) {
  const bool exact = variances == tilemodel::Variances::exact;
  tilemodel::ColumnNoiseOptions options;
  options.variances = variances;
  options.typical_codes = inputs.codes;
  const device::ShortNoise pcm;
  const tilemodel::ReadNoiseSpec spec{pcm.relative(), pcm.g_offset_siemens};
  const tilemodel::ColumnReadNoise noise(inputs.tile, inputs.g_siemens, spec, options);
  MatrixF charge = MatrixF::Zero(kBatch, inputs.tile.cols);
  tilemodel::ColumnReadNoise::State state;
  noise.add(inputs.codes, charge, state);
  FasterProduct plain(inputs);
  Samples samples;
  for (int round = 0; round < (report.quick() ? 20 : 100); ++round) {
    for (int repeat = 0; repeat < 3; ++repeat) plain.run();
    for (int repeat = 0; repeat < 3; ++repeat) samples.add(cpu_seconds([&] { noise.add(inputs.codes, charge, state); }));
  }
  report.add(Figure{.name = fmt::format("noise on a 512 x 512 product, {} variances: extra cost", exact ? "exact" : "near"),
                    .goal = at_most(goal),
                    .reached = times(samples.best() / plain.best().best()),
                    .note = to_text(seconds(samples)),
                    .baseline = plain.baseline()});
  const Matrix closed = tilemodel::CellReadNoise(inputs.tile, inputs.g_siemens, spec, 1, 0).variance(inputs.codes);
  Eigen::ArrayXd error = (noise.variance(inputs.codes).array() / closed.array() - 1.0).abs().reshaped();
  std::sort(error.begin(), error.end());
  report.add(Figure{.name = fmt::format("its variances against the cells', {}: root mean square error", exact ? "exact" : "near"),
                    .goal = at_most(exact ? 1e-5 : 0.03),
                    .reached = number(std::sqrt(error.square().mean())),
                    .note = fmt::format("99.9 %: {:.3g}", error(static_cast<Index>(0.999 * static_cast<double>(error.size()))))});
}

void product_figures(Report& report) {
  const NoiseInputs inputs = drawn_inputs();
  cost_figure(report, inputs, tilemodel::Variances::near, 0.5);
  cost_figure(report, inputs, tilemodel::Variances::exact, 1.3);
}

void trace_figures(Report& report) {
  const device::RandomAccessNoise noise{device::ShortNoise{}.relative()};
  constexpr Index kWindows = 2000;
  Samples samples;
  double sum = 0.0;
  for (int round = 0; round < (report.quick() ? 3 : 10); ++round)
    samples.add(cpu_seconds([&] {
                  for (Index k = 0; k < kWindows; ++k)
                    sum += noise.average(device::cell_key(1, 0, k, 0), 3'600'000'000'000'000 + 258'000 * k, 3'600'000'000'127'000 + 258'000 * k);
                }) /
                static_cast<double>(kWindows));
  report.add(Figure{.name = "one window of 127 ns of one cell, an hour into its trace",
                    .goal = {},
                    .reached = seconds(samples),
                    .note = std::isfinite(sum) ? "15 Lorentzians, white noise, ticks of 1 ps" : "not finite"});
  const auto study = device::fit_nanosecond_process({});
  report.add(Figure{.name = "fitted spectrum: published sigma(T), 1 ns to 1 us, largest deviation",
                    .goal = at_most(0.05),
                    .reached = number(study.fit.largest_deviation),
                    .note = fmt::format("f^-{:.4f}, variance {:.4g}, white {:.4g} / Hz, (G + {:.4g} uS)", study.fit.shape.exponent,
                                        study.fit.shape.variance, study.fit.shape.white_per_hz, study.g_offset_siemens * 1e6)});
}

void test_figures(Report& report) {
  const auto add = [&](const std::string& name, std::optional<Goal> goal, const std::string& command) {
    Figure figure;
    figure.name = name;
    figure.goal = goal;
    figure.is_test = true;
    figure.command = command;
    report.add(figure);
  };
  add("programming sigma, accumulated factors, drift means and spreads: known answers", {}, "test_device \"[kat]\"");
  add("pure 1/f: slope -1 over four decades, error", at_most(0.02), "test_device \"Measured density*\"");
  add("pure 1/f: Allan variance flat, error", at_most(0.1), "test_device \"The estimated Allan*\"");
  add("mean of 256 reads: variance as 1/f predicts", {}, "test_device \"The mean of 256*\"");
  add("column and cell noise against traces through the circuit", {}, "test_validation \"[noise]\"");
  add("coverage of 95 % intervals over 500 fits of characterize", {}, "test_validation \"[.coverage]\"");
}

}  // namespace

}  // namespace crosstile::bench

int main(int argc, char** argv) {
  using namespace crosstile::bench;
  prepare_openblas(argv);
  const Program program{"device",
                        {{"rate", "column-wise noise alone", rate_figures},
                         {"product", "column-wise noise on a product", product_figures},
                         {"trace", "traces and spectrum", trace_figures},
                         {"tests", "what tests assert", test_figures}},
                        {{"BLAS", openblas_text()},
                         {"Eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)}}};
  return run_program(program, argc, argv);
}
