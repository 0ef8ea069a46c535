#include "validation/baselines.hpp"

#include <Eigen/Cholesky>
#include <catch2/catch.hpp>

#include "core/error.hpp"
#include "tests/validation/sample_sets.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

Matrix random_factor(Index rows, Index cols, std::uint64_t event) {
  return (0.8 + 0.2 * random_uniform_matrix({11, Stream::test, 0}, rows, cols, event).array()).matrix();
}

double largest_error(const Matrix& a, const Matrix& b) {
  return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff();
}

/// Sum of squared leave-one-out residuals, by really leaving each vector out; normal equations instead of the
/// singular values.
double leave_one_out_by_refitting(const Matrix& inputs, const Matrix& residual, double lambda) {
  double sum = 0.0;
  for (Index out = 0; out < inputs.rows(); ++out) {
    Matrix kept = inputs, target = residual;
    kept.row(out).setZero();
    target.row(out).setZero();
    const Eigen::MatrixXd normal =
        kept.transpose() * kept + lambda * Matrix::Identity(inputs.cols(), inputs.cols());
    const Matrix delta = normal.ldlt().solve(kept.transpose() * target);
    sum += (residual.row(out) - inputs.row(out) * delta).squaredNorm();
  }
  return sum;
}

}  // namespace

TEST_CASE("The ideal product is v_read t_lsb G^T k", "[kat]") {
  data::TileSpec tile = small_tile(3, 2);
  Matrix g(3, 2);
  g << 1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6;
  IntMatrix codes(1, 3);
  codes << 10, 0, -5;
  const Matrix charge = ideal_charge(tile, g, codes);
  CHECK(charge(0, 0) == Approx(0.2 * 1e-9 * (10.0 * 1e-6 - 5.0 * 5e-6)).epsilon(1e-13));
  CHECK(charge(0, 1) == Approx(0.2 * 1e-9 * (10.0 * 2e-6 - 5.0 * 6e-6)).epsilon(1e-13));
}

TEST_CASE("One gain recovers a planted gain, and a gain per column recovers planted column gains",
          "[analytic]") {
  const data::TileSpec tile = small_tile(12, 5);
  SECTION("one") {
    const data::ReferenceSet set = linear_set(tile, 30, {Matrix::Constant(12, 5, 0.93)});
    CHECK(fit_baselines(set).one_gain == Approx(0.93).epsilon(1e-12));
  }
  SECTION("per column") {
    Matrix factor(12, 5);
    for (Index j = 0; j < 5; ++j) factor.col(j).setConstant(0.7 + 0.05 * static_cast<double>(j));
    const Baselines fit = fit_baselines(linear_set(tile, 30, {factor}));
    REQUIRE(fit.plus.size() == 1);
    REQUIRE(fit.minus.size() == 1);
    for (Index j = 0; j < 5; ++j) {
      CHECK(fit.plus[0].gains(j) == Approx(0.7 + 0.05 * static_cast<double>(j)).epsilon(1e-12));
      CHECK(fit.minus[0].gains(j) == Approx(0.7 + 0.05 * static_cast<double>(j)).epsilon(1e-12));
    }
  }
}

TEST_CASE("The best linear map recovers a planted linear map from enough vectors, per draw and array",
          "[analytic]") {
  const data::TileSpec tile = small_tile(10, 4);
  const std::vector<Matrix> factors{random_factor(10, 4, 0), random_factor(10, 4, 1)};
  const data::ReferenceSet set = linear_set(tile, 90, factors);
  const Baselines fit = fit_baselines(set);
  CHECK(fit.fit_vectors == 60);
  CHECK(fit.draws_without_fit == 0);
  IntMatrix fresh = IntMatrix::Identity(10, 10) * 100;
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(fit.plus[d].ridge == 0.0);
    const Matrix plus = fit.plus[d].predict(fresh, ideal_charge(tile, set.g_plus_siemens[d], fresh));
    CHECK(largest_error(plus, planted_charge(tile, fresh, set.g_plus_siemens[d], factors[d])) < 1e-11);
    const Matrix minus = fit.minus[d].predict(fresh, ideal_charge(tile, set.g_minus_siemens[d], fresh));
    CHECK(largest_error(minus, planted_charge(tile, fresh, set.g_minus_siemens[d],
                                              factors[d].colwise().reverse())) < 1e-11);
    // and the two draws are really different
    CHECK(largest_error(plus, planted_charge(tile, fresh, set.g_plus_siemens[d], factors[1 - d])) > 1e-3);
  }
}

