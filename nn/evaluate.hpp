// Inference on tiles through fast models, and its accuracy. One product of a layer:
// activations -> DAC codes -> charges of G+ and G- -> ADC per bit line -> difference -> weight units ->
// digital sum over the tiles below each other -> bias -> activation. docs/theory.md, "Networks on tiles".
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "data/adc.hpp"
#include "data/idx.hpp"
#include "device/pcm.hpp"
#include "nn/tiles.hpp"
#include "tilemodel/tilemodel.hpp"

namespace crosstile::nn {

struct TrainOptions;
struct TrainState;

/// Makes the model of one array; the caller decides form and correction. Called for G+ and G- of every tile
/// and draw, possibly from several threads at once.
using ModelFactory = std::function<tilemodel::TileModel(const data::TileSpec& tile, const Matrix& g_siemens)>;

struct CalibrationOptions {
  /// Of |input| of a layer over the calibration images; becomes DAC input 1. Quantile 1: the largest.
  double input_quantile = 0.999;
  double adc_quantile = 0.999;  ///< of the bit-line charges of a layer
  double adc_margin = 1.05;     ///< full scale = margin * quantile
  /// Layer by layer, from what the tiles of the layers before really give (ADCs included) rather than from the
  /// digital network's activations.
  bool through_tiles = false;
  /// A digital factor for every column of every tile: least squares of the tile against the exact product of
  /// the same codes. Calibrates through the tiles.
  bool fit_gain = false;
  int threads = 0;              ///< 0: the number of processors
  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

/// Digital constants of one layer, chosen once from training images.
struct LayerCalibration {
  double input_scale = 1.0;  ///< DAC input = activation / input_scale; exactly 1 for the first layer (pixels)
  bool is_signed = false;    ///< inputs may be negative: charges have both signs, the ADC is signed
  double full_scale_coulomb = 0.0;  ///< of the ADCs of this layer; 0 when the ADC is off
  /// Factor behind the ADC: tile rows of the layer x outputs, or one row for all of them; empty: 1.
  Matrix gain;
};

/// A network, the arrays it is mapped to, its calibration, and the way to model an array.
struct TileSystem {
  Network network;
  MappedNetwork arrays;
  std::vector<LayerCalibration> calibration;
  ModelFactory model;
};

/// Maps the network and calibrates it. calibration_images: images x inputs; a few hundred training images are
/// enough. Scales come from the digital network's activations, ADC full scales (unless tile.adc gives one)
/// from the models' charges for these activations with the target conductances. Errors: usage.
TileSystem make_tile_system(const Network& network, const data::TileSpec& tile,
                            const MatrixF& calibration_images, ModelFactory model,
                            const CalibrationOptions& options = {});

/// The same with what is `known` of each layer, say from a training through the tiles (trained_calibration()):
/// an input scale above 0 and gains are kept, everything else is calibrated through the tiles. Errors: usage.
TileSystem make_tile_system(const Network& network, const data::TileSpec& tile,
                            const MatrixF& calibration_images, ModelFactory model,
                            const std::vector<LayerCalibration>& known,
                            const CalibrationOptions& options = {});

/// The codes that the given images put on the rows of tile row `tile_row` of a layer: images x rows of that
/// tile. Activations of earlier layers are the digital network's. Errors: usage.
IntMatrix tile_inputs(const TileSystem& system, Index layer, Index tile_row, const MatrixF& images);

/// What is done about drift: docs/theory.md, "Compensation and figures of merit".
enum class DriftCompensation {
  none,
  global,     ///< one digital factor a tile
  per_column  ///< one a column of a tile
};

/// Arrays with memory devices: programmed, drifted, read.
struct DeviceOptions {
  device::PcmModel model = device::pcm_default();
  double time_s = 0.0;  ///< since the first read at t0, for drift and noise alike ("1 h" is 3600)
  Index draws = 5;      ///< independently programmed chips
  /// Factors from reading known inputs at t0 and again now, on every chip; compensated().
  DriftCompensation compensation = DriftCompensation::none;
  MatrixF compensation_images;  ///< images x inputs that are read; at least one with a compensation
};

/// The arrays of draw number `draw`: every conductance replaced by what a programmed device shows at that
/// time. Tiles get numbers of their own, so all random numbers differ from draw to draw. Errors: usage when
/// the tile's g_max is above the device model's.
MappedNetwork draw_arrays(const MappedNetwork& targets, const DeviceOptions& devices, std::uint64_t seed,
                          Index draw);

/// Buffers and counters of one worker.
struct TileWorkspace {
  Matrix activation;                 ///< images x inputs of the layer at work
  IntMatrix codes, tile_codes;       ///< images x inputs; images x rows of a tile
  Matrix charge_plus, charge_minus, value;  ///< images x cols of a tile
  tilemodel::Workspace model;
  std::vector<Index> inputs, clipped_inputs;    ///< per layer: DAC inputs seen, of these beyond +-1
  std::vector<Index> charges, clipped_charges;  ///< per layer: conversions, of these outside the ADC's range
  /// Images of the last batch with a charge or output that is not finite.
  Eigen::Array<bool, Eigen::Dynamic, 1> failed;
};

/// A network on a set of arrays: models and converters made and fixed; safe to share between threads.
class TiledNetwork {
 public:
  /// arrays: system.arrays or draw_arrays() of it. seed: converters' gain and offset.
  TiledNetwork(const TileSystem& system, const MappedNetwork& arrays, std::uint64_t seed, int threads = 0);
  ~TiledNetwork();
  TiledNetwork(TiledNetwork&&) noexcept;

