// Noise in time: traces whose values and window averages have exactly the statistics of a NoiseSpectrum, at any time step.
// A trace is a pure function of its key: the same for any number of threads and any order of devices.
#pragma once

#include <cstdint>
#include <vector>

#include "core/types.hpp"
#include "device/noise_spectrum.hpp"

namespace crosstile::device {

/// The exact transition over one time step: value at the end and average over the step of every Lorentzian, jointly normal given
/// the value at the begin; the white part enters the average only. Shared by any number of traces.
class NoiseStep {
 public:
  /// Errors: usage when step_s is not positive, or the spectrum is not valid.
  NoiseStep(const NoiseSpectrum& spectrum, double step_s);
  double step_s() const { return step_s_; }

 private:
  friend class NoiseTraceSampler;
  struct Coefficients {
    double decay;           // value at the end per value at the begin
    double value_noise;     // value at the end per first normal
    double average_begin;   // average per value at the begin
    double average_first;   // average per first normal
    double average_second;  // average per second normal
  };
  std::vector<Coefficients> lorentzians_;
  double white_sigma_;
  double step_s_;
};

/// Which trace: `device` numbers the cells of a tile, `event` repeated measurements of the same cell.
struct TraceKey {
  std::uint64_t seed = 1;
  std::uint32_t tile = 0;
  std::uint64_t device = 0;
  std::uint64_t event = 0;
};

/// Walks along one trace; starts stationary at time 0. Steps may differ in length (a gap between reads is a step whose average is
/// not used): value and averages keep their exact statistics, but the numbers belong to that sequence of steps.
class NoiseTraceSampler {
 public:
  /// Errors: usage when the spectrum is not valid.
  NoiseTraceSampler(const NoiseSpectrum& spectrum, const TraceKey& key);

  /// One step on; returns the average over the step. The step must be made from the same spectrum.
  double advance(const NoiseStep& step);
  /// Present value of all Lorentzians together (white noise has no value at an instant).
  double value() const;

 private:
  TraceKey key_;
  std::uint64_t steps_ = 0;
  Vector values_;  // Lorentzians
};

/// `count` equal steps: averages over the steps, and values at their ends.
struct NoiseTrace {
  Vector average;  ///< count
  Vector value;    ///< count
};
NoiseTrace noise_trace(const NoiseSpectrum& spectrum, double step_s, Index count, const TraceKey& key);

/// Averages over consecutive windows of `steps_per_window` steps each; a rest that fills no window is left out. Averages of
/// averages are exact: nothing is lost against sampling the longer window.
Vector window_averages(const Eigen::Ref<const Vector>& step_averages, Index steps_per_window);

}  // namespace crosstile::device
