#include "circuit/mesh_batch.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::circuit {

namespace {

constexpr Index kLanes = MeshBatch::kLanes;
constexpr Index kHalves = kLanes / 4;
constexpr Index kAhead = 24;  // nodes that the next ones are asked for ahead of their use: no hardware follows these strides

inline void fetch(const double* at, Index count, Index stride) {
  for (Index n = 0; n < count; ++n) __builtin_prefetch(at + n * stride);
}

}  // namespace

std::vector<RecurrenceStep> recurrence_of(const MeshSolver& solver) {
  const auto& length = solver.step_lengths();
  const auto& ratio = solver.direction_ratios();
  std::vector<RecurrenceStep> steps;
  if (length.empty()) return steps;
  steps.push_back({1.0, 0.0});  // the Gauss-Seidel sweep that conjugate gradients start from
  for (std::size_t m = 0; m < length.size(); ++m) steps.push_back({length[m], m == 0 ? 0.0 : length[m] * ratio[m] / length[m - 1]});
  return steps;
}

MeshBatch::MeshBatch(const Crossbar& crossbar, const MeshSolver& solver)
    : lines_(static_cast<Index>(solver.lines().size())),
      cols_(crossbar.cols()),
      south_(crossbar.south_columns),
      column_tiles_((crossbar.cols() + 7) / 8),
      position_(static_cast<std::size_t>(crossbar.cols())),
      g_(solver.conductance()) {
  for (std::size_t j = 0; j < position_.size(); ++j) position_[static_cast<std::size_t>(crossbar.column_order[j])] = static_cast<Index>(j);
  const ChainWires row = solver.row_wires();
  row_ohm_.assign(row.gap_ohm.begin(), row.gap_ohm.end());
  head_siemens_ = 1.0 / row_ohm_.front();
  both_drivers_ = crossbar.tile.drivers == data::DriverEnds::both;
  row_pass_.resize(lines_, cols_);
  for (Index k = 0; k < lines_; ++k) {
    double behind = row.far_shunt_siemens;
    for (Index p = cols_ - 1; p >= 0; --p) {
      const double total = behind + g_.row(k)[position_[static_cast<std::size_t>(p)]];
      const double share = 1.0 / (1.0 + total * row_ohm_[static_cast<std::size_t>(p)]);
      row_pass_.row(k)[p] = share;
      behind = total * share;
    }
  }
  column_pass_.resize(lines_, cols_);
  for (const bool north : {false, true}) {
    const ChainWires wires = solver.column_wires(north);
    std::vector<double>& ohm = north ? north_ohm_ : south_ohm_;
    ohm.assign(wires.gap_ohm.begin(), wires.gap_ohm.end());
    const Index first = north ? south_ : 0, count = north ? cols_ - south_ : south_;
    Vector behind = Vector::Zero(count);
    for (Index step = 0; step < lines_; ++step) {
      const Index k = north ? lines_ - 1 - step : step;
      const double gap = ohm[static_cast<std::size_t>(k)];
      for (Index j = 0; j < count; ++j) {
        const double total = behind[j] + g_.row(k)[first + j];
        const double share = 1.0 / (1.0 + total * gap);
        column_pass_.row(k)[first + j] = share;
        behind[j] = total * share;
      }
    }
  }
}

