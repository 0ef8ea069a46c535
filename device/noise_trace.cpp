#include "device/noise_trace.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"
#include "device/ou_averages.hpp"

namespace crosstile::device {

namespace {

/// Calls use(lane, first, second) with two normals for each lane; two lanes share one call of the generator.
template <typename Use>
void for_each_lane(const TraceKey& key, std::uint64_t step, Index lanes, const Use& use) {
  const RandomKey random{key.seed, Stream::noise_trace, key.tile};
  for (Index lane = 0; lane < lanes; lane += 2) {
    const auto normals = random_normal4(random, key.device, step, key.event, static_cast<std::uint64_t>(lane / 2));
    use(lane, normals[0], normals[1]);
    if (lane + 1 < lanes) use(lane + 1, normals[2], normals[3]);
  }
}

}  // namespace

NoiseStep::NoiseStep(const NoiseSpectrum& spectrum, double step_s)
    : white_sigma_(std::sqrt(spectrum.white_per_hz / (2.0 * step_s))), step_s_(step_s) {
  spectrum.validate();
  require_in_range("step_s", step_s, 1e-18, 1e18);
  for (const auto& l : spectrum.lorentzians) {
    const double x = step_s / l.tau_s();
    const double sigma = std::sqrt(l.variance);
    const double edge = ou::edge_weight(x);
    const double value_noise = std::sqrt(-std::expm1(-2.0 * x));
    // Cholesky factor of the joint covariance: cov(value, average) = x edge^2, var(average) = driven_variance.
    const double first = x * edge * edge / value_noise;
    const double second = std::sqrt(std::max(0.0, ou::driven_variance(x) - first * first));
    lorentzians_.push_back({std::exp(-x), sigma * value_noise, edge, sigma * first, sigma * second});
  }
}

NoiseTraceSampler::NoiseTraceSampler(const NoiseSpectrum& spectrum, const TraceKey& key)
    : key_(key), values_(static_cast<Index>(spectrum.lorentzians.size())) {
  spectrum.validate();
  for_each_lane(key_, steps_, values_.size(), [&](Index lane, double first, double) {
    values_(lane) = std::sqrt(spectrum.lorentzians[static_cast<std::size_t>(lane)].variance) * first;
  });
}

double NoiseTraceSampler::advance(const NoiseStep& step) {
  const Index lorentzians = values_.size();
  if (static_cast<Index>(step.lorentzians_.size()) != lorentzians)
    throw Error(ErrorKind::usage, "noise step and trace come from different spectra");
  const bool has_white = step.white_sigma_ > 0.0;
  double average = 0.0;
  ++steps_;
  for_each_lane(key_, steps_, lorentzians + (has_white ? 1 : 0), [&](Index lane, double first, double second) {
    if (lane == lorentzians) {
      average += step.white_sigma_ * first;
      return;
    }
    const auto& c = step.lorentzians_[static_cast<std::size_t>(lane)];
    average += c.average_begin * values_(lane) + c.average_first * first + c.average_second * second;
    values_(lane) = c.decay * values_(lane) + c.value_noise * first;
  });
  return average;
}

double NoiseTraceSampler::value() const { return values_.sum(); }

NoiseTrace noise_trace(const NoiseSpectrum& spectrum, double step_s, Index count, const TraceKey& key) {
  require_in_range("count", static_cast<double>(count), 0.0, 1e9);
  const NoiseStep step(spectrum, step_s);
  NoiseTraceSampler sampler(spectrum, key);
  NoiseTrace trace{Vector(count), Vector(count)};
  for (Index n = 0; n < count; ++n) {
    trace.average(n) = sampler.advance(step);
    trace.value(n) = sampler.value();
  }
  return trace;
}

Vector window_averages(const Eigen::Ref<const Vector>& step_averages, Index steps_per_window) {
  require_in_range("steps_per_window", static_cast<double>(steps_per_window), 1.0, 1e9);
  const Index windows = step_averages.size() / steps_per_window;
  Vector out(windows);
  for (Index n = 0; n < windows; ++n) out(n) = step_averages.segment(n * steps_per_window, steps_per_window).mean();
  return out;
}

}  // namespace crosstile::device
