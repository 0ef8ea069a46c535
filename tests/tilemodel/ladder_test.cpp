#include <catch2/catch.hpp>
#include <cmath>

#include "nodal.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Form;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

Matrix model_charge(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes,
                    ModelSpec spec = {}) {
  Matrix charge;
  TileModel(spec, tile, g).charge(codes, charge);
  return charge;
}

ModelSpec ladder_form(Form f) {
  ModelSpec spec;
  spec.form = f;
  return spec;
}

}  // namespace

TEST_CASE(
    "the ladder equals nodal analysis stepped through time, for every sense end, pass scheme, sign and "
    "alignment",
    "[cross]") {
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  const auto passes = GENERATE(data::Passes::conventional, data::Passes::split, data::Passes::bit_serial);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  const auto align = GENERATE(data::PulseAlign::left, data::PulseAlign::centre);
  data::TileSpec tile = nodal::small_tile(9, 3);
  tile.sense = sense;
  tile.pulse.passes = passes;
  tile.pulse.sign = sign;
  tile.pulse.align = align;
  tile.r_sense_ohm = 350.0;
  const Matrix g = nodal::random_conductances(9, 3, 11);
  const IntMatrix codes = nodal::random_codes(3, 9, -7, 7, 12);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes), nodal::charge(tile, g, codes)) < 1e-12);
}

TEST_CASE("the ladder equals nodal analysis for every wire end, selector and size", "[cross]") {
  struct Case {
    Index rows, cols;
    double r_col, segment, r_sense, r_on;
  };
  const Case c = GENERATE(Case{12, 2, 180.0, 1.0, 0.0, 0.0}, Case{12, 2, 180.0, 0.5, 0.0, 0.0},
                          Case{12, 2, 180.0, 0.0, 0.0, 0.0}, Case{7, 2, 180.0, 2.75, 90.0, 0.0},
                          Case{7, 2, 0.0, 1.0, 4000.0, 0.0}, Case{7, 2, 180.0, 1.0, 50.0, 30e3},
                          Case{1, 1, 180.0, 1.0, 0.0, 0.0}, Case{1, 5, 180.0, 0.0, 10.0, 0.0},
                          Case{5, 1, 5000.0, 1.0, 0.0, 1e3});
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  data::TileSpec tile = nodal::small_tile(c.rows, c.cols);
  tile.sense = sense;
  tile.r_col_ohm = c.r_col;
  tile.sense_segment = c.segment;
  tile.r_sense_ohm = c.r_sense;
  tile.selector.r_on_ohm = c.r_on;
  Matrix g = nodal::random_conductances(c.rows, c.cols, 21);
  if (c.rows > 3) g.row(2).setZero();  // open cells are legal
  const IntMatrix codes = nodal::random_codes(4, c.rows, 1, 7, 22);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes), nodal::charge(tile, g, codes)) < 1e-12);
}

TEST_CASE("the ladder equals nodal analysis where the division-free recurrence would overflow", "[cross]") {
  data::TileSpec tile = nodal::small_tile(80, 1);
  tile.r_col_ohm = 1e6;
  const Matrix g = nodal::random_conductances(80, 1, 31) * 1e5;  // u would reach 1e480
  const IntMatrix codes = IntMatrix::Constant(1, 80, 5);
  const Matrix charge = model_charge(tile, g, codes);
  REQUIRE(charge.allFinite());
  CHECK(nodal::largest_difference(charge, nodal::charge(tile, g, codes)) < 1e-9);
}

TEST_CASE("a sinh cell enters the ladder with its chord conductance at the read voltage", "[analytic]") {
  data::TileSpec tile = nodal::small_tile(6, 2);
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.25;
  const Matrix g = nodal::random_conductances(6, 2, 41);
  const IntMatrix codes = nodal::random_codes(2, 6, 1, 7, 42);
  data::TileSpec ohmic = tile;
  ohmic.cell.law = data::CellLaw::ohmic;
  const double x = tile.v_read_volt / tile.cell.v_h_volt;
  const Matrix expected = model_charge(ohmic, g * (std::sinh(x) / x), codes);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes), expected) < 1e-14);
}

