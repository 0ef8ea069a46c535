// Noise in time, any window of it: the average over a window is a pure function of (spectrum, key, window), computed without the
// trace before it. Every Lorentzian is a tree of Ornstein-Uhlenbeck bridges over halves of halves of a long interval; the nodes draw
// their numbers by counter. Equations: docs/theory.md, "Random access".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/types.hpp"
#include "device/noise_spectrum.hpp"
#include "device/noise_trace.hpp"

namespace crosstile::device {

/// Time, in whole ticks from the begin of the trace; 0 .. 2^62.
using Tick = std::int64_t;

/// The trace of one cell of an array: circuit and tile model take the same numbers.
inline TraceKey cell_key(std::uint64_t seed, std::uint32_t tile, Index row, Index column) {
  return {seed, tile, static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(column), 0};
}

struct TraceGrid {
  double tick_s = 1e-12;  ///< windows begin and end on ticks; nothing else is rounded
  double root_s = 1e-6;   ///< longest interval handled as one node, rounded up to a power of two ticks (fast Lorentzians; slow ones: 40 tau)
  void validate() const;  ///< usage Error naming the field
};

/// Equal windows at equal distances.
struct ReadTimes {
  Tick first = 0;   ///< begin of the first window
  Tick window = 1;  ///< length, >= 1
  Tick period = 1;  ///< begin to begin, >= window
  Index count = 1;
};

/// A spectrum made ready for traces; immutable, shared by any number of cells and threads.
class RandomAccessNoise {
 public:
  /// Errors: usage when spectrum or grid is not valid.
  explicit RandomAccessNoise(const NoiseSpectrum& spectrum, const TraceGrid& grid = {});

  const TraceGrid& grid() const { return grid_; }
  /// Nearest tick. Errors: usage when t_s is negative or beyond 2^62 ticks.
  Tick tick(double t_s) const;

  /// Averages over [edges[k], edges[k + 1]), white part included; edges.size() - 1 numbers. The cost grows with the number of edges
  /// and, for windows beyond root_s, with their length. Errors: usage for edges that are negative or do not rise.
  Vector averages(const TraceKey& key, std::span<const Tick> edges) const;
  double average(const TraceKey& key, Tick begin, Tick end) const;
  /// Averages over the windows alone. Errors: usage.
  Vector reads(const TraceKey& key, const ReadTimes& times) const;
  /// Sum of the Lorentzians at an instant (white noise has no value there). Errors: usage for a negative time.
  double value(const TraceKey& key, Tick at) const;

 private:
  // What splits a node into halves, per level of the tree: docs/theory.md, "Random access".
  struct Split {
    double middle;   // mean of the middle per sum of both ends
    double edge;     // average of a half per sum of its ends
    double gain;     // of the middle by the surprise in the average
    double middle_sigma;
    double halves_sigma;
  };
  struct Lane {
    int root_level;
    double sigma;       // of the values
    double root_edge;   // average of the root per sum of its ends
    double root_sigma;  // of that average, given the ends
    std::vector<Split> splits;  // splits[l]: from level l + 1 to level l
  };
  struct Node {
    int level;
    Tick index;
    double begin, end, average;
  };
  class Walk;

  Lane lorentzian_lane(const Lorentzian& lorentzian) const;
  Lane white_lane(double white_per_hz) const;
  Node root(const TraceKey& key, std::size_t lane, Tick index) const;
  double root_value(const TraceKey& key, std::size_t lane, Tick index) const;
  void split(const TraceKey& key, std::size_t lane, const Node& node, Node& left, Node& right) const;

  TraceGrid grid_;
  std::vector<Lane> lanes_;
};

}  // namespace crosstile::device
