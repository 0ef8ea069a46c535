// What a measured series says about its noise: power spectral density, Allan variance, and what both should be for a NoiseSpectrum.
// A series holds the averages over consecutive windows of step_s, as a device is read.
#pragma once

#include "core/types.hpp"
#include "device/noise_spectrum.hpp"

namespace crosstile::device {

struct Density {
  Vector frequency_hz;  ///< k / (segment * step_s), k = 1 .. segment / 2 - 1
  Vector per_hz;        ///< one-sided, unit^2 / Hz
  Index segments = 0;   ///< that were averaged (overlapping by half)
};
/// Welch's method: Hann-weighted segments of `segment` samples overlapping by half, each without its mean.
/// [P. D. Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967)] Errors: usage for a segment that is not even, shorter than 8 or
/// longer than the series, or a step that is not positive.
Density welch_density(const Eigen::Ref<const Vector>& series, double step_s, Index segment);

/// Density of the series of averages over consecutive windows of step_s (aliases included): what Welch's method tends to. 0 < f <
/// 1 / (2 step_s).
double averaged_density(const NoiseSpectrum& spectrum, double frequency_hz, double step_s);

/// Half the mean square difference of adjacent averages over `samples` samples, all overlapping pairs.
/// Errors: usage when fewer than 2 * samples are there.
double allan_variance(const Eigen::Ref<const Vector>& series, Index samples);

/// Slope of ln y over ln x, least squares. Errors: usage for fewer than two points or values that are not positive.
double log_log_slope(const Vector& x, const Vector& y);

}  // namespace crosstile::device
