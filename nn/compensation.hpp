// What is done about drift, and what is left of the accuracy: factors found by reading known inputs again,
// normalised accuracy, and non-idealities one at a time. docs/theory.md, "Compensation and figures of merit".
#pragma once

#include <vector>

#include "nn/evaluate.hpp"

namespace crosstile::nn {

/// The system with gains that bring what its tiles give on `now` back to what they gave on `before`: known
/// inputs (the activations `images` cause on `before`) are read on both. global: one factor a tile, ratio of
/// the mean |output|; per-column: least squares for every column of every tile. Errors: usage.
TileSystem compensated(const TileSystem& system, const MappedNetwork& before, const MappedNetwork& now,
                       const MatrixF& images, DriftCompensation how, std::uint64_t seed, int threads = 0);

/// A* = 1 - (error - digital error) / (chance error - digital error) [Rasch et al., Nat. Commun. 14, 5282
/// (2023)]: 1 as good as digital, 0 no better than chance. Errors: usage unless chance < digital accuracy.
double normalised_accuracy(double accuracy, double digital_accuracy, double chance_accuracy);
/// "Iso-accuracy": A* above this.
inline constexpr double kIsoAccuracy = 0.99;

/// What disturbs a network on tiles; false: left out.
struct NonIdealities {
  bool wires = true;        ///< resistance of rows, columns, drivers, senses and selectors
  bool adc = true;          ///< rounding and clipping of charges
  bool programming = true;  ///< error of programming, stuck devices
  bool drift = true;
  bool read_noise = true;   ///< accumulated read noise
};
/// The tile, and the devices, without what is left out.
data::TileSpec with_only(const NonIdealities& present, data::TileSpec tile);
device::PcmModel with_only(const NonIdealities& present, device::PcmModel devices);

/// A name and what is present: "all", "none", then each alone ("only wires", ...) and each removed ("no wires", ...).
struct NonIdealityCase {
  std::string name;
  NonIdealities present;
};
std::vector<NonIdealityCase> each_alone_and_removed();

}  // namespace crosstile::nn
