#include "tilemodel/panels.hpp"

#include <algorithm>

namespace crosstile::tilemodel {

namespace {

// Rows whose part of a panel stays in the first-level cache while all vectors pass by.
constexpr Index kRowBlock = 96;

template <int vectors>
void multiply_block(const double* x, Index x_stride, const double* panel, Index rows, double* out,
                    Index out_stride) {
  Lanes sum[vectors][kPanelVectors];
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < kPanelVectors; ++k) sum[v][k] = lanes(out + v * out_stride)[k];
  for (Index i = 0; i < rows; ++i) {
    const LanesInMemory* g = lanes(panel + i * kPanelCols);
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const double factor = x[v * x_stride + i];
#pragma GCC unroll 6
      for (int k = 0; k < kPanelVectors; ++k) sum[v][k] += factor * g[k];
    }
  }
  for (int v = 0; v < vectors; ++v)
    for (int k = 0; k < kPanelVectors; ++k) lanes(out + v * out_stride)[k] = sum[v][k];
}

}  // namespace

Panels::Panels(const Matrix& source, const std::vector<Index>& columns, bool from_last_row)
    : rows_(source.rows()),
      cols_(static_cast<Index>(columns.size())),
      count_((cols_ + kPanelCols - 1) / kPanelCols),
      data_(static_cast<std::size_t>(count_ * rows_ * kPanelCols), 0.0) {
  for (Index c = 0; c < cols_; ++c) {
    double* column = data_.data() + (c / kPanelCols) * rows_ * kPanelCols + c % kPanelCols;
    for (Index i = 0; i < rows_; ++i)
      column[i * kPanelCols] =
          source(from_last_row ? rows_ - 1 - i : i, columns[static_cast<std::size_t>(c)]);
  }
}

void panel_product(const Matrix& x, Index vectors, const Panels& panels, Matrix& out) {
  out.topRows(vectors).setZero();
  for (Index p = 0; p < panels.count(); ++p) {
    for (Index first = 0; first < panels.rows(); first += kRowBlock) {
      const Index rows = std::min(kRowBlock, panels.rows() - first);
      const double* panel = panels.panel(p) + first * kPanelCols;
      Index v = 0;
      for (; v + 2 <= vectors; v += 2)
        multiply_block<2>(x.data() + v * x.cols() + first, x.cols(), panel, rows,
                          out.data() + v * out.cols() + p * kPanelCols, out.cols());
      if (v < vectors)
        multiply_block<1>(x.data() + v * x.cols() + first, x.cols(), panel, rows,
                          out.data() + v * out.cols() + p * kPanelCols, out.cols());
    }
  }
}

}  // namespace crosstile::tilemodel