// e = (T_r + G)^-1 (b - G c) for kLines lines from `first`.
template <Index kLines, bool kByColumn, bool kFresh>
void MeshBatch::lines_step(Workspace& work, Index first) const {
  double* const norton = work.norton.data();
  const double* const volt = work.volt.data();
  Lanes4 behind[kLines][kHalves] = {};
  for (Index p = cols_ - 1; p >= 0; --p) {
    const Index j = position_[static_cast<std::size_t>(p)];
    const double* const c = work.c.data() + at(first, j);
    if (!kFresh && p >= kAhead) fetch(work.c.data() + at(first, position_[static_cast<std::size_t>(p - kAhead)]), kLines, 64);
    for (Index l = 0; l < kLines; ++l) {
      const double g = g_.row(first + l)[j], share = row_pass_.row(first + l)[p];
      const double* const drive = volt + (kByColumn ? j : first + l) * kLanes;
      for (Index h = 0; h < kHalves; ++h) {
        const Lanes4 at_cell = load<Lanes4>(drive + 4 * h);
        const Lanes4 source = g * (kFresh ? at_cell : at_cell - load<Lanes4>(c + l * 64 + 4 * h));
        store(norton + (p * kLines + l) * kLanes + 4 * h, source + behind[l][h]);
        behind[l][h] = share * behind[l][h] + share * source;
      }
    }
  }
  Lanes4 v[kLines][kHalves] = {};
  Lanes4 given[kLines][kHalves] = {};
  for (Index p = 0; p < cols_; ++p) {
    const Index j = position_[static_cast<std::size_t>(p)];
    double* const e = work.e.data() + at(first, j);
    if (p + kAhead < cols_) fetch(work.e.data() + at(first, position_[static_cast<std::size_t>(p + kAhead)]), kLines, 64);
    const double ohm = row_ohm_[static_cast<std::size_t>(p)];
    for (Index l = 0; l < kLines; ++l) {
      const double share = row_pass_.row(first + l)[p];
      for (Index h = 0; h < kHalves; ++h) {
        v[l][h] = share * v[l][h] + share * ohm * load<Lanes4>(norton + (p * kLines + l) * kLanes + 4 * h);
        store(e + l * 64 + 4 * h, v[l][h]);
      }
    }
    if (p == 0)
      for (Index l = 0; l < kLines; ++l)
        for (Index h = 0; h < kHalves; ++h) given[l][h] = head_siemens_ * v[l][h];
  }
  for (Index l = 0; l < kLines; ++l)
    for (Index h = 0; h < kHalves; ++h)
      store(work.line_ampere.data() + (first + l) * kLanes + 4 * h, both_drivers_ ? given[l][h] + head_siemens_ * v[l][h] : given[l][h]);
}

// The Gauss-Seidel answer of kColumns columns from `first`, and with it the next step of the recurrence (written over the step before).
template <Index kColumns, bool kByColumn, MeshBatch::State kState>
void MeshBatch::columns_step(Workspace& work, Index first, bool north, const RecurrenceStep& step, Errors& errors) const {
  double* const norton = work.norton.data();
  const double* const volt = work.volt.data();
  const std::vector<double>& ohm = north ? north_ohm_ : south_ohm_;
  Lanes4 behind[kColumns][kHalves] = {};
  for (Index s = 0; s < lines_; ++s) {
    const Index k = north ? lines_ - 1 - s : s;
    const double* const e = work.e.data() + at(k, first);
    if (s + kAhead < lines_) fetch(work.e.data() + at(north ? k - kAhead : k + kAhead, first), kColumns, kLanes);
    for (Index q = 0; q < kColumns; ++q) {
      const double g = g_.row(k)[first + q], share = column_pass_.row(k)[first + q];
      const double* const drive = volt + (kByColumn ? first + q : k) * kLanes;
      for (Index h = 0; h < kHalves; ++h) {
        const Lanes4 source = g * (load<Lanes4>(drive + 4 * h) - load<Lanes4>(e + q * kLanes + 4 * h));
        store(norton + (s * kColumns + q) * kLanes + 4 * h, source + behind[q][h]);
        behind[q][h] = share * behind[q][h] + share * source;
      }
    }
  }
  for (Index q = 0; q < kColumns; ++q)
    for (Index h = 0; h < kHalves; ++h) store(work.sense_ampere.data() + (first + q) * kLanes + 4 * h, behind[q][h]);
  Lanes4 v[kColumns][kHalves] = {};
  Lanes4 most[kHalves] = {load<Lanes4>(errors.worst), load<Lanes4>(errors.worst + 4)};
  Lanes4 all[kColumns][kHalves] = {};
  for (Index s = lines_ - 1; s >= 0; --s) {
    const Index k = north ? lines_ - 1 - s : s;
    const double* const c = work.c.data() + at(k, first);
    double* const c_before = work.c_before.data() + at(k, first);
    if (s >= kAhead) {
      const Index later = at(north ? k + kAhead : k - kAhead, first);
      if (kState != State::rest) fetch(work.c.data() + later, kColumns, kLanes);
      fetch(work.c_before.data() + later, kColumns, kLanes);
    }
    const double gap = ohm[static_cast<std::size_t>(k)];
    for (Index q = 0; q < kColumns; ++q) {
      const double g = g_.row(k)[first + q], share = column_pass_.row(k)[first + q];
      for (Index h = 0; h < kHalves; ++h) {
        v[q][h] = share * v[q][h] + share * gap * load<Lanes4>(norton + (s * kColumns + q) * kLanes + 4 * h);
        const Lanes4 here = kState == State::rest ? Lanes4{} : load<Lanes4>(c + q * kLanes + 4 * h);
        const Lanes4 change = v[q][h] - here;
        Lanes4 next = here + step.gain * change;
        if (kState == State::moving) next += step.carry * (here - load<Lanes4>(c_before + q * kLanes + 4 * h));
        store(c_before + q * kLanes + 4 * h, next);
        const Lanes4 error = g * change;
        const Lanes4 size = error < 0.0 ? -error : error;
        most[h] = size > most[h] ? size : most[h];
        all[q][h] += size;
      }
    }
  }
  for (Index h = 0; h < kHalves; ++h) {
    store(errors.worst + 4 * h, most[h]);
    for (Index q = 0; q < kColumns; ++q) {
      const Lanes4 current = behind[q][h] < 0.0 ? -behind[q][h] : behind[q][h];
      for (Index lane = 0; lane < 4; ++lane)
        if (all[q][h][lane] > 0.0)
          errors.of_column[4 * h + lane] = larger(errors.of_column[4 * h + lane], all[q][h][lane] / std::max(current[lane], 1e-300));
    }
  }
}

