#include "nn/pulsed_array.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace crosstile::nn {

namespace {

constexpr std::uint32_t kSign = 1U << 31;
constexpr Index kBlockLines = 16;               // word lines of one parallel piece
constexpr Index kBlockSamples = 8;              // samples of one parallel piece
constexpr std::uint32_t kFamily = 0x50000000U;  // RandomKey::tile of arrays: kFamily + 16 family + purpose
enum Purpose : std::uint32_t {
  steps,
  lows,
  highs,
  asymmetries,
  up_slopes,
  down_slopes,
  inputs,
  deltas,
  cycles
};

RandomKey key_of(std::uint64_t seed, std::uint32_t family, Purpose purpose) {
  return {seed, Stream::weight_noise, kFamily + 16 * family + purpose};
}

float largest_magnitude(const float* values, Index count) {
  return Eigen::Map<const Eigen::ArrayXf>(values, count).abs().maxCoeff();
}

// A probability in units of 2^-31; everything from 1 on fires for certain.
std::uint32_t threshold_of(float probability) {
  return static_cast<std::uint32_t>(std::min(probability, 1.0F) * 0x1p31F);
}

template <typename T>
void at_least(std::vector<T>& values, std::size_t count) {
  if (values.size() < count) values.resize(count);
}

}  // namespace

PulsePlan plan_pulses(const PulseOptions& options, double step, double rate, float largest_x,
                      float largest_d) {
  const double x = largest_x, d = largest_d, most = options.desired_pulses;
  const double wanted = rate * x * d / step;
  if (!(wanted > 0.0) || !std::isfinite(wanted)) return {};
  const double pulses = options.length_management ? std::min(std::ceil(wanted), most) : most;
  const double scale = options.update_management && wanted > most ? most / wanted : 1.0;  // of d
  const double factor = std::sqrt(rate / (step * pulses));
  const double ratio = options.update_management ? std::sqrt(scale * d / x) : 1.0;
  return {static_cast<int>(pulses), static_cast<float>(factor * ratio),
          static_cast<float>(factor / ratio * scale)};
}

PulsedArray::PulsedArray(const AnalogDevice& device, const PulseOptions& options, std::uint64_t seed,
                         std::uint32_t family, Index rows, Index cols)
    : law_(device),
      options_(options),
      rows_(rows),
      cols_(cols),
      devices_(static_cast<std::size_t>(rows * cols)),
      input_key_(bulk_key(key_of(seed, family, inputs))),
      delta_key_(bulk_key(key_of(seed, family, deltas))),
      cycle_key_(bulk_key(key_of(seed, family, cycles))) {
  if (law_.law == DeviceLaw::soft_bounds) law_.slope_up = law_.slope_down = 1.0, law_.slope_spread = 0.0;
  const bool sloped = law_.law == DeviceLaw::linear_step || law_.law == DeviceLaw::soft_bounds;
  const auto draw = [&](Purpose purpose) {
    return random_normal_matrix(key_of(seed, family, purpose), rows, cols);
  };
  const Array step = (law_.step * (1.0 + law_.step_spread * draw(steps).array())).abs();
  const Array low = -(law_.bound * (1.0 + law_.bound_spread * draw(lows).array())).abs();
  const Array high = (law_.bound * (1.0 + law_.bound_spread * draw(highs).array())).abs();
  const Array asymmetry = law_.asymmetry + law_.asymmetry_spread * draw(asymmetries).array();
  for (Index k = 0; k < rows * cols; ++k)
    devices_[static_cast<std::size_t>(k)] = {
        static_cast<float>(step.data()[k] * (1.0 + asymmetry.data()[k])),
        static_cast<float>(-step.data()[k] * (1.0 - asymmetry.data()[k])), static_cast<float>(low.data()[k]),
        static_cast<float>(high.data()[k])};
  if (!sloped) return;
  const Array up = (law_.slope_up + law_.slope_spread * draw(up_slopes).array()) / high;
  const Array down = (law_.slope_down + law_.slope_spread * draw(down_slopes).array()) / low;
  slopes_up_.resize(devices_.size());
  slopes_down_.resize(devices_.size());
  for (std::size_t k = 0; k < devices_.size(); ++k) {
    slopes_up_[k] = static_cast<float>(up.data()[k]);
    slopes_down_[k] = static_cast<float>(down.data()[k]);
  }
}

float PulsedArray::pulse_size(std::size_t k, float w, bool up) const {
  const DeviceParameters& device = devices_[k];
  const float step = up ? device.up : device.down;
  switch (law_.law) {
    case DeviceLaw::constant_step:
      return step;
    case DeviceLaw::linear_step:
    case DeviceLaw::soft_bounds:
      return step * std::max(0.0F, 1.0F - (up ? slopes_up_[k] : slopes_down_[k]) * w);
    case DeviceLaw::exponential_step:
      break;
  }
  const double z =
      2.0 * law_.exponential_a * w / static_cast<double>(device.high - device.low) + law_.exponential_b;
  const double loss = up ? law_.exponential_a_up * std::exp(law_.exponential_gamma_up * z)
                         : law_.exponential_a_down * std::exp(-law_.exponential_gamma_down * z);
  return step * static_cast<float>(std::max(0.0, 1.0 - loss));
}

