#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"
#include "nn/compensation.hpp"
#include "nn/hardware_aware_layer.hpp"
#include "nn/train.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

struct NoisyLayer {
  TrainOptions options;
  BasicLayer<float> parameters, momentum;
  LayerMemory memory;
  LayerSlot slot(std::size_t number) { return {number, parameters, momentum, memory, options, 1}; }
};

NoisyLayer noisy_layer(Index inputs, Index outputs) {
  NoisyLayer one;
  one.parameters.weights = (0.3 * random_normal_matrix({11, Stream::test, 1}, inputs, outputs)).cast<float>();
  one.parameters.bias = RowVector<float>::Constant(outputs, 0.5F);
  one.momentum = one.parameters;
  one.momentum.weights.setZero();
  one.momentum.bias.setZero();
  one.options.momentum = 0.0;
  one.options.weight_decay = 0.0;
  return one;
}

Pass training_pass(std::uint64_t step, double rate = 0.0) {
  return {Pass::Purpose::training, step, 10.0, rate, 1};
}

// The weights a layer shows: its outputs for unit inputs.
MatrixF shown_weights(Layer& layer, const NoisyLayer& one, const Pass& pass) {
  const Index inputs = one.parameters.weights.rows();
  MatrixF y(inputs, one.parameters.weights.cols());
  layer.forward(pass, MatrixF::Identity(inputs, inputs), y);
  y.rowwise() -= one.parameters.bias;
  return y;
}

// Where a sample standard deviation of n normals lies, in relative terms.
double five_errors(Index n) { return 5.0 / std::sqrt(2.0 * static_cast<double>(n)); }

}  // namespace

TEST_CASE("Gaussian weight noise has its size, is new in every step and off in an evaluation", "[statistics]") {
  NoisyLayer one = noisy_layer(120, 70);
  HardwareAwareOptions options;
  options.weight_noise = 0.07;
  options.ramp_epochs = 20.0;  // half way at 10 epochs
  const auto layer = hardware_aware_kind(options)->make(one.slot(0));
  const MatrixF& clean = one.parameters.weights;
  const MatrixF first = shown_weights(*layer, one, training_pass(3)) - clean;
  const MatrixF second = shown_weights(*layer, one, training_pass(4)) - clean;
  const double expected = 0.5 * 0.07 * static_cast<double>(clean.cwiseAbs().maxCoeff());
  const Index n = clean.size();
  CHECK(std::sqrt(first.squaredNorm() / static_cast<float>(n)) == Approx(expected).epsilon(five_errors(n)));
  CHECK(std::abs(static_cast<double>(first.mean())) < 5.0 * expected / std::sqrt(static_cast<double>(n)));
  const double correlation = static_cast<double>(first.cwiseProduct(second).mean()) / (expected * expected);
  CHECK(std::abs(correlation) < 5.0 / std::sqrt(static_cast<double>(n)));
  Pass evaluation = training_pass(3);
  evaluation.purpose = Pass::Purpose::evaluation;
  CHECK((shown_weights(*layer, one, evaluation) - clean).cwiseAbs().maxCoeff() < 1e-6F);
}

TEST_CASE("programming-shaped noise has the deviation of programming and reading both devices", "[statistics]") {
  NoisyLayer one = noisy_layer(200, 64);
  const float value = 0.2F;
  one.parameters.weights.setConstant(value);
  one.parameters.weights.row(0).setConstant(1.0F);  // the largest
  HardwareAwareOptions options;
  options.noise = WeightNoise::programming;
  const auto layer = hardware_aware_kind(options)->make(one.slot(0));
  const MatrixF error = shown_weights(*layer, one, training_pass(0)) - one.parameters.weights;
  // The same by the device module itself: arrays programmed and read at t0.
  const double range = options.devices.g_max_siemens - options.g_min_siemens;
  const auto drawn = [&](double g, std::uint32_t array) {
    const Matrix target = Matrix::Constant(200, 64, g);
    return Matrix(device::conductance_at(options.devices, device::program(options.devices, target, 5, array),
                                         options.devices.drift.t0_s, 5, array, 0) -
                  target);
  };
  const Matrix pair = (drawn(options.g_min_siemens + static_cast<double>(value) * range, 0) -
                       drawn(options.g_min_siemens, 1)) / range;
  const Index n = 199 * 64;
  const double ours = std::sqrt(static_cast<double>(error.bottomRows(199).squaredNorm()) / static_cast<double>(n));
  // Idle devices are clipped at 0, which narrows the device module's own spread.
  const double devices = std::sqrt((pair.array() - pair.mean()).square().mean());
  CHECK(ours < 1.02 * std::hypot(devices, 0.3e-6 / range));
  CHECK(ours > 0.98 * devices);
}

