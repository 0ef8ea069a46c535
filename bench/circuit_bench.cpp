// Times of the circuit methods beside sparse Cholesky, one thread: build/release/bin/bench_circuit (CMake preset bench).
// Arguments of a steady case: size N of the N x N tile, wire resistance in milliohm per cell.
#include <benchmark/benchmark.h>

#include "circuit/circuit.hpp"
#include "tests/circuit/nodal_oracle.hpp"
#include "tests/circuit/support.hpp"

namespace {

using namespace crosstile;
using namespace crosstile::circuit;

data::TileSpec mesh_tile(Index size, double r_ohm) {
  data::TileSpec tile = test::plain_tile(size, size);
  tile.r_row_ohm = tile.r_col_ohm = r_ohm;
  return tile;
}

LineDrive random_drive(const Crossbar& crossbar) {
  LineDrive drive{Vector(crossbar.lines()), std::vector<bool>(static_cast<std::size_t>(crossbar.lines()), true)};
  for (Index l = 0; l < crossbar.lines(); ++l)
    drive.line_volt[l] = crossbar.tile.v_read_volt * random_uniform({1, Stream::test, 3}, static_cast<std::uint64_t>(l), 0);
  return drive;
}

void steady_chain_solve(benchmark::State& state) {
  const auto tile = mesh_tile(state.range(0), 1e-3 * static_cast<double>(state.range(1)));
  const Crossbar crossbar(tile, test::random_conductances(tile, 1));
  const LineDrive drive = random_drive(crossbar);
  int iterations = 0;
  for (auto _ : state) iterations = solve_steady(crossbar, drive).report.iterations;
  state.counters["iterations"] = iterations;
}
BENCHMARK(steady_chain_solve)->Unit(benchmark::kMillisecond)->Args({128, 350})->Args({512, 350})->Args({512, 1000})->Args({512, 20000})->Args({1024, 1000});

// Assembly, analysis, factorisation and one solve.
void steady_sparse_cholesky(benchmark::State& state) {
  const auto tile = mesh_tile(state.range(0), 1e-3 * static_cast<double>(state.range(1)));
  const Crossbar crossbar(tile, test::random_conductances(tile, 1));
  const LineDrive drive = random_drive(crossbar);
  for (auto _ : state) benchmark::DoNotOptimize(test::NodalOracle(crossbar, drive).solve().sense_ampere.sum());
}
BENCHMARK(steady_sparse_cholesky)->Unit(benchmark::kMillisecond)->Args({128, 350})->Args({512, 350});

void gated_charge(benchmark::State& state) {
  const auto tile = mesh_tile(state.range(0), 0.35);
  const Crossbar crossbar(tile, test::random_conductances(tile, 1));
  const IntVector codes = test::random_codes(tile.rows, 0, 127, 1);
  ChargeOptions options;
  options.energy = false;
  for (auto _ : state) benchmark::DoNotOptimize(solve_charge(crossbar, codes, options).charge_coulomb.sum());
}
BENCHMARK(gated_charge)->Unit(benchmark::kMillisecond)->Arg(128)->Arg(512);

void level_transient(benchmark::State& state) {
  auto tile = mesh_tile(state.range(0), 0.35);
  tile.drive = data::Drive::level;
  tile.c_row_farad = tile.c_col_farad = 0.5e-15;
  const Crossbar crossbar(tile, test::random_conductances(tile, 1));
  const IntVector codes = test::random_codes(tile.rows, 0, 127, 1);
  TransientOptions options;
  options.relative_tolerance = 1e-4;
  long steps = 0;
  for (auto _ : state) steps = solve_transient(crossbar, codes, options).steps;
  state.counters["steps"] = static_cast<double>(steps);
}
BENCHMARK(level_transient)->Unit(benchmark::kMillisecond)->Arg(16)->Arg(64);

}  // namespace

BENCHMARK_MAIN();
