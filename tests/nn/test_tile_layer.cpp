#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"
#include "nn/tile_layer.hpp"
#include "nn/tile_product.hpp"
#include "nn/train.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

data::TileSpec training_tile(Index rows, Index cols, double r_col_ohm) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  tile.r_col_ohm = r_col_ohm;
  return tile;
}

struct ProductCase {
  data::TileSpec tile;
  MatrixF weights, codes;
  double siemens_per_weight = 0.0;
  ArrayPair by_charge;
};

ProductCase product_case(Index rows, Index cols, Index vectors, bool is_signed) {
  ProductCase c;
  c.tile = training_tile(rows, cols, 20.0);
  c.weights = random_normal_matrix({3, Stream::test, 1}, rows, cols).cast<float>();
  c.siemens_per_weight =
      (c.tile.g_max_siemens - c.tile.g_min_siemens) / static_cast<double>(c.weights.cwiseAbs().maxCoeff());
  const Matrix u = random_uniform_matrix({3, Stream::test, 2}, vectors, rows);
  const Matrix s = random_uniform_matrix({3, Stream::test, 3}, vectors, rows);
  c.codes = MatrixF::Zero(vectors, rows);
  for (Index v = 1; v < vectors; ++v)  // vector 0 has no pulse at all
    for (Index i = 0; i < rows; ++i)
      if (u(v, i) < 0.4)
        c.codes(v, i) = std::round(static_cast<float>(317.0 * u(v, i))) * (is_signed && s(v, i) < 0.5 ? -1.0F : 1.0F);
  c.by_charge.plus = random_normal_matrix({3, Stream::test, 4}, vectors, cols).cast<float>();
  c.by_charge.minus = random_normal_matrix({3, Stream::test, 5}, vectors, cols).cast<float>();
  return c;
}

// Both arrays side by side: with ideal supply columns do not see each other.
struct SideBySide {
  Matrix charge;
  tilemodel::Gradient gradient;
};
SideBySide side_by_side(const ProductCase& c, const tilemodel::ModelSpec& model) {
  const Index cols = c.tile.cols;
  data::TileSpec tile = c.tile;
  tile.cols = 2 * cols;
  const Matrix g = c.siemens_per_weight * c.weights.cast<double>();
  Matrix both(tile.rows, 2 * cols), by(c.codes.rows(), 2 * cols);
  both << g.cwiseMax(0.0), (-g).cwiseMax(0.0);
  both.array() += tile.g_min_siemens;
  by << c.by_charge.plus.cast<double>(), c.by_charge.minus.cast<double>();
  const double unit = tile.v_read_volt * tile.pulse.t_lsb_s;
  const tilemodel::TileModel tiles(model, tile, both);
  tilemodel::Workspace work;
  SideBySide out;
  tiles.charge(c.codes.cast<int>(), out.charge, work);
  out.charge /= unit;
  tiles.gradient(c.codes.cast<double>(), by / unit, out.gradient, work);
  return out;
}

double largest_difference(const Matrix& a, const Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() / std::max(a.cwiseAbs().maxCoeff(), 1e-300);
}

// The only layer of a network, and a number it makes of its outputs.
struct OneLayer {
  TrainOptions options;
  BasicLayer<float> parameters, momentum;
  LayerMemory memory;
  MatrixF x, pull;  // loss = sum of pull * y

  LayerSlot slot(std::size_t number) { return {number, parameters, momentum, memory, options, 1}; }
  static Pass pass() { return {Pass::Purpose::training, 0, 0.0, 0.0, 1}; }
  double loss(const LayerKind& kind, std::size_t number = 1) {
    const auto layer = kind.make(slot(number));
    MatrixF y(x.rows(), parameters.weights.cols());
    layer->forward(pass(), x, y);
    return y.cast<double>().cwiseProduct(pull.cast<double>()).sum();
  }
};

