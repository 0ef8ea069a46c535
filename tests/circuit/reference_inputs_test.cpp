// Weights and inputs of reference sets: their statistics, and that they depend on nothing but the seed.
#include "circuit/reference_inputs.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "../core/scratch.hpp"
#include "circuit/reference.hpp"
#include "core/files.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;
using crosstile::testing::ScratchFolder;

namespace {

struct Pair {
  Index i, j, k, l;
};

// Mean of z(i, j) z(k, l) over independent fields: its expectation is their correlation rho when both have
// variance 1, and for a Gaussian field its standard error sqrt((1 + rho^2) / fields).
template <typename Field>
double mean_product(const Field& field, Index fields, const Pair& p) {
  double sum = 0.0;
  for (Index f = 0; f < fields; ++f) {
    const Matrix z = field(static_cast<std::uint32_t>(f));
    sum += z(p.i, p.j) * z(p.k, p.l);
  }
  return sum / static_cast<double>(fields);
}

double five_errors(double rho, Index fields) {
  return 5.0 * std::sqrt((1.0 + rho * rho) / static_cast<double>(fields));
}
double five_errors_of_share(double p, Index count) {
  return 5.0 * std::sqrt(p * (1.0 - p) / static_cast<double>(count));
}

template <typename Values>
double share(const Values& mask) {
  return static_cast<double>(mask.count()) / static_cast<double>(mask.size());
}

// A normal so far inside the clip that the weight is z / 100.
DrawOptions unclipped() {
  DrawOptions options;
  options.weight_clip = 100.0;
  return options;
}

constexpr Index kFields = 6000;

}  // namespace

TEST_CASE("A correlated field has variance 1 and correlation exp(-distance / length) along both axes",
          "[statistics]") {
  const auto field = [](std::uint32_t f) {
    return correlated_field({5, Stream::weights, f}, 9, 12, 4.0, 1.5);
  };
  for (const Pair& p : {Pair{0, 0, 0, 0}, Pair{8, 11, 8, 11}, Pair{2, 3, 3, 3}, Pair{1, 3, 7, 3},
                        Pair{4, 2, 4, 3}, Pair{4, 1, 4, 9}, Pair{6, 2, 3, 5}, Pair{0, 5, 4, 4}}) {
    CAPTURE(p.i, p.j, p.k, p.l);
    const double rho = std::exp(-std::abs(static_cast<double>(p.i - p.k)) / 4.0 -
                                std::abs(static_cast<double>(p.j - p.l)) / 1.5);
    CHECK(mean_product(field, kFields, p) == Approx(rho).margin(five_errors(rho, kFields)));
  }
}

TEST_CASE("A correlation length of 0 leaves that axis independent", "[statistics]") {
  const auto field = [](std::uint32_t f) {
    return correlated_field({6, Stream::weights, f}, 5, 5, 0.0, 8.0);
  };
  CHECK(mean_product(field, kFields, {1, 2, 2, 2}) == Approx(0.0).margin(five_errors(0.0, kFields)));
  const double rho = std::exp(-1.0 / 8.0);
  CHECK(mean_product(field, kFields, {1, 2, 1, 3}) == Approx(rho).margin(five_errors(rho, kFields)));
}

TEST_CASE("Shares of the variance go to the field, the rows and the columns, and the whole keeps variance 1",
          "[statistics]") {
  DrawOptions options = unclipped();
  options.correlated_share = 0.3;
  options.row_share = 0.2;
  options.column_share = 0.4;
  options.correlation_length_rows = options.correlation_length_cols = 3.0;
  const auto field = [&](std::uint32_t f) {
    return Matrix(100.0 * draw_weights(options, 8, f, 6, 6, false));
  };
  const double near = 0.3 * std::exp(-1.0 / 3.0), far = 0.3 * std::exp(-2.0 / 3.0);
  const std::pair<Pair, double> expected[] = {
      {{2, 2, 2, 2}, 1.0}, {{2, 2, 2, 3}, 0.2 + near}, {{2, 2, 3, 2}, 0.4 + near}, {{2, 2, 3, 3}, far}};
  for (const auto& [p, rho] : expected) {
    CAPTURE(p.i, p.j, p.k, p.l);
    CHECK(mean_product(field, kFields, p) == Approx(rho).margin(five_errors(rho, kFields)));
  }
}

