#include <Eigen/LU>
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include "core/error.hpp"
#include "nodal.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Form;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

ModelSpec effective() {
  ModelSpec spec;
  spec.form = Form::effective;
  return spec;
}

// Numbers of a stored reference file, one line a row.
Matrix reference(const std::string& name) {
  std::ifstream file(std::string(CROSSTILE_SOURCE_DIR) + "/tests/reference/bipolar_ladder_64x16/" + name);
  REQUIRE(file);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(file, line);) {
    rows.emplace_back();
    std::stringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(std::stod(cell));
  }
  Matrix m(static_cast<Index>(rows.size()), static_cast<Index>(rows.at(0).size()));
  for (Index i = 0; i < m.rows(); ++i)
    for (Index j = 0; j < m.cols(); ++j)
      m(i, j) = rows[static_cast<std::size_t>(i)].at(static_cast<std::size_t>(j));
  return m;
}

// Sense current per volt of row i alone, all other rows at 0 V and connected.
Matrix effective_by_nodal_analysis(const data::TileSpec& tile, const Matrix& g) {
  Matrix w(g.rows(), g.cols());
  for (Index i = 0; i < g.rows(); ++i)
    w.row(i) = nodal::solve(tile, g, Vector::Unit(g.rows(), i),
                            std::vector<bool>(static_cast<std::size_t>(g.rows()), true))
                   .sense_ampere.transpose();
  return w;
}

}  // namespace

TEST_CASE("the effective form reproduces the published time-dependent model on stored bipolar ladder data",
          "[cross]") {
  const Matrix plus = reference("g_plus.csv"), minus = reference("g_minus.csv"),
               charge = reference("charge.csv");
  const IntMatrix codes = reference("codes.csv").cast<int>();
  data::TileSpec tile;
  tile.rows = 64;
  tile.cols = 16;
  tile.drive = data::Drive::bipolar;
  tile.weight_layout = data::WeightLayout::bipolar;
  tile.r_col_ohm = 0.35;
  tile.sense_segment = 0.5;
  tile.v_read_volt = 0.2;
  // Column j: wire, both cells of every row to their ideal supplies, sense behind half a segment. W = (G+ -
  // G-) times the share of a current injected at row i that reaches the sense.
  Matrix w(64, 16);
  for (Index j = 0; j < 16; ++j) {
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(64, 64);
    const double wire = 1.0 / tile.r_col_ohm;
    for (Index i = 0; i < 64; ++i) {
      a(i, i) += plus(i, j) + minus(i, j);
      if (i == 63) continue;
      a(i, i) += wire, a(i + 1, i + 1) += wire, a(i, i + 1) -= wire, a(i + 1, i) -= wire;
    }
    const Index sense = j % 2 == 0 ? 63 : 0;
    a(sense, sense) += 2.0 * wire;
    const Vector share = 2.0 * wire * a.fullPivLu().solve(Vector::Unit(64, sense));
    w.col(j) = (plus - minus).col(j).cwiseProduct(share);
  }
  Matrix answer;
  TileModel(effective(), tile, plus - minus, w).charge(codes, answer);
  CHECK(nodal::largest_difference(answer, charge) < 1e-10);
}

TEST_CASE("the effective form equals nodal analysis of a level-driven mesh for every pass scheme",
          "[cross]") {
  const auto passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  const auto align = GENERATE(data::PulseAlign::left, data::PulseAlign::centre);
  data::TileSpec tile = nodal::small_tile(5, 4);
  tile.drive = data::Drive::level;
  tile.sense = data::SenseEnd::alternate;
  tile.r_row_ohm = 120.0;
  tile.r_driver_ohm = 300.0;
  tile.r_sense_ohm = 150.0;
  tile.pulse.passes = passes;
  tile.pulse.align = align;
  const Matrix g = nodal::random_conductances(5, 4, 1);
  const IntMatrix codes = nodal::random_codes(3, 5, -7, 7, 2);
  Matrix answer;
  TileModel(effective(), tile, g, effective_by_nodal_analysis(tile, g)).charge(codes, answer);
  CHECK(nodal::largest_difference(answer, nodal::charge(tile, g, codes)) < 1e-12);
}

