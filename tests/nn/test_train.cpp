#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "nn/evaluate.hpp"
#include "nn/train.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

const NetworkSpec kSmall{{64, 24, 10}, Activation::relu};

TrainOptions quick() {
  TrainOptions options;
  options.epochs = 3;
  options.batch = 48;  // 500 samples: the last batch is smaller
  options.threads = 1;
  return options;
}

TrainState trained(const NetworkSpec& spec, const data::LabelledImages& images, const TrainOptions& options) {
  TrainState state = start_training(spec, options);
  REQUIRE(train(state, images, options).status == TrainStatus::finished);
  return state;
}

bool same_bits(const TrainState& a, const TrainState& b) {
  bool same = a.epochs_done == b.epochs_done && a.history.size() == b.history.size();
  for (std::size_t l = 0; same && l < a.network.depth(); ++l)
    same = a.network.layers[l].weights == b.network.layers[l].weights &&
           a.network.layers[l].bias == b.network.layers[l].bias &&
           a.velocity.layers[l].weights == b.velocity.layers[l].weights &&
           a.velocity.layers[l].bias == b.velocity.layers[l].bias;
  for (std::size_t e = 0; same && e < a.history.size(); ++e)
    same = a.history[e].loss == b.history[e].loss && a.history[e].accuracy == b.history[e].accuracy;
  return same;
}

}  // namespace

TEST_CASE("Training gives the same bits for 1, 2 and 3 threads", "[nn][identity]") {
  const auto images = samples::images(500);
  TrainOptions options = quick();
  const NetworkSpec wide{{64, 1500, 10}, Activation::relu};  // several blocks of weights
  for (const NetworkSpec& spec : {kSmall, wide}) {
    options.threads = 1;
    const TrainState one = trained(spec, images, options);
    for (const int threads : {2, 3}) {
      options.threads = threads;
      CHECK(same_bits(one, trained(spec, images, options)));
    }
    options.seed = 2;
    CHECK_FALSE(same_bits(one, trained(spec, images, options)));
    options.seed = 1;
  }
}

