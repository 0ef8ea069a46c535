// Reciprocity: the network driven from its rows against the network driven from its senses.
#include "circuit/sense_drive.hpp"

#include <catch2/catch.hpp>

#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;

namespace {

Vector pattern(Index size, std::uint64_t event) {
  return (random_uniform_matrix({77, Stream::test, 0}, size, 1, event).array() - 0.5).matrix();
}

// |b . I(a) - a . J(b)| over the sum of the magnitudes, I from one crossbar and J from another.
double asymmetry(const Crossbar& driven_rows, const Crossbar& driven_senses) {
  const Vector a = pattern(driven_rows.lines(), 1), b = pattern(driven_rows.cols(), 2);
  const std::vector<bool> all(static_cast<std::size_t>(driven_rows.lines()), true);
  const Vector out = solve_steady(driven_rows, {a, all}).sense_ampere;
  const auto back = solve_sense_drive(driven_senses, b);
  REQUIRE(back.status == Status::ok);
  return std::abs(b.dot(out) - a.dot(back.line_ampere)) / b.cwiseProduct(out).cwiseAbs().sum();
}

}  // namespace

TEST_CASE("One cell driven from its sense: the voltage over all resistances in series", "[analytic]") {
  data::TileSpec tile = plain_tile(1, 1);
  tile.r_row_ohm = 3.0;
  tile.r_col_ohm = 5.0;
  tile.sense_segment = 0.5;
  tile.r_driver_ohm = 100.0;
  tile.r_sense_ohm = 40.0;
  tile.selector.r_on_ohm = 1000.0;
  const auto answer =
      solve_sense_drive(Crossbar(tile, Matrix::Constant(1, 1, 20e-6)), Vector::Constant(1, 0.3));
  CHECK(answer.line_ampere[0] ==
        Approx(0.3 / (3.0 + 100.0 + 1000.0 + 5e4 + 0.5 * 5.0 + 40.0)).epsilon(1e-13));
}

TEST_CASE("Row currents of one driven sense are its column of the effective matrix", "[cross]") {
  data::TileSpec tile = plain_tile(7, 5);
  tile.drive = data::Drive::level;
  tile.r_driver_ohm = 20.0;
  tile.sense = data::SenseEnd::alternate;
  const Crossbar crossbar(tile, random_conductances(tile, 1));
  const Matrix w = effective_matrix(crossbar);
  for (Index j = 0; j < tile.cols; ++j) {
    const Vector current = solve_sense_drive(crossbar, Vector::Unit(tile.cols, j)).line_ampere;
    CHECK((current - w.col(j)).cwiseAbs().maxCoeff() < 1e-12 * w.col(j).maxCoeff());
  }
}

TEST_CASE("Row and sense drives are reciprocal for every kind of end, and one changed cell breaks it",
          "[property]") {
  std::uint64_t seed = 1;
  for (const auto& sense : data::EnumNames<data::SenseEnd>::value)
    for (const auto& drivers : data::EnumNames<data::DriverEnds>::value)
      for (const auto drive : {data::Drive::level, data::Drive::bipolar})
        for (const double r_row : {0.0, 7.0})
          for (const double r_col : {0.0, 4.0}) {
            CAPTURE(sense.name, drivers.name, data::to_name(drive), r_row, r_col);
            data::TileSpec tile = plain_tile(9, 11);
            tile.drive = drive;
            if (drive == data::Drive::bipolar) tile.weight_layout = data::WeightLayout::bipolar;
            tile.sense = sense.value;
            tile.drivers = drivers.value;
            tile.r_row_ohm = r_row;
            tile.r_col_ohm = r_col;
            tile.r_sense_ohm = 30.0;
            tile.sense_segment = 0.5;
            const Matrix plus = random_conductances(tile, ++seed), minus = random_conductances(tile, ++seed);
            Matrix other = plus;
            other(4, 6) *= 1.5;
            const auto make = [&](const Matrix& g) {
              return drive == data::Drive::bipolar ? Crossbar(tile, g, minus) : Crossbar(tile, g);
            };
            CHECK(asymmetry(make(plus), make(plus)) < 1e-12);
            CHECK(asymmetry(make(plus), make(other)) > 1e-5);
          }
}

TEST_CASE("A drive from the senses refuses cells that are not ohmic and voltages that do not fit",
          "[error]") {
  data::TileSpec tile = plain_tile(3, 4);
  CHECK_THROWS_WITH(solve_sense_drive(Crossbar(tile, random_conductances(tile, 1)), Vector::Ones(3)),
                    Catch::Contains("3") && Catch::Contains("4"));
  tile.cell.law = data::CellLaw::sinh;
  CHECK_THROWS_WITH(solve_sense_drive(Crossbar(tile, random_conductances(tile, 1)), Vector::Ones(4)),
                    Catch::Contains("ohmic"));
}
