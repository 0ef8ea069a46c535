#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "device/pcm.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

constexpr double kHour = 3600.0, kDay = 86400.0, kYear = 365.0 * kDay;

Matrix constant(Index rows, Index cols, double value) { return Matrix::Constant(rows, cols, value); }

double mean_of(const Matrix& m) { return m.mean(); }
double variance_of(const Matrix& m) { return (m.array() - m.mean()).square().sum() / static_cast<double>(m.size() - 1); }
double correlation_of(const Matrix& a, const Matrix& b) {
  const double product = ((a.array() - a.mean()) * (b.array() - b.mean())).mean();
  return product / std::sqrt(variance_of(a) * variance_of(b));
}

/// Five standard errors of a sample variance of normal numbers.
double five_errors_of_variance(Index n, double variance) { return 5.0 * variance * std::sqrt(2.0 / static_cast<double>(n - 1)); }
double five_errors_of_mean(Index n, double variance) { return 5.0 * std::sqrt(variance / static_cast<double>(n)); }

}  // namespace

TEST_CASE("Programming sigma of the default set has its known values", "[device][kat]") {
  const auto model = pcm_default();
  CHECK(model.programming.sigma(1.0) == Approx(1.05538e-6).epsilon(1e-12));
  CHECK(model.programming.sigma(0.0) == Approx(0.26348e-6).epsilon(1e-12));
  CHECK(model.programming.sigma(0.5) == Approx(0.952705e-6).epsilon(1e-12));
  CHECK(pcm_default(50e-6).programming.sigma(1.0) == Approx(2.11076e-6).epsilon(1e-12));  // scales with g_max
}

TEST_CASE("Accumulated read-noise time factors have their known values", "[device][kat]") {
  const auto model = pcm_default();
  const double t0 = model.drift.t0_s;
  REQUIRE(t0 == 20.0);
  CHECK(model.read.time_factor(t0) == Approx(4.1838).margin(5e-5));
  CHECK(model.read.time_factor(t0 + kHour) == Approx(4.7648).margin(5e-5));
  CHECK(model.read.time_factor(t0 + kDay) == Approx(5.0868).margin(5e-5));
  CHECK(model.read.time_factor(t0 + kYear) == Approx(5.6370).margin(5e-5));
}

TEST_CASE("Drift mean and spread and Q_s have their known values and clips", "[device][kat]") {
  const auto model = pcm_default();
  CHECK(model.drift.mean(1.0) == 0.049);
  CHECK(model.drift.mean(0.1) == Approx(0.0600900689414077).epsilon(1e-11));
  CHECK(model.drift.mean(1e-3) == 0.1);
  CHECK(model.drift.spread(1.0) == 0.008);
  CHECK(model.drift.spread(0.1) == Approx(0.0228823136624256).epsilon(1e-11));
  CHECK(model.drift.spread(1e-3) == 0.045);
  CHECK(model.read.q_s(1.0) == 0.0088);
  CHECK(model.read.q_s(0.1) == Approx(0.0393081561092848).epsilon(1e-11));  // 0.0088 * 10^0.65
  CHECK(model.read.q_s(1e-3) == 0.2);
  CHECK(model.drift.mean(0.0) == model.drift.mean(1e-7));  // the floor keeps logarithms finite
  CHECK(model.read.q_s(0.0) == 0.2);
}

TEST_CASE("Published sets have their coefficients", "[device][kat]") {
  // At g = 1 the polynomial is the sum of its coefficients, at g = 0 the first one.
  struct Row {
    std::string name;
    double g_max_siemens, t0_s, sigma_0, sigma_1;
  };
  const std::vector<Row> rows{{"pcm-2019", 25e-6, 20.0, 0.26348e-6, 1.05538e-6},
                              {"pcm-hermes-2", 20.7e-6, 20.0, 0.16603e-6, 1.09269e-6},
                              {"pcm-hermes-1", 10.35e-6, 20.0, 0.15782e-6, 1.00757e-6},
                              {"rram-1s", 40e-6, 1.0, 0.348e-6, 1.103e-6},
                              {"rram-1day", 40e-6, kDay, 0.701e-6, 2.651e-6},
                              {"rram-2days", 40e-6, 2.0 * kDay, 0.782e-6, 2.677e-6}};
  REQUIRE(device_model_names().size() == rows.size());
  for (const auto& row : rows) {
    INFO(row.name);
    const auto model = device_model(row.name);
    CHECK(model.name == row.name);
    CHECK(model.g_max_siemens == Approx(row.g_max_siemens).epsilon(1e-12));
    CHECK(model.drift.t0_s == row.t0_s);
    CHECK(model.programming.sigma(0.0) == Approx(row.sigma_0).epsilon(1e-12));
    CHECK(model.programming.sigma(1.0) == Approx(row.sigma_1).epsilon(1e-10));
  }
}

