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

void StripMesh::sweep_columns(const Source& source, const Field& guess, bool sense_only, Answer& answer) {
  strip_kernels::Columns task;
  task.g = g_.field();
  task.drop = guess;
  task.pattern = {pattern_.data(), strips_ * 2};
  task.volt = source.volt;
  task.charge = source.charge;
  task.current = current_.data();
  task.factor = !factored_;
  if (task.factor) share_.resize(strips_, padded_, crossbar_.cols());
  task.sense_only = sense_only;
  for (const StripGroup& group : groups_) {
    task.order = group.order.data();
    task.ohm = group.ohm.data();
    task.count = static_cast<Index>(group.order.size());
    const Index first = group.north ? crossbar_.south_columns : 0;
    for (Index t = 0; t < group.strips; ++t) {
      task.strip = group.first_strip + t;
      task.share = share_.at(task.strip, 0);
      task.column = answer.column->at(task.strip, 0);
      kernels_.columns(task);
      const Index count = std::min(group.cols - t * kStrip, kStrip);
      std::copy(current_.begin(), current_.begin() + count, answer.sense.data() + first + t * kStrip);
    }
  }
  factored_ = true;
}

// Returns the largest Kirchhoff error; the hats' share of it goes into answer.smooth.
double StripMesh::sweep_rows(const Source& source, const Field& guess, double* lost, Answer& answer) {
  strip_kernels::Rows task;
  task.strips = strips_;
  task.cols = crossbar_.cols();
  task.offset = offset_.data();
  task.ohm = row_ohm_.data();
  task.g = g_.field();
  task.column = answer.column->field();
  task.drop = guess;
  task.pattern = {pattern_.data(), strips_ * 2};
  task.next = answer.drop->at(0, 0);
  task.volt = source.volt;
  task.before = source.before;
  task.now = source.now;
  if (source.change != nullptr) task.change = {source.change->data(), strips_ * 2};
  task.farad = source.farad;
  task.buffer = buffer_.data();
  task.moments = moments_.data();
  task.lost = lost;
  double worst = 0.0;
  knots_.assign(modes_.knots_size(), 0.0);
  for (Index first = 0; first < count_; first += kRowLanes) {
    task.first = first;
    task.pass = pass_.data() + first * task.cols;
    worst = larger(worst, kernels_.rows(task));
    for (Index lane = 0; lane < std::min(kRowLanes, count_ - first); ++lane)
      modes_.add_to_knots(first + lane, moments_.data() + lane * strips_ * 2, knots_);
  }
  Vector missing = Vector::Zero(modes_.groups() * modes_.unknowns());
  for (std::size_t q = 0; q < groups_.size(); ++q)
    modes_.gather_knots(knots_, groups_[q].first_strip, groups_[q].strips,
                        missing.data() + static_cast<Index>(q) * modes_.unknowns());
  answer.smooth = modes_.solve(Vector::Zero(modes_.unknowns()), missing);
  return worst;
}

namespace {

constexpr double kSlowSweep = 0.5;  // a sweep that leaves more than this is no way to get there

}  // namespace

// The drops that the first sweep of the columns takes, beside answer.smooth.
Field StripMesh::begin(const Source& source, const Start& start, Answer& answer) {
  answer.sense.resize(crossbar_.cols());
  answer.sweeps = 0;
  answer.converged = false;
  if (start.drop) {
    answer.smooth = start.smooth;
    return *start.drop;
  }
  decrease_ = 1.0;
  // From the columns' smooth voltages to the drops of every row: its own drive counts more than what the rows
  // have in common.
  const Vector volts = modes_.column_volts(start.columns, modes_.solve(start.rows, start.columns));
  for (std::size_t q = 0; q < groups_.size(); ++q)
    modes_.expand(volts.data() + static_cast<Index>(q) * modes_.unknowns(), groups_[q].first_strip,
                  groups_[q].strips, conducting_, pattern_);
  for (const Index s : conducting_)
    for (Index t = 0; t < strips_; ++t) {
      const double* const pattern = pattern_.data() + (s * strips_ + t) * 2;
      double* const volt = answer.column->at(t, s);
      for (Index j = 0; j < kStrip; ++j) volt[j] = pattern[0] + pattern[1] * static_cast<double>(j);
    }
  sweep_rows(source, nothing(), nullptr, answer);
  answer.smooth = Vector::Zero(modes_.unknowns());
  return answer.drop->field();
}

void StripMesh::solve(const Source& source, const Start& start, const Stop& stop, Answer& answer) {
  Field guess = begin(source, start, answer);
  double error = 0.0;
  const int even = start.drop ? 1 : 3;  // sweeps after which the decrease is an even one
  while (true) {
    modes_.expand(answer.smooth.data(), 0, strips_, conducting_, pattern_);
    if (answer.sweeps >= even && error * decrease_ <= stop.tolerance_ampere) break;
    if (answer.sweeps > 0 && error <= stop.tolerance_ampere) break;
    if (answer.sweeps >= stop.max_sweeps) return;
    sweep_columns(source, guess, false, answer);
    const double before = error;
    error = sweep_rows(source, guess, nullptr, answer);
    guess = answer.drop->field();
    if (!std::isfinite(error) || !answer.smooth.allFinite()) return;
    if (++answer.sweeps == 1) continue;
    if (error > stop.tolerance_ampere && error > kSlowSweep * before) return;
    decrease_ = std::min(1.0, error / before);
  }
  sweep_columns(source, guess, true, answer);
  answer.residual_ampere = error * decrease_;
  answer.converged = answer.sense.allFinite();
}

void StripMesh::solve_nodes(const Source& source, const Start& start, const Stop& stop,
                            std::vector<double>& lost, Answer& answer) {
  Field guess = begin(source, start, answer);
  double before = 0.0;
  while (answer.sweeps < stop.max_sweeps) {
    modes_.expand(answer.smooth.data(), 0, strips_, conducting_, pattern_);
    sweep_columns(source, guess, false, answer);
    lost.assign(physical_.size(), 0.0);
    answer.residual_ampere = sweep_rows(source, guess, lost.data(), answer);
    guess = answer.drop->field();
    ++answer.sweeps;
    answer.converged = answer.residual_ampere <= stop.tolerance_ampere && answer.sense.allFinite();
    if (answer.converged || !answer.smooth.allFinite()) return;
    if (answer.sweeps > 1 && !(answer.residual_ampere <= kSlowSweep * before)) return;
    before = answer.residual_ampere;
  }
}

}  // namespace crosstile::circuit
