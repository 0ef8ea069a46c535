#include "tilemodel/read_noise.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.hpp"
#include "core/random.hpp"
#include "device/short_noise.hpp"
#include "tilemodel/read_noise_kernels.hpp"

using namespace crosstile;
using namespace crosstile::tilemodel;

namespace {

data::TileSpec noise_tile(Index rows, Index cols) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = rows;
  tile.cols = cols;
  return tile;
}

// G+ of normal weights: half of the cells rest at g_min.
Matrix noise_conductances(const data::TileSpec& tile) {
  const Matrix w = random_normal_matrix({6, Stream::test, 1}, tile.rows, tile.cols) / 2.6;
  return tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * w.array().max(0.0).min(1.0);
}

// min(1, 0.35 |normal|) of full scale on 60 % of the rows.
IntMatrix noise_codes(const data::TileSpec& tile, Index vectors, std::uint32_t draw = 2) {
  const Matrix x = 0.35 * random_normal_matrix({6, Stream::test, draw}, vectors, tile.rows);
  const Matrix on = random_uniform_matrix({6, Stream::test, draw + 100}, vectors, tile.rows);
  return (on.array() < 0.6).select((x.array().abs().min(1.0) * 127.0).round(), 0.0).cast<int>();
}

ReadNoiseSpec pcm_noise() {
  const device::ShortNoise noise;
  return {noise.relative(), noise.g_offset_siemens, {}};
}

struct Moments {
  double sum = 0.0, squares = 0.0, count = 0.0;
  void add(double x) { sum += x, squares += x * x, count += 1.0; }
  double mean() const { return sum / count; }
  double five_errors() const { return 5.0 * std::sqrt((squares / count - mean() * mean()) / count); }
};

}  // namespace

TEST_CASE("Cell noise has its closed form's variance and correlation between products", "[tilemodel][statistics]") {
  auto tile = noise_tile(3, 2);
  const Matrix g = (Matrix(3, 2) << 5e-6, 0.0, 20e-6, 1e-6, 10e-6, 25e-6).finished();
  const IntMatrix codes = (IntMatrix(2, 3) << 40, 127, -9, 12, -127, 60).finished();
  const double lag = 300e-9;
  const CellReadNoise any(tile, g, pcm_noise(), 1, 0);
  const Matrix variance = any.variance(codes), covariance = any.covariance(codes.row(0), codes.row(1), lag);
  Moments first, second, product;
  for (std::uint32_t number = 0; number < 3000; ++number) {
    const CellReadNoise noise(tile, g, pcm_noise(), 1, number);
    Matrix charge = Matrix::Zero(2, 2);
    noise.add(codes, 2e-6, lag, charge);
    first.add(charge(0, 0) * charge(0, 0));
    second.add(charge(1, 1) * charge(1, 1));
    product.add(charge(0, 0) * charge(1, 0));
  }
  CHECK(std::abs(first.mean() - variance(0, 0)) < first.five_errors());
  CHECK(std::abs(second.mean() - variance(1, 1)) < second.five_errors());
  CHECK(std::abs(product.mean() - covariance(0, 0)) < product.five_errors());
  CHECK(product.five_errors() < 0.8 * std::abs(covariance(0, 0)));
}

TEST_CASE("Exact column variances are those of the cells; near ones are inside the tolerance", "[tilemodel][cross]") {
  const auto tile = noise_tile(300, 150);
  const Matrix g = noise_conductances(tile);
  const IntMatrix codes = noise_codes(tile, 12);
  const Matrix expected = CellReadNoise(tile, g, pcm_noise(), 1, 0).variance(codes);
  ColumnNoiseOptions options{.variances = Variances::exact};
  const Matrix exact = ColumnReadNoise(tile, g, pcm_noise(), options).variance(codes);
  CHECK((exact.array() / expected.array() - 1.0).abs().maxCoeff() < 1e-5);
  options.variances = Variances::near;
  double before = 0.0;
  for (const double tolerance : {0.01, 0.03, 0.2}) {
    options.tolerance = tolerance;
    const Array error = ColumnReadNoise(tile, g, pcm_noise(), options).variance(codes).array() / expected.array() - 1.0;
    const double rms = std::sqrt(error.square().mean());
    INFO("tolerance " << tolerance << ", found " << rms);
    CHECK(rms < tolerance + 0.003);  // the bytes' own rounding
    CHECK(rms > before);
    CHECK(std::abs(error.mean()) < 0.2 * tolerance + 0.003);
    before = rms;
  }
}

