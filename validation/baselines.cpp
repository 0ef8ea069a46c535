#include "validation/baselines.hpp"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "tilemodel/model.hpp"

namespace crosstile::validation {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kColumnsThatChooseTheRidge = 64;
constexpr double kLeastShare = 1e-12;  // of the largest eigenvalue

/// Ridge regression on one set of inputs, for any number of right-hand sides.
class Ridge {
 public:
  // By the eigenvalues of the smaller Gram matrix; a direction that is weaker than its rounding does not count.
  explicit Ridge(const Matrix& inputs) : vectors_(inputs.rows()) {
    const bool wide = inputs.cols() > inputs.rows();
    const Eigen::MatrixXd gram = wide ? Eigen::MatrixXd(inputs * inputs.transpose()) : Eigen::MatrixXd(inputs.transpose() * inputs);
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(gram);
    const Vector squares = eigen.eigenvalues().reverse().cwiseMax(0.0);
    while (rank_ < squares.size() && squares(rank_) > kLeastShare * squares(0)) ++rank_;
    s_ = squares.head(rank_).cwiseSqrt();
    const Matrix vectors = eigen.eigenvectors().rowwise().reverse().leftCols(rank_);
    const auto inverse = s_.cwiseInverse().asDiagonal();
    u_ = wide ? vectors : Matrix(inputs * vectors * inverse);
    v_ = wide ? Matrix(inputs.transpose() * vectors * inverse) : vectors;
    if (rank_ > 0) mean_square_ = s_.squaredNorm() / static_cast<double>(rank_);
  }

  /// The lambda with the least leave-one-out error; infinity when predicting zero is best.
  double choose(const Matrix& residual) const {
    if (rank_ == 0 || vectors_ < 2) return kInfinity;
    const Matrix some = spread_columns(residual);
    const Matrix projected = u_.transpose() * some;
    double best = kInfinity;
    double best_error = some.squaredNorm();
    const auto consider = [&](double lambda) {
      const std::optional<double> error = leave_one_out(lambda, some, projected);
      if (error && *error < best_error) {
        best_error = *error;
        best = lambda;
      }
    };
    if (vectors_ > rank_) consider(0.0);
    for (int decade = -10; decade <= 4; ++decade) consider(std::pow(10.0, decade) * mean_square_);
    return best;
  }

  /// rows x columns of the residual.
  Matrix solve(const Matrix& residual, double lambda) const {
    if (std::isinf(lambda)) return Matrix::Zero(v_.rows(), residual.cols());
    const Vector filter = (s_.array() / (s_.array().square() + lambda)).matrix();
    return v_ * (filter.asDiagonal() * (u_.transpose() * residual));
  }

 private:
  static Matrix spread_columns(const Matrix& residual) {
    const Index count = std::min(residual.cols(), kColumnsThatChooseTheRidge);
    Matrix some(residual.rows(), count);
    for (Index k = 0; k < count; ++k) some.col(k) = residual.col(k * residual.cols() / count);
    return some;
  }

  // The residual of a vector left out is its residual over 1 - leverage; nothing when a leverage is 1 to
  // rounding.
  std::optional<double> leave_one_out(double lambda, const Matrix& residual, const Matrix& projected) const {
    const Vector filter = (s_.array().square() / (s_.array().square() + lambda)).matrix();
    const Matrix fitted = u_ * (filter.asDiagonal() * projected);
    const Vector leverage = u_.array().square().matrix() * filter;
    double sum = 0.0;
    for (Index v = 0; v < vectors_; ++v) {
      const double kept = 1.0 - leverage(v);
      if (kept < 1e-13) return std::nullopt;
      sum += (residual.row(v) - fitted.row(v)).squaredNorm() / (kept * kept);
    }
    return sum;
  }

  Index vectors_;
  Index rank_ = 0;
  Vector s_;  // inputs = u diag(s) v^T
  Eigen::MatrixXd u_, v_;
  double mean_square_ = 0.0;
};

LinearMap fit_with(const Ridge& ridge, const Matrix& ideal, const Matrix& charge, double fallback) {
  LinearMap map;
  map.gains = fit_column_gains(ideal, charge, fallback);
  const Matrix residual = charge - ideal * map.gains.asDiagonal();
  map.ridge = ridge.choose(residual);
  map.delta = ridge.solve(residual, map.ridge);
  return map;
}

LinearMap only_gain(Index rows, Index cols, double gain) {
  return {Vector::Constant(cols, gain), Matrix::Zero(rows, cols), kInfinity};
}

Matrix stack(const Matrix& top, const Matrix& bottom) {
  Matrix both(top.rows() + bottom.rows(), top.cols());
  both << top, bottom;
  return both;
}

void require_same_shape(const Matrix& ideal, const Matrix& charge) {
  if (ideal.rows() != charge.rows() || ideal.cols() != charge.cols())
    throw Error(ErrorKind::usage, "baseline fit: ideal and measured charges differ in shape");
}

}  // namespace

