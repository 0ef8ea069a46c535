// Fast models against the circuit: where they must be exact, and the full two-wire mesh.
#include <fmt/format.h>

#include <algorithm>

#include "bench/tilemodel_figures.hpp"
#include "bench/tilemodel_inputs.hpp"
#include "circuit/circuit.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/reference_set.hpp"

namespace crosstile::bench {

namespace {

using tilemodel::Form;

// Charges of the circuit; both threads of the machine, because nothing is timed here.
Matrix circuit_charge(const data::TileSpec& tile, const Matrix& g, const IntMatrix& codes, double tolerance) {
  const circuit::Crossbar crossbar(tile, g);
  Matrix out(codes.rows(), tile.cols);
  parallel_for(codes.rows(), 0, [&](Index v, int) {
    circuit::ChargeOptions options;
    options.energy = false;
    options.steady.tolerance = tolerance;
    const auto result = solve_charge(crossbar, codes.row(v).transpose(), options);
    if (result.status != circuit::Status::ok)
      throw Error(ErrorKind::not_converged, "circuit: " + circuit::to_text(result.status));
    out.row(v) = result.charge_coulomb.transpose();
  });
  return out;
}
Charges circuit_charges(const Inputs& in, double tolerance = 1e-8) {
  return {circuit_charge(in.tile, in.g_plus_siemens, in.codes, tolerance), circuit_charge(in.tile, in.g_minus_siemens, in.codes, tolerance)};
}

double distance(const Matrix& a, const Matrix& b) { return (a - b).cwiseAbs().maxCoeff() / b.cwiseAbs().maxCoeff(); }

void add_error(Report& report, const std::string& name, std::optional<Goal> goal, const ErrorOf& error) {
  report.add(Figure{.name = name + ": RMS error (LSB)",
                    .goal = goal,
                    .reached = number(error.rms_lsb),
                    .note = fmt::format("99.9 %: {:.3g}; of G+ - G-: {:.2g} %", error.quantile_999_lsb, 100.0 * error.of_output)});
}

// Two fitted weight draws with vectors held out, and a draw that no fit sees.
data::ReferenceSet reference_set(const data::TileSpec& tile, Index vectors, const std::function<Charges(const Inputs&)>& solve) {
  data::ReferenceSet set;
  set.tile = tile;
  set.method = "charge";
  const Index draws = 3, all = draws * vectors;
  set.codes.resize(all, tile.rows);
  set.charge_plus_coulomb.resize(all, tile.cols);
  set.charge_minus_coulomb.resize(all, tile.cols);
  for (Index d = 0; d < draws; ++d) {
    Inputs in = inputs_a(tile, vectors, static_cast<std::uint64_t>(20 + d));
    const Charges charges = solve(in);
    set.codes.middleRows(d * vectors, vectors) = in.codes;
    set.charge_plus_coulomb.middleRows(d * vectors, vectors) = charges.plus;
    set.charge_minus_coulomb.middleRows(d * vectors, vectors) = charges.minus;
    set.g_plus_siemens.push_back(std::move(in.g_plus_siemens));
    set.g_minus_siemens.push_back(std::move(in.g_minus_siemens));
  }
  set.draw = IntVector::NullaryExpr(all, [&](Index v) { return static_cast<int>(v / vectors); });
  set.held_out = IntVector::NullaryExpr(all, [&](Index v) { return v / vectors == draws - 1 || v % 3 == 2 ? 1 : 0; });
  set.energy_joule = Matrix::Zero(all, 1);
  set.energy_terms = {"cells"};
  return set;
}

void add_fit(Report& report, const std::string& name, double goal, const data::ReferenceSet& set) {
  tilemodel::ModelSpec spec = closure_spec(32, 1, Form::calibrated);
  const auto fit = tilemodel::fit(set, spec);
  for (const auto& [kind, before, after] : {std::tuple{"held-out vectors", fit.held_out_before, fit.held_out_after},
                                            std::tuple{"new weights", fit.new_weights_before, fit.new_weights_after}}) {
    std::string factors;
    for (const double factor : spec.calibration.factor) factors += fmt::format(" {:.4f}", factor);
    report.add(Figure{.name = fmt::format("{}, calibrated L = 32, {}: RMS error (LSB)", name, kind),
                      .goal = at_most(goal),
                      .reached = number(after.rms_lsb),
                      .note = fmt::format("99.9 %: {:.3g}; of G+ - G-: {:.2g} %; before: {:.3g}; factors{}", after.quantile_999_lsb,
                                          100.0 * after.rms_relative, before.rms_lsb, factors)});
  }
}

}  // namespace

void exact_figures(Report& report) {
  const Index vectors = 4;
  const Inputs gated = inputs_a(gated_tile(1.0), vectors);
  report.add(Figure{.name = "ladder, gated, ideal supply: distance to the circuit over the largest charge",
                    .goal = at_most(1e-9),
                    .reached = number(distance(charges_of(plain_spec(Form::ladder), gated).plus, circuit_charges(gated, 1e-12).plus))});
  data::TileSpec tile = gated_tile(1.0, 1.0);
  tile.drive = data::Drive::level;
  const Inputs level = inputs_a(tile, vectors);
  const Matrix w = effective_matrix(circuit::Crossbar(tile, level.g_plus_siemens), 0);
  Matrix charge;
  tilemodel::TileModel(plain_spec(Form::effective), tile, level.g_plus_siemens, w).charge(level.codes, charge);
  report.add(Figure{.name = "effective, level drive, full mesh: distance to the circuit over the largest charge",
                    .goal = at_most(1e-9),
                    .reached = number(distance(charge, circuit_charge(tile, level.g_plus_siemens, level.codes, 1e-12)))});
  report.add(Figure{.name = "effective: the stored bipolar ladder data",
                    .goal = at_most(1e-9),
                    .reached = {},
                    .is_test = true,
                    .command = "test_tilemodel \"the effective form reproduces*\""});
}

void mesh_figures(Report& report) {
  const Index vectors = report.quick() ? 16 : 64;
  struct Case {
    double ohm, goal_a, goal_b;
  };
  for (const Case c : {Case{0.35, 0.05, 0.03}, {1.0, 0.2, 0.0}}) {
    const data::TileSpec tile = gated_tile(c.ohm, c.ohm);
    const auto add = [&](const std::string& name, double goal, const Inputs& in) {
      const Charges exact = circuit_charges(in);
      const auto label = [&](const std::string& form) { return fmt::format("full mesh {}, {} ohm both ways, {}", name, c.ohm, form); };
      add_error(report, label("ideal"), {}, error_of(charges_of(plain_spec(Form::ideal), in), exact));
      tilemodel::ModelSpec without = closure_spec(32, 1);
      without.mesh_load = false;
      add_error(report, label("closure L = 32 without mesh load"), {}, error_of(charges_of(without, in), exact));
      add_error(report, label("closure L = 32"), goal > 0.0 ? std::optional<Goal>(at_most(goal)) : std::nullopt,
                error_of(charges_of(closure_spec(32, 1), in), exact));
      add_error(report, label("closure L = 32, T' = 2"), {}, error_of(charges_of(closure_spec(32, 2), in), exact));
    };
    add("(a)", c.goal_a, inputs_a(tile, vectors));
    if (const auto b = inputs_b(tile, vectors)) add("(b)", c.goal_b, *b);
  }
}

void calibrated_figures(Report& report) {
  const Index vectors = report.quick() ? 6 : 18;
  add_fit(report, "full mesh (a), 0.35 ohm both ways", 0.05,
          reference_set(gated_tile(0.35, 0.35), vectors, [](const Inputs& in) { return circuit_charges(in); }));
  data::TileSpec hard = gated_tile(0.35, 0.35);
  hard.c_row_farad = hard.c_col_farad = 0.5e-15;
  hard.selector.r_on_ohm = 1000.0;
  hard.cell.law = data::CellLaw::sinh;
  hard.cell.v_h_volt = 0.25;
  add_fit(report, "0.35 ohm both ways, 1 kohm selector, sinh 0.25 V, RC", 0.1,
          reference_set(hard, vectors, [](const Inputs& in) { return circuit_charges(in); }));
  if (report.quick())
    return report.skip("the same with an op-amp, 128 x 128, 1.4 ohm both ways", at_most(0.1), "LSB", "transients; --quick leaves them out");
  // The transient at the size it can do; a column's loss in its wire is that of 512 rows at 0.0875 ohm.
  data::TileSpec amplifier = hard;
  amplifier.rows = amplifier.cols = 128;
  amplifier.r_row_ohm = amplifier.r_col_ohm = 1.4;
  amplifier.front_end.kind = data::FrontEndKind::integrator;
  const auto transient = [](const Inputs& in) {
    const auto solve = [&](const Matrix& g) {
      const circuit::Crossbar crossbar(in.tile, g);
      Matrix out(in.codes.rows(), in.tile.cols);
      parallel_for(in.codes.rows(), 0, [&](Index v, int) {
        circuit::TransientOptions options;
        options.relative_tolerance = 1e-5;
        const auto result = solve_transient(crossbar, in.codes.row(v).transpose(), options);
        if (result.status != circuit::Status::ok) throw Error(ErrorKind::not_converged, "transient: " + result.failure);
        out.row(v) = result.charge_coulomb.transpose();
      });
      return out;
    };
    return Charges{solve(in.g_plus_siemens), solve(in.g_minus_siemens)};
  };
  add_fit(report, "the same with an op-amp, 128 x 128, 1.4 ohm both ways", 0.1, reference_set(amplifier, 6, transient));
}

}  // namespace crosstile::bench
