#include "nn/abstract_tile.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "nn/bulk_random.hpp"
#include "nn/products.hpp"
#include "nn/tiles.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kMostAbstractRows = 1 << 20;

float rounded_to(float value, float bound, int steps) {
  const float clipped = std::clamp(value, -bound, bound);
  if (steps == 0 || clipped != clipped) return clipped;
  const float step = 2.0F * bound / static_cast<float>(steps);
  return std::nearbyint(clipped / step) * step;
}

// What one tile needs besides its normalised factors.
struct AbstractTerms {
  MatrixF x, w, y;
  MatrixF weighted;  // sum w x (1 - (1 - j / n)^2)
  MatrixF load;      // sum |w| |x|
  MatrixF square;    // sum |w| x^2
};

// Time-averaged IR-drop of column sums.
void add_ir_drop(const AbstractTile& tile, int threads, AbstractTerms& t) {
  const Index n = t.w.rows();
  MatrixF placed = t.x;
  for (Index j = 0; j < n; ++j) {
    const float far = 1.0F - static_cast<float>(j) / static_cast<float>(n);
    placed.col(j) *= 1.0F - far * far;
  }
  const MatrixF size = t.w.cwiseAbs();
  t.weighted.resize(t.x.rows(), t.w.cols());
  t.load.resize(t.x.rows(), t.w.cols());
  product(placed, t.w, nullptr, t.weighted, threads);
  product(t.x.cwiseAbs(), size, nullptr, t.load, threads);
  const auto per_load = static_cast<float>(static_cast<double>(n) * tile.wire_ohm * tile.g_siemens);
  const auto factor = static_cast<float>(tile.ir_drop);
  for (Index k = 0; k < t.y.size(); ++k) {
    const float a = per_load * t.load.data()[k];
    const float c = ((0.05F * a - 0.2F) * a + 0.5F) * a;
    t.y.data()[k] -= factor * c * t.weighted.data()[k];
  }
}

void add_noise(const AbstractTile& tile, const AbstractNoise& noise, std::uint32_t number, int threads,
               AbstractTerms& t) {
  const bool reads = tile.read_noise > 0.0;
  if (reads) {
    t.square.resize(t.x.rows(), t.w.cols());
    product(t.x.cwiseAbs2(), t.w.cwiseAbs(), nullptr, t.square, threads);
  }
  const BulkKey key = bulk_key({noise.seed, Stream::output_noise, noise.layer});
  const auto output = static_cast<float>(tile.output_noise * tile.output_noise);
  const auto read = static_cast<float>(tile.read_noise * tile.read_noise);
  parallel_for(t.y.rows(), threads, [&](Index v, int) {
    std::vector<float> normal(static_cast<std::size_t>(bulk_groups(t.y.cols()) * kBulkGroup));
    bulk_normals(key, {noise.step, static_cast<std::uint32_t>(v), number}, 0, bulk_groups(t.y.cols()),
                 normal.data());
    // Independent normals: one draw with the sum of the variances.
    for (Index j = 0; j < t.y.cols(); ++j)
      t.y(v, j) += normal[static_cast<std::size_t>(j)] *
                   std::sqrt(output + (reads ? read * std::max(0.0F, t.square(v, j)) : 0.0F));
  });
}

}  // namespace

void AbstractTile::validate() const {
  require_in_range("abstract_tile.rows", static_cast<double>(rows), 1, static_cast<double>(kMostAbstractRows));
  require_in_range("abstract_tile.input_steps", input_steps, 0, 1 << 20);
  require_in_range("abstract_tile.output_steps", output_steps, 0, 1 << 20);
  require_in_range("abstract_tile.output_bound", output_bound, 1e-6, 1e6);
  require_in_range("abstract_tile.output_noise", output_noise, 0.0, 1e3);
  require_in_range("abstract_tile.read_noise", read_noise, 0.0, 1e3);
  require_in_range("abstract_tile.ir_drop", ir_drop, 0.0, 1e3);
  require_in_range("abstract_tile.wire_ohm", wire_ohm, 0.0, 1e6);
  require_in_range("abstract_tile.g_siemens", g_siemens, 0.0, 1.0);
  require_in_range("abstract_tile.s_shape", s_shape, 0.0, 1e3);
}

void abstract_product(const AbstractTile& tile, const Eigen::Ref<const MatrixF>& x, float input_range,
                      const Eigen::Ref<const MatrixF>& weights, const AbstractNoise* noise, int threads,
                      Eigen::Ref<MatrixF> y, MatrixF* slope) {
  const std::vector<Index> rows = split_evenly(weights.rows(), tile.rows);
  y.setZero();
  if (slope) slope->setOnes(y.rows(), y.cols());
  const auto bound = static_cast<float>(tile.output_bound), h = static_cast<float>(tile.s_shape);
  AbstractTerms t;
  for (std::size_t r = 0; r + 1 < rows.size(); ++r) {
    const Index count = rows[r + 1] - rows[r];
    t.w = weights.middleRows(rows[r], count);
    const float largest = t.w.cwiseAbs().maxCoeff();
    if (largest == 0.0F) continue;
    t.w /= largest;
    t.x = x.middleCols(rows[r], count) / input_range;
    t.x = t.x.unaryExpr([&](float value) { return rounded_to(value, 1.0F, tile.input_steps); });
    t.y.resize(y.rows(), y.cols());
    product(t.x, t.w, nullptr, t.y, threads);
    if (tile.ir_drop > 0.0) add_ir_drop(tile, threads, t);
    if (noise) add_noise(tile, *noise, static_cast<std::uint32_t>(r), threads, t);
    const float unit = largest * input_range;
    for (Index v = 0; v < y.rows(); ++v)
      for (Index j = 0; j < y.cols(); ++j) {
        float value = t.y(v, j);
        if (h > 0.0F) value /= 1.0F + h * std::abs(value);
        if (tile.output_steps > 0) {
          if (slope && std::abs(value) > bound) (*slope)(v, j) = 0.0F;
          value = rounded_to(value, bound, tile.output_steps);
        }
        y(v, j) += unit * value;
      }
  }
}

}  // namespace crosstile::nn
