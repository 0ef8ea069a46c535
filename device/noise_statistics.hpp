// From noise traces back to statistics: sigma against integration time and conductance, with standard errors, and the straight
// lines sigma = a G + b through it. The study runs the whole way for the published nanosecond read noise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/progress.hpp"
#include "core/types.hpp"
#include "device/nanosecond_noise.hpp"
#include "device/spectrum_fit.hpp"

namespace crosstile::device {

/// A number and the standard deviation of its estimate.
struct Estimate {
  double value = 0.0;
  double standard_error = 0.0;
};

/// Standard deviation of zero-mean noise from its mean squares, one number a device. Windows of one device are
/// correlated, devices are not: the error comes from the scatter between devices. Errors: usage for fewer than two devices.
Estimate sigma_from_mean_squares(const Eigen::Ref<const Vector>& mean_square_per_device);
/// The same from window averages (devices x windows).
Estimate sigma_from_window_averages(const Matrix& averages);

/// Weighted straight line y = a x + b; the errors of y are taken as known, so they set the errors of a and b.
struct LineFit {
  Estimate a;
  Estimate b;
  double covariance = 0.0;   ///< of a and b
  double chi_squared = 0.0;  ///< sum of squared residuals over squared errors; expected: points - 2
};
/// Errors: usage for fewer than two points, unequal lengths, errors that are not positive, or a single x.
LineFit fit_line(const Vector& x, const Vector& y, const Vector& y_error);

/// Half width of a 95 % confidence interval in standard errors (normal quantile).
inline constexpr double kConfidence95 = 1.959963984540054;

struct ReadNoiseStudyOptions {
  NanosecondReadNoise published;
  SpectrumFitOptions spectrum;
  std::vector<double> g_siemens{2e-6, 5e-6, 10e-6, 17e-6, 25e-6};
  double step_s = 1e-9;                     ///< time step of the traces
  std::vector<Index> window_steps{1, 2, 3, 6, 10, 18, 32, 56, 100, 178, 316, 562, 1000};  ///< T = window_steps * step_s
  Index devices = 800;                      ///< traces per conductance, each as long as the longest window
  std::uint64_t seed = 1;
  std::uint32_t tile = 0;
  int threads = 0;                          ///< 0: number of processors; the result does not depend on it
  void validate() const;                    ///< usage Error naming the field
};

/// Everything about sigma(G, T) that a report shows. Errors are correlated between T (the same traces are averaged), not
/// between G (other traces).
struct ReadNoiseStudy {
  Vector t_s;                      ///< integration times
  Vector g_siemens;                ///< conductances
  Matrix sigma_siemens;            ///< t x g: measured on traces
  Matrix sigma_error_siemens;      ///< t x g: standard error of that
  Matrix closed_form_siemens;      ///< t x g: the fitted spectrum, exactly
  Matrix published_siemens;        ///< t x g: the published quartics
  Vector a, a_error;               ///< t: slope of the line sigma = a G + b, siemens per siemens
  Vector b_siemens, b_error_siemens;       ///< t
  Vector chi_squared;              ///< t: of the lines
  Vector published_a;              ///< t
  Vector published_b_siemens;      ///< t
  NanosecondProcess process;       ///< the fitted spectrum
  double spectrum_deviation = 0.0;  ///< largest |closed form / published - 1| over t x g
  double largest_pull = 0.0;        ///< largest |measured - closed form| / standard error over t x g
  Index devices = 0;
  std::uint64_t seed = 0;
};

/// Fits the spectrum to the published sigma(T), generates traces for every conductance, measures sigma on them, fits the lines.
/// Errors: usage for bad options, interrupted.
ReadNoiseStudy run_read_noise_study(const ReadNoiseStudyOptions& options = {}, const Progress& progress = {});

/// HDF5, kind "read-noise-study", version 1. Errors: io; read also bad_data.
void write_read_noise_study(const std::filesystem::path& path, const ReadNoiseStudy& study);
ReadNoiseStudy read_read_noise_study(const std::filesystem::path& path);

}  // namespace crosstile::device