  /// images: rows x inputs; logits: rows x outputs (resized), NaN for an image with a charge or output that
  /// is not finite. Errors: usage when the inputs do not fit or are not finite.
  void logits(const Eigen::Ref<const MatrixF>& images, TileWorkspace& work, Matrix& logits) const;

 private:
  friend struct TileCalibrator;
  friend struct DriftReader;
  friend TileSystem compensated(const TileSystem&, const MappedNetwork&, const MappedNetwork&, const MatrixF&,
                                DriftCompensation, std::uint64_t, int);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct EvaluationOptions {
  std::optional<DeviceOptions> devices;  ///< absent: exact conductances, one draw
  std::uint64_t seed = 1;
  Index batch = 250;  ///< images that go through the models together; no influence on the result
  int threads = 0;    ///< 0: the number of processors; no influence on the result
  Progress progress;
  Index noise_draws = 1;  ///< evaluate_layers: how often all images pass, each time with other noise
  /// Errors: usage naming the field, its value and the allowed range.
  void validate() const;
};

enum class EvaluationStatus {
  ok,
  diverged  ///< an output is not finite; there is no accuracy
};

struct EvaluationReport {
  EvaluationStatus status = EvaluationStatus::ok;
  std::string reason;  ///< what was seen where, when diverged
  Index images = 0;
  std::vector<Index> correct;            ///< per draw; ties go to the lower class
  std::optional<double> accuracy;        ///< mean over draws
  std::optional<double> image_error;     ///< from the finite number of images: sqrt(a (1 - a) / images)
  std::optional<double> draw_error;      ///< standard error of the mean over draws; needs at least two
  std::optional<double> standard_error;  ///< both together: sqrt(image_error^2 + draw_error^2)
  std::vector<double> clipped_inputs;    ///< per layer: share of DAC inputs beyond +-1, over all draws
  std::vector<double> clipped_charges;   ///< per layer: share of charges outside the ADC's range; 0 if off
  double seconds = 0.0;                  ///< wall time

  std::vector<double> accuracies() const;  ///< per draw
};

/// Accuracy of the digital network.
EvaluationReport evaluate_digital(const Network& network, const data::LabelledImages& images,
                                  const EvaluationOptions& options = {});
/// Accuracy of a training's layers as they are (Layer::forward with Purpose::evaluation): analog layers keep
/// their converters and output noise. Mean over options.noise_draws; devices and seed of the options are not
/// used. Errors: usage; interrupted by the callback.
EvaluationReport evaluate_layers(const TrainState& state, const TrainOptions& training,
                                 const data::LabelledImages& images, const EvaluationOptions& options = {});
/// Accuracy on tiles. Errors: usage; interrupted by the callback.
EvaluationReport evaluate_on_tiles(const TileSystem& system, const data::LabelledImages& images,
                                   const EvaluationOptions& options = {});

}  // namespace crosstile::nn

template <>
struct crosstile::data::EnumNames<crosstile::nn::DriftCompensation> {
  using DriftCompensation = crosstile::nn::DriftCompensation;
  static constexpr std::array<EnumName<DriftCompensation>, 3> value{
      {{DriftCompensation::none, "none"},
       {DriftCompensation::global, "global"},
       {DriftCompensation::per_column, "per-column"}}};
};
