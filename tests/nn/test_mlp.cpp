#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "nn/mlp.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

struct Problem {
  BasicNetwork<double> network;
  BasicWorkspace<double> work;
  std::vector<std::uint8_t> labels;
  Index samples = 7;

  explicit Problem(Activation hidden) {
    network = make_network<double>({{6, 5, 4, 3}, hidden}, 11);
    for (auto& layer : network.layers)
      layer.bias = 0.3 * random_normal_matrix({3, Stream::test}, 1, layer.bias.cols());
    work = make_workspace(network, samples);
    work.activation.front() = random_normal_matrix({4, Stream::test}, samples, 6);
    for (Index r = 0; r < samples; ++r) labels.push_back(static_cast<std::uint8_t>(r % 3));
  }
  double loss() {
    forward(network, work, {0, samples});
    return softmax_cross_entropy<double>(work, labels, {0, samples}).loss / static_cast<double>(samples);
  }
  double central_difference(double& parameter) {
    const double h = 1e-5, kept = parameter;
    parameter = kept + h;
    const double up = loss();
    parameter = kept - h;
    const double down = loss();
    parameter = kept;
    return (up - down) / (2.0 * h);
  }
};

}  // namespace

TEST_CASE("Gradients equal central differences for every activation", "[nn][analytic]") {
  for (const auto& entry : data::EnumNames<Activation>::value) {
    CAPTURE(entry.name);
    Problem problem(entry.value);
    problem.loss();
    backward(problem.network, problem.work, {0, problem.samples});
    BasicNetwork<double> gradient = problem.network;
    for (std::size_t l = 0; l < gradient.depth(); ++l) {
      const Index lines = gradient.layers[l].weights.rows();
      weight_gradient(problem.work, l, problem.samples, {0, 2}, gradient.layers[l].weights);
      weight_gradient(problem.work, l, problem.samples, {2, lines - 2}, gradient.layers[l].weights);
      bias_gradient(problem.work, l, problem.samples, gradient.layers[l].bias);
    }
    // Truncation of the central difference is of order h^2 = 1e-10, its rounding eps / h = 1e-11.
    double largest = 0.0;
    for (std::size_t l = 0; l < gradient.depth(); ++l) {
      auto& layer = problem.network.layers[l];
      for (Index k = 0; k < layer.weights.size(); ++k) {
        const double numeric = problem.central_difference(layer.weights.data()[k]);
        largest = std::max(largest, std::abs(numeric));
        CHECK(numeric == Approx(gradient.layers[l].weights.data()[k]).margin(1e-9));
      }
      for (Index k = 0; k < layer.bias.size(); ++k)
        CHECK(problem.central_difference(layer.bias.data()[k]) ==
              Approx(gradient.layers[l].bias.data()[k]).margin(1e-9));
    }
    CHECK(largest > 0.01);
  }
}

TEST_CASE("The slope of the squared error is the central difference", "[nn][analytic]") {
  Problem problem(Activation::tanh);
  const auto loss = [&] {
    forward(problem.network, problem.work, {0, problem.samples});
    return squared_error<double>(problem.work, problem.labels, {0, problem.samples}).loss;
  };
  loss();
  const RowMatrix<double> delta = problem.work.delta.back();
  for (Index j = 0; j < 3; ++j) {
    // By the bias of output j, summed over samples; exact for a quadratic up to rounding.
    double& bias = problem.network.layers.back().bias(0, j);
    const double kept = bias, h = 1e-4;
    bias = kept + h;
    const double up = loss();
    bias = kept - h;
    const double down = loss();
    bias = kept;
    CHECK((up - down) / (2.0 * h) == Approx(delta.col(j).sum()).epsilon(1e-9));
  }
}

TEST_CASE("Equal logits lose ln 10 and a certain answer loses nothing", "[nn][kat]") {
  BasicNetwork<double> network = make_network<double>({{4, 10}, Activation::relu}, 1);
  network.layers[0].weights.setZero();
  auto work = make_workspace(network, 2);
  work.activation.front().setOnes();
  const std::vector<std::uint8_t> labels = {3, 0};
  forward(network, work, {0, 2});
  LossSum sum = softmax_cross_entropy<double>(work, labels, {0, 2});
  CHECK(sum.loss == Approx(2.0 * std::log(10.0)).epsilon(1e-14));
  CHECK(sum.correct == 1);  // on ties the first class wins
  CHECK(work.delta.back()(0, 3) == Approx(-0.9).epsilon(1e-14));
  CHECK(work.delta.back()(0, 4) == Approx(0.1).epsilon(1e-14));

  network.layers[0].bias(0, 3) = 1e4;
  forward(network, work, {0, 2});
  sum = softmax_cross_entropy<double>(work, labels, {0, 1});
  CHECK(sum.loss == 0.0);
  sum = softmax_cross_entropy<double>(work, labels, {1, 1});
  CHECK(sum.loss == 1e4);
}

