#include "device/random_access_trace.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/random.hpp"

namespace crosstile::device {

namespace {

constexpr int kMostLevels = 62;
constexpr Tick kLastTick = Tick{1} << kMostLevels;
constexpr double kUncorrelated = 40.0;             // exp(-40) is below the rounding of a double
constexpr std::uint64_t kTree = std::uint64_t{1} << 32;  // keeps clear of the numbers of NoiseTraceSampler

// Average over an interval of h time constants per sum of the values at its ends.
double bridge_edge(double h) { return std::tanh(0.5 * h) / h; }

// Variance of that average given both ends, for unit variance: (2 h - 4 tanh(h / 2)) / h^2.
double bridge_variance(double h) {
  constexpr double kSeriesBelow = 0.05;
  if (h >= kSeriesBelow) return (2.0 * h - 4.0 * std::tanh(0.5 * h)) / (h * h);
  const double h2 = h * h;
  return h * (1.0 / 6.0 - h2 * (1.0 / 60.0 - h2 * (17.0 / 10080.0 - h2 * 31.0 / 181440.0)));
}

int level_of(double ticks) {
  int level = 0;
  while (level < kMostLevels && std::ldexp(1.0, level) < ticks) ++level;
  return level;
}

std::array<double, 4> tree_normals(const TraceKey& key, std::size_t lane, int level, Tick index) {
  const RandomKey random{key.seed, Stream::noise_trace, key.tile};
  const std::uint64_t k = kTree | (static_cast<std::uint64_t>(lane) << 8) | static_cast<std::uint64_t>(level);
  return random_normal4(random, key.device, static_cast<std::uint64_t>(index), key.event, k);
}

}  // namespace

void TraceGrid::validate() const {
  require_in_range("tick_s", tick_s, 1e-18, 1.0);
  require_in_range("root_s", root_s, tick_s, 1e6);
}

RandomAccessNoise::RandomAccessNoise(const NoiseSpectrum& spectrum, const TraceGrid& grid) : grid_(grid) {
  grid.validate();
  spectrum.validate();
  for (const Lorentzian& l : spectrum.lorentzians) lanes_.push_back(lorentzian_lane(l));
  if (spectrum.white_per_hz > 0.0) lanes_.push_back(white_lane(spectrum.white_per_hz));
}

RandomAccessNoise::Lane RandomAccessNoise::lorentzian_lane(const Lorentzian& lorentzian) const {
  const double tau = lorentzian.tau_s(), variance = lorentzian.variance;
  Lane lane;
  lane.root_level = level_of(std::max(kUncorrelated * tau, grid_.root_s) / grid_.tick_s);
  lane.sigma = std::sqrt(variance);
  const auto half_of = [&](int level) { return std::ldexp(grid_.tick_s, level) / tau; };
  lane.root_edge = bridge_edge(half_of(lane.root_level));
  lane.root_sigma = std::sqrt(variance * bridge_variance(half_of(lane.root_level)));
  for (int level = 0; level < lane.root_level; ++level) {
    const double h = half_of(level), edge = bridge_edge(h);
    const double middle = std::tanh(h);               // variance of the middle given the ends
    const double halves = 0.5 * bridge_variance(h);   // of the mean of both halves given ends and middle
    const double total = middle * edge * edge + halves;
    lane.splits.push_back({0.5 / std::cosh(h), edge, middle * edge / total, std::sqrt(variance * middle * halves / total),
                           std::sqrt(variance * halves)});
  }
  return lane;
}

// Only averages: the average of a half is that of the whole plus or minus a normal number.
RandomAccessNoise::Lane RandomAccessNoise::white_lane(double white_per_hz) const {
  Lane lane;
  lane.root_level = level_of(grid_.root_s / grid_.tick_s);
  lane.sigma = lane.root_edge = 0.0;
  const auto sigma_of = [&](int level) { return std::sqrt(white_per_hz / (2.0 * std::ldexp(grid_.tick_s, level))); };
  lane.root_sigma = sigma_of(lane.root_level);
  for (int level = 0; level < lane.root_level; ++level) lane.splits.push_back({0.0, 0.0, 0.0, 0.0, sigma_of(level + 1)});
  return lane;
}

double RandomAccessNoise::root_value(const TraceKey& key, std::size_t lane, Tick index) const {
  return lanes_[lane].sigma * tree_normals(key, lane, kMostLevels, index)[0];
}

RandomAccessNoise::Node RandomAccessNoise::root(const TraceKey& key, std::size_t lane, Tick index) const {
  const Lane& l = lanes_[lane];
  const auto normals = tree_normals(key, lane, kMostLevels, index);
  Node node{l.root_level, index, l.sigma * normals[0], root_value(key, lane, index + 1), 0.0};
  node.average = l.root_edge * (node.begin + node.end) + l.root_sigma * normals[1];
  return node;
}

void RandomAccessNoise::split(const TraceKey& key, std::size_t lane, const Node& node, Node& left, Node& right) const {
  const Split& s = lanes_[lane].splits[static_cast<std::size_t>(node.level - 1)];
  const auto normals = tree_normals(key, lane, node.level, node.index);
  const double mean = s.middle * (node.begin + node.end);
  const double surprise = node.average - s.edge * (0.5 * (node.begin + node.end) + mean);
  const double shift = s.gain * surprise + s.middle_sigma * normals[0];
  const double middle = mean + shift, rest = surprise - s.edge * shift, apart = s.halves_sigma * normals[1];
  left = {node.level - 1, 2 * node.index, node.begin, middle, s.edge * (node.begin + middle) + rest + apart};
  right = {node.level - 1, 2 * node.index + 1, middle, node.end, s.edge * (middle + node.end) + rest - apart};
}

// Visits the nodes between the first and the last edge in the order of time and adds up integrals (in ticks) between the edges.
class RandomAccessNoise::Walk {
 public:
  Walk(const RandomAccessNoise& noise, const TraceKey& key, std::span<const Tick> edges, Vector& integral)
      : noise_(noise), key_(key), edges_(edges), integral_(integral) {}

