// The noise spectrum behind a measured sigma(T): which exponent and white level reproduce how noise averages out.
#pragma once

#include <optional>

#include "device/nanosecond_noise.hpp"
#include "device/noise_spectrum.hpp"

namespace crosstile::device {

enum class FitCriterion {
  least_squares,     ///< sum of squares of ln(fitted sigma / given sigma)
  largest_deviation  ///< largest |ln(fitted sigma / given sigma)|: the best a spectrum can do at its worst T
};

struct SpectrumFitOptions {
  std::optional<double> exponent{};  ///< absent: fitted within 0..2
  bool white = true;               ///< fit a white level; false: none
  double corner_low_hz = 1e3;
  double corner_high_hz = 1e10;
  int corners_per_decade = 2;
  FitCriterion criterion = FitCriterion::least_squares;
};

struct SpectrumFit {
  SpectrumShape shape;               ///< fitted exponent, variance and white level
  double largest_deviation = 0.0;    ///< largest |fitted sigma / given sigma - 1|
  double rms_deviation = 0.0;        ///< root mean square of ln(fitted sigma / given sigma)
};

/// Fits ln sigma over exponent, white level and scale; `t_s` and `sigma` of equal length (3 or more, positive). A grid finds the
/// valley, golden sections its floor. Errors: usage for bad input.
SpectrumFit fit_spectrum(const Vector& t_s, const Vector& sigma, const SpectrumFitOptions& options = {});

/// Nanosecond read noise as a process: the noise of a cell is (G + g_offset) times one relative process, whose spectrum
/// is `fit.shape`.
struct NanosecondProcess {
  SpectrumFit fit;
  double g_offset_siemens = 0.0;
  /// Of a cell, siemens^2: make_spectrum(fit.shape).scaled(g_siemens + g_offset_siemens). Errors: usage for g < 0.
  NoiseSpectrum spectrum(double g_siemens) const;
};
/// Fits sigma(G_ref, T) / (G_ref + g_0) at `points` log-spaced T, G_ref = 15 uS. Errors: usage.
NanosecondProcess fit_nanosecond_process(const NanosecondReadNoise& noise, const SpectrumFitOptions& options = {},
                                         int points = 61);

}  // namespace crosstile::device
