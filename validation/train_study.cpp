#include "validation/train_study.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/files.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/network_file.hpp"
#include "nn/tile_layer.hpp"

namespace crosstile::validation {

namespace {

nn::TrainState begin_or_resume(const PipelineConfig& config, const std::filesystem::path& checkpoint) {
  nn::TrainState state = nn::start_training(config.network, config.training);
  if (checkpoint.empty() || !path_exists(checkpoint)) return state;
  nn::TrainState stored = nn::read_checkpoint(checkpoint);
  if (stored.settings != state.settings)
    throw Error(ErrorKind::usage, checkpoint.string() + " belongs to a training with other settings; delete its folder to begin anew, or name another output");
  return stored;
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
  result.digital_accuracy = nn::evaluate_digital(deployed(result.state).network, test, evaluation).accuracy;
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

constexpr Index kEnergyImages = 100;
constexpr const char* kLearnedScale = "column_scale";  // nn/hardware_aware_layer.cpp

bool is_known(const nn::LayerCalibration& layer) {
  return layer.input_scale > 0.0 || layer.gain.size() != 0;
}

data::LabelledImages evaluated_images(const OnTiles& on, const data::LabelledImages& test) {
  data::LabelledImages out = test;
  const Index count = on.config.evaluation.images;
  if (count > 0 && count < test.inputs.rows()) {
    out.inputs = MatrixF(test.inputs.topRows(count));
    out.labels.resize(static_cast<std::size_t>(count));
  }
  return out;
}

nn::TileSystem system_as_trained(const OnTiles& on, const data::LabelledImages& train) {
  data::TileSpec tile = on.config.tile;
  tile.adc.enabled = true;
  const MatrixF calibration =
      train.inputs.topRows(std::min<Index>(on.config.evaluation.calibration_images, train.inputs.rows()));
  if (on.known.empty()) return nn::make_tile_system(on.network, tile, calibration, model_factory(on.model));
  return nn::make_tile_system(on.network, tile, calibration, model_factory(on.model), on.known);
}

}  // namespace

nn::TrainState deployed(const nn::TrainState& state) {
  nn::TrainState out = state;
  for (std::size_t l = 0; l < out.memory.size(); ++l) {
    out.network.layers[l].weights = nn::scaled_weights(state.network.layers[l].weights, state.memory[l]);
    out.memory[l] = {};
    for (const auto& [name, value] : state.memory[l].all())
      if (name != kLearnedScale) out.memory[l].put(name, value);
  }
  return out;
}

void write_trained(const std::filesystem::path& path, const nn::TrainState& state,
                   const std::string& provenance) {
  const nn::TrainState out = deployed(state);
  const bool known = std::any_of(out.memory.begin(), out.memory.end(), [](const nn::LayerMemory& memory) {
    return is_known(nn::trained_calibration(memory));
  });
  if (known)
    nn::write_checkpoint(path, out, provenance);
  else
    nn::write_network(path, out.network, provenance);
}

std::vector<nn::LayerCalibration> trained_calibrations(const std::filesystem::path& path) {
  nn::read_network(path);  // damage is found here; what is only not a checkpoint, below
  std::vector<nn::LayerCalibration> out;
  try {
    for (const nn::LayerMemory& memory : nn::read_checkpoint(path).memory)
      out.push_back(nn::trained_calibration(memory));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_data) throw;
    return {};
  }
  if (std::none_of(out.begin(), out.end(), is_known)) out.clear();
  return out;
}

std::vector<AccuracyRow> evaluate_as_trained(const OnTiles& on, const data::LabelledImages& train,
                                             const data::LabelledImages& test, const Progress& progress) {
  const data::LabelledImages images = evaluated_images(on, test);
  const nn::TileSystem system = system_as_trained(on, train);
  nn::EvaluationOptions options;
  options.seed = on.config.seed;
  options.progress = progress;
  std::vector<AccuracyRow> rows{
      {"as trained: IR-drop + ADC", nn::evaluate_on_tiles(system, images, options)}};
  for (const double time : on.config.evaluation.times_s) {
    nn::DeviceOptions devices;
    devices.model = on.config.evaluation.device;
    devices.time_s = time;
    devices.draws = on.config.evaluation.draws;
    options.devices = devices;
    rows.push_back(
        {fmt::format("as trained: + devices, {:g} s", time), nn::evaluate_on_tiles(system, images, options)});
  }
  return rows;
}

std::vector<nn::InferenceCost> inference_costs(const OnTiles& on, const data::LabelledImages& train,
                                               const data::LabelledImages& test) {
  return nn::layer_costs(system_as_trained(on, train),
                         test.inputs.topRows(std::min<Index>(kEnergyImages, test.inputs.rows())), on.model);
}

Table inference_cost_table(const std::vector<nn::InferenceCost>& layers) {
  Table table;
  table.title = "Energy and latency of an inference";
  table.section = "accuracy";
  table.columns = {"layer",           "total (nJ)",  "array (nJ)", "row drivers (nJ)",
                   "converters (nJ)", "latency (ns)"};
  nn::InferenceCost all;
  const auto add = [&](const std::string& name, const nn::InferenceCost& c) {
    table.rows.push_back({name, 1e9 * c.total_joule(), 1e9 * (c.array_joule + c.wire_charging_joule),
                          1e9 * c.row_driver_joule, 1e9 * c.conversion_joule, 1e9 * c.latency_s});
  };
  for (std::size_t l = 0; l < layers.size(); ++l) {
    all += layers[l];
    add(std::to_string(l + 1), layers[l]);
  }
  add("all", all);
  table.caption =
      "Array with its wires from conductances and pulses, drivers and converters from published parts; "
      "docs/theory.md, \"Energy of an inference\".";
  return table;
}

TrainingResult run_training(const PipelineConfig& config, const data::LabelledImages& train,
                            const data::LabelledImages& test, const TrainingStudyOptions& options) {
  data::require_same_shape(train, test);
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
