#include "tilemodel/ladder_fast.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "nodal.hpp"
#include "tilemodel/closure_kernels.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Arithmetic;
using tilemodel::Ladder;
using tilemodel::LadderFast;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

ModelSpec ladder_in(Arithmetic arithmetic) {
  ModelSpec spec;
  spec.arithmetic = arithmetic;
  return spec;
}

Matrix tile_charge(Arithmetic arithmetic, const data::TileSpec& tile, const Matrix& g,
                   const IntMatrix& codes) {
  Matrix charge;
  TileModel(ladder_in(arithmetic), tile, g).charge(codes, charge);
  return charge;
}

std::vector<const tilemodel::kernels::LadderTable*> ladder_tables() {
  std::vector<const tilemodel::kernels::LadderTable*> tables{&tilemodel::kernels::ladder_table_base()};
  if (tilemodel::kernels::has_avx512()) tables.push_back(&tilemodel::kernels::ladder_table_avx512());
  return tables;
}

// Largest error of every kernel over the largest charge; lengths: vectors x rows.
double kernel_error(const data::TileSpec& tile, const Matrix& g, const Matrix& lengths) {
  std::vector<Index> columns(static_cast<std::size_t>(g.cols()));
  std::iota(columns.begin(), columns.end(), Index{0});
  const Ladder ladder(tilemodel::ColumnWire(tile), tilemodel::Panels(g, columns));
  REQUIRE(LadderFast::fits(ladder));
  double largest = 0.0;
  for (const auto* table : ladder_tables()) {
    const LadderFast fast(ladder, *table);
    LadderFast::Scratch scratch;
    tilemodel::Schedule schedule;
    Matrix exact(lengths.rows(), ladder.conductances().padded_cols()), charge(lengths.rows(), g.cols());
    for (Index v = 0; v < lengths.rows(); ++v) {
      ladder.charge(lengths.data() + v * lengths.cols(), false, exact.data() + v * exact.cols(), schedule);
      fast.charge(lengths.data() + v * lengths.cols(), charge.data() + v * charge.cols(), scratch);
    }
    largest = std::max(largest, nodal::largest_difference(charge, exact.leftCols(g.cols())));
  }
  return largest;
}

// Two multiply-adds a row and some ten operations at the end, each rounded to 2^-24 (standard deviation 1 /
// sqrt(3) of that), errors independent: five standard deviations.
double rounding_bound(Index rows) {
  return 5.0 * std::sqrt(2.0 * static_cast<double>(rows) + 10.0) * std::ldexp(1.0, -24) / std::sqrt(3.0);
}

}  // namespace

TEST_CASE("both float32 ladder kernels follow the double one, for sizes that fill neither panels nor groups",
          "[kernel]") {
  const Index rows = GENERATE(1, 2, 9, 40, 130), cols = GENERATE(1, 23, 25, 64, 70);
  const int ends = GENERATE(1, 2, 5, 8, 9, 10, 11, 17, 100);
  data::TileSpec tile = nodal::small_tile(rows, cols);
  tile.r_col_ohm = 20.0;
  const Matrix g = nodal::random_conductances(rows, cols, 1);
  CHECK(
      kernel_error(tile, g, nodal::random_codes(3, rows, 0, ends, 2).cast<double>() + Matrix::Ones(3, rows)) <
      rounding_bound(rows));
}

TEST_CASE("the float32 ladder follows the double one for every wire end and at any drop", "[kernel]") {
  struct Case {
    double r_col, segment, r_sense;
  };
  const Case c =
      GENERATE(Case{0.0, 1.0, 0.0}, Case{0.0, 1.0, 4000.0}, Case{0.15, 1.0, 0.0}, Case{1.0, 0.0, 0.0},
               Case{20.0, 2.75, 90.0}, Case{180.0, 0.5, 50.0}, Case{3000.0, 1.0, 0.0});
  data::TileSpec tile = nodal::small_tile(128, 30);
  tile.r_col_ohm = c.r_col;
  tile.sense_segment = c.segment;
  tile.r_sense_ohm = c.r_sense;
  Matrix g = nodal::random_conductances(128, 30, 3);
  g.row(5).setZero();
  g.col(7).setZero();
  CHECK(kernel_error(tile, g, nodal::random_codes(4, 128, 1, 60, 4).cast<double>()) < rounding_bound(128));
}

TEST_CASE("the float32 ladder takes pulse lengths that are no whole codes", "[kernel]") {
  data::TileSpec tile = nodal::small_tile(70, 20);
  const Matrix lengths = 7.0 * random_uniform_matrix({5, Stream::inputs}, 3, 70);
  CHECK(kernel_error(tile, nodal::random_conductances(70, 20, 6), lengths) < rounding_bound(70));
}

TEST_CASE("a ladder tile in float32 gives the double charges, for every sense end and pass scheme",
          "[kernel]") {
  data::TileSpec tile = nodal::small_tile(60, 50);
  tile.sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  tile.pulse.passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  tile.r_row_ohm = GENERATE(0.0, 2.0);
  tile.r_sense_ohm = 30.0;
  const Matrix g = nodal::random_conductances(60, 50, 7);
  const IntMatrix codes = nodal::random_codes(40, 60, -7, 7, 8);
  const Matrix exact = tile_charge(Arithmetic::float64, tile, g, codes);
  const TileModel model(ladder_in(Arithmetic::float32), tile, g);
  Matrix charge, continuous;
  MatrixF single;
  tilemodel::Workspace workspace;
  model.charge(codes, charge, workspace);
  model.charge(codes, single, workspace);
  model.charge_continuous(codes.cast<double>(), continuous, workspace);
  const double error = nodal::largest_difference(charge, exact);
  CHECK(error < rounding_bound(60));
  CHECK(error > 0.0);
  CHECK(nodal::largest_difference(single.cast<double>(), exact) < rounding_bound(60));
  CHECK((continuous.array() == charge.array()).all());
}

TEST_CASE("a ladder in float32 does not depend on the batch, bit for bit", "[identity]") {
  data::TileSpec tile = nodal::small_tile(50, 70);
  tile.sense = data::SenseEnd::alternate;
  const TileModel model(ladder_in(Arithmetic::float32), tile, nodal::random_conductances(50, 70, 9));
  const IntMatrix codes = nodal::random_codes(37, 50, -7, 7, 10);
  Matrix batch, alone;
  model.charge(codes, batch);
  for (const Index v : {0, 1, 31, 32, 36}) {
    model.charge(codes.row(v), alone);
    CHECK((alone.row(0).array() == batch.row(v).array()).all());
  }
}

TEST_CASE("a ladder stays in double precision unless float32 is asked for, fits and has unsigned rows",
          "[property]") {
  data::TileSpec tile = nodal::small_tile(80, 6);
  const IntMatrix codes = nodal::random_codes(3, 80, 1, 7, 11);
  Matrix g = nodal::random_conductances(80, 6, 12);
  const auto same_bits = [&](Arithmetic arithmetic) {
    return (tile_charge(arithmetic, tile, g, codes).array() ==
            tile_charge(Arithmetic::float64, tile, g, codes).array())
        .all();
  };
  CHECK(same_bits(Arithmetic::automatic));
  CHECK(!same_bits(Arithmetic::float32));
  tile.pulse.sign = data::SignMode::bipolar;
  CHECK(same_bits(Arithmetic::float32));
  tile.pulse.sign = data::SignMode::two_phase;
  tile.r_col_ohm = 1e6;  // u reaches far beyond what float32 can square
  g *= 10.0;
  CHECK(same_bits(Arithmetic::float32));
}
