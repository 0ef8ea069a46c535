#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "circuit/circuit.hpp"
#include "nodal.hpp"
#include "tilemodel/clusters.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Arithmetic;
using tilemodel::Form;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

ModelSpec closure(Arithmetic arithmetic, int block_rows = 32, int bins = 1, int references = 1) {
  ModelSpec spec;
  spec.form = Form::closure;
  spec.arithmetic = arithmetic;
  spec.block_rows = block_rows;
  spec.closure_bins = bins;
  spec.references = references;
  return spec;
}

Matrix charge_of(const ModelSpec& spec, const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes) {
  Matrix charge;
  TileModel(spec, tile, g).charge(codes, charge);
  return charge;
}

// Bounds of rounding, relative to the largest charge.
double rounding(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::float64 ? 1e-12 : 2e-6;
}

// A tall tile of the product's kind, few columns.
data::TileSpec tall_tile(Index rows, Index cols, double r_col_ohm) {
  data::TileSpec tile = data::tile_preset("pcm-14nm");
  tile.rows = rows;
  tile.cols = cols;
  tile.sense = data::SenseEnd::south;
  tile.r_col_ohm = r_col_ohm;
  return tile;
}

// One column of a pair: half of the cells idle at 0.1 uS.
Matrix pair_conductances(Index rows, Index cols) {
  const Matrix w = random_normal_matrix({51, Stream::weights}, rows, cols);
  return (0.1e-6 + 24.9e-6 * (w.array().max(0.0) / 2.6).min(1.0)).matrix();
}

// |normal| * scale with scale and density drawn anew for each vector: activations of a network.
IntMatrix activations(Index vectors, Index rows) {
  const RandomKey key{52, Stream::inputs};
  IntMatrix codes = IntMatrix::Zero(vectors, rows);
  for (Index v = 0; v < vectors; ++v) {
    const auto drawn = random_uniform4(key, static_cast<std::uint64_t>(v), 0, 1);
    const double scale = 0.1 + 0.5 * drawn[0], density = 0.1 + 0.9 * drawn[1];
    for (Index i = 0; i < rows; ++i) {
      const auto u = static_cast<std::uint64_t>(i), w = static_cast<std::uint64_t>(v);
      if (random_uniform(key, w, u, 2) < density)
        codes(v, i) = data::dac_code(std::abs(random_normal(key, w, u, 3)) * scale, 8);
    }
  }
  return codes;
}

struct LsbError {
  double rms, quantile_999;
};

// docs/theory.md: 1 LSB = 99.9 % quantile of the charges / 255.
LsbError lsb_error(const Matrix& charge, const Matrix& exact) {
  const auto quantile = [](const Matrix& m) {
    std::vector<double> all(m.data(), m.data() + m.size());
    for (double& value : all) value = std::abs(value);
    std::sort(all.begin(), all.end());
    return all[static_cast<std::size_t>(0.999 * static_cast<double>(all.size() - 1))];
  };
  const double lsb = quantile(exact) / 255.0;
  const Matrix error = charge - exact;
  return {std::sqrt(error.squaredNorm() / static_cast<double>(error.size())) / lsb, quantile(error) / lsb};
}

}  // namespace

TEST_CASE("with one row a block and one level of time the closure is the exact ladder for any columns",
          "[kernel]") {
  const auto arithmetic = GENERATE(Arithmetic::float64, Arithmetic::float32);
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  const int references = GENERATE(1, 3);
  data::TileSpec tile = nodal::small_tile(37, 21);
  tile.sense = sense;
  tile.sense_segment = 2.5;
  tile.r_sense_ohm = 80.0;
  tile.pulse.passes = data::Passes::bit_serial;  // one slot a pass
  const Matrix g = nodal::random_conductances(37, 21, 53);
  const IntMatrix codes = nodal::random_codes(7, 37, -7, 7, 54);
  const Matrix exact = charge_of(ModelSpec{}, tile, g, codes);
  CHECK(nodal::largest_difference(charge_of(closure(arithmetic, 1, 1, references), tile, g, codes), exact) <
        rounding(arithmetic));
  CHECK(nodal::largest_difference(exact, charge_of(closure(arithmetic, 8, 1, references), tile, g, codes)) >
        1e-5);
}

TEST_CASE("columns equal to their reference are exact where blocks hold one row and levels one code",
          "[kernel]") {
  const auto arithmetic = GENERATE(Arithmetic::float64, Arithmetic::float32);
  const int bins = GENERATE(1, 3);
  data::TileSpec tile = nodal::small_tile(40, 6);
  tile.sense = data::SenseEnd::alternate;
  tile.pulse.dac_bits = 6;
  const Matrix g = nodal::random_conductances(40, 1, 55).replicate(1, 6);
  const IntMatrix codes = nodal::random_codes(5, 40, -31, 31, 56);
  CHECK(nodal::largest_difference(charge_of(closure(arithmetic, 1, bins), tile, g, codes),
                                  charge_of(ModelSpec{}, tile, g, codes)) < rounding(arithmetic));
}

