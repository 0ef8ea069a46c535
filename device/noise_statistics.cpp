#include "device/noise_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "device/noise_trace.hpp"

namespace crosstile::device {

namespace {

/// Mean square of the window averages of one trace, for every window length.
Vector trace_mean_squares(const Vector& step_averages, const std::vector<Index>& window_steps) {
  Vector out(static_cast<Index>(window_steps.size()));
  for (Index k = 0; k < out.size(); ++k)
    out(k) = window_averages(step_averages, window_steps[static_cast<std::size_t>(k)]).array().square().mean();
  return out;
}

/// Mean squares of all traces of one conductance: devices x windows. Devices of the g-th conductance are numbered from
/// g * devices.
class TraceCampaign {
 public:
  TraceCampaign(const ReadNoiseStudyOptions& options, const NoiseSpectrum& spectrum, Index first_device)
      : options_(options), spectrum_(spectrum), step_(spectrum, options.step_s), first_device_(first_device) {}

  void run(Index begin, Index end, Matrix& mean_squares) const {
    const Index steps = *std::max_element(options_.window_steps.begin(), options_.window_steps.end());
    parallel_for(end - begin, options_.threads, [&](Index n, int) {
      const Index device = begin + n;
      NoiseTraceSampler sampler(
          spectrum_, {options_.seed, options_.tile, static_cast<std::uint64_t>(first_device_ + device), 0});
      Vector averages(steps);
      for (double& average : averages) average = sampler.advance(step_);
      mean_squares.row(device) = trace_mean_squares(averages, options_.window_steps).transpose();
    });
  }

