#include "nn/closure_product.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel.hpp"

namespace crosstile::nn {

namespace closure_product {

ClosureProduct::ClosureProduct(const data::TileSpec& tile, const tilemodel::ModelSpec& model, bool by_codes)
    : tile_(tile),
      block_rows_(model.block_rows),
      by_codes_(by_codes),
      longest_code_(1 << (tile.pulse.dac_bits - 1)),
      table_(kernels::has_avx512() ? &kernels::table_avx512() : &kernels::table_base()),
      shape_(tilemodel::ColumnWire(tile), tile.rows, model.block_rows, model.closure_bins),
      pass_(longest_code_) {
  tile_.validate();
  stride_ = (shape_.positions() + kernels::kMostLanes + 31) / 32 * 32 + 16;
  resistance_stride_ = kernels::rounded_blocks(static_cast<int>(shape_.blocks));
  float* offset = offset_.reserve(shape_.length + kernels::kMostLanes);
  for (Index i = 0; i < shape_.length; ++i) offset[i] = static_cast<float>(shape_.offset(i));
  for (const bool north : {false, true}) {
    SenseGroup group;
    group.north = north;
    for (Index j = 0; j < tile.cols; ++j)
      if (tile.sensed_north(j) == north) group.columns.push_back(j);
    if (group.columns.empty()) continue;
    group.width = (static_cast<Index>(group.columns.size()) + kLanes - 1) / kLanes * kLanes;
    group.pitch = (group.width + 31) / 32 * 32 + 16;
    std::fill_n(group.weights.reserve(shape_.positions() * group.width), shape_.positions() * group.width, 0.0F);
    group.base.assign(static_cast<std::size_t>(shape_.positions()), 0.0F);
    std::fill_n(group.reference.reserve(stride_), stride_, 0.0F);
    groups_.push_back(std::move(group));
  }
}

void ClosureProduct::program(const Eigen::Ref<const MatrixF>& weights, double siemens_per_weight,
                             double wire_factor, int threads) {
  siemens_ = static_cast<float>(siemens_per_weight);
  data::TileSpec tile = tile_;
  tile.r_col_ohm *= wire_factor;
  tile.r_sense_ohm *= wire_factor;
  shape_ = tilemodel::ClosureShape(tilemodel::ColumnWire(tile), tile.rows, block_rows_, shape_.bins);
  const auto g_min = static_cast<float>(tile_.g_min_siemens);
  const Index chunks = (shape_.rows + kChunkRows - 1) / kChunkRows;
  parallel_for(chunks, threads, [&](Index chunk, int) {
    for (SenseGroup& group : groups_) {
      const auto count = static_cast<Index>(group.columns.size());
      const float mean = 0.5F * siemens_ / static_cast<float>(count);
      const Index step = count > 1 ? group.columns[1] - group.columns[0] : 1;
      for (Index p = shape_.padding + chunk * kChunkRows;
           p < std::min(shape_.positions(), shape_.padding + (chunk + 1) * kChunkRows); ++p) {
        const float* from = weights.data() + row_of(p, group.north) * weights.outerStride() + group.columns[0];
        float sum = 0.0F;
        for (Index c = 0; c < count; c += kLanes) {
          float* to = group.weights.data() + (c * shape_.positions() + p * kLanes);
          for (Index k = 0; k < std::min(kLanes, count - c); ++k) {
            to[k] = from[(c + k) * step];
            sum += std::abs(to[k]);
          }
        }
        const float base = mean * sum;
        group.base[static_cast<std::size_t>(p)] = base;
        group.reference.data()[p] = g_min + base;
      }
    }
  });
}

void ClosureProduct::reserve(SenseGroup& group) const {
  const Index rows = sheets() * vectors_, cells = block_row(group, sheets(), 0, 0);
  group.x.reserve(rows * stride_);
  group.resistance.reserve(rows * resistance_stride_);
  for (AlignedFloats* floats : {&group.y_plus, &group.y_minus}) floats->reserve(cells);
  for (AlignedFloats* floats : {&group.end_plus, &group.end_minus}) floats->reserve(rows * group.pitch);
  for (AlignedFloats* floats : {&group.by_plus, &group.by_minus}) floats->reserve(vectors_ * group.pitch);
  if (!by_codes_) return;
  for (AlignedFloats* floats : {&group.d_plus, &group.d_minus}) floats->reserve(cells);
  group.by_x.reserve(rows * stride_);
  group.by_resistance.reserve(rows * resistance_stride_);
}

void ClosureProduct::reserve(WorkerScratch& scratch) const {
  const auto blocks = static_cast<int>(shape_.blocks);
  scratch.lengths.reserve(stride_);
  scratch.kernel.reserve(kernels::reference_scratch(blocks, static_cast<int>(shape_.bins)));
  scratch.codes.resize(static_cast<std::size_t>(stride_), 0);
  const Index quads = (shape_.length + kQuad - 1) / kQuad;
  scratch.terms.term.resize(
      static_cast<std::size_t>(std::max(shape_.positions(), quads * sheets() * vectors_) + 1));
  scratch.quad_end.resize(static_cast<std::size_t>(quads));
  scratch.block.resize(static_cast<std::size_t>(blocks));
  Index pitch = 0;
  for (const SenseGroup& group : groups_) pitch = std::max(pitch, group.pitch);
  scratch.share_plus.reserve(sheets() * vectors_ * pitch);
  scratch.share_minus.reserve(sheets() * vectors_ * pitch);
  if (!by_codes_) return;
  scratch.backward.reserve(kernels::backward_scratch(blocks, static_cast<int>(shape_.bins)));
  scratch.value.reserve(shape_.bins * stride_);
  scratch.by_length.reserve(stride_);
}

// Pulses of one sign of one vector; false when there is none.
bool ClosureProduct::load_codes(const SenseGroup& group, int side, Index vector,
                                WorkerScratch& scratch) const {
  const float* from = codes_ + vector * codes_stride_;
  const float flip = side == 0 ? 1.0F : -1.0F;
  const tilemodel::Levels levels(longest_code_);
  const auto first = static_cast<float>(levels.first);
  const float per_first = 1.0F / first, per_width = 1.0F / static_cast<float>(levels.width);
  std::uint16_t* codes = scratch.codes.data() + shape_.padding;
  float* lengths = scratch.lengths.data() + shape_.padding;
  const Index rows = shape_.rows, last = rows - 1;
  // Plain loops, so that the compiler makes vectors of them.
  if (group.north)
    for (Index p = 0; p < rows; ++p) lengths[p] = flip * from[last - p];
  else
    for (Index p = 0; p < rows; ++p) lengths[p] = flip * from[p];
  int any = 0;
  for (Index p = 0; p < rows; ++p) {
    const int code = static_cast<int>(lengths[p] > 0.0F ? lengths[p] : 0.0F);
    codes[p] = static_cast<std::uint16_t>(code);
    any |= code;
  }
  for (Index p = 0; p < rows; ++p) {
    const float code = lengths[p] > 0.0F ? lengths[p] : 0.0F;
    const float early = code * per_first, late = 1.0F + (code - first) * per_width;
    lengths[p] = late < early ? late : early;
  }
  return any != 0;
}

// The reference's phase for one vector: x and R_b of all bins; returns its charge.
float ClosureProduct::follow(SenseGroup& group, int side, Index vector, WorkerScratch& scratch) const {
  const Index first = sheet(side, 0);
  const bool any = load_codes(group, side, vector, scratch);
  if (!any && !by_codes_) {
    for (Index bin = 0; bin < shape_.bins; ++bin) {
      std::fill_n(x_of(group, first + bin, vector), stride_, 0.0F);
      std::fill_n(resistance_of(group, first + bin, vector), resistance_stride_, 0.0F);
    }
    return 0.0F;
  }
  kernels::ReferenceOut out{x_of(group, first, vector),          vectors_ * stride_,
                            resistance_of(group, first, vector), vectors_ * resistance_stride_,
                            nullptr,                             nullptr,
                            0.0F};
  table().follow_reference(reference_of(group), pass_of(scratch), scratch.kernel.data(), out);
  return out.charge;
}

// What up to kQuad vectors have on, block by block.
void ClosureProduct::gather(const SenseGroup& group, Index sheet, Index first, Index count,
                            WorkerScratch& scratch) const {
  const float* x = group.x.data() + (sheet * vectors_ + first) * stride_;
  std::array<const float*, kQuad> row{};
  for (Index r = 0; r < kQuad; ++r) row[static_cast<std::size_t>(r)] = x + std::min(r, count - 1) * stride_;
  QuadTerms::Term* term = scratch.terms.term.data();
  std::size_t found = 0;
  for (Index b = 0; b < shape_.blocks; ++b) {
    std::array<float, kQuad> sums{};
    for (Index p = b * shape_.length; p < (b + 1) * shape_.length; ++p) {
      const float k0 = row[0][p], k1 = row[1][p], k2 = row[2][p], k3 = row[3][p];
      if (!((k0 != 0.0F) | (k1 != 0.0F) | (k2 != 0.0F) | (k3 != 0.0F))) continue;
      term[found++] = {p * kLanes, {k0, k1, k2, k3}};
      const float base = group.base[static_cast<std::size_t>(p)];
      sums[0] += k0 * base, sums[1] += k1 * base, sums[2] += k2 * base, sums[3] += k3 * base;
    }
    const float* r = group.resistance.data() + (sheet * vectors_ + first) * resistance_stride_ + b;
    const auto resistance = [&](Index v) { return r[std::min(v, count - 1) * resistance_stride_]; };
    scratch.block[static_cast<std::size_t>(b)] = {
        found, sums, {resistance(0), resistance(1), resistance(2), resistance(3)}};
  }
}

// (6g) for up to kQuad vectors, all columns of both arrays; adds to the charges.
template <bool keep_d>
void ClosureProduct::columns(SenseGroup& group, Index sheet, Index first, Index count,
                             WorkerScratch& scratch, ArrayPair& out) const {
  gather(group, sheet, first, count, scratch);
  const auto used = static_cast<Index>(group.columns.size());
  const Index step = used > 1 ? group.columns[1] - group.columns[0] : 1;
  const Index next_vector = shape_.blocks * group.pitch;
  const float siemens = siemens_;
  for (Index c = 0; c < group.width; c += kLanes) {
    const float* weights = group.weights.data() + c * shape_.positions();
    Index at = block_row(group, sheet, 0, first) + c;
    F8 dp[kQuad]{}, dm[kQuad]{}, yp[kQuad], ym[kQuad];
    for (Index v = 0; v < kQuad; ++v) yp[v] = ym[v] = F8{} + 1.0F;
    const QuadTerms::Term* term = scratch.terms.term.data();
    for (const BlockTerms& block : scratch.block) {
      F8 sp[kQuad]{}, sm[kQuad]{};
      for (const QuadTerms::Term* end = scratch.terms.term.data() + block.end; term != end; ++term) {
        const F8 w = load8(weights + term->at), p = positive(w), m = p - w;
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kQuad; ++v) sp[v] += term->factor[v] * p, sm[v] += term->factor[v] * m;
      }
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kQuad; ++v) {
        const Index place = at + static_cast<Index>(v) * next_vector;
        store8(group.y_plus.data() + place, yp[v]);
        store8(group.y_minus.data() + place, ym[v]);
        dp[v] += (siemens * sp[v] - block.base_sum[v]) * yp[v];
        dm[v] += (siemens * sm[v] - block.base_sum[v]) * ym[v];
        yp[v] += block.resistance[v] * dp[v];
        ym[v] += block.resistance[v] * dm[v];
        if constexpr (keep_d) {
          store8(group.d_plus.data() + place, dp[v]);
          store8(group.d_minus.data() + place, dm[v]);
        }
      }
      at += group.pitch;
    }
    for (Index v = 0; v < count; ++v) {
      const Index end = (sheet * vectors_ + first + v) * group.pitch + c;
      const F8 ep = 1.0F / yp[v], em = 1.0F / ym[v];
      store8(group.end_plus.data() + end, ep);
      store8(group.end_minus.data() + end, em);
      const F8 qp = sign(sheet) * dp[v] * ep, qm = sign(sheet) * dm[v] * em;
      float* plus = out.plus.row(first + v).data() + group.columns[0];
      float* minus = out.minus.row(first + v).data() + group.columns[0];
      for (Index k = 0; k < std::min(kLanes, used - c); ++k) {
        plus[(c + k) * step] += qp[k];
        minus[(c + k) * step] += qm[k];
      }
    }
  }
}