TEST_CASE("forward and backward see the same noisy weights and the clean ones are updated", "[analytic]") {
  NoisyLayer one = noisy_layer(40, 24);
  HardwareAwareOptions options;
  options.weight_noise = 0.2;
  const auto layer = hardware_aware_kind(options)->make(one.slot(1));
  const MatrixF noisy = shown_weights(*layer, one, training_pass(7));
  const MatrixF x = random_normal_matrix({12, Stream::test, 1}, 9, 40).cast<float>();
  const MatrixF delta = random_normal_matrix({12, Stream::test, 2}, 9, 24).cast<float>();
  MatrixF y(9, 24), back(9, 40);
  layer->forward(training_pass(7, 0.1), x, y);
  layer->backward(training_pass(7, 0.1), x, delta, back);
  CHECK((back - delta * noisy.transpose()).cwiseAbs().maxCoeff() < 1e-4F);
  const MatrixF before = one.parameters.weights;
  layer->update(training_pass(7, 0.1), x, delta);
  CHECK((one.parameters.weights - (before - 0.1F * x.transpose() * delta)).cwiseAbs().maxCoeff() < 1e-4F);
}

TEST_CASE("drop-connect leaves its share of the weights out and does not train them", "[statistics]") {
  NoisyLayer one = noisy_layer(100, 80);
  HardwareAwareOptions options;
  options.noise = WeightNoise::none;
  options.drop_connect = 0.3;
  const auto layer = hardware_aware_kind(options)->make(one.slot(0));
  const MatrixF shown = shown_weights(*layer, one, training_pass(2));
  const double share = static_cast<double>((shown.array() == 0.0F).count()) / 8000.0;
  CHECK(std::abs(share - 0.3) < 5.0 * std::sqrt(0.3 * 0.7 / 8000.0));
  const MatrixF before = one.parameters.weights;
  layer->update(training_pass(2, 0.5), MatrixF::Identity(100, 100), MatrixF::Ones(100, 80));
  const auto moved = (one.parameters.weights - before).array() != 0.0F;
  CHECK((moved == (shown.array() != 0.0F)).all());
}

TEST_CASE("column scales and input ranges learn by their gradients", "[analytic]") {
  NoisyLayer one = noisy_layer(30, 12);
  HardwareAwareOptions options;
  options.noise = WeightNoise::none;
  options.column_scales = true;
  options.learn_input_range = true;
  options.input_range_decay = 0.0;
  const LayerKindPtr kind = hardware_aware_kind(options);
  MatrixF x = random_normal_matrix({13, Stream::test, 1}, 8, 30).cast<float>();
  x = ((x.array().abs() - 1.0F).abs() < 0.01F).select(0.9F, x);  // none at the range, where there is a kink
  const MatrixF pull = random_normal_matrix({13, Stream::test, 2}, 8, 12).cast<float>();
  one.memory.matrix("input_range", 1, 1).setConstant(1.0F);
  one.memory.matrix("column_scale", 1, 12).setConstant(1.5F);
  const auto loss = [&] {
    MatrixF y(8, 12);
    kind->make(one.slot(1))->forward(training_pass(0), x, y);
    return y.cast<double>().cwiseProduct(pull.cast<double>()).sum();
  };
  const auto numeric = [&](float& value) {
    const float was = value;
    // Float32 outputs leave some 1e-3 of the difference.
    constexpr float kStep = 0.0009765625F;
    value = was + kStep;
    const double up = loss();
    value = was - kStep;
    const double down = loss();
    value = was;
    return (up - down) / (2.0 * static_cast<double>(kStep));
  };
  MatrixF& range = one.memory.matrix("input_range", 1, 1);
  MatrixF& scale = one.memory.matrix("column_scale", 1, 12);
  const double by_range = numeric(range(0, 0)), by_scale = numeric(scale(0, 5));
  const auto layer = kind->make(one.slot(1));
  MatrixF y(8, 12), back(8, 30);
  const double rate = 1e-3;
  layer->forward(training_pass(0, rate), x, y);
  layer->backward(training_pass(0, rate), x, pull, back);
  layer->update(training_pass(0, rate), x, pull);
  CHECK(static_cast<double>(range(0, 0)) == Approx(1.0 - rate * by_range).margin(1e-2 * rate * std::abs(by_range)));
  CHECK(static_cast<double>(scale(0, 5)) == Approx(1.5 - rate * by_scale).margin(1e-2 * rate * std::abs(by_scale)));
  CHECK((scaled_weights(MatrixF::Ones(30, 12), one.memory).row(3) - scale).cwiseAbs().maxCoeff() == 0.0F);
}

