#include "circuit/sense_drive.hpp"

#include <numeric>

#include "circuit/mesh_solver.hpp"
#include "core/error.hpp"

namespace crosstile::circuit {

SenseDrive solve_sense_drive(const Crossbar& crossbar, const Vector& sense_volt,
                             const SteadyOptions& options) {
  const data::TileSpec& tile = crossbar.tile;
  if (!tile.ohmic_cells())
    throw Error(ErrorKind::usage, "a drive from the senses is solved for ohmic cells only");
  if (sense_volt.size() != crossbar.cols())
    throw Error(ErrorKind::usage, std::to_string(sense_volt.size()) + " sense voltages for " +
                                      std::to_string(crossbar.cols()) + " columns");
  const Array device = to_internal(crossbar, crossbar.conductance_siemens);
  const Array g = device / (1.0 + device * tile.selector.r_on_ohm);
  std::vector<Index> lines(static_cast<std::size_t>(crossbar.lines()));
  std::iota(lines.begin(), lines.end(), Index{0});

  // With column node = V_sense - c and row node = e the equations are those of a drive from the rows, with G
  // V of the columns.
  Array source = g;
  for (Index j = 0; j < crossbar.cols(); ++j)
    source.col(j) *= sense_volt[crossbar.column_order[static_cast<std::size_t>(j)]];
  MeshSolver mesh(crossbar);
  mesh.factor(lines, g);
  Array e, c;
  const auto report =
      mesh.solve(source, source, e, c, options.tolerance * source.abs().maxCoeff(), options.max_iterations);
  SenseDrive answer;
  if (!report.converged || !e.allFinite() || !c.allFinite()) answer.status = Status::not_converged;
  answer.line_ampere = (source - g * (e + c)).rowwise().sum().matrix();
  return answer;
}

}  // namespace crosstile::circuit
