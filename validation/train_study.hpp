// One training from a configuration to its accuracies: what `crosstile train` does and a point of a study is
// made of.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/progress.hpp"
#include "validation/pipeline.hpp"

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

/// Trains config.network with config.training on `train` and evaluates it on `test`. Errors: usage, io;
/// interrupted by the callback. Divergence is a status.
TrainingResult run_training(const PipelineConfig& config, const data::LabelledImages& train,
                            const data::LabelledImages& test, const TrainingStudyOptions& options = {});

}  // namespace crosstile::validation
