// The invariants a run of `solve` must satisfy, each with its residual and its gate. Gates are 10 to 1000
// times the floors observed in double precision (docs/theory.md, "What must always hold").
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "circuit/sense_drive.hpp"
#include "core/error.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "data/pulse.hpp"
#include "device/cell.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/solve.hpp"

namespace crosstile::validation {

namespace {

using circuit::Crossbar;
using circuit::LineDrive;
using circuit::Status;
using Verdict = CheckLine::Verdict;

constexpr double kKirchhoffGate = 1e-10;
constexpr double kBalanceGate = 1e-10;
constexpr double kSignGate = 1e-12;    // maximum principle, ideal excess
constexpr double kLinearGate = 1e-11;  // reciprocity, superposition
constexpr double kIdealGate = 1e-12;
constexpr double kUniformLadderGate = 1e-11;
constexpr double kTransientGate = 1e-7;
constexpr double kLadderGate = 1e-10;
constexpr Index kSteadyVectors = 4;   // vectors the cheap checks look at
constexpr Index kTransientSide = 32;  // largest tile for the comparison with the transient
constexpr std::uint64_t kReciprocityPairs = 2;

double relative(const Vector& a, const Vector& b) {
  const double scale = std::max(a.cwiseAbs().maxCoeff(), b.cwiseAbs().maxCoeff());
  return scale > 0.0 ? (a - b).cwiseAbs().maxCoeff() / scale : 0.0;
}

// What the tile without wires would give: cells between their drive and the virtual ground, for one instant
// or for the pulses.
Vector ideal_answer(const Crossbar& crossbar, const IntVector& codes, bool steady) {
  const auto& tile = crossbar.tile;
  const bool signed_drive =
      steady || tile.drive == data::Drive::bipolar || tile.pulse.sign == data::SignMode::bipolar;
  Vector sum = Vector::Zero(tile.cols);
  for (Index l = 0; l < crossbar.lines(); ++l) {
    const int code = codes[crossbar.row_of_line(l)];
    if (code == 0) continue;
    const double sign = code > 0 ? 1.0 : -1.0;
    const double volt = crossbar.polarity(l) * (signed_drive ? sign : 1.0) * tile.v_read_volt;
    const double factor = (signed_drive ? 1.0 : sign) * (steady ? 1.0 : std::abs(code) * tile.pulse.t_lsb_s);
    for (Index j = 0; j < tile.cols; ++j)
      sum[j] +=
          factor * device::cell_point(tile.cell, tile.selector, crossbar.conductance_siemens(l, j), volt)
                       .current_ampere;
  }
  return sum;
}

// Uniform in -1 .. 1.
Vector random_pattern(std::uint64_t seed, Index size, std::uint64_t event) {
  return (2.0 * random_uniform_matrix({seed, Stream::test, 0}, size, 1, event).array() - 1.0).matrix();
}

data::TileSpec without_capacitance(data::TileSpec tile) {
  tile.c_row_farad = tile.c_col_farad = 0.0;
  return tile;
}

class Checker {
 public:
  Checker(const SolveInput& input, const SolveOptions& options, const Progress& progress)
      : input_(input), options_(options), progress_(progress), crossbars_(crossbars_of(input)) {
    while (first_ + 1 < input.codes.rows() && (input.codes.row(first_).array() == 0).all()) ++first_;
  }

  std::vector<CheckLine> run() {
    const bool fast_form = options_.method == SolveMethod::ladder || options_.method == SolveMethod::binned;
    const std::vector<void (Checker::*)()> steps{&Checker::steady_states,
                                                 &Checker::total_current,
                                                 &Checker::linear_network,
                                                 &Checker::superposition_of_output,
                                                 &Checker::ideal_limit,
                                                 &Checker::uniform_ladder,
                                                 &Checker::charge_against_transient,
                                                 &Checker::effective_against_charge,
                                                 &Checker::ladder_against_charge};
    for (std::size_t k = 0; k < steps.size(); ++k) {
      report_progress(progress_, static_cast<double>(k) / static_cast<double>(steps.size()), "checks");
      (this->*steps[k])();
    }
    if (fast_form) binned_limit();
    return std::move(lines_);
  }

