#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <utility>

#include "nodal.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::Form;
using tilemodel::Gradient;
using tilemodel::ModelSpec;
using tilemodel::TileModel;
using tilemodel::Workspace;

namespace {

ModelSpec spec_of(Form form) {
  ModelSpec spec;
  spec.form = form;
  spec.segments = 4;
  spec.time_bins = 3;
  spec.block_rows = 4;
  spec.closure_bins = 2;
  spec.references = 2;
  spec.arithmetic = tilemodel::Arithmetic::float64;
  return spec;
}

// A small gated tile of 6-bit pulses with losses of several percent.
data::TileSpec gated_tile(Index rows, Index cols) {
  data::TileSpec tile = nodal::small_tile(rows, cols);
  tile.pulse.dac_bits = 7;  // levels of two codes in the closure
  tile.pulse.split_bits = 3;
  tile.sense = data::SenseEnd::alternate;
  tile.sense_segment = 1.5;
  tile.r_sense_ohm = 120.0;
  return tile;
}

// Pulse lengths no two of which are equal and none of which is whole.
Matrix tie_free_codes(Index vectors, Index rows, double most, bool negative) {
  Matrix codes(vectors, rows);
  for (Index v = 0; v < vectors; ++v) {
    const auto order = random_permutation({31, Stream::inputs}, rows, static_cast<std::uint64_t>(v));
    for (Index i = 0; i < rows; ++i) {
      const double step = most / static_cast<double>(rows + 1);
      codes(v, i) = step * (static_cast<double>(order[static_cast<std::size_t>(i)]) + 0.63);
      if (negative && i % 3 == 1) codes(v, i) *= -1.0;
    }
  }
  return codes;
}

struct Problem {
  ModelSpec spec;
  data::TileSpec tile;
  Matrix g, codes, by_charge;

  double loss() const {
    Matrix charge;
    Workspace workspace;
    TileModel(spec, tile, g).charge_continuous(codes, charge, workspace);
    return charge.cwiseProduct(by_charge).sum();
  }
  double central(double& value, double step) {
    const double before = value;
    value = before + step;
    const double high = loss();
    value = before - step;
    const double low = loss();
    value = before;
    return (high - low) / (2.0 * step);
  }
  Gradient gradient() const {
    Gradient out;
    Workspace workspace;
    TileModel(spec, tile, g).gradient(codes, by_charge, out, workspace);
    return out;
  }
};

Problem make_problem(Form form, data::SignMode sign) {
  Problem p{spec_of(form), gated_tile(17, 5), nodal::random_conductances(17, 5, 41), {}, {}};
  p.tile.pulse.sign = sign;
  p.codes = tie_free_codes(2, 17, 63.0, true);
  p.codes(0, 3) = 20.3, p.codes(1, 5) = -44.7;
  p.by_charge = random_normal_matrix({42}, 2, 5) / (p.tile.v_read_volt * p.tile.pulse.t_lsb_s * 1e-5);
  return p;
}

}  // namespace

TEST_CASE("the gradient by pulse lengths is the central difference of the form's own charge", "[analytic]") {
  const auto form = GENERATE(Form::ideal, Form::ladder, Form::binned, Form::closure);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  if (form == Form::closure && sign == data::SignMode::bipolar) return;
  const double r_row = GENERATE(0.0, 40.0);
  CAPTURE(tilemodel::form_name(form), data::to_name(sign), r_row);
  Problem p = make_problem(form, sign);
  p.tile.r_row_ohm = r_row;
  const Gradient exact = p.gradient();
  Matrix numeric(2, 17);
  for (Index k = 0; k < numeric.size(); ++k) numeric.data()[k] = p.central(p.codes.data()[k], 1e-4);
  CHECK(nodal::largest_difference(exact.codes, numeric) < 2e-7);
}

TEST_CASE("the gradient by wire and sense resistance is the central difference of the charge", "[analytic]") {
  const auto form = GENERATE(Form::ladder, Form::binned, Form::closure);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  if (form == Form::closure && sign == data::SignMode::bipolar) return;
  CAPTURE(tilemodel::form_name(form));
  Problem p = make_problem(form, sign);
  const Gradient exact = p.gradient();
  CHECK(exact.r_col_ohm == Approx(p.central(p.tile.r_col_ohm, 0.01)).epsilon(1e-6));
  CHECK(exact.r_sense_ohm == Approx(p.central(p.tile.r_sense_ohm, 0.01)).epsilon(1e-6));
  CHECK(std::abs(exact.r_col_ohm) > 1e-6);
}