TEST_CASE("without wire resistance the closure is the ideal product, whatever its blocks and bins",
          "[kernel]") {
  const auto arithmetic = GENERATE(Arithmetic::float64, Arithmetic::float32);
  const int block_rows = GENERATE(1, 5, 32, 1000), bins = GENERATE(1, 2, 8), references = GENERATE(0, 4);
  data::TileSpec tile = tall_tile(75, 19, 0.0);
  const Matrix g = nodal::random_conductances(75, 19, 57);
  const IntMatrix codes = nodal::random_codes(9, 75, -127, 127, 58);
  const Matrix ideal = tile.v_read_volt * tile.pulse.t_lsb_s * (codes.cast<double>() * g);
  CHECK(nodal::largest_difference(charge_of(closure(arithmetic, block_rows, bins, references), tile, g, codes),
                                  ideal) < rounding(arithmetic));
}

TEST_CASE("uniform columns need no small blocks: what a block leaves out is of third order", "[order]") {
  // All rows on for the longest pulse.
  const data::TileSpec tile = tall_tile(512, 3, GENERATE(0.15, 1.0));
  const Matrix g = Matrix::Constant(512, 3, 10e-6);
  const IntMatrix codes = IntMatrix::Constant(1, 512, 127);
  const Matrix exact = charge_of(ModelSpec{}, tile, g, codes);
  const auto error = [&](int block_rows) {
    return nodal::largest_difference(charge_of(closure(Arithmetic::float64, block_rows), tile, g, codes),
                                     exact);
  };
  CHECK(error(1) < 1e-12);
  CHECK(error(32) < 5e-4);
  CAPTURE(error(8), error(16), error(32));
  CHECK(std::log2(error(32) / error(16)) > 1.9);
}

TEST_CASE("the fast kernel equals the reference kernel", "[kernel]") {
  struct Case {
    Index rows, cols, vectors;
    int dac_bits, block_rows, bins, references;
    data::Passes passes;
  };
  using enum data::Passes;
  const Case c = GENERATE(
      Case{512, 33, 13, 8, 32, 1, 1, conventional}, Case{512, 33, 8, 8, 64, 2, 1, conventional},
      Case{100, 40, 7, 8, 16, 3, 2, conventional}, Case{77, 16, 6, 8, 8, 8, 3, split},
      Case{31, 1, 1, 8, 7, 2, 1, bit_serial}, Case{1, 5, 2, 8, 32, 1, 1, conventional},
      Case{61, 50, 9, 4, 20, 2, 0, conventional}, Case{61, 20, 3, 11, 16, 2, 1, conventional},
      Case{300, 20, 5, 8, 1, 1, 1, conventional}, Case{90, 17, 129, 6, 33, 1, 2, conventional});
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  data::TileSpec tile = tall_tile(c.rows, c.cols, 5.0);
  tile.sense = sense;
  tile.r_sense_ohm = 30.0;
  tile.r_row_ohm = 1.0;
  tile.pulse.dac_bits = c.dac_bits;
  tile.pulse.passes = c.passes;
  const int most = data::max_code(c.dac_bits);
  const Matrix g = nodal::random_conductances(c.rows, c.cols, 59);
  const IntMatrix codes = nodal::random_codes(c.vectors, c.rows, -most / 3, most, 60);
  const ModelSpec spec = closure(Arithmetic::float32, c.block_rows, c.bins, c.references);
  ModelSpec reference = spec;
  reference.arithmetic = Arithmetic::float64;
  const Matrix expected = charge_of(reference, tile, g, codes);
  const TileModel model(spec, tile, g);
  tilemodel::Workspace workspace;
  Matrix fast;
  MatrixF single;
  model.charge(codes, fast, workspace);
  model.charge(codes, single, workspace);
  CHECK(nodal::largest_difference(fast, expected) < 2e-6);
  CHECK(nodal::largest_difference(Matrix(single.cast<double>()), expected) < 2e-6);
  if (c.passes != conventional) return;
  model.charge_continuous(codes.cast<double>(), fast, workspace);
  CHECK(nodal::largest_difference(fast, expected) < 2e-6);
  const Matrix lengths = 0.87 * codes.cast<double>();
  Matrix between;
  model.charge_continuous(lengths, fast, workspace);
  TileModel(reference, tile, g).charge_continuous(lengths, between, workspace);
  CHECK(nodal::largest_difference(fast, between) < 2e-6);
  CHECK(nodal::largest_difference(fast, expected) > 0.01);
}

