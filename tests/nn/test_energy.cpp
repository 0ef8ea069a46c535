// Energy and latency of an inference.
#include <catch2/catch.hpp>

#include <cmath>

#include "data/pulse.hpp"
#include "nn/energy.hpp"
#include "tests/nn/samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;

namespace {

data::TileSpec energy_tile(Index rows, double r_col_ohm) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = rows;
  tile.cols = 16;
  tile.r_col_ohm = r_col_ohm;
  return tile;
}

tilemodel::ModelSpec energy_form() {
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ladder;
  return spec;
}

TileSystem energy_system(const Network& network, const data::TileSpec& tile, const MatrixF& images) {
  return make_tile_system(network, tile, images, [](const data::TileSpec& spec, const Matrix& g) {
    return tilemodel::TileModel(energy_form(), spec, g);
  });
}

// 64 inputs, both halves with the same largest weight, so that a cut in the middle changes no conductance.
Network energy_network() {
  Network network = make_network<float>({{64, 6, 3}, Activation::relu, Initial::scaled_normal}, 3);
  network.layers[0].weights(0, 0) = network.layers[0].weights(63, 5) = 2.0F;
  return network;
}

}  // namespace

TEST_CASE("without wires an inference takes V^2 g t in its arrays, and its parts from pulses and columns",
          "[analytic]") {
  const MatrixF images = samples::images(9).inputs;
  Network network = energy_network();
  network.layers.pop_back();
  const TileSystem system = energy_system(network, energy_tile(64, 0.0), images);
  const InferenceCost cost = inference_cost(system, images, energy_form());

  const MappedTile& tile = system.arrays.layers[0].tiles.at(0);
  const IntMatrix codes = data::dac_codes(images.cast<double>(), tile.spec.pulse.dac_bits);
  const Vector row_siemens = (tile.g_plus_siemens + tile.g_minus_siemens).rowwise().sum();
  const double volt = tile.spec.v_read_volt;
  const double joule = volt * volt * tile.spec.pulse.t_lsb_s * (codes.cast<double>() * row_siemens).mean();
  CHECK(cost.array_joule == Approx(joule).epsilon(1e-12));
  const tilemodel::EnergyModel parts;
  const double pulses = static_cast<double>((codes.array() != 0).count()) / 9.0;
  CHECK(cost.row_driver_joule == Approx(2.0 * pulses * parts.row_driver_joule).epsilon(1e-12));
  CHECK(cost.conversion_joule == Approx(2.0 * 6.0 * parts.conversion_joule).epsilon(1e-12));
  const double window = std::ldexp(1.0, tile.spec.pulse.dac_bits - 1) * tile.spec.pulse.t_lsb_s;
  CHECK(cost.latency_s == Approx(window).epsilon(0.05));  // and the settling time
  CHECK(cost.total_joule() == Approx(cost.array_joule + cost.row_driver_joule + cost.conversion_joule));
}

TEST_CASE("energies of layers and tiles add up; a layer is as slow as one of its tiles", "[property]") {
  const MatrixF images = samples::images(12).inputs;
  const Network network = energy_network();
  const TileSystem whole = energy_system(network, energy_tile(64, 0.0), images);
  const TileSystem cut = energy_system(network, energy_tile(32, 0.0), images);
  const auto one = layer_costs(whole, images, energy_form()), two = layer_costs(cut, images, energy_form());
  REQUIRE(one.size() == 2);
  CHECK(two[0].array_joule == Approx(one[0].array_joule).epsilon(1e-9));
  CHECK(two[0].row_driver_joule == Approx(one[0].row_driver_joule).epsilon(1e-12));
  CHECK(two[0].conversion_joule == Approx(2.0 * one[0].conversion_joule).epsilon(1e-12));
  CHECK(two[0].latency_s == Approx(one[0].latency_s).epsilon(1e-12));
  const InferenceCost sum = inference_cost(whole, images, energy_form(), {}, 2);
  CHECK(sum.total_joule() == Approx(one[0].total_joule() + one[1].total_joule()).epsilon(1e-12));
  CHECK(sum.latency_s == Approx(one[0].latency_s + one[1].latency_s).epsilon(1e-12));
  // Wires take current away: the supplies deliver less.
  const TileSystem wired = energy_system(network, energy_tile(64, 50.0), images);
  CHECK(layer_costs(wired, images, energy_form())[0].array_joule < one[0].array_joule);
}