TEST_CASE("the gradient by conductances is the central difference of the charge", "[analytic]") {
  const auto form = GENERATE(Form::ideal, Form::ladder, Form::binned);
  const auto sign = GENERATE(data::SignMode::two_phase, data::SignMode::bipolar);
  const double r_on = GENERATE(0.0, 2e4);
  const auto law = GENERATE(data::CellLaw::ohmic, data::CellLaw::sinh);
  CAPTURE(tilemodel::form_name(form), r_on);
  Problem p = make_problem(form, sign);
  p.tile.selector.r_on_ohm = r_on;
  p.tile.cell.law = law;
  const Gradient exact = p.gradient();
  Matrix numeric(17, 5);
  for (Index k = 0; k < numeric.size(); ++k) numeric.data()[k] = p.central(p.g.data()[k], 1e-9);
  CHECK(nodal::largest_difference(exact.g_siemens, numeric) < 2e-7);
}

TEST_CASE("the closure's gradient by conductances is exact where the reference column stays", "[analytic]") {
  // What one column of a cluster gains its neighbour loses: the mean of both does not move.
  Problem p = make_problem(Form::closure, data::SignMode::two_phase);
  p.spec.references = 1;
  p.spec.closure_bins = GENERATE(1, 3);
  const Gradient exact = p.gradient();
  const double step = 1e-9;
  double largest = 0.0;
  for (Index i = 0; i < 17; ++i)
    for (const auto& [a, b] : {std::pair<Index, Index>{0, 2}, {2, 4}, {1, 3}}) {
      Problem up = p, down = p;
      up.g(i, a) += step, up.g(i, b) -= step;
      down.g(i, a) -= step, down.g(i, b) += step;
      const double numeric = (up.loss() - down.loss()) / (2.0 * step);
      const double analytic = exact.g_siemens(i, a) - exact.g_siemens(i, b);
      largest = std::max(largest, std::abs(numeric - analytic) / exact.g_siemens.cwiseAbs().maxCoeff());
    }
  CHECK(largest < 2e-7);
}

TEST_CASE("where pulses end together the gradient is the mean of both one-sided derivatives", "[property]") {
  const auto form = GENERATE(Form::ladder, Form::binned, Form::closure);
  CAPTURE(tilemodel::form_name(form));
  Problem p = make_problem(form, data::SignMode::two_phase);
  p.codes = nodal::random_codes(2, 17, -8, 8, 43).cast<double>() * 4.0;  // ties, and edges of every bin
  const Gradient exact = p.gradient();
  const double h = 1e-5, here = p.loss();
  double kink = 0.0;
  Matrix mean(2, 17);
  for (Index k = 0; k < mean.size(); ++k) {
    double& code = p.codes.data()[k];
    const double before = code;
    code = before + h;
    const double right = (p.loss() - here) / h;
    code = before - h;
    const double left = (here - p.loss()) / h;
    code = before;
    mean.data()[k] = 0.5 * (left + right);
    kink = std::max(kink, std::abs(left - right));
  }
  CHECK(nodal::largest_difference(exact.codes, mean) < 1e-5);
  CHECK(kink > 1e-3 * mean.cwiseAbs().maxCoeff());
}

TEST_CASE("with several passes the gradient by codes of the ideal product is still the conductance",
          "[property]") {
  const auto passes = GENERATE(data::Passes::split, data::Passes::bit_serial);
  const auto form = GENERATE(Form::ideal, Form::ladder, Form::closure);
  Problem p = make_problem(form, data::SignMode::two_phase);
  p.tile.pulse.passes = passes;
  p.tile.r_col_ohm = p.tile.r_sense_ohm = 0.0;
  p.codes = nodal::random_codes(2, 17, -63, 63, 44).cast<double>();
  const Matrix expected = p.tile.v_read_volt * p.tile.pulse.t_lsb_s * (p.by_charge * p.g.transpose());
  CHECK(nodal::largest_difference(p.gradient().codes, expected) < 1e-12);
  p.codes(0, 0) = 2.5;
  if (form != Form::ideal) CHECK_THROWS_WITH(p.gradient(), Catch::Contains("whole codes"));
}

