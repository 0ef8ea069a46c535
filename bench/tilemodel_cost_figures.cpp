// What a product costs, in plain products.
#include <fmt/format.h>

#include "bench/tilemodel_figures.hpp"
#include "bench/tilemodel_inputs.hpp"
#include "circuit/circuit.hpp"

namespace crosstile::bench {

using tilemodel::Form;

void form_cost_figures(Report& report) {
  const Inputs a = inputs_a(gated_tile(1.0), kBatch);
  report.add(cost_figure("ideal: cost", {}, cost_of(a, plain_spec(Form::ideal))));
  data::TileSpec level = gated_tile(1.0);
  level.drive = data::Drive::level;
  const Inputs linear = inputs_a(level, kBatch);
  const Matrix w_eff = effective_matrix(circuit::Crossbar(level, linear.g_plus_siemens));
  const tilemodel::TileModel effective(plain_spec(Form::effective), level, linear.g_plus_siemens, w_eff);
  tilemodel::Workspace workspace;
  MatrixF charge;
  report.add(cost_figure("effective, linear drives: cost", at_most(1.1),
                         cost_of(linear, [&] { effective.charge(linear.codes, charge, workspace); })));
  const int rounds = report.quick() ? 3 : 10;
  tilemodel::ModelSpec ladder = plain_spec(Form::ladder);
  ladder.arithmetic = tilemodel::Arithmetic::float32;
  report.add(cost_figure("ladder, (a): cost", at_most(50.0), cost_of(a, ladder, rounds)));
  if (const auto b = inputs_b(gated_tile(1.0), kBatch))
    report.add(cost_figure("ladder, (b): cost", at_most(12.0), cost_of(*b, ladder, rounds)));
  else
    report.skip("ladder, (b): cost", at_most(12.0), "x", "data/mnist is not there");
  report.add(cost_figure("binned, 8 segments, 8 bins, (a): cost", {}, cost_of(a, plain_spec(Form::binned), rounds)));
}

void closure_cost_figures(Report& report) {
  const Inputs south = inputs_a(gated_tile(1.0), kBatch);
  struct Setting {
    int block_rows, bins;
    double goal;
  };
  for (const Setting s : {Setting{64, 1, 1.6}, {32, 1, 1.6}, {16, 1, 0.0}, {8, 1, 0.0}, {64, 2, 4.0}, {32, 2, 4.0}, {16, 2, 4.0}, {32, 4, 0.0}})
    report.add(cost_figure(fmt::format("closure L = {}, T' = {}: cost", s.block_rows, s.bins),
                           s.goal > 0.0 ? std::optional<Goal>(at_most(s.goal)) : std::nullopt,
                           cost_of(south, closure_spec(s.block_rows, s.bins))));
  data::TileSpec both = gated_tile(1.0);
  both.sense = data::SenseEnd::alternate;
  report.add(cost_figure("closure L = 32, T' = 1, alternate sense: cost", at_most(2.1), cost_of(inputs_a(both, kBatch), closure_spec(32, 1))));
  tilemodel::ModelSpec two = closure_spec(32, 1);
  two.references = 2;
  report.add(cost_figure("closure L = 32, T' = 1, two reference columns: cost", {}, cost_of(south, two)));
  report.add(cost_figure("closure L = 32, T' = 1, full mesh: cost", at_most(2.0),
                         cost_of(inputs_a(gated_tile(0.35, 0.35), kBatch), closure_spec(32, 1))));
}

// A linear layer's forward and backward are three plain products.
void training_figures(Report& report) {
  const Inputs in = inputs_a(gated_tile(1.0), kBatch);
  const MatrixF codes = in.codes.cast<float>();
  const MatrixF by_charge = MatrixF::Constant(kBatch, in.tile.cols, 1e12F);
  const tilemodel::TileModel model(closure_spec(32, 1), in.tile, in.g_plus_siemens);
  tilemodel::Workspace workspace;
  tilemodel::GradientF gradient;
  tilemodel::GradientOptions options;
  options.rising_zero = true;  // inputs (a) are never negative
  options.after_charge = true;
  MatrixF charge;
  const auto measure = [&](const std::string& name, std::optional<Goal> goal) {
    Cost cost = cost_of(in, [&] {
      model.charge(in.codes, charge, workspace);
      model.gradient(codes, by_charge, gradient, workspace, options);
    });
    cost.products /= 3.0;
    report.add(cost_figure(name, goal, cost));
  };
  measure("closure L = 32, T' = 1: forward and both gradients, over three plain products", at_most(2.0));
  options.codes = options.wire = false;
  measure("the same without the gradient by inputs (a first layer)", {});
}

}  // namespace crosstile::bench
