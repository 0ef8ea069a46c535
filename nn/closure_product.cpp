// The product of a tile in training by the float32 closure (docs/theory.md, "Closure", (6g), and "Training
// through the tile model"). With ideal supply G+ and G- are columns of one array, so both share one reference,
// the mean of all columns, and its phase. The columns' part comes straight from the weights: nothing is
// packed as differences, and inputs that are zero are skipped.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "nn/tile_product.hpp"
#include "tilemodel/closure_fast.hpp"

namespace crosstile::nn {

namespace {

namespace kernels = tilemodel::kernels;
using tilemodel::AlignedFloats;

constexpr Index kQuad = 4;          // vectors, or rows, that are summed together
constexpr Index kLanes = 8;         // columns
constexpr Index kChunkVectors = 16;  // of one parallel piece
constexpr Index kChunkRows = 64;
constexpr Index kShareColumns = 32;  // that go through the gradient together: their shares stay in cache

using F8 = float __attribute__((vector_size(32)));
using F8InMemory = float __attribute__((vector_size(32), aligned(4), may_alias));
F8 load8(const float* p) { return *reinterpret_cast<const F8InMemory*>(p); }
void store8(float* p, F8 value) { *reinterpret_cast<F8InMemory*>(p) = value; }
F8 positive(F8 w) { return w > 0.0F ? w : F8{}; }

// Terms of a sum that are not zero in at least one of kQuad results.
struct QuadTerms {
  struct Term {
    Index at;  // offset of the right factors
    std::array<float, kQuad> factor;
  };
  std::vector<Term> term;
};

// What one block of rows adds for kQuad vectors.
struct BlockTerms {
  std::size_t end;                      // of its terms
  std::array<float, kQuad> base_sum;    // sum of x (gbar - g_min)
  std::array<float, kQuad> resistance;  // R_b
};

struct WorkerScratch {
  AlignedFloats lengths, kernel, backward, value, by_length;
  std::vector<std::uint16_t> codes;
  QuadTerms terms;
  std::vector<BlockTerms> block;
  std::vector<std::size_t> quad_end;  // of terms
  AlignedFloats share_plus, share_minus;             // vectors x width, one sheet after another
};

// Tables of a pass (tilemodel/closure_fast.cpp).
struct PassTables {
  explicit PassTables(int longest_code) : levels(longest_code) {
    float* d = durations.reserve(2 * kernels::kLevels);
    for (int m = 0; m < kernels::kLevels; ++m) {
      const bool used = m < levels.count;
      d[m] = used ? static_cast<float>(levels.duration(m)) : 0.0F;
      d[kernels::kLevels + m] = used ? 1.0F / d[m] : 0.0F;
    }
    float* s = shares.reserve(static_cast<Index>(longest_code) * kernels::kLevels);
    for (int code = 0; code < longest_code; ++code)
      for (int m = 0; m < kernels::kLevels; ++m)
        s[code * kernels::kLevels + m] =
            static_cast<float>(std::clamp(levels.place(code) - static_cast<double>(m), 0.0, 1.0));
  }
  tilemodel::Levels levels;
  AlignedFloats durations, shares;
};

// Columns of one sense end, of both arrays.
struct SenseGroup {
  bool north = false;
  std::vector<Index> columns;
  Index width = 0;       // columns, padded to lanes
  Index pitch = 0;       // floats from row to row: an odd number of cache lines, so that rows share no sets
  AlignedFloats weights;  // panel of kLanes columns x positions x kLanes
  AlignedFloats reference;
  std::vector<float> base;  // gbar - g_min
  // By sheet (sign of the input, bin of time):
  AlignedFloats x;           // sheet x vectors x stride
  AlignedFloats resistance;  // sheet x vectors x rounded blocks
  AlignedFloats y_plus, y_minus;  // sheet x padded vectors x blocks x pitch: y before the block
  AlignedFloats d_plus, d_minus;  // D behind the block, when derivatives by codes are wanted
  AlignedFloats end_plus, end_minus;  // sheet x vectors x pitch: 1 / y at the end
  AlignedFloats by_plus, by_minus;    // vectors x pitch: derivatives by the charges
  AlignedFloats by_x;           // sheet x vectors x stride
  AlignedFloats by_resistance;  // sheet x vectors x rounded blocks
};

struct ColumnRange {
  Index first, count;
};

class ClosureProduct final : public TileProduct {
 public:
  ClosureProduct(const data::TileSpec& tile, const tilemodel::ModelSpec& model, bool by_codes);
  void program(const Eigen::Ref<const MatrixF>& weights, double siemens_per_weight, double wire_factor,
               int threads) override;
  void charges(const Eigen::Ref<const MatrixF>& codes, ArrayPair& out, int threads) override;
  void gradient(const ArrayPair& by_charge, Eigen::Ref<MatrixF> by_weight, MatrixF* by_code,
                int threads) override;

