#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "reference_sets.hpp"
#include "tilemodel/regression.hpp"
#include "tilemodel/tilemodel.hpp"

using namespace crosstile;
using tilemodel::FitReport;
using tilemodel::Form;
using tilemodel::kFeatureCount;
using tilemodel::ModelSpec;
using tilemodel::TileModel;

namespace {

// Charges of every vector through a model.
Matrix model_charge(const data::ReferenceSet& set, const ModelSpec& spec, const std::vector<Matrix>& g) {
  Matrix out(set.vectors(), set.tile.cols), one;
  for (Index v = 0; v < set.vectors(); ++v) {
    TileModel(spec, set.tile, g[static_cast<std::size_t>(set.draw[v])]).charge(set.codes.row(v), one);
    out.row(v) = one.row(0);
  }
  return out;
}

// Sets the charges to a model's plus noise of `sigma` (coulomb).
void charges_from(data::ReferenceSet& set, const ModelSpec& spec, double sigma) {
  set.charge_plus_coulomb = model_charge(set, spec, set.g_plus_siemens);
  set.charge_minus_coulomb = model_charge(set, spec, set.g_minus_siemens);
  set.charge_plus_coulomb += sigma * random_normal_matrix({91}, set.vectors(), set.tile.cols);
  set.charge_minus_coulomb += sigma * random_normal_matrix({92}, set.vectors(), set.tile.cols);
}

ModelSpec form(Form f) {
  ModelSpec spec;
  spec.form = f;
  return spec;
}

}  // namespace

TEST_CASE("the fit recovers planted coefficients within five standard errors", "[statistics]") {
  data::ReferenceSet set = samples::empty_set(32, 48, 60);
  ModelSpec planted = form(Form::binned);
  planted.correction.coefficients = Vector::Zero(kFeatureCount);
  planted.correction.coefficients << -0.02, 0.01, 0.004, 0.3, 0.0, 0.0, -0.2, 0.9;
  planted.correction.standard_errors = Vector::Zero(kFeatureCount);
  const double noise_coulomb = 2e-18;
  charges_from(set, planted, noise_coulomb);
  ModelSpec spec = form(Form::binned);
  const FitReport report = tilemodel::fit(set, spec);
  REQUIRE(spec.correction.coefficients.size() == kFeatureCount);
  for (Index f = 0; f < kFeatureCount; ++f) {
    INFO(tilemodel::kFeatureNames[static_cast<std::size_t>(f)]
         << " " << spec.correction.coefficients[f] << " +- " << spec.correction.standard_errors[f]);
    const double planted_value = planted.correction.coefficients[f];
    CHECK(std::abs(spec.correction.coefficients[f] - planted_value) <=
          5.0 * spec.correction.standard_errors[f]);
    if (planted_value != 0.0) CHECK(spec.correction.standard_errors[f] > 0.0);
  }
  // What is left is the noise: its RMS, known to 1 / sqrt(2 n).
  const auto n = static_cast<double>(report.held_out_after.samples);
  CHECK(report.held_out_after.rms_lsb * report.lsb_coulomb ==
        Approx(noise_coulomb).epsilon(5.0 / std::sqrt(2.0 * n)));
}

TEST_CASE("features that explain nothing are dropped", "[statistics]") {
  // A pure gain; each of the other seven survives three standard errors by chance in 0.3 % of all seeds.
  data::ReferenceSet set = samples::empty_set(32, 48, 60);
  charges_from(set, form(Form::ladder), 2e-17);
  set.charge_plus_coulomb *= 0.99;
  set.charge_minus_coulomb *= 0.99;
  ModelSpec spec = form(Form::ladder);
  tilemodel::fit(set, spec);
  REQUIRE(spec.correction.coefficients.size() == kFeatureCount);
  CHECK(std::abs(spec.correction.coefficients[0] + 0.01) < 5.0 * spec.correction.standard_errors[0]);
  CHECK(spec.correction.coefficients.tail(kFeatureCount - 1).isZero(0.0));
}

