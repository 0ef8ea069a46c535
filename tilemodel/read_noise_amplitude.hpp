// Internal. What both forms of the read noise check and share.
#pragma once

#include "core/types.hpp"
#include "data/tile.hpp"
#include "tilemodel/read_noise.hpp"

namespace crosstile::tilemodel {

/// rows x cols: charge noise of a cell per second of pulse and unit of relative noise. Errors: usage.
Matrix noise_amplitude(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise);
/// Errors: usage for codes that do not fit the tile.
void require_codes(const data::TileSpec& tile, const IntMatrix& codes);

}  // namespace crosstile::tilemodel
