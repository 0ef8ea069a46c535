#include "tilemodel/ladder.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::tilemodel {

namespace {

// Rungs handed out at a time: the schedule stays in the second-level cache while all panels pass by.
constexpr std::size_t kRungs = 4096;

// u = 1, J = 0; per rung J += g u, u += r J; the current is J / u.
void division_free_panel(const double* panel, const Rung* rung, Index count, double duration, double* out) {
  Lanes u[kPanelVectors], current[kPanelVectors];
  for (int k = 0; k < kPanelVectors; ++k) {
    u[k] = Lanes{} + 1.0;
    current[k] = Lanes{};
  }
  for (Index c = 0; c < count; ++c) {
    const LanesInMemory* g = lanes(panel + rung[c].position * kPanelCols);
    const double r = rung[c].after_ohm;
#pragma GCC unroll 6
    for (int k = 0; k < kPanelVectors; ++k) {
      current[k] += g[k] * u[k];
      u[k] += r * current[k];
    }
  }
  for (int k = 0; k < kPanelVectors; ++k) lanes(out)[k] += duration * (current[k] / u[k]);
}

// The Norton pair (conductance, short-circuit current) passes a wire as (g, i) / (1 + g r), then adds the
// rung.
void norton_panel(const double* panel, const Rung* rung, Index count, double duration, double* out) {
  Lanes conductance[kPanelVectors] = {}, current[kPanelVectors] = {};
  for (Index c = 0; c < count; ++c) {
    const LanesInMemory* g = lanes(panel + rung[c].position * kPanelCols);
    const double r = rung[c].after_ohm;
    const double sign = rung[c].sign;
#pragma GCC unroll 6
    for (int k = 0; k < kPanelVectors; ++k) {
      conductance[k] += g[k];
      current[k] += sign * g[k];
      const Lanes pass = 1.0 / (1.0 + r * conductance[k]);
      conductance[k] *= pass;
      current[k] *= pass;
    }
  }
  for (int k = 0; k < kPanelVectors; ++k) lanes(out)[k] += duration * current[k];
}

// Largest u over the columns with every row on; u grows with every conductance, so this bounds all inputs.
double largest_ladder_u(const ColumnWire& wire, const Panels& g) {
  double largest = 1.0;
  for (Index p = 0; p < g.count(); ++p) {
    for (Index c = 0; c < kPanelCols; ++c) {
      double u = 1.0, current = 0.0;
      for (Index i = 0; i < g.rows(); ++i) {
        current += g.panel(p)[i * kPanelCols + c] * u;
        u += (i + 1 < g.rows() ? wire.cell_ohm : wire.end_ohm) * current;
      }
      if (!(u <= largest)) largest = u;
    }
  }
  return largest;
}

}  // namespace

void Schedule::start(const double* lengths, Index rows) {
  active_.clear();
  ends_.clear();
  last_position_ = rows - 1;
  next_end_ = 0;
  begin_ = 0.0;
  for (Index i = 0; i < rows; ++i) {
    if (lengths[i] == 0.0) continue;
    active_.push_back({i, std::abs(lengths[i]), lengths[i] < 0.0 ? -1.0 : 1.0});
    ends_.push_back(active_.back().length);
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
}

bool Schedule::next(const ColumnWire& wire) {
  rungs_.clear();
  intervals_.clear();
  while (next_end_ < ends_.size() && rungs_.size() < kRungs) {
    const double end = ends_[next_end_++];
    std::erase_if(active_, [end](const Active& a) { return a.length < end; });
    append(wire, end - begin_);
    begin_ = end;
  }
  return !intervals_.empty();
}

void Schedule::append(const ColumnWire& wire, double duration) {
  intervals_.push_back({static_cast<Index>(rungs_.size()), static_cast<Index>(active_.size()), duration});
  for (std::size_t k = 0; k < active_.size(); ++k) {
    const bool last = k + 1 == active_.size();
    const Index gap =
        last ? last_position_ - active_[k].position : active_[k + 1].position - active_[k].position;
    rungs_.push_back({active_[k].position,
                      wire.cell_ohm * static_cast<double>(gap) + (last ? wire.end_ohm : 0.0),
                      active_[k].sign});
  }
}

Ladder::Ladder(const ColumnWire& wire, Panels g)
    : wire_(wire), g_(std::move(g)), largest_u_(largest_ladder_u(wire_, g_)) {}

void Ladder::charge(const double* lengths, bool signed_drive, double* out, Schedule& schedule) const {
  std::fill(out, out + g_.padded_cols(), 0.0);
  const auto panel_charge = signed_drive || !division_free() ? norton_panel : division_free_panel;
  schedule.start(lengths, g_.rows());
  while (schedule.next(wire_))
    for (Index p = 0; p < g_.count(); ++p)
      for (const Schedule::Interval& interval : schedule.intervals())
        panel_charge(g_.panel(p), schedule.rungs().data() + interval.first, interval.count, interval.duration,
                     out + p * kPanelCols);
}

}  // namespace crosstile::tilemodel
