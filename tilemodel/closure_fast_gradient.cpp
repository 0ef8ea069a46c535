#include <algorithm>
#include <numeric>

#include "tilemodel/closure_fast.hpp"

namespace crosstile::tilemodel {

float* ClosureFast::gradient_start(Index vectors, GradientScratch& gradient) const {
  const Index rows = static_cast<Index>(clusters_.size()) * shape_.bins * vectors;
  const Index width = table_->panel_cols, blocks = shape_.blocks;
  const auto cleared = [](AlignedFloats& floats, Index count) {
    std::fill_n(floats.reserve(count), count, 0.0f);
  };
  gradient.followed.reserve(static_cast<Index>(clusters_.size()) * vectors * kernel_floats());
  cleared(gradient.charge, vectors * padded_cols());
  cleared(gradient.by_x, rows * blocks * padded_length());
  cleared(gradient.by_resistance, rows * blocks * kernels::kMostLanes);
  if (coupled_) {
    cleared(gradient.by_load, rows * blocks * kernels::kMostLanes);
    cleared(gradient.by_own, rows * blocks * kernels::kMostLanes);
    gradient.sum.reserve(blocks * vectors * width);
    gradient.load.reserve(shape_.bins * blocks);
    gradient.own.reserve(shape_.bins * blocks);
  }
  cleared(gradient.g, padded_cols() * shape_.positions());
  gradient.share.reserve(blocks * vectors * width);
  gradient.behind.reserve(blocks * vectors * width);
  gradient.resistance.reserve(shape_.bins * blocks);
  gradient.value.reserve((shape_.bins + 1) * stride_);
  gradient.kernel.reserve(kernels::backward_scratch(static_cast<int>(blocks)));
  gradient.lengths.reserve(stride_);
  return gradient.charge.data();
}

void ClosureFast::panel_gradient(std::size_t k, Index panel, Index bin, Index vectors, Scratch& scratch,
                                 bool by_x, bool by_g, GradientScratch& gradient) const {
  const Cluster& cluster = clusters_[k];
  const Index positions = shape_.positions(), width = table_->panel_cols, blocks = shape_.blocks;
  const Index lanes = padded_length(), row = x_row(k, 0, vectors) + bin * vectors;
  const Index place = cluster.first_place + panel * width;
  const float* x = scratch.x.data() + row * stride_;
  const Index lane_row = row * blocks * kernels::kMostLanes;
  table_->columns_backward(
      kernel_columns(k, panel, bin, vectors, scratch),
      {gradient.charge.data() + place, padded_cols(), gradient.share.data(), gradient.behind.data(),
       gradient.sum.data(), gradient.by_resistance.data() + lane_row,
       coupled_ ? gradient.by_load.data() + lane_row : nullptr,
       coupled_ ? gradient.by_own.data() + lane_row : nullptr});
  for (Index b = 0; b < blocks; ++b) {
    const float* share = gradient.share.data() + b * vectors * width;
    if (by_g)
      table_->product({static_cast<int>(shape_.length), static_cast<int>(vectors), static_cast<int>(width),
                     x + b * shape_.length, 1, stride_, share, width,
                     gradient.g.data() + place * positions + b * shape_.length * width, width});
    if (by_x)
      table_->product({static_cast<int>(vectors), static_cast<int>(width), static_cast<int>(lanes), share, width, 1,
                     cluster.delta_by_column.data() + (panel * blocks + b) * width * lanes, lanes,
                     gradient.by_x.data() + (row * blocks + b) * lanes, blocks * lanes});
  }
}

void ClosureFast::gradient_columns(Index vectors, Scratch& scratch, bool by_x, bool by_g,
                                   GradientScratch& gradient) const {
  for (std::size_t k = 0; k < clusters_.size(); ++k)
    for (Index panel = 0; panel < clusters_[k].panels; ++panel)
      for (Index bin = 0; bin < shape_.bins; ++bin)
        panel_gradient(k, panel, bin, vectors, scratch, by_x, by_g, gradient);
}

float ClosureFast::join_by_x(std::size_t k, Index vector, Index vectors, Index bin,
                             GradientScratch& gradient, float* value) const {
  const Cluster& cluster = clusters_[k];
  const float* by_charge = gradient.charge.data() + vector * padded_cols() + cluster.first_place;
  float charge = 0.0f;
  for (Index c = 0; c < cluster.panels * table_->panel_cols; ++c) charge += by_charge[c];
  const Index row = (x_row(k, vector, vectors) + bin * vectors) * shape_.blocks;
  for (Index b = 0; b < shape_.blocks; ++b) {
    const float* by_x = gradient.by_x.data() + (row + b) * padded_length();
    const float* reference = cluster.reference.data() + b * shape_.length;
    for (Index i = 0; i < shape_.length; ++i) value[b * shape_.length + i] = by_x[i] + charge * reference[i];
  }
  return charge;
}

const float* ClosureFast::gradient_vector(Index vector, Index vectors, int longest_code, const Input& input,
                                          Scratch& scratch, GradientScratch& gradient,
                                          WireGradient& wire) const {
  const Index blocks = shape_.blocks, bins = shape_.bins;
  const kernels::Pass pass = kernel_pass(longest_code, input, scratch);
  const Levels levels(longest_code);
  float* total = gradient.lengths.data();
  std::fill_n(total, stride_, 0.0f);
  float* value = gradient.value.data();
  float* own = value + bins * stride_;
  for (std::size_t k = 0; k < clusters_.size(); ++k) {
    const Cluster& cluster = clusters_[k];
    float charge = 0.0f;
    for (Index bin = 0; bin < bins; ++bin) {
      const Index row = x_row(k, vector, vectors) + bin * vectors;
      charge = join_by_x(k, vector, vectors, bin, gradient, value + bin * stride_);
      const auto add_lanes = [&](const AlignedFloats& by_block, AlignedFloats& to) {
        for (Index b = 0; b < blocks; ++b) {
          const float* sums = by_block.data() + (row * blocks + b) * kernels::kMostLanes;
          to.data()[bin * blocks + b] = std::accumulate(sums, sums + table_->lanes, 0.0f);
        }
      };
      add_lanes(gradient.by_resistance, gradient.resistance);
      if (!coupled_) continue;
      add_lanes(gradient.by_load, gradient.load);
      add_lanes(gradient.by_own, gradient.own);
    }
    kernels::ReferenceGradientOut out{own, 0.0f, 0.0f, 0.0f, 0.0f};
    table_->reference_backward(
        kernel_reference(cluster), pass, kept_kernel(k, vector, vectors, gradient),
        scratch.resistance.data() + x_row(k, vector, vectors) * resistance_stride(),
        {levels.count, value, stride_, gradient.resistance.data(), coupled_ ? gradient.load.data() : nullptr,
         coupled_ ? gradient.own.data() : nullptr, blocks, vectors * resistance_stride(), charge,
         gradient.kernel.data()},
        out);
    for (Index i = 0; i < shape_.positions(); ++i) total[i] += own[i];
    const auto l = static_cast<double>(shape_.length);
    wire.end_ohm += static_cast<double>(out.end_ohm);
    wire.cell_ohm += static_cast<double>(out.cell_ohm) + l * static_cast<double>(out.block_ohm) +
                     (0.5 * (l - 1.0) + shape_.end_cells) * static_cast<double>(out.end_ohm) +
                     static_cast<double>(out.spread_ohm) * (l * l - 1.0) / (6.0 * l);
  }
  return total + shape_.padding;
}

void ClosureFast::gradient_columns_idle(Index vectors, GradientScratch& gradient) const {
  const Index width = table_->panel_cols, blocks = shape_.blocks, lanes = padded_length();
  for (std::size_t k = 0; k < clusters_.size(); ++k)
    for (Index panel = 0; panel < clusters_[k].panels; ++panel)
      for (Index b = 0; b < blocks; ++b)
        table_->product({static_cast<int>(vectors), static_cast<int>(width), static_cast<int>(lanes),
                         gradient.charge.data() + clusters_[k].first_place + panel * width, padded_cols(), 1,
                         clusters_[k].delta_by_column.data() + (panel * blocks + b) * width * lanes, lanes,
                         gradient.by_x.data() + (x_row(k, 0, vectors) * blocks + b) * lanes, blocks * lanes});
}

const float* ClosureFast::gradient_vector_idle(Index vector, Index vectors, GradientScratch& gradient) const {
  float* total = gradient.lengths.data();
  std::fill_n(total, stride_, 0.0f);
  for (std::size_t k = 0; k < clusters_.size(); ++k) {
    join_by_x(k, vector, vectors, 0, gradient, gradient.value.data());
    for (Index i = 0; i < shape_.positions(); ++i) total[i] += gradient.value.data()[i];
  }
  return total + shape_.padding;
}

}  // namespace crosstile::tilemodel
