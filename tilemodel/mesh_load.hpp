// Internal. What columns with different voltages along their wires do to one another through the row wires, to first order in
// the column wire. docs/theory.md, "Columns that differ, in the closure".
#pragma once

#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/panels.hpp"

namespace crosstile::tilemodel {

struct MeshLoad {
  // groups: the sense ends; g: rows x cols, cell conductances; p: row-wire factor.
  MeshLoad(const data::TileSpec& tile, const std::vector<ColumnGroup>& groups, const Matrix& g, const Matrix& p);

  Matrix drop;     // rows x cols: column voltage per volt with all rows on, first order in the column wire
  Matrix current;  // rows x cols: g_ij sum_k z_jk g_ik (drop_ik - drop_ij), siemens
};

}  // namespace crosstile::tilemodel
