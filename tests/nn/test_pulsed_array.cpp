#include <catch2/catch.hpp>
#include <cmath>

#include "nn/pulsed_array.hpp"

using namespace crosstile;
using namespace crosstile::nn;

namespace {

// All devices alike.
AnalogDevice uniform_device(double cycle_spread = 0.3) {
  AnalogDevice device;
  device.step_spread = device.bound_spread = device.asymmetry_spread = device.slope_spread = 0.0;
  device.cycle_spread = cycle_spread;
  return device;
}

struct Moments {
  double sum = 0.0, squares = 0.0, count = 0.0;
  void add(double value) { sum += value, squares += value * value, count += 1.0; }
  double mean() const { return sum / count; }
  double variance() const { return squares / count - mean() * mean(); }
  double mean_error() const { return std::sqrt(variance() / count); }
};

constexpr Index kSize = 32;

// Changes of the diagonal weights (which share no line) over many updates from 0, all inputs x and deltas d.
Moments changes(PulsedArray& array, float x, float d, double rate, int updates) {
  const MatrixF xs = MatrixF::Constant(1, kSize, x), ds = MatrixF::Constant(1, kSize, d);
  Moments moments;
  for (int step = 0; step < updates; ++step) {
    MatrixF w = MatrixF::Zero(kSize, kSize);
    array.update(xs, ds, rate, static_cast<std::uint64_t>(step), 1, w);
    for (Index k = 0; k < kSize; ++k) moments.add(w(k, k));
  }
  return moments;
}

}  // namespace

TEST_CASE("The pulse plan has the published numbers", "[nn][kat]") {
  PulseOptions options;
  options.desired_pulses = 7;
  // k = 0.01 * 2 * 0.5 / 0.001 = 10 > 7: d is scaled by 0.7, every slot fires at the largest |x| and |d|
  PulsePlan plan = plan_pulses(options, 0.001, 0.01, 2.0F, 0.5F);
  CHECK(plan.pulses == 7);
  CHECK(plan.input_factor * 2.0F == Approx(1.0));
  CHECK(plan.delta_factor * 0.5F == Approx(1.0));
  // k = 2.5: three slots, sqrt(2.5 / 3) each
  plan = plan_pulses(options, 0.001, 0.01, 2.0F, 0.125F);
  CHECK(plan.pulses == 3);
  CHECK(plan.input_factor * 2.0F == Approx(std::sqrt(2.5 / 3.0)));
  CHECK(plan.delta_factor * 0.125F == Approx(std::sqrt(2.5 / 3.0)));
  options.length_management = false;
  CHECK(plan_pulses(options, 0.001, 0.01, 2.0F, 0.125F).pulses == 7);
  options.update_management = false;  // A = B = sqrt(0.01 / (0.001 * 7))
  plan = plan_pulses(options, 0.001, 0.01, 2.0F, 5.0F);
  CHECK(plan.input_factor == Approx(std::sqrt(10.0 / 7.0)));
  CHECK(plan.delta_factor == plan.input_factor);
  CHECK(plan_pulses(options, 0.001, 0.01, 0.0F, 5.0F).pulses == 0);
}

TEST_CASE("With mean gradients of a batch of 64 length management always takes one slot", "[nn][analytic]") {
  for (const int desired : {1, 3, 5, 7}) {
    PulseOptions options;
    options.desired_pulses = desired;
    for (const float delta : {1.0F, 0.3F, 0.01F}) {  // |softmax - target| of a sample, at most 1
      const PulsePlan plan = plan_pulses(options, 0.001, 0.01, 1.0F, delta / 64.0F);
      CHECK(plan.pulses == 1);
      CHECK(plan.input_factor == Approx(std::sqrt(10.0 * delta / 64.0)));
    }
  }
}