OneLayer one_layer(Index inputs, Index outputs, Index samples) {
  OneLayer one;
  one.parameters.weights = random_normal_matrix({7, Stream::test, 1}, inputs, outputs).cast<float>();
  // The largest weight of every tile, never touched: the scales stay.
  for (const Index row : {0, 6})
    for (const Index col : {0, 4, 7})
      if (row < inputs && col < outputs) one.parameters.weights(row, col) = 5.0F;
  one.parameters.bias = RowVector<float>::Constant(outputs, 0.25F);
  one.momentum = one.parameters;
  one.momentum.weights.setZero();
  one.momentum.bias.setZero();
  one.x = random_uniform_matrix({7, Stream::test, 2}, samples, inputs).cast<float>();
  one.pull = random_normal_matrix({7, Stream::test, 3}, samples, outputs).cast<float>();
  one.options.momentum = 0.0;
  one.options.weight_decay = 0.0;
  // Gains and scales as after some training, so that no first batch fits them.
  one.memory.matrix("tile_gain", 2, outputs).setConstant(1.5F);
  one.memory.matrix("tile_input_scale", 1, 1).setConstant(1.25F);
  return one;
}

TrainOptions quick_training() {
  TrainOptions options;
  options.epochs = 4;
  options.batch = 40;
  options.threads = 1;
  options.max_shift_pixels = 0;
  options.learning_rate = 0.05;
  return options;
}

ModelFactory with_model(const tilemodel::ModelSpec& spec) {
  return [spec](const data::TileSpec& tile, const Matrix& g) { return tilemodel::TileModel(spec, tile, g); };
}
tilemodel::ModelSpec model_of(tilemodel::Form form) {
  tilemodel::ModelSpec spec;
  spec.form = form;
  return spec;
}

}  // namespace

TEST_CASE("the fast product and its gradient are the tile model's, both arrays side by side", "[cross]") {
  struct Case {
    data::SenseEnd sense;
    bool is_signed;
    int bins;
    int block_rows;
  };
  const Case given = GENERATE(Case{data::SenseEnd::south, false, 1, 32}, Case{data::SenseEnd::alternate, true, 1, 8},
                              Case{data::SenseEnd::north, false, 2, 7}, Case{data::SenseEnd::alternate, true, 3, 64});
  ProductCase c = product_case(43, 18, 21, given.is_signed);
  c.tile.sense = given.sense;
  tilemodel::ModelSpec model = training_model();
  model.block_rows = given.block_rows;
  model.closure_bins = given.bins;
  REQUIRE(has_closure_product(c.tile, model));
  const SideBySide expected = side_by_side(c, model);
  const auto product = make_closure_product(c.tile, model, true);
  product->program(c.weights, c.siemens_per_weight, 1.0, 1);
  ArrayPair charge;
  product->charges(c.codes, charge, 1);
  const Index cols = c.tile.cols;
  CHECK(largest_difference(expected.charge.leftCols(cols), charge.plus.cast<double>()) < 2e-6);
  CHECK(largest_difference(expected.charge.rightCols(cols), charge.minus.cast<double>()) < 2e-6);

  MatrixF by_weight(c.tile.rows, cols), by_code;
  product->gradient(c.by_charge, by_weight, &by_code, 1);
  Matrix by_weight_expected(c.tile.rows, cols), by_code_expected = expected.gradient.codes;
  for (Index i = 0; i < c.tile.rows; ++i)
    for (Index j = 0; j < cols; ++j)
      by_weight_expected(i, j) = c.siemens_per_weight * (c.weights(i, j) > 0.0F
                                                             ? expected.gradient.g_siemens(i, j)
                                                             : -expected.gradient.g_siemens(i, cols + j));
  CHECK(largest_difference(by_weight_expected, by_weight.cast<double>()) < 4e-6);
  // Where inputs have one sign, a pulse of length 0 can only grow; the model takes the mean of both signs.
  if (!given.is_signed)
    by_code_expected = (c.codes.array() == 0.0F).select(by_code.cast<double>(), by_code_expected);
  CHECK(largest_difference(by_code_expected, by_code.cast<double>()) < 4e-6);
}

