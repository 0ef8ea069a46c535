#include <catch2/catch.hpp>
#include <cmath>

#include "nn/analog_product.hpp"

using namespace crosstile;
using namespace crosstile::nn;

namespace {

const BulkKey kKey = bulk_key({4, Stream::test, 1});

AnalogIo quiet() {
  AnalogIo io;
  io.output_noise = 0.0;
  return io;
}

MatrixF run(const AnalogIo& io, const MatrixF& x, const MatrixF& w, std::uint64_t step = 0, int threads = 1) {
  MatrixF y(x.rows(), w.cols());
  AnalogProduct(io, kKey).run(x, w, step, threads, y);
  return y;
}

MatrixF drawn(Index rows, Index cols, std::uint32_t number) {
  return random_normal_matrix({6, Stream::test, number}, rows, cols).cast<float>();
}

}  // namespace

TEST_CASE("Without noise the error is at most half a level of each converter", "[nn][property]") {
  const MatrixF x = 3.0F * drawn(20, 30, 1), w = 0.2F * drawn(30, 12, 2);
  const MatrixF y = run(quiet(), x, w);
  double largest = 0.0;
  for (Index s = 0; s < 20; ++s) {
    const double scale = x.row(s).cwiseAbs().maxCoeff();
    for (Index j = 0; j < 12; ++j) {
      const double exact = x.row(s).cast<double>().dot(w.col(j).cast<double>());
      const double bound = scale * (w.col(j).cwiseAbs().sum() / 126.0 + 12.0 / 510.0);
      CHECK(std::abs(y(s, j) - exact) < 1.0001 * bound);
      largest = std::max(largest, std::abs(y(s, j) - exact) / bound);
      const double levels = y(s, j) / scale / (12.0 / 255.0);
      CHECK(levels == Approx(std::round(levels)).margin(1e-3));
    }
  }
  CHECK(largest > 0.2);
  AnalogIo open = quiet();
  open.dac_bits = open.adc_bits = 0;
  CHECK((run(open, x, w) - x * w).cwiseAbs().maxCoeff() < 1e-4F);
  open.is_exact = true;
  CHECK((run(open, x, w) - x * w).cwiseAbs().maxCoeff() < 1e-5F);
}

TEST_CASE("The DAC and the ADC have 2^bits - 1 levels and clip", "[nn][kat]") {
  AnalogIo io = quiet();
  io.noise_management = io.bound_management = false;
  io.dac_bits = 3;  // levels 0, 1/3, 2/3, 1
  io.adc_bits = 0;
  MatrixF x(5, 1);
  x << 0.1F, 0.2F, -0.6F, 5.0F, -5.0F;
  const MatrixF one = MatrixF::Ones(1, 1);
  MatrixF y = run(io, x, one);
  CHECK(y(0) == 0.0F);
  CHECK(y(1) == Approx(1.0 / 3.0));
  CHECK(y(2) == Approx(-2.0 / 3.0));
  CHECK(y(3) == 1.0F);
  CHECK(y(4) == -1.0F);
  io.adc_bits = 2;  // levels -2, 0, 2
  io.adc_bound = 2.0;
  y = run(io, x, 4.0F * one);
  CHECK(y(1) == 2.0F);  // DAC 1/3, product 4/3: nearer to 2 than to 0
  CHECK(y(3) == 2.0F);
  CHECK(y(4) == -2.0F);
}

TEST_CASE("Output noise has the deviation it says", "[nn][statistics]") {
  const Index samples = 400, outputs = 40;
  AnalogIo io = quiet();
  io.output_noise = 0.3;
  io.adc_bits = 0;
  MatrixF x = MatrixF::Zero(samples, 2);
  x.col(0).setConstant(2.0F);
  x.col(1).setConstant(1.0F);
  const MatrixF w = MatrixF::Zero(2, outputs);
  const double count = static_cast<double>(samples * outputs);
  const auto check = [&](double expected) {
    const MatrixF y = run(io, x, w);
    const double deviation = std::sqrt(y.cast<double>().squaredNorm() / count);
    CHECK(std::abs(deviation / expected - 1.0) < 5.0 * std::sqrt(0.5 / count));
    CHECK(std::abs(y.cast<double>().mean()) < 5.0 * expected / std::sqrt(count));
  };
  check(0.3 * 2.0);  // in units of the normalised output: times max |x|
  io.noise_kind = OutputNoise::input_norm;
  // |x| times the noise; the DAC's level nearest to 0.5 is 32/63
  check(0.3 * 2.0 * std::hypot(1.0, 32.0 / 63.0));
}

TEST_CASE("Bound management repeats until nothing is clipped", "[nn][property]") {
  AnalogIo io = quiet();
  MatrixF x(2, 100), w = MatrixF::Constant(100, 3, 0.5F);
  x.row(0).setConstant(1.0F);  // product 50, the ADC ends at 12: halved three times
  x.row(1).setZero();
  x(1, 0) = 4.0F;  // product 2: nothing to do
  MatrixF y = run(io, x, w);
  // Three halvings: the ADC's half level and the DAC's, times 8.
  CHECK(y(0, 0) == Approx(50.0).margin(8.0 * (50.0 / 126.0 + 12.0 / 510.0)));
  CHECK(y(1, 0) == Approx(2.0).margin(4.0 * (0.5 / 126.0 + 12.0 / 510.0)));
  io.bound_management = false;
  y = run(io, x, w);
  CHECK(y(0, 0) == Approx(12.0));
  io.bound_management = true;
  io.most_halvings = 1;
  CHECK(run(io, x, w)(0, 0) == Approx(24.0));
}

TEST_CASE("Noise depends on step and sample, not on threads or neighbours", "[nn][identity]") {
  AnalogIo io;
  const MatrixF x = drawn(30, 20, 1).cwiseAbs(), w = drawn(20, 33, 2);  // some outputs are clipped at first
  const MatrixF y = run(io, x, w, 5);
  CHECK(run(io, x, w, 5, 3) == y);
  CHECK(run(io, x.topRows(7), w, 5) == y.topRows(7));
  CHECK(run(io, x, w, 6) != y);
  MatrixF back(30, 20);
  AnalogProduct(io, kKey).run_transposed(y, w, 5, 2, back);
  CHECK(back == run(io, y, w.transpose(), 5));
}

TEST_CASE("Zero inputs give zero, and NaN stays NaN", "[nn][property]") {
  MatrixF x = MatrixF::Zero(3, 4);
  x(1, 2) = std::nanf("");
  x(2, 2) = 1.0F;
  const MatrixF y = run(AnalogIo{}, x, MatrixF::Ones(4, 2));
  CHECK(y.row(0).isZero(0.0));
  CHECK(std::isnan(y(1, 0)));
  CHECK(y(2, 0) == Approx(1.0).margin(0.5));
}

TEST_CASE("Inputs too small for a reciprocal in float32 are converted like any others", "[nn][regression]") {
  MatrixF x = drawn(3, 8, 11);
  x(0, 0) = x(2, 5) = 0.0F;
  const MatrixF w = 0.2F * drawn(8, 5, 12);
  const float tiny = 1e-39F;  // 1 / tiny is infinite
  const MatrixF small = run(quiet(), tiny * x, w), whole = run(quiet(), x, w);
  REQUIRE(small.allFinite());
  const float level = x.cwiseAbs().maxCoeff() * 12.0F / 255.0F;  // rounding may fall to the other side
  CHECK((small / tiny - whole).cwiseAbs().maxCoeff() < 1.01F * level);
  CHECK(small.cwiseAbs().maxCoeff() > 0.0F);
}
