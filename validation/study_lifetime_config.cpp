// The study "accuracy over a lifetime": its configuration.
#include <fmt/core.h>

#include <algorithm>

#include "core/error.hpp"
#include "device/model_file.hpp"
#include "nn/tile_layer.hpp"
#include "validation/study_lifetime.hpp"

namespace crosstile::validation {

namespace {

constexpr double kLongestTime = 1e10;

nn::DriftCompensation compensation_named(data::Config& config, const std::string& key,
                                         const std::string& name) {
  if (const auto found = data::from_name<nn::DriftCompensation>(name)) return *found;
  config.mistake(key, "\"" + name + "\" is not known; allowed: \"none\", \"global\", \"per-column\"");
  return nn::DriftCompensation::none;
}

void read_compensations(data::Config& config, LifetimeStudy& study) {
  const std::string key = "study.compensations";
  std::vector<std::string> names;
  for (const nn::DriftCompensation how : study.compensations) names.emplace_back(data::to_name(how));
  study.compensations.clear();
  for (const std::string& name : config.texts(key, names))
    study.compensations.push_back(compensation_named(config, key, name));
  if (study.compensations.empty()) config.mistake(key, "needs at least one name");
}

void read_device(data::Config& config, LifetimeStudy& study) {
  const std::string name = config.text("study.device_model", study.device.name);
  try {
    study.device = device::find_device_model(name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    config.mistake("study.device_model", error.what());
  }
  if (study.tile.g_max_siemens > study.device.g_max_siemens * (1.0 + 1e-9))
    config.mistake("tile.g_max_siemens",
                   fmt::format("= {:g} is above the largest conductance of the device model \"{}\", {:g}",
                               study.tile.g_max_siemens, study.device.name, study.device.g_max_siemens));
}

void read_hardware_aware_training(data::Config& config, LifetimeStudy& study) {
  study.hardware_aware_epochs =
      study_integer(config, "hardware_aware.epochs", study.hardware_aware_epochs, 1, 100000);
  study.hardware_aware_rate =
      config.number("hardware_aware.learning_rate", study.hardware_aware_rate, 1e-9, 1e3);
  nn::HardwareAwareOptions& options = study.hardware_aware;
  options.noise = nn::WeightNoise::programming;
  options.noise_scale = config.number("hardware_aware.noise_scale", options.noise_scale, 0.0, 100.0);
  options.ramp_epochs = config.number("hardware_aware.ramp_epochs", 2.0, 0.0, 1e6);
  options.clip_sigma = config.number("hardware_aware.clip_sigma", 0.0, 0.0, 1e3);
  options.devices = study.device;
  options.g_min_siemens = std::min(study.tile.g_min_siemens, 0.999 * study.device.g_max_siemens);
}

}  // namespace

LifetimeStudy read_lifetime_study(data::Config& config) {
  LifetimeStudy study;
  study.toml = config.source();
  study.title = config.text("title", study.title);
  study.tile = data::read_tile(config);
  read_data_files(config, study.data);
  read_study_training(config, study.network, study.digital, study.digital_clip_sigma);
  read_device(config, study);
  read_hardware_aware_training(config, study);
  study.model = nn::training_model();
  study.model.form = config.choice_of<tilemodel::Form>("study.form", study.model.form);
  study.model.block_rows = static_cast<int>(
      config.integer("study.block_rows", study.model.block_rows, 1, tilemodel::kMostBlockRows));
  study.times_s = config.numbers("study.times_s", study.times_s, 1e-3, kLongestTime);
  std::sort(study.times_s.begin(), study.times_s.end());
  study.times_s.erase(std::unique(study.times_s.begin(), study.times_s.end()), study.times_s.end());
  if (study.times_s.empty()) config.mistake("study.times_s", "needs at least one time");
  read_compensations(config, study);
  study.seeds = study_integer(config, "study.seeds", study.seeds, 1, 1000);
  study.draws = study_integer(config, "study.draws", study.draws, 1, 1000);
  study.images = study_integer(config, "study.images", study.images, 0, 100000000);
  study.calibration_images =
      study_integer(config, "study.calibration_images", study.calibration_images, 1, 1000000);
  study.energy_images = study_integer(config, "study.energy_images", study.energy_images, 1, 1000000);
  study.parts_time_s = config.number("study.parts_time_s", study.parts_time_s, 0.0, kLongestTime);
  study.parts_compensation =
      config.choice_of<nn::DriftCompensation>("study.parts_compensation", study.parts_compensation);
  config.finish();
  return study;
}

}  // namespace crosstile::validation