TEST_CASE("the closure's gradient stays close to the exact ladder's", "[cross]") {
  struct Case {
    double r_col_ohm, by_g, by_codes;  // relative RMS
  };
  const Case c = GENERATE(Case{0.15, 0.002, 0.002}, Case{1.0, 0.010, 0.008}, Case{5.0, 0.030, 0.025});
  Problem p{spec_of(Form::closure), data::tile_preset("pcm-14nm"), {}, {}, {}};
  p.spec.block_rows = 32;
  p.spec.closure_bins = 1;
  p.spec.references = 1;
  p.tile.rows = 512;
  p.tile.cols = 12;
  p.tile.sense = data::SenseEnd::south;
  p.tile.r_col_ohm = c.r_col_ohm;
  const Matrix w = random_normal_matrix({45, Stream::weights}, 512, 12);
  p.g = (0.1e-6 + 24.9e-6 * (w.array().max(0.0) / 2.6).min(1.0)).matrix();
  p.codes = (random_normal_matrix({46, Stream::inputs}, 2, 512).array() * 45.0)
                .max(0.0).min(127.0).round().matrix();
  p.by_charge = random_normal_matrix({47}, 2, 12).cwiseAbs();
  const Gradient fast = p.gradient();
  p.spec.form = Form::ladder;
  const Gradient exact = p.gradient();
  const double by_g = (fast.g_siemens - exact.g_siemens).norm() / exact.g_siemens.norm();
  const double by_codes = (fast.codes - exact.codes).norm() / exact.codes.norm();
  CAPTURE(c.r_col_ohm, by_g, by_codes);
  CHECK(by_g < c.by_g);
  CHECK(by_codes < c.by_codes);
  CHECK(by_g > 1e-6);
  CHECK(fast.r_col_ohm == Approx(exact.r_col_ohm).epsilon(0.05));
}

TEST_CASE("a gradient that cannot be given is refused", "[error]") {
  Problem p = make_problem(Form::ladder, data::SignMode::two_phase);
  p.by_charge = Matrix::Ones(3, 5);
  CHECK_THROWS_WITH(p.gradient(), Catch::Contains("charge_gradient is 3 x 5") && Catch::Contains("2 x 5"));
  p.by_charge = Matrix::Ones(2, 5);
  p.codes(1, 1) = 64.0;
  CHECK_THROWS_WITH(p.gradient(), Catch::Contains("vector 1, row 1"));
  p.codes(1, 1) = 0.0;
  p.spec.correction = {Vector::Zero(tilemodel::kFeatureCount), Vector::Zero(tilemodel::kFeatureCount)};
  CHECK_THROWS_WITH(p.gradient(), Catch::Contains("correction"));
}

TEST_CASE("the fast kernel's gradient is the reference kernel's", "[kernel]") {
  struct Case {
    Index rows, cols, vectors;
    int dac_bits, block_rows, bins, references;
    data::Passes passes;
  };
  using enum data::Passes;
  const Case c = GENERATE(Case{512, 33, 9, 8, 32, 1, 1, conventional}, Case{100, 70, 7, 8, 16, 3, 2, conventional},
                          Case{77, 16, 6, 8, 5, 2, 3, split}, Case{31, 3, 2, 8, 7, 2, 1, bit_serial},
                          Case{61, 20, 3, 11, 64, 2, 1, conventional});
  const bool whole = GENERATE(true, false);
  if (!whole && c.passes != conventional) return;
  Problem p{spec_of(Form::closure), data::tile_preset("pcm-14nm"), {}, {}, {}};
  p.spec.block_rows = c.block_rows;
  p.spec.closure_bins = c.bins;
  p.spec.references = c.references;
  p.tile.rows = c.rows;
  p.tile.cols = c.cols;
  p.tile.r_col_ohm = 5.0;
  p.tile.r_sense_ohm = 30.0;
  p.tile.r_row_ohm = GENERATE(0.0, 5.0);
  p.tile.pulse.dac_bits = c.dac_bits;
  p.tile.pulse.passes = c.passes;
  const int most = data::max_code(c.dac_bits);
  p.g = nodal::random_conductances(c.rows, c.cols, 48);
  p.codes = nodal::random_codes(c.vectors, c.rows, -most / 2, most, 49).cast<double>();
  if (!whole) p.codes *= 0.93;
  p.by_charge = random_normal_matrix({50}, c.vectors, c.cols) * 1e12;
  const Gradient expected = p.gradient();
  p.spec.arithmetic = tilemodel::Arithmetic::float32;
  const Gradient fast = p.gradient();
  CHECK(nodal::largest_difference(fast.codes, expected.codes) < 2e-5);
  CHECK(nodal::largest_difference(fast.g_siemens, expected.g_siemens) < 2e-5);
  CHECK(fast.r_col_ohm == Approx(expected.r_col_ohm).epsilon(1e-3));
  CHECK(fast.r_sense_ohm == Approx(expected.r_sense_ohm).epsilon(1e-3));
}