TEST_CASE("Activations have their known values and keep NaN visible", "[nn][kat]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  RowMatrix<double> y(1, 3);
  y << -2.0, 0.5, nan;
  RowMatrix<double> z = y;
  apply_activation<double>(Activation::relu, z);
  CHECK(z(0, 0) == 0.0);
  CHECK(z(0, 1) == 0.5);
  CHECK(std::isnan(z(0, 2)));
  z = y;
  apply_activation<double>(Activation::sigmoid, z);
  CHECK(z(0, 0) == Approx(1.0 / (1.0 + std::exp(2.0))).epsilon(1e-14));
  CHECK(std::isnan(z(0, 2)));
  z = y;
  apply_activation<double>(Activation::tanh, z);
  CHECK(z(0, 1) == Approx(std::tanh(0.5)).epsilon(1e-14));
  CHECK(std::isnan(z(0, 2)));
  z = y;
  apply_activation<double>(Activation::leaky_relu, z);
  CHECK(z(0, 0) == Approx(-0.02).epsilon(1e-14));
  CHECK(z(0, 1) == 0.5);
  CHECK(std::isnan(z(0, 2)));
  z = y;
  apply_activation<double>(Activation::randomised_relu, z);
  CHECK(z(0, 0) == Approx(-2.0 * 11.0 / 48.0).epsilon(1e-14));
}

TEST_CASE("Initial weights have the spread of He or Glorot and depend on the seed alone",
          "[nn][statistics]") {
  const double count = 300.0 * 200.0;
  for (const Activation hidden : {Activation::relu, Activation::tanh}) {
    const double expected = hidden == Activation::relu ? 2.0 / 300.0 : 2.0 / 500.0;
    const auto network = make_network<double>({{300, 200, 5}, hidden}, 7);
    const double variance = network.layers[0].weights.squaredNorm() / count;
    // The variance of n squared normals is 2 / n of its square.
    CHECK(std::abs(variance / expected - 1.0) < 5.0 * std::sqrt(2.0 / count));
    CHECK(std::abs(network.layers[0].weights.mean()) < 5.0 * std::sqrt(expected / count));
    CHECK(network.layers[0].bias.isZero(0.0));
    CHECK(spec_of(network).layers == std::vector<Index>{300, 200, 5});
    CHECK(network.layers[0].weights == make_network<double>({{300, 200, 5}, hidden}, 7).layers[0].weights);
    CHECK(network.layers[0].weights != make_network<double>({{300, 200, 5}, hidden}, 8).layers[0].weights);
  }
}

TEST_CASE("The uniform start fills +-1 / sqrt(inputs), biases too", "[nn][statistics]") {
  NetworkSpec spec{{400, 100, 5}, Activation::relu};
  spec.initial = Initial::uniform;
  const auto network = make_network<double>(spec, 7);
  const auto& layer = network.layers[0];
  CHECK(layer.weights.cwiseAbs().maxCoeff() <= 0.05);
  CHECK(layer.bias.cwiseAbs().maxCoeff() <= 0.05);
  CHECK(layer.bias.cwiseAbs().maxCoeff() > 0.04);
  // Variance bound^2 / 3; that of a squared uniform is 4/45 bound^4.
  const double count = 40000.0, expected = 0.05 * 0.05 / 3.0;
  CHECK(std::abs(layer.weights.squaredNorm() / count - expected) < 5.0 * 0.05 * 0.05 * std::sqrt(4.0 / 45.0 / count));
}

TEST_CASE("Logits that are not finite have no class", "[nn][property]") {
  RowMatrix<float> logits(3, 3);
  logits << 1, 3, 3, std::numeric_limits<float>::quiet_NaN(), 0, 0, 0, std::numeric_limits<float>::infinity(),
      0;
  CHECK(classify<float>(logits) == std::vector<Index>{1, -1, -1});
}

TEST_CASE("A wrong shape is refused by name", "[nn][error]") {
  CHECK_THROWS_WITH((NetworkSpec{{784}, Activation::relu}.validate()), Contains("layers (count)"));
  CHECK_THROWS_WITH((NetworkSpec{{784, 0, 10}, Activation::relu}.validate()), Contains("layers[1]"));
  Network network = make_network<float>({{4, 3, 2}, Activation::relu}, 1);
  network.layers[1].weights.resize(5, 2);
  CHECK_THROWS_WITH(check_shapes(network), Contains("layers[1].weights (rows)"));
  network = make_network<float>({{4, 3, 2}, Activation::relu}, 1);
  network.layers[0].bias.resize(7);
  CHECK_THROWS_WITH(check_shapes(network), Contains("layers[0].bias"));
  CHECK(data::from_name<Activation>("tanh") == Activation::tanh);
  CHECK(!data::from_name<Activation>("swish"));
}