TEST_CASE("Structured rows and columns are followed by their factors", "[tilemodel][property]") {
  const auto tile = noise_tile(200, 128);
  Matrix g(tile.rows, tile.cols);
  for (Index i = 0; i < tile.rows; ++i)  // (G + g_0)^2 is a product of a row and a column factor
    for (Index j = 0; j < tile.cols; ++j)
      g(i, j) = (i % 10 == 0 ? 3.0 : 1.2) * (1.0 + 0.01 * static_cast<double>(j)) * 4.49359e-6 - 4.49359e-6;
  const IntMatrix codes = noise_codes(tile, 6);
  const Matrix expected = CellReadNoise(tile, g, pcm_noise(), 1, 0).variance(codes);
  const ColumnReadNoise columns(tile, g, pcm_noise(), {.tolerance = 0.5});
  CHECK((columns.variance(codes).array() / expected.array() - 1.0).abs().maxCoeff() < 0.02);
}

TEST_CASE("Column noise has the variance and the time correlation of the cells, over five decades", "[tilemodel][statistics]") {
  // The same input at every product; 512 columns are 512 independent realisations, products 100 apart are averaged too.
  const auto tile = noise_tile(40, 512);
  const Matrix g = noise_conductances(tile);
  const IntMatrix one = noise_codes(tile, 1);
  const CellReadNoise cells(tile, g, pcm_noise(), 1, 0);
  const ColumnReadNoise columns(tile, g, pcm_noise(), {.variances = Variances::exact, .typical_codes = one});
  const Vector variance = cells.variance(one).row(0);
  const double period = product_time_s(tile);
  constexpr Index kBatch = 1000, kBatches = 120;
  const IntMatrix codes = one.replicate(kBatch, 1);
  ColumnReadNoise::State state;
  const std::vector<Index> lags{0, 1, 3, 10, 100, 1000, 10000, 100000};
  MatrixF all(kBatch * kBatches / 100 + 200, tile.cols);
  std::vector<Matrix> kept;  // the first 20 products of every batch, over their standard deviation
  for (Index b = 0; b < kBatches; ++b) {
    MatrixF charge = MatrixF::Zero(kBatch, tile.cols);
    columns.add(codes, charge, state);
    kept.push_back((charge.topRows(120).cast<double>().array().rowwise() / variance.transpose().array().sqrt()).matrix());
  }
  for (const Index lag : lags) {
    double expected = lag == 0 ? 1.0 : 0.0;
    if (lag > 0) expected = (cells.covariance(one, one, static_cast<double>(lag) * period).row(0).transpose().array() / variance.array()).mean();
    Vector mean_of_column = Vector::Zero(tile.cols);  // columns are independent: the error comes from their scatter
    double count = 0.0;
    for (Index n = 0; n < kBatches * kBatch; n += 251) {
      const Index m = n + lag;
      if (m >= kBatches * kBatch || n % kBatch >= 120 || m % kBatch >= 120) continue;
      mean_of_column += kept[static_cast<std::size_t>(n / kBatch)].row(n % kBatch).cwiseProduct(kept[static_cast<std::size_t>(m / kBatch)].row(m % kBatch)).transpose();
      count += 1.0;
    }
    REQUIRE(count > 5.0);
    mean_of_column /= count;
    const double mean = mean_of_column.mean();
    const double five = 5.0 * std::sqrt((mean_of_column.array() - mean).square().mean() / static_cast<double>(tile.cols));
    INFO("lag " << lag << ": " << mean << " for " << expected << " +- " << five / 5.0);
    CHECK(std::abs(mean - expected) < five + 0.01);
    CHECK(five < 0.1);
    CHECK(columns.correlation(one.row(0), lag) == Approx(expected).margin(0.01));
  }
}

