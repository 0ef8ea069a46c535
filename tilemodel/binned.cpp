#include "tilemodel/binned.hpp"

#include <algorithm>
#include <cmath>

namespace crosstile::tilemodel {

namespace {

constexpr int kBinBlock = 4;  // bins and
constexpr int kHalf = 3;      // vectors of columns a kernel accumulates at a time: twelve registers

// sum over rows of share(row, bin) * g(row, column) for kBinBlock bins and half a panel.
template <bool absolute>
void accumulate(const double* panel, const double* share, int bins, const Index* rows, Index count,
                double* sums) {
  Lanes sum[kBinBlock][kHalf] = {};
  for (Index c = 0; c < count; ++c) {
    const LanesInMemory* g = lanes(panel + rows[c] * kPanelCols);
    const double* part = share + rows[c] * bins;
#pragma GCC unroll 4
    for (int b = 0; b < kBinBlock; ++b) {
      const double factor = absolute ? std::abs(part[b]) : part[b];
#pragma GCC unroll 3
      for (int k = 0; k < kHalf; ++k) sum[b][k] += factor * g[k];
    }
  }
  for (int b = 0; b < kBinBlock; ++b)
    for (int k = 0; k < kHalf; ++k) lanes(sums + b * kPanelCols)[k] = sum[b][k];
}

}  // namespace

BinnedLadder::BinnedLadder(const ColumnWire& wire, const Matrix& g, const ColumnGroup& group, int segments,
                           int time_bins)
    : wire_(wire),
      g_(g, group.columns, group.north),
      rows_(g.rows()),
      length_((g.rows() + segments - 1) / segments),
      padding_(0),
      segments_((g.rows() + length_ - 1) / length_),
      time_bins_(time_bins) {
  padding_ = segments_ * length_ - rows_;
}

void BinnedLadder::find_active(const double* lengths, Scratch& scratch) const {
  scratch.active.clear();
  scratch.segment_begin.assign(1, 0);
  for (Index s = 0; s < segments_; ++s) {
    const Index begin = std::max<Index>(0, s * length_ - padding_);
    for (Index i = begin; i < (s + 1) * length_ - padding_; ++i)
      if (lengths[i] != 0.0) scratch.active.push_back(i);
    scratch.segment_begin.push_back(static_cast<Index>(scratch.active.size()));
  }
}

void BinnedLadder::fill_shares(const double* lengths, int bins, double width, Scratch& scratch) const {
  scratch.share.resize(static_cast<std::size_t>(rows_ * bins));
  for (const Index i : scratch.active) {
    const double sign = lengths[i] < 0.0 ? -1.0 : 1.0;
    for (int b = 0; b < bins; ++b)
      scratch.share[static_cast<std::size_t>(i * bins + b)] =
          sign * std::clamp(std::abs(lengths[i]) / width - b, 0.0, 1.0);
  }
}

void BinnedLadder::average(const double* panel, int bins, bool absolute, const Scratch& scratch,
                           double* conductance) const {
  const auto kernel = absolute ? accumulate<true> : accumulate<false>;
  for (Index s = 0; s < segments_; ++s) {
    const Index first = scratch.segment_begin[static_cast<std::size_t>(s)];
    const Index count = scratch.segment_begin[static_cast<std::size_t>(s + 1)] - first;
    for (int b = 0; b < bins; b += kBinBlock)
      for (Index half = 0; half < kPanelCols; half += kHalf * kLanes)
        kernel(panel + half, scratch.share.data() + b, bins, scratch.active.data() + first, count,
               conductance + (s * bins + b) * kPanelCols + half);
  }
}

void BinnedLadder::charge(const double* lengths, int longest_code, bool signed_drive, double* out,
                          Scratch& scratch) const {
  std::fill(out, out + g_.padded_cols(), 0.0);
  find_active(lengths, scratch);
  if (scratch.active.empty()) return;
  const int width = bin_width(longest_code);
  double longest = 0.0;
  for (const Index i : scratch.active) longest = std::max(longest, std::abs(lengths[i]));
  const int used = static_cast<int>(std::ceil(longest / width));
  const int bins = (used + kBinBlock - 1) / kBinBlock * kBinBlock;
  fill_shares(lengths, bins, width, scratch);
  const auto size = static_cast<std::size_t>(segments_ * bins * kPanelCols);
  scratch.conductance.resize(size);
  if (signed_drive) scratch.source.resize(size);

  const double half_ohm = half_cells() * wire_.cell_ohm;
  for (Index p = 0; p < g_.count(); ++p) {
    average(g_.panel(p), bins, signed_drive, scratch, scratch.conductance.data());
    if (signed_drive) average(g_.panel(p), bins, false, scratch, scratch.source.data());
    const double* sources = signed_drive ? scratch.source.data() : scratch.conductance.data();
    for (int b = 0; b < used; ++b) {
      // Norton form: (conductance, current) passes a wire as (g, i) / (1 + g r). One division a segment is
      // cheap here, and signs come free.
      Lanes conductance[kPanelVectors] = {}, current[kPanelVectors] = {};
      double wire_ohm = 0.0;
      for (Index s = 0; s < segments_; ++s) {
        const LanesInMemory* g = lanes(scratch.conductance.data() + (s * bins + b) * kPanelCols);
        const LanesInMemory* i = lanes(sources + (s * bins + b) * kPanelCols);
        for (int k = 0; k < kPanelVectors; ++k) {
          const Lanes pass = 1.0 / (1.0 + wire_ohm * conductance[k]);
          conductance[k] = conductance[k] * pass + g[k];
          current[k] = current[k] * pass + i[k];
        }
        wire_ohm = 2.0 * half_ohm + wire_.cell_ohm;
      }
      wire_ohm = half_ohm + wire_.end_ohm;
      for (int k = 0; k < kPanelVectors; ++k)
        lanes(out + p * kPanelCols)[k] += width * (current[k] / (1.0 + wire_ohm * conductance[k]));
    }
  }
}

}  // namespace crosstile::tilemodel