TEST_CASE("With fewer vectors than rows the linear map stays at least as good as the gains on fresh vectors",
          "[property]") {
  const data::TileSpec tile = small_tile(40, 6);
  // a smooth factor, as wires make it: what little can be learned from 20 vectors helps
  Matrix factor(40, 6);
  for (Index i = 0; i < 40; ++i) factor.row(i).setConstant(0.9 + 0.1 * static_cast<double>(i) / 40.0);
  const data::ReferenceSet set = linear_set(tile, 30, {factor});
  const Baselines fit = fit_baselines(set);
  REQUIRE(fit.fit_vectors == 20);
  const std::vector<Index> fresh = vectors_where(set, 1);
  const Matrix ideal = ideal_charges(set, fresh).plus;
  const Matrix full = rows_of(set.charge_plus_coulomb, fresh);
  const double gain_error = (ideal * fit.plus[0].gains.asDiagonal() - full).norm();
  const double map_error = (fit.plus[0].predict(rows_of(set.codes, fresh), ideal) - full).norm();
  CHECK(map_error < gain_error);
  CHECK(map_error > 1e-6 * full.norm());  // it cannot be exact: the case is underdetermined
}

TEST_CASE("The ridge is the one of least leave-one-out error, and the map is that ridge regression",
          "[cross]") {
  const Index vectors = 14, rows = 20, cols = 3;
  const data::TileSpec tile = small_tile(rows, cols);
  data::ReferenceSet set = linear_set(tile, vectors, {random_factor(rows, cols, 2)});
  const double scale = set.charge_plus_coulomb.cwiseAbs().maxCoeff();
  const Matrix charge =
      set.charge_plus_coulomb + 2e-3 * scale * random_normal_matrix({12, Stream::test, 0}, vectors, cols);
  const Matrix ideal = ideal_charge(tile, set.g_plus_siemens[0], set.codes);
  const LinearMap map = fit_linear_map(set.codes, ideal, charge);

  const Matrix inputs = set.codes.cast<double>();
  const Matrix residual = charge - ideal * map.gains.asDiagonal();
  const double mean_square = inputs.squaredNorm() / static_cast<double>(vectors);  // rank = vectors
  double best = residual.squaredNorm(), best_lambda = std::numeric_limits<double>::infinity();
  for (int decade = -6; decade <= 4; ++decade) {
    const double lambda = std::pow(10.0, decade) * mean_square;
    const double error = leave_one_out_by_refitting(inputs, residual, lambda);
    if (error < best) {
      best = error;
      best_lambda = lambda;
    }
  }
  REQUIRE(std::isfinite(best_lambda));
  CHECK(map.ridge == Approx(best_lambda).epsilon(1e-9));
  const Eigen::MatrixXd normal = inputs.transpose() * inputs + best_lambda * Matrix::Identity(rows, rows);
  const Matrix delta = normal.ldlt().solve(inputs.transpose() * residual);
  CHECK(largest_error(map.delta, delta) < 1e-8);
}

TEST_CASE("Pure noise is not learned: the ridge goes to the ideal product or far towards it", "[property]") {
  const data::TileSpec tile = small_tile(20, 6);
  const data::ReferenceSet set = linear_set(tile, 24, {Matrix::Constant(20, 6, 0.9)});
  const Matrix ideal = ideal_charge(tile, set.g_plus_siemens[0], set.codes);
  const Matrix noise =
      0.01 * ideal.cwiseAbs().maxCoeff() * random_normal_matrix({13, Stream::test, 0}, 24, 6);
  const LinearMap map = fit_linear_map(set.codes, ideal, 0.9 * ideal + noise);
  CHECK((set.codes.cast<double>() * map.delta).norm() < 0.5 * noise.norm());
}

