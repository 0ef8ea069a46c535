#include "validation/solve.hpp"

#include <cmath>
#include <cstdio>
#include <mutex>

#include "circuit/ngspice.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "data/adc.hpp"
#include "data/pulse.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/metrics.hpp"

namespace crosstile::validation {

namespace {

using circuit::Crossbar;
using circuit::PowerBudget;
using circuit::Status;

constexpr double kAdcQuantile =
    0.999;                         // of the bit-line charges; the LSB of docs/theory.md, "Column front end"
constexpr Index kModelBlock = 32;  // vectors that a fast model takes at once

std::string short_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

void check_shapes(const SolveInput& input) {
  if (input.codes.rows() < 1 || input.codes.cols() != input.tile.rows)
    throw Error(ErrorKind::usage, "codes are " + std::to_string(input.codes.rows()) + " x " +
                                      std::to_string(input.codes.cols()) +
                                      "; expected at least one vector of " + std::to_string(input.tile.rows) +
                                      " codes");
  const int limit = data::max_code(input.tile.pulse.dac_bits);
  for (Index v = 0; v < input.codes.rows(); ++v)
    for (Index i = 0; i < input.codes.cols(); ++i)
      require_in_range("code (vector " + std::to_string(v) + ", row " + std::to_string(i) + ")",
                       input.codes(v, i), -limit, limit);
}

// Counts finished pieces of work from several threads.
class Counter {
 public:
  Counter(const Progress& progress, Index total, std::string_view what)
      : progress_(progress), total_(total), what_(what) {
    tell(0);
  }
  void tell(Index done) {
    const std::lock_guard lock(mutex_);
    done_ += done;
    report_progress(progress_, static_cast<double>(done_) / static_cast<double>(total_), what_);
  }

 private:
  const Progress& progress_;
  Index total_;
  std::string_view what_;
  std::mutex mutex_;
  Index done_ = 0;
};

class Solver {
 public:
  Solver(const SolveInput& input, const SolveOptions& options, const Progress& progress)
      : input_(input), options_(options), progress_(progress), crossbars_(crossbars_of(input)) {}

  SolveResult run() {
    const Index vectors = input_.codes.rows();
    output_.assign(crossbars_.size(), Matrix::Zero(vectors, input_.tile.cols));
    account_.assign(crossbars_.size(), std::vector<Account>(static_cast<std::size_t>(vectors)));
    switch (options_.method) {
      case SolveMethod::steady:
      case SolveMethod::transient:
      case SolveMethod::ngspice:
      case SolveMethod::charge:
        by_vector(true);
        break;
      case SolveMethod::effective:
        by_matrix();
        break;
      case SolveMethod::ladder:
      case SolveMethod::binned:
        by_model();
        break;
    }
    const bool own_energy = options_.method == SolveMethod::steady || options_.method == SolveMethod::charge;
    if (options_.energy && !own_energy) {
      by_vector(false);
      result_.note = "energies are those of the event-driven circuit (method charge)";
    }
    if (input_.tile.adc.enabled && options_.method != SolveMethod::steady) convert();
    result_.output = output_.front();
    if (output_.size() == 2) result_.output -= output_.back();
    if (options_.energy) {
      collect_energy();
      collect_supply();
    }
    return std::move(result_);
  }

 private:
  std::string place(Index vector, std::size_t array) const {
    std::string text = "vector " + std::to_string(vector + 1);
    if (crossbars_.size() == 2) text += array == 0 ? ", plus array" : ", minus array";
    return text;
  }
  [[noreturn]] void not_converged(Index vector, std::size_t array, const std::string& why) const {
    throw Error(ErrorKind::not_converged, place(vector, array) + ": " + why);
  }
  void require_settled(const circuit::ChargeResult& charge, Index vector, std::size_t array) const {
    if (charge.status == Status::not_converged)
      not_converged(vector, array, "not converged: the network's iteration stopped before its tolerance");
    if (charge.status == Status::not_settled)
      not_converged(vector, array,
                    "not settled: the slowest time constant of the wires is " +
                        short_text(charge.slowest_time_constant_s) +
                        " s and the shortest interval between pulse edges is " +
                        short_text(charge.shortest_interval_s) +
                        " s, so the event-driven charge is not exact; use --method transient");
  }

