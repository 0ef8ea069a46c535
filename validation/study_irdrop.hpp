// The study "accuracy against wire resistance": a network whose weights are written to tiles directly,
// trained with Gaussian weight noise, or trained through the tile model; all evaluated with the exact column
// ladder, end points confirmed with the full circuit. docs/theory.md, "Training through the tile model".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.hpp"
#include "data/config.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/tile_layer.hpp"
#include "validation/results.hpp"
#include "validation/study_base.hpp"

namespace crosstile::validation {

struct IrDropStudy {
  std::string title = "Accuracy against wire resistance";
  DataFiles data;
  nn::NetworkSpec network;
  data::TileSpec tile;  ///< r_col_ohm is the study's axis
  std::vector<double> r_col_ohm{0.15, 1.0, 5.0, 20.0, 50.0, 100.0};
  Index seeds = 3;
  nn::TrainOptions digital;                           ///< where all networks start
  double digital_clip_sigma = 0.0;                    ///< of the digital training, too; 0: none
  std::vector<double> noise_levels{0.02, 0.05, 0.1};  ///< Gaussian, in units of the largest weight
  nn::HardwareAwareOptions gaussian;  ///< ramp, clip; noise and its level are set by the study
  Index gaussian_epochs = 10;
  double gaussian_rate = 0.05;
  nn::TileLayerOptions tiles;  ///< tile and wires are set by the study
  Index tile_epochs = 3;
  double tile_rate = 0.05;
  Index images = 0;  ///< test images; 0: all
  Index calibration_images = 500;
  Index confirm_images = 100;             ///< that pass the full circuit; 0: none
  std::vector<double> confirm_ohm{20.0};  ///< of r_col_ohm; first seed
  Index energy_images = 100;              ///< whose energy is taken
  std::string toml;                       ///< as read
};

/// Reads [study], [tile], [data], [network], [training]; calls config.finish(). Errors: usage.
IrDropStudy read_irdrop_study(data::Config& config);

/// One network on tiles of one resistance.
struct IrDropPoint {
  Index seed = 1;
  double r_col_ohm = 0.0;
  std::string method;           ///< "direct", "direct, fitted gains", "gaussian 0.05", "through tiles"
  double accuracy = 0.0;        ///< exact ladder
  double a_star = 0.0;          ///< normalised between chance and the digital network of this seed
  double mean_g_siemens = 0.0;  ///< over both arrays of the first layer
  double inference_joule = 0.0, array_joule = 0.0, latency_s = 0.0;  ///< nn::InferenceCost, mean over images
};
struct IrDropConfirmation {
  double r_col_ohm = 0.0;
  std::string method;
  Index images = 0;
  double circuit_accuracy = 0.0, ladder_accuracy = 0.0;  ///< of these images
  Index same_class = 0;                                  ///< images both put into the same class
  double largest_difference = 0.0;                       ///< of a logit, over the largest logit
};
struct IrDropOutcome {
  std::vector<double> digital_accuracy;  ///< by seed
  std::vector<IrDropPoint> points;
  std::vector<IrDropConfirmation> confirmations;
  /// Processor time of an epoch: the fastest of each, in this run.
  double digital_seconds = 0.0, tile_seconds = 0.0;
  std::string diverged;      ///< what diverged, if anything
  Index made = 0, kept = 0;  ///< trainings, points and confirmations of this call, and those found finished
};
/// Errors: usage, also for a folder of another study; io, bad_data; interrupted by the callback.
IrDropOutcome run_irdrop_study(const IrDropStudy& study, const StudyOptions& options);

/// The resistance at which training through tiles falls below nn::kIsoAccuracy stands among the headlines.
/// results.json, irdrop.csv, irdrop.h5 and irdrop.svg in `folder`. Errors: io.
Results write_irdrop_study(const IrDropStudy& study, const IrDropOutcome& outcome,
                           const std::filesystem::path& folder);

}  // namespace crosstile::validation