TEST_CASE("a form that is exact to start with gets no correction and stays as it is, bit for bit",
          "[identity]") {
  data::ReferenceSet set = samples::empty_set(20, 16, 12);
  set.tile.r_row_ohm = 0.0;
  ModelSpec spec = form(Form::ladder);
  charges_from(set, spec, 0.0);
  set.charge_plus_coulomb *= 1.0 + 1e-13;  // rounding of another solver
  const Matrix before = model_charge(set, spec, set.g_plus_siemens);
  const FitReport report = tilemodel::fit(set, spec);
  CHECK(spec.correction.coefficients.size() == 0);
  CHECK((model_charge(set, spec, set.g_plus_siemens).array() == before.array()).all());
  CHECK(report.held_out_after.rms_lsb == report.held_out_before.rms_lsb);
}

TEST_CASE("held-out vectors change their own error figures and nothing else", "[property]") {
  data::ReferenceSet set = samples::empty_set(20, 16, 24);
  charges_from(set, form(Form::ladder), 1e-15);
  set.charge_plus_coulomb *= 0.98;
  ModelSpec first = form(Form::ladder), second = first;
  const FitReport before = tilemodel::fit(set, first);
  for (Index v = 0; v < set.vectors(); ++v)
    if (set.held_out[v] != 0) set.charge_plus_coulomb.row(v) *= 1.5;
  const FitReport after = tilemodel::fit(set, second);
  CHECK((first.correction.coefficients.array() == second.correction.coefficients.array()).all());
  CHECK(after.held_out_after.rms_lsb > 2.0 * before.held_out_after.rms_lsb);
}

TEST_CASE("the reported errors are those of the corrected model, by their definitions", "[identity]") {
  data::ReferenceSet set = samples::empty_set(20, 16, 24);
  charges_from(set, form(Form::ladder), 1e-15);
  set.charge_plus_coulomb *= 0.97;
  set.charge_minus_coulomb *= 0.97;
  ModelSpec spec = form(Form::binned);
  const FitReport report = tilemodel::fit(set, spec);
  const Matrix plus = model_charge(set, spec, set.g_plus_siemens) - set.charge_plus_coulomb;
  const Matrix minus = model_charge(set, spec, set.g_minus_siemens) - set.charge_minus_coulomb;
  std::vector<double> error, charge;
  double difference = 0.0, output = 0.0;
  for (Index v = 0; v < set.vectors(); ++v) {
    for (Index j = 0; j < set.tile.cols; ++j) {
      charge.push_back(std::abs(set.charge_plus_coulomb(v, j)));
      charge.push_back(std::abs(set.charge_minus_coulomb(v, j)));
      if (set.held_out[v] == 0) continue;
      error.push_back(std::abs(plus(v, j)));
      error.push_back(std::abs(minus(v, j)));
      difference += std::pow(plus(v, j) - minus(v, j), 2);
      output += std::pow(set.charge_plus_coulomb(v, j) - set.charge_minus_coulomb(v, j), 2);
    }
  }
  const auto quantile = [](std::vector<double> list, double q) {
    std::sort(list.begin(), list.end());
    const double place = q * static_cast<double>(list.size() - 1);
    const auto k = static_cast<std::size_t>(place);
    return k + 1 == list.size() ? list[k]
                                : list[k] + (place - static_cast<double>(k)) * (list[k + 1] - list[k]);
  };
  const double lsb = quantile(charge, 0.999) / 255.0;
  double square = 0.0;
  for (const double e : error) square += e * e;
  CHECK(report.lsb_coulomb == Approx(lsb));
  CHECK(report.held_out_after.samples == static_cast<Index>(error.size()));
  CHECK(report.held_out_after.rms_lsb ==
        Approx(std::sqrt(square / static_cast<double>(error.size())) / lsb).epsilon(1e-6));
  CHECK(report.held_out_after.quantile_999_lsb == Approx(quantile(error, 0.999) / lsb).epsilon(1e-6));
  CHECK(report.held_out_after.max_lsb == Approx(quantile(error, 1.0) / lsb).epsilon(1e-6));
  CHECK(report.held_out_after.rms_relative == Approx(std::sqrt(difference / output)).epsilon(1e-6));
}