 private:
  const ReadNoiseStudyOptions& options_;
  const NoiseSpectrum& spectrum_;
  NoiseStep step_;
  Index first_device_;
};

ReadNoiseStudy empty_study(const ReadNoiseStudyOptions& options) {
  ReadNoiseStudy study;
  const auto times = static_cast<Index>(options.window_steps.size());
  const auto conductances = static_cast<Index>(options.g_siemens.size());
  study.g_siemens = Eigen::Map<const Vector>(options.g_siemens.data(), conductances);
  study.t_s.resize(times);
  for (Index k = 0; k < times; ++k)
    study.t_s(k) = static_cast<double>(options.window_steps[static_cast<std::size_t>(k)]) * options.step_s;
  for (Matrix* m : {&study.sigma_siemens, &study.sigma_error_siemens, &study.closed_form_siemens, &study.published_siemens})
    m->resize(times, conductances);
  for (Vector* v : {&study.a, &study.a_error, &study.b_siemens, &study.b_error_siemens, &study.chi_squared, &study.published_a,
                    &study.published_b_siemens})
    v->resize(times);
  study.devices = options.devices;
  study.seed = options.seed;
  return study;
}

void add_measured(const ReadNoiseStudyOptions& options, ReadNoiseStudy& study, const Progress& progress) {
  const Index conductances = study.g_siemens.size();
  const Index chunk = std::max<Index>(1, (options.devices + 9) / 10);
  for (Index g = 0; g < conductances; ++g) {
    const NoiseSpectrum spectrum = study.process.spectrum(study.g_siemens(g));
    const TraceCampaign campaign(options, spectrum, g * options.devices);
    Matrix mean_squares(options.devices, study.t_s.size());
    for (Index begin = 0; begin < options.devices; begin += chunk) {
      const double done = static_cast<double>(g * options.devices + begin) / static_cast<double>(conductances * options.devices);
      report_progress(progress, done, "read-noise traces");
      campaign.run(begin, std::min(begin + chunk, options.devices), mean_squares);
    }
    for (Index k = 0; k < study.t_s.size(); ++k) {
      const Estimate sigma = sigma_from_mean_squares(mean_squares.col(k));
      study.sigma_siemens(k, g) = sigma.value;
      study.sigma_error_siemens(k, g) = sigma.standard_error;
      study.closed_form_siemens(k, g) = std::sqrt(spectrum.window_variance(study.t_s(k)));
    }
  }
  report_progress(progress, 1.0, "read-noise traces");
}

void add_lines(const ReadNoiseStudyOptions& options, ReadNoiseStudy& study) {
  for (Index k = 0; k < study.t_s.size(); ++k) {
    const LineFit line = fit_line(study.g_siemens, study.sigma_siemens.row(k), study.sigma_error_siemens.row(k));
    study.a(k) = line.a.value;
    study.a_error(k) = line.a.standard_error;
    study.b_siemens(k) = line.b.value;
    study.b_error_siemens(k) = line.b.standard_error;
    study.chi_squared(k) = line.chi_squared;
    study.published_a(k) = options.published.slope(study.t_s(k));
    study.published_b_siemens(k) = options.published.offset_siemens(study.t_s(k));
    for (Index g = 0; g < study.g_siemens.size(); ++g)
      study.published_siemens(k, g) = options.published.sigma_siemens(study.g_siemens(g), study.t_s(k));
  }
}

}  // namespace

Estimate sigma_from_mean_squares(const Eigen::Ref<const Vector>& mean_square_per_device) {
  const auto devices = static_cast<double>(mean_square_per_device.size());
  require_in_range("devices", devices, 2.0, 1e12);
  const double mean = mean_square_per_device.mean();
  const double spread = (mean_square_per_device.array() - mean).square().sum() / (devices - 1.0);
  const double sigma = std::sqrt(mean);
  return {sigma, sigma > 0.0 ? std::sqrt(spread / devices) / (2.0 * sigma) : 0.0};
}

Estimate sigma_from_window_averages(const Matrix& averages) {
  require_in_range("windows", static_cast<double>(averages.cols()), 1.0, 1e12);
  const Vector mean_squares = averages.array().square().rowwise().mean();
  return sigma_from_mean_squares(mean_squares);
}

LineFit fit_line(const Vector& x, const Vector& y, const Vector& y_error) {
  require_in_range("points", static_cast<double>(x.size()), 2.0, 1e12);
  if (y.size() != x.size() || y_error.size() != x.size()) throw Error(ErrorKind::usage, "x, y and y_error differ in length");
  for (const double error : y_error) require_in_range("y_error", error, 1e-300, 1e300);
  const Eigen::ArrayXd weight = y_error.array().square().inverse();
  const double total = weight.sum();
  const double x_mean = (weight * x.array()).sum() / total;
  const double y_mean = (weight * y.array()).sum() / total;
  const Eigen::ArrayXd dx = x.array() - x_mean;
  const double spread = (weight * dx.square()).sum();
  if (!(spread > 0.0)) throw Error(ErrorKind::usage, "a line needs at least two different x");
  LineFit fit;
  fit.a = {(weight * dx * (y.array() - y_mean)).sum() / spread, 1.0 / std::sqrt(spread)};
  fit.b = {y_mean - fit.a.value * x_mean, std::sqrt(1.0 / total + x_mean * x_mean / spread)};
  fit.covariance = -x_mean / spread;
  fit.chi_squared = (weight * (y.array() - fit.a.value * x.array() - fit.b.value).square()).sum();
  return fit;
}

void ReadNoiseStudyOptions::validate() const {
  require_in_range("number of conductances (g_siemens)", static_cast<double>(g_siemens.size()), 2.0, 1e4);
  require_in_range("number of windows (window_steps)", static_cast<double>(window_steps.size()), 1.0, 1e4);
  require_in_range("devices", static_cast<double>(devices), 2.0, 1e9);
  require_in_range("step_s", step_s, 1e-18, published.t_high_s);
  for (const Index steps : window_steps) {
    require_in_range("window_steps", static_cast<double>(steps), 1.0, 1e7);
    published.slope(static_cast<double>(steps) * step_s);  // refuses T outside the published range, by name
  }
  for (const double g : g_siemens) require_in_range("g_siemens", g, 0.0, 1.0);
}

ReadNoiseStudy run_read_noise_study(const ReadNoiseStudyOptions& options, const Progress& progress) {
  options.validate();
  ReadNoiseStudy study = empty_study(options);
  study.process = fit_nanosecond_process(options.published, options.spectrum);
  add_measured(options, study, progress);
  add_lines(options, study);
  study.spectrum_deviation =
      (study.closed_form_siemens.array() / study.published_siemens.array() - 1.0).abs().maxCoeff();
  study.largest_pull =
      ((study.sigma_siemens - study.closed_form_siemens).array() / study.sigma_error_siemens.array()).abs().maxCoeff();
  return study;
}

}  // namespace crosstile::device
