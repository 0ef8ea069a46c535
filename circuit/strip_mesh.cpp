#include "circuit/strip_mesh.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "circuit/lanes.hpp"

namespace crosstile::circuit {

using strip_kernels::Field;
using strip_kernels::kRowLanes;
using strip_kernels::kStrip;

bool StripMesh::takes(const Crossbar& crossbar) {
  const data::TileSpec& tile = crossbar.tile;
  return tile.ohmic_cells() && crossbar.lines_per_row == 1 && !tile.ideal_supply() &&
         (tile.r_col_ohm > 0.0 || tile.r_sense_ohm > 0.0);
}

StripMesh::StripMesh(const Crossbar& crossbar, const StripModes::Hats& hats)
    : crossbar_(crossbar),
      kernels_(strip_kernels::has_avx512() ? strip_kernels::table_avx512() : strip_kernels::table_base()) {
  const data::TileSpec& tile = crossbar.tile;
  offset_.resize(static_cast<std::size_t>(tile.cols));
  for (const bool north : {false, true}) {
    StripGroup group;
    group.north = north;
    group.first_strip = strips_;
    group.cols = north ? crossbar.cols() - crossbar.south_columns : crossbar.south_columns;
    group.strips = (group.cols + kStrip - 1) / kStrip;
    if (group.cols == 0) continue;
    strips_ += group.strips;
    physical_.resize(static_cast<std::size_t>(strips_ * kStrip), -1);
    for (Index j = 0; j < group.cols; ++j) {
      const Index place = group.first_strip * kStrip + j;
      const Index column =
          crossbar.column_order[static_cast<std::size_t>((north ? crossbar.south_columns : 0) + j)];
      physical_[static_cast<std::size_t>(place)] = column;
      offset_[static_cast<std::size_t>(column)] = place * kRowLanes;
    }
    groups_.push_back(std::move(group));
  }
  row_ohm_.assign(static_cast<std::size_t>(tile.cols), tile.r_row_ohm);
  row_ohm_.front() += tile.r_driver_ohm;
  zeros_.assign(static_cast<std::size_t>(kStrip), 0.0);
  buffer_.assign(static_cast<std::size_t>(strips_ * kStrip * kRowLanes), 0.0);
  moments_.assign(static_cast<std::size_t>(kRowLanes * strips_ * 2), 0.0);
  current_.assign(static_cast<std::size_t>(kStrip), 0.0);
  // Electrical lengths, for the number of hats.
  const double mean = std::max(crossbar.conductance_siemens.mean(), 0.0);
  const auto length = [&](double ohm, Index cells) {
    return std::sqrt(ohm * mean) * static_cast<double>(cells);
  };
  modes_.choose(groups_, physical_,
                {tile.r_row_ohm, tile.r_row_ohm + tile.r_driver_ohm, tile.drivers == data::DriverEnds::both},
                StripModes::hats_for(length(tile.r_row_ohm, tile.cols), hats),
                StripModes::hats_for(length(tile.r_col_ohm, tile.rows), hats));
}

void StripMesh::take_rows(const std::vector<Index>& rows, const Array& g) {
  rows_ = rows;
  padded_ = (slots() + kRowLanes - 1) / kRowLanes * kRowLanes;
  g_.resize(strips_, padded_, crossbar_.cols());
  modes_.place_slots(rows_);
  largest_g_ = 0.0;
  for (Index s = 0; s < padded_; ++s) {
    const double* const from =
        s < slots() ? g.data() + rows_[static_cast<std::size_t>(s)] * g.cols() : nullptr;
    for (const StripGroup& group : groups_)
      for (Index t = group.first_strip, j = group.north ? crossbar_.south_columns : 0, left = group.cols;
           t < group.first_strip + group.strips; ++t, j += kStrip, left -= kStrip) {
        double* const to = g_.at(t, s);
        const Index count = from != nullptr ? std::min(left, kStrip) : 0;
        if (count > 0) std::copy(from + j, from + j + count, to);
        std::fill(to + count, to + kStrip, 0.0);
        if (s >= slots()) continue;
        modes_.add_conductances(s, t, to);
        largest_g_ = larger(largest_g_, largest(to, kStrip));
      }
  }
  pattern_.assign(pattern_size(), 0.0);
  count_ = 0;
  for (StripGroup& group : groups_) group.order.clear();
  by_row_.resize(rows_.size());
  std::iota(by_row_.begin(), by_row_.end(), Index{0});
  std::sort(by_row_.begin(), by_row_.end(), [&](Index a, Index b) {
    return rows_[static_cast<std::size_t>(a)] < rows_[static_cast<std::size_t>(b)];
  });
  factor_rows();
}

void StripMesh::factor_rows() {
  const Index cols = crossbar_.cols();
  pass_.resize(static_cast<std::size_t>(padded_ * cols));
  const double far = crossbar_.tile.drivers == data::DriverEnds::both
                         ? 1.0 / (crossbar_.tile.r_row_ohm + crossbar_.tile.r_driver_ohm)
                         : 0.0;
  for (Index first = 0; first < padded_; first += kRowLanes) {
    for (Index t = 0; t < strips_; ++t)
      for (Index lane = 0; lane < kRowLanes; lane += 4)
        for (Index j = 0; j < kStrip; j += 4) {
          const auto row = [&](Index l) { return load<Lanes4>(g_.at(t, first + lane + l) + j); };
          Lanes4 a = row(0), b = row(1), c = row(2), d = row(3);
          transpose(a, b, c, d);
          double* const out = buffer_.data() + (t * kStrip + j) * kRowLanes + lane;
          store(out, a);
          store(out + kRowLanes, b);
          store(out + 2 * kRowLanes, c);
          store(out + 3 * kRowLanes, d);
        }
    double* const pass = pass_.data() + first * cols;
    Lanes4 shunt[2] = {Lanes4{} + far, Lanes4{} + far};
    for (Index j = cols - 1; j >= 0; --j) {
      const double* const g = buffer_.data() + offset_[static_cast<std::size_t>(j)];
      const double ohm = row_ohm_[static_cast<std::size_t>(j)];
      for (Index h = 0; h < 2; ++h) {
        const Lanes4 total = shunt[h] + load<Lanes4>(g + 4 * h);
        const Lanes4 share = 1.0 / (1.0 + total * ohm);
        shunt[h] = total * share;
        store(pass + j * kRowLanes + 4 * h, share);
      }
    }
  }
}

double StripMesh::sense_ohm(Index row, bool north) const {
  const data::TileSpec& tile = crossbar_.tile;
  const Index cells = north ? row : tile.rows - 1 - row;
  return static_cast<double>(cells) * tile.r_col_ohm + tile.sense_segment * tile.r_col_ohm + tile.r_sense_ohm;
}

bool StripMesh::keep(Index count) {
  count_ = count;
  factored_ = false;
  decrease_ = 1.0;
  conducting_.resize(static_cast<std::size_t>(count));
  std::iota(conducting_.begin(), conducting_.end(), Index{0});
  if (count == 0) return true;
  by_row_.erase(std::remove_if(by_row_.begin(), by_row_.end(), [&](Index s) { return s >= count; }),
                by_row_.end());
  for (StripGroup& group : groups_) {
    group.order = by_row_;
    if (group.north) std::reverse(group.order.begin(), group.order.end());
    group.ohm.resize(group.order.size());
    for (std::size_t k = 0; k < group.order.size(); ++k) {
      const Index row = rows_[static_cast<std::size_t>(group.order[k])];
      group.ohm[k] =
          k + 1 < group.order.size()
              ? static_cast<double>(std::abs(rows_[static_cast<std::size_t>(group.order[k + 1])] - row)) *
                    crossbar_.tile.r_col_ohm
              : sense_ohm(row, group.north);
    }
  }
  return modes_.factor(groups_);
}

void StripMesh::current_moments(Index slot, double volt, const StripArray& drop, const StripArray& column,
                                double* moments) const {
  for (Index t = 0; t < strips_; ++t) {
    const double* const g = g_.at(t, slot);
    const double* const e = drop.at(t, slot);
    const double* const c = column.at(t, slot);
    const double* const pattern = pattern_.data() + (slot * strips_ + t) * 2;
    moments[2 * t] = moments[2 * t + 1] = 0.0;
    for (Index j = 0; j < kStrip; ++j) {
      const double place = static_cast<double>(j);
      const double current = g[j] * (volt - (e[j] + pattern[0] + pattern[1] * place) - c[j]);
      moments[2 * t] += current;
      moments[2 * t + 1] += current * place;
    }
  }
}

void StripMesh::silence(Index slot) {
  for (Index t = 0; t < strips_; ++t) std::fill(g_.at(t, slot), g_.at(t, slot) + kStrip, 0.0);
}

void StripMesh::sweep_columns(const Runs& runs, bool sense_only) {
  if (runs.empty()) return;
  strip_kernels::Columns task;
  task.g = g_.field();
  task.current = current_.data();
  task.sense_only = sense_only;
  if (!factored_) share_.resize(strips_, padded_, crossbar_.cols());
  for (const StripGroup& group : groups_) {
    task.order = group.order.data();
    task.ohm = group.ohm.data();
    task.count = static_cast<Index>(group.order.size());
    const Index first = group.north ? crossbar_.south_columns : 0;
    // Half a strip at a time: its conductances and factors stay in cache from one right-hand side to the next.
    for (Index part = 0; part < 2 * group.strips; ++part) {
      const Index t = part / 2, place = part % 2 * (kStrip / 2);
      task.strip = group.first_strip + t;
      task.half = part % 2;
      task.share = share_.at(task.strip, 0);
      task.factor = !factored_;
      for (Run* const run : runs) {
        task.drop = run->guess;
        task.pattern = {run->pattern->data(), strips_ * 2};
        task.volt = run->source->volt;
        task.charge = run->source->charge;
        task.column = run->answer->column->at(task.strip, 0);
        kernels_.columns(task);
        task.factor = false;
        const Index count = std::clamp<Index>(group.cols - t * kStrip - place, 0, kStrip / 2);
        std::copy(current_.begin() + place, current_.begin() + place + count,
                  run->answer->sense.data() + first + t * kStrip + place);
      }
    }
  }
  factored_ = true;
}

// Measures the largest Kirchhoff errors; the hats' share of them goes into answer.smooth.
void StripMesh::sweep_rows(const Runs& runs, double* lost) {
  strip_kernels::Rows task;
  task.strips = strips_;
  task.cols = crossbar_.cols();
  task.offset = offset_.data();
  task.ohm = row_ohm_.data();
  task.g = g_.field();
  task.buffer = buffer_.data();
  task.moments = moments_.data();
  task.lost = lost;
  std::vector<std::vector<double>> knots(runs.size(), std::vector<double>(modes_.knots_size(), 0.0));
  for (Run* const run : runs) run->error = 0.0;
  for (Index first = 0; first < count_; first += kRowLanes) {
    task.first = first;
    task.pass = pass_.data() + first * task.cols;
    for (std::size_t v = 0; v < runs.size(); ++v) {
      Run& run = *runs[v];
      const Source& source = *run.source;
      task.column = run.answer->column->field();
      task.drop = run.guess;
      task.pattern = {run.pattern->data(), strips_ * 2};
      task.next = run.answer->drop->at(0, 0);
      task.volt = source.volt;
      task.before = source.before;
      task.now = source.now;
      if (source.change != nullptr) task.change = {source.change->data(), strips_ * 2};
      task.farad = source.farad;
      run.error = larger(run.error, kernels_.rows(task));
      for (Index lane = 0; lane < std::min(kRowLanes, count_ - first); ++lane)
        modes_.add_to_knots(first + lane, moments_.data() + lane * strips_ * 2, knots[v]);
    }
  }
  for (std::size_t v = 0; v < runs.size(); ++v) {
    Vector missing = Vector::Zero(modes_.groups() * modes_.unknowns());
    for (std::size_t q = 0; q < groups_.size(); ++q)
      modes_.gather_knots(knots[v], groups_[q].first_strip, groups_[q].strips,
                          missing.data() + static_cast<Index>(q) * modes_.unknowns());
    runs[v]->answer->smooth = modes_.solve(Vector::Zero(modes_.unknowns()), missing);
    runs[v]->guess = runs[v]->answer->drop->field();
  }
}

namespace {

constexpr double kSlowSweep = 0.5;  // a sweep that leaves more than this is no way to get there

}  // namespace

// The drops that the first sweep of the columns takes, beside answer.smooth.
void StripMesh::begin(const Start& start, Run& run) {
  Answer& answer = *run.answer;
  answer.sense.resize(crossbar_.cols());
  answer.sweeps = 0;
  answer.converged = false;
  if (start.drop) {
    answer.smooth = start.smooth;
    run.guess = *start.drop;
    return;
  }
  // From the columns' smooth voltages to the drops of every row: its own drive counts more than what the rows
  // have in common.
  const Vector volts = modes_.column_volts(start.columns, modes_.solve(start.rows, start.columns));
  for (std::size_t q = 0; q < groups_.size(); ++q)
    modes_.expand(volts.data() + static_cast<Index>(q) * modes_.unknowns(), groups_[q].first_strip,
                  groups_[q].strips, conducting_, *run.pattern);
  for (const Index s : conducting_)
    for (Index t = 0; t < strips_; ++t) {
      const double* const pattern = run.pattern->data() + (s * strips_ + t) * 2;
      double* const volt = answer.column->at(t, s);
      for (Index j = 0; j < kStrip; ++j) volt[j] = pattern[0] + pattern[1] * static_cast<double>(j);
    }
  run.guess = nothing();
  run.even = 3;
  sweep_rows({&run}, nullptr);
  answer.smooth = Vector::Zero(modes_.unknowns());
}

// Whether half a sweep more is enough.
bool StripMesh::is_near(const Run& run) const {
  const double tolerance = run.stop.tolerance_ampere;
  return (run.answer->sweeps >= run.even && run.error * run.decrease <= tolerance) ||
         (run.answer->sweeps > 0 && run.error <= tolerance);
}

void StripMesh::finish(std::vector<Run>& runs) {
  while (true) {
    Runs near, far;
    for (Run& run : runs) {
      if (run.done) continue;
      modes_.expand(run.answer->smooth.data(), 0, strips_, conducting_, *run.pattern);
      if (is_near(run))
        near.push_back(&run);
      else if (run.answer->sweeps < run.stop.max_sweeps)
        far.push_back(&run);
      else
        run.done = true;
    }
    if (near.empty() && far.empty()) return;
    sweep_columns(near, true);
    for (Run* const run : near) {
      run->done = true;
      run->answer->residual_ampere = run->error * run->decrease;
      run->answer->converged = run->answer->sense.allFinite();
    }
    std::vector<double> before;
    for (const Run* const run : far) before.push_back(run->error);
    sweep_columns(far, false);
    sweep_rows(far, nullptr);
    for (std::size_t v = 0; v < far.size(); ++v) {
      Run& run = *far[v];
      run.done = !std::isfinite(run.error) || !run.answer->smooth.allFinite();
      if (++run.answer->sweeps == 1) continue;
      if (run.error > run.stop.tolerance_ampere && run.error > kSlowSweep * before[v]) run.done = true;
      run.decrease = std::min(1.0, run.error / before[v]);
    }
  }
}

void StripMesh::solve(const Source& source, const Start& start, const Stop& stop, Answer& answer) {
  std::vector<Run> run(1);
  run.front().source = &source;
  run.front().stop = stop;
  run.front().answer = &answer;
  run.front().pattern = &pattern_;
  if (start.drop) run.front().decrease = decrease_;
  begin(start, run.front());
  finish(run);
  decrease_ = run.front().decrease;
}

void StripMesh::solve_together(const std::vector<Request>& requests) {
  std::vector<Run> runs(requests.size());
  std::vector<std::vector<double>> patterns(requests.size(), std::vector<double>(pattern_size(), 0.0));
  for (std::size_t v = 0; v < runs.size(); ++v) {
    runs[v].source = &requests[v].source;
    runs[v].stop = requests[v].stop;
    runs[v].answer = requests[v].answer;
    runs[v].pattern = &patterns[v];
    begin(requests[v].start, runs[v]);
  }
  finish(runs);
}

void StripMesh::solve_nodes(const Source& source, const Start& start, const Stop& stop,
                            std::vector<double>& lost, Answer& answer) {
  Run run;
  run.source = &source;
  run.answer = &answer;
  run.pattern = &pattern_;
  begin(start, run);
  double before = 0.0;
  while (answer.sweeps < stop.max_sweeps) {
    modes_.expand(answer.smooth.data(), 0, strips_, conducting_, pattern_);
    sweep_columns({&run}, false);
    lost.assign(physical_.size(), 0.0);
    sweep_rows({&run}, lost.data());
    answer.residual_ampere = run.error;
    ++answer.sweeps;
    answer.converged = run.error <= stop.tolerance_ampere && answer.sense.allFinite();
    if (answer.converged || !answer.smooth.allFinite()) return;
    if (answer.sweeps > 1 && !(run.error <= kSlowSweep * before)) return;
    before = run.error;
  }
}

}  // namespace crosstile::circuit