TEST_CASE("the fast product is the same, bit for bit, for any number of threads", "[property]") {
  const ProductCase c = product_case(70, 33, 50, true);
  std::vector<MatrixF> results;
  for (const int threads : {1, 3}) {
    const auto product = make_closure_product(c.tile, training_model(), true);
    product->program(c.weights, c.siemens_per_weight, 1.0, threads);
    ArrayPair charge;
    MatrixF by_weight(c.tile.rows, c.tile.cols), by_code;
    product->charges(c.codes, charge, threads);
    product->gradient(c.by_charge, by_weight, &by_code, threads);
    for (const MatrixF& m : {charge.plus, charge.minus, by_weight, by_code}) results.push_back(m);
  }
  for (std::size_t k = 0; k < 4; ++k) CHECK((results[k].array() == results[k + 4].array()).all());
}

TEST_CASE("the layer's gradient is that of its own outputs", "[analytic]") {
  // Exact ladder through the general product; arrays of 6 x 4, so that the layer has six of them.
  OneLayer one = one_layer(12, 10, 5);
  TileLayerOptions options;
  options.tile = training_tile(6, 4, 1000.0);
  options.tile.pulse.dac_bits = 12;
  options.model = model_of(tilemodel::Form::ladder);
  options.calibration_steps = 1000000000;
  const LayerKindPtr kind = tile_kind(options);
  const auto layer = kind->make(one.slot(1));
  MatrixF y(5, 10), input_delta(5, 12);
  Pass pass = OneLayer::pass();
  pass.step = 1;  // no calibration
  pass.learning_rate = 0.0625;
  layer->forward(pass, one.x, y);
  layer->backward(pass, one.x, one.pull, input_delta);
  const MatrixF before = one.parameters.weights;
  const MatrixF gain_before = one.memory.matrix("tile_gain", 2, 10);
  layer->update(pass, one.x, one.pull);
  const MatrixF by_weight = 16.0F * (before - one.parameters.weights);
  const MatrixF by_gain = 16.0F * (gain_before - one.memory.matrix("tile_gain", 2, 10));
  const auto loss = [&] {
    const auto again = kind->make(one.slot(1));
    again->forward(pass, one.x, y);
    return y.cast<double>().cwiseProduct(one.pull.cast<double>()).sum();
  };
  one.memory.matrix("tile_gain", 2, 10) = gain_before;
  one.parameters.weights = before;
  one.parameters.bias.setConstant(0.25F);
  const double scale = by_weight.cwiseAbs().maxCoeff();
  double ideal_is_off = 0.0;
  const MatrixF ideal = 1.5F * one.x.transpose() * one.pull;
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 10; ++j) {
      if (std::abs(before(i, j)) < 0.1F || before(i, j) == 5.0F) continue;
      const float h = 0.05F;
      one.parameters.weights(i, j) = before(i, j) + h;
      const double up = loss();
      one.parameters.weights(i, j) = before(i, j) - h;
      const double down = loss();
      one.parameters.weights(i, j) = before(i, j);
      const double numeric = (up - down) / (2.0 * static_cast<double>(h));
      CHECK(static_cast<double>(by_weight(i, j)) == Approx(numeric).margin(1e-3 * scale));
      ideal_is_off = std::max(ideal_is_off, std::abs(static_cast<double>(ideal(i, j)) - numeric) / scale);
    }
  CHECK(ideal_is_off > 0.05);
  MatrixF& gain = one.memory.matrix("tile_gain", 2, 10);
  for (Index j = 0; j < 10; ++j) {
    gain(1, j) += 0.25F;
    const double up = loss();
    gain(1, j) -= 0.5F;
    const double down = loss();
    gain(1, j) += 0.25F;
    CHECK(static_cast<double>(by_gain(1, j)) == Approx((up - down) / 0.5).margin(1e-3));
  }
  // By the inputs: a whole number of DAC codes up and down (rounding is passed straight through).
  const float step = 1.25F / 2047.0F;
  for (Index i = 0; i < 12; ++i) {
    const float x = one.x(2, i);
    one.x(2, i) = x + 40.0F * step;
    const double up = loss();
    one.x(2, i) = x - 40.0F * step;
    const double down = loss();
    one.x(2, i) = x;
    const double numeric = (up - down) / (80.0 * static_cast<double>(step));
    CHECK(static_cast<double>(input_delta(2, i)) == Approx(numeric).margin(0.05 * input_delta.cwiseAbs().maxCoeff()));
  }
}

