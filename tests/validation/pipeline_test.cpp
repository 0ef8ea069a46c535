#include <catch2/catch.hpp>
#include <fstream>

#include "core/files.hpp"
#include "data/run_folder.hpp"
#include "tests/core/scratch.hpp"
#include "sample_images.hpp"
#include "validation/pipeline.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using crosstile::testing::ScratchFolder;
using crosstile::testing::write_images;

namespace {

PipelineConfig small_run(const ScratchFolder& folder, const std::string& more = {}) {
  const std::string text = R"(
title = "small"
[tile]
preset = "pcm-512-mesh"
rows = 20
cols = 8
[tile.pulse]
dac_bits = 5
[data]
train_images = ")" + (folder / "train-images").string() + R"("
train_labels = ")" + (folder / "train-labels").string() + R"("
test_images = ")" + (folder / "test-images").string() + R"("
test_labels = ")" + (folder / "test-labels").string() + R"("
[network]
layers = [36, 12, 3]
[training]
epochs = 4
batch = 16
max_shift_pixels = 0
[reference]
vectors = 40
vectors_per_shard = 5
[noise]
devices = 40
[evaluation]
draws = 2
times_s = [0, 3600]
[compare]
images = 40
)" + more;
  data::Config config = data::Config::from_text(text);
  return read_pipeline(config);
}

const char* const kArtefacts[] = {"network.h5", "reference.h5", "model.h5", "read_noise.h5", "accuracy.h5", "first_layer.h5",
                                  "irdrop.h5", "waveforms.h5", "training.h5"};

}  // namespace

TEST_CASE("A run leaves every artefact and its page, and an interrupted one goes on to the same bits", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 240);
  write_images(folder, "test", 120);
  const PipelineConfig config = small_run(folder);
  run_pipeline(config, folder / "whole", 2, "test", {});
  const auto manifest = data::read_manifest(folder / "whole");
  CHECK(manifest.complete);
  for (const char* name : kArtefacts) {
    CAPTURE(name);
    CHECK(manifest.files.count(name) == 1);
  }
  CHECK(read_text(folder / "whole/report.html").find("small") != std::string::npos);

  // Stopped again and again, at other places of other stages; then with another number of threads.
  for (const int allowed : {3, 40, 9, 70}) {
    int calls = 0;
    try {
      run_pipeline(config, folder / "parts", 1, "test", [&](double, std::string_view) { return ++calls < allowed; });
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::interrupted);
    }
  }
  run_pipeline(config, folder / "parts", 3, "test", {});
  for (const char* name : kArtefacts) {
    CAPTURE(name);
    CHECK(hash_file(folder / (std::string("parts/") + name)) == hash_file(folder / (std::string("whole/") + name)));
  }

  const PipelineConfig other = small_run(folder, "held_out_share = 0.3\n");
  CHECK_THROWS_WITH(run_pipeline(other, folder / "whole", 2, "test", {}), Catch::Contains("another configuration"));

  std::ofstream(folder / "whole/results.json", std::ios::app) << " ";
  CHECK_THROWS_WITH(run_pipeline(config, folder / "whole", 2, "test", {}), Catch::Contains("results.json was changed since"));
}

TEST_CASE("The template is a configuration with every key at its default", "[property]") {
  data::Config config = data::Config::from_text(pipeline_template());
  const PipelineConfig read = read_pipeline(config);
  data::Config empty = data::Config::from_text("");
  CHECK(read.toml == read_pipeline(empty).toml);
  CHECK(read.tile == data::tile_preset("pcm-14nm"));
}

TEST_CASE("All mistakes of a configuration are reported at once", "[error]") {
  data::Config config = data::Config::from_text("[reference]\nvectors = -1\nmethod = \"spice\"\n[network]\nlayers = [10]\nlayer = 3\n");
  CHECK_THROWS_WITH(read_pipeline(config), Catch::Contains("reference.vectors") && Catch::Contains("transient") &&
                                               Catch::Contains("at least two") && Catch::Contains("did you mean"));
}

TEST_CASE("A linear tile runs with the circuit's effective matrix, fitted to the run's own first layer", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 120);
  write_images(folder, "test", 60);
  data::Config config = data::Config::from_text("[tile]\nrows = 20\ncols = 8\ndrive = \"level\"\nr_row_ohm = 2\nr_col_ohm = 2\n[model]\nform = \"effective\"\n");
  PipelineConfig linear = read_pipeline(config);
  const PipelineConfig paths = small_run(folder);
  linear.data = paths.data;
  linear.network = paths.network;
  linear.training = paths.training;
  linear.draw.vectors = 20;
  linear.noise.devices = 20;
  linear.evaluation.times_s = {};
  linear.compare.images = 20;
  linear.compare.transient_vectors = 1;
  // The reference set is made of the run's own network and images.
  linear.layer.weights = linear.layer.activations = true;
  run_pipeline(linear, folder / "run", 2, "test", {});
  CHECK(data::read_manifest(folder / "run").complete);
  const auto set = data::read_reference_set(folder / "run/reference.h5");
  const auto compared = data::read_reference_set(folder / "run/first_layer.h5");
  CHECK(set.g_plus_siemens == compared.g_plus_siemens);
  CHECK(set.codes == compared.codes);
}
