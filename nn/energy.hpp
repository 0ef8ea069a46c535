// Energy and latency of an inference on tiles, from what the layers' tiles really see. docs/theory.md,
// "Energy of an inference".
#pragma once

#include <vector>

#include "nn/evaluate.hpp"
#include "tilemodel/energy.hpp"

namespace crosstile::nn {

/// Of one layer or of a whole network; mean over images. Biases, activations and digital factors are not in
/// it.
struct InferenceCost {
  double array_joule = 0.0;          ///< delivered into both arrays of every tile: cells and wires
  double wire_charging_joule = 0.0;  ///< of wires that follow the pulses
  double row_driver_joule = 0.0;
  double conversion_joule = 0.0;
  /// Layers one after another, all tiles of a layer at the same time: the slowest counts.
  double latency_s = 0.0;

  double total_joule() const {
    return array_joule + wire_charging_joule + row_driver_joule + conversion_joule;
  }
  InferenceCost& operator+=(const InferenceCost& other);
};

/// Layer by layer. images: rows x inputs; every layer gets what the tiles before it give. form: of the
/// charges that the energy is taken from (tilemodel::EnergyMeter). Errors: usage.
std::vector<InferenceCost> layer_costs(const TileSystem& system, const MatrixF& images,
                                       const tilemodel::ModelSpec& form,
                                       const tilemodel::EnergyModel& model = {}, int threads = 0);
/// Their sum.
InferenceCost inference_cost(const TileSystem& system, const MatrixF& images,
                             const tilemodel::ModelSpec& form, const tilemodel::EnergyModel& model = {},
                             int threads = 0);

}  // namespace crosstile::nn