 private:
  void gate(const std::string& name, double residual, double limit, const std::string& note) {
    lines_.push_back({name, residual <= limit ? Verdict::pass : Verdict::fail, residual, limit, note});
  }
  void skip(const std::string& name, const std::string& why) {
    lines_.push_back({name, Verdict::skipped, 0.0, 0.0, why});
  }
  void info(const std::string& name, double residual, const std::string& note) {
    lines_.push_back({name, Verdict::info, residual, 0.0, note});
  }

  IntVector codes(Index v) const { return input_.codes.row(v).transpose(); }
  bool ohmic() const { return input_.tile.ohmic_cells(); }
  bool gated() const { return input_.tile.drive == data::Drive::gated; }

  // What a node voltage rounded to double precision can leave unbalanced, over the largest cell current.
  static double rounding_floor(const Crossbar& crossbar, const circuit::SteadyState& state) {
    const double cell = state.cell_ampere.abs().maxCoeff();
    if (cell == 0.0) return 0.0;
    const auto share = [&](const Array& volt, double ohm) {
      return ohm > 0.0 ? volt.abs().maxCoeff() / ohm : 0.0;
    };
    const double worst = std::max(share(state.row_drop_volt, crossbar.tile.r_row_ohm),
                                  share(state.column_volt, crossbar.tile.r_col_ohm));
    return 16.0 * std::numeric_limits<double>::epsilon() * worst / cell;
  }

  void steady_states() {
    circuit::SteadyCheck worst;
    worst.maximum_principle = -1.0;
    double floor = 0.0;
    const Index last = std::min(first_ + kSteadyVectors, input_.codes.rows());
    for (Index v = first_; v < last; ++v)
      for (const auto& crossbar : crossbars_) {
        const auto drive = circuit::steady_drive(crossbar, codes(v));
        const auto state = circuit::solve_steady(crossbar, drive);
        const auto check = circuit::check_steady(crossbar, drive, state);
        floor = std::max(floor, rounding_floor(crossbar, state));
        worst.kirchhoff = std::max(worst.kirchhoff, check.kirchhoff);
        worst.power_balance = std::max(worst.power_balance, check.power_balance);
        worst.current_balance = std::max(worst.current_balance, check.current_balance);
        worst.maximum_principle = std::max(worst.maximum_principle, check.maximum_principle);
      }
    gate("Kirchhoff", worst.kirchhoff, std::max(kKirchhoffGate, floor),
         "current error of a node / largest cell current");
    gate("power balance", worst.power_balance, std::max(kBalanceGate, floor),
         "sources = wires + cells + drivers + senses");
    gate("current balance", worst.current_balance, kBalanceGate, "sum of the senses = sum of the cells");
    gate("maximum principle", worst.maximum_principle, kSignGate,
         "node voltages outside the range of the sources");
  }

  // Holds for drives of one sign: the rows of the first vector, all driven positively.
  void total_current() {
    const std::string name = "total <= ideal";
    if (!ohmic() || input_.tile.drive == data::Drive::bipolar)
      return skip(name, "needs ohmic cells and drives of one sign");
    double excess = -1.0;
    for (const auto& crossbar : crossbars_) {
      const auto drive = circuit::steady_drive(crossbar, codes(first_).cwiseAbs());
      const auto state = circuit::solve_steady(crossbar, drive);
      excess = std::max(excess, circuit::check_steady(crossbar, drive, state).ideal_excess);
    }
    gate(name, excess, kSignGate,
         "total sensed / total ideal current - 1, all rows of the first vector driven positively");
  }

  // The linear network with the gates of the first vector: rows that are off become open circuits of a level
  // tile.
  Crossbar linear_network_of(const Crossbar& crossbar, const IntVector& code) const {
    Crossbar linear = crossbar;
    if (!gated()) return linear;
    linear.tile.drive = data::Drive::level;
    for (Index l = 0; l < linear.lines(); ++l)
      if (code[linear.row_of_line(l)] == 0) linear.conductance_siemens.row(l).setZero();
    return linear;
  }

