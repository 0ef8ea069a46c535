#include <atomic>

#include "circuit/operating_point.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"

namespace crosstile::circuit {

namespace {

// Rows of lines summed into rows of weights with the sign of their drive.
void add_lines(const Crossbar& crossbar, const Vector& line_share, Eigen::Ref<Vector> weight) {
  weight.setZero();
  for (Index l = 0; l < crossbar.lines(); ++l) weight[crossbar.row_of_line(l)] += crossbar.polarity(l) * line_share[l];
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

  // By reciprocity W_ij is the current of row i's driver when only sense j is driven with 1 V.
  const int workers = threads > 0 ? threads : default_threads();
  std::vector<MeshSolver> mesh(static_cast<std::size_t>(workers), MeshSolver(crossbar));
  for (auto& solver : mesh) solver.factor(lines, g);
  std::atomic<bool> converged{true};
  parallel_for(crossbar.cols(), workers, [&](Index internal, int worker) {
    Array source = Array::Zero(g.rows(), g.cols());
    source.col(internal) = g.col(internal);
    Array e, c;
    const double scale = source.abs().maxCoeff();
    const auto report = mesh[static_cast<std::size_t>(worker)].solve(source, source, e, c, options.tolerance * scale, options.max_iterations);
    if (!report.converged) converged = false;
    const Vector share = (source - g * (e + c)).rowwise().sum().matrix();
    Vector weight(crossbar.rows());
    add_lines(crossbar, share, weight);
    w.col(crossbar.column_order[static_cast<std::size_t>(internal)]) = weight;
  });
  if (!converged)
    throw Error(ErrorKind::not_converged, "effective matrix: the chain solve stopped after " + std::to_string(options.max_iterations) +
                                              " iterations before its tolerance");
  return w;
}

}  // namespace crosstile::circuit