TEST_CASE("Without shares the normal weights are the numbers of the seed's weight stream", "[kat]") {
  const Matrix w = draw_weights(unclipped(), 11, 2, 7, 5, false);
  const Matrix z = random_normal_matrix({11, Stream::weights, 2}, 7, 5);
  CHECK((100.0 * w - z).cwiseAbs().maxCoeff() < 1e-14);
}

TEST_CASE("Every distribution of weights has its own quantiles", "[statistics]") {
  DrawOptions options;
  const auto draw = [&](WeightDistribution kind) {
    options.weights = kind;
    return Array(draw_weights(options, 3, 0, 200, 200, false).array());
  };
  const auto check = [](double found, double p) {
    CHECK(found == Approx(p).margin(five_errors_of_share(p, 40000)));
  };
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };

  const Array uniform = draw(WeightDistribution::uniform);
  for (const double x : {-0.7, 0.1, 0.6}) check(share(uniform < x), 0.5 * (1.0 + x));

  const Array lognormal = draw(WeightDistribution::lognormal);
  check(share(lognormal < 0.0), 0.5);
  check(share(lognormal.abs() < 1.0 / 2.6), 0.5);  // the median of |w| is 1
  check(share(lognormal.abs() < std::exp(0.5) / 2.6), below(1.0));
  check(share(lognormal.abs() == 1.0), 1.0 - below(std::log(2.6) / 0.5));  // clipped

  const Array two = draw(WeightDistribution::bimodal);
  check(share(two < 0.0), 0.5);
  check(share(two.abs() < 0.9), 2.0 * (1.0 - below(1.0)));  // spread 0.1: one sigma below full
  CHECK(two.abs().maxCoeff() <= 1.0);
  options.bimodal_spread = 0.0;
  CHECK((draw(WeightDistribution::bimodal).abs() == 1.0).all());
}

TEST_CASE("One conductance per weight takes sizes only, and bimodal ones are on or off", "[statistics]") {
  DrawOptions options;
  for (const auto& kind : data::EnumNames<WeightDistribution>::value) {
    CAPTURE(kind.name);
    options.weights = kind.value;
    const Matrix size = draw_weights(options, 3, 0, 150, 100, true);
    CHECK(size.minCoeff() >= 0.0);
    CHECK(size.maxCoeff() <= 1.0);
  }
  options.weights = WeightDistribution::uniform;
  CHECK(share(draw_weights(options, 4, 0, 150, 100, true).array() < 0.25) ==
        Approx(0.25).margin(five_errors_of_share(0.25, 15000)));
  options.weights = WeightDistribution::bimodal;
  options.bimodal_spread = 0.0;
  const Array binary = draw_weights(options, 4, 0, 150, 100, true).array();
  CHECK((binary == 0.0 || binary == 1.0).all());
  CHECK(share(binary == 1.0) == Approx(0.5).margin(five_errors_of_share(0.5, 15000)));
}

TEST_CASE(
    "Bimodal weights with all their variance common to the columns are columns all on and columns all off",
    "[property]") {
  data::TileSpec tile = plain_tile(20, 30);
  tile.weight_layout = data::WeightLayout::pair_columns;
  DrawOptions options;
  options.weights = WeightDistribution::bimodal;
  options.bimodal_spread = 0.0;
  options.column_share = 1.0;
  const auto set = draw_reference_inputs(tile, options, 1);
  Index on = 0;
  for (Index j = 0; j < tile.cols; ++j) {
    const auto plus = set.g_plus_siemens[0].col(j).array();
    const auto minus = set.g_minus_siemens[0].col(j).array();
    CHECK((plus == plus[0]).all());
    CHECK((minus == minus[0]).all());
    CHECK(std::max(plus[0], minus[0]) == Approx(tile.g_max_siemens));
    CHECK(std::min(plus[0], minus[0]) == tile.g_min_siemens);
    on += plus[0] > minus[0] ? 1 : 0;
  }
  CHECK(on > 5);
  CHECK(on < 25);
}