  void linear_network() {
    const char* const names[] = {"reciprocity", "superposition"};
    if (!ohmic()) {
      for (const char* name : names) skip(name, "the cells are not ohmic");
      return;
    }
    const IntVector code = codes(first_);
    double reciprocal = 0.0, superposed = 0.0;
    for (const auto& crossbar : crossbars_) {
      const Crossbar linear = linear_network_of(crossbar, code);
      reciprocal = std::max(reciprocal, reciprocity_error(linear));
      superposed = std::max(superposed, superposition_error(linear, circuit::steady_drive(linear, code)));
    }
    const std::string which = gated() ? ", gates of one vector held" : "";
    gate(names[0], reciprocal, kLinearGate,
         "random row voltages, their sense currents against driven senses, their row currents" + which);
    gate(names[1], superposed, kLinearGate, "even + odd lines against all lines" + which);
  }

  // For voltages a on the lines and b on the senses: b . sense currents (a) = a . line currents (b). Two
  // solves a pair, at any size.
  double reciprocity_error(const Crossbar& linear) const {
    double worst = 0.0;
    const std::vector<bool> all(static_cast<std::size_t>(linear.lines()), true);
    for (std::uint64_t pair = 0; pair < kReciprocityPairs; ++pair) {
      const Vector rows = linear.tile.v_read_volt * random_pattern(input_.seed, linear.lines(), 2 * pair);
      const Vector senses =
          linear.tile.v_read_volt * random_pattern(input_.seed, linear.cols(), 2 * pair + 1);
      const Vector from_rows = circuit::solve_steady(linear, {rows, all}).sense_ampere;
      const auto from_senses = circuit::solve_sense_drive(linear, senses);
      if (from_senses.status != Status::ok) return std::numeric_limits<double>::infinity();
      // The sums may cancel; what they are made of does not.
      const double size = std::max(senses.cwiseProduct(from_rows).cwiseAbs().sum(),
                                   rows.cwiseProduct(from_senses.line_ampere).cwiseAbs().sum());
      if (size > 0.0)
        worst = std::max(worst, std::abs(senses.dot(from_rows) - rows.dot(from_senses.line_ampere)) / size);
    }
    return worst;
  }

  static double superposition_error(const Crossbar& linear, const LineDrive& all) {
    Vector added = Vector::Zero(linear.cols());
    for (const Index parity : {0, 1}) {
      LineDrive part = all;
      for (Index l = 0; l < linear.lines(); ++l)
        if (l % 2 != parity) part.line_volt[l] = 0.0;
      added += circuit::solve_steady(linear, part).sense_ampere;
    }
    return relative(added, circuit::solve_steady(linear, all).sense_ampere);
  }

  circuit::ChargeResult events(const Crossbar& crossbar, const IntVector& code) const {
    circuit::ChargeOptions options;
    options.energy = false;
    return circuit::solve_charge(crossbar, code, options);
  }

  // What comes out: currents of one instant, or charges of all pulses.
  struct Output {
    Status status;
    Vector value;
  };
  Output output(const Crossbar& crossbar, const IntVector& code) const {
    if (options_.method != SolveMethod::steady) {
      const auto charge = events(crossbar, code);
      return {charge.status, charge.charge_coulomb};
    }
    const auto state = circuit::solve_steady(crossbar, circuit::steady_drive(crossbar, code));
    return {state.report.status, state.sense_ampere};
  }

  // Of the output itself: holds for linear tiles; for the others its failure is measured.
  void superposition_of_output() {
    const std::string name =
        options_.method == SolveMethod::steady ? "superposition of currents" : "superposition of charges";
    const IntVector code = codes(first_);
    IntVector even = code, odd = code;
    for (Index i = 0; i < code.size(); ++i) (i % 2 == 0 ? odd : even)[i] = 0;
    double worst = 0.0;
    for (const auto& crossbar : crossbars_) {
      const Output all = output(crossbar, code), a = output(crossbar, even), b = output(crossbar, odd);
      for (const Status status : {all.status, a.status, b.status})
        if (status != Status::ok) return skip(name, "the circuit is " + circuit::to_text(status));
      worst = std::max(worst, relative(a.value + b.value, all.value));
    }
    if (input_.tile.is_linear())
      gate(name, worst, kLinearGate, "even + odd rows against all rows");
    else
      info(name, worst, "even + odd rows against all rows: this tile is not linear, the failure is measured");
  }

