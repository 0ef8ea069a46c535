#include "validation/train_study.hpp"

#include <algorithm>

#include "core/files.hpp"

namespace crosstile::validation {

namespace {

nn::TrainState begin_or_resume(const PipelineConfig& config, const std::filesystem::path& checkpoint) {
  nn::TrainState state = nn::start_training(config.network, config.training);
  if (checkpoint.empty() || !std::filesystem::exists(checkpoint)) return state;
  nn::TrainState stored = nn::read_checkpoint(checkpoint);
  return stored.settings == state.settings ? std::move(stored) : std::move(state);
}

// The last image of every batch, the last of all images included.
data::LabelledImages last_of_batches(const data::LabelledImages& images, Index batch) {
  data::LabelledImages out;
  out.height = images.height;
  out.width = images.width;
  const Index count = (images.inputs.rows() + batch - 1) / batch;
  out.inputs.resize(count, images.inputs.cols());
  for (Index b = 0; b < count; ++b) {
    const Index image = std::min((b + 1) * batch, images.inputs.rows()) - 1;
    out.inputs.row(b) = images.inputs.row(image);
    out.labels.push_back(images.labels[static_cast<std::size_t>(image)]);
  }
  return out;
}

void evaluate(const PipelineConfig& config, const data::LabelledImages& test,
              const TrainingStudyOptions& options, TrainingResult& result) {
  nn::EvaluationOptions evaluation;
  evaluation.threads = config.training.threads;
  result.digital_accuracy = nn::evaluate_digital(result.state.network, test, evaluation).accuracy;
  if (!config.training.kinds.empty()) evaluation.noise_draws = options.noise_draws;
  evaluation.progress = options.progress;
  const auto report = nn::evaluate_layers(result.state, config.training, test, evaluation);
  result.test_accuracy = report.accuracy;
  result.test_error = report.standard_error;
  if (report.status == nn::EvaluationStatus::diverged) result.reason = report.reason;
  result.last_of_batch_accuracy =
      nn::evaluate_layers(result.state, config.training, last_of_batches(test, config.training.batch),
                          evaluation)
          .accuracy;
}

}  // namespace

TrainingResult run_training(const PipelineConfig& config, const data::LabelledImages& train,
                            const data::LabelledImages& test, const TrainingStudyOptions& options) {
  const auto checkpoint = options.work.empty() ? std::filesystem::path() : options.work / "checkpoint.h5";
  if (!options.work.empty()) require_writable_folder(options.work);
  TrainingResult result;
  result.state = begin_or_resume(config, checkpoint);
  const Index before = result.state.epochs_done;
  nn::TrainHooks hooks;
  hooks.progress = options.progress;
  if (!checkpoint.empty())
    hooks.after_epoch = [&](const nn::TrainState& now) {
      nn::write_checkpoint(checkpoint, now, config.toml);
    };
  const auto report = nn::train(result.state, train, config.training, hooks);
  result.status = report.status;
  result.reason = report.reason;
  if (const Index epochs = result.state.epochs_done - before; epochs > 0)
    result.seconds_per_epoch = report.seconds / static_cast<double>(epochs);
  if (!result.state.history.empty()) {
    result.loss = result.state.history.back().loss;
    result.train_accuracy = result.state.history.back().accuracy;
  }
  if (result.status == nn::TrainStatus::finished) evaluate(config, test, options, result);
  return result;
}

}  // namespace crosstile::validation
