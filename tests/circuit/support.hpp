// What the circuit tests share: small crossbars with known answers, and reference data made outside this project.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "circuit/circuit.hpp"
#include "core/random.hpp"

namespace crosstile::circuit::test {

/// Numbers of a comma-separated file in tests/reference, one row a line.
inline Matrix read_reference(const std::string& name) {
  std::ifstream in(std::string(CROSSTILE_SOURCE_DIR) + "/tests/reference/" + name);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(std::stod(cell));
  }
  Matrix out(static_cast<Index>(rows.size()), rows.empty() ? 0 : static_cast<Index>(rows.front().size()));
  for (Index i = 0; i < out.rows(); ++i)
    for (Index j = 0; j < out.cols(); ++j) out(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  return out;
}

inline data::TileSpec plain_tile(Index rows, Index cols) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  tile.sense = data::SenseEnd::south;
  tile.weight_layout = data::WeightLayout::single;
  tile.r_row_ohm = 1.0;
  tile.r_col_ohm = 1.0;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  return tile;
}

/// Uniform random conductances in the tile's range.
inline Matrix random_conductances(const data::TileSpec& tile, std::uint64_t seed, std::uint32_t number = 0) {
  const Matrix u = random_uniform_matrix({seed, Stream::test, number}, tile.rows, tile.cols);
  return (tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * u.array()).matrix();
}

inline IntVector random_codes(Index rows, int low, int high, std::uint64_t seed) {
  IntVector codes(rows);
  for (Index i = 0; i < rows; ++i)
    codes[i] = low + static_cast<int>(random_uniform({seed, Stream::test, 7}, static_cast<std::uint64_t>(i), 0) * (high - low + 1));
  return codes;
}

}  // namespace crosstile::circuit::test