  // Every vector of every array on its own. Without `output` only energies are wanted.
  void by_vector(bool output) {
    const Index arrays = static_cast<Index>(crossbars_.size());
    const Index count = input_.codes.rows() * arrays;
    Counter counter(progress_, count, output ? data::to_name(options_.method) : "energies");
    std::vector<circuit::ChargeResult> events(static_cast<std::size_t>(count));
    parallel_for(count, options_.threads, [&](Index k, int) {
      const Index v = k / arrays;
      const auto a = static_cast<std::size_t>(k % arrays);
      auto& event = events[static_cast<std::size_t>(k)];
      if (!output)
        energies(v, a, event);
      else if (options_.method == SolveMethod::steady)
        steady(v, a, event);
      else if (options_.method == SolveMethod::transient)
        transient(v, a);
      else if (options_.method == SolveMethod::ngspice)
        ngspice(v, a, counter);
      else
        charge(v, a, event);
      counter.tell(1);
    });
    if (!output) return;
    for (const auto& event : events) {
      result_.network_solves += event.intervals;
      result_.rc_share = std::max(result_.rc_share, event.rc_share);
    }
  }

  void steady(Index v, std::size_t a, circuit::ChargeResult& event) {
    const auto state = circuit::solve_steady(crossbars_[a], circuit::steady_drive(crossbars_[a], codes(v)));
    event.intervals = 1;
    if (state.report.status != Status::ok)
      not_converged(v, a,
                    "not converged: Kirchhoff error " + short_text(state.report.kirchhoff_error) +
                        " of the largest cell current after " + std::to_string(state.report.iterations) +
                        " iterations");
    output_[a].row(v) = state.sense_ampere.transpose();
    const Vector line_ampere = state.cell_ampere.rowwise().sum().abs().matrix();
    account(v, a) = {state.power, 0.0, line_ampere, line_ampere};
  }

  void transient(Index v, std::size_t a) {
    circuit::TransientOptions options;
    options.relative_tolerance = options_.relative_tolerance;
    const auto answer = circuit::solve_transient(crossbars_[a], codes(v), options);
    if (answer.status != Status::ok) not_converged(v, a, "not converged: " + answer.failure);
    output_[a].row(v) = answer.charge_coulomb.transpose();
  }

  void ngspice(Index v, std::size_t a, Counter& counter) {
    circuit::NgspiceOptions options;
    options.netlist.reltol = options_.ngspice_reltol;
    const Progress watch = [&](double, std::string_view) {
      counter.tell(0);
      return true;
    };
    const auto answer = circuit::run_ngspice(crossbars_[a], codes(v), options, watch);
    if (answer.status != Status::ok) not_converged(v, a, "not converged: " + answer.failure);
    output_[a].row(v) = answer.charge_coulomb.transpose();
  }

  void charge(Index v, std::size_t a, circuit::ChargeResult& event) {
    circuit::ChargeOptions options;
    // A linear tile's charge needs one solve; its energies need every interval, and must not change the
    // charge's last bits.
    const bool together = options_.energy && !crossbars_[a].tile.is_linear();
    options.energy = together;
    event = circuit::solve_charge(crossbars_[a], codes(v), options);
    require_settled(event, v, a);
    output_[a].row(v) = event.charge_coulomb.transpose();
    if (together) book(v, a, event);
    circuit::ChargeResult other;
    if (options_.energy && !together) energies(v, a, other);
  }

  // Energy between settled states; settling hardly matters for the resistive part, and the charging of the
  // wires does not depend on how fast it goes.
  void energies(Index v, std::size_t a, circuit::ChargeResult& event) {
    event = circuit::solve_charge(crossbars_[a], codes(v));
    if (event.status == Status::not_converged) require_settled(event, v, a);
    book(v, a, event);
  }

  void by_matrix() {
    const double volt_seconds = input_.tile.v_read_volt * input_.tile.pulse.t_lsb_s;
    Counter counter(progress_, static_cast<Index>(crossbars_.size()), "effective matrix");
    for (std::size_t a = 0; a < crossbars_.size(); ++a) {
      const Matrix w = circuit::effective_matrix(crossbars_[a], options_.threads);
      output_[a] = volt_seconds * (input_.codes.cast<double>() * w);
      counter.tell(1);
    }
  }

  void by_model() {
    tilemodel::ModelSpec spec;
    spec.form = options_.method == SolveMethod::ladder ? tilemodel::Form::ladder : tilemodel::Form::binned;
    spec.segments = options_.segments;
    spec.time_bins = options_.time_bins;
    const Index vectors = input_.codes.rows();
    const Index blocks = (vectors + kModelBlock - 1) / kModelBlock;
    Counter counter(progress_, blocks * static_cast<Index>(crossbars_.size()),
                    data::to_name(options_.method));
    for (std::size_t a = 0; a < crossbars_.size(); ++a) {
      const tilemodel::TileModel model(spec, input_.tile,
                                       a == 0 ? input_.g_siemens : *input_.g_minus_siemens);
      parallel_for(blocks, options_.threads, [&](Index block, int) {
        const Index first = block * kModelBlock;
        const Index count = std::min(kModelBlock, vectors - first);
        Matrix charge;
        model.charge(input_.codes.middleRows(first, count), charge);
        output_[a].middleRows(first, count) = charge;
        counter.tell(1);
      });
    }
    if (!input_.tile.ideal_supply())
      result_.note =
          "row wires enter this fast model through one factor per cell; method charge is the reference";
  }

