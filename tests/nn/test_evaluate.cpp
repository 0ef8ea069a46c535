#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "data/pulse.hpp"
#include "nn/evaluate.hpp"
#include "nn/train.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

ModelFactory with_form(tilemodel::Form form) {
  return [form](const data::TileSpec& tile, const Matrix& g) {
    tilemodel::ModelSpec spec;
    spec.form = form;
    return tilemodel::TileModel(spec, tile, g);
  };
}
const ModelFactory kIdeal = with_form(tilemodel::Form::ideal);

data::TileSpec small_tile(Index rows = 20, Index cols = 9) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  return tile;
}

const data::LabelledImages& training_images() {
  static const data::LabelledImages images = samples::images(400);
  return images;
}

Network trained(Activation hidden) {
  TrainOptions options;
  options.epochs = 15;
  options.batch = 50;
  options.threads = 1;
  options.max_shift_pixels = 0;
  TrainState state = start_training({{64, 23, 17, 10}, hidden}, options);
  REQUIRE(train(state, training_images(), options).status == TrainStatus::finished);
  return state.network;
}

// Digital activations in double precision: [0] the images, last the logits.
std::vector<Matrix> digital(const Network& network, const MatrixF& images) {
  std::vector<Matrix> a = {images.cast<double>()};
  for (std::size_t l = 0; l < network.depth(); ++l) {
    Matrix y = a.back() * network.layers[l].weights.cast<double>();
    y.rowwise() += network.layers[l].bias.row(0).cast<double>();
    if (l + 1 < network.depth()) apply_activation<double>(network.hidden, y);
    a.push_back(y);
  }
  return a;
}

Matrix tile_logits(const TileSystem& system, const MatrixF& images) {
  const TiledNetwork tiled(system, system.arrays, 1, 1);
  TileWorkspace work;
  Matrix out;
  tiled.logits(images, work, out);
  return out;
}

}  // namespace

TEST_CASE("On an ideal tile the logits stay within the bound that DAC rounding allows", "[nn][property]") {
  for (const Activation hidden : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
    CAPTURE(data::to_name(hidden));
    const Network network = trained(hidden);
    const MatrixF images = training_images().inputs.topRows(60);
    CalibrationOptions calibration;
    calibration.input_quantile = 1.0;  // nothing in the digital activations is clipped
    const TileSystem system = make_tile_system(network, small_tile(), images, kIdeal, calibration);
    CHECK(system.calibration[0].input_scale == 1.0);

    // One DAC step is scale / 127, so an input is off by half of it plus what came before; activations have
    // slopes of at most 1, and clipping to the digital range moves towards the digital value.
    Matrix error = Matrix::Zero(1, network.inputs());
    for (std::size_t l = 0; l < network.depth(); ++l) {
      const Matrix input_error = error.array() + 0.5 * system.calibration[l].input_scale / 127.0;
      error = input_error * network.layers[l].weights.cast<double>().cwiseAbs();
    }
    const Matrix logits = tile_logits(system, images);
    const Matrix difference = (logits - digital(network, images).back()).cwiseAbs();
    for (Index j = 0; j < logits.cols(); ++j) CHECK(difference.col(j).maxCoeff() <= error(0, j));
    CHECK(difference.maxCoeff() > 1e-3 * error.maxCoeff());  // the DAC is there
  }
}

TEST_CASE("A finer DAC brings an ideal tile closer to the digital logits in proportion", "[nn][order]") {
  const Network network = trained(Activation::relu);
  const MatrixF images = training_images().inputs.topRows(60);
  CalibrationOptions calibration;
  calibration.input_quantile = 1.0;
  std::vector<double> errors;
  for (const int bits : {6, 10, 14}) {
    data::TileSpec tile = small_tile();
    tile.pulse.dac_bits = bits;
    const TileSystem system = make_tile_system(network, tile, images, kIdeal, calibration);
    const Matrix difference = tile_logits(system, images) - digital(network, images).back();
    errors.push_back(difference.norm());
  }
  // Four bits are a factor of 16; rounding errors of many inputs average, so a quarter of it either way is
  // far outside their scatter.
  CHECK(errors[0] / errors[1] == Approx(16.0).epsilon(0.25));
  CHECK(errors[1] / errors[2] == Approx(16.0).epsilon(0.25));
}

