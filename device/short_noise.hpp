// Noise inside a product and from product to product, as one process: its spectrum relative to (G + g_offset).
#pragma once

#include "device/noise_spectrum.hpp"

namespace crosstile::device {

/// The noise of a cell is (G + g_offset) times a process with the spectrum `shape`. The defaults are the fit to the published
/// nanosecond read noise (fit_nanosecond_process; docs/theory.md, "The spectrum behind the published numbers").
struct ShortNoise {
  SpectrumShape shape{.exponent = 0.74606,
                      .corner_low_hz = 1e3,
                      .corner_high_hz = 1e10,
                      .corners_per_decade = 2,
                      .variance = 1.04292e-3,
                      .white_per_hz = 5.03016e-13};
  double g_offset_siemens = 4.49359e-6;

  NoiseSpectrum relative() const { return make_spectrum(shape); }
  void validate() const;  ///< usage Error naming the field
};

}  // namespace crosstile::device
