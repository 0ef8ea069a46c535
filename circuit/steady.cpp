#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>

#include "circuit/mesh_batch.hpp"
#include "circuit/operating_point.hpp"
#include "circuit/strip_steady.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"

namespace crosstile::circuit {

namespace {

std::vector<Index> conducting_lines(const Crossbar& crossbar, const LineDrive& drive) {
  if (drive.line_volt.size() != crossbar.lines() || static_cast<Index>(drive.conducting.size()) != crossbar.lines())
    throw Error(ErrorKind::usage, "drive has " + std::to_string(drive.line_volt.size()) + " lines; the crossbar has " +
                                      std::to_string(crossbar.lines()));
  std::vector<Index> lines;
  for (Index l = 0; l < crossbar.lines(); ++l)
    if (drive.conducting[static_cast<std::size_t>(l)]) lines.push_back(l);
  return lines;
}

// All lines in physical column order. Lines that do not conduct have no drop along the row, and the column wire's voltage between the lines
// that do.
void spread(const Crossbar& crossbar, const MeshSolver& mesh, const OperatingPoint& point, SteadyState& state) {
  Array drop = Array::Zero(crossbar.lines(), crossbar.cols());
  Array column = drop, current = drop;
  for (std::size_t k = 0; k < mesh.lines().size(); ++k) {
    drop.row(mesh.lines()[k]) = point.drop.row(static_cast<Index>(k));
    current.row(mesh.lines()[k]) = point.cell_ampere.row(static_cast<Index>(k));
  }
  const Index south = crossbar.south_columns;
  for (Index l = 0; l < crossbar.lines(); ++l)
    for (const bool north : {false, true}) {
      const Index first = north ? south : 0;
      const Index count = north ? crossbar.cols() - south : south;
      if (count == 0) continue;
      const auto share = mesh.wire_share(crossbar.row_of_line(l), north);
      if (share.first >= 0) column.row(l).segment(first, count) += share.first_weight * point.column.row(share.first).segment(first, count);
      if (share.second >= 0) column.row(l).segment(first, count) += share.second_weight * point.column.row(share.second).segment(first, count);
    }
  state.row_drop_volt = to_physical(crossbar, drop);
  state.column_volt = to_physical(crossbar, column);
  state.cell_ampere = to_physical(crossbar, current);
}

}  // namespace

LineDrive steady_drive(const Crossbar& crossbar, const IntVector& codes) {
  if (codes.size() != crossbar.rows())
    throw Error(ErrorKind::usage, std::to_string(codes.size()) + " codes for " + std::to_string(crossbar.rows()) + " rows");
  const bool gated = crossbar.tile.drive == data::Drive::gated;
  LineDrive drive;
  drive.line_volt.resize(crossbar.lines());
  drive.conducting.resize(static_cast<std::size_t>(crossbar.lines()));
  for (Index l = 0; l < crossbar.lines(); ++l) {
    const int code = codes[crossbar.row_of_line(l)];
    // The supply of an idle gated row stays on; no current flows from it.
    const double sign = code > 0 ? 1.0 : code < 0 ? -1.0 : (gated ? 1.0 : 0.0);
    drive.line_volt[l] = crossbar.polarity(l) * sign * crossbar.tile.v_read_volt;
    drive.conducting[static_cast<std::size_t>(l)] = !gated || code != 0;
  }
  return drive;
}

SteadyState solve_steady(const Crossbar& crossbar, const LineDrive& drive, const SteadyOptions& options) {
  OperatingPointSolver solver(crossbar, options);
  const auto lines = conducting_lines(crossbar, drive);
  Vector volt(static_cast<Index>(lines.size()));
  for (Index k = 0; k < volt.size(); ++k) volt[k] = drive.line_volt[lines[static_cast<std::size_t>(k)]];

  OperatingPoint point;
  SteadyState state;
  std::optional<SteadyReport> swept;
  if (StripSteady::takes(crossbar, volt.size())) swept = StripSteady(crossbar, solver.ohmic(), options).solve(volt, point);
  if (swept) {
    state.report = *swept;
  } else {
    solver.set_lines(lines);
    state.report = solver.solve(volt, point);
  }
  state.power = solver.power(volt, point);
  state.sense_ampere = solver.sense_current(point);

  if (static_cast<Index>(lines.size()) == crossbar.lines()) {
    const auto take = [&](Array& from, Array& to) {
      if (has_internal_order(crossbar)) to = to_physical(crossbar, from);
      else to.swap(from);
    };
    take(point.drop, state.row_drop_volt);
    take(point.column, state.column_volt);
    take(point.cell_ampere, state.cell_ampere);
    return state;
  }
  spread(crossbar, solver.mesh(), point, state);
  return state;
}

namespace {

struct BatchWorker {
  MeshBatch::Workspace lanes;
  std::unique_ptr<OperatingPointSolver> solver;  // for drives that go alone
};

void take_worst(SteadyReport& worst, const SteadyReport& report) {
  if (report.status != Status::ok) worst.status = report.status;
  worst.iterations += report.iterations;
  worst.newton_steps += report.newton_steps;
  worst.kirchhoff_error = larger(worst.kirchhoff_error, report.kirchhoff_error);
  worst.sense_error = larger(worst.sense_error, report.sense_error);
}

constexpr Index kTogether = 8;  // drives that share the reading of the conductances

// Drives of all rows of a linear tile, by sweeps. False when these are slow to converge.
bool sweep_batch(const Crossbar& crossbar, const Matrix& line_volt, int workers, const SteadyOptions& options, SteadyBatch& batch) {
  const OperatingPointSolver conductances(crossbar, options);
  const Index drives = line_volt.rows(), blocks = (drives + kTogether - 1) / kTogether;
  std::vector<std::unique_ptr<StripSteady>> work(static_cast<std::size_t>(workers));
  std::vector<std::optional<SteadyReport>> reports(static_cast<std::size_t>(drives));
  const auto solve = [&](Index block, int worker) {
    auto& own = work[static_cast<std::size_t>(worker)];
    if (!own) own = std::make_unique<StripSteady>(crossbar, conductances.ohmic(), options);
    const Index first = block * kTogether, count = std::min(kTogether, drives - first);
    std::vector<Vector> sense;
    const auto solved = own->solve_sense(line_volt, first, count, sense);
    for (std::size_t v = 0; v < solved.size(); ++v) {
      const Index drive = first + static_cast<Index>(v);
      reports[static_cast<std::size_t>(drive)] = solved[v];
      for (Index j = 0; j < sense[v].size(); ++j)
        batch.sense_ampere(drive, crossbar.column_order[static_cast<std::size_t>(j)]) = sense[v][j];
    }
  };
  solve(0, 0);
  if (!reports.front()) return false;
  parallel_for(blocks - 1, workers, [&](Index block, int worker) { solve(block + 1, worker); });
  std::unique_ptr<OperatingPointSolver> alone;
  for (Index v = 0; v < drives; ++v) {
    auto& report = reports[static_cast<std::size_t>(v)];
    if (!report) {
      if (!alone) {
        alone = std::make_unique<OperatingPointSolver>(crossbar, options);
        std::vector<Index> lines(static_cast<std::size_t>(crossbar.lines()));
        std::iota(lines.begin(), lines.end(), Index{0});
        alone->set_lines(lines);
      }
      OperatingPoint point;
      report = alone->solve(line_volt.row(v).transpose(), point);
      batch.sense_ampere.row(v) = alone->sense_current(point).transpose();
    }
    take_worst(batch.report, *report);
  }
  return true;
}

}  // namespace

SteadyBatch solve_steady_batch(const Crossbar& crossbar, const Matrix& line_volt, const std::vector<bool>& conducting, int threads,
                               const SteadyOptions& options) {
  const auto lines = conducting_lines(crossbar, {line_volt.cols() == crossbar.lines() ? Vector::Zero(crossbar.lines()) : Vector(), conducting});
  const Index drives = line_volt.rows();
  SteadyBatch batch;
  batch.sense_ampere.setZero(drives, crossbar.cols());
  if (drives == 0) return batch;
  const int workers = threads > 0 ? threads : default_threads();
  if (StripSteady::takes(crossbar, static_cast<Index>(lines.size())) && sweep_batch(crossbar, line_volt, workers, options, batch)) return batch;

  // The first drive's conjugate gradients tell how the others go. Where they are long, or where Newton's method is needed, every drive goes alone.
  SteadyOptions plain = options;
  plain.max_iterations = std::min(options.max_iterations, kLongRecurrence);
  OperatingPointSolver first(crossbar, crossbar.tile.ohmic_cells() ? plain : options);
  if (drives > MeshBatch::kLanes) first.mesh().allow_coarse(false);
  first.set_lines(lines);
  const auto active = [&](Index v) {
    Vector volt(static_cast<Index>(lines.size()));
    for (Index k = 0; k < volt.size(); ++k) volt[k] = line_volt(v, lines[static_cast<std::size_t>(k)]);
    return volt;
  };
  OperatingPoint point;
  const SteadyReport first_report = first.solve(active(0), point);
  const bool first_done = first_report.status == Status::ok;
  if (first_done) {
    take_worst(batch.report, first_report);
    batch.sense_ampere.row(0) = first.sense_current(point).transpose();
  }
  const auto steps = first_done ? recurrence_of(first.mesh()) : std::vector<RecurrenceStep>();
  const Index begin_rest = first_done ? 1 : 0;
  const auto solve_lanes = [&](const MeshBatch& mesh, MeshBatch::Workspace& own, Index begin, Index count, SteadyReport& report) {
    constexpr auto kLanes = static_cast<std::size_t>(MeshBatch::kLanes);
    own.volt.assign(lines.size() * kLanes, 0.0);
    for (Index lane = 0; lane < count; ++lane)
      for (std::size_t k = 0; k < lines.size(); ++k) own.volt[k * kLanes + static_cast<std::size_t>(lane)] = line_volt(begin + lane, lines[k]);
    const auto solved = mesh.solve(own, MeshBatch::DriveBy::line, steps, options.tolerance, options.max_iterations);
    report.iterations = solved.sweeps * static_cast<int>(count);
    report.kirchhoff_error = solved.kirchhoff_error;
    report.sense_error = solved.sense_error;
    for (Index lane = 0; lane < count; ++lane)
      for (Index j = 0; j < crossbar.cols(); ++j)
        batch.sense_ampere(begin + lane, crossbar.column_order[static_cast<std::size_t>(j)]) =
            own.sense_ampere[static_cast<std::size_t>(j) * kLanes + static_cast<std::size_t>(lane)];
    return solved.converged;
  };
  const std::optional<MeshBatch> mesh = steps.empty() ? std::nullopt : std::make_optional<MeshBatch>(crossbar, first.mesh());
  const Index lanes = mesh ? MeshBatch::kLanes : 1;
  const Index blocks = (drives - begin_rest + lanes - 1) / lanes;
  std::vector<SteadyReport> reports(static_cast<std::size_t>(blocks));
  std::vector<BatchWorker> work(static_cast<std::size_t>(workers));
  parallel_for(blocks, workers, [&](Index block, int worker) {
    BatchWorker& own = work[static_cast<std::size_t>(worker)];
    SteadyReport& report = reports[static_cast<std::size_t>(block)];
    const Index begin = begin_rest + block * lanes, count = std::min(lanes, drives - begin);
    if (mesh && solve_lanes(*mesh, own.lanes, begin, count, report)) return;
    report = {};
    if (!own.solver) {
      own.solver = std::make_unique<OperatingPointSolver>(crossbar, options);
      own.solver->set_lines(lines);
    }
    for (Index v = begin; v < begin + count; ++v) {
      OperatingPoint fresh;
      take_worst(report, own.solver->solve(active(v), fresh));
      batch.sense_ampere.row(v) = own.solver->sense_current(fresh).transpose();
    }
  });
  for (const auto& report : reports) take_worst(batch.report, report);
  return batch;
}

}  // namespace crosstile::circuit
