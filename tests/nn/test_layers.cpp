// What every kind of layer must do, over one table of kinds, and the digital kind's optimisers.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "core/error.hpp"
#include "nn/nn.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

struct Case {
  std::string name;
  NetworkSpec spec;
  TrainOptions options;
};

AnalogSettings analog(AnalogUpdate update, DeviceLaw law) {
  AnalogSettings settings;
  settings.update = update;
  settings.device.law = law;
  settings.tiki_taka.fast_share = 0.5;
  settings.tiki_taka.transfer_lines = 3;
  return settings;
}

std::vector<Case> cases() {
  TrainOptions plain;
  plain.epochs = 3;
  plain.batch = 48;
  plain.threads = 1;
  plain.learning_rate = 0.05;
  std::vector<Case> all;
  const auto add = [&](const std::string& name, const std::function<void(Case&)>& change) {
    Case made;
    made.name = name;
    made.spec.layers = {64, 70, 12, 10};
    made.options = plain;
    change(made);
    all.push_back(std::move(made));
  };
  add("sgd", [](Case&) {});
  add("adam", [](Case& c) {
    c.options.optimiser = Optimiser::adam;
    c.options.learning_rate = 0.002;
  });
  add("randomised relu, squared error", [](Case& c) {
    c.spec.hidden = Activation::randomised_relu;
    c.options.loss = Loss::squared_error;
    c.options.learning_rate = 0.01;
  });
  add("leaky relu, uniform start", [](Case& c) {
    c.spec.hidden = Activation::leaky_relu;
    c.spec.initial = Initial::uniform;
  });
  for (const auto& law : data::EnumNames<DeviceLaw>::value)
    add("pulsed, " + std::string(law.name),
        [&](Case& c) { c.options.kinds = {analog_kind(analog(AnalogUpdate::pulsed, law.value))}; });
  add("exact update", [](Case& c) {
    c.options.kinds = {analog_kind(analog(AnalogUpdate::exact, DeviceLaw::constant_step))};
  });
  add("tiki-taka", [](Case& c) {
    c.options.kinds = {analog_kind(analog(AnalogUpdate::tiki_taka, DeviceLaw::soft_bounds))};
  });
  add("hybrid", [](Case& c) {
    c.options.kinds = {digital_kind(), analog_kind(AnalogSettings{}), nullptr};
    c.options.optimiser = Optimiser::adam;
    c.options.learning_rate = 0.005;
  });
  return all;
}

bool same_layer_bits(const TrainState& a, const TrainState& b) {
  bool same = a.epochs_done == b.epochs_done && a.memory.size() == b.memory.size();
  for (std::size_t l = 0; same && l < a.network.depth(); ++l) {
    same = a.network.layers[l].weights == b.network.layers[l].weights &&
           a.network.layers[l].bias == b.network.layers[l].bias &&
           a.velocity.layers[l].weights == b.velocity.layers[l].weights &&
           a.memory[l].all().size() == b.memory[l].all().size();
    for (const auto& [name, values] : a.memory[l].all())
      same = same && b.memory[l].all().count(name) > 0 && b.memory[l].all().at(name) == values;
  }
  for (std::size_t e = 0; same && e < a.history.size(); ++e) same = a.history[e].loss == b.history[e].loss;
  return same;
}

}  // namespace

TEST_CASE("Every kind of layer trains to the same bits for any number of threads", "[nn][identity]") {
  const auto images = samples::images(200);
  for (Case& c : cases()) {
    CAPTURE(c.name);
    TrainState one = start_training(c.spec, c.options);
    REQUIRE(train(one, images, c.options).status == TrainStatus::finished);
    CHECK(one.history.back().loss < one.history.front().loss);
    c.options.threads = 3;
    TrainState three = start_training(c.spec, c.options);
    train(three, images, c.options);
    CHECK(same_layer_bits(one, three));
    EvaluationOptions two;
    two.threads = 2;
    CHECK(evaluate_layers(one, c.options, images).correct ==
          evaluate_layers(one, c.options, images, two).correct);
    c.options.seed = 2;
    TrainState other = start_training(c.spec, c.options);
    train(other, images, c.options);
    CHECK_FALSE(same_layer_bits(one, other));
  }
}

TEST_CASE("Every kind of layer goes on from a checkpoint file to the same bits", "[nn][identity]") {
  const samples::Folder folder;
  const auto images = samples::images(200);
  for (Case& c : cases()) {
    CAPTURE(c.name);
    TrainHooks hooks;
    hooks.after_epoch = [&](const TrainState& s) {
      if (s.epochs_done == 1) write_checkpoint(folder / "checkpoint.h5", s);
    };
    TrainState whole = start_training(c.spec, c.options);
    train(whole, images, c.options, hooks);
    TrainState resumed = read_checkpoint(folder / "checkpoint.h5");
    REQUIRE(resumed.epochs_done == 1);
    train(resumed, images, c.options);
    CHECK(same_layer_bits(whole, resumed));
    TrainOptions changed = c.options;
    AnalogSettings settings;
    settings.device.step = 0.0025;
    changed.kinds = {analog_kind(settings)};
    CHECK_THROWS_WITH(train(resumed, images, changed), Contains("started with"));
  }
}

