// Internal. Kernels of the column-wise read noise in float32: plain pointers only, because the same source is compiled for several
// instruction sets. Everything is worked in panels of columns. Equations: docs/theory.md, "Read noise of a product".
#pragma once

namespace crosstile::tilemodel::noise_kernels {

inline constexpr int kPanel = 64;        // columns of the sums
inline constexpr int kNoisePanel = 128;  // columns of the noise
inline constexpr int kMostHeld = 16;       // Ornstein-Uhlenbeck parts that reach from product to product
inline constexpr int kMostFast = 2;        // ... and that are not worth renewing one by one
inline constexpr int kByteCodes = 128;     // pulse lengths that the sparse sums tell apart
inline constexpr int kMostWeight = 31;     // of a row in the sparse sums
inline constexpr int kMostByte = 127;      // of a cell in the sparse sums

// Keys of the rounds of Philox 4x32: those of the seed, raised by a constant every round.
inline constexpr int kRounds = 10;
struct KeySchedule {
  unsigned word[2][kRounds];
};

// One panel, some products. Random numbers: Philox 4x32-10 of (key; column, product, purpose, tile).
struct ColumnNoise {
  KeySchedule key;
  unsigned tile, panel;
  unsigned long long first;     // number of the first product
  int products, held;
  bool begin;                   // draw every held value anew
  int fast;                     // parts that hardly reach to the next product, in one process with what is new
  float fast_decay[kMostFast], fast_gain[kMostFast];  // state' = decay state + gain e
  float fast_first[kMostFast][kMostFast];             // state at the begin per normal number
  float fast_new;                                     // of e in that process, besides the sum of the states
  float* fast_state;            // kMostFast x kNoisePanel: state
  const float* weights;         // held: of every part
  const unsigned* renewals;     // kMostHeld: probability of a new value at a product, times 2^32
  float* values;                // held x kNoisePanel: state
  float* sum;                   // kNoisePanel: state, sum of weights times values
  const float* of_sum;          // products: factor of the sum ...
  const float* of_fresh;        // ... and of what is new in every product
  const float* variance;        // products x variance_stride
  long variance_stride;
  float scale;                  // of the standard deviations
  float* out;                   // products x out_stride; the noise is added
  long out_stride;
};

// variance = factor * (sum over the listed rows of weight * byte) + rest * column.
struct SparseSums {
  const unsigned char* bytes;   // rows x kPanel, columns in the order of byte_place
  const unsigned short* rows;   // an even number
  const int* weights;           // of a pair of rows: both bytes, twice
  int count;
  float factor, rest;
  const float* column;          // kPanel
  float* variance;              // kPanel
};

// out[m][0 .. kPanel) = sum over k of a[m a_row + k] b[k kPanel + .]
struct DenseSums {
  int rows, depth;
  const float* a;
  long a_row;
  const float* b;
  float* out;
  long out_row;
};

struct Table {
  const char* name;
  void (*column_noise)(const ColumnNoise&);
  void (*sparse_sums)(const SparseSums&);
  void (*dense_sums)(const DenseSums&);
  // Rows with a byte of at least `least`, in order; `count` is a multiple of 64 (padding: 0). Returns how many.
  int (*select_rows)(const unsigned char* bytes, int count, unsigned char least, unsigned short* rows);
  int (*byte_place)(int column);
};

const Table& table_base();    // what the library is built for
const Table& table_avx512();  // only when has_avx512()
bool has_avx512();

}  // namespace crosstile::tilemodel::noise_kernels