TEST_CASE("A training that is stopped and continued gives the bits of one that was not", "[nn][identity]") {
  const auto images = samples::images(500);
  const TrainOptions options = quick();
  const TrainState whole = trained(kSmall, images, options);

  TrainState state = start_training(kSmall, options);
  TrainHooks hooks;
  hooks.progress = [](double fraction, std::string_view) {
    return fraction < 0.5;
  };  // in the middle of the second epoch
  try {
    train(state, images, options, hooks);
    FAIL("the callback asked to stop");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
  CHECK(state.epochs_done == 1);
  int epochs = 0;
  hooks.progress = {};
  hooks.after_epoch = [&](const TrainState& s) { epochs += s.epochs_done > 1 ? 1 : 0; };
  train(state, images, options, hooks);
  CHECK(epochs == 2);
  CHECK(same_bits(whole, state));
}

TEST_CASE("One step of plain descent without momentum is minus rate times gradient", "[nn][analytic]") {
  const auto images = samples::images(12, 4, 3);
  TrainOptions options;
  options.epochs = 1;
  options.batch = 12;
  options.learning_rate = 0.25;
  options.schedule = Schedule::constant;
  options.momentum = 0.0;
  options.weight_decay = 0.5;
  options.max_shift_pixels = 0;
  TrainState state = start_training({{16, 3}, Activation::relu}, options);
  const BasicLayer<float> before = state.network.layers[0];
  train(state, images, options);

  // Softmax regression in double, written out.
  Matrix gradient = 0.5 * before.weights.cast<double>();
  Vector bias_gradient = Vector::Zero(3);
  for (Index r = 0; r < 12; ++r) {
    const Vector x = images.inputs.row(r).transpose().cast<double>();
    Vector p = (before.weights.cast<double>().transpose() * x).array().exp();
    p /= p.sum();
    p[images.labels[static_cast<std::size_t>(r)]] -= 1.0;
    gradient += x * p.transpose() / 12.0;
    bias_gradient += p / 12.0;
  }
  const Matrix step = (state.network.layers[0].weights - before.weights).cast<double>();
  // Single precision: a few units in the last place of weights of order one.
  CHECK((step + 0.25 * gradient).cwiseAbs().maxCoeff() < 1e-6);
  CHECK(
      (state.network.layers[0].bias.cast<double>().transpose() + 0.25 * bias_gradient).cwiseAbs().maxCoeff() <
      1e-6);
  CHECK(step.cwiseAbs().maxCoeff() > 0.01);
}

TEST_CASE("Momentum adds up to learning rate / (1 - momentum) of a constant gradient", "[nn][analytic]") {
  // Inputs 0 leave the gradient of the biases alone; with 2 classes and all labels 0 it is (p - 1, p'),
  // nearly constant for small steps.
  data::LabelledImages images;
  images.inputs = MatrixF::Zero(4, 1);
  images.labels = {0, 0, 0, 0};
  images.height = images.width = 1;
  TrainOptions options;
  options.epochs = 200;
  options.batch = 4;
  options.learning_rate = 1e-6;
  options.schedule = Schedule::constant;
  options.momentum = 0.9;
  TrainState state = start_training({{1, 2}, Activation::relu}, options);
  train(state, images, options);
  // velocity -> gradient / (1 - momentum) = (-0.5, 0.5) / 0.1
  CHECK(state.velocity.layers[0].bias(0, 0) == Approx(-5.0).epsilon(1e-3));
  CHECK(state.velocity.layers[0].bias(0, 1) == Approx(5.0).epsilon(1e-3));
}

TEST_CASE("Schedules have their known values", "[nn][kat]") {
  TrainOptions options;
  options.learning_rate = 0.08;
  options.epochs = 30;
  options.schedule = Schedule::constant;
  CHECK(learning_rate_at(options, 29.5) == 0.08);
  options.schedule = Schedule::step;
  options.step_epochs = 10;
  options.step_factor = 0.5;
  CHECK(learning_rate_at(options, 0.0) == 0.08);
  CHECK(learning_rate_at(options, 9.999) == 0.08);
  CHECK(learning_rate_at(options, 10.0) == 0.04);
  CHECK(learning_rate_at(options, 29.0) == 0.02);
  options.schedule = Schedule::cosine;
  CHECK(learning_rate_at(options, 0.0) == 0.08);
  CHECK(learning_rate_at(options, 10.0) == Approx(0.06).epsilon(1e-14));
  CHECK(learning_rate_at(options, 15.0) == Approx(0.04).epsilon(1e-14));
  CHECK(learning_rate_at(options, 30.0) == 0.0);
}

TEST_CASE("An image is moved by whole pixels and filled with 0", "[nn][kat]") {
  const std::vector<float> image = {1, 2, 3, 4, 5, 6};  // 2 x 3
  std::vector<float> moved(6, -1.0F);
  shift_image(image.data(), 2, 3, 1, -1, moved.data());
  CHECK(moved == std::vector<float>{0, 0, 0, 2, 3, 0});
  shift_image(image.data(), 2, 3, -1, 2, moved.data());
  CHECK(moved == std::vector<float>{0, 0, 4, 0, 0, 0});
  shift_image(image.data(), 2, 3, 0, 0, moved.data());
  CHECK(moved == image);
  shift_image(image.data(), 2, 3, 0, 7, moved.data());
  CHECK(moved == std::vector<float>(6, 0.0F));
}

TEST_CASE("A huge learning rate ends as diverged, never as an accuracy", "[nn][property]") {
  const auto images = samples::images(500);
  TrainOptions options = quick();
  options.learning_rate = 1e6;
  TrainState state = start_training(kSmall, options);
  const Network before = state.network;
  const TrainReport report = train(state, images, options);
  CHECK(report.status == TrainStatus::diverged);
  CHECK_THAT(report.reason, Contains("epoch 1"));
  CHECK(state.epochs_done == 0);
  CHECK(state.history.empty());
  CHECK(state.network.layers[0].weights == before.layers[0].weights);

  options.learning_rate = 3e38;  // overflows to infinity and NaN
  state = start_training(kSmall, options);
  CHECK(train(state, images, options).status == TrainStatus::diverged);
}

TEST_CASE("A network that is not finite has no digital accuracy", "[nn][property]") {
  const auto images = samples::images(50);
  Network network = make_network<float>(kSmall, 1);
  CHECK(evaluate_digital(network, images).accuracy.has_value());
  network.layers[0].weights.setConstant(std::nanf(""));
  const EvaluationReport report = evaluate_digital(network, images);
  CHECK(report.status == EvaluationStatus::diverged);
  CHECK_FALSE(report.accuracy.has_value());
  CHECK_THAT(report.reason, Contains("50 of 50"));
}

TEST_CASE("Bad training input is refused by name", "[nn][error]") {
  TrainOptions options = quick();
  options.momentum = 1.5;
  CHECK_THROWS_WITH(start_training(kSmall, options), Contains("momentum") && Contains("1.5"));
  options = quick();
  options.batch = 0;
  CHECK_THROWS_WITH(options.validate(), Contains("batch"));

  options = quick();
  auto images = samples::images(20);
  TrainState state = start_training(kSmall, options);
  TrainOptions other = options;
  other.learning_rate = 0.07;
  CHECK_THROWS_WITH(train(state, images, other), Contains("learning_rate = 0.1") && Contains("0.07"));
  TrainState mixed = state;
  mixed.velocity = make_network<float>({{64, 23, 10}, Activation::relu}, 1);
  CHECK_THROWS_WITH(train(mixed, images, options), Contains("velocity"));
  images.labels[3] = 11;
  CHECK_THROWS_WITH(train(state, images, options), Contains("label") && Contains("11"));
  images.labels.pop_back();
  CHECK_THROWS_WITH(train(state, images, options), Contains("labels (count)"));
  CHECK_THROWS_WITH(train(state, samples::images(20, 7), options),
                    Contains("images (pixels) = 49") && Contains("64"));
  images = samples::images(20);
  images.height = 0;
  CHECK_THROWS_WITH(train(state, images, options), Contains("max_shift_pixels"));
}

TEST_CASE("One epoch on 10000 MNIST images classifies more than 92 % of 10000 others", "[nn][regression]") {
  const std::string folder = std::string(CROSSTILE_SOURCE_DIR) + "/data/mnist/";
  const auto images = samples::head(data::read_labelled_images(folder + "train-images-idx3-ubyte.gz",
                                                               folder + "train-labels-idx1-ubyte.gz"),
                                    10000);
  const auto test =
      data::read_labelled_images(folder + "t10k-images-idx3-ubyte.gz", folder + "t10k-labels-idx1-ubyte.gz");
  TrainOptions options;
  options.epochs = 1;
  options.batch = 32;
  options.max_shift_pixels = 0;
  const TrainState state = trained({{784, 64, 10}, Activation::relu}, images, options);
  const EvaluationReport report = evaluate_digital(state.network, test);
  CHECK(*report.accuracy > 0.92);
  CHECK(*report.standard_error == Approx(std::sqrt(*report.accuracy * (1.0 - *report.accuracy) / 10000.0)));
}
