#include "validation/train_config.hpp"

#include <catch2/catch.hpp>

#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"
#include "tests/validation/sample_images.hpp"
#include "validation/train_study.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using crosstile::testing::error_of;
using crosstile::testing::require_error;
using crosstile::testing::ScratchFolder;
using crosstile::testing::write_images;

namespace {

PipelineConfig read(const std::string& text) {
  data::Config config = data::Config::from_text(text);
  return read_pipeline(config);
}

// The 6 x 6 images of sample_images.hpp.
PipelineConfig small_training(const ScratchFolder& folder, const std::string& more) {
  PipelineConfig run = read("seed = 3\n[network]\nlayers = [36, 12, 3]\n" + more);
  run.data = {folder / "train-images", folder / "train-labels", folder / "test-images",
              folder / "test-labels"};
  run.training.epochs = 4;
  run.training.batch = 10;
  run.training.max_shift_pixels = 0;
  run.training.threads = 1;
  return run;
}

TrainingResult trained(const PipelineConfig& run, const TrainingStudyOptions& options = {}) {
  return run_training(run, read_images(run.data.train_images, run.data.train_labels, 3),
                      read_images(run.data.test_images, run.data.test_labels, 3), options);
}

}  // namespace

TEST_CASE("The keys of analog layers reach the training", "[property]") {
  const PipelineConfig run = read(R"(
[network]
layers = [36, 12, 3]
kinds = ["analog", "digital"]
initial = "uniform"
[training]
loss = "squared_error"
optimiser = "adam"
adam_beta2 = 0.99
[analog]
update = "exact"
[analog.forward]
adc_bits = 6
output_noise = 0.125
noise_kind = "input_norm"
[analog.device]
law = "soft_bounds"
step = 0.002
)");
  CHECK(run.network.initial == nn::Initial::uniform);
  CHECK(run.training.loss == nn::Loss::squared_error);
  REQUIRE(run.training.kinds.size() == 2);
  const std::string settings = run.training.settings();
  for (const char* line :
       {"optimiser = adam", "adam_beta2 = 0.98999999999999999", "layer[0].kind = analog",
        "layer[0].update = exact", "layer[0].forward.adc_bits = 6", "layer[0].forward.output_noise = 0.125",
        "layer[0].forward.noise_kind = input_norm", "layer[0].backward.adc_bits = 9",
        "layer[0].device.law = soft_bounds", "layer[0].device.step = 0.002", "layer[1].kind = digital"})
    CHECK_THAT(settings, Catch::Contains(line));
  // What is written out reads back to the same.
  CHECK(read(run.toml).training.settings() == settings);
  CHECK(read(run.toml).toml == run.toml);
}

TEST_CASE("Every layer chooses its kind by name, and what is written out reads back", "[property]") {
  const PipelineConfig run = read(R"(
[tile]
rows = 20
cols = 16
r_col_ohm = 20.0
[network]
layers = [36, 12, 9, 8, 6, 3]
kinds = ["tile", "hardware_aware", "abstract", "analog", "digital"]
[hardware_aware]
noise = "programming"
noise_scale = 1.5
device_model = "pcm-hermes-2"
g_min_uS = 0.2
clip_sigma = 2.5
[abstract_tile]
wire_ohm = 0.7
g_uS = 4.0
[tile_training]
block_rows = 10
wire_ramp_epochs = 2
learn_gain = false
)");
  REQUIRE(run.training.kinds.size() == 5);
  const std::string settings = run.training.settings();
  for (const char* line :
       {"layer[0].kind = tile", "layer[0].r_col_ohm = 20", "layer[0].model.block_rows = 10",
        "layer[0].learn_gain = 0", "layer[0].wire_ramp_epochs = 2", "layer[1].kind = hardware-aware",
        "layer[1].noise = programming", "layer[1].devices = pcm-hermes-2", "layer[1].on_abstract_tile = 0",
        "layer[2].on_abstract_tile = 1", "layer[2].noise_scale = 1.5",
        "layer[2].abstract_tile.wire_ohm = 0.69999999999999996", "layer[3].kind = analog",
        "layer[4].kind = digital"})
    CHECK_THAT(settings, Catch::Contains(line));
  CHECK(run.kinds.hardware_aware.g_min_siemens == Approx(0.2e-6));
  CHECK(run.kinds.hardware_aware.abstract_tile.g_siemens == Approx(4e-6));
  CHECK(read(run.toml).training.settings() == settings);
  CHECK(read(run.toml).toml == run.toml);
}