TEST_CASE("the effective form is linear in the codes", "[property]") {
  data::TileSpec tile = nodal::small_tile(30, 20);
  tile.drive = data::Drive::level;
  const Matrix w = nodal::random_conductances(30, 20, 3);
  const TileModel model(effective(), tile, w, w);
  const IntMatrix a = nodal::random_codes(4, 30, -3, 3, 4), b = nodal::random_codes(4, 30, -3, 3, 5);
  Matrix qa, qb, qsum;
  model.charge(a, qa);
  model.charge(b, qb);
  model.charge(a + b, qsum);
  CHECK(nodal::largest_difference(qa + qb, qsum) < 1e-14);
}

TEST_CASE("forms that do not fit the drive are usage errors that name form and drive", "[error]") {
  data::TileSpec tile = nodal::small_tile(4, 3);
  const Matrix g = nodal::random_conductances(4, 3, 6);
  const auto message = [&](const ModelSpec& spec, bool with_matrix) -> std::string {
    try {
      if (with_matrix)
        TileModel(spec, tile, g, g);
      else
        TileModel(spec, tile, g);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::usage);
      return error.what();
    }
    return "no error";
  };
  CHECK(message(effective(), true) == "form \"effective\" needs a linear drive; the tile is gated");
  CHECK_THAT(message(ModelSpec{}, true), Catch::Contains("\"effective\" only"));
  tile.drive = data::Drive::level;
  CHECK_THAT(message(effective(), false), Catch::Contains("needs the effective matrix"));
  CHECK_THAT(message(ModelSpec{}, false), Catch::Contains("\"ladder\"") && Catch::Contains("\"level\"") &&
                                              Catch::Contains("\"effective\""));
  tile.cell.law = data::CellLaw::sinh;
  CHECK_THAT(message(effective(), true), Catch::Contains("ohmic"));
}

TEST_CASE("wrong shapes, conductances, codes and correction are usage errors that name what and where",
          "[error]") {
  const data::TileSpec tile = nodal::small_tile(4, 3);
  const Matrix g = nodal::random_conductances(4, 3, 7);
  const ModelSpec spec;
  CHECK_THROWS_WITH(TileModel(spec, tile, g.transpose()),
                    Catch::Contains("3 x 4") && Catch::Contains("4 x 3"));
  for (const double bad :
       {-1e-6, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Matrix wrong = g;
    wrong(2, 1) = bad;
    CHECK_THROWS_WITH(TileModel(spec, tile, wrong), Catch::Contains("g_siemens(2, 1)"));
  }
  ModelSpec corrected;
  corrected.correction.coefficients = Vector::Zero(3);
  CHECK_THROWS_WITH(TileModel(corrected, tile, g),
                    Catch::Contains("correction.coefficients") && Catch::Contains("3"));
  corrected.correction.coefficients = Vector::Constant(tilemodel::kFeatureCount, std::nan(""));
  CHECK_THROWS_WITH(TileModel(corrected, tile, g), Catch::Contains("correction.coefficients"));
  data::TileSpec impossible = tile;
  impossible.r_col_ohm = -1.0;
  CHECK_THROWS_WITH(TileModel(spec, impossible, g), Catch::Contains("r_col_ohm"));

  const auto f = GENERATE(Form::ideal, Form::ladder, Form::binned);
  ModelSpec any;
  any.form = f;
  const TileModel model(any, tile, g);
  Matrix charge;
  CHECK_THROWS_WITH(model.charge(IntMatrix::Zero(2, 5), charge),
                    Catch::Contains("5") && Catch::Contains("4"));
  IntMatrix codes = IntMatrix::Zero(3, 4);
  codes(2, 1) = -8;
  CHECK_THROWS_WITH(model.charge(codes, charge), Catch::Contains("vector 2, row 1") &&
                                                     Catch::Contains("-8") && Catch::Contains("-7 to 7"));
}
