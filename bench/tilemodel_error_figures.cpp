// Errors of the forms with ideal supply, against the exact ladder in double precision.
#include <fmt/format.h>

#include <cmath>

#include "bench/tilemodel_figures.hpp"
#include "bench/tilemodel_inputs.hpp"
#include "validation/baselines.hpp"

namespace crosstile::bench {

namespace {

using tilemodel::Form;

std::optional<Goal> goal_of(double value) { return value > 0.0 ? std::optional<Goal>(at_most(value)) : std::nullopt; }

void add_error(Report& report, const std::string& name, double goal, const ErrorOf& error) {
  report.add(Figure{.name = name + ": RMS error (LSB)",
                    .goal = goal_of(goal),
                    .reached = number(error.rms_lsb),
                    .note = fmt::format("99.9 %: {:.3g}; of G+ - G-: {:.2g} %", error.quantile_999_lsb, 100.0 * error.of_output)});
}

// What needs no physics: one gain a column, and the best linear map, fitted to the first vectors.
struct Fitted {
  ErrorOf gain, linear;
};
Fitted fitted_maps(const Inputs& in, const Charges& exact, Index fit_vectors) {
  const Index rest = in.codes.rows() - fit_vectors;
  const auto both = [&](const Matrix& g, const Matrix& charge, Matrix& by_gain, Matrix& by_map) {
    const Matrix ideal = validation::ideal_charge(in.tile, g, in.codes);
    const Matrix some = ideal.topRows(fit_vectors), target = charge.topRows(fit_vectors);
    const Vector gains = validation::fit_column_gains(some, target, 1.0);
    by_gain = ideal.bottomRows(rest) * gains.asDiagonal();
    by_map = validation::fit_linear_map(in.codes.topRows(fit_vectors), some, target)
                 .predict(in.codes.bottomRows(rest), ideal.bottomRows(rest));
  };
  Charges by_gain, by_map;
  both(in.g_plus_siemens, exact.plus, by_gain.plus, by_map.plus);
  both(in.g_minus_siemens, exact.minus, by_gain.minus, by_map.minus);
  const Charges held_out{exact.plus.bottomRows(rest), exact.minus.bottomRows(rest)};
  return {error_of(by_gain, held_out), error_of(by_map, held_out)};
}

struct WireGoals {
  double ohm, one_bin, two_bins, below_linear;
};

void add_errors(Report& report, const std::string& which, const Inputs& in, const WireGoals& goals, Index fit_vectors) {
  const auto name = [&](const std::string& form) { return fmt::format("{}, {} ohm, {}", which, goals.ohm, form); };
  const Charges exact = charges_of(plain_spec(Form::ladder), in);
  add_error(report, name("ideal"), 0.0, error_of(charges_of(plain_spec(Form::ideal), in), exact));
  const Fitted fitted = fitted_maps(in, exact, fit_vectors);
  add_error(report, name("one fitted gain a column"), 0.0, fitted.gain);
  add_error(report, name("best linear map"), 0.0, fitted.linear);
  const ErrorOf closure = error_of(charges_of(closure_spec(32, 1), in), exact);
  add_error(report, name("closure L = 32"), goals.one_bin, closure);
  if (goals.below_linear > 0.0)
    report.add(Figure{.name = name("best linear map over closure L = 32"),
                      .goal = at_least(goals.below_linear),
                      .reached = times(fitted.linear.rms_lsb / closure.rms_lsb)});
  for (const int block_rows : {64, 16, 8})
    add_error(report, name(fmt::format("closure L = {}", block_rows)), 0.0, error_of(charges_of(closure_spec(block_rows, 1), in), exact));
  add_error(report, name("closure L = 32, T' = 2"), goals.two_bins, error_of(charges_of(closure_spec(32, 2), in), exact));
  add_error(report, name("closure L = 32, T' = 4"), 0.0, error_of(charges_of(closure_spec(32, 4), in), exact));
}

}  // namespace

void error_a_figures(Report& report) {
  // The map has 512 coefficients a column.
  const Index fit_vectors = report.quick() ? 1024 : 4096, vectors = report.quick() ? 256 : 1024;
  for (const WireGoals& goals : {WireGoals{0.15, 0.015, 0.008, 30.0}, {1.0, 0.09, 0.045, 30.0}, {20.0, 0.0, 0.0, 0.0}})
    add_errors(report, "(a)", inputs_a(gated_tile(goals.ohm), fit_vectors + vectors), goals, fit_vectors);
}

void error_b_figures(Report& report) {
  const Index fit_vectors = report.quick() ? 1024 : 4096, vectors = report.quick() ? 256 : 1024;
  for (const WireGoals& goals : {WireGoals{0.15, 0.02, 0.0, 8.0}, {1.0, 0.12, 0.0, 8.0}, {20.0, 0.0, 0.0, 0.0}}) {
    const auto in = inputs_b(gated_tile(goals.ohm), fit_vectors + vectors);
    if (!in) return report.skip("(b)", {}, "", "data/mnist is not there");
    add_errors(report, "(b)", *in, goals, fit_vectors);
  }
}

void heterogeneous_figures(Report& report) {
  const Index vectors = report.quick() ? 128 : 1024;
  const data::TileSpec tile = gated_tile(0.15);
  for (const auto& [name, in] : {std::pair{"half all-on, half all-off", half_and_half(tile, vectors)},
                                 std::pair{"weights correlated over 32 cells", correlated_weights(tile, vectors)}})
    add_error(report, fmt::format("{}, 0.15 ohm, closure L = 32", name), 0.025,
              error_of(charges_of(closure_spec(32, 1), in), charges_of(plain_spec(Form::ladder), in)));
}

void wire_figures(Report& report) {
  const Index vectors = report.quick() ? 64 : 256;
  const std::vector<std::pair<std::string, tilemodel::ModelSpec>> forms{{"ideal", plain_spec(Form::ideal)},
                                                                        {"binned 8 x 8", plain_spec(Form::binned)},
                                                                        {"closure L = 64", closure_spec(64, 1)},
                                                                        {"closure L = 32", closure_spec(32, 1)},
                                                                        {"closure L = 8", closure_spec(8, 1)},
                                                                        {"closure L = 32, T' = 2", closure_spec(32, 2)},
                                                                        {"closure L = 32, T' = 4", closure_spec(32, 4)}};
  Series errors{"RMS error against wire resistance, inputs (a)", {{"wire", "ohm per cell"}}, {}};
  for (const auto& [name, spec] : forms) errors.columns.push_back({name, "LSB"});
  for (const double ohm : {0.05, 0.15, 0.35, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0}) {
    const Inputs in = inputs_a(gated_tile(ohm), vectors);
    const Charges exact = charges_of(plain_spec(Form::ladder), in);
    std::vector<double> row{ohm};
    for (const auto& [name, spec] : forms) row.push_back(error_of(charges_of(spec, in), exact).rms_lsb);
    errors.rows.push_back(std::move(row));
  }
  report.add(std::move(errors));

  const Inputs in = inputs_a(gated_tile(1.0), kBatch);
  const Charges exact = charges_of(plain_spec(Form::ladder), in);
  Series pareto{"Error against cost, inputs (a), 1 ohm", {{"cost", "plain products"}, {"RMS", "LSB"}, {"block rows", ""}, {"bins", ""}}, {}};
  const auto add = [&](const tilemodel::ModelSpec& spec, double block_rows, double bins) {
    pareto.rows.push_back({cost_of(in, spec, report.quick() ? 5 : 20).products, error_of(charges_of(spec, in), exact).rms_lsb, block_rows, bins});
  };
  add(plain_spec(Form::ideal), 0, 0);
  add(plain_spec(Form::binned), -1, 8);
  for (const int bins : {1, 2, 3, 4, 8})
    for (const int rows : {64, 32, 16, 8}) add(closure_spec(rows, bins), rows, bins);
  report.add(std::move(pareto));
}

}  // namespace crosstile::bench
