// A reference set: what the circuit computed for given tiles and inputs. Circuit and models meet only here.
// Stored as HDF5, format v1 (docs/file_format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/types.hpp"
#include "data/tile.hpp"

namespace crosstile::data {

struct ReferenceSet {
  TileSpec tile;
  std::uint64_t seed = 1;
  std::string method;                ///< "charge" or "transient"
  std::string config_toml;           ///< configuration that made the set
  std::vector<Matrix> g_plus_siemens;   ///< one rows x cols matrix per weight draw
  std::vector<Matrix> g_minus_siemens;  ///< empty for layout "single", else as many as g_plus
  IntVector draw;                    ///< vectors; index of the weight draw each vector was applied to
  IntMatrix codes;                   ///< vectors x rows, signed pulse codes
  Matrix charge_plus_coulomb;        ///< vectors x cols, all passes combined
  Matrix charge_minus_coulomb;       ///< vectors x cols; 0 x 0 unless pair-columns
  Matrix energy_joule;               ///< vectors x energy_terms
  std::vector<std::string> energy_terms;  ///< "cells", "row_wires", ...
  Matrix average_supply_ampere;      ///< vectors x supply_lines(); magnitude of the current out of each line's drivers, mean over all windows; or 0 x 0
  Matrix peak_supply_ampere;         ///< vectors x supply_lines(); the largest settled value of it; or 0 x 0
  IntVector held_out;                ///< vectors; 1 = kept out of every fit

  Index vectors() const { return codes.rows(); }
  /// Row wires: those of G+ (rows 0 .. rows-1), then, unless the layout is "single", those of G-.
  Index supply_lines() const { return tile.weight_layout == WeightLayout::single ? tile.rows : 2 * tile.rows; }
  /// charge_plus - charge_minus, or charge_plus where there is no minus array.
  Matrix differential_coulomb() const;
  /// Errors: bad_data naming the first inconsistent field (shapes, ranges, NaN).
  void validate() const;
};

/// Atomic; HDF5 with chunks, fletcher32, libver v110, units as attributes, `complete` written last, content hash in the user block.
void write_reference_set(const std::filesystem::path& path, const ReferenceSet& set);
/// Checks the content hash before opening, then shapes and ranges. Errors: io, bad_data.
ReferenceSet read_reference_set(const std::filesystem::path& path);
/// The vectors of several sets (shards of one job: same tile, same draws) in order.
ReferenceSet concatenate(const std::vector<ReferenceSet>& shards);

}  // namespace crosstile::data
