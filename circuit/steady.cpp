#include <algorithm>

#include "circuit/operating_point.hpp"
#include "core/error.hpp"

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
  solver.set_lines(lines);
  Vector volt(static_cast<Index>(lines.size()));
  for (Index k = 0; k < volt.size(); ++k) volt[k] = drive.line_volt[lines[static_cast<std::size_t>(k)]];

  OperatingPoint point;
  SteadyState state;
  state.report = solver.solve(volt, point);
  state.power = solver.power(volt, point);
  state.sense_ampere = solver.sense_current(point);

  // Lines that do not conduct: no drop along the row, and the column wire's voltage between the lines that do.
  Array drop = Array::Zero(crossbar.lines(), crossbar.cols());
  Array column = drop, current = drop;
  for (std::size_t k = 0; k < lines.size(); ++k) {
    drop.row(lines[k]) = point.drop.row(static_cast<Index>(k));
    current.row(lines[k]) = point.cell_ampere.row(static_cast<Index>(k));
  }
  const Index south = crossbar.south_columns;
  for (Index l = 0; l < crossbar.lines(); ++l)
    for (const bool north : {false, true}) {
      const Index first = north ? south : 0;
      const Index count = north ? crossbar.cols() - south : south;
      if (count == 0) continue;
      const auto share = solver.mesh().wire_share(crossbar.row_of_line(l), north);
      if (share.first >= 0) column.row(l).segment(first, count) += share.first_weight * point.column.row(share.first).segment(first, count);
      if (share.second >= 0) column.row(l).segment(first, count) += share.second_weight * point.column.row(share.second).segment(first, count);
    }
  state.row_drop_volt = to_physical(crossbar, drop);
  state.column_volt = to_physical(crossbar, column);
  state.cell_ampere = to_physical(crossbar, current);
  return state;
}

SteadyBatch solve_steady_batch(const Crossbar& crossbar, const Matrix& line_volt, const std::vector<bool>& conducting, int threads,
                               const SteadyOptions& options) {
  (void)threads;
  SteadyBatch batch;
  batch.sense_ampere.resize(line_volt.rows(), crossbar.cols());
  for (Index v = 0; v < line_volt.rows(); ++v) {
    const SteadyState state = solve_steady(crossbar, {line_volt.row(v).transpose(), conducting}, options);
    batch.sense_ampere.row(v) = state.sense_ampere.transpose();
    if (state.report.status != Status::ok) batch.report.status = state.report.status;
    batch.report.iterations += state.report.iterations;
    batch.report.newton_steps += state.report.newton_steps;
    batch.report.kirchhoff_error = std::max(batch.report.kirchhoff_error, state.report.kirchhoff_error);
  }
  return batch;
}

}  // namespace crosstile::circuit
