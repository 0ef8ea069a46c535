#include "nn/tiles.hpp"

#include <cmath>
#include <string>

#include "core/error.hpp"

namespace crosstile::nn {

namespace {

MappedTile map_block(const Matrix& weights, const data::TileSpec& spec) {
  MappedTile tile;
  tile.spec = spec;
  tile.spec.rows = weights.rows();
  tile.spec.cols = weights.cols();
  const double range = spec.g_max_siemens - spec.g_min_siemens;
  const double w_max = weights.cwiseAbs().maxCoeff();
  const double siemens_per_weight = w_max > 0.0 ? range / w_max : 0.0;
  tile.weight_per_siemens = w_max / range;
  // The sum may pass g_max by its last bit, which range checks elsewhere would refuse.
  const auto map = [&](double w) {
    return std::min(spec.g_max_siemens, spec.g_min_siemens + siemens_per_weight * std::max(w, 0.0));
  };
  tile.g_plus_siemens = weights.unaryExpr([&](double w) { return map(w); });
  tile.g_minus_siemens = weights.unaryExpr([&](double w) { return map(-w); });
  return tile;
}

}  // namespace

void check_network_tile(const data::TileSpec& tile) {
  tile.validate();
  if (tile.weight_layout != data::WeightLayout::pair_columns)
    throw Error(ErrorKind::usage, "weight_layout = \"" + std::string(data::to_name(tile.weight_layout)) +
                                      "\" cannot hold a network; allowed: \"pair-columns\"");
  if (!(tile.g_max_siemens > tile.g_min_siemens))
    throw_out_of_range("g_max_siemens", tile.g_max_siemens, "it must be larger than g_min_siemens");
}

std::vector<Index> split_evenly(Index count, Index most) {
  if (count < 1) throw_out_of_range("count", static_cast<double>(count), "allowed: at least 1");
  if (most < 1) throw_out_of_range("most", static_cast<double>(most), "allowed: at least 1");
  const Index pieces = (count + most - 1) / most;
  std::vector<Index> bounds = {0};
  for (Index piece = 0; piece < pieces; ++piece)
    bounds.push_back(bounds.back() + count / pieces + (piece < count % pieces ? 1 : 0));
  return bounds;
}

const MappedTile& MappedLayer::tile(Index tile_row, Index tile_col) const {
  if (tile_row < 0 || tile_row >= tile_rows())
    throw_out_of_range("tile_row", static_cast<double>(tile_row),
                       "allowed: 0 to " + std::to_string(tile_rows() - 1));
  if (tile_col < 0 || tile_col >= tile_cols())
    throw_out_of_range("tile_col", static_cast<double>(tile_col),
                       "allowed: 0 to " + std::to_string(tile_cols() - 1));
  return tiles[static_cast<std::size_t>(tile_row * tile_cols() + tile_col)];
}

std::uint32_t MappedNetwork::tiles() const {
  std::size_t count = 0;
  for (const auto& layer : layers) count += layer.tiles.size();
  return static_cast<std::uint32_t>(count);
}

MappedNetwork map_network(const Network& network, const data::TileSpec& tile) {
  check_shapes(network);
  check_network_tile(tile);
  if (!network.all_finite())
    throw Error(ErrorKind::usage, "a weight or bias of the network is not finite; it has no conductance");
  MappedNetwork mapped;
  std::uint32_t number = 0;
  for (const auto& layer : network.layers) {
    MappedLayer out;
    out.row_bounds = split_evenly(layer.weights.rows(), tile.rows);
    out.col_bounds = split_evenly(layer.weights.cols(), tile.cols);
    for (std::size_t r = 0; r + 1 < out.row_bounds.size(); ++r)
      for (std::size_t c = 0; c + 1 < out.col_bounds.size(); ++c) {
        const Index row = out.row_bounds[r], col = out.col_bounds[c];
        const auto block =
            layer.weights.block(row, col, out.row_bounds[r + 1] - row, out.col_bounds[c + 1] - col);
        MappedTile mapped_tile = map_block(block.cast<double>(), tile);
        mapped_tile.row_begin = row;
        mapped_tile.col_begin = col;
        mapped_tile.number = number++;
        out.tiles.push_back(std::move(mapped_tile));
      }
    mapped.layers.push_back(std::move(out));
  }
  return mapped;
}

Matrix weights_of(const MappedTile& tile) {
  return tile.weight_per_siemens * (tile.g_plus_siemens - tile.g_minus_siemens);
}

}  // namespace crosstile::nn