TEST_CASE("Every named model programs with its own sigma and reads at its own t0", "[device][identity][statistics]") {
  constexpr Index n = 100;
  for (const auto& name : device_model_names()) {
    INFO(name);
    const auto model = device_model(name);
    CHECK_NOTHROW(model.validate());
    CHECK_FALSE(model.source.empty());
    const double g = 0.6, sigma = model.programming.sigma(g);
    const auto array = program(model, constant(n, n, g * model.g_max_siemens), 3, 0);
    CHECK(std::abs(variance_of(array.programmed_siemens) - sigma * sigma) < five_errors_of_variance(n * n, sigma * sigma));
    const Matrix later = conductance_at(model, array, model.drift.t0_s + kHour, 3, 0, 0);
    CHECK(later.allFinite());
    const bool relaxes_only = name.rfind("rram", 0) == 0;
    CHECK((later == array.programmed_siemens) == relaxes_only);
  }
}

TEST_CASE("Programmed conductances scatter around the target with the model's sigma", "[device][statistics]") {
  constexpr Index n = 200;
  const auto model = pcm_default();
  for (const double g : {0.25, 0.5, 1.0}) {
    INFO("g = " << g);
    const double sigma = model.programming.sigma(g);
    const auto array = program(model, constant(n, n, g * model.g_max_siemens), 1, 7);
    CHECK(std::abs(mean_of(array.programmed_siemens) - g * model.g_max_siemens) < five_errors_of_mean(n * n, sigma * sigma));
    CHECK(std::abs(variance_of(array.programmed_siemens) - sigma * sigma) < five_errors_of_variance(n * n, sigma * sigma));
  }
}

TEST_CASE("A cell programmed to zero keeps the positive half of its programming noise", "[device][statistics]") {
  constexpr Index n = 200;
  const auto model = pcm_default();
  const auto array = program(model, constant(n, n, 0.0), 1, 0);
  CHECK(array.programmed_siemens.minCoeff() == 0.0);
  const double zeros = (array.programmed_siemens.array() == 0.0).cast<double>().mean();
  CHECK(std::abs(zeros - 0.5) < 5.0 * 0.5 / n);
  // max(0, N(0, sigma)): mean sigma / sqrt(2 pi), variance sigma^2 (1/2 - 1/(2 pi)).
  const double sigma = model.programming.sigma(0.0);
  const double variance = sigma * sigma * (0.5 - 0.5 / std::numbers::pi);
  CHECK(std::abs(mean_of(array.programmed_siemens) - sigma / std::sqrt(2.0 * std::numbers::pi)) <
        five_errors_of_mean(n * n, variance));
}

TEST_CASE("Drift exponents have the model's mean and spread and do not follow the programming error", "[device][statistics]") {
  constexpr Index n = 200;
  const auto model = pcm_default();
  for (const double g : {0.2, 1.0}) {  // here |N| = N but for one cell in 10^5: the fold is invisible
    INFO("g = " << g);
    const double mu = model.drift.mean(g), s = model.drift.spread(g);
    const auto array = program(model, constant(n, n, g * model.g_max_siemens), 5, 2);
    CHECK(std::abs(mean_of(array.nu) - mu) < five_errors_of_mean(n * n, s * s));
    CHECK(std::abs(variance_of(array.nu) - s * s) < five_errors_of_variance(n * n, s * s));
    CHECK(std::abs(correlation_of(array.nu, array.programmed_siemens)) < 5.0 / n);
  }
}

TEST_CASE("Drift exponents are folded to positive values", "[device][statistics]") {
  constexpr Index n = 200;
  auto model = pcm_default();
  model.drift.mu_low = model.drift.mu_high = 0.0;
  model.drift.s_low = model.drift.s_high = 0.03;
  const auto array = program(model, constant(n, n, 10e-6), 5, 2);
  CHECK(array.nu.minCoeff() >= 0.0);
  const double mean = 0.03 * std::sqrt(2.0 / std::numbers::pi);
  CHECK(std::abs(mean_of(array.nu) - mean) < five_errors_of_mean(n * n, 0.03 * 0.03 * (1.0 - 2.0 / std::numbers::pi)));
}

TEST_CASE("Without read noise the conductance follows the power law exactly", "[device][analytic]") {
  auto model = pcm_default();
  model.read.q_max = 0.0;
  const ProgrammedArray array{constant(1, 2, 10e-6), constant(1, 2, 12e-6), (Matrix(1, 2) << 0.05, 0.0).finished()};
  const Matrix start = conductance_at(model, array, 20.0, 1, 0, 0);
  CHECK(start == array.programmed_siemens);
  const Matrix later = conductance_at(model, array, 20.0 + kHour, 1, 0, 0);
  CHECK(later(0, 0) == Approx(12e-6 * std::pow(181.0, -0.05)).epsilon(1e-14));
  CHECK(later(0, 1) == 12e-6);
}