TEST_CASE("clipped weights stay inside their deviations and NaN stays NaN", "[property]") {
  MatrixF w = random_normal_matrix({14, Stream::test, 1}, 50, 50).cast<float>();
  const float deviation = std::sqrt(w.squaredNorm() / 2500.0F);
  clip_weights(w, 1.5);
  CHECK(w.cwiseAbs().maxCoeff() == Approx(1.5F * deviation));
  w(3, 3) = std::numeric_limits<float>::quiet_NaN();
  clip_weights(w, 1.0);
  CHECK(std::isnan(w(3, 3)));
}

TEST_CASE("a quiet abstract tile is the product of rounded inputs", "[analytic]") {
  AbstractTile tile;
  tile.ir_drop = 0.0;
  tile.output_steps = 0;
  const MatrixF x = random_uniform_matrix({15, Stream::test, 1}, 6, 700).cast<float>();
  const MatrixF w = random_normal_matrix({15, Stream::test, 2}, 700, 9).cast<float>();
  MatrixF y(6, 9);
  abstract_product(tile, x, 1.0F, w, nullptr, 1, y, nullptr);
  const MatrixF rounded = (x * 127.0F).unaryExpr([](float v) { return std::nearbyint(v); }) / 127.0F;
  CHECK((y - rounded * w).cwiseAbs().maxCoeff() < 2e-3F);
}

TEST_CASE("the abstract tile's noise is that of its two formulas", "[statistics]") {
  AbstractTile tile;
  tile.ir_drop = 0.0;
  tile.output_steps = tile.input_steps = 0;
  const Index samples = 4000;
  const MatrixF x = MatrixF::Constant(samples, 50, 0.6F);
  MatrixF w = MatrixF::Constant(50, 4, 0.25F);
  w(0, 0) = -0.5F;  // the largest: weights count in units of it
  MatrixF quiet(samples, 4), noisy(samples, 4);
  const AbstractNoise noise{3, 17, 0};
  abstract_product(tile, x, 1.0F, w, nullptr, 1, quiet, nullptr);
  abstract_product(tile, x, 1.0F, w, &noise, 1, noisy, nullptr);
  const Matrix error = (noisy - quiet).cast<double>() / 0.5;
  const double read = 0.0175 * std::sqrt(50 * 0.5 * 0.36);
  const double expected = std::hypot(0.04, read);
  const double found = std::sqrt(error.rightCols(3).squaredNorm() / (3.0 * samples));
  CHECK(found == Approx(expected).epsilon(five_errors(3 * samples)));
}

TEST_CASE("the abstract tile's IR-drop, S-shape and ADC are its formulas, written out", "[analytic]") {
  AbstractTile tile;
  tile.input_steps = 0;
  tile.output_bound = 3.0;
  tile.s_shape = 0.1;
  const Index n = 64;
  const MatrixF x = MatrixF::Constant(1, n, 0.9F);
  MatrixF w = MatrixF::Constant(n, 2, 0.5F);
  w.col(0).head(n / 2).setConstant(-1.0F);
  MatrixF y(1, 2), slope;
  abstract_product(tile, x, 1.0F, w, nullptr, 1, y, &slope);
  for (Index k = 0; k < 2; ++k) {
    double plain = 0.0, load = 0.0, placed = 0.0;
    for (Index j = 0; j < n; ++j) {
      const double wx = static_cast<double>(w(j, k)) * 0.9, far = 1.0 - static_cast<double>(j) / n;
      plain += wx;
      load += std::abs(wx);
      placed += wx * (1.0 - far * far);
    }
    const double a = n * 0.35 * 5e-6 * load, c = 0.05 * a * a * a - 0.2 * a * a + 0.5 * a;
    double value = plain - c * placed;
    value /= 1.0 + 0.1 * std::abs(value);
    const double step = 6.0 / 254.0;
    CHECK((slope(0, k) == 0.0F) == (std::abs(value) > 3.0));
    CHECK(static_cast<double>(y(0, k)) ==
          Approx(std::round(std::min(3.0, std::max(-3.0, value)) / step) * step).margin(1e-4));
  }
}