TEST_CASE("the ideal form sees the whole read voltage at every cell, whatever wires and selector are",
          "[analytic]") {
  data::TileSpec tile = nodal::small_tile(6, 2);
  tile.r_row_ohm = 10.0;
  tile.selector.r_on_ohm = 40e3;
  const Matrix g = nodal::random_conductances(6, 2, 43);
  const IntMatrix codes = nodal::random_codes(2, 6, -7, 7, 44);
  const Matrix product = tile.v_read_volt * tile.pulse.t_lsb_s * (codes.cast<double>() * g);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes, ladder_form(Form::ideal)), product) < 1e-14);
  tile.cell.law = data::CellLaw::sinh;
  const double x = tile.v_read_volt / tile.cell.v_h_volt;
  CHECK(nodal::largest_difference(model_charge(tile, g, codes, ladder_form(Form::ideal)),
                                  product * std::sinh(x) / x) < 1e-14);
}

TEST_CASE("signed and two-phase kernels agree on inputs without negative codes", "[kernel]") {
  data::TileSpec tile = nodal::small_tile(100, 61);
  tile.sense = data::SenseEnd::alternate;
  const Matrix g = nodal::random_conductances(100, 61, 51);
  const IntMatrix codes = nodal::random_codes(5, 100, 0, 7, 52);
  data::TileSpec signed_tile = tile;
  signed_tile.pulse.sign = data::SignMode::bipolar;
  const auto f = GENERATE(Form::ladder, Form::binned);
  CHECK(nodal::largest_difference(model_charge(signed_tile, g, codes, ladder_form(f)),
                                  model_charge(tile, g, codes, ladder_form(f))) < 1e-13);
}

TEST_CASE("without wire resistance every form gives the ideal product", "[identity]") {
  const auto f = GENERATE(Form::ideal, Form::ladder, Form::binned);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  data::TileSpec tile = nodal::small_tile(37, 29);
  tile.sense = data::SenseEnd::alternate;
  tile.r_col_ohm = 0.0;
  tile.pulse.sign = sign;
  const Matrix g = nodal::random_conductances(37, 29, 61);
  const IntMatrix codes = nodal::random_codes(6, 37, -7, 7, 62);
  const Matrix ideal = tile.v_read_volt * tile.pulse.t_lsb_s * (codes.cast<double>() * g);
  CHECK(nodal::largest_difference(model_charge(tile, g, codes, ladder_form(f)), ideal) < 1e-14);
}

TEST_CASE("a uniform column carries the closed-form current of a discrete ladder", "[analytic]") {
  // u_k = cosh((k + 1/2) lambda) / cosh(lambda / 2), cosh(lambda) = 1 + r g / 2; I = V (u_N - u_(N-1)) / (r
  // u_N).
  const Index n = 64;
  const double g = 25e-6, r = GENERATE(0.15, 1.0, 20.0);
  data::TileSpec tile = nodal::small_tile(n, 1);
  tile.r_col_ohm = r;
  const double lambda = std::acosh(1.0 + 0.5 * r * g);
  const double u_end = std::cosh((n + 0.5) * lambda);
  // u_N - u_(N-1) = 2 sinh(N lambda) sinh(lambda / 2), without the cancellation.
  const double current =
      tile.v_read_volt * 2.0 * std::sinh(n * lambda) * std::sinh(0.5 * lambda) / (r * u_end);
  const Matrix charge = model_charge(tile, Matrix::Constant(n, 1, g), IntMatrix::Constant(1, n, 5));
  CHECK(charge(0, 0) == Approx(5 * tile.pulse.t_lsb_s * current).epsilon(1e-10));
}

