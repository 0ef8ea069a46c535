#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "device/pcm.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

constexpr Index kSide = 150;
constexpr double kCells = double(kSide * kSide);

Matrix targets_of(double g_siemens) { return Matrix::Constant(kSide, kSide, g_siemens); }

PcmModel verified_model(int max_pulses) {
  PcmModel model = pcm_default();
  model.verify.max_pulses = max_pulses;
  return model;
}

}  // namespace

TEST_CASE("Anew until inside: the error is a truncated normal and the pulses are geometric", "[device][statistics][analytic]") {
  const auto model = verified_model(1000);
  const double target = 12.5e-6, sigma = model.programming.sigma(0.5), cut = model.verify.tolerance_siemens / sigma;
  const auto array = program(model, targets_of(target), 4, 0);
  const double inside = std::erf(cut / std::numbers::sqrt2);
  const double density = std::exp(-0.5 * cut * cut) / std::sqrt(2.0 * std::numbers::pi);
  const double variance = sigma * sigma * (1.0 - 2.0 * cut * density / inside);
  const Array error = array.programmed_siemens.array() - target;
  CHECK(error.abs().maxCoeff() <= model.verify.tolerance_siemens);
  CHECK(std::abs(error.mean()) < 5.0 * std::sqrt(variance / kCells));
  CHECK(std::abs(error.square().mean() - variance) < 5.0 * variance * std::sqrt(0.8 / kCells));  // flatter than normal: kurtosis < 1.8 + 1
  const double pulses = array.pulses.cast<double>().mean();
  CHECK(std::abs(pulses - 1.0 / inside) < 5.0 * std::sqrt((1.0 - inside) / (inside * inside) / kCells));
  CHECK(programming_yield(array, model.verify.tolerance_siemens) == 1.0);
}

TEST_CASE("Without verification nothing changes, and few pulses leave the rest outside", "[device][statistics]") {
  const auto single = program(verified_model(0), targets_of(12.5e-6), 4, 0);
  CHECK(single.pulses.maxCoeff() == 1);
  const auto model = verified_model(2);
  const auto twice = program(model, targets_of(12.5e-6), 4, 0);
  const double inside = std::erf(model.verify.tolerance_siemens / model.programming.sigma(0.5) / std::numbers::sqrt2);
  const double expected = 1.0 - std::pow(1.0 - inside, 3);  // three draws
  CHECK(std::abs(programming_yield(single, model.verify.tolerance_siemens) - inside) < 5.0 * std::sqrt(inside * (1.0 - inside) / kCells));
  CHECK(std::abs(programming_yield(twice, model.verify.tolerance_siemens) - expected) < 5.0 * std::sqrt(expected * (1.0 - expected) / kCells));
  const auto kept = (single.programmed_siemens - single.target_siemens).array().abs() <= model.verify.tolerance_siemens;
  CHECK((kept && single.programmed_siemens.array() != twice.programmed_siemens.array()).count() == 0);
}

TEST_CASE("Small noiseless corrections converge at the rate of the gain", "[device][analytic]") {
  auto model = verified_model(3);
  model.verify = {.max_pulses = 3, .tolerance_siemens = 0.0, .gain = 0.5, .pulse_noise = 0.0};
  const auto before = program(verified_model(0), targets_of(20e-6), 4, 0);
  const auto after = program(model, targets_of(20e-6), 4, 0);
  const Matrix error = after.programmed_siemens - after.target_siemens, first = before.programmed_siemens - before.target_siemens;
  CHECK((error - first / 8.0).cwiseAbs().maxCoeff() < 1e-18);
}

TEST_CASE("A noisy verifying read limits what verification reaches", "[device][statistics]") {
  auto model = verified_model(50);
  model.verify.read_sigma_siemens = 0.3e-6;
  const auto array = program(model, targets_of(12.5e-6), 4, 0);
  const Array error = array.programmed_siemens.array() - 12.5e-6;
  CHECK(programming_yield(array, model.verify.tolerance_siemens) < 0.97);
  CHECK(std::sqrt(error.square().mean()) > 0.3e-6);
  CHECK(std::sqrt(error.square().mean()) < 0.45e-6);
}

TEST_CASE("Stuck devices have their share, their conductance, no drift, and their own read noise", "[device][statistics]") {
  auto model = pcm_default();
  model.stuck = {.share_low = 0.02, .share_high = 0.05, .g_low_siemens = 0.05e-6, .g_high_siemens = 24e-6};
  const auto array = program(model, targets_of(5e-6), 4, 0);
  const double low = (array.stuck.array() == -1).cast<double>().mean(), high = (array.stuck.array() == 1).cast<double>().mean();
  CHECK(std::abs(low - 0.02) < 5.0 * std::sqrt(0.02 * 0.98 / kCells));
  CHECK(std::abs(high - 0.05) < 5.0 * std::sqrt(0.05 * 0.95 / kCells));
  const Matrix read = conductance_at(model, array, 20.0 + 86400.0, 4, 0, 0);
  double squares = 0.0, count = 0.0;
  for (Index i = 0; i < kSide; ++i)
    for (Index j = 0; j < kSide; ++j) {
      if (array.stuck(i, j) == 0) continue;
      REQUIRE(array.programmed_siemens(i, j) == (array.stuck(i, j) < 0 ? 0.05e-6 : 24e-6));
      REQUIRE(array.nu(i, j) == 0.0);
      if (array.stuck(i, j) < 0) continue;
      squares += std::pow(read(i, j) / 24e-6 - 1.0, 2);
      count += 1.0;
    }
  const double sigma = model.read.q_s(24.0 / 25.0) * model.read.time_factor(20.0 + 86400.0);
  CHECK(std::abs(squares / count - sigma * sigma) < 5.0 * sigma * sigma * std::sqrt(2.0 / count));
  // The others are what they were.
  const auto healthy = program(pcm_default(), targets_of(5e-6), 4, 0);
  CHECK((array.stuck.array() == 0 && array.programmed_siemens.array() != healthy.programmed_siemens.array()).count() == 0);
}

TEST_CASE("Verification and stuck devices refuse bad values by name", "[device][error]") {
  auto model = pcm_default();
  model.verify.gain = -1.0;
  CHECK_THROWS_WITH(model.validate(), Catch::Contains("verify.gain = -1"));
  model = pcm_default();
  model.stuck = {.share_low = 0.7, .share_high = 0.4};
  CHECK_THROWS_WITH(model.validate(), Catch::Contains("stuck.share_high") && Catch::Contains("0.3"));
  model = pcm_default();
  model.trace.shape.exponent = 3.0;
  CHECK_THROWS_WITH(model.validate(), Catch::Contains("exponent = 3"));
  model = pcm_default();
  model.telegraph.corner_high_hz = 0.1;
  CHECK_THROWS_WITH(model.validate(), Catch::Contains("telegraph.corner_high_hz = 0.1"));
}