// Bounds: the figures of docs/theory.md, "Closure", plus 15 %.
TEST_CASE("the closure's error against the exact ladder is what the documentation says", "[regression]") {
  struct Case {
    double r_col_ohm;
    int block_rows, bins;
    double rms_lsb, quantile_lsb;
  };
  const Case c = GENERATE(Case{0.15, 64, 1, 0.0106, 0.071}, Case{0.15, 32, 1, 0.0104, 0.064},
                          Case{0.15, 16, 1, 0.0103, 0.064}, Case{0.15, 8, 1, 0.0103, 0.064},
                          Case{0.15, 32, 2, 0.0050, 0.026}, Case{1.0, 64, 1, 0.056, 0.37},
                          Case{1.0, 32, 1, 0.056, 0.34}, Case{1.0, 32, 2, 0.028, 0.142},
                          Case{1.0, 32, 4, 0.0171, 0.070}, Case{20.0, 32, 1, 0.29, 1.45},
                          Case{20.0, 16, 1, 0.33, 1.45}, Case{20.0, 32, 2, 0.20, 1.0});
  const data::TileSpec tile = tall_tile(512, 48, c.r_col_ohm);
  const Matrix g = pair_conductances(512, 48);
  static const IntMatrix codes = activations(96, 512);
  const LsbError error =
      lsb_error(charge_of(closure(Arithmetic::float32, c.block_rows, c.bins), tile, g, codes),
                charge_of(ModelSpec{}, tile, g, codes));
  CAPTURE(c.r_col_ohm, c.block_rows, c.bins, error.quantile_999);
  CHECK(error.rms <= 1.15 * c.rms_lsb);
  CHECK(error.rms >= 0.6 * c.rms_lsb);
  CHECK(error.quantile_999 <= 1.3 * c.quantile_lsb);
}

TEST_CASE("half all-on and half all-off columns get a reference column each", "[property]") {
  data::TileSpec tile = tall_tile(512, 24, 0.15);
  tile.sense = data::SenseEnd::alternate;
  Matrix g = Matrix::Constant(512, 24, 0.1e-6);
  g.leftCols(12).setConstant(25e-6);
  const IntMatrix codes = activations(32, 512);
  const Matrix exact = charge_of(ModelSpec{}, tile, g, codes);
  const auto rms = [&](int references) {
    return lsb_error(charge_of(closure(Arithmetic::float32, 32, 1, references), tile, g, codes), exact).rms;
  };
  CHECK(rms(1) > 0.02);
  CHECK(rms(2) < 0.025);
  CHECK(rms(2) == Approx(rms(0)).margin(1e-9));
}

TEST_CASE("the closure's mesh load is what the row-wire factor misses on the full mesh", "[cross]") {
  // A tile whose row wires matter as much as its column wires; small enough for the circuit, with losses of a 512 x 512 one.
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  data::TileSpec tile = tall_tile(96, 64, 10.0);
  tile.sense = sense;
  tile.r_row_ohm = 15.0;
  tile.c_row_farad = tile.c_col_farad = 0.0;
  const Matrix g = pair_conductances(96, 64);
  const IntMatrix codes = activations(6, 96);
  const circuit::Crossbar crossbar(tile, g);
  circuit::ChargeOptions options;
  options.steady.tolerance = 1e-9;
  options.energy = false;
  Matrix exact(codes.rows(), tile.cols);
  for (Index v = 0; v < codes.rows(); ++v) {
    const auto result = circuit::solve_charge(crossbar, codes.row(v).transpose(), options);
    REQUIRE(result.status == circuit::Status::ok);
    exact.row(v) = result.charge_coulomb.transpose();
  }
  // On top of the exact ladder, so that what the closure coarsens does not blur it.
  const auto charge_with = [&](bool mesh_load) {
    ModelSpec spec = closure(Arithmetic::float64, 8, 4);
    spec.mesh_load = mesh_load;
    return charge_of(spec, tile, g, codes);
  };
  const Matrix ladder = charge_of(ModelSpec{}, tile, g, codes);
  const double without = lsb_error(ladder, exact).rms;
  const double with = lsb_error(ladder + charge_with(true) - charge_with(false), exact).rms;
  CAPTURE(without, with);
  CHECK(with < 0.7 * without);
}