TEST_CASE("Read noise scales with the drifted conductance and takes Q_s from the target", "[device][analytic]") {
  const auto model = pcm_default();
  const ProgrammedArray array{constant(3, 5, 12.5e-6), constant(3, 5, 20e-6), constant(3, 5, 0.08)};
  const double t = 20.0 + kDay;
  const Matrix read = conductance_at(model, array, t, 9, 4, 2);
  const Matrix normals = random_normal_matrix({9, Stream::read_noise, 4}, 3, 5, 2);
  const double drifted = 20e-6 * std::pow(t / 20.0, -0.08);
  const double q = 0.0088 * std::pow(0.5, -0.65);
  const double factor = std::sqrt(std::log((t + 250e-9) / 500e-9));
  for (Index k = 0; k < read.size(); ++k)
    CHECK(read.data()[k] == Approx(drifted * (1.0 + q * factor * normals.data()[k])).epsilon(1e-13));
}

TEST_CASE("Read noise has the model's variance and is new for every event", "[device][statistics]") {
  constexpr Index n = 200;
  const auto model = pcm_default();
  const ProgrammedArray array{constant(n, n, 25e-6), constant(n, n, 25e-6), constant(n, n, 0.0)};
  const double t = 20.0 + kHour;
  const Matrix first = conductance_at(model, array, t, 1, 0, 0), second = conductance_at(model, array, t, 1, 0, 1);
  const double sigma = 25e-6 * 0.0088 * 4.76478;
  CHECK(std::abs(mean_of(first) - 25e-6) < five_errors_of_mean(n * n, sigma * sigma));
  CHECK(std::abs(variance_of(first) - sigma * sigma) < five_errors_of_variance(n * n, sigma * sigma));
  CHECK(std::abs(correlation_of(first, second)) < 5.0 / n);
}

TEST_CASE("Read noise never makes a conductance negative", "[device][property]") {
  auto model = pcm_default();
  const auto array = program(model, constant(100, 100, 0.1e-6), 1, 0);
  const Matrix read = conductance_at(model, array, 20.0 + kYear, 1, 0, 0);  // relative sigma is 1.1 here
  CHECK(read.minCoeff() == 0.0);
  CHECK(read.maxCoeff() > 0.0);
}

TEST_CASE("Programming and reading give the same bits from any thread", "[device][property]") {
  const auto model = pcm_default();
  const Matrix target = 20e-6 * random_uniform_matrix({4, Stream::test, 0}, 17, 23);
  std::vector<Matrix> expected(8), found(8);
  const auto read_of = [&](Index tile) {
    const auto array = program(model, target, 6, static_cast<std::uint32_t>(tile));
    return conductance_at(model, array, 100.0, 6, static_cast<std::uint32_t>(tile), 3);
  };
  for (Index tile = 0; tile < 8; ++tile) expected[static_cast<std::size_t>(tile)] = read_of(tile);
  parallel_for(8, 4, [&](Index tile, int) { found[static_cast<std::size_t>(tile)] = read_of(tile); });
  CHECK(found == expected);
  CHECK(expected[0] != expected[1]);
}

TEST_CASE("Device statistics refuse bad input by name", "[device][error]") {
  const auto model = pcm_default();
  Matrix target = constant(2, 3, 10e-6);
  target(1, 2) = -1e-6;
  CHECK_THROWS_WITH(program(model, target, 1, 0), Catch::Contains("target_siemens(1, 2) = -1e-06"));
  target(1, 2) = 26e-6;
  CHECK_THROWS_WITH(program(model, target, 1, 0), Catch::Contains("target_siemens(1, 2)") && Catch::Contains("2.5e-05"));
  target(1, 2) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(program(model, target, 1, 0), Catch::Contains("target_siemens(1, 2)"));

  auto array = program(model, constant(2, 3, 10e-6), 1, 0);
  CHECK_THROWS_WITH(conductance_at(model, array, 19.0, 1, 0, 0), Catch::Contains("t_s") && Catch::Contains("20"));
  array.nu.resize(3, 2);
  CHECK_THROWS_WITH(conductance_at(model, array, 30.0, 1, 0, 0), Catch::Contains("differ in shape"));
  CHECK_THROWS_WITH(device_model("pcm-2091"), Catch::Contains("pcm-2091") && Catch::Contains("pcm-hermes-2"));
  CHECK_THROWS_WITH(pcm_default(0.0), Catch::Contains("g_max_siemens"));
  CHECK_THROWS_WITH(model.read.time_factor(1e-9), Catch::Contains("read noise time"));

  auto wrong = model;
  wrong.drift.mu_low = 0.2;
  CHECK_THROWS_WITH(wrong.validate(), Catch::Contains("drift.mu_high"));
  wrong = model;
  wrong.programming.sigma_siemens = {1e-6, -2e-6};
  CHECK_THROWS_WITH(wrong.validate(), Catch::Contains("programming.sigma_siemens at g = 0.51"));
  try {
    device_model("x");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
  }
}
