// Coloured noise as a sum of Lorentzians: independent Ornstein-Uhlenbeck processes with log-spaced corner frequencies, plus white
// noise. Everything that can be known without a simulation: spectrum, correlation, and what averaging over a window leaves.
// Equations: docs/theory.md, "Device statistics", "Noise traces". The unit of the noise is the caller's: relative, siemens, ...
#pragma once

#include <vector>

#include "core/types.hpp"

namespace crosstile::device {

/// An Ornstein-Uhlenbeck process: autocovariance variance * exp(-|lag| / tau), tau = 1 / (2 pi corner).
struct Lorentzian {
  double corner_hz = 1.0;
  double variance = 0.0;  ///< unit^2
  double tau_s() const;
};

/// Functions of time need T > 0 and lag >= 0, else Error(usage).
struct NoiseSpectrum {
  std::vector<Lorentzian> lorentzians;
  double white_per_hz = 0.0;  ///< one-sided density of the white part, unit^2 / Hz

  /// One-sided power spectral density at f >= 0, unit^2 / Hz: white + sum 4 s^2 tau / (1 + (2 pi f tau)^2).
  double density(double frequency_hz) const;
  /// Sum of the Lorentzians' variances; white noise has none of its own (only its averages do).
  double variance() const;
  /// Covariance of the values at two times `lag` apart, without the white part.
  double autocovariance(double lag_s) const;
  /// Variance of the average over a window T: white / (2 T) + sum 2 s^2 tau/T (1 - tau/T (1 - exp(-T/tau))).
  double window_variance(double window_s) const;
  /// Covariance of the averages over two windows T whose begins are `lag` >= T apart.
  double window_covariance(double window_s, double lag_s) const;
  /// Half the mean square difference of two adjacent window averages.
  double allan_variance(double window_s) const;
  /// Variance of the mean of `reads` window averages whose begins are `period` >= T apart.
  double mean_of_reads_variance(Index reads, double window_s, double period_s) const;

  /// The same noise with `factor` times the amplitude.
  NoiseSpectrum scaled(double factor) const;
  /// Throws a usage Error naming the first corner, variance or density that is not allowed.
  void validate() const;
};

/// A power law f^-exponent between two corner frequencies, plus white noise.
struct SpectrumShape {
  double exponent = 1.0;          ///< 0 .. 2; each Lorentzian gets a variance in proportion to corner^(1 - exponent)
  double corner_low_hz = 1e3;
  double corner_high_hz = 1e10;
  /// Lorentzians a decade. The sum ripples around the power law by 4 exp(-pi^2 p / ln 10): 5 % for 1, 0.08 % for 2.
  int corners_per_decade = 2;
  double variance = 1.0;          ///< of all Lorentzians together, exact
  double white_per_hz = 0.0;      ///< one-sided, unit^2 / Hz
  void validate() const;          ///< usage Error naming the field
};
NoiseSpectrum make_spectrum(const SpectrumShape& shape);

}  // namespace crosstile::device