Matrix ideal_charge(const data::TileSpec& tile, const Matrix& g_siemens, const IntMatrix& codes) {
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ideal;
  Matrix charge;
  tilemodel::TileModel(spec, tile, g_siemens).charge(codes, charge);
  return charge;
}

double fit_one_gain(const Matrix& ideal, const Matrix& charge) {
  require_same_shape(ideal, charge);
  const double power = ideal.squaredNorm();
  return power > 0.0 ? ideal.cwiseProduct(charge).sum() / power : 1.0;
}

Vector fit_column_gains(const Matrix& ideal, const Matrix& charge, double fallback) {
  require_same_shape(ideal, charge);
  Vector gains(ideal.cols());
  for (Index j = 0; j < ideal.cols(); ++j) {
    const double power = ideal.col(j).squaredNorm();
    gains(j) = power > 0.0 ? ideal.col(j).dot(charge.col(j)) / power : fallback;
  }
  return gains;
}

Matrix LinearMap::predict(const IntMatrix& codes, const Matrix& ideal) const {
  return ideal * gains.asDiagonal() + codes.cast<double>() * delta;
}

LinearMap fit_linear_map(const IntMatrix& codes, const Matrix& ideal, const Matrix& charge) {
  require_same_shape(ideal, charge);
  if (codes.rows() == 0 || codes.rows() != ideal.rows())
    throw Error(ErrorKind::usage, "linear map: " + std::to_string(codes.rows()) + " code vectors for " +
                                      std::to_string(ideal.rows()) +
                                      " vectors of charges; they must be equal and not 0");
  return fit_with(Ridge(codes.cast<double>()), ideal, charge, 1.0);
}

std::vector<Index> vectors_where(const data::ReferenceSet& set, int flag) {
  std::vector<Index> found;
  for (Index v = 0; v < set.held_out.size(); ++v)
    if (set.held_out(v) == flag) found.push_back(v);
  return found;
}

std::vector<std::vector<Index>> positions_by_draw(const data::ReferenceSet& set,
                                                  const std::vector<Index>& vectors) {
  std::vector<std::vector<Index>> positions(set.g_plus_siemens.size());
  for (std::size_t k = 0; k < vectors.size(); ++k)
    positions[static_cast<std::size_t>(set.draw(vectors[k]))].push_back(static_cast<Index>(k));
  return positions;
}

ArrayCharges ideal_charges(const data::ReferenceSet& set, const std::vector<Index>& vectors) {
  const bool on_one_line =
      set.tile.weight_layout == data::WeightLayout::bipolar && !set.g_minus_siemens.empty();
  const bool has_minus = set.charge_minus_coulomb.size() > 0;
  const IntMatrix codes = rows_of(set.codes, vectors);
  ArrayCharges out;
  out.plus.resize(codes.rows(), set.charge_plus_coulomb.cols());
  if (has_minus) out.minus.resize(codes.rows(), set.charge_minus_coulomb.cols());
  const auto positions = positions_by_draw(set, vectors);
  for (std::size_t d = 0; d < positions.size(); ++d) {
    if (positions[d].empty()) continue;
    const IntMatrix here = rows_of(codes, positions[d]);
    const Matrix g =
        on_one_line ? Matrix(set.g_plus_siemens[d] - set.g_minus_siemens[d]) : set.g_plus_siemens[d];
    put_rows(ideal_charge(set.tile, g, here), positions[d], out.plus);
    if (has_minus) put_rows(ideal_charge(set.tile, set.g_minus_siemens[d], here), positions[d], out.minus);
  }
  return out;
}

Baselines fit_baselines(const data::ReferenceSet& set) {
  set.validate();
  const std::vector<Index> fit = vectors_where(set, 0);
  const ArrayCharges ideal = ideal_charges(set, fit);
  const bool has_minus = set.charge_minus_coulomb.size() > 0;
  const Matrix plus = rows_of(set.charge_plus_coulomb, fit);
  const Matrix minus = has_minus ? rows_of(set.charge_minus_coulomb, fit) : Matrix();
  const IntMatrix codes = rows_of(set.codes, fit);

  Baselines out;
  out.fit_vectors = codes.rows();
  out.one_gain = has_minus ? fit_one_gain(stack(ideal.plus, ideal.minus), stack(plus, minus))
                           : fit_one_gain(ideal.plus, plus);
  for (const std::vector<Index>& here : positions_by_draw(set, fit)) {
    if (here.empty()) {
      ++out.draws_without_fit;
      const LinearMap map = only_gain(codes.cols(), plus.cols(), out.one_gain);
      out.plus.push_back(map);
      if (has_minus) out.minus.push_back(map);
      continue;
    }
    const Ridge ridge(rows_of(codes, here).cast<double>());
    out.plus.push_back(fit_with(ridge, rows_of(ideal.plus, here), rows_of(plus, here), out.one_gain));
    if (has_minus)
      out.minus.push_back(fit_with(ridge, rows_of(ideal.minus, here), rows_of(minus, here), out.one_gain));
  }
  return out;
}

}  // namespace crosstile::validation
