// The closure's product in training, backwards.
#include <algorithm>
#include <array>

#include "core/parallel.hpp"
#include "nn/closure_product.hpp"

namespace crosstile::nn::closure_product {

// e (y_b / y_end)^2 of one block, all vectors, some columns of both arrays.
void ClosureProduct::shares(const SenseGroup& group, Index block, ColumnRange columns,
                            WorkerScratch& scratch) const {
  const auto one = [&](const AlignedFloats& y, const AlignedFloats& end, const AlignedFloats& by,
                       AlignedFloats& share) {
    for (Index s = 0; s < sheets(); ++s)
      for (Index v = 0; v < vectors_; ++v) {
        const float* before = y.data() + block_row(group, s, block, v) + columns.first;
        const float* last = end.data() + (s * vectors_ + v) * group.pitch + columns.first;
        const float* e = by.data() + v * group.pitch + columns.first;
        float* out = share.data() + (s * vectors_ + v) * columns.count;
        const float side = sign(s);
        for (Index c = 0; c < columns.count; ++c) {
          const float ratio = before[c] * last[c];
          out[c] = side * e[c] * ratio * ratio;
        }
      }
  };
  one(group.y_plus, group.end_plus, group.by_plus, scratch.share_plus);
  one(group.y_minus, group.end_minus, group.by_minus, scratch.share_minus);
}

// Which vectors have a pulse on rows of a block, kQuad rows at a time.
void ClosureProduct::gather_block(const SenseGroup& group, Index block, WorkerScratch& scratch) const {
  const Index rows = sheets() * vectors_;
  QuadTerms::Term* term = scratch.terms.term.data();
  std::size_t found = 0, quad = 0;
  for (Index p = block * shape_.length; p < (block + 1) * shape_.length; p += kQuad) {
    const Index count = std::min(kQuad, (block + 1) * shape_.length - p);
    for (Index k = 0; k < rows; ++k) {
      const float* x = group.x.data() + k * stride_ + p;  // readable beyond the last position
      std::array<float, kQuad> factor{x[0], x[1], x[2], x[3]};
      for (Index r = count; r < kQuad; ++r) factor[static_cast<std::size_t>(r)] = 0.0F;
      term[found] = {k, factor};
      found += (factor[0] != 0.0F) | (factor[1] != 0.0F) | (factor[2] != 0.0F) | (factor[3] != 0.0F) ? 1 : 0;
    }
    scratch.quad_end[quad++] = found;
  }
}

// By the weights of one block's rows: sum over vectors of x times the share of the array the weight is on.
void ClosureProduct::weights_gradient(const SenseGroup& group, Index block, ColumnRange columns,
                                      const WorkerScratch& scratch, Eigen::Ref<MatrixF>& by_weight) const {
  const auto used = static_cast<Index>(group.columns.size());
  const Index step = used > 1 ? group.columns[1] - group.columns[0] : 1;
  for (Index c = 0; c < columns.count; c += kLanes) {
    const float* plus = scratch.share_plus.data() + c;
    const float* minus = scratch.share_minus.data() + c;
    const Index column = columns.first + c;
    const QuadTerms::Term* term = scratch.terms.term.data();
    std::size_t quad = 0;
    for (Index p = block * shape_.length; p < (block + 1) * shape_.length; p += kQuad) {
      F8 sp[kQuad]{}, sm[kQuad]{};
      for (const QuadTerms::Term* end = scratch.terms.term.data() + scratch.quad_end[quad++]; term != end;
           ++term) {
        const F8 on_plus = load8(plus + term->at * columns.count);
        const F8 on_minus = load8(minus + term->at * columns.count);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < kQuad; ++r)
          sp[r] += term->factor[r] * on_plus, sm[r] += term->factor[r] * on_minus;
      }
      const float* weights = group.weights.data() + column * shape_.positions() + p * kLanes;
      for (Index r = 0; r < std::min(kQuad, (block + 1) * shape_.length - p); ++r) {
        if (p + r < shape_.padding) continue;
        const F8 value = siemens_ * (load8(weights + r * kLanes) > 0.0F ? sp[r] : -sm[r]);
        float* to = by_weight.data() + row_of(p + r, group.north) * by_weight.outerStride() + group.columns[0];
        for (Index k = 0; k < std::min(kLanes, used - column); ++k) to[(column + k) * step] = value[k];
      }
    }
  }
}

