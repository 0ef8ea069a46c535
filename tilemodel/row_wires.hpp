// The drop along the row wires with the columns held at ground, exact for every value of r_row and r_driver
// including 0.
#pragma once

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::tilemodel {

/// Conductance with which a cell enters a model of the wires: current over voltage of device and selector in
/// series at v_read. Ohmic: g / (1 + g r_on). Shape of g_siemens.
Matrix cell_conductance(const data::TileSpec& tile, const Matrix& g_siemens);

/// Its derivative by the device's low-field conductance, no unit.
Matrix cell_conductance_slope(const data::TileSpec& tile, const Matrix& g_siemens);

/// p_ij = voltage of row node (i, j) over the row's drive voltage, columns grounded; g_siemens: rows x cols
/// of cell_conductance. 0 < p <= 1; exactly 1 when r_row = r_driver = 0. docs/theory.md, "Row wires".
Matrix row_wire_factor(const data::TileSpec& tile, const Matrix& g_siemens);

/// Voltage of every row node per unit of injected current pattern: v_ij = sum_k z_i(j, k) current_ik with z_i of
/// row_wire_resistance for row i. Shapes: g_siemens and current rows x cols; result rows x cols, in ohm times the
/// unit of current. Zeros when r_row = r_driver = 0.
Matrix row_wire_response(const data::TileSpec& tile, const Matrix& g_siemens, const Matrix& current);

/// Voltage at node j of one row wire per current injected at node k, ohm; g_siemens: cols conductances to
/// ground. Symmetric.
Matrix row_wire_resistance(const data::TileSpec& tile, const Vector& g_siemens);

}  // namespace crosstile::tilemodel
