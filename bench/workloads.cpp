#include "bench/workloads.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/idx.hpp"

namespace crosstile::bench {

namespace {

constexpr std::uint64_t kSeed = 1;
constexpr Index kImagePixels = 392;

// The pixels with the largest sum over all images, ascending.
std::vector<Index> brightest_pixels(const data::IdxImages& images) {
  const Index pixels = images.height * images.width;
  std::vector<double> sum(static_cast<std::size_t>(pixels), 0.0);
  for (std::size_t k = 0; k < images.pixels.size(); ++k) sum[k % sum.size()] += images.pixels[k];
  std::vector<Index> order(sum.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return sum[static_cast<std::size_t>(a)] > sum[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(kImagePixels));
  std::sort(order.begin(), order.end());
  return order;
}

std::optional<data::IdxImages> test_images() {
  const std::filesystem::path path = std::filesystem::path(CROSSTILE_SOURCE_DIR) / "data/mnist/t10k-images-idx3-ubyte.gz";
  if (!std::filesystem::exists(path)) return std::nullopt;
  return data::read_idx_images(path);
}

}  // namespace

std::optional<std::vector<Index>> active_pixels() {
  const auto images = test_images();
  if (!images) return std::nullopt;
  return brightest_pixels(*images);
}

data::TileSpec mesh_tile(Index size, double r_ohm, data::Drive drive) {
  data::TileSpec tile;
  tile.rows = tile.cols = size;
  tile.drive = drive;
  tile.sense = data::SenseEnd::south;
  tile.weight_layout = data::WeightLayout::single;
  tile.r_row_ohm = tile.r_col_ohm = r_ohm;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  return tile;
}

circuit::Crossbar random_crossbar(const data::TileSpec& tile) {
  Matrix g = random_uniform_matrix({kSeed, Stream::weights, 0}, tile.rows, tile.cols);
  g.array() = tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * g.array();
  return circuit::Crossbar(tile, g);
}

Matrix random_line_volts(const circuit::Crossbar& crossbar, Index vectors) {
  return crossbar.tile.v_read_volt * random_uniform_matrix({kSeed, Stream::inputs, 0}, vectors, crossbar.lines());
}

circuit::LineDrive drive_of(const Vector& line_volt) {
  return {line_volt, std::vector<bool>(static_cast<std::size_t>(line_volt.size()), true)};
}

IntMatrix half_normal_codes(const data::TileSpec& tile, Index vectors) {
  const double full_scale = data::max_code(tile.pulse.dac_bits);
  const Matrix normal = random_normal_matrix({kSeed, Stream::inputs, 1}, vectors, tile.rows);
  const Matrix uniform = random_uniform_matrix({kSeed, Stream::inputs, 2}, vectors, tile.rows);
  IntMatrix codes(vectors, tile.rows);
  for (Index v = 0; v < vectors; ++v)
    for (Index i = 0; i < tile.rows; ++i)
      codes(v, i) = uniform(v, i) < 0.6 ? static_cast<int>(std::lround(full_scale * std::min(1.0, 0.35 * std::abs(normal(v, i))))) : 0;
  return codes;
}

IntVector uniform_codes(const data::TileSpec& tile) {
  const Matrix uniform = random_uniform_matrix({kSeed, Stream::inputs, 3}, 1, tile.rows);
  return (uniform.row(0).transpose().array() * (data::max_code(tile.pulse.dac_bits) + 1)).floor().cast<int>();
}

std::optional<IntMatrix> mnist_codes(const data::TileSpec& tile, Index vectors) {
  if (tile.rows < kImagePixels) throw Error(ErrorKind::usage, "images need a tile of at least 392 rows");
  const auto found = test_images();
  if (!found) return std::nullopt;
  const data::IdxImages& images = *found;
  const auto pixels = brightest_pixels(images);
  const double full_scale = data::max_code(tile.pulse.dac_bits);
  IntMatrix codes = IntMatrix::Zero(vectors, tile.rows);
  for (Index v = 0; v < vectors; ++v)
    for (Index k = 0; k < kImagePixels; ++k) {
      const auto at = static_cast<std::size_t>(v * images.height * images.width + pixels[static_cast<std::size_t>(k)]);
      codes(v, tile.rows - kImagePixels + k) = static_cast<int>(std::lround(full_scale * images.pixels[at] / 255.0));
    }
  return codes;
}

double distance(const Vector& a, const Vector& b) { return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff(); }

}  // namespace crosstile::bench
