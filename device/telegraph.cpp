#include "device/telegraph.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::device {

namespace {

constexpr double kEventsPerBlock = 4.0;  // mean number of refreshes in a block of time
constexpr std::uint64_t kTelegraph = std::uint64_t{1} << 33, kTraps = std::uint64_t{1} << 34;
constexpr double kMostBlocks = 0x1p52;

// Refreshes come at a constant rate, and each draws the state anew: the two-state process with this corner and occupation.
struct Refresh {
  double time_s;
  int state;
};

class TrapClock {
 public:
  TrapClock(const Trap& trap, const TraceKey& key, std::uint64_t number)
      : trap_(trap), key_(key), number_(number), block_s_(kEventsPerBlock / (2.0 * std::numbers::pi * trap.corner_hz)) {
    trap.validate();
  }

  std::int64_t block_of(double t_s) const {
    require_in_range("time of telegraph noise (s)", t_s, 0.0, kMostBlocks * block_s_);
    return static_cast<std::int64_t>(std::floor(t_s / block_s_));
  }

  /// Refreshes of one block, in the order of time.
  const std::vector<Refresh>& block(std::int64_t index) {
    refreshes_.clear();
    const double threshold = std::exp(-kEventsPerBlock);
    double product = 1.0;
    for (std::uint64_t draw = 0;; ++draw) {  // a Poisson number, by products of uniforms
      const auto u = random_uniform4({key_.seed, Stream::noise_trace, key_.tile}, key_.device, static_cast<std::uint64_t>(index),
                                     key_.event, kTelegraph | (number_ << 12) | draw);
      product *= u[0];
      if (product < threshold) break;
      refreshes_.push_back({(static_cast<double>(index) + u[1]) * block_s_, u[2] < trap_.occupation ? 1 : 0});
    }
    std::sort(refreshes_.begin(), refreshes_.end(), [](const Refresh& a, const Refresh& b) { return a.time_s < b.time_s; });
    return refreshes_;
  }

  int state(double t_s) {
    for (std::int64_t index = block_of(t_s); index >= 0; --index) {
      const auto& refreshes = block(index);
      for (auto r = refreshes.rbegin(); r != refreshes.rend(); ++r)
        if (r->time_s <= t_s) return r->state;
    }
    const auto u = random_uniform4({key_.seed, Stream::noise_trace, key_.tile}, key_.device, 0, key_.event,
                                   kTelegraph | (number_ << 12) | 0xfff);  // no refresh since time 0
    return u[0] < trap_.occupation ? 1 : 0;
  }

 private:
  const Trap& trap_;
  const TraceKey& key_;
  std::uint64_t number_;
  double block_s_;
  std::vector<Refresh> refreshes_;
};

}  // namespace

Lorentzian Trap::lorentzian() const { return {corner_hz, amplitude * amplitude * occupation * (1.0 - occupation)}; }

void Trap::validate() const {
  require_in_range("trap: corner_hz", corner_hz, 1e-12, 1e15);
  require_in_range("trap: occupation", occupation, 0.0, 1.0);
  require_in_range("trap: amplitude", amplitude, -1e6, 1e6);
}

int trap_state(const Trap& trap, const TraceKey& key, std::uint64_t number, double t_s) {
  return TrapClock(trap, key, number).state(t_s);
}

double trap_average(const Trap& trap, const TraceKey& key, std::uint64_t number, double begin_s, double end_s) {
  require_in_range("begin of a telegraph window (s)", begin_s, 0.0, 1e18);
  if (!(end_s > begin_s)) throw_out_of_range("end of a telegraph window (s)", end_s, "must be behind its begin");
  TrapClock clock(trap, key, number);
  int state = clock.state(begin_s);
  double since = begin_s, full_s = 0.0;
  const std::int64_t last = clock.block_of(end_s);
  for (std::int64_t index = clock.block_of(begin_s); index <= last; ++index)
    for (const Refresh& refresh : clock.block(index)) {
      if (refresh.time_s <= begin_s || refresh.time_s >= end_s) continue;
      full_s += state * (refresh.time_s - since);
      since = refresh.time_s;
      state = refresh.state;
    }
  full_s += state * (end_s - since);
  return trap.amplitude * full_s / (end_s - begin_s);
}

void TelegraphModel::validate() const {
  require_in_range("telegraph.traps_per_device", traps_per_device, 0.0, 100.0);
  require_in_range("telegraph.corner_low_hz", corner_low_hz, 1e-9, 1e12);
  require_in_range("telegraph.corner_high_hz", corner_high_hz, corner_low_hz, 1e12);
  require_in_range("telegraph.relative_amplitude", relative_amplitude, 0.0, 1.0);
}

std::vector<Trap> device_traps(const TelegraphModel& model, const TraceKey& key) {
  model.validate();
  std::vector<Trap> traps;
  const double threshold = std::exp(-model.traps_per_device);
  double product = 1.0;
  for (std::uint64_t number = 0;; ++number) {
    const RandomKey random{key.seed, Stream::noise_trace, key.tile};
    const auto u = random_uniform4(random, key.device, number, 0, kTraps);
    product *= u[0];
    if (product < threshold) return traps;
    const auto shape = random_uniform4(random, key.device, number, 0, kTraps | 1);
    const double corner = model.corner_low_hz * std::pow(model.corner_high_hz / model.corner_low_hz, u[1]);
    const double size = -model.relative_amplitude * std::log(shape[0]);
    traps.push_back({corner, u[2], u[3] < 0.5 ? -size : size});
  }
}

double telegraph_average(const std::vector<Trap>& traps, const TraceKey& key, double begin_s, double end_s) {
  double sum = 0.0;
  for (std::size_t k = 0; k < traps.size(); ++k)
    sum += trap_average(traps[k], key, k, begin_s, end_s) - traps[k].mean();
  return sum;
}

}  // namespace crosstile::device
