// Read noise of a single product: how much the conductance seen through an integration window of 1 ns to 1 us scatters.
// The fast part of the same process whose slow part is AccumulatedReadNoise (pcm.hpp): noise slower than t_r = 250 ns is frozen
// during a product. Adding both above 1 / t_r would count it twice.
#pragma once

#include <array>
#include <string>

namespace crosstile::device {

/// sigma(G, T) = a(x) G + b(x), x = log10(T / 1 ns), a and b quartics in x (highest power first).
/// The published fit holds between t_low and t_high only and turns up beyond, so other T are refused, never clamped.
struct NanosecondReadNoise {
  std::array<double, 5> a{0.00021926, -0.00187352, 0.00655714, -0.0146159, 0.02578764};
  std::array<double, 5> b_siemens{1.11906167e-09, -9.08576764e-09, 3.07015063e-08, -6.77079241e-08, 1.17763144e-07};
  double t_low_s = 1e-9;
  double t_high_s = 1e-6;
  std::string source = "PCM read-noise statistics against integration time, published quartics (docs/theory.md)";

  /// Errors of all three: usage when T is outside t_low..t_high, or G is negative or not finite.
  double slope(double t_s) const;                             ///< a(T), siemens per siemens
  double offset_siemens(double t_s) const;                    ///< b(T)
  double sigma_siemens(double g_siemens, double t_s) const;   ///< standard deviation of the window average of G
};

/// The conductance g_0 that makes a(T) (G + g_0) closest to sigma(G, T): mean of b / a over `points` log-spaced T. Published set:
/// b / a stays within 4.4..4.6 uS, so one spectrum of relative amplitude serves all conductances.
double offset_conductance_siemens(const NanosecondReadNoise& noise, int points = 61);

}  // namespace crosstile::device