TEST_CASE("Ideal tiles classify as the digital network does", "[nn][cross]") {
  const Network network = trained(Activation::relu);
  const auto& images = training_images();
  const EvaluationReport on_computer = evaluate_digital(network, images);
  CHECK(*on_computer.accuracy > 0.9);
  const TileSystem system = make_tile_system(network, small_tile(), images.inputs.topRows(100), kIdeal);
  const EvaluationReport on_tiles = evaluate_on_tiles(system, images);
  CHECK(on_tiles.status == EvaluationStatus::ok);
  CHECK(std::abs(on_tiles.correct[0] - on_computer.correct[0]) <= 4);
  CHECK(on_tiles.clipped_inputs[0] == 0.0);
  CHECK(on_tiles.clipped_charges == std::vector<double>{0.0, 0.0, 0.0});
  CHECK_FALSE(on_tiles.draw_error.has_value());
}

TEST_CASE("Every form gives the ideal logits when there is no wire resistance", "[nn][identity]") {
  const Network network = trained(Activation::tanh);
  const MatrixF images = training_images().inputs.topRows(20);
  data::TileSpec tile = small_tile();
  tile.r_col_ohm = 0.0;
  const Matrix ideal = tile_logits(make_tile_system(network, tile, images, kIdeal), images);
  const Matrix ladder =
      tile_logits(make_tile_system(network, tile, images, with_form(tilemodel::Form::ladder)), images);
  // Charges agree to rounding; a double's epsilon is far from a DAC step, so no later code differs.
  CHECK((ladder - ideal).cwiseAbs().maxCoeff() < 1e-11 * ideal.cwiseAbs().maxCoeff());
  tile.r_col_ohm = 20.0;
  const Matrix wires =
      tile_logits(make_tile_system(network, tile, images, with_form(tilemodel::Form::ladder)), images);
  CHECK((wires - ideal).cwiseAbs().maxCoeff() > 1e-3 * ideal.cwiseAbs().maxCoeff());
}

TEST_CASE("The codes handed out are those the tiles see", "[nn][cross]") {
  const Network network = trained(Activation::sigmoid);
  const MatrixF images = training_images().inputs.topRows(15);
  const TileSystem system = make_tile_system(network, small_tile(), training_images().inputs, kIdeal);
  const std::vector<Matrix> a = digital(network, images);
  for (std::size_t l = 0; l < network.depth(); ++l) {
    // Codes and conductances of every tile give the layer's pre-activations up to the DAC's rounding.
    const MappedLayer& layer = system.arrays.layers[l];
    const double scale = system.calibration[l].input_scale;
    Matrix product = Matrix::Zero(15, network.layers[l].weights.cols());
    Matrix bound = Matrix::Zero(1, product.cols());
    for (Index r = 0; r < layer.tile_rows(); ++r) {
      const IntMatrix codes = tile_inputs(system, static_cast<Index>(l), r, images);
      for (Index c = 0; c < layer.tile_cols(); ++c) {
        const MappedTile& tile = layer.tile(r, c);
        REQUIRE(codes.cols() == tile.spec.rows);
        product.middleCols(tile.col_begin, tile.spec.cols) +=
            scale / 127.0 * codes.cast<double>() * weights_of(tile);
        bound.middleCols(tile.col_begin, tile.spec.cols) +=
            0.5 * scale / 127.0 * weights_of(tile).cwiseAbs().colwise().sum();
      }
    }
    const Matrix x = a[l].cwiseMin(scale);  // inputs beyond the scale are clipped
    const Matrix exact = x * network.layers[l].weights.cast<double>();
    for (Index j = 0; j < product.cols(); ++j)
      CHECK((product.col(j) - exact.col(j)).cwiseAbs().maxCoeff() <= bound(0, j) * (1.0 + 1e-4));
  }
}

TEST_CASE("The share of clipped inputs is what the quantile leaves", "[nn][property]") {
  const Network network = trained(Activation::relu);
  CalibrationOptions calibration;
  calibration.input_quantile = 0.95;
  const TileSystem system =
      make_tile_system(network, small_tile(), training_images().inputs, kIdeal, calibration);
  const EvaluationReport report = evaluate_on_tiles(system, training_images());
  CHECK(report.clipped_inputs[1] == Approx(0.05).epsilon(0.1));
}