TEST_CASE("without wires a tile layer is the digital layer on rounded inputs", "[analytic]") {
  OneLayer one = one_layer(12, 10, 5);
  one.memory = {};
  TileLayerOptions options;
  options.tile = training_tile(12, 10, 0.0);
  const LayerKindPtr kind = tile_kind(options);
  const auto layer = kind->make(one.slot(0));
  MatrixF y(5, 10);
  layer->forward(OneLayer::pass(), one.x, y);
  const MatrixF rounded = (one.x * 127.0F).unaryExpr([](float v) { return std::round(v); }) / 127.0F;
  MatrixF expected = rounded * one.parameters.weights;
  expected.rowwise() += one.parameters.bias;
  CHECK((y - expected).cwiseAbs().maxCoeff() < 1e-5F);
  Pass pass = OneLayer::pass();
  pass.learning_rate = 0.5;
  const MatrixF before = one.parameters.weights;
  layer->update(pass, one.x, one.pull);
  CHECK((before - one.parameters.weights - 0.5F * rounded.transpose() * one.pull).cwiseAbs().maxCoeff() < 1e-5F);
}

TEST_CASE("an input that is not finite makes its outputs NaN, not 0", "[property]") {
  OneLayer one = one_layer(12, 10, 3);
  one.x(1, 4) = std::numeric_limits<float>::infinity();
  TileLayerOptions options;
  options.tile = training_tile(12, 10, 5.0);
  one.memory = {};
  const auto layer = tile_kind(options)->make(one.slot(0));
  MatrixF y(3, 10);
  layer->forward(OneLayer::pass(), one.x, y);
  CHECK(y.row(1).array().isNaN().all());
  CHECK(y.row(0).allFinite());
  CHECK(y.row(2).allFinite());
}

TEST_CASE("training through the tiles wins back what the wires take, on the exact ladder", "[property]") {
  const data::LabelledImages images = samples::images(400), unseen = samples::images(1000);
  TrainOptions options = quick_training();
  options.epochs = 12;
  TrainState digital = start_training({{64, 24, 10}}, options);
  train(digital, images, options);
  TileLayerOptions tiles;
  tiles.tile = training_tile(32, 24, 2500.0);
  tiles.tile.adc.enabled = true;
  tiles.wire_ramp_epochs = 2.0;
  options.kinds = {tile_kind(tiles)};
  TrainState state = start_training({{64, 24, 10}}, options);
  state.network = digital.network;
  REQUIRE(train(state, images, options).status == TrainStatus::finished);

  const ModelFactory ladder = with_model(model_of(tilemodel::Form::ladder));
  EvaluationOptions evaluation;
  evaluation.threads = 1;
  const TileSystem direct = make_tile_system(digital.network, tiles.tile, images.inputs, ladder);
  std::vector<LayerCalibration> known;
  for (const LayerMemory& memory : state.memory) known.push_back(trained_calibration(memory));
  const TileSystem trained = make_tile_system(state.network, tiles.tile, images.inputs, ladder, known);
  const double before = *evaluate_on_tiles(direct, unseen, evaluation).accuracy;
  const double after = *evaluate_on_tiles(trained, unseen, evaluation).accuracy;
  const double without = *evaluate_digital(digital.network, unseen, evaluation).accuracy;
  CHECK(before < without - 0.1);
  CHECK(after > without - 0.02);
}

