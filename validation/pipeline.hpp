// The whole way in one run folder: train a network, make reference data with the full circuit, fit a fast
// tile model, study read noise, evaluate the network on tiles, compare the fast model with the circuit, write
// the report. Every stage leaves files with hashes in the manifest; a run that was interrupted goes on where
// it stopped.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "circuit/reference.hpp"
#include "core/progress.hpp"
#include "data/config.hpp"
#include "data/idx.hpp"
#include "device/noise_statistics.hpp"
#include "device/pcm.hpp"
#include "nn/nn.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/compare.hpp"
#include "validation/pipeline_reference.hpp"
#include "validation/train_config.hpp"

namespace crosstile::validation {

struct DataFiles {
  std::filesystem::path train_images = "data/mnist/train-images-idx3-ubyte.gz";
  std::filesystem::path train_labels = "data/mnist/train-labels-idx1-ubyte.gz";
  std::filesystem::path test_images = "data/mnist/t10k-images-idx3-ubyte.gz";
  std::filesystem::path test_labels = "data/mnist/t10k-labels-idx1-ubyte.gz";
};

struct CompareConfig {
  Index images = 240;           ///< test images sent through the first layer's tiles
  double held_out_share = 0.5;  ///< compared; the others are what the baselines are fitted to
  Index tile_row = -1;          ///< which block of inputs; -1: the one with the largest mean code
  Index transient_vectors = 2;  ///< of these, confirmed with the transient
};

struct EvaluationConfig {
  Index images = 0;  ///< test images; 0: all
  Index calibration_images = 500;
  std::vector<double> times_s{0.0, 3600.0, 86400.0, 31536000.0};  ///< after the first read
  Index draws = 3;
  std::string device_model = "pcm-2019";  ///< published set or model file; empty: [device] was given
  device::PcmModel device = device::pcm_default();  ///< what that is
};

/// Everything a run is made of. Keys, defaults and ranges: `crosstile config --template`,
/// docs/file_format.md.
struct PipelineConfig {
  std::string title = "crosstile run";
  std::uint64_t seed = 1;
  data::TileSpec tile;
  DataFiles data;
  nn::NetworkSpec network;
  nn::TrainOptions training;
  LayerKinds kinds;  ///< what training.kinds is made of
  circuit::DrawOptions draw;
  LayerOptions layer;  ///< [reference]: weights and inputs that are not drawn
  circuit::ReferenceOptions reference;
  tilemodel::ModelSpec model;
  bool fit_correction = true;
  device::ReadNoiseStudyOptions noise;
  EvaluationConfig evaluation;
  CompareConfig compare;
  std::string toml;  ///< the complete configuration, every key written out
};

/// Reads [tile], [data], [network], [training], [reference], [model], [noise], [evaluation], [compare],
/// `title` and `seed`; calls config.finish(). Errors: usage with all mistakes of the file at once.
PipelineConfig read_pipeline(data::Config& config);
/// A commented configuration with every key at its default.
std::string pipeline_template();

/// Stages, as the commands of the program use them alone. `work` is a folder for checkpoints and shards.
nn::TrainState train_network(const PipelineConfig& config, const data::LabelledImages& images,
                             const std::filesystem::path& work, const Progress& progress = {});
/// What generate_reference asks the circuit; reads network and images where the configuration wants real
/// ones. Errors: usage, io, bad_data.
data::ReferenceSet reference_inputs(const PipelineConfig& config);
data::ReferenceSet generate_reference(const PipelineConfig& config, const std::filesystem::path& work,
                                      const Progress& progress = {});
/// Model of an array for any form: for `effective` the matrix comes from the circuit.
ModelFactory model_factory(const tilemodel::ModelSpec& spec);
/// Accuracies of the network: digital, ideal tiles, with wires, with ADC, with devices at the configured
/// times.
struct AccuracyRow {
  std::string label;
  nn::EvaluationReport report;
};
std::vector<AccuracyRow> evaluate_network(const PipelineConfig& config, const nn::Network& network,
                                          const tilemodel::ModelSpec& model,
                                          const data::LabelledImages& train, const data::LabelledImages& test,
                                          const Progress& progress = {});

/// Runs all stages. threads: 0 = number of processors. Errors: as the stages.
void run_pipeline(const PipelineConfig& config, const std::filesystem::path& folder, int threads,
                  const std::string& command, const Progress& progress = {});

}  // namespace crosstile::validation
