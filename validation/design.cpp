#include "validation/design.hpp"

#include <fmt/core.h>
#include <time.h>

#include <algorithm>

#include "circuit/ngspice.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "validation/compare_models.hpp"
#include "validation/design_files.hpp"
#include "validation/points_progress.hpp"

namespace crosstile::validation {

namespace {

constexpr double kCircuitTimingSeconds = 0.1;
// What the wires may still have to settle at an edge, as a share: far below the error of any fast model.
constexpr double kDesignSettled = 1e-6;

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string not_solved(Index vector, const circuit::VectorCharges& charges) {
  return "vector " + std::to_string(vector) + ": the circuit is " + circuit::to_text(charges.status) +
         (charges.failure.empty() ? "" : ": " + charges.failure);
}

// Every vector of the set through the full circuit.
data::ReferenceSet circuit_set(const PipelineConfig& config, const circuit::ReferenceOptions& options,
                               const Progress& progress) {
  data::ReferenceSet set = reference_inputs(config);
  set.method = options.method;
  set.energy_terms = {"source", "wire_charging"};
  const Index count = set.vectors(), cols = set.tile.cols;
  const bool pairs = set.tile.weight_layout == data::WeightLayout::pair_columns;
  set.charge_plus_coulomb.resize(count, cols);
  if (pairs) set.charge_minus_coulomb.resize(count, cols);
  set.energy_joule.resize(count, 2);
  for (Index v = 0; v < count; ++v) {
    report_progress(progress, static_cast<double>(v) / static_cast<double>(count), "full circuit");
    const auto charges = circuit::run_vector(set, v, options);
    if (charges.status != circuit::Status::ok) throw Error(ErrorKind::not_converged, not_solved(v, charges));
    set.charge_plus_coulomb.row(v) = charges.plus.transpose();
    if (pairs) set.charge_minus_coulomb.row(v) = charges.minus.transpose();
    set.energy_joule.row(v) << charges.energy_joule.source, charges.wire_charging_joule;
  }
  set.validate();
  return set;
}

data::ReferenceSet set_of(const DesignPoint& point, const circuit::ReferenceOptions& options,
                          const Progress& progress) {
  if (point.reference.empty()) return circuit_set(point.config, options, progress);
  return data::read_reference_set(point.reference);
}

tilemodel::ModelSpec fitted_model(const DesignPoint& point, const data::ReferenceSet& set) {
  tilemodel::ModelSpec spec = point.config.model;
  if (!point.config.fit_correction) return spec;
  if (spec.form == tilemodel::Form::effective)
    tilemodel::fit(set, spec, effective_matrices(set));
  else
    tilemodel::fit(set, spec);
  return spec;
}

// The circuits of one vector: that of G+, and that of G- where it is a crossbar of its own.
std::vector<circuit::Crossbar> crossbars_of_vector(const data::ReferenceSet& set, Index vector) {
  std::vector<circuit::Crossbar> out{crossbar_of(set, set.draw[vector], false)};
  if (set.tile.weight_layout == data::WeightLayout::pair_columns)
    out.push_back(crossbar_of(set, set.draw[vector], true));
  return out;
}

// Without energies; what a user pays who wants charges alone.
double time_circuit(const data::ReferenceSet& set, const circuit::ReferenceOptions& options,
                    const std::vector<Index>& vectors) {
  circuit::ChargeOptions charge = options.charge;
  charge.energy = false;
  const double begin = thread_seconds();
  double seconds = 0.0;
  Index count = 0;
  while (seconds < kCircuitTimingSeconds && count < static_cast<Index>(vectors.size())) {
    const Index v = vectors[static_cast<std::size_t>(count++)];
    for (const auto& crossbar : crossbars_of_vector(set, v)) {
      const IntVector codes = set.codes.row(v).transpose();
      if (set.method == "transient")
        circuit::solve_transient(crossbar, codes, options.transient);
      else
        circuit::solve_charge(crossbar, codes, charge);
    }
    seconds = thread_seconds() - begin;
  }
  return seconds / static_cast<double>(count);
}

void add_errors(const Comparison& comparison, DesignResult& out) {
  const Competitor& fast = comparison.fast();
  const ErrorMetrics& m = fast.bit_line;
  out.compared_vectors = static_cast<double>(comparison.vectors.size());
  out.fit_vectors = static_cast<double>(comparison.fit_vectors);
  out.rms_lsb = m.rms_lsb;
  out.quantile_999_lsb = m.quantile_999_lsb;
  out.max_lsb = m.max_lsb;
  out.bias_lsb = m.bias_lsb;
  out.rms_relative = m.rms_relative;
  out.differential_relative = fast.differential.rms_relative;
  Matrix error = fast.charge.plus - comparison.full.plus;
  if (comparison.full.minus.size() > 0) {
    error.conservativeResize(2 * error.rows(), Eigen::NoChange);
    error.bottomRows(comparison.full.minus.rows()) = fast.charge.minus - comparison.full.minus;
  }
  out.quantile_99_lsb = abs_quantile(error, 0.99) / comparison.scale.lsb_coulomb;
  for (const Competitor& one : comparison.competitors) {
    if (one.key == "linear_map") out.linear_map_lsb = one.bit_line.rms_lsb;
    if (one.key == "ideal") out.ideal_lsb = one.bit_line.rms_lsb;
  }
  out.mean_loss = comparison.ir_drop.mean_loss;
  out.worst_vector = static_cast<double>(comparison.worst_vector);
  out.worst_column = static_cast<double>(comparison.worst_column);
  out.worst_is_minus = comparison.worst_is_minus ? 1.0 : 0.0;
  out.fast_seconds = comparison.timing.fast_seconds_per_vector;
  out.setup_seconds = comparison.timing.setup_seconds_per_draw;
}

// Mean over all vectors, both arrays.
void add_energies(const data::ReferenceSet& set, const tilemodel::ModelSpec& spec, DesignResult& out) {
  if (set.energy_joule.size() > 0) out.circuit_joule = set.energy_joule.rowwise().sum().mean();
  tilemodel::ModelSpec plain = spec;  // a correction belongs to charges of whole products
  plain.correction = {};
  tilemodel::Workspace workspace;
  double array = 0.0, total = 0.0, latency = 0.0;
  const auto positions = positions_by_draw(set, [&] {
    std::vector<Index> all(static_cast<std::size_t>(set.vectors()));
    for (std::size_t v = 0; v < all.size(); ++v) all[v] = static_cast<Index>(v);
    return all;
  }());
  for (std::size_t d = 0; d < positions.size(); ++d) {
    if (positions[d].empty()) continue;
    const IntMatrix codes = rows_of(set.codes, positions[d]);
    const auto add = [&](const Matrix& g) {
      const auto energy = tilemodel::EnergyMeter(plain, set.tile, g).energy(codes, workspace);
      array += (energy.array_joule + energy.wire_charging_joule).sum();
      total += energy.total_joule().sum();
      return energy.latency_s.sum();
    };
    if (set.tile.drive == data::Drive::bipolar)
      latency += add(set.g_plus_siemens[d] + set.g_minus_siemens[d]);
    else
      latency += add(set.g_plus_siemens[d]);
    if (set.tile.weight_layout == data::WeightLayout::pair_columns) add(set.g_minus_siemens[d]);
  }
  const auto count = static_cast<double>(set.vectors());
  out.fast_joule = array / count;
  out.product_joule = total / count;
  out.latency_s = latency / count;
}

void keep_worst(const data::ReferenceSet& set, const Comparison& comparison, DesignCase& out) {
  const Index v = comparison.worst_vector;
  const auto draw = static_cast<std::size_t>(set.draw[v]);
  const auto& compared = comparison.vectors;
  const Index k = static_cast<Index>(std::find(compared.begin(), compared.end(), v) - compared.begin());
  out.tile = set.tile;
  out.codes = set.codes.row(v).transpose();
  out.g_plus_siemens = set.g_plus_siemens[draw];
  if (!set.g_minus_siemens.empty()) out.g_minus_siemens = set.g_minus_siemens[draw];
  out.circuit_plus = comparison.full.plus.row(k).transpose();
  out.fast_plus = comparison.fast().charge.plus.row(k).transpose();
  if (comparison.full.minus.size() == 0) return;
  out.circuit_minus = comparison.full.minus.row(k).transpose();
  out.fast_minus = comparison.fast().charge.minus.row(k).transpose();
}

double largest_difference(const Vector& a, const Vector& b) {
  return a.size() == 0 ? 0.0 : (a - b).cwiseAbs().maxCoeff();
}

// The program ngspice on the worst vector. It is asked for more than the defaults only where that is slow.
void add_ngspice(const data::ReferenceSet& set, double lsb, const Progress& progress, DesignCase& out) {
  circuit::NgspiceOptions options;
  if (set.tile.ohmic_cells() && set.tile.front_end.kind == data::FrontEndKind::ideal)
    options.netlist = circuit::NetlistOptions::fast();
  const auto crossbars = crossbars_of_vector(set, static_cast<Index>(*out.result.worst_vector));
  double against_circuit = 0.0, against_fast = 0.0;
  for (std::size_t a = 0; a < crossbars.size(); ++a) {
    const auto answer = circuit::run_ngspice(crossbars[a], out.codes, options, progress);
    if (answer.status != circuit::Status::ok) return;
    const Vector& q = answer.charge_coulomb;
    against_circuit =
        std::max(against_circuit, largest_difference(q, a == 0 ? out.circuit_plus : out.circuit_minus));
    against_fast = std::max(against_fast, largest_difference(q, a == 0 ? out.fast_plus : out.fast_minus));
  }
  out.result.ngspice_lsb = against_circuit / lsb;
  out.result.fast_ngspice_lsb = against_fast / lsb;
}

// A stored set may come from anywhere: what this circuit gives for its worst vector.
void recheck_stored(const data::ReferenceSet& set, const circuit::ReferenceOptions& options, double lsb,
                    DesignCase& out) {
  const auto v = static_cast<Index>(*out.result.worst_vector);
  const auto charges = circuit::run_vector(set, v, options);
  if (charges.status != circuit::Status::ok) throw Error(ErrorKind::not_converged, not_solved(v, charges));
  out.result.stored_lsb = std::max(largest_difference(charges.plus, out.circuit_plus),
                                   largest_difference(charges.minus, out.circuit_minus)) /
                          lsb;
}

bool ngspice_is_installed() {
  try {
    static_cast<void>(circuit::find_ngspice());
    return true;
  } catch (const Error&) {
    return false;
  }
}

DesignCase point_or_failure(const Design& design, const DesignPoint& point, const Progress& progress) {
  const double begin = thread_seconds();
  DesignCase out;
  try {
    out = run_design_point(design, point, progress);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
    out = DesignCase{};
    out.result.failure = error.what();
  } catch (const std::bad_alloc&) {
    out = DesignCase{};
    out.result.failure = "not enough memory";
  }
  out.result.point_seconds = thread_seconds() - begin;
  return out;
}

}  // namespace

DesignCase run_design_point(const Design& design, const DesignPoint& point, const Progress& progress) {
  circuit::ReferenceOptions circuit_options = point.config.reference;
  circuit_options.charge.settle_tolerance = kDesignSettled;
  const data::ReferenceSet set = set_of(point, circuit_options, progress);
  const tilemodel::ModelSpec spec = fitted_model(point, set);
  circuit_options.method = set.method == "transient" ? "transient" : "charge";
  CompareOptions options;
  options.timing_seconds = design.timing_seconds;
  const Comparison comparison = compare(set, draw_factory(spec), options);

  DesignCase out;
  DesignResult& result = out.result;
  result.form = std::string(tilemodel::form_name(spec.form));
  result.method = set.method;
  result.rows = static_cast<double>(set.tile.rows);
  result.cols = static_cast<double>(set.tile.cols);
  add_errors(comparison, result);
  add_energies(set, spec, result);
  keep_worst(set, comparison, out);
  result.circuit_seconds = time_circuit(set, circuit_options, comparison.vectors);
  if (*result.fast_seconds > 0.0) result.speed_up = *result.circuit_seconds / *result.fast_seconds;
  const double lsb = comparison.scale.lsb_coulomb;
  if (!point.reference.empty()) recheck_stored(set, circuit_options, lsb, out);
  const bool small = std::max(set.tile.rows, set.tile.cols) <= design.ngspice_rows;
  if (small && ngspice_is_installed()) add_ngspice(set, lsb, progress, out);
  return out;
}

DesignOutcome run_design(const Design& design, const DesignOptions& options) {
  claim_design_folder(design, options.folder);
  const auto total = static_cast<Index>(design.points.size());
  std::vector<Index> missing;
  for (Index p = 0; p < total; ++p)
    if (!path_exists(design_point_path(options.folder, p))) missing.push_back(p);
  DesignOutcome outcome;
  outcome.computed = static_cast<Index>(missing.size());
  outcome.kept = total - outcome.computed;
  PointsProgress progress(options.progress, "points", outcome.kept, total);
  const auto stop = [] { throw Error(ErrorKind::interrupted, "interrupted"); };
  parallel_for(outcome.computed, options.threads, [&](Index k, int) {
    if (!progress.tell(0.0)) stop();
    const Index p = missing[static_cast<std::size_t>(k)];
    const auto& point = design.points[static_cast<std::size_t>(p)];
    write_design_point(options.folder, p, point, point_or_failure(design, point, progress.of_point()));
    if (!progress.tell(1.0)) stop();
  });
  for (Index p = 0; p < total; ++p) outcome.results.push_back(read_design_point(options.folder, p));
  if (design.ngspice_rows > 0 && !ngspice_is_installed())
    outcome.note = "ngspice is not installed: no point was compared with it";
  return outcome;
}

}  // namespace crosstile::validation