float PulsedArray::mean_step(Index row, Index col, float w, bool up) const {
  return pulse_size(static_cast<std::size_t>(row * cols_ + col), w, up);
}

float PulsedArray::symmetry_point(Index row, Index col) const {
  const DeviceParameters& d = device(row, col);
  const auto drift = [&](float w) { return mean_step(row, col, w, true) + mean_step(row, col, w, false); };
  float low = d.low, high = d.high;
  if (law_.law == DeviceLaw::constant_step || drift(low) <= 0.0F || drift(high) >= 0.0F) return 0.0F;
  for (int k = 0; k < 30; ++k) {
    const float middle = 0.5F * (low + high);
    (drift(middle) > 0.0F ? low : high) = middle;
  }
  return 0.5F * (low + high);
}

void PulsedArray::clip(MatrixF& w) const {
  for (std::size_t k = 0; k < devices_.size(); ++k) {
    float& value = w.data()[k];
    value = value < devices_[k].low ? devices_[k].low : value > devices_[k].high ? devices_[k].high : value;
  }
}

// Draws the slots of every line that is not zero, and keeps the lines that fire at all.
void PulsedArray::fire(const float* values, Index count, float factor, int pulses, const BulkKey& key,
                       const BulkPlace& place, Scratch& scratch, Fired& out) const {
  const auto room = static_cast<std::size_t>(bulk_groups(count) * kBulkGroup);
  for (auto* list : {&scratch.line, &scratch.threshold, &scratch.bits, &out.line, &out.mask})
    at_least(*list, room);
  std::size_t active = 0;
  for (Index k = 0; k < count; ++k) {
    scratch.line[active] = static_cast<std::uint32_t>(k) | (values[k] < 0.0F ? kSign : 0U);
    scratch.threshold[active] = threshold_of(factor * std::abs(values[k]));
    active += values[k] != 0.0F ? 1 : 0;
  }
  const int groups = bulk_groups(static_cast<Index>(active));
  const auto drawn = static_cast<std::size_t>(groups * kBulkGroup);
  std::fill_n(out.mask.begin(), drawn, 0U);
  std::fill(scratch.threshold.begin() + static_cast<std::ptrdiff_t>(active),
            scratch.threshold.begin() + static_cast<std::ptrdiff_t>(drawn), 0U);
  for (int slot = 0; slot < pulses; ++slot) {
    bulk_bits(key, place, static_cast<std::uint32_t>(slot * groups), groups, scratch.bits.data());
    const std::uint32_t *bits = scratch.bits.data(), *threshold = scratch.threshold.data();
    std::uint32_t* mask = out.mask.data();
    for (std::size_t k = 0; k < drawn; ++k) mask[k] |= (bits[k] >> 1) < threshold[k] ? 1U << slot : 0U;
  }
  out.count = 0;
  for (std::size_t k = 0; k < active; ++k) {
    const std::uint32_t mask = out.mask[k];
    out.line[out.count] = scratch.line[k] & ~kSign;
    out.mask[out.count] = mask | (scratch.line[k] & kSign);
    out.count += mask != 0 ? 1 : 0;
  }
}

void PulsedArray::fire_sample(const BatchIn& x, const BatchIn& d, Index sample, double rate,
                              std::uint64_t step, Scratch& scratch) {
  const float* x_row = x.data() + sample * x.outerStride();
  const float* d_row = d.data() + sample * d.outerStride();
  Fired& in = input_[static_cast<std::size_t>(sample)];
  Fired& delta = delta_[static_cast<std::size_t>(sample)];
  in.count = delta.count = 0;
  const PulsePlan plan = plan_pulses(options_, law_.step, rate, largest_magnitude(x_row, x.cols()),
                                     largest_magnitude(d_row, d.cols()));
  if (plan.pulses == 0) return;
  const BulkPlace place{step, static_cast<std::uint32_t>(sample), 0};
  fire(d_row, d.cols(), plan.delta_factor, plan.pulses, delta_key_, place, scratch, delta);
  if (delta.count == 0) return;
  fire(x_row, x.cols(), plan.input_factor, plan.pulses, input_key_, place, scratch, in);
}