TEST_CASE("Changing inputs are correlated by what they have in common", "[tilemodel][statistics]") {
  const auto tile = noise_tile(60, 256);
  const Matrix g = noise_conductances(tile);
  const IntMatrix codes = noise_codes(tile, 400);
  const ColumnReadNoise columns(tile, g, pcm_noise(), {.variances = Variances::exact, .typical_codes = codes});
  const CellReadNoise cells(tile, g, pcm_noise(), 1, 0);
  const double period = product_time_s(tile);
  const Matrix variance = cells.variance(codes);
  Moments found, expected;
  double same = 0.0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const ColumnReadNoise noise(tile, g, pcm_noise(), {.variances = Variances::exact, .typical_codes = codes, .seed = seed});
    ColumnReadNoise::State state;
    MatrixF charge = MatrixF::Zero(codes.rows(), tile.cols);
    noise.add(codes, charge, state);
    for (Index v = 0; v + 20 < codes.rows(); v += 20) {
      const Matrix covariance = cells.covariance(codes.row(v), codes.row(v + 20), 20.0 * period);
      double mean = 0.0;
      for (Index j = 0; j < tile.cols; ++j) {
        const double norm = std::sqrt(variance(v, j) * variance(v + 20, j));
        mean += double(charge(v, j)) * double(charge(v + 20, j)) / norm / static_cast<double>(tile.cols);
        expected.add(covariance(0, j) / norm);
      }
      found.add(mean);
      same += columns.correlation(codes.row(v), 20) / 76.0;
    }
  }
  INFO("found " << found.mean() << " expected " << expected.mean());
  CHECK(std::abs(found.mean() - expected.mean()) < found.five_errors() + 0.01);
  CHECK(found.five_errors() < 0.1);
  CHECK(expected.mean() < 0.7 * ColumnReadNoise(tile, g, pcm_noise(), {}).correlation(codes.row(0), 20));  // far from one input repeated
}

TEST_CASE("Noise does not depend on how products are batched, and neither on the instruction set", "[tilemodel][kernel]") {
  const auto tile = noise_tile(70, 200);
  const Matrix g = noise_conductances(tile);
  const IntMatrix codes = noise_codes(tile, 77);
  for (const Variances variances : {Variances::exact, Variances::near}) {
    const ColumnNoiseOptions options{.variances = variances, .tolerance = 0.05, .seed = 77, .tile_number = 5};
    ColumnReadNoise noise(tile, g, pcm_noise(), options);
    ColumnReadNoise::State whole, parts, base;
    MatrixF at_once = MatrixF::Zero(77, 200), in_parts = at_once, portable = at_once;
    noise.add(codes, at_once, whole);
    for (Index begin = 0, size = 1; begin < 77; begin += size, size = size * 2 + 1) {
      const Index rows = std::min(size, 77 - begin);
      MatrixF part = MatrixF::Zero(rows, 200);
      noise.add(codes.middleRows(begin, rows), part, parts);
      in_parts.middleRows(begin, rows) = part;
    }
    CHECK(at_once == in_parts);
    noise.use_base_kernel();
    CHECK(std::string(noise.kernel()) == "base");
    noise.add(codes, portable, base);
    CHECK((portable - at_once).cwiseAbs().maxCoeff() < 2e-3f * at_once.cwiseAbs().maxCoeff());
    CHECK(ColumnReadNoise(tile, g, pcm_noise(), {.variances = variances, .seed = 78}).kernel() != nullptr);
  }
}

TEST_CASE("New parts of the noise are normal, and columns and products independent", "[tilemodel][statistics]") {
  // White noise only: every product is new.
  const auto tile = noise_tile(1, 512);
  const Matrix g = Matrix::Constant(1, 512, 10e-6);
  const ReadNoiseSpec white{{{}, 1e-12}, 0.0, {}};
  const ColumnReadNoise noise(tile, g, white, {.variances = Variances::exact});
  const IntMatrix codes = IntMatrix::Constant(600, 1, 100);
  ColumnReadNoise::State state;
  MatrixF charge = MatrixF::Zero(600, 512);
  noise.add(codes, charge, state);
  const Array z = charge.cast<double>().array() / std::sqrt(noise.variance(codes)(0, 0));
  const double n = static_cast<double>(z.size());
  CHECK(std::abs(z.mean()) < 5.0 / std::sqrt(n));
  CHECK(std::abs(z.square().mean() - 1.0) < 5.0 * std::sqrt(2.0 / n));
  CHECK(std::abs(z.cube().mean()) < 5.0 * std::sqrt(15.0 / n));
  CHECK(std::abs(z.square().square().mean() - 3.0) < 5.0 * std::sqrt(96.0 / n));
  const auto share_beyond = [&](double limit) { return static_cast<double>((z.abs() > limit).count()) / n; };
  for (const double limit : {0.5, 1.0, 2.0, 3.0, 4.0}) {
    const double expected = std::erfc(limit / std::sqrt(2.0));
    CHECK(std::abs(share_beyond(limit) - expected) < 5.0 * std::sqrt(expected / n));
  }
  const auto product = [&](Index down, Index right) {
    return (z.block(0, 0, 600 - down, 512 - right) * z.block(down, right, 600 - down, 512 - right)).mean();
  };
  for (const auto& [down, right] : {std::pair<Index, Index>{1, 0}, {0, 1}, {0, 16}, {0, 32}, {0, 128}, {4, 0}, {3, 16}})
    CHECK(std::abs(product(down, right)) < 5.0 / std::sqrt(n * 0.7));
}

