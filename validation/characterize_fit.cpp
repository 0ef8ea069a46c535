#include "validation/characterize_fit.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace crosstile::validation {

namespace {

constexpr int kMostRounds = 200;
constexpr double kSettled = 1e-10;

Matrix inverse_of(const Matrix& information) {
  const Matrix one = Matrix::Identity(information.rows(), information.cols());
  return Eigen::MatrixXd(information).ldlt().solve(Eigen::MatrixXd(one));
}

}  // namespace

SpreadFit fit_normal_spread(const Vector& y, const Vector& known, const Matrix& x, const Matrix& z, const Vector& start) {
  SpreadFit fit;
  fit.mean = Vector::Zero(x.cols());
  fit.spread = start;
  const double floor = 1e-3 * std::sqrt(y.array().square().mean()) + 1e-300;
  const auto spread_at = [&](const Vector& spread) { return ((z * spread).array().max(floor)).eval(); };
  const auto cost_at = [&](const Vector& mean, const Vector& spread) {
    const Eigen::ArrayXd v = known.array() + spread_at(spread).square();
    return (v.log() + (y - x * mean).array().square() / v).sum();
  };
  for (int round = 0; round < kMostRounds; ++round) {
    const Eigen::ArrayXd s = spread_at(fit.spread), v = known.array() + s.square();
    if (x.cols() > 0) {
      fit.mean_covariance = inverse_of(x.transpose() * v.inverse().matrix().asDiagonal() * x);
      fit.mean = fit.mean_covariance * (x.transpose() * (y.array() / v).matrix());
    }
    const Eigen::ArrayXd rest = (y - x * fit.mean).array().square();
    fit.spread_covariance = inverse_of(z.transpose() * (2.0 * s.square() / v.square()).matrix().asDiagonal() * z);
    const Vector step = fit.spread_covariance * (z.transpose() * ((rest - v) * s / v.square()).matrix());
    const double before = cost_at(fit.mean, fit.spread);
    double length = 1.0;
    while (length > 1e-6 && cost_at(fit.mean, fit.spread + length * step) > before) length *= 0.5;
    fit.spread += length * step;
    if (length * step.norm() < kSettled * fit.spread.norm()) break;
  }
  return fit;
}

SpreadFit fit_log_variance(const Vector& sum, const Vector& dof, const Matrix& z) {
  SpreadFit fit;
  fit.spread = Vector::Zero(z.cols());
  fit.spread(0) = 0.5 * std::log(std::max(sum.sum() / dof.sum(), 1e-300));  // column 0 of z is 1
  for (int round = 0; round < kMostRounds; ++round) {
    const Eigen::ArrayXd ratio = sum.array() * (-2.0 * (z * fit.spread).array()).exp();
    fit.spread_covariance = inverse_of(z.transpose() * (2.0 * dof).asDiagonal() * z);
    Vector step = fit.spread_covariance * (z.transpose() * (ratio - dof.array()).matrix());
    const double longest = step.cwiseAbs().maxCoeff();
    if (longest > 0.5) step *= 0.5 / longest;
    fit.spread += step;
    if (step.norm() < kSettled) break;
  }
  return fit;
}

double normal_p_value(Vector values) {
  if (values.size() == 0) return 1.0;
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double distance = 0.0;
  for (Index k = 0; k < values.size(); ++k) {
    const double below = 0.5 * std::erfc(-values(k) / std::numbers::sqrt2);
    distance = std::max({distance, below - static_cast<double>(k) / n, static_cast<double>(k + 1) / n - below});
  }
  const double t = distance * (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n));
  if (t < 0.3) return 1.0;
  double sum = 0.0;
  for (int k = 1; k <= 100; ++k) sum += (k % 2 == 1 ? 2.0 : -2.0) * std::exp(-2.0 * k * k * t * t);
  return std::clamp(sum, 0.0, 1.0);
}

}  // namespace crosstile::validation