TEST_CASE(
    "the charge lost is the energy dissipated in the wire over V, with a remainder of second order in r",
    "[order]") {
  data::TileSpec tile = nodal::small_tile(16, 1);
  const Matrix g = nodal::random_conductances(16, 1, 71);
  const IntMatrix codes = nodal::random_codes(1, 16, 1, 7, 72);
  const double v = tile.v_read_volt;
  const auto remainder = [&](double r) {
    tile.r_col_ohm = r;
    const double ideal = v * tile.pulse.t_lsb_s * codes.cast<double>().row(0).dot(g.col(0).transpose());
    double energy = 0.0;  // sum over segments of r integral C_s^2 dt, with C_s the ideal current
    for (Index s = 0; s < 16; ++s)
      for (Index i = 0; i <= s; ++i)
        for (Index k = 0; k <= s; ++k)
          energy += r * v * v * g(i, 0) * g(k, 0) * std::min(codes(0, i), codes(0, k)) * tile.pulse.t_lsb_s;
    return model_charge(tile, g, codes)(0, 0) - (ideal - energy / v);
  };
  const double coarse = remainder(2.0), fine = remainder(1.0);
  CHECK(coarse > 0.0);
  CHECK(std::log2(coarse / fine) == Approx(2.0).margin(0.02));
}

TEST_CASE("more wire resistance never increases a charge, and the charge stays between its bounds",
          "[property]") {
  const auto seed = GENERATE(range(1u, 9u));
  data::TileSpec tile = nodal::small_tile(33, 25);
  tile.sense = data::SenseEnd::alternate;
  tile.r_sense_ohm = 40.0;
  const Matrix g = nodal::random_conductances(33, 25, seed);
  const IntMatrix codes = nodal::random_codes(3, 33, 0, 7, seed + 100);
  Matrix previous = model_charge(tile, g, codes, ladder_form(Form::ideal));
  for (const double r : {0.1, 1.0, 10.0, 100.0, 1000.0}) {
    tile.r_col_ohm = r;
    const Matrix charge = model_charge(tile, g, codes);
    CHECK((charge.array() <= previous.array()).all());
    previous = charge;
    // All wire in series behind all cells lets less current pass than the wire between them.
    Matrix lower = Matrix::Zero(3, 25);
    for (int level = 0; level < 7; ++level) {
      const Matrix on = (codes.array() > level).cast<double>().matrix() * g;
      lower.array() +=
          tile.v_read_volt * tile.pulse.t_lsb_s * on.array() / (1.0 + on.array() * (33 * r + 40.0));
    }
    CHECK((charge.array() >= lower.array() * (1.0 - 1e-12)).all());
  }
}

TEST_CASE("a vector's charge is the same, bit for bit, alone and in any batch", "[identity]") {
  const auto f = GENERATE(Form::ideal, Form::ladder, Form::binned, Form::closure);
  data::TileSpec tile = nodal::small_tile(50, 31);
  tile.sense = data::SenseEnd::alternate;
  tile.r_row_ohm = 3.0;
  ModelSpec spec = ladder_form(f);
  if (GENERATE(true, false)) {
    spec.correction.coefficients = Vector::LinSpaced(tilemodel::kFeatureCount, 0.1, 0.8);
    spec.correction.standard_errors = Vector::Zero(tilemodel::kFeatureCount);
  }
  spec.closure_bins = 2;
  const TileModel model(spec, tile, nodal::random_conductances(50, 31, 81));
  const IntMatrix codes = nodal::random_codes(37, 50, -7, 7, 82);
  Matrix batch, alone;
  model.charge(codes, batch);
  for (const Index v : {0, 1, 31, 32, 36}) {
    model.charge(codes.row(v), alone);
    CHECK((alone.row(0).array() == batch.row(v).array()).all());
  }
}

TEST_CASE("inputs without any pulse give no charge", "[property]") {
  const auto f = GENERATE(Form::ideal, Form::ladder, Form::binned, Form::closure);
  const data::TileSpec tile = nodal::small_tile(8, 4);
  const IntMatrix none = IntMatrix::Zero(3, 8);
  CHECK(model_charge(tile, nodal::random_conductances(8, 4, 91), none, ladder_form(f)).isZero(0.0));
}
