#include "tilemodel/ladder_gradient.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::tilemodel {

namespace {

double sign_of(double length, bool signed_drive) {
  if (!signed_drive) return 1.0;
  return length > 0.0 ? 1.0 : length < 0.0 ? -1.0 : 0.0;
}

void add_wire(const LadderSolution& solution, const std::vector<double>& gap, double factor,
              WireGradient& out) {
  const auto rungs = static_cast<Index>(gap.size());
  for (Index k = 0; k < rungs; ++k)
    out.cell_ohm -=
        factor * solution.current[k] * solution.response[k] * gap[static_cast<std::size_t>(k)];
  out.end_ohm -= factor * solution.current[rungs - 1] * solution.response[rungs - 1];
}

// One interval of the ladder: rows that are on until `end` or longer, and, as open rungs, those that went off when
// it began.
struct Interval {
  double begin, end;  // code steps; begin == end behind the last pulse
};

void list_rungs(const ColumnWire& wire, const double* lengths, Index rows, const Interval& interval,
                LadderGradientScratch& scratch) {
  scratch.positions.clear();
  for (Index i = 0; i < rows; ++i) {
    const double length = std::abs(lengths[i]);
    if (length == interval.begin || length >= interval.end) scratch.positions.push_back(i);
  }
  const std::size_t count = scratch.positions.size();
  scratch.gap.resize(count);
  scratch.after_ohm.resize(count);
  scratch.conductance.resize(count);
  scratch.source.resize(count);
  scratch.solution.resize(static_cast<Index>(count));
  for (std::size_t k = 0; k < count; ++k) {
    const bool last = k + 1 == count;
    const Index next = last ? rows - 1 : scratch.positions[k + 1];
    const auto cells = static_cast<double>(next - scratch.positions[k]);
    scratch.gap[k] = cells + (last ? wire.end_cells : 0.0);
    scratch.after_ohm[k] = cells * wire.cell_ohm + (last ? wire.end_ohm : 0.0);
  }
}

}  // namespace

void ladder_gradient(const ColumnWire& wire, const Panels& g, const double* lengths, bool signed_drive,
                     const double* charge_gradient, LadderGradientScratch& scratch,
                     const GradientTargets& out) {
  const Index rows = g.rows();
  scratch.ends.assign(1, 0.0);
  for (Index i = 0; i < rows; ++i) scratch.ends.push_back(std::abs(lengths[i]));
  std::sort(scratch.ends.begin(), scratch.ends.end());
  scratch.ends.erase(std::unique(scratch.ends.begin(), scratch.ends.end()), scratch.ends.end());
  LadderSolution& solution = scratch.solution;
  for (std::size_t n = 0; n < scratch.ends.size(); ++n) {
    const bool behind = n + 1 == scratch.ends.size();
    const Interval interval{scratch.ends[n], behind ? scratch.ends[n] : scratch.ends[n + 1]};
    list_rungs(wire, lengths, rows, interval, scratch);
    if (scratch.positions.empty()) continue;
    const auto count = static_cast<Index>(scratch.positions.size());
    const double duration = interval.end - interval.begin;
    for (Index j = 0; j < g.cols(); ++j) {
      const double e = charge_gradient[j];
      for (std::size_t k = 0; k < scratch.positions.size(); ++k) {
        const Index i = scratch.positions[k];
        const bool on = std::abs(lengths[i]) > interval.begin;
        scratch.conductance[k] = on ? g(i, j) : 0.0;
        scratch.source[k] = scratch.conductance[k] * sign_of(lengths[i], signed_drive);
      }
      solution.solve(scratch.conductance.data(), scratch.source.data(), scratch.after_ohm.data(), count);
      if (duration > 0.0) add_wire(solution, scratch.gap, e * duration, *out.wire);
      for (Index k = 0; k < count; ++k) {
        const Index i = scratch.positions[static_cast<std::size_t>(k)];
        const double length = std::abs(lengths[i]), sign = sign_of(lengths[i], signed_drive);
        const bool on = length > interval.begin;
        if (on) (*out.g)(i, j) += e * duration * solution.share[k] * (sign - solution.column[k]);
        if (on && length != interval.end) continue;
        // A rung g that comes or goes changes the current by g x (s - c), with c as it is without the rung if x
        // is with it, or the other way round.
        const double gz = g(i, j) * solution.resist[k];
        const double step = g(i, j) * solution.share[k] * (1.0 - sign * solution.column[k]) /
                            (on ? 1.0 - gz : 1.0 + gz);
        out.lengths[i] += e * step * (length > 0.0 ? 0.5 : 1.0);
      }
    }
  }
}

void binned_gradient(const BinnedLadder& ladder, const double* lengths, int longest_code, bool signed_drive,
                     const double* charge_gradient, LadderGradientScratch& scratch,
                     const GradientTargets& out) {
  const Panels& g = ladder.conductances();
  const Index rows = g.rows(), segments = ladder.segments();
  const double width = ladder.bin_width(longest_code);
  const Index bins = static_cast<Index>(std::ceil(longest_code / width));
  const auto count = static_cast<std::size_t>(segments);
  scratch.gap.assign(count, 2.0 * ladder.half_cells() + 1.0);
  scratch.gap.back() = ladder.half_cells() + ladder.wire().end_cells;
  scratch.after_ohm.assign(count, scratch.gap[0] * ladder.wire().cell_ohm);
  scratch.after_ohm.back() = ladder.half_cells() * ladder.wire().cell_ohm + ladder.wire().end_ohm;
  LadderSolution& solution = scratch.solution;
  solution.resize(segments);
  for (Index bin = 0; bin < bins; ++bin)
    for (Index j = 0; j < g.cols(); ++j) {
      const double e = charge_gradient[j];
      const auto share = [&](Index i) {
        return std::clamp(std::abs(lengths[i]) / width - static_cast<double>(bin), 0.0, 1.0);
      };
      scratch.conductance.assign(count, 0.0);
      scratch.source.assign(count, 0.0);
      for (Index i = 0; i < rows; ++i) {
        const auto s = static_cast<std::size_t>(ladder.segment(i));
        scratch.conductance[s] += share(i) * g(i, j);
        scratch.source[s] += share(i) * g(i, j) * sign_of(lengths[i], signed_drive);
      }
      solution.solve(scratch.conductance.data(), scratch.source.data(), scratch.after_ohm.data(), segments);
      add_wire(solution, scratch.gap, e * width, *out.wire);
      for (Index i = 0; i < rows; ++i) {
        const Index s = ladder.segment(i);
        const double sign = sign_of(lengths[i], signed_drive);
        (*out.g)(i, j) += e * width * share(i) * solution.share[s] * (sign - solution.column[s]);
        const PulseEnd end(std::abs(lengths[i]) / width, bins);
        for (int part = 0; part < end.parts; ++part)
          if (end.piece[part] == bin)
            out.lengths[i] +=
                e * end.weight() * g(i, j) * solution.share[s] * (1.0 - sign * solution.column[s]);
      }
    }
}

}  // namespace crosstile::tilemodel
