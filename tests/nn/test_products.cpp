#include <catch2/catch.hpp>
#include <tuple>

#include "core/random.hpp"
#include "nn/products.hpp"

using namespace crosstile;
using namespace crosstile::nn;

namespace {

MatrixF drawn(Index rows, Index cols, std::uint32_t number, double zeros) {
  MatrixF out = random_normal_matrix({9, Stream::test, number}, rows, cols).cast<float>();
  const Matrix u = random_uniform_matrix({9, Stream::test, number + 1}, rows, cols);
  for (Index k = 0; k < out.size(); ++k)
    if (u.data()[k] < zeros) out.data()[k] = 0.0F;
  return out;
}

double error_of(const MatrixF& got, const Matrix& expected) {
  return (got.cast<double>() - expected).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("The three products equal those in double precision", "[nn][cross]") {
  for (const auto& [samples, in, out, zeros] : {std::tuple<Index, Index, Index, double>{1, 1, 1, 0.0},
                                                {5, 3, 2, 0.5},
                                                {7, 30, 17, 0.8},
                                                {33, 65, 40, 0.2},
                                                {64, 50, 10, 0.0},
                                                {3, 20, 24, 1.0}}) {
    CAPTURE(samples, in, out, zeros);
    const MatrixF x = drawn(samples, in, 1, zeros), w = drawn(in, out, 3, 0.0),
                  d = drawn(samples, out, 5, zeros);
    const MatrixF bias = drawn(1, out, 7, 0.0);
    MatrixF y(samples, out), back(samples, in), gradient(in, out), scratch;
    product(x, w, bias.data(), y, 2);
    product_transposed(d, w, back, scratch, 2);
    CHECK(gradient_rows(x, d, 0, in, gradient) == (x.array() != 0.0F).any());
    // Sums of up to 65 terms of order 1 in single precision.
    const Matrix xd = x.cast<double>(), wd = w.cast<double>(), dd = d.cast<double>();
    CHECK(error_of(y, (xd * wd).rowwise() + bias.row(0).cast<double>()) < 2e-5);
    CHECK(error_of(back, dd * wd.transpose()) < 2e-5);
    CHECK(error_of(gradient, xd.transpose() * dd) < 2e-5);
  }
}

TEST_CASE("Products do not depend on how they are cut", "[nn][identity]") {
  const MatrixF x = drawn(37, 300, 1, 0.7), w = drawn(300, 43, 3, 0.0);
  MatrixF whole(37, 43), pieces(37, 43), gradient(300, 43), lines(300, 43);
  product(x, w, nullptr, whole, 3);
  for (Index r = 0; r < 37; ++r) product(x.row(r), w, nullptr, pieces.row(r), 1);
  CHECK(whole == pieces);
  const MatrixF d = drawn(37, 43, 5, 0.5);
  gradient_rows(x, d, 0, 300, gradient);
  for (Index i = 0; i < 300; i += 7) {
    const Index count = std::min<Index>(7, 300 - i);
    gradient_rows(x, d, i, count, lines.middleRows(i, count));
  }
  CHECK(gradient == lines);
}
