// Read noise of the tile model against conductance traces through the full circuit.
#include <catch2/catch.hpp>
#include <cmath>

#include "circuit/conductance_noise.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "device/short_noise.hpp"
#include "tilemodel/read_noise.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;

namespace {

data::TileSpec gated_tile(Index rows, Index cols, double r_col_ohm) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = rows;
  tile.cols = cols;
  tile.r_col_ohm = r_col_ohm;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  tile.pulse.dac_bits = 5;
  tile.pulse.t_lsb_s = 8e-9;
  tile.pulse.t_settle_s = 8e-9;
  return tile;
}

Matrix drawn_conductances(const data::TileSpec& tile) {
  return 0.1e-6 + 24.9e-6 * random_uniform_matrix({12, Stream::test, 0}, tile.rows, tile.cols).array();
}

IntMatrix drawn_codes(const data::TileSpec& tile, Index vectors) {
  return (31.0 * random_uniform_matrix({12, Stream::test, 1}, vectors, tile.rows).array() - 15.5).round().cast<int>();
}

const device::ShortNoise kPcm;
const device::TraceGrid kGrid{.tick_s = 1e-9, .root_s = 1e-6};

Vector noisy_charge(const circuit::Crossbar& crossbar, const device::RandomAccessNoise& noise, const IntVector& codes, double begin_s,
                    std::uint32_t number) {
  circuit::ChargeOptions options;
  options.energy = false;
  options.trace = circuit::conductance_noise(
      crossbar, noise,
      {.g_offset_siemens = kPcm.g_offset_siemens, .step_s = 8e-9, .begin_s = begin_s, .seed = 3, .tile_number = number});
  const auto result = circuit::solve_charge(crossbar, codes, options);
  REQUIRE(result.status == circuit::Status::ok);
  return result.charge_coulomb;
}

Vector quiet_charge(const circuit::Crossbar& crossbar, const IntVector& codes) { return circuit::solve_charge(crossbar, codes).charge_coulomb; }

}  // namespace

TEST_CASE("Without wires, cell noise is the circuit's with the same traces, product after product", "[noise][cross]") {
  const auto tile = gated_tile(6, 5, 0.0);
  const Matrix g = drawn_conductances(tile);
  const circuit::Crossbar crossbar(tile, g);
  const device::RandomAccessNoise noise(kPcm.relative(), kGrid);
  const tilemodel::CellReadNoise cells(tile, g, {kPcm.relative(), kPcm.g_offset_siemens}, 3, 7, kGrid);
  const IntMatrix codes = drawn_codes(tile, 3);
  const double period = 1000e-9;
  Matrix expected = Matrix::Zero(3, 5);
  cells.add(codes, 5e-6, period, expected);
  for (Index v = 0; v < 3; ++v) {
    const Vector charge = noisy_charge(crossbar, noise, codes.row(v), 5e-6 + static_cast<double>(v) * period, 7);
    const Vector found = charge - quiet_charge(crossbar, codes.row(v));
    CHECK((found.transpose() - expected.row(v)).cwiseAbs().maxCoeff() < 1e-9 * charge.cwiseAbs().maxCoeff());
    CHECK(expected.row(v).cwiseAbs().maxCoeff() > 1e-3 * charge.cwiseAbs().maxCoeff());
  }
}

