// A model that knows its own error: form against the exact ladder on the inputs at hand. docs/theory.md, "Choosing a form".
#pragma once

#include <string>
#include <vector>

#include "tilemodel/model.hpp"

namespace crosstile::tilemodel {

/// RMS difference of a gated form to form ladder on the same tile and vectors, over the largest charge / 255 (LSB of these
/// vectors). Costs as much as the ladder, some hundred microseconds a vector at 512 x 512. What the ladder itself leaves out of
/// the full mesh is not in it: that needs the circuit (fit). codes: vectors x rows. Errors: as TileModel; usage when the
/// tile is not gated.
double distance_to_ladder(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                          const IntMatrix& codes);

/// A sentence when distance_to_ladder is above allowed_lsb, empty otherwise.
std::vector<std::string> warnings(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g_siemens,
                                  const IntMatrix& codes, double allowed_lsb = 0.1);

}  // namespace crosstile::tilemodel