  void lane(std::size_t lane) {
    lane_ = lane;
    interval_ = 0;
    const int level = noise_.lanes_[lane].root_level;
    for (Tick index = edges_.front() >> level; (index << level) < edges_.back(); ++index)
      visit(noise_.root(key_, lane, index));
  }

 private:
  void visit(const Node& node) {
    const Tick begin = node.index << node.level, end = begin + (Tick{1} << node.level);
    if (end <= edges_.front() || begin >= edges_.back()) return;
    while (interval_ + 1 < edges_.size() && edges_[interval_ + 1] <= begin) ++interval_;
    if (edges_[interval_] <= begin && end <= edges_[interval_ + 1]) {
      integral_(static_cast<Index>(interval_)) += node.average * static_cast<double>(end - begin);
      return;
    }
    Node left, right;
    noise_.split(key_, lane_, node, left, right);
    visit(left);
    visit(right);
  }

  const RandomAccessNoise& noise_;
  const TraceKey& key_;
  std::span<const Tick> edges_;
  Vector& integral_;
  std::size_t lane_ = 0, interval_ = 0;
};

Tick RandomAccessNoise::tick(double t_s) const {
  require_in_range("t_s of a noise trace", t_s, 0.0, static_cast<double>(kLastTick) * grid_.tick_s);
  return static_cast<Tick>(std::llround(t_s / grid_.tick_s));
}

Vector RandomAccessNoise::averages(const TraceKey& key, std::span<const Tick> edges) const {
  if (edges.size() < 2) throw Error(ErrorKind::usage, "edges of noise windows: at least 2 are needed");
  if (edges.front() < 0 || edges.back() > kLastTick)
    throw Error(ErrorKind::usage, "edges of noise windows must lie between 0 and 2^62 ticks");
  for (std::size_t k = 1; k < edges.size(); ++k)
    if (edges[k] <= edges[k - 1])
      throw Error(ErrorKind::usage, "edges of noise windows must rise; edge " + std::to_string(k) + " = " + std::to_string(edges[k]) +
                                        " does not");
  Vector integral = Vector::Zero(static_cast<Index>(edges.size()) - 1);
  Walk walk(*this, key, edges, integral);
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) walk.lane(lane);
  for (std::size_t k = 0; k + 1 < edges.size(); ++k) integral(static_cast<Index>(k)) /= static_cast<double>(edges[k + 1] - edges[k]);
  return integral;
}

double RandomAccessNoise::average(const TraceKey& key, Tick begin, Tick end) const {
  const std::array<Tick, 2> edges{begin, end};
  return averages(key, edges)(0);
}

Vector RandomAccessNoise::reads(const TraceKey& key, const ReadTimes& times) const {
  require_in_range("reads: window (ticks)", static_cast<double>(times.window), 1.0, 0x1p62);
  require_in_range("reads: period (ticks)", static_cast<double>(times.period), static_cast<double>(times.window), 0x1p62);
  require_in_range("reads: count", static_cast<double>(times.count), 1.0, 1e9);
  // A long gap is not walked through: windows far apart go one by one.
  const bool far = times.period - times.window > Tick{1} << level_of(grid_.root_s / grid_.tick_s);
  Vector out(times.count);
  std::vector<Tick> edges;
  const bool gaps = times.period > times.window;
  for (Index k = 0; k < times.count; ++k) {
    const Tick begin = times.first + k * times.period;
    if (far) {
      out(k) = average(key, begin, begin + times.window);
      continue;
    }
    edges.push_back(begin);
    if (gaps || k + 1 == times.count) edges.push_back(begin + times.window);
  }
  if (far) return out;
  const Vector all = averages(key, edges);
  for (Index k = 0; k < times.count; ++k) out(k) = all(gaps ? 2 * k : k);
  return out;
}

double RandomAccessNoise::value(const TraceKey& key, Tick at) const {
  if (at < 0 || at >= kLastTick) throw Error(ErrorKind::usage, "time of a noise value must lie between 0 and 2^62 ticks");
  double sum = 0.0;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    if (lanes_[lane].sigma == 0.0) continue;
    Node node = root(key, lane, at >> lanes_[lane].root_level), left, right;
    while ((node.index << node.level) < at) {
      split(key, lane, node, left, right);
      node = at < (right.index << right.level) ? left : right;
    }
    sum += node.begin;
  }
  return sum;
}

}  // namespace crosstile::device
