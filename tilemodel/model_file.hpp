// The fitted model as a file (HDF5, kind "tile-model", format v1). docs/file_format.md, "Tile-model files".
#pragma once

#include <filesystem>

#include "data/tile.hpp"
#include "tilemodel/fit.hpp"
#include "tilemodel/model.hpp"

namespace crosstile::tilemodel {

struct ModelFile {
  ModelSpec spec;
  data::TileSpec tile;
  FitReport report;  ///< report.tile == tile
};

/// Atomic. Errors: io.
void write_model(const std::filesystem::path& path, const ModelSpec& spec, const data::TileSpec& tile,
                 const FitReport& report);
/// Checks the content hash before opening, then every field. Errors: io, bad_data.
ModelFile read_model(const std::filesystem::path& path);

}  // namespace crosstile::tilemodel