TEST_CASE(
    "on the full mesh the fitted ladder's held-out error is far below that of the row-wire factor alone",
    "[cross]") {
  const auto sense = GENERATE(data::SenseEnd::south, data::SenseEnd::alternate);
  const auto drivers = GENERATE(data::DriverEnds::west, data::DriverEnds::both);
  data::ReferenceSet set = samples::empty_set(32, 32, 24);
  set.tile.r_row_ohm = set.tile.r_col_ohm = 8.0;
  set.tile.r_driver_ohm = set.tile.r_sense_ohm = 20.0;
  set.tile.sense = sense;
  set.tile.drivers = drivers;
  set.tile.c_row_farad = set.tile.c_col_farad = 0.0;
  circuit::ChargeOptions options;
  options.energy = false;
  for (Index v = 0; v < set.vectors(); ++v) {
    const IntVector codes = set.codes.row(v).transpose();
    const auto draw = static_cast<std::size_t>(set.draw[v]);
    const auto reference = [&](const std::vector<Matrix>& g) -> Vector {
      return circuit::solve_charge(circuit::Crossbar(set.tile, g[draw]), codes, options).charge_coulomb;
    };
    set.charge_plus_coulomb.row(v) = reference(set.g_plus_siemens).transpose();
    set.charge_minus_coulomb.row(v) = reference(set.g_minus_siemens).transpose();
  }
  ModelSpec spec = form(Form::ladder);
  const FitReport report = tilemodel::fit(set, spec);
  INFO(report.held_out_before.rms_lsb << " LSB before, " << report.held_out_after.rms_lsb << " after");
  // What the estimate leaves out are fluctuations among the columns, about 1 / sqrt(32) of what it describes.
  CHECK(report.held_out_after.rms_lsb < report.held_out_before.rms_lsb / std::sqrt(32.0));
  // The estimate is derived, not invented: its coefficient is close to one.
  CHECK(spec.correction.coefficients[kFeatureCount - 1] == Approx(1.0).margin(0.15));
}

TEST_CASE("layouts with one bit line a weight are fitted too", "[identity]") {
  data::ReferenceSet set = samples::empty_set(12, 10, 16);
  set.tile.weight_layout = data::WeightLayout::single;
  set.g_minus_siemens.clear();
  set.charge_plus_coulomb = 0.9 * model_charge(set, form(Form::ladder), set.g_plus_siemens);
  set.charge_minus_coulomb.resize(0, 0);
  ModelSpec spec = form(Form::ladder);
  const FitReport single = tilemodel::fit(set, spec);
  CHECK(single.held_out_after.samples == 4 * 10);
  CHECK(spec.correction.coefficients[0] == Approx(-0.1).epsilon(1e-6));

  set = samples::empty_set(12, 10, 16);
  set.tile.drive = data::Drive::bipolar;
  set.tile.weight_layout = data::WeightLayout::bipolar;
  set.charge_minus_coulomb.resize(0, 0);
  tilemodel::EffectiveMatrices w;
  for (std::size_t d = 0; d < set.g_plus_siemens.size(); ++d)
    w.plus.push_back(0.9 * (set.g_plus_siemens[d] - set.g_minus_siemens[d]));
  for (Index v = 0; v < set.vectors(); ++v)
    set.charge_plus_coulomb.row(v) = set.tile.v_read_volt * set.tile.pulse.t_lsb_s *
                                     set.codes.row(v).cast<double>() *
                                     w.plus[static_cast<std::size_t>(set.draw[v])];
  ModelSpec ideal = form(Form::ideal), effective = form(Form::effective);
  tilemodel::fit(set, ideal);
  CHECK(ideal.correction.coefficients[0] == Approx(-0.1).epsilon(1e-6));
  CHECK(tilemodel::fit(set, effective, w).fit_before.rms_relative < 1e-13);
  CHECK(effective.correction.coefficients.size() == 0);
  CHECK_THROWS_WITH(tilemodel::fit(set, effective),
                    Catch::Contains("effective") && Catch::Contains("0 plus matrices"));
}

TEST_CASE("a fit without vectors, without charges, or with a form that does not fit is refused", "[error]") {
  data::ReferenceSet set = samples::empty_set(8, 6, 8);
  charges_from(set, form(Form::ladder), 0.0);
  ModelSpec spec = form(Form::effective);
  CHECK_THROWS_WITH(tilemodel::fit(set, spec), Catch::Contains("effective"));
  spec.form = Form::ladder;
  data::ReferenceSet held = set;
  held.held_out.setOnes();
  CHECK_THROWS_WITH(tilemodel::fit(held, spec), Catch::Contains("held out"));
  data::ReferenceSet dark = set;
  dark.charge_plus_coulomb.setZero();
  dark.charge_minus_coulomb.setZero();
  CHECK_THROWS_WITH(tilemodel::fit(dark, spec), Catch::Contains("zero"));
  CHECK_THROWS_AS(tilemodel::fit(set, spec, [](double, std::string_view) { return false; }), Error);
}