TEST_CASE("The ADC costs half a step per bit line at most, and a finer one less", "[nn][property]") {
  const Network network = trained(Activation::tanh);  // signed inputs: signed charges
  const MatrixF images = training_images().inputs.topRows(50);
  const Network one_layer{network.hidden, {network.layers[0]}};
  for (const int bits : {6, 10}) {
    data::TileSpec tile = small_tile();
    const Matrix without = tile_logits(make_tile_system(one_layer, tile, images, kIdeal), images);
    tile.adc.enabled = true;
    tile.adc.bits = bits;
    CalibrationOptions calibration;
    calibration.adc_quantile = 1.0;
    const TileSystem system = make_tile_system(one_layer, tile, images, kIdeal, calibration);
    CHECK_FALSE(system.calibration[0].is_signed);
    const Matrix with = tile_logits(system, images);
    // Half an LSB on each of the two bit lines, for every tile row.
    const double lsb = system.calibration[0].full_scale_coulomb / ((1 << bits) - 1);
    Matrix bound = Matrix::Zero(1, with.cols());
    for (const MappedTile& t : system.arrays.layers[0].tiles)
      bound.middleCols(t.col_begin, t.spec.cols).array() += lsb * t.weight_per_siemens / (0.2 * 1e-9) / 127.0;
    for (Index j = 0; j < with.cols(); ++j)
      CHECK((with - without).col(j).cwiseAbs().maxCoeff() <= bound(0, j) * (1.0 + 1e-9));
    CHECK((with - without).cwiseAbs().maxCoeff() > 0.1 * bound.maxCoeff());
  }
}

TEST_CASE("Layers with inputs of both signs get a signed ADC, others do not", "[nn][property]") {
  data::TileSpec tile = small_tile();
  tile.adc.enabled = true;
  const MatrixF& images = training_images().inputs;
  const Network network = trained(Activation::tanh);
  const TileSystem system = make_tile_system(network, tile, images, kIdeal);
  CHECK_FALSE(system.calibration[0].is_signed);
  CHECK(system.calibration[1].is_signed);
  const MatrixF both_signs = images.array() - 0.5F;
  CHECK(make_tile_system(network, tile, both_signs, kIdeal).calibration[0].is_signed);
  tile.adc.full_scale_coulomb = 3e-12;
  for (const auto& layer : make_tile_system(network, tile, images, kIdeal).calibration)
    CHECK(layer.full_scale_coulomb == 3e-12);
}

TEST_CASE("Accuracy on tiles is the same for any number of threads and any batch", "[nn][identity]") {
  const Network network = trained(Activation::relu);
  data::TileSpec tile = small_tile();
  tile.adc.enabled = true;
  tile.adc.gain_spread = 0.02;
  const TileSystem system =
      make_tile_system(network, tile, training_images().inputs, with_form(tilemodel::Form::ladder));
  EvaluationOptions options;
  options.devices = DeviceOptions{};
  options.devices->draws = 3;
  options.devices->time_s = 86400.0;
  options.threads = 1;
  options.batch = 400;
  const EvaluationReport one = evaluate_on_tiles(system, training_images(), options);
  options.threads = 3;
  options.batch = 33;
  const EvaluationReport three = evaluate_on_tiles(system, training_images(), options);
  CHECK(one.correct == three.correct);
  CHECK(one.clipped_inputs == three.clipped_inputs);
  CHECK(one.clipped_charges == three.clipped_charges);
  options.seed = 2;
  CHECK(evaluate_on_tiles(system, training_images(), options).correct != one.correct);
}

TEST_CASE("Draws are independent chips, and their scatter gives the standard error", "[nn][property]") {
  const Network network = trained(Activation::relu);
  const TileSystem system = make_tile_system(network, small_tile(), training_images().inputs, kIdeal);
  DeviceOptions devices;
  devices.draws = 4;
  const MappedNetwork first = draw_arrays(system.arrays, devices, 1, 0);
  const MappedNetwork second = draw_arrays(system.arrays, devices, 1, 1);
  CHECK(first.layers[0].tiles[0].g_plus_siemens != second.layers[0].tiles[0].g_plus_siemens);
  CHECK(first.layers[0].tiles[0].g_plus_siemens ==
        draw_arrays(system.arrays, devices, 1, 0).layers[0].tiles[0].g_plus_siemens);
  std::vector<std::uint32_t> numbers;
  for (const MappedNetwork* arrays : {&first, &second})
    for (const auto& layer : arrays->layers)
      for (const auto& tile : layer.tiles) numbers.push_back(tile.number);
  for (std::size_t k = 0; k < numbers.size(); ++k) CHECK(numbers[k] == k);

  EvaluationOptions options;
  options.devices = devices;
  const EvaluationReport report = evaluate_on_tiles(system, training_images(), options);
  REQUIRE(report.correct.size() == 4);
  const std::vector<double> a = report.accuracies();
  const double mean = (a[0] + a[1] + a[2] + a[3]) / 4.0;
  double squares = 0.0;
  for (const double x : a) squares += (x - mean) * (x - mean);
  CHECK(*report.accuracy == Approx(mean).epsilon(1e-14));
  CHECK(*report.draw_error == Approx(std::sqrt(squares / 12.0)).epsilon(1e-12));
  CHECK(*report.standard_error == Approx(std::hypot(*report.draw_error, *report.image_error)).epsilon(1e-12));
}