TEST_CASE("Held-out vectors are never seen by a fit: garbage in them changes no coefficient", "[property]") {
  const data::TileSpec tile = small_tile(16, 4);
  const data::ReferenceSet clean = linear_set(tile, 40, {random_factor(16, 4, 3), random_factor(16, 4, 4)});
  data::ReferenceSet poisoned = clean;
  for (const Index v : vectors_where(clean, 1)) {
    poisoned.charge_plus_coulomb.row(v).setConstant(-3.0);
    poisoned.charge_minus_coulomb.row(v).setConstant(17.0);
    poisoned.codes.row(v).setConstant(v % 2 == 0 ? 127 : -127);
  }
  const Baselines a = fit_baselines(clean), b = fit_baselines(poisoned);
  CHECK(a.one_gain == b.one_gain);
  for (std::size_t d = 0; d < 2; ++d) {
    CHECK(a.plus[d].gains == b.plus[d].gains);
    CHECK(a.plus[d].delta == b.plus[d].delta);
    CHECK(a.minus[d].gains == b.minus[d].gains);
    CHECK(a.minus[d].delta == b.minus[d].delta);
  }
  // the same garbage in a vector that is not held out does change them
  poisoned.charge_plus_coulomb.row(0).setConstant(-3.0);
  CHECK(fit_baselines(poisoned).one_gain != a.one_gain);
}

TEST_CASE("Columns and rows that carry nothing keep the fallback and no weight", "[property]") {
  const data::TileSpec tile = small_tile(6, 3);
  data::ReferenceSet set = linear_set(tile, 30, {random_factor(6, 3, 5)});
  set.codes.col(2).setZero();
  Matrix ideal = ideal_charge(tile, set.g_plus_siemens[0], set.codes);
  ideal.col(1).setZero();
  CHECK(fit_column_gains(ideal, ideal * 0.5, 0.25)(1) == 0.25);
  CHECK(fit_column_gains(ideal, ideal * 0.5, 0.25)(0) == Approx(0.5).epsilon(1e-14));
  CHECK(fit_one_gain(Matrix::Zero(2, 2), Matrix::Ones(2, 2)) == 1.0);
  const LinearMap map = fit_linear_map(set.codes, ideal, set.charge_plus_coulomb);
  CHECK(map.delta.row(2).cwiseAbs().maxCoeff() <= 1e-12 * map.delta.cwiseAbs().maxCoeff());
}

TEST_CASE("Draws whose vectors are all held out use the one gain of the others", "[property]") {
  const data::TileSpec tile = small_tile(6, 3);
  data::ReferenceSet set = linear_set(tile, 30, {Matrix::Constant(6, 3, 0.8), Matrix::Constant(6, 3, 0.6)});
  for (Index v = 0; v < 30; ++v) set.held_out(v) = set.draw(v) == 1 ? 1 : 0;
  const Baselines fit = fit_baselines(set);
  CHECK(fit.draws_without_fit == 1);
  CHECK(fit.plus[1].gains.isApproxToConstant(0.8, 1e-12));
  CHECK(fit.plus[1].delta.isZero(0.0));
}

TEST_CASE("Baseline fits refuse shapes that do not fit", "[error]") {
  CHECK_THROWS_WITH(fit_one_gain(Matrix::Ones(2, 2), Matrix::Ones(2, 3)), Catch::Contains("differ in shape"));
  CHECK_THROWS_WITH(fit_linear_map(IntMatrix::Ones(3, 4), Matrix::Ones(2, 2), Matrix::Ones(2, 2)),
                    Catch::Contains("3 code vectors for 2"));
}
