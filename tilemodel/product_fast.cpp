#include "tilemodel/product_fast.hpp"

#include <algorithm>

namespace crosstile::tilemodel {

namespace {

constexpr Index kVectors = 128;  // of one block, so that inputs and a panel stay in the second-level cache

// Floats from row to row of a batch: an odd number of cache lines, so that rows do not fall into the same sets.
Index padded(Index rows) {
  return (rows + kernels::kMostLanes + 31) / 32 * 32 + 16;
}

}  // namespace

ProductFast::ProductFast(const Matrix& weights, double unit)
    : table_(kernels::has_avx512() ? &kernels::table_avx512() : &kernels::table_base()),
      rows_(weights.rows()),
      cols_(weights.cols()),
      panels_((weights.cols() + table_->panel_cols - 1) / table_->panel_cols) {
  const Index width = table_->panel_cols;
  float* to = weights_.reserve(panels_ * rows_ * width);
  std::fill_n(to, panels_ * rows_ * width, 0.0f);
  for (Index i = 0; i < rows_; ++i)
    for (Index j = 0; j < cols_; ++j)
      to[(j / width * rows_ + i) * width + j % width] = static_cast<float>(unit * weights(i, j));
}

void ProductFast::charge(const IntMatrix& codes, Scratch& scratch, MatrixF& charge) const {
  const Index stride = padded(rows_), width = table_->panel_cols, out_cols = panels_ * width;
  const bool in_place = out_cols == cols_;
  float* x = scratch.x.reserve(kVectors * stride);
  float* resistance = scratch.resistance.reserve(kVectors);
  std::fill_n(resistance, kVectors, 0.0f);
  charge.setZero(codes.rows(), cols_);
  for (Index first = 0; first < codes.rows(); first += kVectors) {
    const Index count = std::min(kVectors, codes.rows() - first);
    for (Index v = 0; v < count; ++v) {
      const int* from = codes.data() + (first + v) * rows_;
      for (Index i = 0; i < rows_; ++i) x[v * stride + i] = static_cast<float>(from[i]);
    }
    float* out = in_place ? charge.data() + first * cols_ : scratch.out.reserve(kVectors * out_cols);
    if (!in_place) std::fill_n(out, count * out_cols, 0.0f);
    for (Index p = 0; p < panels_; ++p)
      table_->columns({1, static_cast<int>(rows_), static_cast<int>(count), weights_.data() + p * rows_ * width,
                       x, stride, resistance, 1, out + p * width, out_cols, nullptr, nullptr, nullptr});
    for (Index v = 0; v < count && !in_place; ++v) std::copy_n(out + v * out_cols, cols_, charge.row(first + v).data());
  }
}

}  // namespace crosstile::tilemodel