TEST_CASE("warnings name what lies outside the fitted range, and are silent inside", "[property]") {
  data::ReferenceSet set = samples::empty_set(12, 10, 16);
  charges_from(set, form(Form::ladder), 1e-15);
  ModelSpec spec = form(Form::ladder);
  const FitReport report = tilemodel::fit(set, spec);
  CHECK(tilemodel::warnings(report, set.tile).empty());
  CHECK(tilemodel::warnings(report, set.g_plus_siemens[0]).empty());
  const IntMatrix fitted = set.codes.topRows(1);  // vector 0 is not held out
  CHECK(tilemodel::warnings(report, fitted).empty());

  data::TileSpec other = set.tile;
  other.r_col_ohm *= 2.0;
  other.rows += 1;
  other.sense = data::SenseEnd::north;
  const auto list = tilemodel::warnings(report, other);
  REQUIRE(list.size() == 3);
  CHECK_THAT(list[0], Catch::Contains("rows = 13"));
  CHECK_THAT(list[1], Catch::Contains("r_col_ohm"));
  CHECK_THAT(list[2], Catch::Contains("sense") && Catch::Contains("north"));
  CHECK(tilemodel::warnings(report, Matrix(3.0 * set.g_plus_siemens[0])).size() == 1);
  IntMatrix busy = IntMatrix::Constant(3, 12, 7);
  busy.row(0) = fitted.row(0);
  const auto activity = tilemodel::warnings(report, busy);
  REQUIRE(activity.size() == 1);
  CHECK_THAT(activity[0], Catch::StartsWith("2 of 3 vectors") && Catch::Contains("activity"));
}

TEST_CASE("the calibration recovers planted factors within five standard errors", "[statistics]") {
  data::ReferenceSet set = samples::empty_set(64, 48, 60);
  ModelSpec planted = form(Form::calibrated);
  planted.block_rows = 8;
  planted.calibration.factor = {1.18, 1.12, 0.8, 0.994};
  const double noise_coulomb = 2e-17;
  charges_from(set, planted, noise_coulomb);
  ModelSpec spec = form(Form::calibrated);
  spec.block_rows = 8;
  const FitReport report = tilemodel::fit(set, spec);
  for (std::size_t f = 0; f < planted.calibration.factor.size(); ++f) {
    INFO(tilemodel::kCalibrationNames[f] << " " << spec.calibration.factor[f] << " +- "
                                         << spec.calibration.standard_error[f]);
    CHECK(spec.calibration.standard_error[f] > 0.0);
    CHECK(std::abs(spec.calibration.factor[f] - planted.calibration.factor[f]) <=
          5.0 * spec.calibration.standard_error[f]);
  }
  CHECK(report.held_out_after.rms_lsb < 0.3 * report.held_out_before.rms_lsb);
  const auto n = static_cast<double>(report.held_out_after.samples);
  CHECK(report.held_out_after.rms_lsb * report.lsb_coulomb ==
        Approx(noise_coulomb).epsilon(5.0 / std::sqrt(2.0 * n)));
}

TEST_CASE("factors that explain nothing stay at 1", "[statistics]") {
  data::ReferenceSet set = samples::empty_set(64, 48, 60);
  ModelSpec planted = form(Form::calibrated);
  planted.block_rows = 8;
  planted.calibration.factor = {1.0, 1.0, 1.0, 0.99};
  charges_from(set, planted, 2e-17);
  ModelSpec spec = form(Form::calibrated);
  spec.block_rows = 8;
  tilemodel::fit(set, spec);
  CHECK(spec.calibration.factor[0] == 1.0);
  CHECK(spec.calibration.factor[1] == 1.0);
  CHECK(spec.calibration.factor[2] == 1.0);
  CHECK(spec.calibration.factor[3] == Approx(0.99).epsilon(1e-3));
  CHECK(spec.calibration.standard_error[0] == 0.0);
}

