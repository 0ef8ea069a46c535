// Read noise of tile products, correlated in time: charges scatter because conductances fluctuate while they are read.
//   CellReadNoise    per cell and integration window, from each cell's own trace: exact, slow
//   ColumnReadNoise  per column: same mean, variance and correlation from product to product, at the price of part of a product
// Both add noise to charges that any model or the circuit has computed. Equations: docs/theory.md, "Read noise of a product".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "core/types.hpp"
#include "data/tile.hpp"
#include "device/random_access_trace.hpp"

namespace crosstile::tilemodel {

/// The noise of a cell is (G + g_offset) times a relative process (device::ShortNoise).
struct ReadNoiseSpec {
  device::NoiseSpectrum relative;
  double g_offset_siemens = 0.0;
  /// rows x cols: charge of a cell over v_read times the integral of its conductance; what wires and selector leave of it
  /// (TileModel::gradient by G, say). Empty: 1. Cells with G = 0 are open and have no noise.
  Matrix sensitivity{};
};

/// Longest time one product takes: all passes with the longest code on every row, one after another, seconds.
double product_time_s(const data::TileSpec& tile);

class CellReadNoise {
 public:
  /// g_siemens: rows x cols. Errors: usage (shapes, ranges).
  CellReadNoise(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise, std::uint64_t seed,
                std::uint32_t tile_number, const device::TraceGrid& grid = {});
  /// codes: vectors x rows; product v begins at first_s + v * period_s. Adds v_read * sum over rows of (G + g_offset) t * (average of the
  /// relative trace over the pulse), passes combined, to charge_coulomb (vectors x cols). Errors: usage.
  void add(const IntMatrix& codes, double first_s, double period_s, Matrix& charge_coulomb) const;
  /// What add() has as variance of vector v and column j, and as covariance of two products whose begins are `lag_s` apart (at least
  /// product_time_s): closed forms. Errors: usage.
  Matrix variance(const IntMatrix& codes) const;
  Matrix covariance(const IntMatrix& earlier, const IntMatrix& later, double lag_s) const;

 private:
  data::TileSpec tile_;
  Matrix amplitude_;  // v_read sensitivity (G + g_offset)
  device::NoiseSpectrum spectrum_;
  device::RandomAccessNoise noise_;
  std::uint64_t seed_;
  std::uint32_t number_;
};

enum class Variances {
  exact,  ///< one more matrix product
  near    ///< sums over the rows that matter, the others by the array's row and column factors
};

struct ColumnNoiseOptions {
  Variances variances = Variances::near;
  double tolerance = 0.03;  ///< near: root mean square error of a variance, relative; 0.001 .. 1
  std::optional<double> period_s{};  ///< begin to begin of two products; absent: product_time_s
  /// A sample of inputs, vectors x rows: how long pulses are, and how much of the input is the same in every product, which is
  /// all that slow noise correlates. Empty: all codes equally likely, and the same input every time (the largest correlation).
  IntMatrix typical_codes{};
  std::uint64_t seed = 1;
  std::uint32_t tile_number = 0;
};

class ColumnReadNoise {
 public:
  /// Two-phase or signed inputs, one pass a sign. Errors: usage (shapes, ranges, several passes a sign, more than 16 Lorentzians that
  /// reach from product to product).
  ColumnReadNoise(const data::TileSpec& tile, const Matrix& g_siemens, const ReadNoiseSpec& noise, const ColumnNoiseOptions& options = {});
  ~ColumnReadNoise();
  ColumnReadNoise(ColumnReadNoise&&) noexcept;
  ColumnReadNoise& operator=(ColumnReadNoise&&) noexcept;

  /// Where the noise is in time: how many products went before, and the slow parts of every column. One per sequence of products; the
  /// same numbers for any split of the products into batches.
  class State {
   public:
    State();
    ~State();
    State(State&&) noexcept;
    State& operator=(State&&) noexcept;

   private:
    friend class ColumnReadNoise;
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };

  /// Adds the noise of codes.rows() successive products to charge_coulomb (vectors x cols). No allocation once the state has seen a
  /// batch of this size. Errors: usage (shapes, codes outside the DAC's range).
  void add(const IntMatrix& codes, MatrixF& charge_coulomb, State& state) const;
  /// The variances it uses, coulomb^2.
  Matrix variance(const IntMatrix& codes) const;
  /// Correlation of the noise of one column in two products with the same input, `products` apart.
  double correlation(const IntVector& codes, Index products) const;

  const char* kernel() const;  ///< "base" or "avx512"
  /// For tests and benchmarks: the kernels the library is built for, whatever the processor has.
  void use_base_kernel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace crosstile::tilemodel