TEST_CASE("a network trains on the abstract tile and is evaluated on it", "[property]") {
  const data::LabelledImages images = samples::images(400);
  HardwareAwareOptions kind;
  kind.noise = WeightNoise::none;
  kind.on_abstract_tile = true;
  kind.learn_input_range = true;
  TrainOptions options;
  options.epochs = 10;
  options.batch = 40;
  options.threads = 1;
  options.max_shift_pixels = 0;
  options.learning_rate = 0.05;
  options.kinds = {hardware_aware_kind(kind)};
  TrainState state = start_training({{64, 24, 10}}, options);
  REQUIRE(train(state, images, options).status == TrainStatus::finished);
  EvaluationOptions evaluation;
  evaluation.threads = 1;
  CHECK(*evaluate_layers(state, options, samples::images(500), evaluation).accuracy > 0.9);
}

TEST_CASE("compensation brings drifted tiles back, per column at least as well as globally", "[property]") {
  const data::LabelledImages images = samples::images(300);
  const Network network = make_network<float>({{64, 24, 10}}, 1);
  data::TileSpec tile;
  tile.rows = 32;
  tile.cols = 24;
  const ModelFactory ideal = [](const data::TileSpec& t, const Matrix& g) {
    tilemodel::ModelSpec spec;
    spec.form = tilemodel::Form::ideal;
    return tilemodel::TileModel(spec, t, g);
  };
  const TileSystem system = make_tile_system(network, tile, images.inputs, ideal);
  DeviceOptions devices;
  const MappedNetwork before = draw_arrays(system.arrays, devices, 1, 0);
  devices.time_s = 31536000.0;
  const MappedNetwork now = draw_arrays(system.arrays, devices, 1, 0);
  const auto logits = [&](const TileSystem& s, const MappedNetwork& arrays) {
    TileWorkspace work;
    Matrix out;
    TiledNetwork(s, arrays, 1, 1).logits(images.inputs, work, out);
    return out;
  };
  const Matrix at_first = logits(system, before);
  std::vector<double> error;
  for (const auto how : {DriftCompensation::none, DriftCompensation::global, DriftCompensation::per_column}) {
    const TileSystem s = compensated(system, before, now, images.inputs, how, 1, 1);
    error.push_back((logits(s, now) - at_first).norm() / at_first.norm());
  }
  CHECK(error[0] > 0.4);
  CHECK(error[1] < 0.5 * error[0]);
  CHECK(error[2] <= error[1]);
  // Nothing has drifted: factors of 1.
  const TileSystem same = compensated(system, before, before, images.inputs, DriftCompensation::per_column, 1, 1);
  CHECK((same.calibration[0].gain.array() - 1.0).abs().maxCoeff() < 1e-12);
}

TEST_CASE("normalised accuracy and non-idealities mean what they say", "[analytic]") {
  CHECK(normalised_accuracy(0.98, 0.98, 0.1) == Approx(1.0));
  CHECK(normalised_accuracy(0.1, 0.98, 0.1) == Approx(0.0).margin(1e-12));
  CHECK(normalised_accuracy(0.54, 0.98, 0.1) == Approx(0.5));
  CHECK_THROWS_WITH(normalised_accuracy(0.5, 0.1, 0.1), Contains("digital_accuracy"));
  const auto cases = each_alone_and_removed();
  REQUIRE(cases.size() == 12);
  CHECK(cases[0].name == "all");
  CHECK(cases[2].name == "only wires");
  CHECK(cases[2].present.wires);
  CHECK_FALSE(cases[2].present.adc);
  CHECK(cases[11].name == "no read noise");
  CHECK_FALSE(cases[11].present.read_noise);
  // Without programming error, drift and read noise a chip is its targets.
  const device::PcmModel exact = with_only(cases[1].present, device::pcm_default());
  exact.validate();
  const Matrix g = Matrix::Constant(3, 4, 7e-6);
  CHECK((device::conductance_at(exact, device::program(exact, g, 1, 0), 1e6, 1, 0, 0) - g).cwiseAbs().maxCoeff() < 1e-18);
  data::TileSpec tile;
  tile.adc.enabled = true;
  CHECK(with_only(cases[1].present, tile).r_col_ohm == 0.0);
  CHECK_FALSE(with_only(cases[1].present, tile).adc.enabled);
}

TEST_CASE("hardware-aware settings out of range are refused by name", "[error]") {
  HardwareAwareOptions options;
  options.drop_connect = 1.0;
  CHECK_THROWS_WITH(hardware_aware_kind(options), Contains("drop_connect"));
  options.drop_connect = 0.0;
  options.on_abstract_tile = true;
  options.abstract_tile.output_bound = 0.0;
  CHECK_THROWS_WITH(hardware_aware_kind(options), Contains("abstract_tile.output_bound"));
}
