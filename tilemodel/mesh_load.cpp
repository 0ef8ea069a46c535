#include "tilemodel/mesh_load.hpp"

#include "tilemodel/ladder.hpp"
#include "tilemodel/row_wires.hpp"

namespace crosstile::tilemodel {

MeshLoad::MeshLoad(const data::TileSpec& tile, const std::vector<ColumnGroup>& groups, const Matrix& g,
                   const Matrix& p)
    : drop(Matrix::Zero(g.rows(), g.cols())) {
  const ColumnWire wire(tile);
  const Index rows = g.rows();
  for (const ColumnGroup& group : groups)
    for (const Index j : group.columns) {
      double current_in_wire = 0.0;
      for (Index position = 0; position < rows; ++position) {
        const Index i = group.row(position, rows);
        current_in_wire += g(i, j) * p(i, j);
        drop(i, j) = (position + 1 < rows ? wire.cell_ohm : wire.end_ohm) * current_in_wire;
      }
      for (Index position = rows - 1; position-- > 0;)
        drop(group.row(position, rows), j) += drop(group.row(position + 1, rows), j);
    }
  // sum_k z_jk g_ik = 1 - p_ij.
  const Matrix shared = row_wire_response(tile, g, g.cwiseProduct(drop));
  current = (g.array() * (shared.array() - (1.0 - p.array()) * drop.array())).matrix();
}

}  // namespace crosstile::tilemodel