  // Front ends stand behind the network; the checks of the network itself leave them out.
  static Crossbar network_of(Crossbar crossbar) {
    crossbar.tile.front_end = {};
    return crossbar;
  }

  void ideal_limit() {
    const std::string name = "ideal limit";
    const bool steady = options_.method == SolveMethod::steady;
    if (!steady && gated() && input_.tile.selector.kind == data::SelectorKind::mos &&
        input_.tile.pulse.t_edge_s > 0.0)
      return skip(name, "the ramps of the gates have no closed form");
    data::TileSpec tile = without_capacitance(input_.tile);
    tile.r_row_ohm = tile.r_col_ohm = tile.r_driver_ohm = tile.r_sense_ohm = 0.0;
    tile.front_end = {};
    double worst = 0.0;
    for (Crossbar crossbar : crossbars_) {
      crossbar.tile = tile;
      const IntVector code = codes(first_);
      worst = std::max(worst, relative(output(crossbar, code).value, ideal_answer(crossbar, code, steady)));
    }
    gate(name, worst, kIdealGate, "all wires 0 ohm against the plain product");
  }

  // One column of equal cells has a closed form in cosh and sinh.
  void uniform_ladder() {
    data::TileSpec tile = without_capacitance(input_.tile);
    if (tile.selector.kind == data::SelectorKind::mos) tile.selector = {};
    const double g = tile.g_max_siemens / (1.0 + tile.g_max_siemens * tile.selector.r_on_ohm);
    const double r = tile.r_col_ohm;
    const auto n = static_cast<double>(tile.rows);
    const double half_step =
        0.5 * std::sqrt(g * r);  // sinh(lambda / 2), lambda the ladder's propagation constant
    const double lambda = 2.0 * std::asinh(half_step);
    if (r == 0.0 || n * lambda > 300.0)
      return skip("uniform ladder", "the column wire has no resistance (or too much for cosh)");
    tile.cols = 1;
    tile.r_row_ohm = tile.r_driver_ohm = 0.0;
    tile.cell.law = data::CellLaw::ohmic;
    tile.drive = data::Drive::level;
    tile.weight_layout = data::WeightLayout::single;
    const Crossbar crossbar(tile, Matrix::Constant(tile.rows, 1, tile.g_max_siemens));
    const IntVector ones = IntVector::Ones(tile.rows);
    const double solved =
        circuit::solve_steady(crossbar, circuit::steady_drive(crossbar, ones)).sense_ampere[0];
    const double input_ohm = r * std::cosh((n - 0.5) * lambda) / (2.0 * std::sinh(n * lambda) * half_step);
    const double exact = tile.v_read_volt / (tile.sense_segment * r + tile.r_sense_ohm + input_ohm);
    gate("uniform ladder", std::abs(solved / exact - 1.0), kUniformLadderGate,
         "one column of g_max against its closed form (cosh, sinh)");
  }

  void charge_against_transient() {
    const std::string name = "charge = transient";
    if (options_.method != SolveMethod::charge && options_.method != SolveMethod::transient) return;
    if (std::max(input_.tile.rows, input_.tile.cols) > kTransientSide)
      return skip(name, "tile larger than " + std::to_string(kTransientSide) + " a side");
    double worst = 0.0;
    for (const auto& given : crossbars_) {
      Crossbar crossbar = network_of(given);
      if (!ohmic()) crossbar.tile = without_capacitance(crossbar.tile);
      const auto exact = events(crossbar, codes(first_));
      if (exact.status != Status::ok)
        return skip(name, "the event-driven charge is " + circuit::to_text(exact.status));
      circuit::TransientOptions as_asked;
      as_asked.relative_tolerance =
          options_.relative_tolerance;  // of the run at hand: a loose one may well fail
      const auto waveform = circuit::solve_transient(crossbar, codes(first_), as_asked);
      if (waveform.status != Status::ok)
        throw Error(ErrorKind::not_converged, "check \"" + name + "\": " + waveform.failure);
      worst = std::max(worst, relative(waveform.charge_coulomb, exact.charge_coulomb));
    }
    // What a cell that is not ohmic conducts under a ramp depends on the ramp's shape, not on its area alone.
    const bool ramps = input_.tile.pulse.t_edge_s > 0.0 && !ohmic() &&
                       (!gated() || input_.tile.selector.kind == data::SelectorKind::mos);
    if (ramps)
      return info(name, worst,
                  "cells that are not ohmic see ramps: event-driven charge keeps their area only, the "
                  "difference is measured");
    gate(name, worst, kTransientGate,
         std::string("event-driven against SUNDIALS, first vector") +
             (ohmic() ? "" : ", without capacitance") +
             (input_.tile.front_end.kind == data::FrontEndKind::ideal ? "" : ", ideal front end"));
  }

