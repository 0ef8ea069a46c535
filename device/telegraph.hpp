// Random telegraph noise: a trap in a device is full or empty and switches at random. Exact in continuous time, and any window of it
// without the time before: docs/theory.md, "Random telegraph noise".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "device/noise_spectrum.hpp"
#include "device/noise_trace.hpp"

namespace crosstile::device {

/// One two-level fluctuator: 0 or `amplitude`. Its autocovariance is that of lorentzian().
struct Trap {
  double corner_hz = 1e3;   ///< (rate of filling + rate of emptying) / (2 pi)
  double occupation = 0.5;  ///< share of time at `amplitude`
  double amplitude = 0.01;  ///< any unit; negative: a full trap lowers the value
  Lorentzian lorentzian() const;
  double mean() const { return occupation * amplitude; }
  void validate() const;  ///< usage Error naming the field
};

/// State (0 or 1) of the trap `number` of a cell at time t_s >= 0.
int trap_state(const Trap& trap, const TraceKey& key, std::uint64_t number, double t_s);
/// Average over [begin_s, end_s), exact: switching times are drawn, not sampled. The cost grows with the number of switches.
double trap_average(const Trap& trap, const TraceKey& key, std::uint64_t number, double begin_s, double end_s);

/// The traps of a population of devices: a Poisson number of them in each, corners log-uniform, occupation uniform in 0..1,
/// amplitude exponential with random sign, relative to the device's conductance.
struct TelegraphModel {
  double traps_per_device = 0.0;     ///< mean; 0: no telegraph noise
  double corner_low_hz = 1.0;
  double corner_high_hz = 1e6;
  double relative_amplitude = 0.01;  ///< mean of |amplitude|
  void validate() const;             ///< usage Error naming the field
};
/// The traps of one device, always the same for a key (its `event` is not used).
std::vector<Trap> device_traps(const TelegraphModel& model, const TraceKey& key);
/// Sum of the traps' averages, without their means: what telegraph noise adds to the relative conductance.
double telegraph_average(const std::vector<Trap>& traps, const TraceKey& key, double begin_s, double end_s);

}  // namespace crosstile::device
