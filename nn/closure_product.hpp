// Internal. The product of a tile in training by the float32 closure (docs/theory.md, "Closure", (6g), and "Training
// through the tile model"). With ideal supply G+ and G- are columns of one array, so both share one reference,
// the mean of all columns, and its phase. The columns' part comes straight from the weights: nothing is
// packed as differences, and inputs that are zero are skipped.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nn/tile_product.hpp"
#include "tilemodel/reference_column.hpp"

namespace crosstile::nn::closure_product {

namespace kernels = tilemodel::kernels;
using tilemodel::AlignedFloats;

inline constexpr Index kQuad = 4;          // vectors, or rows, that are summed together
inline constexpr Index kLanes = 8;         // columns
inline constexpr Index kChunkVectors = 16;  // of one parallel piece
inline constexpr Index kChunkRows = 64;
inline constexpr Index kShareColumns = 32;  // that go through the gradient together: their shares stay in cache

using F8 = float __attribute__((vector_size(32)));
using F8InMemory = float __attribute__((vector_size(32), aligned(4), may_alias));
inline F8 load8(const float* p) { return *reinterpret_cast<const F8InMemory*>(p); }
inline void store8(float* p, F8 value) { *reinterpret_cast<F8InMemory*>(p) = value; }
inline F8 positive(F8 w) { return w > 0.0F ? w : F8{}; }

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
  kernels::Reference reference_of(const SenseGroup& group) const {
    return tilemodel::kernel_reference(shape_, group.reference.data(), offset_.data());
  }
  kernels::Pass pass_of(const WorkerScratch& scratch) const {
    return pass_.pass(scratch.lengths.data(), scratch.codes.data());
  }
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
  tilemodel::PassTables pass_;
  AlignedFloats offset_;
  std::vector<SenseGroup> groups_;
  std::vector<WorkerScratch> scratch_;
  float siemens_ = 0.0F;
  int sides_ = 1;
  Index vectors_ = 0;
  const float* codes_ = nullptr;
  Index codes_stride_ = 0;
};

}  // namespace crosstile::nn::closure_product
