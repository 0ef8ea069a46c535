#include "circuit/strip_steady.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "circuit/lanes.hpp"

namespace crosstile::circuit {

using strip_kernels::kStrip;

namespace {

constexpr int kMostSteadySweeps = 40;

// A hat function for so many cells at least; more of them where wires are long, as far as their dense factors
// are cheap beside a sweep.
StripModes::Hats hats_for(const Crossbar& crossbar) {
  const Index size = std::min(crossbar.rows(), crossbar.cols());
  const Index fewest = std::clamp<Index>(size / 48, 4, 8);
  return {3.0, fewest, std::clamp<Index>(size / 42, fewest, size > 1024 ? 20 : 16)};
}

}  // namespace

bool StripSteady::takes(const Crossbar& crossbar, Index conducting_lines) {
  return StripMesh::takes(crossbar) && conducting_lines == crossbar.lines();
}

StripSteady::StripSteady(const Crossbar& crossbar, const Array& conductance, const SteadyOptions& options)
    : crossbar_(crossbar), options_(options), mesh_(crossbar, hats_for(crossbar)) {
  options_.max_iterations = std::min(options.max_iterations, kMostSteadySweeps);
  std::vector<Index> rows(static_cast<std::size_t>(crossbar.rows()));
  std::iota(rows.begin(), rows.end(), Index{0});
  mesh_.take_rows(rows, conductance);
  factored_ = mesh_.keep(mesh_.slots());
  largest_siemens_.resize(conductance.rows());
  for (Index l = 0; l < conductance.rows(); ++l)
    largest_siemens_[l] = largest(conductance.data() + l * conductance.cols(), conductance.cols());
}

bool StripSteady::begin(const Vector& line_volt, Drive& drive, StripMesh::Request& request) {
  drive.scale = 0.0;
  for (Index l = 0; l < line_volt.size(); ++l)
    drive.scale = larger(drive.scale, std::abs(line_volt[l]) * largest_siemens_[l]);
  if (!factored_ || !(drive.scale > 0.0) || !std::isfinite(drive.scale)) return false;
  drive.volt.assign(static_cast<std::size_t>(mesh_.padded_slots()), 0.0);
  std::copy(line_volt.begin(), line_volt.end(), drive.volt.begin());
  for (StripArray* const array : {&drive.drop, &drive.column})
    array->resize(mesh_.strips(), mesh_.padded_slots(), crossbar_.cols());
  for (Index s = mesh_.slots(); s < mesh_.padded_slots(); ++s)
    for (Index t = 0; t < mesh_.strips(); ++t)
      std::fill(drive.column.at(t, s), drive.column.at(t, s) + kStrip, 0.0);
  drive.answer.drop = &drive.drop;
  drive.answer.column = &drive.column;
  request.source.volt = drive.volt.data();
  request.stop = {options_.tolerance * drive.scale, options_.max_iterations};
  request.answer = &drive.answer;
  const StripModes& modes = mesh_.modes();
  StripMesh::Start& start = request.start;
  start.rows = Vector::Zero(modes.unknowns());
  start.columns = Vector::Zero(modes.groups() * modes.unknowns());
  for (Index s = 0; s < mesh_.slots(); ++s) {
    modes.gather_conductances(s, 0, mesh_.strips(), line_volt[s], start.rows.data());
    for (Index q = 0; q < modes.groups(); ++q) {
      const StripGroup& group = mesh_.groups()[static_cast<std::size_t>(q)];
      modes.gather_conductances(s, group.first_strip, group.strips, line_volt[s],
                                start.columns.data() + q * modes.unknowns());
    }
  }
  return true;
}

std::optional<SteadyReport> StripSteady::solve(const Vector& line_volt, OperatingPoint& point) {
  drives_.resize(1);
  Drive& drive = drives_.front();
  StripMesh::Request request;
  if (!begin(line_volt, drive, request)) return std::nullopt;
  std::vector<double> lost;
  mesh_.solve_nodes(request.source, request.start, request.stop, lost, drive.answer);
  if (!drive.answer.converged) return std::nullopt;
  SteadyReport report;
  report.iterations = drive.answer.sweeps;
  read_out(line_volt, drive, point);
  report.sense_error = sense_error(point, lost);
  if (point.largest_ampere > 0.0)
    report.kirchhoff_error = drive.answer.residual_ampere / point.largest_ampere;
  if (!std::isfinite(point.drop_watt + point.column_watt)) return std::nullopt;
  return report;
}

std::vector<std::optional<SteadyReport>> StripSteady::solve_sense(const Matrix& line_volt, Index first,
                                                                  Index count,
                                                                  std::vector<Vector>& sense_ampere) {
  const auto size = static_cast<std::size_t>(count);
  std::vector<std::optional<SteadyReport>> reports(size);
  sense_ampere.resize(size);
  if (drives_.size() < size) drives_.resize(size);
  std::vector<StripMesh::Request> requests;
  std::vector<std::size_t> taken;
  for (std::size_t v = 0; v < size; ++v) {
    StripMesh::Request request;
    if (!begin(line_volt.row(first + static_cast<Index>(v)).transpose(), drives_[v], request)) continue;
    requests.push_back(std::move(request));
    taken.push_back(v);
  }
  mesh_.solve_together(requests);
  for (const std::size_t v : taken) {
    const Drive& drive = drives_[v];
    if (!drive.answer.converged) continue;
    sense_ampere[v] = drive.answer.sense;
    SteadyReport report;
    report.iterations = drive.answer.sweeps;
    report.kirchhoff_error = drive.answer.residual_ampere / drive.scale;
    const double least = sense_ampere[v].cwiseAbs().minCoeff();
    if (drive.answer.residual_ampere > 0.0 && least > 0.0)
      report.sense_error = drive.answer.residual_ampere * static_cast<double>(mesh_.slots()) / least;
    reports[v] = report;
  }
  return reports;
}

// One line after the other, columns in internal order.
void StripSteady::unroll(const StripArray& from, Array& to) const {
  const Index lines = mesh_.slots(), cols = crossbar_.cols();
  to.conservativeResize(lines, cols);
  for (Index s = 0; s < lines; ++s)
    for (const StripGroup& group : mesh_.groups())
      for (Index t = 0; t < group.strips; ++t) {
        const double* const strip = from.at(group.first_strip + t, s);
        double* const out = to.data() + s * cols + (group.north ? crossbar_.south_columns : 0) + t * kStrip;
        std::copy(strip, strip + std::min(group.cols - t * kStrip, kStrip), out);
      }
}

// Voltages and currents of all cells, and their sums. Each array takes the memory of one that is no longer
// needed.
void StripSteady::read_out(const Vector& line_volt, Drive& drive, OperatingPoint& point) {
  const Index lines = mesh_.slots(), cols = crossbar_.cols();
  point.drop = mesh_.give_memory();
  unroll(drive.drop, point.drop);
  point.column = drive.drop.give_memory();
  unroll(drive.column, point.column);
  point.cell_ampere = drive.column.give_memory();
  point.cell_ampere.conservativeResize(lines, cols);
  point.line_ampere.resize(lines);
  point.sense_ampere.setZero(cols);
  point.drop_watt = point.column_watt = point.largest_ampere = 0.0;
  for (Index s = 0; s < lines; ++s) {
    const double* const __restrict e = point.drop.data() + s * cols;
    const double* const __restrict c = point.column.data() + s * cols;
    double* const __restrict current = point.cell_ampere.data() + s * cols;
    double* const __restrict sense = point.sense_ampere.data();
    const double volt = line_volt[s];
    for (const StripGroup& group : mesh_.groups())
      for (Index t = 0; t < group.strips; ++t) {
        const double* const __restrict g = mesh_.conductance().at(group.first_strip + t, s);
        const Index first = (group.north ? crossbar_.south_columns : 0) + t * kStrip,
                    count = std::min(group.cols - t * kStrip, kStrip);
        for (Index j = 0; j < count; ++j) current[first + j] = g[j] * (volt - e[first + j] - c[first + j]);
      }
    for (Index j = 0; j < cols; ++j) sense[j] += current[j];
    point.line_ampere[s] = Eigen::Map<const Eigen::ArrayXd>(current, cols).sum();
    point.drop_watt += dot(e, current, cols);
    point.column_watt += dot(c, current, cols);
    point.largest_ampere = larger(point.largest_ampere, largest(current, cols));
  }
}

// What the sweeps leave unaccounted for in a column, over the current that it delivers; the worst column.
double StripSteady::sense_error(const OperatingPoint& point, const std::vector<double>& lost) const {
  double worst = 0.0;
  for (const StripGroup& group : mesh_.groups())
    for (Index j = 0; j < group.cols; ++j) {
      const double rest = lost[static_cast<std::size_t>(group.first_strip * kStrip + j)];
      const double current = std::abs(point.sense_ampere[(group.north ? crossbar_.south_columns : 0) + j]);
      if (rest > 0.0) worst = std::max(worst, rest / std::max(current, 1e-300));
    }
  return worst;
}

}  // namespace crosstile::circuit
