#include <catch2/catch.hpp>
#include <limits>

#include "core/error.hpp"
#include "nn/tiles.hpp"
#include "samples.hpp"

using namespace crosstile;
using namespace crosstile::nn;
using Catch::Matchers::Contains;

namespace {

data::TileSpec tile_of_size(Index rows, Index cols) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  return tile;
}

}  // namespace

TEST_CASE("A count is split into the fewest near-equal pieces", "[nn][kat]") {
  CHECK(split_evenly(784, 512) == std::vector<Index>{0, 392, 784});
  CHECK(split_evenly(784, 392) == std::vector<Index>{0, 392, 784});
  CHECK(split_evenly(10, 512) == std::vector<Index>{0, 10});
  CHECK(split_evenly(11, 4) == std::vector<Index>{0, 4, 8, 11});
  CHECK(split_evenly(7, 1).size() == 8);
}

TEST_CASE("Every weight lies on exactly one tile and comes back from its conductances", "[nn][property]") {
  const Network network = make_network<float>({{37, 23, 5}, Activation::relu}, 9);
  for (const auto& [rows, cols] : {std::pair<Index, Index>{10, 8}, {37, 23}, {512, 512}, {1, 1}, {36, 22}}) {
    CAPTURE(rows, cols);
    const data::TileSpec spec = tile_of_size(rows, cols);
    const MappedNetwork mapped = map_network(network, spec);
    std::uint32_t next = 0;
    for (std::size_t l = 0; l < network.depth(); ++l) {
      const Matrix weights = network.layers[l].weights.cast<double>();
      Matrix covered = Matrix::Zero(weights.rows(), weights.cols());
      Matrix recovered = Matrix::Zero(weights.rows(), weights.cols());
      for (const MappedTile& tile : mapped.layers[l].tiles) {
        CHECK(tile.number == next++);
        CHECK((tile.spec.rows <= rows && tile.spec.cols <= cols));
        CHECK(
            (tile.g_plus_siemens.rows() == tile.spec.rows && tile.g_minus_siemens.cols() == tile.spec.cols));
        covered.block(tile.row_begin, tile.col_begin, tile.spec.rows, tile.spec.cols).array() += 1.0;
        recovered.block(tile.row_begin, tile.col_begin, tile.spec.rows, tile.spec.cols) = weights_of(tile);
      }
      CHECK((covered.array() == 1.0).all());
      // Three roundings of numbers up to g_max, times w_max / (g_max - g_min).
      const double bound =
          4.0 * std::numeric_limits<double>::epsilon() * weights.cwiseAbs().maxCoeff() * 25.0 / 24.9;
      CHECK((recovered - weights).cwiseAbs().maxCoeff() <= bound);
    }
    CHECK(mapped.tiles() == next);
  }
}

TEST_CASE("The largest weight of a tile sits at g_max and the idle cell at g_min", "[nn][property]") {
  const Network network = make_network<float>({{30, 20}, Activation::relu}, 2);
  const data::TileSpec spec = tile_of_size(16, 9);
  const MappedNetwork mapped = map_network(network, spec);
  for (const MappedTile& tile : mapped.layers[0].tiles) {
    const double top = std::max(tile.g_plus_siemens.maxCoeff(), tile.g_minus_siemens.maxCoeff());
    CHECK(top <= spec.g_max_siemens);
    CHECK(top == Approx(spec.g_max_siemens).epsilon(1e-15));
    const Matrix idle = tile.g_plus_siemens.cwiseMin(tile.g_minus_siemens);
    CHECK((idle.array() == spec.g_min_siemens).all());
    const Matrix w = network.layers[0].weights.cast<double>().block(tile.row_begin, tile.col_begin,
                                                                    tile.spec.rows, tile.spec.cols);
    CHECK(((tile.g_plus_siemens.array() > tile.g_minus_siemens.array()) == (w.array() > 0.0)).all());
  }
}

TEST_CASE("A tile of zero weights is at g_min and holds zeros", "[nn][property]") {
  Network network = make_network<float>({{8, 4}, Activation::relu}, 2);
  network.layers[0].weights.topRows(4).setZero();
  const MappedNetwork mapped = map_network(network, tile_of_size(4, 4));
  const MappedTile& zero = mapped.layers[0].tile(0, 0);
  CHECK((zero.g_plus_siemens.array() == zero.spec.g_min_siemens).all());
  CHECK(weights_of(zero).isZero(0.0));
  CHECK_FALSE(weights_of(mapped.layers[0].tile(1, 0)).isZero(0.0));
}

TEST_CASE("What cannot be mapped is refused by name", "[nn][error]") {
  Network network = make_network<float>({{8, 4}, Activation::relu}, 2);
  data::TileSpec spec = tile_of_size(8, 4);
  spec.weight_layout = data::WeightLayout::single;
  CHECK_THROWS_WITH(map_network(network, spec), Contains("weight_layout") && Contains("single"));
  spec = tile_of_size(8, 4);
  spec.g_min_siemens = spec.g_max_siemens;
  CHECK_THROWS_WITH(map_network(network, spec), Contains("g_max_siemens"));
  spec = tile_of_size(0, 4);
  CHECK_THROWS_WITH(map_network(network, spec), Contains("rows"));
  CHECK_THROWS_WITH(split_evenly(0, 4), Contains("count"));
  CHECK_THROWS_WITH(split_evenly(4, 0), Contains("most"));
  const MappedNetwork mapped = map_network(network, tile_of_size(8, 4));
  CHECK_THROWS_WITH(mapped.layers[0].tile(1, 0), Contains("tile_row"));
  CHECK_THROWS_WITH(mapped.layers[0].tile(0, -1), Contains("tile_col"));
  network.layers[0].weights(0, 0) = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(map_network(network, tile_of_size(8, 4)), Contains("not finite"));
}