// All coincidences of one word line, sample by sample.
void PulsedArray::collect(const std::uint32_t* masks, Index samples, std::vector<Event>& events) const {
  events.clear();
  for (Index s = 0; s < samples; ++s) {
    const std::uint32_t mask = masks[s];
    if (mask == 0) continue;
    const Fired& delta = delta_[static_cast<std::size_t>(s)];
    for (std::size_t k = 0; k < delta.count; ++k) {
      const int together = std::popcount(mask & delta.mask[k] & ~kSign);
      if (together == 0) continue;
      const bool up = ((mask ^ delta.mask[k]) & kSign) != 0;
      events.push_back({delta.line[k], up ? together : -together});
    }
  }
}

// A constant step draws the pulses of one coincidence as one normal number; other laws depend on the weight
// and go pulse by pulse.
void PulsedArray::move(Index line, std::uint64_t step, Scratch& scratch, float* w) const {
  if (law_.law != DeviceLaw::constant_step) {
    std::vector<Event> single;
    for (const Event& event : scratch.events)
      single.insert(single.end(), static_cast<std::size_t>(std::abs(event.pulses)),
                    {event.col, event.pulses > 0 ? 1 : -1});
    scratch.events.swap(single);
  }
  const auto count = static_cast<Index>(scratch.events.size());
  at_least(scratch.normals, static_cast<std::size_t>(bulk_groups(count) * kBulkGroup));
  const auto spread = static_cast<float>(law_.cycle_spread);
  if (spread > 0.0F)
    bulk_normals(cycle_key_, {step, static_cast<std::uint32_t>(line), 0}, 0, bulk_groups(count),
                 scratch.normals.data());
  const auto first = static_cast<std::size_t>(line * cols_);
  const float* normal = scratch.normals.data();
  for (Index k = 0; k < count; ++k) {
    const Event event = scratch.events[static_cast<std::size_t>(k)];
    const DeviceParameters& device = devices_[first + event.col];
    const auto pulses = static_cast<float>(std::abs(event.pulses));
    const float noise = spread > 0.0F ? spread * std::sqrt(pulses) * normal[k] : 0.0F;
    const float size = law_.law == DeviceLaw::constant_step
                           ? (event.pulses > 0 ? device.up : device.down)
                           : pulse_size(first + event.col, w[event.col], event.pulses > 0);
    const float moved = w[event.col] + size * (pulses + noise);
    w[event.col] = moved < device.low ? device.low : moved > device.high ? device.high : moved;
  }
}

void PulsedArray::update(const BatchIn& x, const BatchIn& d, double rate, std::uint64_t step, int threads,
                         MatrixF& w) {
  const Index samples = x.rows();
  at_least(scratch_, static_cast<std::size_t>(threads > 0 ? threads : default_threads()));
  at_least(input_, static_cast<std::size_t>(samples));
  at_least(delta_, static_cast<std::size_t>(samples));
  masks_.assign(static_cast<std::size_t>(rows_ * samples), 0U);
  parallel_for((samples + kBlockSamples - 1) / kBlockSamples, threads, [&](Index block, int worker) {
    for (Index s = block * kBlockSamples; s < std::min(samples, (block + 1) * kBlockSamples); ++s) {
      fire_sample(x, d, s, rate, step, scratch_[static_cast<std::size_t>(worker)]);
      const Fired& in = input_[static_cast<std::size_t>(s)];
      for (std::size_t k = 0; k < in.count; ++k)
        masks_[static_cast<std::size_t>(static_cast<Index>(in.line[k]) * samples + s)] = in.mask[k];
    }
  });
  parallel_for((rows_ + kBlockLines - 1) / kBlockLines, threads, [&](Index block, int worker) {
    Scratch& scratch = scratch_[static_cast<std::size_t>(worker)];
    for (Index line = block * kBlockLines; line < std::min(rows_, (block + 1) * kBlockLines); ++line) {
      collect(masks_.data() + line * samples, samples, scratch.events);
      if (!scratch.events.empty()) move(line, step, scratch, w.row(line).data());
    }
  });
}

void PulsedArray::update_line(Index line, const Eigen::Ref<const RowVector<float>>& d, double rate,
                              std::uint64_t step, MatrixF& w) {
  at_least(scratch_, 1);
  at_least(input_, 1);
  at_least(delta_, 1);
  Scratch& scratch = scratch_.front();
  const PulsePlan plan = plan_pulses(options_, law_.step, rate, 1.0F, largest_magnitude(d.data(), d.cols()));
  if (plan.pulses == 0) return;
  const BulkPlace place{step, static_cast<std::uint32_t>(line), 0};
  const float one = 1.0F;
  fire(d.data(), d.cols(), plan.delta_factor, plan.pulses, delta_key_, place, scratch, delta_.front());
  fire(&one, 1, plan.input_factor, plan.pulses, input_key_, place, scratch, input_.front());
  if (input_.front().count == 0) return;
  collect(input_.front().mask.data(), 1, scratch.events);
  if (!scratch.events.empty()) move(line, step, scratch, w.row(line).data());
}

}  // namespace crosstile::nn
