// The study "accuracy over a lifetime": a network whose weights are written to memory devices directly, or
// after hardware-aware training with programming-error-shaped noise, read from seconds to a year after
// programming, without and with drift compensation; and every non-ideality alone and removed at one time.
// docs/theory.md, "Compensation and figures of merit".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "data/config.hpp"
#include "device/pcm.hpp"
#include "nn/evaluate.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "validation/results.hpp"
#include "validation/study_base.hpp"

namespace crosstile::validation {

struct LifetimeStudy {
  std::string title = "Accuracy over a lifetime";
  DataFiles data;
  nn::NetworkSpec network;
  data::TileSpec tile;
  tilemodel::ModelSpec model;  ///< of every array; ideal supply and gated drive: the closure
  device::PcmModel device = device::pcm_default();
  nn::TrainOptions digital;  ///< where both networks start
  double digital_clip_sigma = 0.0;
  nn::HardwareAwareOptions hardware_aware;  ///< noise "programming" of `device`
  Index hardware_aware_epochs = 10;
  double hardware_aware_rate = 0.05;
  std::vector<double> times_s{1.0, 60.0, 3600.0, 86400.0, 2592000.0, 31536000.0};  ///< after the first read
  std::vector<nn::DriftCompensation> compensations{nn::DriftCompensation::none, nn::DriftCompensation::global,
                                                   nn::DriftCompensation::per_column};
  Index seeds = 3;                 ///< networks
  Index draws = 3;                 ///< chips of each network
  Index images = 0;                ///< test images; 0: all
  Index calibration_images = 500;  ///< training images, also read by the compensation
  double parts_time_s = 86400.0;   ///< when every non-ideality is looked at alone; 0: never
  nn::DriftCompensation parts_compensation = nn::DriftCompensation::global;
  Index energy_images = 100;
  std::string toml;  ///< as read
};

/// Reads [study], [tile], [data], [network], [training], [hardware_aware]; calls config.finish(). Errors:
/// usage; io and bad_data of a device file.
LifetimeStudy read_lifetime_study(data::Config& config);

/// One network of one seed under one condition.
struct LifetimePoint {
  Index seed = 1;
  std::string weights;       ///< "direct", "hardware-aware"
  std::string compensation;  ///< "none", "global", "per-column"
  std::string present;       ///< "all", or a name of nn::each_alone_and_removed()
  double time_s = 0.0;
  std::vector<double> accuracies;  ///< by chip
  double a_star = 0.0;             ///< of their mean, normalised by the digital network of this seed
};
struct LifetimeOutcome {
  std::vector<double> digital_accuracy;  ///< by seed
  std::vector<LifetimePoint> points;     ///< over time, everything present
  std::vector<LifetimePoint> parts;      ///< at parts_time_s
  /// Of an inference of the directly written network of the first seed, as programmed.
  double inference_joule = 0.0, array_joule = 0.0, driver_joule = 0.0, conversion_joule = 0.0,
         latency_s = 0.0;
  std::string diverged;
  Index made = 0, kept = 0;
};
/// Errors: usage, also for a folder of another study; io, bad_data; interrupted by the callback.
LifetimeOutcome run_lifetime_study(const LifetimeStudy& study, const StudyOptions& options);

/// results.json, lifetime.csv, lifetime.h5 and lifetime.svg in `folder`. Errors: io.
Results write_lifetime_study(const LifetimeStudy& study, const LifetimeOutcome& outcome,
                             const std::filesystem::path& folder);

}  // namespace crosstile::validation
