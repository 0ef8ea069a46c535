// Times of the fast models beside Eigen's plain product, 512 x 512, batch 64, one thread: build/release/bin/bench_tilemodel.
#include <benchmark/benchmark.h>

#include "circuit/reference.hpp"
#include "tilemodel/tilemodel.hpp"

namespace {

using namespace crosstile;

data::ReferenceSet inputs() {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.sense = data::SenseEnd::south;
  circuit::DrawOptions draw;
  draw.draws = 1;
  draw.vectors = 64;
  draw.scale_low = draw.scale_high = 0.35;
  draw.density_low = draw.density_high = 0.6;
  return circuit::draw_reference_inputs(tile, draw, 1);
}

void plain_product(benchmark::State& state) {
  const auto set = inputs();
  const Matrix codes = set.codes.cast<double>();
  Matrix charge(codes.rows(), set.tile.cols);
  for (auto _ : state) {
    charge.noalias() = codes * set.g_plus_siemens[0];
    benchmark::DoNotOptimize(charge.data());
  }
}
BENCHMARK(plain_product)->Unit(benchmark::kMillisecond);

void model(benchmark::State& state, tilemodel::Form form) {
  const auto set = inputs();
  tilemodel::ModelSpec spec;
  spec.form = form;
  const tilemodel::TileModel fast(spec, set.tile, set.g_plus_siemens[0]);
  tilemodel::Workspace workspace;
  Matrix charge;
  for (auto _ : state) {
    fast.charge(set.codes, charge, workspace);
    benchmark::DoNotOptimize(charge.data());
  }
}
BENCHMARK_CAPTURE(model, ideal, tilemodel::Form::ideal)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(model, ladder, tilemodel::Form::ladder)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(model, binned, tilemodel::Form::binned)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