TEST_CASE("clusters hold every column once, their centres are means, and random columns stay together",
          "[property]") {
  const int count = GENERATE(0, 1, 2, 5, 40);
  const Matrix g = nodal::random_conductances(64, 30, 61);
  const tilemodel::Clusters clusters = tilemodel::cluster_columns(g, 8, count);
  std::vector<int> seen(30, 0);
  for (std::size_t k = 0; k < clusters.members.size(); ++k) {
    Vector mean = Vector::Zero(64);
    for (const Index j : clusters.members[k]) {
      ++seen[static_cast<std::size_t>(j)];
      mean += g.col(j) / static_cast<double>(clusters.members[k].size());
    }
    CHECK((clusters.centre.row(static_cast<Index>(k)).transpose() - mean).norm() < 1e-15);
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  if (count == 0) CHECK(clusters.members.size() == 1);
  if (count > 0) CHECK(clusters.members.size() == std::min<std::size_t>(static_cast<std::size_t>(count), 30));
}

TEST_CASE("as many references as columns leave no difference to coarsen", "[kernel]") {
  const auto arithmetic = GENERATE(Arithmetic::float64, Arithmetic::float32);
  data::TileSpec tile = nodal::small_tile(30, 7);
  tile.pulse.dac_bits = 6;
  const Matrix g = nodal::random_conductances(30, 7, 62);
  const IntMatrix codes = nodal::random_codes(5, 30, -31, 31, 63);
  CHECK(nodal::largest_difference(charge_of(closure(arithmetic, 1, 1, 7), tile, g, codes),
                                  charge_of(ModelSpec{}, tile, g, codes)) < rounding(arithmetic));
}

TEST_CASE("charges stay finite and between nothing and the ideal product under any wire", "[property]") {
  const double r = GENERATE(1.0, 100.0, 1e4);
  const int bins = GENERATE(1, 4);
  const data::TileSpec tile = tall_tile(128, 10, r);
  Matrix g = Matrix::Constant(128, 10, 25e-6);
  for (Index j = 0; j < 10; ++j) g.col(j).head(12 * j).setConstant(0.0);
  const Matrix charge =
      charge_of(closure(Arithmetic::float32, 16, bins, 0), tile, g, IntMatrix::Constant(2, 128, 100));
  CHECK(charge.allFinite());
}

TEST_CASE("what the closure cannot model is refused with the field and the allowed values", "[error]") {
  const data::TileSpec tile = nodal::small_tile(8, 4);
  const Matrix g = nodal::random_conductances(8, 4, 64);
  data::TileSpec one_window = tile;
  one_window.pulse.sign = data::SignMode::bipolar;
  CHECK_THROWS_WITH(TileModel(closure(Arithmetic::float32), one_window, g), Catch::Contains("two-phase"));
  ModelSpec spec = closure(Arithmetic::float32, 0);
  CHECK_THROWS_WITH(TileModel(spec, tile, g), Catch::Contains("block_rows") && Catch::Contains("1024"));
  spec = closure(Arithmetic::float32, 8, 9);
  CHECK_THROWS_WITH(TileModel(spec, tile, g), Catch::Contains("closure_bins") && Catch::Contains("8"));
  spec = closure(Arithmetic::float32, 8, 1, -1);
  CHECK_THROWS_WITH(TileModel(spec, tile, g), Catch::Contains("references"));
}

TEST_CASE("a closure outside its validity says so, and what it says is its error", "[property]") {
  const Matrix g = pair_conductances(256, 24);
  const IntMatrix codes = activations(12, 256);
  const ModelSpec spec = closure(Arithmetic::float32);
  CHECK(tilemodel::warnings(spec, tall_tile(256, 24, 0.15), g, codes).empty());
  const data::TileSpec far = tall_tile(256, 24, 100.0);
  const auto list = tilemodel::warnings(spec, far, g, codes);
  REQUIRE(list.size() == 1);
  CHECK_THAT(list[0], Catch::Contains("closure") && Catch::Contains("12 vectors") && Catch::Contains("r_col 100 ohm"));
  const Matrix exact = charge_of(ModelSpec{}, far, g, codes), error = charge_of(spec, far, g, codes) - exact;
  const double rms = std::sqrt(error.squaredNorm() / static_cast<double>(error.size()));
  CHECK(tilemodel::distance_to_ladder(spec, far, g, codes) == Approx(255.0 * rms / exact.cwiseAbs().maxCoeff()).epsilon(1e-6));
  CHECK(tilemodel::distance_to_ladder(ModelSpec{}, far, g, codes) == 0.0);
  // Unlike columns forced into one reference.
  Matrix half = Matrix::Constant(256, 24, 0.1e-6);
  half.leftCols(12).setConstant(25e-6);
  CHECK(tilemodel::warnings(closure(Arithmetic::float32, 32, 1, 1), tall_tile(256, 24, 1.0), half, codes).size() == 1);
  CHECK(tilemodel::warnings(closure(Arithmetic::float32, 32, 1, 0), tall_tile(256, 24, 1.0), half, codes).empty());
  data::TileSpec level = tall_tile(256, 24, 1.0);
  level.drive = data::Drive::level;
  CHECK_THROWS_WITH(tilemodel::distance_to_ladder(ModelSpec{}, level, g, codes), Catch::Contains("gated"));
}