TEST_CASE("gradients in float32, without the mean at 0 and in parts are those of the whole", "[kernel]") {
  const auto form = GENERATE(Form::ideal, Form::ladder, Form::closure, Form::calibrated);
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  CAPTURE(tilemodel::form_name(form));
  Problem p = make_problem(form, data::SignMode::two_phase);
  p.spec.arithmetic = tilemodel::Arithmetic::float32;
  p.spec.calibration.factor = {1.1, 0.9, 0.8, 0.95};
  p.tile.sense = sense;
  p.tile.selector.r_on_ohm = 2e3;
  p.codes = p.codes.array().max(0.0);  // zeros where codes were negative
  const TileModel model(p.spec, p.tile, p.g);
  Workspace workspace;
  const Gradient whole = p.gradient();
  tilemodel::GradientF single;
  model.gradient(p.codes.cast<float>(), p.by_charge.cast<float>(), single, workspace);
  CHECK(nodal::largest_difference(single.codes.cast<double>(), whole.codes) < 2e-5);
  CHECK(nodal::largest_difference(single.g_siemens.cast<double>(), whole.g_siemens) < 2e-5);
  CHECK(single.r_col_ohm == Approx(whole.r_col_ohm).epsilon(1e-3));

  Gradient rising;
  tilemodel::GradientOptions options;
  options.rising_zero = true;
  model.gradient(p.codes, p.by_charge, rising, workspace, options);
  CHECK(nodal::largest_difference(rising.g_siemens, whole.g_siemens) < 1e-12);
  // One-sided differences; away from 0 nothing changes.
  p.spec.arithmetic = tilemodel::Arithmetic::automatic;  // the ladder's charges with the digits that differences need
  Matrix expected = whole.codes;
  for (Index k = 0; k < expected.size(); ++k) {
    if (p.codes.data()[k] != 0.0) continue;
    const double h = 1e-2, here = p.loss();
    p.codes.data()[k] = h;
    expected.data()[k] = (p.loss() - here) / h;
    p.codes.data()[k] = 0.0;
  }
  CHECK(nodal::largest_difference(rising.codes, expected) < 2e-3);

  Gradient part;
  options = {};
  options.g_siemens = false;
  model.gradient(p.codes, p.by_charge, part, workspace, options);
  CHECK(part.g_siemens.size() == 0);
  CHECK(part.codes == whole.codes);
  options = {};
  options.codes = false;
  Gradient other;
  model.gradient(p.codes, p.by_charge, other, workspace, options);
  CHECK(other.codes.size() == 0);
  CHECK(nodal::largest_difference(other.g_siemens, whole.g_siemens) < 1e-12);
}

TEST_CASE("a float32 gradient lands on its columns, with and without the charge's reference columns", "[kernel]") {
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::north, data::SenseEnd::alternate);
  const int lowest = GENERATE(-90, 0);
  Problem p{spec_of(Form::closure), data::tile_preset("pcm-14nm"), {}, {}, {}};
  p.spec.block_rows = 16;
  p.tile.rows = 77;
  p.tile.cols = 83;  // whole panels and a part of one
  p.tile.r_col_ohm = 5.0;
  p.tile.sense = sense;
  p.g = nodal::random_conductances(77, 83, 51);
  const IntMatrix codes = nodal::random_codes(7, 77, lowest, 127, 52);
  p.codes = codes.cast<double>();
  p.by_charge = random_normal_matrix({53}, 7, 83) * 1e12;
  p.spec.arithmetic = tilemodel::Arithmetic::float64;
  const Gradient expected = p.gradient();

  p.spec.arithmetic = tilemodel::Arithmetic::float32;
  const TileModel model(p.spec, p.tile, p.g), other(p.spec, p.tile, 0.5 * p.g);
  const MatrixF as_floats = codes.cast<float>(), by_charge = p.by_charge.cast<float>();
  Workspace workspace;
  tilemodel::GradientF alone, after;
  model.gradient(as_floats, by_charge, alone, workspace);
  CHECK(nodal::largest_difference(alone.codes.cast<double>(), expected.codes) < 2e-5);
  CHECK(nodal::largest_difference(alone.g_siemens.cast<double>(), expected.g_siemens) < 2e-5);

  const auto same_after = [&](const TileModel& last) {
    MatrixF charge;
    last.charge(codes, charge, workspace);
    tilemodel::GradientOptions options;
    options.after_charge = true;
    model.gradient(as_floats, by_charge, after, workspace, options);
    CHECK(after.codes == alone.codes);
    CHECK(after.g_siemens == alone.g_siemens);
    CHECK(after.r_col_ohm == alone.r_col_ohm);
  };
  same_after(model);
  same_after(other);  // the workspace knows whose reference columns it holds
}