  void convert() {
    std::optional<double> full_scale = input_.tile.adc.full_scale_coulomb;
    if (!full_scale) {
      std::vector<double> all;
      for (const auto& charge : output_)
        for (const double q : charge.reshaped()) all.push_back(std::abs(q));
      full_scale = quantile(std::move(all), kAdcQuantile);
    }
    if (*full_scale == 0.0) return;  // no charge anywhere: nothing to convert
    const bool is_signed =
        input_.tile.weight_layout == data::WeightLayout::bipolar || (input_.codes.array() < 0).any();
    for (std::size_t a = 0; a < output_.size(); ++a)
      data::Adc(input_.tile.adc, *full_scale, input_.tile.cols, is_signed, input_.seed,
                static_cast<std::uint32_t>(a))
          .convert(output_[a]);
    result_.adc_full_scale_coulomb = full_scale;
  }

  void collect_energy() {
    const auto terms = static_cast<Index>(energy_terms(options_.method).size());
    result_.energy.setZero(input_.codes.rows(), terms);
    for (const auto& array : account_)
      for (Index v = 0; v < input_.codes.rows(); ++v) {
        const Account& one = array[static_cast<std::size_t>(v)];
        const PowerBudget& p = one.budget;
        Vector all(7);
        all << p.source, p.cells, p.row_wires, p.column_wires, p.drivers, p.senses, one.wire_charging;
        result_.energy.row(v) += all.head(terms).transpose();
      }
  }

  void collect_supply() {
    result_.supply_ampere.setZero(
        input_.tile.rows, static_cast<Index>(supply_terms(input_.g_minus_siemens.has_value()).size()));
    for (std::size_t a = 0; a < account_.size(); ++a)
      for (const Account& one : account_[a])
        for (Index l = 0; l < one.average_ampere.size(); ++l) {
          const Crossbar& crossbar = crossbars_[a];
          const Index wire = static_cast<Index>(a) + l % crossbar.lines_per_row;  // 0: G+, 1: G-
          auto line = result_.supply_ampere.row(crossbar.row_of_line(l));
          line[2 * wire] += one.average_ampere[l] / static_cast<double>(input_.codes.rows());
          if (std::abs(one.peak_ampere[l]) > std::abs(line[2 * wire + 1]))
            line[2 * wire + 1] = one.peak_ampere[l];
        }
  }

  IntVector codes(Index v) const { return input_.codes.row(v).transpose(); }

  // Energies and supply currents of one vector of one array.
  struct Account {
    PowerBudget budget;
    double wire_charging = 0.0;
    Vector average_ampere, peak_ampere;  // lines
  };
  Account& account(Index v, std::size_t a) { return account_[a][static_cast<std::size_t>(v)]; }
  void book(Index v, std::size_t a, const circuit::ChargeResult& event) {
    account(v, a) = {event.energy_joule, event.wire_charging_joule, event.average_supply_ampere,
                     event.peak_supply_ampere};
  }

  const SolveInput& input_;
  const SolveOptions& options_;
  const Progress& progress_;
  std::vector<Crossbar> crossbars_;
  std::vector<Matrix> output_;  // one per array
  std::vector<std::vector<Account>> account_;
  SolveResult result_;
};

}  // namespace

std::vector<std::string> energy_terms(SolveMethod method) {
  std::vector<std::string> terms{"source", "cells", "row_wires", "column_wires", "drivers", "senses"};
  if (method != SolveMethod::steady) terms.emplace_back("wire_charging");
  return terms;
}

std::vector<std::string> supply_terms(bool has_minus) {
  if (!has_minus) return {"average", "peak"};
  return {"average_plus", "peak_plus", "average_minus", "peak_minus"};
}

std::string output_name(SolveMethod method) {
  return method == SolveMethod::steady ? "current_ampere" : "charge_coulomb";
}

std::vector<circuit::Crossbar> crossbars_of(const SolveInput& input) {
  if (input.tile.drive == data::Drive::bipolar)
    return {Crossbar(input.tile, input.g_siemens, input.g_minus_siemens.value())};
  std::vector<Crossbar> arrays{Crossbar(input.tile, input.g_siemens)};
  if (input.g_minus_siemens) arrays.emplace_back(input.tile, *input.g_minus_siemens);
  return arrays;
}

SolveResult solve(const SolveInput& input, const SolveOptions& options, const Progress& progress) {
  input.tile.validate();
  require_solvable(input.tile, input.g_minus_siemens.has_value(), options);
  check_shapes(input);
  SolveResult result = Solver(input, options, progress).run();
  if (!result.output.allFinite())
    throw Error(ErrorKind::not_converged, "the result holds values that are not finite");
  return result;
}

}  // namespace crosstile::validation
