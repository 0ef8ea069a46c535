// Weights on tiles: a layer is cut into arrays that fit the tile, and every weight becomes a pair of
// conductances. docs/theory.md, "Networks on tiles".
#pragma once

#include <vector>

#include "data/tile.hpp"
#include "nn/mlp.hpp"

namespace crosstile::nn {

/// Boundaries of the fewest near-equal pieces of at most `most`: 0 = b[0] < b[1] < ... < b[pieces] = count;
/// piece lengths differ by at most one, longer pieces first. Errors: usage when count or most is below 1.
std::vector<Index> split_evenly(Index count, Index most);

/// One pair of arrays (G+ and G-, each with its own row wires) that holds a block of a layer's weights.
struct MappedTile {
  data::TileSpec spec;      ///< the given tile with rows and cols of this block
  Index row_begin = 0;      ///< first input of the layer on this tile
  Index col_begin = 0;      ///< first output of the layer on this tile
  Matrix g_plus_siemens;    ///< rows x cols
  Matrix g_minus_siemens;   ///< rows x cols
  /// w = weight_per_siemens (G+ - G-): largest |w| of the block / (g_max - g_min), 0 if all are 0.
  double weight_per_siemens = 0.0;
  /// Counts the tiles of the network. G+ draws its random numbers as array 2 number, G- as 2 number + 1.
  std::uint32_t number = 0;
};

struct MappedLayer {
  std::vector<Index> row_bounds;  ///< split_evenly(inputs, tile.rows)
  std::vector<Index> col_bounds;  ///< split_evenly(outputs, tile.cols)
  std::vector<MappedTile> tiles;  ///< tile (r, c) at r * tile_cols() + c

  Index tile_rows() const { return static_cast<Index>(row_bounds.size()) - 1; }
  Index tile_cols() const { return static_cast<Index>(col_bounds.size()) - 1; }
  /// Errors: usage when there is no such tile.
  const MappedTile& tile(Index tile_row, Index tile_col) const;
};

struct MappedNetwork {
  std::vector<MappedLayer> layers;
  std::uint32_t tiles() const;  ///< number of tiles of all layers
};

/// Throws a usage Error unless weights can be mapped to the tile: valid, layout pair-columns, g_max above g_min.
void check_network_tile(const data::TileSpec& tile);

/// Maps every layer: G+ = g_min + (g_max - g_min) max(w, 0) / w_max and G- with max(-w, 0), w_max the largest
/// |w| of the tile. Biases stay digital. Errors: usage for an invalid tile, a layout other than pair-columns,
/// or a network that is not finite.
MappedNetwork map_network(const Network& network, const data::TileSpec& tile);

/// The weights a tile holds: weight_per_siemens (G+ - G-), rows x cols.
Matrix weights_of(const MappedTile& tile);

}  // namespace crosstile::nn