void ClosureProduct::charges(const Eigen::Ref<const MatrixF>& codes, ArrayPair& out, int threads) {
  vectors_ = codes.rows();
  codes_ = codes.data();
  codes_stride_ = codes.outerStride();
  sides_ = (codes.array() < 0.0F).any() ? 2 : 1;
  out.resize(vectors_, tile_.cols);
  scratch_.resize(static_cast<std::size_t>(threads > 0 ? threads : default_threads()));
  for (SenseGroup& group : groups_) reserve(group);
  for (WorkerScratch& scratch : scratch_) reserve(scratch);
  const Index chunks = (vectors_ + kChunkVectors - 1) / kChunkVectors;
  parallel_for(chunks, threads, [&](Index chunk, int worker) {
    WorkerScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
    const Index begin = chunk * kChunkVectors, end = std::min(vectors_, begin + kChunkVectors);
    for (SenseGroup& group : groups_) {
      for (Index v = begin; v < end; ++v) {
        float charge = 0.0F;
        for (int side = 0; side < sides_; ++side)
          charge += sign(sheet(side, 0)) * follow(group, side, v, scratch);
        for (const Index j : group.columns) out.plus(v, j) = out.minus(v, j) = charge;
      }
      for (Index s = 0; s < sheets(); ++s)
        for (Index v = begin; v < end; v += kQuad)
          if (by_codes_)
            columns<true>(group, s, v, std::min(kQuad, end - v), scratch, out);
          else
            columns<false>(group, s, v, std::min(kQuad, end - v), scratch, out);
    }
  });
}

}  // namespace closure_product

bool has_closure_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model) {
  return model.form == tilemodel::Form::closure && model.in_float32() &&
         model.references == 1 && model.correction.coefficients.size() == 0 &&
         tile.drive == data::Drive::gated && tile.pulse.sign == data::SignMode::two_phase &&
         tile.pulse.passes == data::Passes::conventional && tile.pulse.dac_bits <= 9 && tile.ideal_supply() &&
         tile.ohmic_cells() && tile.selector.r_on_ohm == 0.0;
}

std::unique_ptr<TileProduct> make_closure_product(const data::TileSpec& tile,
                                                  const tilemodel::ModelSpec& model, bool by_codes) {
  return std::make_unique<closure_product::ClosureProduct>(tile, model, by_codes);
}

}  // namespace crosstile::nn