TEST_CASE("Constant inputs share one size a vector, uniform ones stay below their scale", "[property]") {
  data::TileSpec tile = plain_tile(80, 2);
  DrawOptions options;
  options.vectors = 40;
  options.inputs = InputDistribution::constant;
  const auto constant = draw_reference_inputs(tile, options, 2);
  for (Index v = 0; v < 40; ++v) {
    const int largest = constant.codes.row(v).maxCoeff();
    CHECK((constant.codes.row(v).array() == 0 || constant.codes.row(v).array() == largest).all());
    CHECK(largest >= 12);  // 0.1 of 127 rounds to 13
    CHECK(largest <= 77);
  }
  options.inputs = InputDistribution::uniform;
  options.scale_low = options.scale_high = 0.5;
  options.density_low = 1.0;
  const auto uniform = draw_reference_inputs(tile, options, 2);
  CHECK(uniform.codes.maxCoeff() <= 64);
  const double n = 80.0 * 40.0;  // 63.5 u has mean 31.75 and standard deviation 63.5 / sqrt(12)
  CHECK(uniform.codes.cast<double>().mean() == Approx(31.75).margin(5.0 * 63.5 / std::sqrt(12.0 * n)));
}

TEST_CASE("Held-out draws have no vector in the fit, the others keep their share", "[property]") {
  DrawOptions options;
  options.draws = 5;
  options.vectors = 100;
  options.held_out_draws = 2;
  const auto set = draw_reference_inputs(plain_tile(4, 3), options, 1);
  for (int d = 0; d < 5; ++d) {
    CAPTURE(d);
    CHECK(((set.draw.array() == d) && set.held_out.array() == 1).count() == (d < 3 ? 5 : 20));
  }
}

TEST_CASE("Sets of correlated weights go on bitwise equal after an interrupt, whatever threads and shards",
          "[property]") {
  const ScratchFolder folder;
  data::TileSpec tile = plain_tile(10, 7);
  tile.weight_layout = data::WeightLayout::pair_columns;
  tile.pulse.dac_bits = 5;
  DrawOptions draw;
  draw.vectors = 23;
  draw.weights = WeightDistribution::bimodal;
  draw.correlated_share = 0.5;
  draw.column_share = 0.3;
  draw.inputs = InputDistribution::uniform;
  draw.signed_inputs = true;
  const auto inputs = draw_reference_inputs(tile, draw, 9);
  const auto hash_of = [&](const data::ReferenceSet& set, const char* name) {
    data::write_reference_set(folder.path() / name, set);
    return hash_file(folder.path() / name);
  };
  ReferenceOptions options;
  options.threads = 1;
  const std::string whole = hash_of(run_reference(inputs, options, folder.path() / "one"), "one.h5");
  options.threads = 4;
  options.vectors_per_shard = 3;
  CHECK(hash_of(run_reference(draw_reference_inputs(tile, draw, 9), options, folder.path() / "four"),
                "four.h5") == whole);
  int calls = 0;
  options.threads = 1;
  CHECK_THROWS_AS(run_reference(inputs, options, folder.path() / "parts",
                                [&](double, std::string_view) { return ++calls < 7; }),
                  Error);
  options.threads = 3;
  CHECK(hash_of(run_reference(inputs, options, folder.path() / "parts"), "parts.h5") == whole);
}

TEST_CASE("Shares beyond the whole variance and held-out draws beyond the draws are refused by name",
          "[error]") {
  DrawOptions options;
  options.correlated_share = options.column_share = 0.6;
  CHECK_THROWS_WITH(draw_reference_inputs(plain_tile(4, 4), options, 1),
                    Catch::Contains("correlated_share") && Catch::Contains("1.2"));
  options = {};
  options.held_out_draws = 2;
  CHECK_THROWS_WITH(draw_reference_inputs(plain_tile(4, 4), options, 1), Catch::Contains("held_out_draws"));
}