TEST_CASE("Idle products have no noise, and open cells none either", "[tilemodel][property]") {
  const auto tile = noise_tile(8, 130);
  const IntMatrix idle = IntMatrix::Zero(5, 8), busy = IntMatrix::Constant(5, 8, 100);
  for (const Variances variances : {Variances::exact, Variances::near}) {
    ColumnReadNoise::State state;
    MatrixF charge = MatrixF::Zero(5, 130);
    const ColumnReadNoise noise(tile, Matrix::Constant(8, 130, 5e-6), pcm_noise(), {.variances = variances});
    noise.add(idle, charge, state);
    CHECK(charge.cwiseAbs().maxCoeff() < 2e-23f);
    const ColumnReadNoise open(tile, Matrix::Zero(8, 130), pcm_noise(), {.variances = variances});
    ColumnReadNoise::State other;
    open.add(busy, charge, other);
    CHECK(charge.cwiseAbs().maxCoeff() < 2e-23f);
    noise.add(busy, charge, state);
    CHECK(charge.cwiseAbs().minCoeff() > 0.0f);
  }
}

TEST_CASE("Read noise refuses bad input by name", "[tilemodel][error]") {
  auto tile = noise_tile(4, 3);
  const Matrix g = Matrix::Constant(4, 3, 5e-6);
  CHECK_THROWS_WITH(ColumnReadNoise(tile, Matrix::Zero(3, 3), pcm_noise()), Catch::Contains("g_siemens is 3 x 3") && Catch::Contains("4 x 3"));
  CHECK_THROWS_WITH(ColumnReadNoise(tile, -g, pcm_noise()), Catch::Contains("g_siemens(0, 0) = -5e-06"));
  CHECK_THROWS_WITH(ColumnReadNoise(tile, g, pcm_noise(), {.tolerance = 0.0}), Catch::Contains("tolerance = 0"));
  CHECK_THROWS_WITH(ColumnReadNoise(tile, g, pcm_noise(), {.period_s = 0.0}), Catch::Contains("period_s = 0"));
  device::SpectrumShape shape;
  shape.corner_low_hz = 1e-6;
  CHECK_THROWS_WITH(ColumnReadNoise(tile, g, {make_spectrum(shape), 0.0, {}}), Catch::Contains("corners_per_decade"));
  const ColumnReadNoise noise(tile, g, pcm_noise());
  ColumnReadNoise::State state;
  MatrixF charge = MatrixF::Zero(2, 3);
  CHECK_THROWS_WITH(noise.add(IntMatrix::Zero(2, 3), charge, state), Catch::Contains("codes have 3 columns"));
  CHECK_THROWS_WITH(noise.add(IntMatrix::Constant(2, 4, 128), charge, state), Catch::Contains("pulse code = 128"));
  CHECK_THROWS_WITH(noise.add(IntMatrix::Zero(3, 4), charge, state), Catch::Contains("differ in shape"));
  noise.add(IntMatrix::Zero(2, 4), charge, state);
  const ColumnReadNoise wide(noise_tile(4, 300), Matrix::Constant(4, 300, 5e-6), pcm_noise());
  MatrixF wide_charge = MatrixF::Zero(2, 300);
  CHECK_THROWS_WITH(wide.add(IntMatrix::Zero(2, 4), wide_charge, state), Catch::Contains("another tile"));
  tile.pulse.passes = data::Passes::split;
  CHECK_THROWS_WITH(ColumnReadNoise(tile, g, pcm_noise()), Catch::Contains("conventional"));
  const CellReadNoise cells(noise_tile(4, 3), g, pcm_noise(), 1, 0);
  CHECK_THROWS_WITH(cells.covariance(IntMatrix::Zero(1, 4), IntMatrix::Zero(1, 4), 1e-9), Catch::Contains("lag_s = 1e-09"));
}
