// What the figures are measured on. Conductances uniform in 0.1 to 25 uS, rows at 0.2 V * uniform(0, 1), south sense, columns to 0 V,
// no capacitance unless said; seeds are fixed.
#pragma once

#include <optional>
#include <vector>

#include "circuit/circuit.hpp"

namespace crosstile::bench {

/// N x N, both wires r_ohm per cell.
data::TileSpec mesh_tile(Index size, double r_ohm, data::Drive drive = data::Drive::gated);
circuit::Crossbar random_crossbar(const data::TileSpec& tile);
/// vectors x lines, volt.
Matrix random_line_volts(const circuit::Crossbar& crossbar, Index vectors);
/// All rows conducting, driven with the given voltages.
circuit::LineDrive drive_of(const Vector& line_volt);

/// Half-normal codes: min(1, 0.35 |normal|) of full scale on 60 % of the rows, else 0. vectors x rows.
IntMatrix half_normal_codes(const data::TileSpec& tile, Index vectors);
/// One vector, codes uniform in 0 .. the largest code on all rows.
IntVector uniform_codes(const data::TileSpec& tile);
/// The 392 pixels of the test images of MNIST (data/mnist) that are brightest on average, ascending; nothing when the files are not there.
std::optional<std::vector<Index>> active_pixels();
/// Test images on the 392 pixels that are brightest on average, in pixel order on the last rows of the tile; the
/// rows before them idle. vectors x rows; nothing when the files are not there. Errors: usage when the tile has fewer rows.
std::optional<IntMatrix> mnist_codes(const data::TileSpec& tile, Index vectors);

/// Largest |a - b| over the largest |b|.
double distance(const Vector& a, const Vector& b);

}  // namespace crosstile::bench
