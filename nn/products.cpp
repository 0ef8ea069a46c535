#include "nn/products.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.hpp"

namespace crosstile::nn {

namespace {

constexpr Index kRows = 4;             // results of so many rows are summed together: one register block
constexpr Index kChunkRows = 16;       // rows of one parallel piece
constexpr Index kBackBlock = 16;       // of the transposition
constexpr Index kSmallWork = 1 << 18;  // multiply-adds below which threads do not pay

using F8 = float __attribute__((vector_size(32)));
using F8InMemory = float __attribute__((vector_size(32), aligned(4), may_alias));

F8 load8(const float* p) {
  return *reinterpret_cast<const F8InMemory*>(p);
}
void store8(float* p, F8 value) {
  *reinterpret_cast<F8InMemory*>(p) = value;
}

// The terms of a sum that are not zero in at least one of kRows results: which row of the right factor, and
// the left factors.
struct Terms {
  std::vector<const float*> from;
  std::vector<std::array<float, kRows>> factor;
  std::size_t count = 0;

  void reserve(Index most) {
    if (static_cast<Index>(from.size()) >= most) return;
    from.resize(static_cast<std::size_t>(most));
    factor.resize(static_cast<std::size_t>(most));
  }
};

template <int kVectors>
using Sums = std::array<std::array<F8, kVectors>, kRows>;

template <int kVectors>
Sums<kVectors> sum_panel(const Terms& terms, Index column) {
  Sums<kVectors> sums{};
  for (std::size_t t = 0; t < terms.count; ++t) {
    const float* from = terms.from[t] + column;
    const auto& factor = terms.factor[t];
    for (int v = 0; v < kVectors; ++v) {
      const F8 right = load8(from + 8 * v);
      for (std::size_t r = 0; r < kRows; ++r) sums[r][static_cast<std::size_t>(v)] += factor[r] * right;
    }
  }
  return sums;
}

std::array<float, kRows> sum_column(const Terms& terms, Index column) {
  std::array<float, kRows> sums{};
  for (std::size_t t = 0; t < terms.count; ++t)
    for (std::size_t r = 0; r < kRows; ++r) sums[r] += terms.factor[t][r] * terms.from[t][column];
  return sums;
}

struct Target {
  float* first;  // of the first row
  Index stride;
  Index rows;  // at most kRows
  Index cols;
  const float* bias;  // or nothing
};

template <int kVectors>
void write_panel(const Terms& terms, const Target& to, Index column) {
  const Sums<kVectors> sums = sum_panel<kVectors>(terms, column);
  for (Index r = 0; r < to.rows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      const Index at = column + 8 * v;
      F8 value = sums[static_cast<std::size_t>(r)][static_cast<std::size_t>(v)];
      if (to.bias) value += load8(to.bias + at);
      store8(to.first + r * to.stride + at, value);
    }
}

void write_sums(const Terms& terms, const Target& to) {
  Index column = 0;
  for (; column + 16 <= to.cols; column += 16) write_panel<2>(terms, to, column);
  for (; column + 8 <= to.cols; column += 8) write_panel<1>(terms, to, column);
  for (; column < to.cols; ++column) {
    const auto sums = sum_column(terms, column);
    for (Index r = 0; r < to.rows; ++r)
      to.first[r * to.stride + column] =
          sums[static_cast<std::size_t>(r)] + (to.bias ? to.bias[column] : 0.0F);
  }
}

// Terms of kRows rows of x against the rows of w.
void gather_rows(const ConstRows& x, Index begin, Index rows, const ConstRows& w, Terms& terms) {
  const Index inputs = x.cols();
  terms.reserve(inputs + 1);
  std::array<const float*, kRows> row{};
  for (Index r = 0; r < kRows; ++r)
    row[static_cast<std::size_t>(r)] = x.data() + (begin + std::min(r, rows - 1)) * x.outerStride();
  const float* right = w.data();
  std::size_t count = 0;
  for (Index k = 0; k < inputs; ++k, right += w.outerStride()) {
    const float a = row[0][k], b = row[1][k], c = row[2][k], d = row[3][k];
    terms.from[count] = right;
    terms.factor[count] = {a, b, c, d};
    count += (a != 0.0F) | (b != 0.0F) | (c != 0.0F) | (d != 0.0F) ? 1 : 0;
  }
  terms.count = count;
}

// Terms of kRows columns of x against the rows of d.
void gather_columns(const ConstRows& x, Index begin, Index columns, const ConstRows& d, Terms& terms) {
  terms.reserve(x.rows() + 1);
  std::size_t count = 0;
  for (Index s = 0; s < x.rows(); ++s) {
    const float* from = x.data() + s * x.outerStride() + begin;
    std::array<float, kRows> factor{};
    bool any = false;
    for (Index r = 0; r < columns; ++r) {
      factor[static_cast<std::size_t>(r)] = from[r];
      any |= from[r] != 0.0F;
    }
    terms.from[count] = d.data() + s * d.outerStride();
    terms.factor[count] = factor;
    count += any ? 1 : 0;
  }
  terms.count = count;
}

void transpose(const ConstRows& w, MatrixF& out) {
  out.resize(w.cols(), w.rows());
  for (Index i = 0; i < w.rows(); i += kBackBlock)
    for (Index j = 0; j < w.cols(); j += kBackBlock) {
      const Index rows = std::min(kBackBlock, w.rows() - i), cols = std::min(kBackBlock, w.cols() - j);
      out.block(j, i, cols, rows) = w.block(i, j, rows, cols).transpose();
    }
}

}  // namespace

void product(const ConstRows& x, const ConstRows& w, const float* bias, MutableRows y, int threads) {
  const Index chunks = (x.rows() + kChunkRows - 1) / kChunkRows;
  const bool small = x.rows() * w.size() < kSmallWork;
  parallel_for(chunks, small ? 1 : threads, [&](Index chunk, int) {
    Terms terms;
    const Index end = std::min(x.rows(), (chunk + 1) * kChunkRows);
    for (Index r = chunk * kChunkRows; r < end; r += kRows) {
      const Index rows = std::min(kRows, end - r);
      gather_rows(x, r, rows, w, terms);
      write_sums(terms, {y.data() + r * y.outerStride(), y.outerStride(), rows, w.cols(), bias});
    }
  });
}

void product_transposed(const ConstRows& d, const ConstRows& w, MutableRows y, MatrixF& scratch,
                        int threads) {
  transpose(w, scratch);
  product(d, scratch, nullptr, y, threads);
}

bool gradient_rows(const ConstRows& x, const ConstRows& d, Index begin, Index count, MutableRows out) {
  Terms terms;
  bool any = false;
  for (Index i = 0; i < count; i += kRows) {
    const Index rows = std::min(kRows, count - i);
    gather_columns(x, begin + i, rows, d, terms);
    any |= terms.count > 0;
    write_sums(terms, {out.data() + i * out.outerStride(), out.outerStride(), rows, d.cols(), nullptr});
  }
  return any;
}

}  // namespace crosstile::nn
