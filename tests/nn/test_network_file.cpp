#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"
#include "nn/network_file.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

const NetworkSpec kSpec{{64, 12, 10}, Activation::tanh};

TrainOptions options_for(Index epochs) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch = 50;
  options.threads = 2;
  return options;
}

}  // namespace

TEST_CASE("A network comes back from its file bit by bit", "[nn][property]") {
  const samples::Folder folder;
  Network network = make_network<float>(kSpec, 3);
  network.layers[1].bias.setConstant(0.1F);
  write_network(folder / "network.h5", network, "[network]\n");
  const Network back = read_network(folder / "network.h5");
  CHECK(back.hidden == Activation::tanh);
  REQUIRE(back.depth() == 2);
  for (std::size_t l = 0; l < 2; ++l) {
    CHECK(back.layers[l].weights == network.layers[l].weights);
    CHECK(back.layers[l].bias == network.layers[l].bias);
  }
}

TEST_CASE("A training continued from its checkpoint file gives the same bits", "[nn][identity]") {
  const samples::Folder folder;
  const auto images = samples::images(220);
  const TrainOptions options = options_for(4);
  TrainState state = start_training(kSpec, options);
  TrainHooks hooks;
  hooks.after_epoch = [&](const TrainState& s) {
    if (s.epochs_done == 2) write_checkpoint(folder / "checkpoint.h5", s);
  };
  train(state, images, options, hooks);

  TrainState resumed = read_checkpoint(folder / "checkpoint.h5");
  CHECK(resumed.epochs_done == 2);
  CHECK(resumed.history.size() == 2);
  train(resumed, images, options);
  CHECK(resumed.epochs_done == 4);
  for (std::size_t l = 0; l < 2; ++l) {
    CHECK(resumed.network.layers[l].weights == state.network.layers[l].weights);
    CHECK(resumed.velocity.layers[l].weights == state.velocity.layers[l].weights);
    CHECK(resumed.network.layers[l].bias == state.network.layers[l].bias);
  }
  CHECK(resumed.history.back().loss == state.history.back().loss);
  CHECK(read_network(folder / "checkpoint.h5").layers[0].weights != state.network.layers[0].weights);
}

TEST_CASE("A checkpoint before the first epoch can be written and read", "[nn][property]") {
  const samples::Folder folder;
  const TrainState state = start_training(kSpec, options_for(2));
  write_checkpoint(folder / "start.h5", state);
  const TrainState back = read_checkpoint(folder / "start.h5");
  CHECK(back.epochs_done == 0);
  CHECK(back.settings == state.settings);
  CHECK(back.network.layers[0].weights == state.network.layers[0].weights);
}

TEST_CASE("Damaged or foreign network files are refused by name", "[nn][error]") {
  const samples::Folder folder;
  CHECK_THROWS_AS(read_network(folder / "missing.h5"), Error);

  Network network = make_network<float>(kSpec, 3);
  network.layers[0].weights(0, 0) = std::nanf("");
  CHECK_THROWS_WITH(write_network(folder / "nan.h5", network), Contains("not finite"));
  CHECK_FALSE(std::filesystem::exists(folder / "nan.h5"));

  write_network(folder / "plain.h5", make_network<float>(kSpec, 3));
  CHECK_THROWS_WITH(read_checkpoint(folder / "plain.h5"), Contains("velocity_weights_0"));

  data::Hdf5Writer bad("network", 1);
  bad.text("hidden_activation", "swish");
  bad.number("layers", 1);
  bad.write(folder / "swish.h5");
  CHECK_THROWS_WITH(read_network(folder / "swish.h5"), Contains("swish") && Contains("sigmoid"));

  data::Hdf5Writer torn("network", 1);
  torn.text("hidden_activation", "relu");
  torn.number("layers", 2);
  torn.matrix("weights_0", Matrix::Ones(3, 2), "1");
  torn.vector("bias_0", Vector::Ones(2), "1");
  torn.matrix("weights_1", Matrix::Ones(5, 2), "1");
  torn.vector("bias_1", Vector::Ones(2), "1");
  torn.write(folder / "torn.h5");
  try {
    read_network(folder / "torn.h5");
    FAIL("shapes do not fit");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::bad_data);
    CHECK_THAT(error.what(), Contains("torn.h5") && Contains("layers[1].weights"));
  }

  data::Hdf5Writer many("network", 1);
  many.text("hidden_activation", "relu");
  many.number("layers", 1e9);
  many.write(folder / "many.h5");
  CHECK_THROWS_WITH(read_network(folder / "many.h5"), Contains("layers = 1000000000"));
}
