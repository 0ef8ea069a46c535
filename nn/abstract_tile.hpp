// The standard abstract tile: a product with the disturbances of an analog tile put in as formulas, without a
// circuit [Rasch et al., Nat. Commun. 14, 5282 (2023)]. docs/theory.md, "The abstract tile".
#pragma once

#include <cstdint>

#include "core/types.hpp"

namespace crosstile::nn {

/// Of a tile with weights w in [-1, 1] (each tile is scaled by its largest |w|) and inputs x in [-1, 1].
struct AbstractTile {
  Index rows = 512;            ///< inputs per tile
  int input_steps = 254;       ///< between -1 and 1; 0: not rounded (clipped all the same)
  int output_steps = 254;      ///< between -output_bound and output_bound; 0: neither rounded nor clipped
  double output_bound = 10.0;
  double output_noise = 0.04;  ///< standard deviation, added to every output of a tile
  double read_noise = 0.0175;  ///< standard deviation over sqrt(sum |w| x^2)
  double ir_drop = 1.0;        ///< times the time-averaged IR-drop; 0: none
  double wire_ohm = 0.35;      ///< of a cell, in the IR-drop
  double g_siemens = 5e-6;     ///< of a weight of 1, in the IR-drop
  double s_shape = 0.0;        ///< h of y / (1 + h |y|) before the ADC
  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

/// Where the random numbers of a product come from.
struct AbstractNoise {
  std::uint64_t seed = 1;
  std::uint64_t step = 0;   ///< batch
  std::uint32_t layer = 0;
};

/// y = x W as the tiles give it: x (samples x inputs) in units of `input_range`, weights in those of every
/// tile's largest |w|, both multiplied back. slope (as y): 1, or 0 where an ADC of any tile is clipped; null:
/// not wanted. With noise null the two noises are left out. Same bits for any number of threads.
void abstract_product(const AbstractTile& tile, const Eigen::Ref<const MatrixF>& x, float input_range,
                      const Eigen::Ref<const MatrixF>& weights, const AbstractNoise* noise, int threads,
                      Eigen::Ref<MatrixF> y, MatrixF* slope);

}  // namespace crosstile::nn
