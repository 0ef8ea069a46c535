// Internal. Weights in devices, and their update by stochastic pulses. docs/theory.md, "Pulsed update".
#pragma once

#include <vector>

#include "nn/analog.hpp"
#include "nn/bulk_random.hpp"

namespace crosstile::nn {

/// Parameters of one device. Steps are for one pulse at weight 0; `down` is negative.
struct DeviceParameters {
  float up = 0.0F, down = 0.0F, low = 0.0F, high = 0.0F;
};

/// What the update of one sample needs. Empty when nothing fires.
struct PulsePlan {
  int pulses = 0;             ///< slots
  float input_factor = 0.0F;  ///< line j fires in a slot with probability min(1, input_factor |x_j|)
  float delta_factor = 0.0F;  ///< line i with min(1, delta_factor |d_i|)
};
/// rate: mean of the update is -rate x d, as far as probabilities stay below 1.
PulsePlan plan_pulses(const PulseOptions& options, double step, double rate, float largest_x,
                      float largest_d);

/// An array of devices; weights are held by the caller (word lines x bit lines).
class PulsedArray {
 public:
  /// family: tells arrays of one training apart. Draws the devices.
  PulsedArray(const AnalogDevice& device, const PulseOptions& options, std::uint64_t seed,
              std::uint32_t family, Index rows, Index cols);

  /// w -= rate x^T d by pulses, samples one after another. step: of the training, for the random numbers.
  void update(const BatchIn& x, const BatchIn& d, double rate, std::uint64_t step, int threads, MatrixF& w);
  /// The same for one word line and x = 1: w.row(line) -= rate d.
  void update_line(Index line, const Eigen::Ref<const RowVector<float>>& d, double rate, std::uint64_t step,
                   MatrixF& w);
  void clip(MatrixF& w) const;
  const DeviceParameters& device(Index row, Index col) const {
    return devices_[static_cast<std::size_t>(row * cols_ + col)];
  }
  /// Mean change of a weight by one pulse.
  float mean_step(Index row, Index col, float w, bool up) const;
  /// Where an up and a down step cancel; 0 when there is no such point between the bounds.
  float symmetry_point(Index row, Index col) const;

 private:
  // Lines of one side that fire for one sample. mask: the slots; bit 31: the value is negative.
  struct Fired {
    std::vector<std::uint32_t> line, mask;
    std::size_t count = 0;
  };
  struct Event {
    std::uint32_t col;
    std::int32_t pulses;  // positive: up
  };
  struct Scratch {
    std::vector<std::uint32_t> line, threshold, bits;
    std::vector<Event> events;
    std::vector<float> normals;
  };

  void fire(const float* values, Index count, float factor, int pulses, const BulkKey& key,
            const BulkPlace& place, Scratch& scratch, Fired& out) const;
  void fire_sample(const BatchIn& x, const BatchIn& d, Index sample, double rate, std::uint64_t step,
                   Scratch& scratch);
  void collect(const std::uint32_t* masks, Index samples, std::vector<Event>& events) const;
  void move(Index line, std::uint64_t step, Scratch& scratch, float* w) const;
  float pulse_size(std::size_t device, float w, bool up) const;

  AnalogDevice law_;
  PulseOptions options_;
  Index rows_, cols_;
  std::vector<DeviceParameters> devices_;
  std::vector<float> slopes_up_, slopes_down_;  // linear laws: slope / bound
  BulkKey input_key_, delta_key_, cycle_key_;
  std::vector<Scratch> scratch_;      // one a worker
  std::vector<Fired> delta_;          // one a sample
  std::vector<Fired> input_;          // one a sample
  std::vector<std::uint32_t> masks_;  // word lines x samples
};

}  // namespace crosstile::nn
