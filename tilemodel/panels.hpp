// Internal. A matrix cut into panels of kPanelCols columns, each stored row by row and padded with zeros, and
// the product with it.
#pragma once

#include <vector>

#include "core/types.hpp"
#include "tilemodel/simd.hpp"

namespace crosstile::tilemodel {

class Panels {
 public:
  Panels() = default;
  // The chosen columns of `source`; from_last_row: row 0 of the panels is the last row of the source.
  Panels(const Matrix& source, const std::vector<Index>& columns, bool from_last_row = false);

  Index rows() const { return rows_; }
  Index count() const { return count_; }
  Index cols() const { return cols_; }
  Index padded_cols() const { return count_ * kPanelCols; }
  const double* panel(Index p) const { return data_.data() + p * rows_ * kPanelCols; }
  double operator()(Index row, Index col) const {
    return panel(col / kPanelCols)[row * kPanelCols + col % kPanelCols];
  }

 private:
  Index rows_ = 0;
  Index cols_ = 0;
  Index count_ = 0;
  std::vector<double> data_;
};

// The first `vectors` rows of out = those of x times the panels; x has panels.rows() columns, out
// padded_cols(). Every element is summed in the order of the rows, so a vector's result does not depend on
// its neighbours in the batch.
void panel_product(const Matrix& x, Index vectors, const Panels& panels, Matrix& out);

// The columns of one sense end. Rows are counted from the far end: distance order, position 0 is farthest
// from the sense.
struct ColumnGroup {
  bool north = false;
  std::vector<Index> columns;

  Index row(Index position, Index rows) const { return north ? rows - 1 - position : position; }
};

}  // namespace crosstile::tilemodel