TEST_CASE("sinh cells and selectors: the fitted factor on the wires is the cell's slope over its chord", "[analytic]") {
  // To first order in the wires' drop a cell loses slope times drop, and the model has chord times drop.
  data::ReferenceSet set = samples::empty_set(48, 24, 16);
  set.tile.sense = data::SenseEnd::south;
  set.tile.r_col_ohm = set.tile.r_row_ohm = 0.2;
  set.tile.cell.law = data::CellLaw::sinh;
  set.tile.cell.v_h_volt = 0.25;
  set.tile.c_row_farad = set.tile.c_col_farad = 0.0;
  circuit::ChargeOptions options;
  options.energy = false;
  for (Index v = 0; v < set.vectors(); ++v) {
    const auto draw = static_cast<std::size_t>(set.draw[v]);
    const auto solve = [&](const Matrix& g) {
      return circuit::solve_charge(circuit::Crossbar(set.tile, g), set.codes.row(v).transpose(), options)
          .charge_coulomb.transpose()
          .eval();
    };
    set.charge_plus_coulomb.row(v) = solve(set.g_plus_siemens[draw]);
    set.charge_minus_coulomb.row(v) = solve(set.g_minus_siemens[draw]);
  }
  ModelSpec spec = form(Form::calibrated);
  spec.block_rows = 4;
  spec.closure_bins = 4;
  const FitReport report = tilemodel::fit(set, spec);
  const double x = set.tile.v_read_volt / set.tile.cell.v_h_volt, slope_over_chord = x / std::tanh(x);
  CHECK(spec.calibration.factor[0] == Approx(slope_over_chord).epsilon(0.01));
  CHECK(spec.calibration.factor[1] == Approx(slope_over_chord).epsilon(0.01));
  CHECK(report.held_out_after.rms_lsb < 0.04 * report.held_out_before.rms_lsb);  // 0.029: second order
}

TEST_CASE("vectors on weights that no fit has seen are reported apart", "[property]") {
  data::ReferenceSet set = samples::empty_set(16, 12, 24);
  set.held_out = IntVector::NullaryExpr(24, [](Index v) { return v % 2 == 1 || v % 8 == 0 ? 1 : 0; });
  charges_from(set, form(Form::ladder), 1e-17);
  ModelSpec spec = form(Form::binned);
  const FitReport report = tilemodel::fit(set, spec);
  CHECK(report.held_out_after.samples == 3 * 2 * 12);
  CHECK(report.new_weights_after.samples == 12 * 2 * 12);
  CHECK(report.held_out_vectors == 15);
  CHECK(report.fit_vectors == 9);
}

TEST_CASE("the chosen form is the cheapest one that meets the target", "[property]") {
  data::ReferenceSet set = samples::empty_set(64, 12, 40);
  set.tile.r_row_ohm = 0.0;
  charges_from(set, form(Form::ladder), 0.0);
  const auto strict = tilemodel::fit_to_target(set, 1e-6, {});
  CHECK(strict.met);
  CHECK(strict.spec.form == Form::ladder);
  CHECK(strict.trials.size() == tilemodel::candidates(set.tile).size());
  const double second = strict.trials[1].error_lsb;
  const auto loose = tilemodel::fit_to_target(set, 1.01 * second, {});
  CHECK(loose.met);
  CHECK(loose.spec.form == Form::calibrated);
  CHECK(loose.spec.block_rows == 64);
  CHECK(loose.trials.size() == 2);
  CHECK(tilemodel::judged_error(loose.report) <= 1.01 * second);
  set.charge_plus_coulomb.array() *= 1.0 + 0.01 * random_normal_matrix({93}, 40, 12).array();
  const auto never = tilemodel::fit_to_target(set, 1e-6, {});
  CHECK_FALSE(never.met);
  for (const auto& trial : never.trials) CHECK(tilemodel::judged_error(never.report) <= trial.error_lsb);
  CHECK_THROWS_WITH(tilemodel::fit_to_target(set, 0.0, {}), Catch::Contains("target error"));
}

TEST_CASE("a feature that the data do not hold has coefficient 0, no known error, and is dropped", "[regression]") {
  tilemodel::ArrayData array{Matrix::Zero(6, 4), random_normal_matrix({61}, 6, 4), {}};
  array.feature = {random_normal_matrix({62}, 6, 4), Matrix::Zero(6, 4)};
  const auto solution = tilemodel::Regression({array}, {0, 1, 2, 3, 4, 5}).solve({0, 1});
  CHECK(std::isfinite(solution.coefficients[0]));
  CHECK(solution.coefficients[1] == 0.0);
  CHECK(std::isinf(solution.standard_errors[1]));
  std::vector<Index> left{0, 1};
  REQUIRE(tilemodel::drop_weakest(solution.coefficients, solution.standard_errors, left));
  CHECK(left == std::vector<Index>{0});
}
