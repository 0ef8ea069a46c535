// Hardware-aware training: layers whose products are digital but carry noise while they are trained, so that
// the network learns weights that tolerate it; and the standard abstract tile behind the same interface, for
// comparison with what is trained and evaluated on it elsewhere. docs/theory.md, "Hardware-aware training" and
// "The abstract tile".
#pragma once

#include "device/pcm.hpp"
#include "nn/abstract_tile.hpp"
#include "nn/layer.hpp"

namespace crosstile::nn {

enum class WeightNoise {
  none,
  gaussian,    ///< weight_noise * (largest |w| of the layer) * normal
  programming  ///< of both devices of the pair: programming error and read noise at t0, of the device model
};

/// In every step of a training the weights are replaced by noisy ones, the same for the forward and the
/// backward product; the step is made on the clean weights [Joshi et al., Nat. Commun. 11, 2473 (2020); Rasch
/// et al., Nat. Commun. 14, 5282 (2023)]. Evaluation is without noise and without dropped connections.
struct HardwareAwareOptions {
  WeightNoise noise = WeightNoise::gaussian;
  double weight_noise = 0.05;  ///< gaussian: in units of the layer's largest |w|
  double noise_scale = 1.0;    ///< programming: times the device model's deviations
  device::PcmModel devices = device::pcm_default();
  double g_min_siemens = 0.1e-6;  ///< programming: of the idle device of a pair
  double ramp_epochs = 0.0;    ///< noise grows linearly from 0 over so many epochs
  double drop_connect = 0.0;   ///< share of the weights that are 0 in a step, anew in each
  double clip_sigma = 0.0;     ///< after a step weights are clipped at so many deviations of the layer; 0: not at all
  bool column_scales = false;  ///< y_j = scale_j (x W)_j + b_j, learned; scales start at 1
  /// Inputs are clipped at a range that is learned and rounded to DAC codes (straight through); not in the
  /// first layer, whose inputs are pixels (range 1).
  bool learn_input_range = false;
  double input_quantile = 0.999;    ///< of |input| over the first batch: where the range starts
  double input_range_decay = 0.01;  ///< pulls the range in as long as almost nothing is clipped
  int dac_bits = 0;                 ///< of the inputs, with learn_input_range; 0: not rounded
  /// Products on the standard abstract tile instead of exact ones.
  bool on_abstract_tile = false;
  AbstractTile abstract_tile;

  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

/// Errors: usage (options).
LayerKindPtr hardware_aware_kind(const HardwareAwareOptions& options);

/// Weights beyond so many standard deviations (root mean square) are set to that limit.
void clip_weights(MatrixF& weights, double deviations);

/// The weights as they act on a tile or in the next layer: with the learned column scales multiplied in (for
/// hardware with per-column digital factors keep them apart: trained_calibration()).
MatrixF scaled_weights(const MatrixF& weights, const LayerMemory& memory);

}  // namespace crosstile::nn

template <>
struct crosstile::data::EnumNames<crosstile::nn::WeightNoise> {
  using WeightNoise = crosstile::nn::WeightNoise;
  static constexpr std::array<EnumName<WeightNoise>, 3> value{{{WeightNoise::none, "none"},
                                                               {WeightNoise::gaussian, "gaussian"},
                                                               {WeightNoise::programming, "programming"}}};
};