// By x and R_b of one block.
void ClosureProduct::inputs_gradient(SenseGroup& group, Index block, const WorkerScratch& scratch) const {
  const Index width = group.width, rows = sheets() * vectors_, first = block * shape_.length;
  using Rows = Eigen::Map<const MatrixF, 0, Eigen::OuterStride<>>;
  const Rows plus(scratch.share_plus.data(), rows, width, Eigen::OuterStride<>(width));
  const Rows minus(scratch.share_minus.data(), rows, width, Eigen::OuterStride<>(width));
  MatrixF on_plus(shape_.length, width), on_minus(shape_.length, width);
  for (Index c = 0; c < width; c += kLanes)
    for (Index i = 0; i < shape_.length; ++i)
      for (Index k = 0; k < kLanes; ++k) {
        const float g = siemens_ * group.weights.data()[c * shape_.positions() + (first + i) * kLanes + k];
        on_plus(i, c + k) = std::max(g, 0.0F);
        on_minus(i, c + k) = std::max(-g, 0.0F);
      }
  MatrixF by_x = plus * on_plus.transpose() + minus * on_minus.transpose();
  const VectorF total = (plus + minus).rowwise().sum();
  const Eigen::Map<const VectorF> base(group.base.data() + first, shape_.length);
  by_x -= total * base.transpose();
  for (Index k = 0; k < rows; ++k) {
    std::copy_n(by_x.row(k).data(), shape_.length, group.by_x.data() + k * stride_ + first);
    const Index s = k / vectors_, v = k % vectors_, at = block_row(group, s, block, v);
    float sum = 0.0F;
    for (Index c = 0; c < width; ++c) {
      const float dp = group.d_plus.data()[at + c] * group.end_plus.data()[k * group.pitch + c];
      const float dm = group.d_minus.data()[at + c] * group.end_minus.data()[k * group.pitch + c];
      sum += group.by_plus.data()[v * group.pitch + c] * dp * dp;
      sum += group.by_minus.data()[v * group.pitch + c] * dm * dm;
    }
    group.by_resistance.data()[k * resistance_stride_ + block] = -sign(s) * sum;
  }
}

// By the codes of one vector and sign: the reference walked backwards.
void ClosureProduct::codes_gradient(SenseGroup& group, int side, Index vector, WorkerScratch& scratch,
                                    MatrixF& by_code) const {
  const Index first = sheet(side, 0), width = group.width;
  const float* plus = group.by_plus.data() + vector * group.pitch;
  const float* minus = group.by_minus.data() + vector * group.pitch;
  float charge = 0.0F;
  for (Index c = 0; c < width; ++c) charge += plus[c] + minus[c];
  charge *= sign(first);
  follow(group, side, vector, scratch);
  for (Index bin = 0; bin < shape_.bins; ++bin) {
    const Index row = (first + bin) * vectors_ + vector;
    for (Index p = 0; p < shape_.positions(); ++p)
      scratch.value.data()[bin * stride_ + p] =
          group.by_x.data()[row * stride_ + p] + charge * group.reference.data()[p];
  }
  float* by_length = scratch.by_length.data();
  kernels::ReferenceGradientOut out{by_length, 0.0F, 0.0F, 0.0F, 0.0F};
  table().reference_backward(reference_of(group), pass_of(scratch), scratch.kernel.data(),
                             resistance_of(group, first, vector),
                             {pass_.levels(), scratch.value.data(), stride_,
                              group.by_resistance.data() + (first * vectors_ + vector) * resistance_stride_,
                              nullptr, nullptr, vectors_ * resistance_stride_, charge,
                              scratch.backward.data()},
                             out);
  // At code 0 a growing pulse may be of either sign: the mean of both where both occur.
  const float flip = side == 0 ? 1.0F : -1.0F;
  for (Index p = shape_.padding; p < shape_.positions(); ++p) {
    const Index row = row_of(p, group.north);
    const float along = flip * codes_[vector * codes_stride_ + row];
    const float slope = along > 0.0F || sides_ == 1 ? 1.0F : along < 0.0F ? 0.0F : 0.5F;
    by_code(vector, row) += slope * flip * by_length[p];
  }
}

void ClosureProduct::gradient(const ArrayPair& by_charge, Eigen::Ref<MatrixF> by_weight, MatrixF* by_code,
                              int threads) {
  for (SenseGroup& group : groups_)
    for (Index v = 0; v < vectors_; ++v) {
      float* plus = group.by_plus.data() + v * group.pitch;
      float* minus = group.by_minus.data() + v * group.pitch;
      const auto used = static_cast<Index>(group.columns.size());
      for (Index c = 0; c < used; ++c) {
        plus[c] = by_charge.plus(v, group.columns[static_cast<std::size_t>(c)]);
        minus[c] = by_charge.minus(v, group.columns[static_cast<std::size_t>(c)]);
      }
      std::fill(plus + used, plus + group.width, 0.0F);
      std::fill(minus + used, minus + group.width, 0.0F);
    }
  const Index pieces = static_cast<Index>(groups_.size()) * shape_.blocks;
  parallel_for(pieces, threads, [&](Index piece, int worker) {
    SenseGroup& group = groups_[static_cast<std::size_t>(piece / shape_.blocks)];
    WorkerScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
    const Index block = piece % shape_.blocks;
    gather_block(group, block, scratch);
    for (Index c = 0; c < group.width; c += kShareColumns) {
      const ColumnRange columns{c, std::min(kShareColumns, group.width - c)};
      shares(group, block, columns, scratch);
      weights_gradient(group, block, columns, scratch, by_weight);
    }
    if (!by_code) return;
    shares(group, block, {0, group.width}, scratch);
    inputs_gradient(group, block, scratch);
  });
  if (!by_code) return;
  by_code->setZero(vectors_, tile_.rows);
  parallel_for(vectors_, threads, [&](Index vector, int worker) {
    WorkerScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
    for (SenseGroup& group : groups_)
      for (int side = 0; side < sides_; ++side) codes_gradient(group, side, vector, scratch, *by_code);
  });
}

}  // namespace crosstile::nn::closure_product
