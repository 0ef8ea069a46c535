// From inputs to pulses: the DAC, and the electrical passes (integration windows) that one product consists of.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::data {

/// Largest code of a signed b-bit DAC: 2^(b-1) - 1.
int max_code(int dac_bits);
/// k = round(clip(x, -1, 1) * max_code), ties away from zero.
int dac_code(double x, int dac_bits);
/// dac_code element by element; any shape.
IntMatrix dac_codes(const Matrix& x, int dac_bits);

/// One integration window. The product's charge is sum over passes of weight * (charge of the pass).
struct Pass {
  IntVector codes;     ///< rows; pulse length |code| t_lsb, drive polarity sign(code) (all >= 0 in two-phase mode)
  double weight = 1.0; ///< +-2^s
  double window_s = 0.0;
  int longest_code = 0;  ///< window_s = longest_code * t_lsb + t_settle; centred pulses share the middle of longest_code * t_lsb
};

/// The passes of one signed code vector (rows); passes without any pulse are left out. Errors: usage when |code| > max_code.
std::vector<Pass> make_passes(const IntVector& codes, const TileSpec& tile);

/// Start and end of every row's pulse within a pass, seconds from the begin of the window; start == end when the code is 0.
struct PulseTimes {
  Vector start_s;  ///< rows
  Vector end_s;    ///< rows
};
PulseTimes pulse_times(const Pass& pass, const PulseSpec& pulse);

}  // namespace crosstile::data
