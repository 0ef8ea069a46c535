// Read noise in the full circuit: conductances that fluctuate during a product, as the ConductanceTrace that solve_charge and
// solve_transient take. The same traces, cell by cell, as tilemodel::CellReadNoise.
#pragma once

#include <cstdint>

#include "circuit/circuit.hpp"
#include "device/random_access_trace.hpp"

namespace crosstile::circuit {

struct NoisyConductances {
  double g_offset_siemens = 0.0;  ///< the noise of a cell is (G + g_offset) times the relative process; open cells (G = 0) have none
  double step_s = 1e-9;           ///< conductances are constant over steps: the exact means of the traces over each
  double begin_s = 0.0;           ///< of the first pass, in the time of the traces
  std::uint64_t seed = 1;
  std::uint32_t tile_number = 0;  ///< cell_key(seed, tile_number, line, column)
};

/// The trace of a crossbar's cells, from `noise` (relative). Conductances below 0 are set to 0 (8 standard deviations away at 1 uS).
/// The result refers to `crossbar` and `noise`, which must outlive it. Steps are worked out 32 at a time and kept, so one trace serves
/// one solve at a time; a step costs microseconds a cell. Errors: usage.
ConductanceTrace conductance_noise(const Crossbar& crossbar, const device::RandomAccessNoise& noise, const NoisyConductances& options);

}  // namespace crosstile::circuit
