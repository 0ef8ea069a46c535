// Internal. The closure's float32 kernels: plain pointers only, because the same source is compiled for several
// instruction sets and nothing inline may be shared between them. Symbols: docs/theory.md, "Closure".
#pragma once

namespace crosstile::tilemodel::kernels {

inline constexpr int kLevels = 32;    // levels of a pass
inline constexpr int kMostBins = 8;   // T'
inline constexpr int kMostLanes = 16; // arrays by position are readable (x: writable) this far behind their end

// A reference column and the tile around it.
struct Reference {
  int blocks, length, bins;
  float block_ohm, end_ohm, spread_ohm, cell_ohm;
  const float* conductance;  // positions
  const float* offset;       // in-block positions: p_i
};

// One pass of one vector.
struct Pass {
  const float* lengths;         // positions: pulse length in levels, up to kLevels
  const unsigned short* codes;  // positions: pulse codes; null: shares come from the lengths
  const float* shares;          // codes x kLevels: share of each level
  const float* durations;       // kLevels: code steps; 0 for levels the pass has not
  const float* rates;           // kLevels: 1 / duration; 0 for levels the pass has not
  float variance;               // (1 - 1 / h^2) / 12; 0 unless the pass has all levels
};

// What a column needs of its reference column, for one vector.
struct ReferenceOut {
  float* x;           // bins x x_stride
  long x_stride;
  float* resistance;  // bins x resistance_stride, which is at least rounded_blocks
  long resistance_stride;
  float* load;        // as resistance: K_b; null where row wires do not couple the columns
  float* own;         // as resistance: integral of A_b m_b^2; null with load
  float charge;
};

// Scratch of follow_reference, in floats; aligned to 64 bytes.
inline constexpr long kRowFloats = 64;  // of one block and quantity
constexpr int rounded_blocks(int blocks) { return (blocks + kMostLanes - 1) / kMostLanes * kMostLanes; }
constexpr long reference_scratch(int blocks, int bins) {
  return 3 * kRowFloats * (blocks + 1) + 4 * kMostLanes * rounded_blocks(blocks) * bins;
}

// Columns of one panel, for some vectors.
struct Columns {
  int blocks, length, vectors;
  const float* delta;       // positions x panel_cols
  const float* x;           // vectors x x_stride
  long x_stride;
  const float* resistance;  // vectors x resistance_stride
  long resistance_stride;
  float* out;               // vectors x out_stride: D / y is added
  long out_stride;
  const float* mesh;        // blocks x panel_cols: q_bj; null where row wires do not couple the columns
  const float* load;        // vectors x resistance_stride; null with mesh
  const float* own;         // vectors x resistance_stride; null with mesh
};

// What the loss says about a panel: e f_b, and what that leaves of R_b.
struct ColumnsBackward {
  bool fresh;            // by_resistance, by_load and by_own are written, not added to
  const float* charge;   // vectors x charge_stride: e, derivative by the panel's charges
  long charge_stride;
  float* share;          // blocks x vectors x panel_cols: e f_b
  float* behind;         // scratch, backward_panel floats: D behind each block
  float* sum;            // the same: sum of x delta over a block; not used without mesh
  float* by_resistance;  // vectors x resistance_stride: sums over the panel are added
  float* by_load;        // the same; null without mesh
  float* by_own;         // the same; null without mesh
};

inline constexpr int kPanelVectors = 6;  // vectors that go through a panel together
constexpr long backward_panel(int blocks, int panel_cols) { return static_cast<long>(blocks) * kPanelVectors * panel_cols; }

// out[m][lane] += (fresh: =) sum over k of a[m a_row + k a_depth] b[k b_depth + lane].
struct Product {
  int rows, depth, lanes;  // lanes: a multiple of the kernel's
  bool fresh;              // out is written, not added to
  const float* a;
  long a_row, a_depth;
  const float* b;
  long b_depth;
  float* out;
  long out_row;
};

struct ReferenceBackward {
  int levels;               // of the pass
  const float* x;           // bins x x_stride: derivative by x plus that by the charge times conductance
  long x_stride;
  // By R_b, K_b and the integral of A_b m_b^2: bins x resistance_stride.
  const float* resistance;
  const float* load;        // null without mesh
  const float* own;         // null without mesh
  long resistance_stride;   // the same as of the forward result
  float charge;
  float* scratch;           // backward_scratch floats
};
constexpr long backward_scratch(int blocks, int bins) {
  return 5 * kRowFloats * (blocks + 1) + 4 * rounded_blocks(blocks) * bins;
}

struct ReferenceGradientOut {
  float* lengths;  // positions: per code step; writable kMostLanes behind the end
  float block_ohm, end_ohm, spread_ohm, cell_ohm;
};

struct Table {
  const char* name;
  int lanes;
  int panel_cols;
  void (*follow_reference)(const Reference&, const Pass&, float* scratch, ReferenceOut&);
  void (*columns)(const Columns&);
  void (*columns_backward)(const Columns&, const ColumnsBackward&);
  void (*product)(const Product&);
  void (*reference_backward)(const Reference&, const Pass&, float* scratch, const float* resistance,
                             const ReferenceBackward&, ReferenceGradientOut&);
};

const Table& table_base();    // what the library is built for
const Table& table_avx512();  // only when has_avx512()
bool has_avx512();            // built in, and the processor has it

}  // namespace crosstile::tilemodel::kernels