TEST_CASE("Adam follows its equations", "[nn][cross]") {
  TrainOptions options;
  options.optimiser = Optimiser::adam;
  options.weight_decay = 0.1;
  BasicLayer<float> parameters{MatrixF::Constant(3, 2, 0.5F), RowVector<float>::Zero(2)};
  BasicLayer<float> momentum{MatrixF::Zero(3, 2), RowVector<float>::Zero(2)};
  LayerMemory memory;
  const LayerSlot slot{0, parameters, momentum, memory, options, 1};
  const Matrix g = random_normal_matrix({2, Stream::test}, 3, 2);
  MatrixF delta = MatrixF::Constant(1, 2, 0.3F);
  double w = 0.5, mean = 0.0, square = 0.0;
  for (int t = 1; t <= 4; ++t) {
    const MatrixF gradient = (g * t).cast<float>();
    Pass pass;
    pass.step = static_cast<std::uint64_t>(t - 1);
    pass.learning_rate = 0.02;
    digital_update_from(slot, pass, gradient, delta);
    const double d = g(1, 1) * t + 0.1 * w;
    mean = 0.9 * mean + 0.1 * d;
    square = 0.999 * square + 0.001 * d * d;
    w -= 0.02 * (mean / (1.0 - std::pow(0.9, t))) / (std::sqrt(square / (1.0 - std::pow(0.999, t))) + 1e-8);
    CHECK(parameters.weights(1, 1) == Approx(w).epsilon(1e-5));
  }
  // A constant gradient moves by the rate in every step, whatever its size.
  CHECK(parameters.bias(0, 0) == Approx(-0.08).epsilon(1e-4));
}

TEST_CASE("Randomised slopes stay in their range and vary", "[nn][property]") {
  // One input of -1 and one hidden unit: the output is slope * weight, so the loss shows the slope.
  data::LabelledImages images;
  images.inputs = MatrixF::Constant(1, 1, -1.0F);
  images.labels = {0};
  images.height = images.width = 1;
  TrainOptions options;
  options.epochs = 50;
  options.batch = 1;
  options.learning_rate = 0.0;
  options.momentum = options.weight_decay = 0.0;
  options.max_shift_pixels = 0;
  options.loss = Loss::squared_error;
  TrainState state = start_training({{1, 1, 1}, Activation::randomised_relu}, options);
  state.network.layers[0].weights.setOnes();
  state.network.layers[1].weights.setOnes();
  train(state, images, options);
  double low = 1.0, high = 0.0;
  for (const EpochReport& epoch : state.history) {
    const double slope = std::sqrt(2.0 * epoch.loss) - 1.0;  // output -slope, target 1
    low = std::min(low, slope), high = std::max(high, slope);
  }
  CHECK(low >= kRandomisedSlopeLow - 1e-6);
  CHECK(low < 0.16);
  CHECK(high <= kRandomisedSlopeHigh + 1e-6);
  CHECK(high > 0.29);
  const EvaluationReport report = evaluate_digital(state.network, images);
  CHECK(report.correct.front() == 1);
}

TEST_CASE("Tiki-Taka moves the slow array by what the fast one holds", "[nn][statistics]") {
  constexpr Index kInputs = 16, kOutputs = 200;
  AnalogSettings settings = analog(AnalogUpdate::tiki_taka, DeviceLaw::constant_step);
  settings.forward.is_exact = true;
  settings.tiki_taka = {};
  settings.tiki_taka.transfer_rate = 0.5;
  settings.device.step_spread = settings.device.bound_spread = 0.0;
  TrainOptions options;
  BasicLayer<float> parameters{MatrixF::Zero(kInputs, kOutputs), RowVector<float>::Zero(kOutputs)};
  BasicLayer<float> momentum = parameters;
  LayerMemory memory;
  MatrixF fast(kInputs, kOutputs);
  // 0.5 * fast = 0.999 k steps: k slots, each firing with probability sqrt(0.999) on both sides.
  for (Index i = 0; i < kInputs; ++i) fast.row(i).setConstant(0.001998F * static_cast<float>(i - 8));
  memory.put("fast_weights", fast);
  const auto layer = analog_kind(settings)->make({0, parameters, momentum, memory, options, 1});
  const MatrixF x = MatrixF::Zero(4, kInputs), delta = MatrixF::Zero(4, kOutputs);  // no gradient
  for (std::uint64_t step = 0; step < kInputs; ++step) layer->update({.step = step}, x, delta);
  for (Index i = 0; i < kInputs; ++i) {
    const double mean = parameters.weights.row(i).cast<double>().mean(), expected = 0.5 * fast(i, 0);
    // The input's pulses are common to all columns of a line, the other side's and the cycles' noise are not.
    const double p = std::sqrt(0.999), slots = std::abs(static_cast<double>(i) - 8.0);
    const double variance = slots * p * (1.0 - p) + slots * (p * (1.0 - p) + 0.09) / kOutputs;
    CHECK(std::abs(mean - expected) <= 5.0 * 0.001 * std::sqrt(variance));
  }
}

TEST_CASE("Kinds that do not fit the network and wrong settings are refused by name", "[nn][error]") {
  const auto images = samples::images(20);
  TrainOptions options;
  options.kinds = {digital_kind(), digital_kind()};
  TrainState state = start_training({{64, 12, 9, 10}, Activation::relu}, options);
  CHECK_THROWS_WITH(train(state, images, options), Contains("kinds (count) = 2") && Contains("3"));
  AnalogSettings settings;
  settings.forward.adc_bits = 1;
  CHECK_THROWS_WITH(analog_kind(settings), Contains("forward.adc_bits = 1") && Contains("20"));
  settings = {};
  settings.pulses.desired_pulses = 32;
  CHECK_THROWS_WITH(analog_kind(settings), Contains("pulses.desired_pulses") && Contains("31"));
  settings = {};
  settings.device.step = 0.0;
  CHECK_THROWS_WITH(analog_kind(settings), Contains("device.step"));
  LayerMemory memory;
  memory.put("fast_weights", MatrixF::Zero(3, 3));
  CHECK_THROWS_WITH(memory.matrix("fast_weights", 4, 3), Contains("fast_weights") && Contains("3 x 3"));
}