TEST_CASE("A kind that does not go with the tile or its devices is named", "[error]") {
  require_error(error_of([] { read("[tile]\nweight_layout = \"single\"\n[network]\nkinds = [\"tile\"]\n"); }),
                ErrorKind::usage, {"network.kinds", "\"tile\"", "weight_layout", "pair-columns"});
  require_error(
      error_of([] {
        read(
            "[network]\nkinds = [\"hardware_aware\"]\n[hardware_aware]\ndevice_model = \"pmc\"\n"
            "weight_noise = -1\n[tile_training]\nblock_row = 3\n");
      }),
      ErrorKind::usage,
      {"hardware_aware.device_model", "pcm-2019", "weight_noise", "0 to 10", "did you mean", "block_rows"});
}

TEST_CASE("A hybrid network keeps what its tiles have learned in its file", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 120);
  write_images(folder, "test", 60);
  PipelineConfig run = read(
      "[tile]\npreset = \"pcm-14nm\"\nrows = 18\ncols = 12\nr_col_ohm = 800.0\nsense = \"south\"\n"
      "[network]\nlayers = [36, 12, 3]\nkinds = [\"tile\", \"hardware_aware\"]\n"
      "[hardware_aware]\ncolumn_scales = true\n[model]\nform = \"ladder\"\n"
      "[evaluation]\ntimes_s = [0.0]\ndraws = 1\n");
  run.data = {folder / "train-images", folder / "train-labels", folder / "test-images",
              folder / "test-labels"};
  run.training.epochs = 8;
  run.training.batch = 10;
  run.training.max_shift_pixels = 0;
  run.training.threads = 1;
  const TrainingResult result = trained(run);
  REQUIRE(result.status == nn::TrainStatus::finished);
  CHECK(*result.test_accuracy > 0.9);
  write_trained(folder / "net.h5", result.state, run.toml);
  const nn::Network network = nn::read_network(folder / "net.h5");
  const nn::TrainState whole = deployed(result.state);
  CHECK(network.layers[1].weights == whole.network.layers[1].weights);
  CHECK_FALSE(whole.network.layers[1].weights == result.state.network.layers[1].weights);
  const auto known = trained_calibrations(folder / "net.h5");
  REQUIRE(known.size() == 2);
  CHECK(known[0].gain.rows() == 2);  // tiles below each other
  CHECK(known[1].gain.size() == 0);  // its column scales are in the weights

  const auto train = read_images(run.data.train_images, run.data.train_labels, 3);
  const auto test = read_images(run.data.test_images, run.data.test_labels, 3);
  const OnTiles on{run, network, known, run.model};
  const auto rows = evaluate_as_trained(on, train, test);
  REQUIRE(rows.size() == 2);
  CHECK(*rows[0].report.accuracy > 0.9);
  const auto costs = inference_costs(on, train, test);
  REQUIRE(costs.size() == 2);
  CHECK(inference_cost_table(costs).rows.size() == 3);
  // A digital network has nothing beside its weights.
  nn::write_network(folder / "plain.h5", network);
  CHECK(trained_calibrations(folder / "plain.h5").empty());
}