TEST_CASE("With wires, cell noise follows the circuit through the model's derivative", "[noise][cross]") {
  auto tile = gated_tile(24, 4, 60.0);
  tile.sense = data::SenseEnd::south;
  const Matrix g = drawn_conductances(tile);
  const circuit::Crossbar crossbar(tile, g);
  const device::RandomAccessNoise noise(kPcm.relative(), kGrid);
  const IntMatrix codes = drawn_codes(tile, 1).cwiseAbs();
  // The ladder's dQ/dG, over v_read t: what wires leave of a cell's current.
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ladder;
  const tilemodel::TileModel model(spec, tile, g);
  tilemodel::Gradient gradient;
  tilemodel::Workspace workspace;
  model.gradient(codes.cast<double>(), Matrix::Ones(1, 4), gradient, workspace);
  Matrix sensitivity = Matrix::Zero(24, 4);
  for (Index i = 0; i < 24; ++i)
    if (codes(0, i) > 0) sensitivity.row(i) = gradient.g_siemens.row(i) / (tile.v_read_volt * codes(0, i) * tile.pulse.t_lsb_s);
  double error = 0.0, size = 0.0, plain = 0.0;
  for (std::uint32_t number = 0; number < 8; ++number) {
    const Vector found = noisy_charge(crossbar, noise, codes.row(0), 0.0, number) - quiet_charge(crossbar, codes.row(0));
    Matrix expected = Matrix::Zero(1, 4), ideal = Matrix::Zero(1, 4);
    tilemodel::CellReadNoise(tile, g, {kPcm.relative(), kPcm.g_offset_siemens, sensitivity}, 3, number, kGrid).add(codes, 0.0, 0.0, expected);
    tilemodel::CellReadNoise(tile, g, {kPcm.relative(), kPcm.g_offset_siemens}, 3, number, kGrid).add(codes, 0.0, 0.0, ideal);
    error += (found.transpose() - expected).squaredNorm();
    plain += (found.transpose() - ideal).squaredNorm();
    size += found.squaredNorm();
  }
  CHECK(std::sqrt(error / size) < 0.05);
  CHECK(plain > 9.0 * error);  // the wire matters
}

TEST_CASE("Column noise has the mean, variance and product-to-product correlation of traces through the circuit", "[noise][statistics]") {
  const auto tile = gated_tile(4, 8, 1.0);
  const Matrix g = drawn_conductances(tile);
  const circuit::Crossbar crossbar(tile, g);
  const device::RandomAccessNoise noise(kPcm.relative(), kGrid);
  const IntMatrix codes = drawn_codes(tile, 1).cwiseAbs();
  const double period = tilemodel::product_time_s(tile);
  const tilemodel::ColumnReadNoise columns(
      tile, g, {kPcm.relative(), kPcm.g_offset_siemens},
      {.variances = tilemodel::Variances::exact, .period_s = period, .typical_codes = codes});
  const Vector sigma = columns.variance(codes).row(0).transpose().cwiseSqrt(), quiet = quiet_charge(crossbar, codes.row(0));
  constexpr Index kChips = 80;
  constexpr double kSamples = static_cast<double>(kChips * 8);  // cells and chips are independent
  double mean = 0.0, square = 0.0, next = 0.0, later = 0.0;
  for (std::uint32_t number = 0; number < kChips; ++number) {
    const auto noise_at = [&](int product) {
      return ((noisy_charge(crossbar, noise, codes.row(0), product * period, number) - quiet).array() / sigma.array()).eval();
    };
    const Eigen::ArrayXd first = noise_at(0), second = noise_at(1), third = noise_at(5);
    mean += first.sum() / kSamples;
    square += first.square().sum() / kSamples;
    next += (first * second).sum() / kSamples;
    later += (first * third).sum() / kSamples;
  }
  CHECK(std::abs(mean) < 5.0 / std::sqrt(kSamples));
  CHECK(std::abs(square - 1.0) < 5.0 * std::sqrt(2.0 / kSamples));
  CHECK(std::abs(next - columns.correlation(codes.row(0), 1)) < 5.0 * std::sqrt(2.0 / kSamples));
  CHECK(std::abs(later - columns.correlation(codes.row(0), 5)) < 5.0 * std::sqrt(1.1 / kSamples));
  CHECK(columns.correlation(codes.row(0), 1) > 5.0 * std::sqrt(2.0 / kSamples));  // the bound can fail
}

TEST_CASE("Conductance noise refuses bad options by name", "[noise][error]") {
  const auto tile = gated_tile(2, 2, 0.0);
  const circuit::Crossbar crossbar(tile, drawn_conductances(tile));
  const device::RandomAccessNoise noise(kPcm.relative(), kGrid);
  CHECK_THROWS_WITH(circuit::conductance_noise(crossbar, noise, {.step_s = 1e-10}), Catch::Contains("step_s = 1e-10"));
  CHECK_THROWS_WITH(circuit::conductance_noise(crossbar, noise, {.begin_s = -1.0}), Catch::Contains("begin_s = -1"));
}
