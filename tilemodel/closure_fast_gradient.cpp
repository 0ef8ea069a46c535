#include <algorithm>

#include "tilemodel/closure_fast.hpp"

namespace crosstile::tilemodel {

float* ClosureFast::gradient_start(Index vectors, GradientScratch& gradient) const {
  const Index rows = static_cast<Index>(clusters_.size()) * shape_.bins * vectors;
  const Index width = table_->panel_cols, blocks = shape_.blocks;
  const Index panel = kernels::backward_panel(static_cast<int>(blocks), static_cast<int>(width));
  float* charge = gradient.charge.reserve(vectors * padded_cols());
  if (has_gaps_) std::fill_n(charge, vectors * padded_cols(), 0.0f);
  gradient.by_x.reserve(rows * blocks * padded_length());
  gradient.by_resistance.reserve(rows * resistance_stride());
  if (coupled_) {
    gradient.by_load.reserve(rows * resistance_stride());
    gradient.by_own.reserve(rows * resistance_stride());
    gradient.sum.reserve(panel);
  }
  gradient.g.reserve(padded_cols() * shape_.positions());
  gradient.share.reserve(blocks * vectors * width);
  gradient.behind.reserve(panel);
  gradient.value.reserve((shape_.bins + 1) * stride_);
  gradient.kernel.reserve(kernels::backward_scratch(static_cast<int>(blocks), static_cast<int>(shape_.bins)));
  gradient.lengths.reserve(stride_);
  return charge;
}

// Sum over the vectors of x times e f_b, for one block's rows.
void ClosureFast::panel_by_g(Index place, Index block, Index bin, Index vectors, const float* x, bool fresh,
                             const PanelTarget& target, GradientScratch& gradient) const {
  const Index width = table_->panel_cols;
  // Positions before the first row of the tile have no place in a target.
  const Index first = block * shape_.length;
  const Index skipped = target.first ? std::clamp<Index>(shape_.padding - first, 0, shape_.length) : 0;
  float* out = target.first ? target.first + (first + skipped - shape_.padding) * target.row_step
                            : gradient.g.data() + place * shape_.positions() + first * width;
  table_->product({static_cast<int>(shape_.length - skipped), static_cast<int>(vectors),
                   static_cast<int>(width), bin == 0 && (fresh || !target.first), x + first + skipped, 1,
                   stride_, gradient.share.data() + block * vectors * width, width, out,
                   target.first ? target.row_step : width});
}

void ClosureFast::panel_gradient(std::size_t k, Index panel, Index bin, Index vectors, Scratch& scratch,
                                 const Wanted& wanted, const PanelTarget& target,
                                 GradientScratch& gradient) const {
  const Cluster& cluster = clusters_[k];
  const Index width = table_->panel_cols, blocks = shape_.blocks;
  const Index lanes = padded_length(), row = x_row(k, 0, vectors) + bin * vectors;
  const Index place = cluster.first_place + panel * width;
  const float* x = scratch.x.data() + row * stride_;
  const Index block_row = row * resistance_stride();
  table_->columns_backward(
      kernel_columns(k, panel, bin, vectors, scratch),
      {panel == 0, gradient.charge.data() + place, padded_cols(), gradient.share.data(),
       gradient.behind.data(), gradient.sum.data(), gradient.by_resistance.data() + block_row,
       coupled_ ? gradient.by_load.data() + block_row : nullptr,
       coupled_ ? gradient.by_own.data() + block_row : nullptr});
  for (Index b = 0; b < blocks; ++b) {
    if (wanted.by_g) panel_by_g(place, b, bin, vectors, x, wanted.fresh, target, gradient);
    if (wanted.by_x)
      table_->product({static_cast<int>(vectors), static_cast<int>(width), static_cast<int>(lanes), panel == 0,
                       gradient.share.data() + b * vectors * width, width, 1,
                       cluster.delta_by_column.data() + (panel * blocks + b) * width * lanes, lanes,
                       gradient.by_x.data() + (row * blocks + b) * lanes, blocks * lanes});
  }
}

void ClosureFast::gradient_columns(Index vectors, Scratch& scratch, const Wanted& wanted,
                                   const std::vector<PanelTarget>& targets,
                                   GradientScratch& gradient) const {
  for (std::size_t k = 0; k < clusters_.size(); ++k)
    for (Index panel = 0; panel < clusters_[k].panels; ++panel) {
      const auto index = static_cast<std::size_t>(clusters_[k].first_place / table_->panel_cols + panel);
      for (Index bin = 0; bin < shape_.bins; ++bin)
        panel_gradient(k, panel, bin, vectors, scratch, wanted, targets[index], gradient);
    }
}

float ClosureFast::join_by_x(std::size_t k, Index vector, Index vectors, Index bin,
                             GradientScratch& gradient, float* value) const {
  const Cluster& cluster = clusters_[k];
  const float* by_charge = gradient.charge.data() + vector * padded_cols() + cluster.first_place;
  const float charge =
      Eigen::Map<const Eigen::ArrayXf>(by_charge, cluster.panels * table_->panel_cols).sum();
  const Index row = (x_row(k, vector, vectors) + bin * vectors) * shape_.blocks;
  for (Index b = 0; b < shape_.blocks; ++b) {
    const float* by_x = gradient.by_x.data() + (row + b) * padded_length();
    const float* reference = cluster.reference.data() + b * shape_.length;
    for (Index i = 0; i < shape_.length; ++i) value[b * shape_.length + i] = by_x[i] + charge * reference[i];
  }
  return charge;
}

const float* ClosureFast::gradient_vector(Index vector, Index vectors, const Input& input, Scratch& scratch,
                                          GradientScratch& gradient,
                                          WireGradient& wire) const {
  const Index bins = shape_.bins;
  const kernels::Pass pass = kernel_pass(input, scratch);
  float* total = gradient.lengths.data();
  std::fill_n(total, stride_, 0.0f);
  float* value = gradient.value.data();
  float* own = value + bins * stride_;
  for (std::size_t k = 0; k < clusters_.size(); ++k) {
    // Again: what the kernel leaves behind for the way back is larger than what reading it from memory is worth.
    follow_cluster(k, vector, vectors, pass, scratch);
    float charge = 0.0f;
    for (Index bin = 0; bin < bins; ++bin)
      charge = join_by_x(k, vector, vectors, bin, gradient, value + bin * stride_);
    kernels::ReferenceGradientOut out{own, 0.0f, 0.0f, 0.0f, 0.0f};
    const Index at = x_row(k, vector, vectors) * resistance_stride();
    table_->reference_backward(
        reference_of(clusters_[k]), pass, scratch.kernel.data(),
        scratch.resistance.data() + at,
        {scratch.tables.levels(), value, stride_, gradient.by_resistance.data() + at,
         coupled_ ? gradient.by_load.data() + at : nullptr,
         coupled_ ? gradient.by_own.data() + at : nullptr, vectors * resistance_stride(), charge, gradient.kernel.data()},
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
        table_->product({static_cast<int>(vectors), static_cast<int>(width), static_cast<int>(lanes), panel == 0,
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