TEST_CASE("Mistakes in the keys of layer kinds are all reported, with the allowed values", "[error]") {
  const Error error = error_of([] {
    read(
        "[network]\nlayers = [36, 12, 3]\nkinds = [\"analog\", \"digital\", \"digital\"]\n[analog]\nupdate = "
        "\"magic\"\n"
        "[analog.forward]\nadc_bits = 1\ndacbits = 4\n[analog.pulses]\ndesired_pulses = 99\n");
  });
  require_error(
      error, ErrorKind::usage,
      {"network.kinds: has 3 names", "the 2 layers", "magic", "tiki_taka", "analog.forward.adc_bits = 1",
       "2 to 20", "did you mean", "analog.forward.dac_bits", "desired_pulses", "31"});
  require_error(error_of([] { read("[network]\nkinds = [\"spiking\"]\n"); }), ErrorKind::usage,
                {"spiking", "\"digital\", \"analog\""});
}

TEST_CASE("A training with analog layers has an accuracy as trained and a digital one", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 120);
  write_images(folder, "test", 60);
  PipelineConfig run = small_training(folder, "kinds = [\"analog\"]\n[analog.forward]\noutput_noise = 0.1\n");
  const TrainingResult result = trained(run, {folder / "work", 3, {}});
  REQUIRE(result.status == nn::TrainStatus::finished);
  CHECK(*result.test_accuracy > 0.8);
  CHECK(*result.digital_accuracy > 0.9);
  CHECK(*result.test_error > 0.0);
  CHECK(result.last_of_batch_accuracy.has_value());
  CHECK(result.state.epochs_done == 4);
  // The finished training is found again; nothing is trained a second time.
  const TrainingResult again = trained(run, {folder / "work", 3, {}});
  CHECK(again.seconds_per_epoch == 0.0);
  CHECK(*again.test_accuracy == *result.test_accuracy);
}

TEST_CASE("A training that diverges has no accuracy", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 120);
  write_images(folder, "test", 60);
  PipelineConfig run = small_training(folder, "");
  run.training.learning_rate = 1e6;
  const TrainingResult result = trained(run);
  CHECK(result.status == nn::TrainStatus::diverged);
  CHECK_FALSE(result.test_accuracy.has_value());
  CHECK_FALSE(result.digital_accuracy.has_value());
  CHECK_FALSE(result.reason.empty());
}

TEST_CASE("Images in HDF5 are read as those in IDX", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 30);
  const auto idx = read_images(folder / "train-images", folder / "train-labels", 3);
  Matrix labels(30, 1);
  for (Index r = 0; r < 30; ++r) labels(r, 0) = idx.labels[static_cast<std::size_t>(r)];
  data::Hdf5Writer file("images", 1);
  file.matrix("x", idx.inputs.cast<double>(), "1");
  file.matrix("y", labels, "1");
  file.write(folder / "set.h5");
  const std::string path = (folder / "set.h5").string();
  const auto hdf5 = read_images(path + ":x", path + ":y", 3);
  CHECK(hdf5.inputs == idx.inputs);
  CHECK(hdf5.labels == idx.labels);
  CHECK(hdf5.height == 6);
  require_error(error_of([&] { read_images(path + ":y", path + ":y", 3); }), ErrorKind::bad_data,
                {"set.h5:y", "row 2", "-1 to 1"});
  require_error(error_of([&] { read_images(path + ":x", path + ":y", 2); }), ErrorKind::bad_data,
                {"row 2", "label 2", "0 to 1"});
  require_error(error_of([&] { read_images(path + ":x", path + ":x", 3); }), ErrorKind::bad_data,
                {"36 columns"});
  require_error(error_of([&] { read_images(folder / "train-images", path + ":y", 3); }), ErrorKind::usage,
                {"HDF5"});
}

TEST_CASE("A checkpoint of other settings is neither continued nor written over", "[error]") {
  const ScratchFolder folder;
  write_images(folder, "train", 60);
  write_images(folder, "test", 30);
  PipelineConfig run = small_training(folder, "");
  const double accuracy = *trained(run, {folder / "work", 1, {}}).test_accuracy;
  run.training.learning_rate *= 2.0;
  require_error(error_of([&] { trained(run, {folder / "work", 1, {}}); }), ErrorKind::usage,
                {"work", "other settings", "delete"});
  run.training.learning_rate /= 2.0;
  CHECK(*trained(run, {folder / "work", 1, {}}).test_accuracy == accuracy);
}
