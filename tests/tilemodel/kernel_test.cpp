#include <catch2/catch.hpp>
#include <cstdlib>

#include "nodal.hpp"
#include "tilemodel/panels.hpp"
#include "tilemodel/pass_table.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;

TEST_CASE("the product over panels equals Eigen's, for sizes that fill neither panels nor blocks",
          "[kernel]") {
  const Index rows = GENERATE(1, 7, 96, 97, 200), cols = GENERATE(1, 23, 24, 25, 50),
              vectors = GENERATE(1, 2, 5);
  const Matrix g = random_normal_matrix({1}, rows, cols), x = random_normal_matrix({2}, vectors, rows);
  std::vector<Index> chosen;  // every second column, backwards
  for (Index j = cols - 1; j >= 0; j -= 2) chosen.push_back(j);
  const bool from_last_row = rows % 2 == 0;
  const tilemodel::Panels panels(g, chosen, from_last_row);
  Matrix out(vectors + 1, panels.padded_cols());
  out.setConstant(7.0);
  tilemodel::panel_product(x, vectors, panels, out);
  const Matrix order = from_last_row ? Matrix(g.colwise().reverse()) : g;
  const Matrix expected = (x * order)(Eigen::all, chosen);
  CHECK((out.topLeftCorner(vectors, expected.cols()) - expected).cwiseAbs().maxCoeff() <
        1e-14 * static_cast<double>(rows));
  CHECK((out.row(vectors).array() == 7.0).all());
  CHECK(out.topRightCorner(vectors, out.cols() - expected.cols()).isZero(0.0));
}

TEST_CASE("the tabulated passes are those of make_passes, code by code", "[identity]") {
  const auto passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  data::TileSpec tile = nodal::small_tile(40, 1);
  tile.pulse.dac_bits = 7;
  tile.pulse.passes = passes;
  tile.pulse.sign = sign;
  const tilemodel::PassTable table(tile);
  const IntVector codes = nodal::random_codes(1, 40, -63, 63, 3).row(0).transpose();
  const auto expected = data::make_passes(codes, tile);
  CHECK(expected.size() == table.passes().size());
  for (const data::Pass& pass : expected) {
    int matches = 0;
    for (const auto& entry : table.passes()) {
      if (entry.weight != pass.weight) continue;
      ++matches;
      CHECK(entry.longest_code == pass.longest_code);
      for (Index i = 0; i < 40; ++i)
        CHECK(entry.part[static_cast<std::size_t>(codes[i] + table.max_code())] == pass.codes[i]);
    }
    CHECK(matches == 1);
  }
}

// Counting allocations replaces malloc, which the sanitizers do themselves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
namespace {
thread_local long allocations = 0;
}

extern "C" void* __libc_malloc(std::size_t);
extern "C" void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

TEST_CASE("a model that has seen a batch of this size computes the next one without allocating",
          "[noalloc]") {
  const auto form = GENERATE(tilemodel::Form::ideal, tilemodel::Form::ladder, tilemodel::Form::binned,
                             tilemodel::Form::closure);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  const auto arithmetic = GENERATE(tilemodel::Arithmetic::float32, tilemodel::Arithmetic::float64);
  const bool corrected = GENERATE(true, false);
  if (form == tilemodel::Form::closure && sign == data::SignMode::bipolar) return;
  data::TileSpec tile = nodal::small_tile(60, 50);
  tile.sense = data::SenseEnd::alternate;
  tile.r_row_ohm = 1.0;
  tile.pulse.sign = sign;
  tilemodel::ModelSpec spec;
  spec.form = form;
  spec.arithmetic = arithmetic;
  if (corrected)
    spec.correction = {Vector::Constant(tilemodel::kFeatureCount, 0.1), Vector::Zero(tilemodel::kFeatureCount)};
  const tilemodel::TileModel model(spec, tile, nodal::random_conductances(60, 50, 4));
  tilemodel::Workspace workspace;
  Matrix charge;
  const IntMatrix full = IntMatrix::Constant(40, 60, 7) - nodal::random_codes(40, 60, 0, 6, 5);
  model.charge(full, charge, workspace);
  model.charge(full - IntMatrix::Constant(40, 60, 7), charge, workspace);
  const IntMatrix codes = nodal::random_codes(40, 60, -7, 7, 6);
  const long before = allocations;
  model.charge(codes, charge, workspace);
  CHECK(allocations == before);
  if (corrected || form != tilemodel::Form::closure || arithmetic != tilemodel::Arithmetic::float32) return;
  tilemodel::Gradient gradient;
  const Matrix lengths = codes.cast<double>(), by_charge = Matrix::Ones(40, 50);
  model.gradient(lengths, by_charge, gradient, workspace);
  const long between = allocations;
  model.gradient(lengths, by_charge, gradient, workspace);
  CHECK(allocations == between);
}
#endif

TEST_CASE("a product in float32 is the one in double precision, for sizes that fill neither panels nor batches", "[kernel]") {
  struct Size {
    Index rows, cols, vectors;
  };
  const Size s = GENERATE(Size{1, 1, 1}, Size{37, 50, 7}, Size{512, 33, 131});
  const auto passes = GENERATE(data::Passes::conventional, data::Passes::split);
  data::TileSpec tile = nodal::small_tile(s.rows, s.cols);
  tile.pulse.passes = passes;
  const Matrix g = nodal::random_conductances(s.rows, s.cols, 71);
  const int most = data::max_code(tile.pulse.dac_bits);
  const IntMatrix codes = nodal::random_codes(s.vectors, s.rows, -most, most, 72);
  tilemodel::ModelSpec spec;
  spec.form = tilemodel::Form::ideal;
  const tilemodel::TileModel model(spec, tile, g);
  tilemodel::Workspace workspace;
  Matrix exact;
  MatrixF fast;
  model.charge(codes, exact, workspace);
  model.charge(codes, fast, workspace);
  CHECK(nodal::largest_difference(fast.cast<double>(), exact) < 2e-6);
}
