// Reference sets of real weights and real inputs.
#include "validation/pipeline_reference.hpp"

#include <catch2/catch.hpp>

#include "core/files.hpp"
#include "data/pulse.hpp"
#include "data/run_folder.hpp"
#include "nn/nn.hpp"
#include "sample_images.hpp"
#include "validation/pipeline.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using crosstile::testing::ScratchFolder;
using crosstile::testing::write_images;

namespace {

// Inputs 36, hidden 10, outputs 3; weights as initialised.
nn::Network small_network() {
  nn::NetworkSpec spec;
  spec.layers = {36, 10, 3};
  return nn::make_network<float>(spec, 4);
}

// Pixel i of image v; the middle third of the inputs is the brightest.
MatrixF some_images(Index count, std::uint64_t seed) {
  MatrixF images = random_uniform_matrix({seed, Stream::test, 0}, count, 36).cast<float>();
  images.leftCols(12) *= 0.3F;
  images.rightCols(12) *= 0.2F;
  return images;
}

data::TileSpec small_tile() {
  data::TileSpec tile;
  tile.rows = 14;
  tile.cols = 6;
  tile.pulse.dac_bits = 6;
  return tile;
}

circuit::DrawOptions vectors(Index count) {
  circuit::DrawOptions draw;
  draw.vectors = count;
  return draw;
}

std::string with_files(const ScratchFolder& folder) {
  return "[data]\ntrain_images = \"" + (folder / "train-images").string() + "\"\ntrain_labels = \"" +
         (folder / "train-labels").string() + "\"\ntest_images = \"" + (folder / "test-images").string() +
         "\"\ntest_labels = \"" + (folder / "test-labels").string() + "\"\n";
}

PipelineConfig config_of(const std::string& text) {
  data::Config config = data::Config::from_text(text);
  return read_pipeline(config);
}

}  // namespace

TEST_CASE("Rows of a set are a block of the layer's inputs, or the most active ones in the layer's order",
          "[kat]") {
  IntMatrix codes(2, 7);
  codes << 1, 0, -9, 2, 3, 0, 4,  //
      1, 0, 9, 2, -3, 0, 5;
  const std::vector<Index> bounds{0, 3, 5, 7};
  LayerOptions options;
  CHECK(choose_rows(options, codes, bounds) == std::vector<Index>{0, 1, 2});  // means 20/6, 7/4, 9/4
  options.tile_row = 2;
  CHECK(choose_rows(options, {}, bounds) == std::vector<Index>{5, 6});
  options.rows = RowChoice::active;
  CHECK(choose_rows(options, codes, bounds) == std::vector<Index>{2, 4, 6});
  options = {};
  options.tile_row = 3;
  CHECK_THROWS_WITH(choose_rows(options, codes, bounds),
                    Catch::Contains("network_tile_row") && Catch::Contains("3"));
}

TEST_CASE("Weights of a network's layer are the conductances of its mapping, and activations its codes",
          "[cross]") {
  const nn::Network network = small_network();
  const data::TileSpec tile = small_tile();
  LayerOptions options;
  options.weights = options.activations = true;
  options.network_file = "net.h5";
  const LayerImages images{some_images(9, 1), some_images(20, 2)};
  tilemodel::ModelSpec ideal;
  ideal.form = tilemodel::Form::ideal;
  const auto system = nn::make_tile_system(network, tile, images.calibration, model_factory(ideal));
  for (const Index layer : {0, 1}) {
    CAPTURE(layer);
    options.layer = layer;
    const auto set = layer_reference_inputs(tile, vectors(9), options, &network, images, 1);
    const auto& mapped = system.arrays.layers[static_cast<std::size_t>(layer)];
    const Index tile_row = layer == 0 ? 1 : 0;  // the bright pixels are in the middle of three blocks
    CHECK(set.tile.rows == mapped.tile(tile_row, 0).spec.rows);
    CHECK(set.tile.cols == mapped.tile(tile_row, 0).spec.cols);
    REQUIRE(set.g_plus_siemens.size() == (layer == 0 ? 2 : 1));
    for (std::size_t d = 0; d < set.g_plus_siemens.size(); ++d) {
      CHECK(set.g_plus_siemens[d] == mapped.tile(tile_row, static_cast<Index>(d)).g_plus_siemens);
      CHECK(set.g_minus_siemens[d] == mapped.tile(tile_row, static_cast<Index>(d)).g_minus_siemens);
    }
    CHECK(set.codes == nn::tile_inputs(system, layer, tile_row, images.images));
    CHECK(set.codes.maxCoeff() > 0);
  }
}

TEST_CASE("The most active rows of a layer keep their weights and their pixels together", "[property]") {
  const nn::Network network = small_network();
  const data::TileSpec tile = small_tile();  // 36 inputs are cut to three blocks of 12
  LayerOptions options;
  options.weights = options.activations = true;
  options.network_file = "net.h5";
  options.rows = RowChoice::active;
  const LayerImages images{some_images(9, 1), {}};
  const auto set = layer_reference_inputs(tile, vectors(9), options, &network, images, 1);
  REQUIRE(set.tile.rows == 12);
  const IntMatrix all = data::dac_codes(images.images.cast<double>(), tile.pulse.dac_bits);
  const auto rows = choose_rows(options, all, {0, 12, 24, 36});
  const double lowest = all.col(rows.back()).cast<double>().mean();
  CHECK(lowest > 0.0);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    CHECK(set.codes.col(static_cast<Index>(k)) == all.col(rows[k]));
    for (Index j = 0; j < set.tile.cols; ++j) {
      const double w = network.layers[0].weights(rows[k], j);
      const double g =
          set.g_plus_siemens[0](static_cast<Index>(k), j) - set.g_minus_siemens[0](static_cast<Index>(k), j);
      CHECK((w > 0.0) == (g > 0.0));
    }
  }
}