TEST_CASE("Mean and variance of the pulsed update are those of its formula", "[nn][statistics]") {
  // BL slots, each a coincidence with probability p: mean -rate x d, variance BL p (1 - p) dw^2 + BL p (c
  // dw)^2.
  constexpr int kUpdates = 1500;
  for (const int pulses : {1, 5, 31})
    for (const float x : {0.8F, -0.4F}) {
      CAPTURE(pulses, x);
      const float d = 0.05F;
      const AnalogDevice device = uniform_device();
      PulseOptions options;
      options.desired_pulses = pulses;
      options.length_management = false;
      PulsedArray array(device, options, 5, 1, kSize, kSize);
      const Moments m = changes(array, x, d, 0.01, kUpdates);
      const double mean = -0.01 * x * d, p = std::abs(mean) / (pulses * device.step);
      const double dw2 = device.step * device.step, c2 = device.cycle_spread * device.cycle_spread;
      const double variance = pulses * p * (1.0 - p) * dw2 + pulses * p * c2 * dw2;
      CHECK(std::abs(m.mean() - mean) < 5.0 * m.mean_error());
      // The fourth moment of a sum of rare steps dominates the error of the variance: at most
      // variance * (3 variance + (1 + 6 c^2 + 3 c^4) dw^2).
      const double fourth = variance * (3.0 * variance + (1.0 + 6.0 * c2 + 3.0 * c2 * c2) * dw2);
      CHECK(std::abs(m.variance() - variance) < 5.0 * std::sqrt(fourth / m.count));
    }
}

TEST_CASE("With all slots firing only the noise of the cycles is left", "[nn][analytic]") {
  PulseOptions options;
  options.desired_pulses = 4;
  PulsedArray exact(uniform_device(0.0), options, 5, 1, kSize, kSize);
  const MatrixF x = MatrixF::Ones(1, kSize), d = MatrixF::Constant(1, kSize, -1.0F);
  MatrixF w = MatrixF::Zero(kSize, kSize);
  exact.update(x, d, 0.01, 0, 1, w);  // k = 10 > 4: four sure pulses up
  CHECK((w.array() - 0.004F).abs().maxCoeff() < 1e-8F);
}

TEST_CASE("Lines that are zero do not move, and signs follow the product", "[nn][property]") {
  PulsedArray array(AnalogDevice{}, PulseOptions{}, 5, 1, 40, 20);
  MatrixF x = MatrixF::Constant(8, 40, 0.7F), d = MatrixF::Constant(8, 20, 0.9F);
  x.leftCols(10).setZero();
  x.rightCols(10).setConstant(-0.7F);
  d.leftCols(5).setZero();
  d.rightCols(5).setConstant(-0.9F);
  MatrixF w = MatrixF::Zero(40, 20);
  for (std::uint64_t step = 0; step < 4; ++step) array.update(x, d, 0.05, step, 2, w);
  CHECK(w.topRows(10).isZero(0.0));
  CHECK(w.leftCols(5).isZero(0.0));
  CHECK(w.block(10, 5, 20, 10).mean() < -0.05F);
  CHECK(w.block(10, 15, 20, 5).mean() > 0.05F);
  CHECK(w.block(30, 5, 10, 10).mean() > 0.05F);
  CHECK(w.block(30, 15, 10, 5).mean() < -0.05F);
}

TEST_CASE("One normal for several pulses has the distribution of pulse by pulse", "[nn][statistics]") {
  // An exponential step with A = 0 is a constant step that is drawn and clipped pulse by pulse. A bound four
  // steps away is met by the last pulse: only a path that passes the bound and comes back makes a difference.
  AnalogDevice together = uniform_device(), single = uniform_device();
  single.law = DeviceLaw::exponential_step;
  single.exponential_a_up = single.exponential_a_down = 0.0;
  for (const double bound : {0.6, 0.004}) {
    CAPTURE(bound);
    together.bound = single.bound = bound;
    PulseOptions options;
    options.desired_pulses = 4;
    PulsedArray a(together, options, 5, 1, kSize, kSize), b(single, options, 5, 2, kSize, kSize);
    const Moments ma = changes(a, 1.0F, -1.0F, 0.02, 400), mb = changes(b, 1.0F, -1.0F, 0.02, 400);
    const double error = std::hypot(ma.mean_error(), mb.mean_error());
    CHECK(std::abs(ma.mean() - mb.mean()) < 5.0 * error);
    CHECK(error < 0.01 * together.step);
    if (bound > 0.1)
      CHECK(std::abs(ma.variance() - mb.variance()) < 5.0 * ma.variance() * std::sqrt(4.0 / ma.count));
  }
}

