#include "device/spectrum_fit.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

constexpr double kFitMost = std::numeric_limits<double>::max();

struct Minimum {
  double at;
  double value;
};

/// Smallest value of f on [low, high]: a grid picks the valley, golden sections narrow it to 1e-10 of the range.
Minimum minimise(const std::function<double(double)>& f, double low, double high, int grid) {
  const double pitch = (high - low) / grid;
  Minimum best{low, f(low)};
  for (int k = 1; k <= grid; ++k)
    if (const double value = f(low + k * pitch); value < best.value) best = {low + k * pitch, value};

  const double golden = 1.0 / std::numbers::phi;
  double a = std::max(low, best.at - pitch), b = std::min(high, best.at + pitch);
  double c = b - golden * (b - a), d = a + golden * (b - a);
  double fc = f(c), fd = f(d);
  while (b - a > 1e-10 * (high - low)) {
    const bool left = fc < fd;
    (left ? b : a) = left ? d : c;
    if (left) {
      d = c, fd = fc;
      c = b - golden * (b - a), fc = f(c);
    } else {
      c = d, fc = fd;
      d = a + golden * (b - a), fd = f(d);
    }
  }
  const Minimum inner = fc < fd ? Minimum{c, fc} : Minimum{d, fd};
  return inner.value < best.value ? inner : best;
}

class Problem {
 public:
  Problem(const Vector& t_s, const Vector& sigma, const SpectrumFitOptions& options)
      : t_s_(t_s), log_variance_(2.0 * sigma.array().log()), options_(options) {}

  /// Best white level for an exponent.
  struct Inner {
    double cost;
    double white_ratio;  // white variance of the average over the shortest window, per unit Lorentzian variance there
  };
  Inner inner(double exponent) const {
    const Vector coloured = coloured_variance(exponent);
    Inner best{cost(coloured, 0.0), 0.0};
    if (!options_.white) return best;
    const auto of_log = [&](double log_ratio) { return cost(coloured, std::exp(log_ratio)); };
    const Minimum found = minimise(of_log, std::log(1e-8), std::log(1e4), 40);
    if (found.value < best.cost) best = {found.value, std::exp(found.at)};
    return best;
  }

  SpectrumFit solution(double exponent) const {
    const double ratio = inner(exponent).white_ratio;
    const Vector coloured = coloured_variance(exponent);
    const Eigen::ArrayXd log_error = model(coloured, ratio).array().log() - log_variance_.array();
    const double scale = std::exp(-centre(log_error));
    SpectrumFit fit;
    fit.shape = unit_shape(exponent);
    fit.shape.variance = scale;
    fit.shape.white_per_hz = scale * white_per_hz(coloured, ratio);
    const Eigen::ArrayXd deviation = 0.5 * (log_error - centre(log_error));
    fit.largest_deviation = (deviation.exp() - 1.0).abs().maxCoeff();
    fit.rms_deviation = std::sqrt(deviation.square().mean());
    return fit;
  }

 private:
  SpectrumShape unit_shape(double exponent) const {
    return {exponent, options_.corner_low_hz, options_.corner_high_hz, options_.corners_per_decade, 1.0, 0.0};
  }
  Vector coloured_variance(double exponent) const {
    const NoiseSpectrum spectrum = make_spectrum(unit_shape(exponent));
    return t_s_.unaryExpr([&](double t) { return spectrum.window_variance(t); });
  }
  double white_per_hz(const Vector& coloured, double ratio) const {
    Index shortest = 0;
    t_s_.minCoeff(&shortest);
    return ratio * coloured(shortest) * 2.0 * t_s_(shortest);
  }
  Vector model(const Vector& coloured, double ratio) const {
    return coloured.array() + white_per_hz(coloured, ratio) / (2.0 * t_s_.array());
  }
  /// The best scale is eliminated: in logarithms it is a shift, to the mean of the errors or to the middle of their range.
  double centre(const Eigen::ArrayXd& log_error) const {
    if (options_.criterion == FitCriterion::least_squares) return log_error.mean();
    return 0.5 * (log_error.minCoeff() + log_error.maxCoeff());
  }
  double cost(const Vector& coloured, double ratio) const {
    const Eigen::ArrayXd log_error = model(coloured, ratio).array().log() - log_variance_.array();
    const Eigen::ArrayXd deviation = log_error - centre(log_error);
    if (options_.criterion == FitCriterion::least_squares) return deviation.square().sum();
    return deviation.abs().maxCoeff();
  }

  Vector t_s_;
  Vector log_variance_;
  SpectrumFitOptions options_;
};

}  // namespace

SpectrumFit fit_spectrum(const Vector& t_s, const Vector& sigma, const SpectrumFitOptions& options) {
  require_in_range("number of integration times", static_cast<double>(t_s.size()), 3.0, 1e6);
  if (sigma.size() != t_s.size()) throw Error(ErrorKind::usage, "t_s and sigma differ in length");
  for (Index k = 0; k < t_s.size(); ++k) {
    require_in_range("t_s", t_s(k), 1e-18, 1e18);
    require_in_range("sigma", sigma(k), std::numeric_limits<double>::min(), kFitMost);
  }
  const Problem problem(t_s, sigma, options);
  if (options.exponent) return problem.solution(*options.exponent);
  const auto cost = [&](double exponent) { return problem.inner(exponent).cost; };
  return problem.solution(minimise(cost, 0.0, 2.0, 20).at);
}

NoiseSpectrum NanosecondProcess::spectrum(double g_siemens) const {
  require_in_range("g_siemens", g_siemens, 0.0, kFitMost);
  return make_spectrum(fit.shape).scaled(g_siemens + g_offset_siemens);
}

NanosecondProcess fit_nanosecond_process(const NanosecondReadNoise& noise, const SpectrumFitOptions& options, int points) {
  constexpr double kReference = 15e-6;
  require_in_range("points", points, 3, 1e6);
  NanosecondProcess process;
  process.g_offset_siemens = offset_conductance_siemens(noise);
  Vector t_s(points), relative(points);
  for (Index k = 0; k < points; ++k) {
    const double position = static_cast<double>(k) / (points - 1.0);
    t_s(k) = noise.t_low_s * std::pow(noise.t_high_s / noise.t_low_s, position);
    relative(k) = noise.sigma_siemens(kReference, t_s(k)) / (kReference + process.g_offset_siemens);
  }
  process.fit = fit_spectrum(t_s, relative, options);
  return process;
}

}  // namespace crosstile::device
