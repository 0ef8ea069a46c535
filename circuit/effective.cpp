#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>

#include "circuit/mesh_batch.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"

namespace crosstile::circuit {

namespace {

// Rows of lines summed into rows of weights with the sign of their drive.
void add_lines(const Crossbar& crossbar, const Vector& line_share, Eigen::Ref<Vector> weight) {
  weight.setZero();
  for (Index l = 0; l < crossbar.lines(); ++l) weight[crossbar.row_of_line(l)] += crossbar.polarity(l) * line_share[l];
}

struct Columns {
  Index begin, end;
};

// Columns (internal) of w, each with its sense at 1 V and everything else at 0. False when the recurrence does not reach the tolerance.
bool solve_senses(const MeshBatch& mesh, const Crossbar& crossbar, const std::vector<RecurrenceStep>& steps, Columns columns,
                  const SteadyOptions& options, MeshBatch::Workspace& work, Matrix& w) {
  constexpr Index kLanes = MeshBatch::kLanes;
  work.volt.assign(static_cast<std::size_t>(crossbar.cols() * kLanes), 0.0);
  for (Index j = columns.begin; j < columns.end; ++j) work.volt[static_cast<std::size_t>(j * kLanes + j - columns.begin)] = 1.0;
  if (!mesh.solve(work, MeshBatch::DriveBy::column, steps, options.tolerance, options.max_iterations).converged) return false;
  Vector share(crossbar.lines()), weight(crossbar.rows());
  for (Index j = columns.begin; j < columns.end; ++j) {
    for (Index l = 0; l < crossbar.lines(); ++l) share[l] = work.line_ampere[static_cast<std::size_t>(l * kLanes + j - columns.begin)];
    add_lines(crossbar, share, weight);
    w.col(crossbar.column_order[static_cast<std::size_t>(j)]) = weight;
  }
  return true;
}

bool solve_sense(MeshSolver& mesh, const Crossbar& crossbar, const Array& g, Index j, const SteadyOptions& options, Matrix& w) {
  Array source = Array::Zero(g.rows(), g.cols());
  source.col(j) = g.col(j);
  Array e, c;
  const bool converged = mesh.solve(source, source, e, c, options.tolerance * source.maxCoeff(), options.max_iterations).converged;
  Vector weight(crossbar.rows());
  add_lines(crossbar, (source - g * (e + c)).rowwise().sum().matrix(), weight);
  w.col(crossbar.column_order[static_cast<std::size_t>(j)]) = weight;
  return converged;
}

}  // namespace

Matrix effective_matrix(const Crossbar& crossbar, int threads, const SteadyOptions& options) {
  const data::TileSpec& tile = crossbar.tile;
  if (!tile.is_linear())
    throw Error(ErrorKind::usage, "an effective matrix needs a tile that is linear in its input; this one has drive \"" +
                                      std::string(data::to_name(tile.drive)) + "\" and " + std::string(data::to_name(tile.cell.law)) + " cells");
  const Array device = to_internal(crossbar, crossbar.conductance_siemens);
  const Array g = device / (1.0 + device * tile.selector.r_on_ohm);
  std::vector<Index> lines(static_cast<std::size_t>(crossbar.lines()));
  for (std::size_t l = 0; l < lines.size(); ++l) lines[l] = static_cast<Index>(l);

  Matrix w(crossbar.rows(), crossbar.cols());
  if (tile.ideal_supply()) {  // columns do not see each other: one solve serves all of them
    MeshSolver mesh(crossbar);
    mesh.factor(lines, g);
    Array e, c;
    mesh.solve(g, g, e, c, 0.0, 0);
    const Array share = to_physical(crossbar, g * (1.0 - c));
    Vector weight(crossbar.rows());
    for (Index j = 0; j < crossbar.cols(); ++j) {
      add_lines(crossbar, share.col(j).matrix(), weight);
      w.col(j) = weight;
    }
    return w;
  }

  // By reciprocity W_ij is the current of row i's driver when only sense j is driven with 1 V. Eight senses go together, by the recurrence of
  // the first one; those that it does not serve go alone.
  const int workers = threads > 0 ? threads : default_threads();
  MeshSolver first(crossbar);
  first.allow_coarse(false);
  first.factor(lines, g);
  Array e, c, source = Array::Zero(g.rows(), g.cols());
  source.col(0) = g.col(0);
  const auto report = first.solve(source, source, e, c, options.tolerance * source.maxCoeff(), kLongRecurrence);
  const auto steps = report.converged ? recurrence_of(first) : std::vector<RecurrenceStep>();
  const std::optional<MeshBatch> mesh = steps.empty() ? std::nullopt : std::make_optional<MeshBatch>(crossbar, first);

  const Index lanes = mesh ? MeshBatch::kLanes : 1;
  std::vector<MeshBatch::Workspace> work(static_cast<std::size_t>(workers));
  std::vector<std::unique_ptr<MeshSolver>> alone(static_cast<std::size_t>(workers));
  std::atomic<bool> converged{true};
  parallel_for((crossbar.cols() + lanes - 1) / lanes, workers, [&](Index block, int worker) {
    const auto own = static_cast<std::size_t>(worker);
    const Index begin = block * lanes, end = std::min(begin + lanes, crossbar.cols());
    if (mesh && solve_senses(*mesh, crossbar, steps, {begin, end}, options, work[own], w)) return;
    if (!alone[own]) {
      alone[own] = std::make_unique<MeshSolver>(crossbar);
      alone[own]->factor(lines, g);
    }
    for (Index j = begin; j < end; ++j)
      if (!solve_sense(*alone[own], crossbar, g, j, options, w)) converged = false;
  });
  if (!converged)
    throw Error(ErrorKind::not_converged, "effective matrix: the chain solve stopped after " + std::to_string(options.max_iterations) +
                                              " iterations before its tolerance");
  return w;
}

}  // namespace crosstile::circuit
