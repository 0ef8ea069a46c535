#include "validation/metrics.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "core/error.hpp"
#include "tests/validation/sample_sets.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

Matrix matrix(std::initializer_list<std::initializer_list<double>> rows) {
  Matrix out(static_cast<Index>(rows.size()), static_cast<Index>(rows.begin()->size()));
  Index i = 0;
  for (const auto& row : rows) {
    Index j = 0;
    for (const double value : row) out(i, j++) = value;
    ++i;
  }
  return out;
}

}  // namespace

TEST_CASE("Quantiles interpolate between order statistics at q (n - 1)", "[kat]") {
  std::vector<double> thousand;
  for (int k = 1000; k >= 0; --k) thousand.push_back(k);
  CHECK(quantile(thousand, 0.999) == 999.0);
  CHECK(quantile(thousand, 0.0) == 0.0);
  CHECK(quantile(thousand, 1.0) == 1000.0);
  // numpy.quantile([3, -1, 10, 7], [0.5, 0.9]) = [5, 9.1]
  CHECK(quantile({3.0, -1.0, 10.0, 7.0}, 0.5) == Approx(5.0).epsilon(1e-15));
  CHECK(quantile({3.0, -1.0, 10.0, 7.0}, 0.9) == Approx(9.1).epsilon(1e-15));
  CHECK(quantile({4.0}, 0.999) == 4.0);
  CHECK(abs_quantile(matrix({{-10.0, 3.0}, {7.0, -1.0}}), 0.9) == Approx(9.1).epsilon(1e-15));
}

TEST_CASE("A quantile of nothing, of non-finite values, or outside 0..1 is refused", "[error]") {
  CHECK_THROWS_WITH(quantile({}, 0.5), Catch::Contains("no values"));
  CHECK_THROWS_WITH(quantile({1.0, std::numeric_limits<double>::quiet_NaN()}, 0.5),
                    Catch::Contains("finite"));
  CHECK_THROWS_WITH(quantile({1.0}, 1.5), Catch::Contains("quantile = 1.5") && Catch::Contains("0 to 1"));
}

TEST_CASE("One LSB is the 99.9 % quantile of the single-bit-line charges over 255", "[kat]") {
  data::ReferenceSet set = empty_set(small_tile(2, 2), 2);
  set.charge_plus_coulomb = matrix({{255e-15, 0.0}, {0.0, 0.0}});
  set.charge_minus_coulomb = matrix({{0.0, 0.0}, {0.0, -510e-15}});
  // |charges| sorted: 0 x 6, 255, 510 fC; position 0.999 * 7 = 6.993
  const Scale scale = scale_of(set);
  CHECK(scale.lsb_coulomb == Approx((255.0 + 0.993 * 255.0) * 1e-15 / 255.0).epsilon(1e-12));
  // differential: 255, 0, 0, 510 fC
  CHECK(scale.differential_rms_coulomb ==
        Approx(std::sqrt((255.0 * 255.0 + 510.0 * 510.0) / 4.0) * 1e-15).epsilon(1e-12));
}

TEST_CASE("A set without charges has no scale", "[error]") {
  data::ReferenceSet set = empty_set(small_tile(2, 2), 3);
  CHECK_THROWS_WITH(scale_of(set), Catch::Contains("all charges are zero"));
  set.charge_plus_coulomb.setConstant(1e-15);
  set.charge_minus_coulomb.setConstant(1e-15);
  CHECK_THROWS_WITH(scale_of(set), Catch::Contains("differential output is zero"));
}

TEST_CASE("Error metrics of a hand-made difference", "[kat]") {
  const Matrix reference = matrix({{10.0, 20.0}, {30.0, 40.0}});
  const Matrix model = matrix({{11.0, 20.0}, {27.0, 40.0}});
  const ErrorMetrics m = error_metrics(model, reference, {2.0, 5.0});
  CHECK(m.rms_lsb == Approx(std::sqrt(10.0 / 4.0) / 2.0).epsilon(1e-14));
  CHECK(m.rms_relative == Approx(std::sqrt(10.0 / 4.0) / 5.0).epsilon(1e-14));
  CHECK(m.max_lsb == Approx(1.5).epsilon(1e-14));
  CHECK(m.bias_lsb == Approx(-0.25).epsilon(1e-14));
  // |e| sorted 0, 0, 1, 3 at position 2.997
  CHECK(m.quantile_999_lsb == Approx((1.0 + 0.997 * 2.0) / 2.0).epsilon(1e-14));
  CHECK(m.count == 4);
  CHECK(m.worst_row == 1);
  CHECK(m.worst_column == 0);
}

TEST_CASE("Error metrics name what does not fit", "[error]") {
  const Matrix one = Matrix::Ones(2, 2);
  CHECK_THROWS_WITH(error_metrics(one, Matrix::Ones(2, 3), {1.0, 1.0}),
                    Catch::Contains("2 x 2") && Catch::Contains("2 x 3"));
  CHECK_THROWS_WITH(error_metrics(Matrix(), Matrix(), {1.0, 1.0}), Catch::Contains("no charges"));
  CHECK_THROWS_WITH(error_metrics(one, one, {0.0, 1.0}), Catch::Contains("lsb_coulomb = 0"));
  Matrix bad = one;
  bad(1, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(error_metrics(bad, one, {1.0, 1.0}), Catch::Contains("not finite"));
}

TEST_CASE("Histogram intervals include their lower edge, the last one both, and nothing is lost", "[kat]") {
  const Histogram h =
      histogram(matrix({{-0.1, 0.0, 0.5, 1.0, 1.5, 2.0, 2.1, 9.0}}), linear_edges(0.0, 2.0, 2));
  CHECK(h.below == 1.0);
  CHECK(h.above == 2.0);
  CHECK(h.counts(0) == 2.0);
  CHECK(h.counts(1) == 3.0);
  const Matrix many = random_normal_matrix({3, Stream::test, 0}, 100, 7);
  const Histogram n = histogram(many, linear_edges(-1.0, 1.0, 9));
  CHECK(n.below + n.above + n.counts.sum() == 700.0);
}

TEST_CASE("Decade edges are whole decades with equal ratios", "[kat]") {
  const Vector edges = decade_edges(0.02, 30.0, 2);
  REQUIRE(edges.size() == 9);
  CHECK(edges(0) == Approx(0.01).epsilon(1e-14));
  CHECK(edges(8) == Approx(100.0).epsilon(1e-14));
  for (Index k = 1; k < edges.size(); ++k)
    CHECK(edges(k) / edges(k - 1) == Approx(std::sqrt(10.0)).epsilon(1e-12));
  CHECK_THROWS_AS(decade_edges(0.0, 1.0, 2), Error);
  CHECK_THROWS_AS(histogram(Matrix::Ones(1, 1), Vector::Ones(3)), Error);
}
