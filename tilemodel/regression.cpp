#include "tilemodel/regression.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

namespace crosstile::tilemodel {

namespace {

constexpr double kExact = 1e-9;       // RMS error over RMS charge below which a form counts as exact
constexpr double kNoFeature = 1e-12;  // RMS over RMS charge below which a feature is rounding noise
constexpr double kRankThreshold = 1e-8;
constexpr double kTiny = 1e-300;  // keeps 0 / 0 away

}  // namespace

Regression::Regression(const std::vector<ArrayData>& arrays, const std::vector<Index>& vectors) {
  const Index cols = arrays[0].base.cols();
  const auto features = static_cast<Index>(arrays[0].feature.size());
  per_vector_ = static_cast<Index>(arrays.size()) * cols;
  const Index samples = per_vector_ * static_cast<Index>(vectors.size());
  x_.resize(samples, features);
  y_.resize(samples);
  double square = 0.0;
  Index row = 0;
  for (const Index v : vectors) {
    for (const ArrayData& array : arrays) {
      y_.segment(row, cols) = (array.reference.row(v) - array.base.row(v)).transpose();
      square += array.reference.row(v).squaredNorm();
      for (Index f = 0; f < features; ++f)
        x_.col(f).segment(row, cols) = array.feature[static_cast<std::size_t>(f)].row(v).transpose();
      row += cols;
    }
  }
  const auto n = static_cast<double>(std::max<Index>(samples, 1));
  charge_rms_ = std::sqrt(square / n);
  scale_ = (x_.colwise().squaredNorm().transpose() / n).cwiseSqrt();
  for (Index f = 0; f < features; ++f) {
    if (scale_[f] <= kNoFeature * charge_rms_) scale_[f] = 0.0;
    x_.col(f) *= scale_[f] > 0.0 ? 1.0 / scale_[f] : 0.0;
  }
}

std::vector<Index> Regression::present() const {
  std::vector<Index> list;
  for (Index f = 0; f < scale_.size(); ++f)
    if (scale_[f] > 0.0) list.push_back(f);
  return list;
}

bool Regression::nothing_to_explain() const {
  return y_.norm() <= kExact * charge_rms_ * std::sqrt(static_cast<double>(y_.size()));
}

Regression::Solution Regression::solve(const std::vector<Index>& features) const {
  Solution out{Vector::Zero(scale_.size()), Vector::Zero(scale_.size()), features.empty()};
  if (features.empty()) return out;
  const Eigen::MatrixXd part = x_(Eigen::all, features);
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr;
  qr.setThreshold(kRankThreshold);
  qr.compute(part);
  const Index rank = qr.rank();
  const Vector solution = qr.solve(y_);
  // Errors of one vector's columns go together: the covariance of the scores is summed by vector (a
  // "sandwich"), not by sample.
  const Vector residual = y_ - part * solution;
  Eigen::MatrixXd meat = Eigen::MatrixXd::Zero(part.cols(), part.cols());
  for (Index first = 0; first < y_.size(); first += per_vector_) {
    const Vector score =
        part.middleRows(first, per_vector_).transpose() * residual.segment(first, per_vector_);
    meat += score * score.transpose();
  }
  // (X^T X)^-1 on the features that could be told apart: R^-1 R^-T in pivoted order.
  const auto r = qr.matrixR().topLeftCorner(rank, rank).triangularView<Eigen::Upper>();
  const Eigen::MatrixXd inverse = r.solve(Eigen::MatrixXd::Identity(rank, rank));
  Eigen::MatrixXd bread = Eigen::MatrixXd::Zero(part.cols(), part.cols());
  bread.topLeftCorner(rank, rank) = inverse * inverse.transpose();
  bread = qr.colsPermutation() * bread * qr.colsPermutation().transpose();
  const Vector errors = (bread * meat * bread).diagonal().cwiseMax(0.0).cwiseSqrt();
  for (std::size_t k = 0; k < features.size(); ++k) {
    if (scale_[features[k]] == 0.0) {  // the data say nothing about it
      out.standard_errors[features[k]] = std::numeric_limits<double>::infinity();
      continue;
    }
    out.coefficients[features[k]] = solution[static_cast<Index>(k)] / scale_[features[k]];
    out.standard_errors[features[k]] = errors[static_cast<Index>(k)] / scale_[features[k]];
  }
  return out;
}

bool drop_weakest(const Vector& value, const Vector& standard_error, std::vector<Index>& features) {
  const auto strength = [&](Index f) { return std::abs(value[f]) / (standard_error[f] + kTiny); };
  const auto weakest = std::min_element(features.begin(), features.end(),
                                        [&](Index a, Index b) { return strength(a) < strength(b); });
  if (weakest == features.end() || strength(*weakest) >= kSignificant) return false;
  features.erase(weakest);
  return true;
}

}  // namespace crosstile::tilemodel
