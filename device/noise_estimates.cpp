#include "device/noise_estimates.hpp"

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include <unsupported/Eigen/FFT>

#include "core/error.hpp"
#include "device/ou_averages.hpp"

namespace crosstile::device {

Density welch_density(const Eigen::Ref<const Vector>& series, double step_s, Index segment) {
  require_in_range("step_s", step_s, 1e-18, 1e18);
  require_in_range("segment (samples of Welch's method)", static_cast<double>(segment), 8.0, static_cast<double>(series.size()));
  if (segment % 2 != 0) throw_out_of_range("segment (samples of Welch's method)", static_cast<double>(segment), "must be even");
  Vector weight(segment);
  for (Index n = 0; n < segment; ++n) {
    const double s = std::sin(std::numbers::pi * (static_cast<double>(n) + 0.5) / static_cast<double>(segment));
    weight(n) = s * s;
  }
  const Index kept = segment / 2 - 1;
  Density out{Vector(kept), Vector::Zero(kept), 0};
  Eigen::FFT<double> fft;
  Vector part;
  Eigen::VectorXcd transform;
  for (Index begin = 0; begin + segment <= series.size(); begin += segment / 2, ++out.segments) {
    part = series.segment(begin, segment);
    part = weight.cwiseProduct(part - Vector::Constant(segment, part.mean()));
    fft.fwd(transform, part);
    out.per_hz += transform.segment(1, kept).cwiseAbs2();
  }
  out.per_hz *= 2.0 * step_s / (weight.squaredNorm() * static_cast<double>(out.segments));
  for (Index k = 0; k < kept; ++k) out.frequency_hz(k) = static_cast<double>(k + 1) / (static_cast<double>(segment) * step_s);
  return out;
}

// The averages of one Lorentzian have covariances c_0 and c_1 r^(n - 1); their sum over n is geometric.
double averaged_density(const NoiseSpectrum& spectrum, double frequency_hz, double step_s) {
  require_in_range("step_s", step_s, 1e-18, 1e18);
  require_in_range("frequency_hz", frequency_hz, 0.0, 0.5 / step_s);
  const double angle = 2.0 * std::numbers::pi * frequency_hz * step_s;
  const std::complex<double> turn{std::cos(angle), std::sin(angle)};
  double sum = spectrum.white_per_hz / (2.0 * step_s);
  for (const Lorentzian& l : spectrum.lorentzians) {
    const double x = step_s / l.tau_s(), edge = ou::edge_weight(x);
    const std::complex<double> lags = turn / (1.0 - std::exp(-x) * turn);
    sum += l.variance * (ou::window_variance(x) + 2.0 * edge * edge * lags.real());
  }
  return 2.0 * step_s * sum;
}

double allan_variance(const Eigen::Ref<const Vector>& series, Index samples) {
  require_in_range("samples of an Allan variance", static_cast<double>(samples), 1.0, static_cast<double>(series.size()) / 2.0);
  Vector sums(series.size() + 1);
  sums(0) = 0.0;
  for (Index n = 0; n < series.size(); ++n) sums(n + 1) = sums(n) + series(n);
  const Index pairs = series.size() - 2 * samples + 1;
  double total = 0.0;
  for (Index n = 0; n < pairs; ++n) {
    const double difference = sums(n + 2 * samples) - 2.0 * sums(n + samples) + sums(n);
    total += difference * difference;
  }
  const double length = static_cast<double>(samples);
  return total / (2.0 * length * length * static_cast<double>(pairs));
}

double log_log_slope(const Vector& x, const Vector& y) {
  if (x.size() != y.size() || x.size() < 2) throw Error(ErrorKind::usage, "a slope needs two or more points, as many x as y");
  for (Index k = 0; k < x.size(); ++k) {
    require_in_range("x of a log-log slope", x(k), 1e-300, 1e300);
    require_in_range("y of a log-log slope", y(k), 1e-300, 1e300);
  }
  const Eigen::ArrayXd u = x.array().log(), v = y.array().log();
  const Eigen::ArrayXd du = u - u.mean();
  return (du * (v - v.mean())).sum() / du.square().sum();
}

}  // namespace crosstile::device
