#include <catch2/catch.hpp>
#include <cmath>

#include "nodal.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Form;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

// All columns held at ground: no column wire and no sense resistance.
data::TileSpec row_tile(Index rows, Index cols, double r_row, double r_driver, data::DriverEnds drivers) {
  data::TileSpec tile = nodal::small_tile(rows, cols);
  tile.r_col_ohm = 0.0;
  tile.r_row_ohm = r_row;
  tile.r_driver_ohm = r_driver;
  tile.drivers = drivers;
  return tile;
}

}  // namespace

TEST_CASE("the row-wire factor equals nodal analysis with columns grounded", "[cross]") {
  const auto drivers = GENERATE(data::DriverEnds::west, data::DriverEnds::both);
  const auto wires =
      GENERATE(std::pair{200.0, 0.0}, std::pair{200.0, 900.0}, std::pair{0.0, 900.0}, std::pair{1e6, 0.0});
  const data::TileSpec tile = row_tile(3, 9, wires.first, wires.second, drivers);
  const Matrix g = nodal::random_conductances(3, 9, 1);
  const nodal::Instant expected = nodal::solve(tile, g, Vector::Ones(3), std::vector<bool>(3, true));
  CHECK((tilemodel::row_wire_factor(tile, g) - expected.row_volt).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("a uniform row falls as the closed form of a discrete ladder", "[analytic]") {
  // West driver: p_j = cosh((M - j - 1/2) lambda) / cosh((M + 1/2) lambda); both drivers: symmetric about the
  // middle.
  const Index m = 200;
  const double r = 1.0, g = 25e-6, lambda = std::acosh(1.0 + 0.5 * r * g);
  const Matrix conductance = Matrix::Constant(1, m, g);
  const Matrix west = tilemodel::row_wire_factor(row_tile(1, m, r, 0.0, data::DriverEnds::west), conductance);
  const Matrix both = tilemodel::row_wire_factor(row_tile(1, m, r, 0.0, data::DriverEnds::both), conductance);
  for (Index j = 0; j < m; ++j) {
    const auto x = static_cast<double>(j);
    CHECK(west(0, j) ==
          Approx(std::cosh((m - x - 0.5) * lambda) / std::cosh((m + 0.5) * lambda)).epsilon(1e-11));
    CHECK(both(0, j) ==
          Approx(std::cosh((x - 0.5 * (m - 1)) * lambda) / std::cosh(0.5 * (m + 1) * lambda)).epsilon(1e-11));
  }
}

TEST_CASE("ideal supply gives a row-wire factor of exactly one", "[identity]") {
  const auto drivers = GENERATE(data::DriverEnds::west, data::DriverEnds::both);
  const Matrix g = nodal::random_conductances(4, 7, 2);
  CHECK((tilemodel::row_wire_factor(row_tile(4, 7, 0.0, 0.0, drivers), g).array() == 1.0).all());
}

TEST_CASE("the row wire's resistance matrix is symmetric and yields the row-wire factor", "[identity]") {
  const auto drivers = GENERATE(data::DriverEnds::west, data::DriverEnds::both);
  const auto wires = GENERATE(std::pair{3.0, 20.0}, std::pair{0.0, 20.0}, std::pair{3.0, 0.0});
  const data::TileSpec tile = row_tile(1, 12, wires.first, wires.second, drivers);
  const Matrix g = nodal::random_conductances(1, 12, 3);
  const Matrix z = tilemodel::row_wire_resistance(tile, g.row(0).transpose());
  CHECK(nodal::largest_difference(z.transpose(), z) < 1e-13);
  // Columns at 1 V raise node j by sum_k z_jk g_k, which is what the drivers lose there.
  const Vector lost = z * g.row(0).transpose();
  CHECK((lost - (Vector::Ones(12) - tilemodel::row_wire_factor(tile, g).row(0).transpose()))
            .cwiseAbs()
            .maxCoeff() < 1e-14);
}

TEST_CASE(
    "identical columns behind driver resistance only make ladder and row-wire factor exact on the full mesh",
    "[cross]") {
  data::TileSpec tile = nodal::small_tile(7, 5);
  tile.r_driver_ohm = 700.0;
  const Matrix g = nodal::random_conductances(7, 1, 4).replicate(1, 5);
  const IntMatrix codes = nodal::random_codes(3, 7, 1, 7, 5);
  Matrix charge;
  TileModel(ModelSpec{}, tile, g).charge(codes, charge);
  CHECK(nodal::largest_difference(charge, nodal::charge(tile, g, codes)) < 1e-12);
}

TEST_CASE(
    "the row-wire factor leaves an error of second order in the wires, ignoring the row wires one of first "
    "order",
    "[order]") {
  const Matrix g = nodal::random_conductances(6, 6, 6);
  const IntMatrix codes = nodal::random_codes(2, 6, 1, 7, 7);
  const auto error = [&](double r, bool factor) {
    data::TileSpec tile = nodal::small_tile(6, 6);
    tile.r_row_ohm = tile.r_col_ohm = r;
    ModelSpec spec;
    spec.row_wire_factor = factor;
    Matrix charge;
    TileModel(spec, tile, g).charge(codes, charge);
    return (charge - nodal::charge(tile, g, codes)).norm();
  };
  CHECK(std::log2(error(4.0, true) / error(2.0, true)) == Approx(2.0).margin(0.05));
  CHECK(std::log2(error(4.0, false) / error(2.0, false)) == Approx(1.0).margin(0.05));
}

TEST_CASE(
    "where all rows have the same pattern, the mesh estimate leaves only the second order of the column wire",
    "[order]") {
  // g_ij = a_i b_j and drivers of any resistance without row wires: to first order in r_col a column's
  // voltage is b_j times one profile, and the estimate is exact; the row-wire factor alone is not.
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  const Matrix g = nodal::random_conductances(6, 1, 8) * nodal::random_conductances(1, 6, 9) * 1e5;
  const IntMatrix codes = nodal::random_codes(2, 6, -7, 7, 10);
  const auto error = [&](double r_col, bool estimate) {
    data::TileSpec tile = nodal::small_tile(6, 6);
    tile.sense = sense;
    tile.r_driver_ohm = 9000.0;
    tile.r_col_ohm = r_col;
    ModelSpec spec;
    spec.correction = {Vector::Zero(tilemodel::kFeatureCount), Vector::Zero(tilemodel::kFeatureCount)};
    spec.correction.coefficients[tilemodel::kFeatureCount - 1] = estimate ? 1.0 : 0.0;
    Matrix charge;
    TileModel(spec, tile, g).charge(codes, charge);
    return (charge - nodal::charge(tile, g, codes)).norm();
  };
  CHECK(std::log2(error(4.0, false) / error(2.0, false)) == Approx(1.0).margin(0.05));
  CHECK(std::log2(error(4.0, true) / error(2.0, true)) == Approx(2.0).margin(0.05));
}

TEST_CASE("the features of the correction are what their names say", "[analytic]") {
  const auto f = GENERATE(Form::ladder, Form::binned);
  data::TileSpec tile = nodal::small_tile(9, 5);
  tile.sense = data::SenseEnd::alternate;
  tile.r_row_ohm = 90.0;
  tile.selector.r_on_ohm = 2e3;
  ModelSpec spec;
  spec.form = f;
  const Matrix g = nodal::random_conductances(9, 5, 11);
  const IntMatrix codes = nodal::random_codes(3, 9, 1, 7, 12);
  const TileModel model(spec, tile, g);
  Matrix base, charge;
  std::vector<Matrix> feature;
  model.base_and_features(codes, base, feature);
  model.charge(codes, charge);
  CHECK(nodal::largest_difference(base, charge) < 1e-15);

  const Matrix series = (g.array() / (1.0 + g.array() * tile.selector.r_on_ohm)).matrix();
  const Matrix wired = series.cwiseProduct(tilemodel::row_wire_factor(tile, series));
  const Matrix k = codes.cast<double>() * tile.v_read_volt * tile.pulse.t_lsb_s;
  const Matrix lossless = k * wired;
  const Matrix loss = lossless - base;
  const Vector activity = codes.cast<double>().rowwise().mean() / 7.0;
  const Vector position = Vector::LinSpaced(5, -0.5, 0.5);
  const auto check = [&](std::size_t index, std::string_view name, const Matrix& expected) {
    INFO(name);
    REQUIRE(tilemodel::kFeatureNames[index] == name);
    CHECK(nodal::largest_difference(feature[index], expected) < 1e-12);
  };
  check(0, "charge", base);
  check(1, "charge*activity", activity.asDiagonal() * base);
  check(2, "charge*position", base * position.asDiagonal());
  check(3, "column_loss", loss);
  check(4, "column_loss*activity", activity.asDiagonal() * loss);
  check(5, "column_loss^2/charge", (loss.array().square() / lossless.array()).matrix());
  check(6, "row_loss", k * (series - wired));
}

TEST_CASE("the response of a row wire to injected currents is its resistance matrix times them", "[identity]") {
  const auto drivers = GENERATE(data::DriverEnds::west, data::DriverEnds::both);
  const auto wires = GENERATE(std::pair{200.0, 0.0}, std::pair{200.0, 900.0}, std::pair{0.0, 900.0});
  const data::TileSpec tile = row_tile(3, 9, wires.first, wires.second, drivers);
  const Matrix g = nodal::random_conductances(3, 9, 5);
  const Matrix current = random_normal_matrix({6}, 3, 9);
  const Matrix response = tilemodel::row_wire_response(tile, g, current);
  for (Index i = 0; i < 3; ++i) {
    const Vector expected =
        tilemodel::row_wire_resistance(tile, g.row(i).transpose()) * current.row(i).transpose();
    CHECK((response.row(i).transpose() - expected).cwiseAbs().maxCoeff() <
          1e-12 * expected.cwiseAbs().maxCoeff());
  }
  data::TileSpec ideal = tile;
  ideal.r_row_ohm = ideal.r_driver_ohm = 0.0;
  CHECK(tilemodel::row_wire_response(ideal, g, current).cwiseAbs().maxCoeff() == 0.0);
}