TEST_CASE("Outputs that are not finite are a status, with and without ADC", "[nn][property]") {
  const Network network = trained(Activation::relu);
  for (const bool adc : {false, true}) {
    data::TileSpec tile = small_tile();
    tile.adc.enabled = adc;
    TileSystem system = make_tile_system(network, tile, training_images().inputs, kIdeal);
    // Charges that overflow stand for a model outside its range.
    system.model = [](const data::TileSpec& spec, const Matrix& g) {
      tilemodel::ModelSpec model;
      model.form = tilemodel::Form::ideal;
      data::TileSpec loud = spec;
      loud.v_read_volt = 100.0;
      loud.pulse.t_lsb_s = 1.0;
      return tilemodel::TileModel(model, loud, 1e307 * (g / 25e-6));
    };
    const EvaluationReport report = evaluate_on_tiles(system, training_images());
    CHECK(report.status == EvaluationStatus::diverged);
    CHECK_FALSE(report.accuracy.has_value());
    CHECK_FALSE(report.standard_error.has_value());
    CHECK_THAT(report.reason, Contains("400 of 400") && Contains("draw 1"));
  }
}

TEST_CASE("A layer that nothing drives is calibrated to something usable", "[nn][property]") {
  Network network = make_network<float>({{64, 5, 10}, Activation::relu}, 1);
  network.layers[0].bias.setConstant(-1e3F);
  data::TileSpec tile = small_tile();
  tile.adc.enabled = true;
  const TileSystem system = make_tile_system(network, tile, training_images().inputs, kIdeal);
  CHECK(system.calibration[1].input_scale == 1.0);
  CHECK(system.calibration[1].full_scale_coulomb == Approx(0.2 * 25e-6 * 127e-9));
  CHECK(evaluate_on_tiles(system, training_images()).status == EvaluationStatus::ok);
}

TEST_CASE("Bad input of the evaluation is refused by name", "[nn][error]") {
  const Network network = make_network<float>({{64, 5, 10}, Activation::relu}, 1);
  const MatrixF& images = training_images().inputs;
  CHECK_THROWS_WITH(make_tile_system(network, small_tile(), images, {}), Contains("factory"));
  CHECK_THROWS_WITH(make_tile_system(network, small_tile(), MatrixF(0, 64), kIdeal),
                    Contains("calibration images"));
  CHECK_THROWS_WITH(make_tile_system(network, small_tile(), MatrixF::Zero(3, 60), kIdeal), Contains("64"));
  CalibrationOptions calibration;
  calibration.input_quantile = 1.2;
  CHECK_THROWS_WITH(make_tile_system(network, small_tile(), images, kIdeal, calibration),
                    Contains("input_quantile"));

  const TileSystem system = make_tile_system(network, small_tile(), images, kIdeal);
  CHECK_THROWS_WITH(tile_inputs(system, 2, 0, images), Contains("layer = 2"));
  CHECK_THROWS_WITH(tile_inputs(system, 1, 1, images), Contains("tile_row"));
  auto labelled = training_images();
  labelled.labels.pop_back();
  CHECK_THROWS_WITH(evaluate_on_tiles(system, labelled), Contains("labels (count)"));
  EvaluationOptions options;
  options.devices = DeviceOptions{};
  options.devices->draws = 0;
  CHECK_THROWS_WITH(evaluate_on_tiles(system, training_images(), options), Contains("devices.draws"));
  options.devices->draws = 1;
  options.devices->model = device::pcm_default(10e-6);
  CHECK_THROWS_WITH(evaluate_on_tiles(system, training_images(), options),
                    Contains("g_max_siemens") && Contains("10"));
  TiledNetwork tiled(system, system.arrays, 1);
  TileWorkspace work;
  Matrix out;
  CHECK_THROWS_WITH(tiled.logits(MatrixF::Zero(3, 63), work, out), Contains("63"));
  options = {};
  options.progress = [](double, std::string_view) { return false; };
  try {
    evaluate_on_tiles(system, training_images(), options);
    FAIL("the callback asked to stop");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
}
