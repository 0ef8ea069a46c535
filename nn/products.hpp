// Internal. The three products of a layer in single precision. Inputs that are zero are skipped, and every
// element of a result is summed in the order of its index, whatever the cut over threads: the bits depend on
// the matrices alone. Pixels and rectified activations are mostly zero, which dense products cannot use.
#pragma once

#include "core/types.hpp"

namespace crosstile::nn {

using ConstRows = Eigen::Ref<const MatrixF>;
using MutableRows = Eigen::Ref<MatrixF>;

/// y = x w (+ bias, one row, when not empty). x: samples x inputs, w: inputs x outputs.
void product(const ConstRows& x, const ConstRows& w, const float* bias, MutableRows y, int threads);
/// y = d w^T. d: samples x outputs, w: inputs x outputs, y: samples x inputs. `scratch` is resized.
void product_transposed(const ConstRows& d, const ConstRows& w, MutableRows y, MatrixF& scratch, int threads);
/// Rows begin .. begin + count of x^T d, written to `out` (count x outputs). False: all are 0 because x is.
bool gradient_rows(const ConstRows& x, const ConstRows& d, Index begin, Index count, MutableRows out);

}  // namespace crosstile::nn
