#include "tilemodel/closure_fast.hpp"

#include <algorithm>

namespace crosstile::tilemodel {

namespace {

Index rounded_up(Index value, Index unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

ClosureFast::ClosureFast(const Closure& closure)
    : table_(kernels::has_avx512() ? &kernels::table_avx512() : &kernels::table_base()),
      shape_(closure.shape()),
      // An odd number of cache lines: rows of a batch do not fall into the same sets.
      stride_(rounded_up(shape_.positions() + kernels::kMostLanes, 32) + 16),
      coupled_(closure.mesh().size() > 0) {
  float* offset = offset_.reserve(shape_.length + kernels::kMostLanes);
  for (Index i = 0; i < shape_.length; ++i) offset[i] = static_cast<float>(shape_.offset(i));
  const Index width = table_->panel_cols;
  for (std::size_t k = 0; k < closure.clusters().members.size(); ++k) {
    const auto& members = closure.clusters().members[k];
    const auto count = static_cast<Index>(members.size());
    Cluster cluster{{}, {}, {}, {}, (count + width - 1) / width, static_cast<Index>(order_.size())};
    float* reference = cluster.reference.reserve(stride_);
    for (Index i = 0; i < shape_.positions(); ++i)
      reference[i] = static_cast<float>(closure.reference(k)[i]);
    float* delta = cluster.delta.reserve(cluster.panels * width * shape_.positions());
    for (Index c = 0; c < count; ++c)
      for (Index i = 0; i < shape_.positions(); ++i)
        delta[(c / width * shape_.positions() + i) * width + c % width] =
            static_cast<float>(closure.delta()(i, members[static_cast<std::size_t>(c)]));
    // The same by column, for products that sum over columns: block x column x row, padded to whole vectors.
    const Index lanes = padded_length();
    float* by_column = cluster.delta_by_column.reserve(cluster.panels * shape_.blocks * width * lanes);
    for (Index c = 0; c < count; ++c)
      for (Index i = 0; i < shape_.positions(); ++i)
        by_column[((c / width * shape_.blocks + i / shape_.length) * width + c % width) * lanes +
                  i % shape_.length] =
            static_cast<float>(closure.delta()(i, members[static_cast<std::size_t>(c)]));
    float* mesh = coupled_ ? cluster.mesh.reserve(cluster.panels * shape_.blocks * width) : nullptr;
    for (Index c = 0; c < count && mesh; ++c)
      for (Index b = 0; b < shape_.blocks; ++b)
        mesh[(c / width * shape_.blocks + b) * width + c % width] =
            static_cast<float>(closure.mesh()(b, members[static_cast<std::size_t>(c)]));
    order_.insert(order_.end(), members.begin(), members.end());
    order_.resize(static_cast<std::size_t>(cluster.first_place + cluster.panels * width), -1);
    has_gaps_ = has_gaps_ || count % width != 0;
    clusters_.push_back(std::move(cluster));
  }
}

ClosureFast::Input ClosureFast::start(Index vectors, int longest_code, bool whole_codes,
                                      Scratch& scratch) const {
  const Levels levels(longest_code);
  const auto rows = static_cast<Index>(clusters_.size()) * shape_.bins * vectors;
  scratch.x.reserve(rows * stride_);
  scratch.resistance.reserve(rows * resistance_stride());
  if (coupled_) {
    scratch.load.reserve(rows * resistance_stride());
    scratch.own.reserve(rows * resistance_stride());
  }
  scratch.kernel.reserve(kernel_floats());
  scratch.out.reserve(vectors * padded_cols());
  float* lengths = scratch.lengths.reserve(stride_);
  if (scratch.codes.size() < static_cast<std::size_t>(stride_))
    scratch.codes.assign(static_cast<std::size_t>(stride_), 0);
  std::fill_n(lengths, shape_.padding, 0.0f);
  std::fill(lengths + shape_.positions(), lengths + stride_, 0.0f);
  std::fill_n(scratch.codes.data(), shape_.padding, std::uint16_t{0});
  scratch.tables.fill(longest_code);
  return {lengths + shape_.padding,
          whole_codes && longest_code <= kLongestTable ? scratch.codes.data() + shape_.padding : nullptr,
          static_cast<float>(levels.first),
          1.0f / static_cast<float>(levels.first),
          1.0f / static_cast<float>(levels.width)};
}

float ClosureFast::follow_cluster(std::size_t k, Index vector, Index vectors, const kernels::Pass& pass,
                                  Scratch& scratch) const {
  const Index row = x_row(k, vector, vectors);
  kernels::ReferenceOut out{scratch.x.data() + row * stride_, vectors * stride_,
                            scratch.resistance.data() + row * resistance_stride(),
                            vectors * resistance_stride(),
                            coupled_ ? scratch.load.data() + row * resistance_stride() : nullptr,
                            coupled_ ? scratch.own.data() + row * resistance_stride() : nullptr, 0.0f};
  table_->follow_reference(reference_of(clusters_[k]), pass, scratch.kernel.data(), out);
  return out.charge;
}

void ClosureFast::follow(Index vector, Index vectors, const Input& input, Scratch& scratch) const {
  const kernels::Pass pass = kernel_pass(input, scratch);
  for (std::size_t k = 0; k < clusters_.size(); ++k) {
    const float charge = follow_cluster(k, vector, vectors, pass, scratch);
    std::fill_n(scratch.out.data() + vector * padded_cols() + clusters_[k].first_place,
                clusters_[k].panels * table_->panel_cols, charge);
  }
}

void ClosureFast::skip(Index vector, Index vectors, Scratch& scratch) const {
  for (std::size_t k = 0; k < clusters_.size(); ++k)
    for (Index bin = 0; bin < shape_.bins; ++bin) {
      const Index row = x_row(k, vector, vectors) + bin * vectors;
      std::fill_n(scratch.x.data() + row * stride_, stride_, 0.0f);
      std::fill_n(scratch.resistance.data() + row * resistance_stride(), resistance_stride(), 0.0f);
      if (!coupled_) continue;
      std::fill_n(scratch.load.data() + row * resistance_stride(), resistance_stride(), 0.0f);
      std::fill_n(scratch.own.data() + row * resistance_stride(), resistance_stride(), 0.0f);
    }
  std::fill_n(scratch.out.data() + vector * padded_cols(), padded_cols(), 0.0f);
}

kernels::Columns ClosureFast::kernel_columns(std::size_t k, Index panel, Index bin, Index vectors,
                                             Scratch& scratch) const {
  const Cluster& cluster = clusters_[k];
  const Index width = table_->panel_cols, row = x_row(k, 0, vectors) + bin * vectors;
  return {static_cast<int>(shape_.blocks),
          static_cast<int>(shape_.length),
          static_cast<int>(vectors),
          cluster.delta.data() + panel * shape_.positions() * width,
          scratch.x.data() + row * stride_,
          stride_,
          scratch.resistance.data() + row * resistance_stride(),
          resistance_stride(),
          scratch.out.data() + cluster.first_place + panel * width,
          padded_cols(),
          coupled_ ? cluster.mesh.data() + panel * shape_.blocks * width : nullptr,
          coupled_ ? scratch.load.data() + row * resistance_stride() : nullptr,
          coupled_ ? scratch.own.data() + row * resistance_stride() : nullptr};
}

const float* ClosureFast::charges(Index vectors, Scratch& scratch) const {
  for (std::size_t k = 0; k < clusters_.size(); ++k)
    for (Index panel = 0; panel < clusters_[k].panels; ++panel)
      for (Index bin = 0; bin < shape_.bins; ++bin)
        table_->columns(kernel_columns(k, panel, bin, vectors, scratch));
  return scratch.out.data();
}

}  // namespace crosstile::tilemodel
