#include "tilemodel/choose.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "core/error.hpp"

namespace crosstile::tilemodel {

namespace {

Candidate closure_candidate(int block_rows, int bins) {
  ModelSpec spec;
  spec.form = Form::calibrated;
  spec.block_rows = block_rows;
  spec.closure_bins = bins;
  return {"calibrated, L = " + std::to_string(block_rows) + ", T' = " + std::to_string(bins), spec};
}

Candidate plain_candidate(Form form) {
  ModelSpec spec;
  spec.form = form;
  return {std::string(form_name(form)), spec};
}

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// A batch of the set through one of its arrays, often enough for the clock.
double seconds_per_vector(const data::ReferenceSet& set, const ModelSpec& spec,
                          const EffectiveMatrices& w_eff) {
  const TileModel model = spec.form == Form::effective
                              ? TileModel(spec, set.tile, set.g_plus_siemens[0], w_eff.plus.at(0))
                              : TileModel(spec, set.tile, set.g_plus_siemens[0]);
  const IntMatrix codes = set.codes.topRows(std::min<Index>(set.codes.rows(), 128));
  Workspace workspace;
  Matrix charge;
  model.charge(codes, charge, workspace);
  constexpr double kLongEnough = 0.05;
  const double start = processor_seconds();
  Index vectors = 0;
  do {
    model.charge(codes, charge, workspace);
    vectors += codes.rows();
  } while (processor_seconds() - start < kLongEnough);
  return (processor_seconds() - start) / static_cast<double>(vectors);
}

}  // namespace

std::vector<Candidate> candidates(const data::TileSpec& tile) {
  if (tile.drive != data::Drive::gated)
    return tile.is_linear() ? std::vector<Candidate>{plain_candidate(Form::effective)}
                            : std::vector<Candidate>{plain_candidate(Form::ideal)};
  if (tile.pulse.sign != data::SignMode::two_phase)
    return {plain_candidate(Form::ideal), plain_candidate(Form::binned), plain_candidate(Form::ladder)};
  return {plain_candidate(Form::ideal), closure_candidate(64, 1), closure_candidate(16, 1),
          closure_candidate(32, 2),     closure_candidate(32, 4), plain_candidate(Form::ladder)};
}

double judged_error(const FitReport& report) {
  const double held_out = report.held_out_after.samples > 0 ? report.held_out_after.rms_lsb : 0.0;
  const double new_weights = report.new_weights_after.samples > 0 ? report.new_weights_after.rms_lsb : 0.0;
  if (report.held_out_after.samples + report.new_weights_after.samples == 0) return report.fit_after.rms_lsb;
  return std::max(held_out, new_weights);
}

Choice fit_to_target(const data::ReferenceSet& set, double target_lsb, const EffectiveMatrices& w_eff_siemens,
                     const Progress& progress) {
  if (!(target_lsb > 0.0)) throw_out_of_range("target error", target_lsb, "allowed: more than 0 LSB");
  Choice best;
  double smallest = 0.0;
  for (const Candidate& candidate : candidates(set.tile)) {
    ModelSpec spec = candidate.spec;
    FitReport report = fit(set, spec, w_eff_siemens, progress);
    const double error = judged_error(report);
    best.trials.push_back({candidate.name, error, seconds_per_vector(set, spec, w_eff_siemens)});
    best.met = error <= target_lsb;
    if (best.trials.size() == 1 || best.met || error < smallest) {
      smallest = error;
      best.spec = std::move(spec);
      best.report = std::move(report);
    }
    if (best.met) break;
  }
  return best;
}

}  // namespace crosstile::tilemodel
