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
  volt_.assign(static_cast<std::size_t>(mesh_.padded_slots()), 0.0);
}

bool StripSteady::begin(const Vector& line_volt, StripMesh::Start& start, StripMesh::Stop& stop,
                        double& scale) {
  scale = 0.0;
  for (Index l = 0; l < line_volt.size(); ++l)
    scale = larger(scale, std::abs(line_volt[l]) * largest_siemens_[l]);
  if (!factored_ || !(scale > 0.0) || !std::isfinite(scale)) return false;
  std::copy(line_volt.begin(), line_volt.end(), volt_.begin());
  for (StripArray* const array : {&drop_, &column_})
    array->resize(mesh_.strips(), mesh_.padded_slots(), crossbar_.cols());
  for (Index s = mesh_.slots(); s < mesh_.padded_slots(); ++s)
    for (Index t = 0; t < mesh_.strips(); ++t) std::fill(column_.at(t, s), column_.at(t, s) + kStrip, 0.0);
  answer_.drop = &drop_;
  answer_.column = &column_;
  const StripModes& modes = mesh_.modes();
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
  stop = {options_.tolerance * scale, options_.max_iterations};
  return true;
}

std::optional<SteadyReport> StripSteady::solve(const Vector& line_volt, OperatingPoint& point) {
  StripMesh::Start start;
  StripMesh::Stop stop;
  double scale = 0.0;
  if (!begin(line_volt, start, stop, scale)) return std::nullopt;
  StripMesh::Source source;
  source.volt = volt_.data();
  std::vector<double> lost;
  mesh_.solve_nodes(source, start, stop, lost, answer_);
  if (!answer_.converged) return std::nullopt;
  SteadyReport report;
  report.iterations = answer_.sweeps;
  read_out(line_volt, point);
  report.sense_error = sense_error(point, lost);
  report.kirchhoff_error = point.largest_ampere > 0.0 ? answer_.residual_ampere / point.largest_ampere : 0.0;
  if (!std::isfinite(point.drop_watt + point.column_watt)) return std::nullopt;
  return report;
}

std::optional<SteadyReport> StripSteady::solve_sense(const Vector& line_volt, Vector& sense_ampere) {
  StripMesh::Start start;
  StripMesh::Stop stop;
  double scale = 0.0;
  if (!begin(line_volt, start, stop, scale)) return std::nullopt;
  StripMesh::Source source;
  source.volt = volt_.data();
  mesh_.solve(source, start, stop, answer_);
  if (!answer_.converged) return std::nullopt;
  sense_ampere = answer_.sense;
  SteadyReport report;
  report.iterations = answer_.sweeps;
  report.kirchhoff_error = answer_.residual_ampere / scale;
  const double least = sense_ampere.cwiseAbs().minCoeff();
  if (answer_.residual_ampere > 0.0 && least > 0.0)
    report.sense_error = answer_.residual_ampere * static_cast<double>(mesh_.slots()) / least;
  return report;
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
void StripSteady::read_out(const Vector& line_volt, OperatingPoint& point) {
  const Index lines = mesh_.slots(), cols = crossbar_.cols();
  point.drop = mesh_.give_memory();
  unroll(drop_, point.drop);
  point.column = drop_.give_memory();
  unroll(column_, point.column);
  point.cell_ampere = column_.give_memory();
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
