// SIMD vectors of the compiler's own kind (no intrinsics), the transposition between rows in memory and lines in lanes, and arrays whose
// rows are laid out for both.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "circuit/large_array.hpp"
#include "core/types.hpp"

namespace crosstile::circuit {

using Lanes4 = double __attribute__((vector_size(32)));

template <typename T>
inline T load(const double* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
inline void store(double* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// a, b, c, d: rows of a 4 x 4 block in, its columns out.
inline void transpose(Lanes4& a, Lanes4& b, Lanes4& c, Lanes4& d) {
  const Lanes4 ab_even = __builtin_shufflevector(a, b, 0, 4, 2, 6);
  const Lanes4 ab_odd = __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Lanes4 cd_even = __builtin_shufflevector(c, d, 0, 4, 2, 6);
  const Lanes4 cd_odd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
  a = __builtin_shufflevector(ab_even, cd_even, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_odd, cd_odd, 0, 1, 4, 5);
  c = __builtin_shufflevector(ab_even, cd_even, 2, 3, 6, 7);
  d = __builtin_shufflevector(ab_odd, cd_odd, 2, 3, 6, 7);
}

inline double sum(Lanes4 value) { return (value[0] + value[1]) + (value[2] + value[3]); }

inline double dot(const double* a, const double* b, Index count) {
  Lanes4 even{}, odd{};
  Index j = 0;
  for (; j + 8 <= count; j += 8) {
    even += load<Lanes4>(a + j) * load<Lanes4>(b + j);
    odd += load<Lanes4>(a + j + 4) * load<Lanes4>(b + j + 4);
  }
  double rest = 0.0;
  for (; j < count; ++j) rest += a[j] * b[j];
  return sum(even + odd) + rest;
}

// The larger one; NaN when either is.
inline double larger(double a, double b) { return a >= b || std::isnan(a) ? a : b; }

// most <- the larger of most and |value|, lane by lane; NaN is passed over.
inline void take_size(Lanes4& most, Lanes4 value) {
  const Lanes4 negative = -value;
  const Lanes4 size = value > negative ? value : negative;
  most = size > most ? size : most;
}
inline double largest(Lanes4 most) { return std::max({most[0], most[1], most[2], most[3]}); }

// Largest absolute value; NaN when there is one.
inline double largest(const double* a, Index count) {
  Lanes4 most{}, broken{};
  Index j = 0;
  for (; j + 4 <= count; j += 4) {
    const Lanes4 value = load<Lanes4>(a + j);
    take_size(most, value);
    broken += value - value;
  }
  double result = largest(most) + sum(broken);
  for (; j < count; ++j) result = larger(result, std::abs(a[j]));
  return result;
}

// A row-major array whose rows are a cache line longer than they need be. With rows of 2^n bytes, equal columns of neighbouring rows and of
// other arrays would fall on the same cache set and the same page offset, which costs half of the speed.
class Sheet {
 public:
  void resize(Index rows, Index cols) {
    rows_ = rows;
    cols_ = cols;
    stride_ = (cols + 7) / 8 * 8 + 8;
    if (static_cast<Index>(data_.size()) < rows * stride_) data_.resize(static_cast<std::size_t>(rows * stride_));
  }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  double* row(Index k) { return data_.data() + k * stride_; }
  const double* row(Index k) const { return data_.data() + k * stride_; }
  using View = Eigen::Map<const Array, 0, Eigen::OuterStride<>>;
  View view() const { return View(data_.data(), rows_, cols_, Eigen::OuterStride<>(stride_)); }
  using MutableView = Eigen::Map<Array, 0, Eigen::OuterStride<>>;
  MutableView view() { return MutableView(data_.data(), rows_, cols_, Eigen::OuterStride<>(stride_)); }

 private:
  Index rows_ = 0, cols_ = 0, stride_ = 0;
  LargeVector<double> data_;
};

}  // namespace crosstile::circuit
