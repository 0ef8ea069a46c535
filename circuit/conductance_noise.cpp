#include "circuit/conductance_noise.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "core/error.hpp"

namespace crosstile::circuit {

namespace {

constexpr Index kSteps = 32;  // asked of a cell's trace at once: its tree is descended once for all of them

struct Block {
  Index first = -kSteps;
  Matrix relative;  // cells x kSteps
};

void fill(Block& block, Index step, const Crossbar& crossbar, const device::RandomAccessNoise& noise, const NoisyConductances& options) {
  block.first = step / kSteps * kSteps;
  const Array& g = crossbar.conductance_siemens;
  block.relative = Matrix::Zero(g.size(), kSteps);
  std::array<device::Tick, kSteps + 1> edges;
  for (Index k = 0; k <= kSteps; ++k)
    edges[static_cast<std::size_t>(k)] = noise.tick(options.begin_s + static_cast<double>(block.first + k) * options.step_s);
  for (Index i = 0; i < g.rows(); ++i)
    for (Index j = 0; j < g.cols(); ++j)
      if (g(i, j) != 0.0)
        block.relative.row(i * g.cols() + j) =
            noise.averages(device::cell_key(options.seed, options.tile_number, i, j), edges).transpose();
}

}  // namespace

ConductanceTrace conductance_noise(const Crossbar& crossbar, const device::RandomAccessNoise& noise, const NoisyConductances& options) {
  require_in_range("conductance noise: g_offset_siemens", options.g_offset_siemens, 0.0, 1.0);
  require_in_range("conductance noise: step_s", options.step_s, noise.grid().tick_s, 1.0);
  require_in_range("conductance noise: begin_s", options.begin_s, 0.0, 1e12);
  ConductanceTrace trace;
  trace.step_s = options.step_s;
  trace.mean = [block = std::make_shared<Block>(), &crossbar, &noise, options](Index step, Array& g) {
    if (step < block->first || step >= block->first + kSteps) fill(*block, step, crossbar, noise, options);
    g = crossbar.conductance_siemens;
    const Index at = step - block->first;
    for (Index k = 0; k < g.size(); ++k) {
      double& value = g.data()[k];
      if (value != 0.0) value = std::max(0.0, value + (value + options.g_offset_siemens) * block->relative(k, at));
    }
  };
  return trace;
}

}  // namespace crosstile::circuit