 private:
  const kernels::Table& table() const { return *table_; }
  Index sheet(int side, Index bin) const { return side * shape_.bins + bin; }
  // Quads of vectors are written whole.
  Index padded_vectors() const { return (vectors_ + kQuad - 1) / kQuad * kQuad; }
  Index sheets() const { return sides_ * shape_.bins; }
  float sign(Index sheet) const { return sheet < shape_.bins ? 1.0F : -1.0F; }
  float* x_of(SenseGroup& group, Index sheet, Index vector) const {
    return group.x.data() + (sheet * vectors_ + vector) * stride_;
  }
  float* resistance_of(SenseGroup& group, Index sheet, Index vector) const {
    return group.resistance.data() + (sheet * vectors_ + vector) * resistance_stride_;
  }
  Index block_row(const SenseGroup& group, Index sheet, Index block, Index vector) const {
    return ((sheet * padded_vectors() + vector) * shape_.blocks + block) * group.pitch;
  }
  Index row_of(Index position, bool north) const {
    const Index p = position - shape_.padding;
    return north ? shape_.rows - 1 - p : p;
  }
  kernels::Reference kernel_reference(const SenseGroup& group) const;
  kernels::Pass kernel_pass(const WorkerScratch& scratch) const;
  void reserve(SenseGroup& group) const;
  void reserve(WorkerScratch& scratch) const;
  bool load_codes(const SenseGroup& group, int side, Index vector, WorkerScratch& scratch) const;
  float follow(SenseGroup& group, int side, Index vector, WorkerScratch& scratch) const;
  template <bool keep_d>
  void columns(SenseGroup& group, Index sheet, Index first, Index count, WorkerScratch& scratch,
               ArrayPair& out) const;
  void gather(const SenseGroup& group, Index sheet, Index first, Index count, WorkerScratch& scratch) const;
  void shares(const SenseGroup& group, Index block, ColumnRange columns, WorkerScratch& scratch) const;
  void gather_block(const SenseGroup& group, Index block, WorkerScratch& scratch) const;
  void weights_gradient(const SenseGroup& group, Index block, ColumnRange columns,
                        const WorkerScratch& scratch, Eigen::Ref<MatrixF>& by_weight) const;
  void inputs_gradient(SenseGroup& group, Index block, const WorkerScratch& scratch) const;
  void codes_gradient(SenseGroup& group, int side, Index vector, WorkerScratch& scratch,
                      MatrixF& by_code) const;

  data::TileSpec tile_;
  Index block_rows_;
  bool by_codes_;
  int longest_code_;
  const kernels::Table* table_;
  tilemodel::ClosureShape shape_;
  Index stride_ = 0, resistance_stride_ = 0;
  PassTables pass_;
  AlignedFloats offset_;
  std::vector<SenseGroup> groups_;
  std::vector<WorkerScratch> scratch_;
  float siemens_ = 0.0F;
  int sides_ = 1;
  Index vectors_ = 0;
  const float* codes_ = nullptr;
  Index codes_stride_ = 0;
};

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

kernels::Reference ClosureProduct::kernel_reference(const SenseGroup& group) const {
  return {static_cast<int>(shape_.blocks),
          static_cast<int>(shape_.length),
          static_cast<int>(shape_.bins),
          static_cast<float>(shape_.block_ohm),
          static_cast<float>(shape_.end_ohm),
          static_cast<float>(shape_.spread_ohm),
          static_cast<float>(shape_.cell_ohm),
          group.reference.data(),
          offset_.data()};
}

kernels::Pass ClosureProduct::kernel_pass(const WorkerScratch& scratch) const {
  return {scratch.lengths.data(),
          scratch.codes.data(),
          pass_.shares.data(),
          pass_.durations.data(),
          pass_.durations.data() + kernels::kLevels,
          pass_.levels.count == kernels::kLevels ? static_cast<float>(pass_.levels.variance()) : 0.0F};
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
  const auto first = static_cast<float>(pass_.levels.first);
  const float per_first = 1.0F / first, per_width = 1.0F / static_cast<float>(pass_.levels.width);
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
  table().follow_reference(kernel_reference(group), kernel_pass(scratch), scratch.kernel.data(), out);
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
  table().reference_backward(kernel_reference(group), kernel_pass(scratch), scratch.kernel.data(),
                             resistance_of(group, first, vector),
                             {pass_.levels.count, scratch.value.data(), stride_,
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

}  // namespace

bool has_closure_product(const data::TileSpec& tile, const tilemodel::ModelSpec& model) {
  return model.form == tilemodel::Form::closure && model.in_float32() &&
         model.references == 1 && model.correction.coefficients.size() == 0 &&
         tile.drive == data::Drive::gated && tile.pulse.sign == data::SignMode::two_phase &&
         tile.pulse.passes == data::Passes::conventional && tile.pulse.dac_bits <= 9 && tile.ideal_supply() &&
         tile.ohmic_cells() && tile.selector.r_on_ohm == 0.0;
}

std::unique_ptr<TileProduct> make_closure_product(const data::TileSpec& tile,
                                                  const tilemodel::ModelSpec& model, bool by_codes) {
  return std::make_unique<ClosureProduct>(tile, model, by_codes);
}

}  // namespace crosstile::nn