TEST_CASE("Devices differ as their spreads say and stay between their bounds", "[nn][statistics]") {
  AnalogDevice law;
  PulsedArray array(law, PulseOptions{}, 5, 1, 80, 60);
  Moments up, high, asymmetry;
  for (Index i = 0; i < 80; ++i)
    for (Index j = 0; j < 60; ++j) {
      const DeviceParameters& device = array.device(i, j);
      up.add(device.up), high.add(device.high);
      asymmetry.add((device.up + device.down) / (device.up - device.down));
      REQUIRE((device.up > 0.0F && device.down < 0.0F && device.low < 0.0F && device.high > 0.0F));
    }
  // |1 + 0.3 z| differs from 1 + 0.3 z in mean by 2e-5.
  const double root = std::sqrt(up.count);
  CHECK(std::abs(up.mean() / law.step - 1.0) < 5.0 * 0.3 / root + 1e-4);
  CHECK(std::abs(std::sqrt(up.variance()) / law.step - 0.3) < 5.0 * 0.3 / root + 1e-3);
  CHECK(std::abs(high.mean() / law.bound - 1.0) < 5.0 * 0.3 / root + 1e-4);
  CHECK(std::abs(asymmetry.mean()) < 5.0 * 0.01 / root);
  CHECK(std::abs(std::sqrt(asymmetry.variance()) - 0.01) < 5.0 * 0.01 / root);

  MatrixF w = MatrixF::Zero(80, 60);
  const MatrixF x = MatrixF::Ones(4, 80), d = MatrixF::Constant(4, 60, -1.0F);
  for (std::uint64_t step = 0; step < 30; ++step) array.update(x, d, 0.1, step, 1, w);
  MatrixF clipped = w;
  array.clip(clipped);
  CHECK(clipped == w);
  CHECK(w.mean() == Approx(high.mean()).epsilon(0.01));  // all the way up
}

TEST_CASE("Steps of the laws have their known values", "[nn][kat]") {
  AnalogDevice law = uniform_device();
  law.law = DeviceLaw::soft_bounds;
  PulsedArray soft(law, PulseOptions{}, 5, 1, 1, 1);
  CHECK(soft.mean_step(0, 0, 0.0F, true) == Approx(0.001));
  CHECK(soft.mean_step(0, 0, 0.6F, true) == Approx(0.0).margin(1e-9));
  CHECK(soft.mean_step(0, 0, 0.3F, true) == Approx(0.0005));
  CHECK(soft.mean_step(0, 0, 0.3F, false) == Approx(-0.0015));
  CHECK(soft.symmetry_point(0, 0) == Approx(0.0).margin(1e-6));
  law.asymmetry = 0.2;  // 1.2 (1 - u) = 0.8 (1 + u): u = 0.2 of the bound
  CHECK(PulsedArray(law, PulseOptions{}, 5, 1, 1, 1).symmetry_point(0, 0) == Approx(0.12).epsilon(1e-5));
  law.law = DeviceLaw::linear_step;
  law.asymmetry = 0.0;
  law.slope_up = 0.5;
  CHECK(PulsedArray(law, PulseOptions{}, 5, 1, 1, 1).mean_step(0, 0, 0.3F, true) == Approx(0.00075));
  law = uniform_device();
  law.law = DeviceLaw::exponential_step;
  PulsedArray exponential(law, PulseOptions{}, 5, 1, 1, 1);
  const auto up = [](double w) {
    return 1.0 - 0.00081 * std::exp(12.44625 * (2.0 * 0.244 * w / 1.2 + 0.2425));
  };
  const auto down = [](double w) {
    return 1.0 - 0.36833 * std::exp(-12.78785 * (2.0 * 0.244 * w / 1.2 + 0.2425));
  };
  CHECK(exponential.mean_step(0, 0, 0.2F, true) == Approx(0.001 * up(0.2)).epsilon(1e-5));
  CHECK(exponential.mean_step(0, 0, -0.2F, false) == Approx(-0.001 * down(-0.2)).epsilon(1e-5));
  CHECK(up(0.0) == Approx(0.983).epsilon(1e-3));  // both are nearly the full step at weight 0
  CHECK(down(0.0) == Approx(0.983).epsilon(1e-3));
}