  void effective_against_charge() {
    const std::string name = "effective = charge";
    if (options_.method != SolveMethod::effective) return;
    const double volt_seconds = input_.tile.v_read_volt * input_.tile.pulse.t_lsb_s;
    double worst = 0.0;
    for (const auto& crossbar : crossbars_) {
      const auto exact = events(crossbar, codes(first_));
      if (exact.status != Status::ok)
        return skip(name, "the event-driven charge is " + circuit::to_text(exact.status));
      const Matrix w = circuit::effective_matrix(crossbar, options_.threads);
      worst = std::max(worst, relative(volt_seconds * (w.transpose() * codes(first_).cast<double>()),
                                       exact.charge_coulomb));
    }
    gate(name, worst, kLinearGate, "product with the effective matrix against the event-driven circuit");
  }

  void ladder_against_charge() {
    const std::string name = "ladder = charge";
    if (options_.method == SolveMethod::steady || !gated()) return;
    if (!ohmic() || !input_.tile.ideal_supply())
      return skip(name, "the ladder is exact only with ohmic cells and ideal supply");
    double worst = 0.0;
    for (std::size_t a = 0; a < crossbars_.size(); ++a) {
      Crossbar crossbar = network_of(crossbars_[a]);
      crossbar.tile = without_capacitance(crossbar.tile);
      tilemodel::ModelSpec spec;
      worst =
          std::max(worst, relative(model_charge(spec, a), events(crossbar, codes(first_)).charge_coulomb));
    }
    gate(name, worst, kLadderGate, "fast ladder against the event-driven circuit, without capacitance");
  }

  Vector model_charge(const tilemodel::ModelSpec& spec, std::size_t array) const {
    Matrix charge;
    data::TileSpec tile = input_.tile;
    tile.front_end = {};
    tilemodel::TileModel(spec, tile, array == 0 ? input_.g_siemens : *input_.g_minus_siemens)
        .charge(input_.codes.row(first_), charge);
    return charge.row(0).transpose();
  }

  void binned_limit() {
    tilemodel::ModelSpec exact, fine;
    fine.form = tilemodel::Form::binned;
    fine.segments = static_cast<int>(input_.tile.rows);
    fine.time_bins = 1 << (input_.tile.pulse.dac_bits - 1);
    double worst = 0.0;
    for (std::size_t a = 0; a < crossbars_.size(); ++a)
      worst = std::max(worst, relative(model_charge(fine, a), model_charge(exact, a)));
    gate("binned -> ladder", worst, kLadderGate,
         "one row a segment and one code a bin against the exact ladder");
  }

  const SolveInput& input_;
  const SolveOptions& options_;
  const Progress& progress_;
  std::vector<Crossbar> crossbars_;
  Index first_ = 0;  // first vector that drives anything
  std::vector<CheckLine> lines_;
};

}  // namespace

std::string to_text(CheckLine::Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "PASS";
    case Verdict::fail:
      return "FAIL";
    case Verdict::info:
      return "info";
    case Verdict::skipped:
      return "skipped";
  }
  return "?";
}

std::vector<CheckLine> check_solve(const SolveInput& input, const SolveOptions& options,
                                   const Progress& progress) {
  require_solvable(input.tile, input.g_minus_siemens.has_value(), options);
  return Checker(input, options, progress).run();
}

}  // namespace crosstile::validation