TEST_CASE("Drawn weights take activations on all rows of the tile, in every layout", "[property]") {
  LayerOptions options;
  options.activations = true;
  const LayerImages images{some_images(5, 1), {}};
  for (const auto layout :
       {data::WeightLayout::single, data::WeightLayout::pair_columns, data::WeightLayout::bipolar}) {
    data::TileSpec tile = small_tile();
    tile.weight_layout = layout;
    if (layout == data::WeightLayout::bipolar) tile.drive = data::Drive::bipolar;
    const auto set = layer_reference_inputs(tile, vectors(5), options, nullptr, images, 1);
    CHECK(set.tile == tile);
    CHECK(set.g_plus_siemens.size() == 2);
    CHECK(set.codes == data::dac_codes(images.images.middleCols(14, 14).cast<double>(), 6));
  }
  data::TileSpec large = small_tile();
  large.rows = 40;
  CHECK_THROWS_WITH(layer_reference_inputs(large, vectors(5), options, nullptr, images, 1),
                    Catch::Contains("tile.rows = 40") && Catch::Contains("36 inputs"));
}

TEST_CASE("A network on a bipolar tile has both devices of a weight on one bit line", "[property]") {
  const nn::Network network = small_network();
  data::TileSpec tile = small_tile();
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  LayerOptions options;
  options.weights = true;
  options.tile_row = 0;
  const auto set = layer_reference_inputs(tile, vectors(6), options, &network, {}, 1);
  CHECK(set.tile.drive == data::Drive::bipolar);
  CHECK(set.tile.weight_layout == data::WeightLayout::bipolar);
  CHECK(set.g_minus_siemens.size() == set.g_plus_siemens.size());
  CHECK(set.codes.rows() == 6);  // drawn
}

TEST_CASE("Generation from a network and images goes on bitwise equal, whatever the threads", "[property]") {
  const ScratchFolder folder;
  write_images(folder, "train", 60);
  write_images(folder, "test", 40);
  nn::write_network(folder / "net.h5", small_network());
  PipelineConfig config = config_of(
      "[tile]\nrows = 14\ncols = 6\nr_row_ohm = 1.0\n[tile.pulse]\ndac_bits = 5\n" + with_files(folder) +
      "[reference]\nvectors = 18\nvectors_per_shard = 2\nfirst_image = 5\nweights = \"network\"\n"
      "inputs = \"activations\"\nnetwork_layer = 1\nnetwork_file = \"" +
      (folder / "net.h5").string() + "\"\n");
  const auto hash_of = [&](const data::ReferenceSet& set) {
    data::write_reference_set(folder / "set.h5", set);
    return hash_file(folder / "set.h5");
  };
  config.reference.threads = 1;
  const std::string whole = hash_of(generate_reference(config, folder / "one"));
  config.reference.threads = 3;
  int calls = 0;
  CHECK_THROWS_AS(
      generate_reference(config, folder / "parts", [&](double, std::string_view) { return ++calls < 7; }),
      Error);
  CHECK(hash_of(generate_reference(config, folder / "parts")) == whole);
}

TEST_CASE("What real weights and inputs need is refused by name when it is missing", "[error]") {
  const ScratchFolder folder;
  write_images(folder, "test", 40);
  const std::string files = with_files(folder);
  CHECK_THROWS_WITH(reference_inputs(config_of(files + "[reference]\nweights = \"network\"\n")),
                    Catch::Contains("network_file"));
  CHECK_THROWS_WITH(
      reference_inputs(config_of(files + "[reference]\ninputs = \"activations\"\nnetwork_layer = 1\n")),
      Catch::Contains("network_file"));
  CHECK_THROWS_WITH(
      reference_inputs(config_of(
          files +
          "[tile]\nrows = 20\n[reference]\ninputs = \"activations\"\nfirst_image = 30\nvectors = 11\n")),
      Catch::Contains("41") && Catch::Contains("40 images"));
  CHECK_THROWS_WITH(
      reference_inputs(config_of("[reference]\nweights = \"network\"\nnetwork_file = \"none.h5\"\n")),
      Catch::Contains("none.h5"));
  CHECK_THROWS_WITH(config_of("[tile]\nweight_layout = \"single\"\n[reference]\nweights = \"network\"\n"),
                    Catch::Contains("reference.weights"));
  CHECK_THROWS_WITH(config_of("[reference]\nrow_share = 0.8\ncolumn_share = 0.3\n"),
                    Catch::Contains("column_share") && Catch::Contains("1.1"));
  CHECK_THROWS_WITH(config_of("[reference]\nweights = \"normall\"\n"),
                    Catch::Contains("lognormal") && Catch::Contains("network"));
  CHECK_THROWS_WITH(config_of("[reference]\nheld_out_draws = 2\n"), Catch::Contains("held_out_draws"));

  LayerOptions options;
  options.weights = true;
  options.tile_row = 0;
  options.layer = 2;
  const nn::Network network = small_network();
  CHECK_THROWS_WITH(layer_reference_inputs(small_tile(), vectors(3), options, &network, {}, 1),
                    Catch::Contains("network_layer"));
  options.layer = 0;
  options.activations = true;
  options.network_file = "net.h5";
  CHECK_THROWS_WITH(
      layer_reference_inputs(small_tile(), vectors(3), options, &network, {MatrixF::Zero(3, 25), {}}, 1),
      Catch::Contains("25 pixels") && Catch::Contains("36 inputs"));
}
