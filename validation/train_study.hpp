// One training from a configuration to its accuracies: what `crosstile train` does and a point of a study is
// made of.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/progress.hpp"
#include "nn/energy.hpp"
#include "validation/pipeline.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

struct TrainingStudyOptions {
  std::filesystem::path work;  ///< folder for a checkpoint per epoch; empty: none, nothing is resumed
  Index noise_draws = 1;       ///< how often the test images pass layers with noise
  Progress progress;
};

/// Absent accuracies: the training or the evaluation diverged.
struct TrainingResult {
  nn::TrainState state;  ///< at the end of the last finished epoch
  nn::TrainStatus status = nn::TrainStatus::finished;
  std::string reason;                          ///< what was seen where, when diverged
  double seconds_per_epoch = 0.0;              ///< wall time, of the epochs trained in this call
  std::optional<double> loss, train_accuracy;  ///< of the last finished epoch, in passing
  std::optional<double> test_accuracy;         ///< as trained: with converters and noise of the layers
  std::optional<double> test_error;            ///< standard error of the above
  std::optional<double> digital_accuracy;      ///< the same weights with exact products
  /// Of the last image of every test batch alone: a score seen in print, not an accuracy.
  std::optional<double> last_of_batch_accuracy;
};

/// A trained network as others take it: learned column scales multiplied into the weights.
nn::TrainState deployed(const nn::TrainState& state);
/// Writes it; with what the tiles' digital side has learned (factors, input ranges), if anything, beside it.
/// Errors: as nn::write_network.
void write_trained(const std::filesystem::path& path, const nn::TrainState& state,
                   const std::string& provenance);
/// What a file of write_trained() says about the digital side of its layers; empty: nothing. Errors: io,
/// bad_data.
std::vector<nn::LayerCalibration> trained_calibrations(const std::filesystem::path& path);

/// A network on the tiles of a configuration (wires by `model`, ADC on).
struct OnTiles {
  const PipelineConfig& config;
  const nn::Network& network;
  std::vector<nn::LayerCalibration> known;  ///< trained_calibrations(); empty: all is calibrated
  tilemodel::ModelSpec model;
};
/// Accuracy with what training has learned kept: on tiles, and with devices at every time of [evaluation].
/// Errors: usage, also for factors of tiles of another size.
std::vector<AccuracyRow> evaluate_as_trained(const OnTiles& on, const data::LabelledImages& train,
                                             const data::LabelledImages& test, const Progress& progress = {});
/// Layer by layer, over the first test images. Errors: usage.
std::vector<nn::InferenceCost> inference_costs(const OnTiles& on, const data::LabelledImages& train,
                                               const data::LabelledImages& test);
/// One line a layer and their sum.
Table inference_cost_table(const std::vector<nn::InferenceCost>& layers);

/// Trains config.network with config.training on `train` and evaluates it on `test`. Errors: usage, io;
/// interrupted by the callback. Divergence is a status.
TrainingResult run_training(const PipelineConfig& config, const data::LabelledImages& train,
                            const data::LabelledImages& test, const TrainingStudyOptions& options = {});

}  // namespace crosstile::validation
