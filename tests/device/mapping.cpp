#include "device/mapping.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"

using namespace crosstile;
using namespace crosstile::device;

namespace {

Matrix uniform_weights() { return 2.0 * random_uniform_matrix({3, Stream::test, 0}, 40, 30).array() - 1.0; }

std::vector<MappingSpec> all_mappings() {
  std::vector<MappingSpec> specs;
  for (const PairMode mode : {PairMode::one_sided, PairMode::biased})
    for (const Sharing sharing : {Sharing::equal, Sharing::in_order})
      for (const std::vector<double>& significance : {std::vector<double>{1.0}, {1.0, 1.0}, {4.0, 1.0, 0.25}})
        specs.push_back({.mode = mode, .sharing = sharing, .g_bias_siemens = 10e-6, .significance = significance});
  return specs;
}

double rms(const Matrix& m) { return std::sqrt(m.array().square().mean()); }

}  // namespace

TEST_CASE("Every mapping stays in range and gives the weights back", "[device][identity]") {
  Matrix weights = uniform_weights();
  weights(0, 0) = 1.0, weights(0, 1) = -1.0, weights(0, 2) = 0.0;
  for (const MappingSpec& spec : all_mappings()) {
    INFO(data::to_name(spec.mode) << " " << data::to_name(spec.sharing) << " " << spec.significance.size());
    const auto pairs = map_weights(spec, weights);
    CHECK((weights_of(spec, pairs) - weights).cwiseAbs().maxCoeff() < 1e-13);
    for (std::size_t k = 0; k < pairs.plus.size(); ++k)
      for (const Matrix* g : {&pairs.plus[k], &pairs.minus[k]}) {
        CHECK(g->minCoeff() >= spec.g_min_siemens * (1.0 - 1e-12));
        CHECK(g->maxCoeff() <= spec.g_max_siemens * (1.0 + 1e-12));
      }
    const double rest = spec.mode == PairMode::biased ? spec.g_bias_siemens : spec.g_min_siemens;
    CHECK(pairs.plus[0](0, 2) == Approx(rest).epsilon(1e-13));
    CHECK(pairs.minus[0](0, 2) == Approx(rest).epsilon(1e-13));
  }
}

TEST_CASE("A weight of one fills a plain pair, and g_min stays on the other side", "[device][analytic]") {
  const auto pairs = map_weights({}, (Matrix(1, 2) << 1.0, -0.5).finished());
  CHECK(pairs.plus[0](0, 0) == Approx(25e-6));
  CHECK(pairs.minus[0](0, 0) == Approx(0.1e-6));
  CHECK(pairs.plus[0](0, 1) == Approx(0.1e-6));
  CHECK(pairs.minus[0](0, 1) == Approx(12.55e-6));
  const auto in_order = map_weights({.sharing = Sharing::in_order, .significance = {1.0, 1.0}}, (Matrix(1, 1) << 0.6).finished());
  CHECK(in_order.plus[0](0, 0) == Approx(25e-6));                     // the first pair is full
  CHECK(in_order.plus[1](0, 0) == Approx(0.1e-6 + 0.2 * 24.9e-6));  // the second carries the rest
}

TEST_CASE("Several devices per weight average their programming noise", "[device][statistics]") {
  const Matrix weights = Matrix::Constant(120, 120, 0.5);
  const auto model = pcm_default();
  const auto error_of = [&](const MappingSpec& spec, std::uint32_t tile) {
    return rms(weights_of(spec, program_weights(model, spec, weights, 9, tile)) - weights);
  };
  const double one = error_of({}, 0), four = error_of({.significance = {1.0, 1.0, 1.0, 1.0}}, 10);
  CHECK(four / one == Approx(0.5).margin(5.0 * 0.5 * std::sqrt(2.0 / (2.0 * 14400.0))));
}

TEST_CASE("Less significant pairs make good the errors of the ones before", "[device][statistics]") {
  const Matrix weights = 0.8 * uniform_weights();
  const auto model = pcm_default();
  MappingSpec spec{.sharing = Sharing::in_order, .significance = {1.0, 0.1}};
  std::vector<ProgrammedArray> arrays;
  const auto shown = program_weights(model, spec, weights, 9, 0, &arrays);
  REQUIRE(arrays.size() == 4);
  CHECK(arrays[2].programmed_siemens == shown.plus[1]);
  const double corrected = rms(weights_of(spec, shown) - weights);
  MappedPairs blind = map_weights(spec, weights);
  for (std::size_t k = 0; k < 2; ++k) {
    blind.plus[k] = program(model, blind.plus[k], 9, static_cast<std::uint32_t>(2 * k)).programmed_siemens;
    blind.minus[k] = program(model, blind.minus[k], 9, static_cast<std::uint32_t>(2 * k + 1)).programmed_siemens;
  }
  CHECK(corrected < 0.35 * rms(weights_of(spec, blind) - weights));
}

TEST_CASE("Mappings refuse bad input by name", "[device][error]") {
  Matrix weights = Matrix::Zero(2, 3);
  weights(1, 2) = 1.5;
  CHECK_THROWS_WITH(map_weights({}, weights), Catch::Contains("weight(1, 2) = 1.5"));
  const Matrix fine = Matrix::Zero(2, 3);
  CHECK_THROWS_WITH(map_weights({.g_max_siemens = 0.0}, fine), Catch::Contains("g_max_siemens = 0"));
  CHECK_THROWS_WITH(map_weights({.mode = PairMode::biased, .g_bias_siemens = 26e-6}, fine), Catch::Contains("g_bias_siemens"));
  CHECK_THROWS_WITH(map_weights({.significance = {}}, fine), Catch::Contains("number of factors"));
  CHECK_THROWS_WITH(map_weights({.significance = {1.0, 2.0}}, fine), Catch::Contains("significance = 2"));
  CHECK_THROWS_WITH(weights_of({.significance = {1.0, 1.0}}, map_weights({}, fine)), Catch::Contains("1 pairs for 2"));
}
