// Training through the tile model: a layer whose product is what the tiles compute - DAC codes, charges of
// G+ and G- with the wires in them, ADC - and whose backward pass is the gradient of just that. The weights
// behind it stay digital. docs/theory.md, "Training through the tile model".
#pragma once

#include <vector>

#include "data/tile.hpp"
#include "nn/evaluate.hpp"
#include "nn/layer.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::nn {

/// Closure in float32 with one reference column: the form there is a fast product for.
tilemodel::ModelSpec training_model();

struct TileLayerOptions {
  data::TileSpec tile;  ///< rows, cols: the largest array; layers are cut as map_network() does
  /// Any form with a gradient; those other than training_model()'s (any blocks and bins) are slow.
  tilemodel::ModelSpec model = training_model();
  /// Wires count a share of their resistance that grows from `wire_start` to 1 over so many epochs (linear).
  double wire_ramp_epochs = 0.0;
  double wire_start = 0.1;
  /// Every so many steps the DAC's input scale (not of the first layer, whose inputs are pixels) and the ADC's
  /// full scale follow the batch: half the old value, half the new quantile.
  Index calibration_steps = 20;
  double input_quantile = 0.999;  ///< of |input|
  double adc_quantile = 0.999;    ///< of the bit-line charges
  double adc_margin = 1.05;       ///< full scale = margin * quantile
  /// Digital factor of every column of every tile behind the ADC. Starts as the least-squares fit of the tile
  /// to the exact product on the first batch, then learns with gain_rate times the learning rate.
  bool learn_gain = true;
  double gain_rate = 1.0;
  /// After a step weights are clipped at so many standard deviations of the layer's weights; 0: not at all.
  double clip_sigma = 0.0;

  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

/// Errors: usage (options; a tile that cannot hold a network).
LayerKindPtr tile_kind(const TileLayerOptions& options);

/// Converters and factors a training of a tile or hardware-aware layer has left in the layer's memory, for
/// make_tile_system(); ADC full scales are left out, as they belong to the model in use, and what other kinds
/// do not have is still to be found (input scale 0, no gains).
LayerCalibration trained_calibration(const LayerMemory& memory);

}  // namespace crosstile::nn