template <bool kByColumn, MeshBatch::State kState>
void MeshBatch::sweep(Workspace& work, const RecurrenceStep& step, Errors& errors) const {
  constexpr bool kFresh = kState == State::rest;
  Index k = 0;
  for (; k + 4 <= lines_; k += 4) lines_step<4, kByColumn, kFresh>(work, k);
  for (; k < lines_; ++k) lines_step<1, kByColumn, kFresh>(work, k);
  for (const bool north : {false, true}) {
    Index j = north ? south_ : 0;
    const Index end = north ? cols_ : south_;
    for (; j < end && j % 4 != 0; ++j) columns_step<1, kByColumn, kState>(work, j, north, step, errors);
    for (; j + 4 <= end; j += 4) columns_step<4, kByColumn, kState>(work, j, north, step, errors);
    for (; j < end; ++j) columns_step<1, kByColumn, kState>(work, j, north, step, errors);
  }
}

template <bool kByColumn>
MeshBatch::Report MeshBatch::run(Workspace& work, const std::vector<RecurrenceStep>& steps, double tolerance, int max_sweeps) const {
  // Largest source current of each drive.
  double scale[kLanes] = {};
  for (Index k = 0; k < lines_; ++k)
    for (Index j = 0; j < cols_; ++j)
      for (Index lane = 0; lane < kLanes; ++lane)
        scale[lane] = std::max(scale[lane], g_.row(k)[j] * std::abs(work.volt[static_cast<std::size_t>((kByColumn ? j : k) * kLanes + lane)]));
  Report report;
  while (report.sweeps < max_sweeps) {
    const RecurrenceStep& step = steps[static_cast<std::size_t>(report.sweeps) % steps.size()];
    Errors errors;
    if (report.sweeps == 0) sweep<kByColumn, State::rest>(work, step, errors);
    else if (step.carry == 0.0) sweep<kByColumn, State::first>(work, step, errors);
    else sweep<kByColumn, State::moving>(work, step, errors);
    work.c.swap(work.c_before);
    ++report.sweeps;
    report.kirchhoff_error = report.sense_error = 0.0;
    bool finite = true;
    for (Index lane = 0; lane < kLanes; ++lane) {
      if (scale[lane] > 0.0) report.kirchhoff_error = std::max(report.kirchhoff_error, errors.worst[lane] / scale[lane]);
      report.sense_error = larger(report.sense_error, errors.of_column[lane]);
      for (Index j = 0; j < cols_; ++j) finite = finite && std::isfinite(work.sense_ampere[static_cast<std::size_t>(j * kLanes + lane)]);
    }
    if (!finite) break;
    if (report.kirchhoff_error <= tolerance) {
      report.converged = true;
      break;
    }
  }
  return report;
}

MeshBatch::Report MeshBatch::solve(Workspace& work, DriveBy by, const std::vector<RecurrenceStep>& steps, double tolerance,
                                   int max_sweeps) const {
  const auto size = static_cast<std::size_t>(((lines_ + 7) / 8) * column_tiles_ * 64 * kLanes);
  work.e.resize(size);
  work.c.resize(size);
  work.c_before.resize(size);
  work.norton.resize(static_cast<std::size_t>(std::max(lines_, cols_) * 4 * kLanes));
  work.sense_ampere.resize(static_cast<std::size_t>(cols_ * kLanes));
  work.line_ampere.resize(static_cast<std::size_t>(lines_ * kLanes));
  return by == DriveBy::line ? run<false>(work, steps, tolerance, max_sweeps) : run<true>(work, steps, tolerance, max_sweeps);
}

}  // namespace crosstile::circuit