TEST_CASE("a layer in training computes what its tiles compute in an evaluation", "[cross]") {
  const data::LabelledImages images = samples::images(200);
  TrainOptions options = quick_training();
  options.epochs = 1;
  TileLayerOptions tiles;
  tiles.tile = training_tile(32, 9, 300.0);
  tiles.model = model_of(tilemodel::Form::ladder);
  options.kinds = {tile_kind(tiles)};
  TrainState state = start_training({{64, 24, 10}}, options);
  train(state, images, options);
  std::vector<LayerCalibration> known;
  for (const LayerMemory& memory : state.memory) known.push_back(trained_calibration(memory));
  const TileSystem system =
      make_tile_system(state.network, tiles.tile, images.inputs, with_model(tiles.model), known);
  TileWorkspace work;
  Matrix logits;
  TiledNetwork(system, system.arrays, 1, 1).logits(images.inputs, work, logits);

  MatrixF a = images.inputs;
  const auto layers = make_layers(state, options);
  for (std::size_t l = 0; l < 2; ++l) {
    MatrixF y(a.rows(), state.network.layers[l].bias.cols());
    Pass pass;
    pass.purpose = Pass::Purpose::evaluation;
    layers[l]->forward(pass, a, y);
    if (l == 0) apply_activation<float>(Activation::relu, y);
    a = y;
  }
  CHECK((a.cast<double>() - logits).cwiseAbs().maxCoeff() < 1e-4 * logits.cwiseAbs().maxCoeff());
}

TEST_CASE("a training through tiles goes on with the same bits, for any threads", "[property]") {
  const data::LabelledImages images = samples::images(120);
  TileLayerOptions tiles;
  tiles.tile = training_tile(40, 24, 100.0);
  tiles.tile.adc.enabled = true;
  tiles.wire_ramp_epochs = 1.5;
  tiles.clip_sigma = 2.5;
  TrainOptions options = quick_training();
  options.kinds = {tile_kind(tiles)};
  TrainState whole = start_training({{64, 24, 10}}, options);
  train(whole, images, options);
  options.threads = 3;
  TrainState parts = start_training({{64, 24, 10}}, options), copy;
  TrainHooks hooks;
  hooks.after_epoch = [&](const TrainState& state) {
    if (state.epochs_done == 2) copy = state;
  };
  train(parts, images, options, hooks);
  train(copy, images, options);
  for (const TrainState* other : {&parts, &copy})
    for (std::size_t l = 0; l < 2; ++l) {
      CHECK((whole.network.layers[l].weights.array() == other->network.layers[l].weights.array()).all());
      CHECK((whole.memory[l].all().at("tile_gain").array() == other->memory[l].all().at("tile_gain").array()).all());
    }
}

TEST_CASE("gains fitted without wires are 1, and with wires undo their mean loss", "[property]") {
  TrainOptions options = quick_training();
  const data::LabelledImages images = samples::images(200);
  TrainState state = start_training({{64, 24, 10}}, options);
  CalibrationOptions calibration;
  calibration.fit_gain = true;
  const auto gains = [&](double r_col_ohm) {
    return make_tile_system(state.network, training_tile(32, 24, r_col_ohm), images.inputs,
                            with_model(model_of(tilemodel::Form::ladder)), calibration)
        .calibration[0]
        .gain;
  };
  const Matrix without = gains(0.0), with = gains(100.0);
  CHECK(without.rows() == 2);
  CHECK((without.array() - 1.0).abs().maxCoeff() < 1e-9);
  CHECK(with.mean() > 1.05);
}

TEST_CASE("tile layers refuse what they cannot train", "[error]") {
  TileLayerOptions options;
  options.tile = training_tile(10, 10, 1.0);
  options.adc_quantile = 0.2;
  CHECK_THROWS_WITH(tile_kind(options), Contains("adc_quantile") && Contains("0.5"));
  options.adc_quantile = 0.999;
  options.tile.weight_layout = data::WeightLayout::single;
  CHECK_THROWS_WITH(tile_kind(options), Contains("pair-columns"));
  options.tile.weight_layout = data::WeightLayout::pair_columns;
  options.model.correction.coefficients = Vector::Zero(tilemodel::kFeatureCount);
  CHECK_THROWS_WITH(tile_kind(options), Contains("correction"));
  const Network network = make_network<float>({{64, 24, 10}}, 1);
  LayerCalibration known;
  known.gain = Matrix::Ones(3, 24);
  CHECK_THROWS_WITH(make_tile_system(network, training_tile(32, 24, 1.0), samples::images(10).inputs,
                                     with_model(model_of(tilemodel::Form::ideal)), {known, {}}),
                    Contains("gains") && Contains("3 x 24"));
}
