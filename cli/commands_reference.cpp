// generate, fit, compare: reference data of the circuit, a fast model fitted to it, one against the other.
#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "data/config.hpp"
#include "data/reference_set.hpp"
#include "tilemodel/tilemodel.hpp"
#include "validation/compare_models.hpp"
#include "validation/design.hpp"
#include "validation/pipeline.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;
using tilemodel::ErrorFigures;
using tilemodel::Form;

// Mean energy of a product, and the largest current that any row's supply must give.
void report_energy(const data::ReferenceSet& set, Program& program) {
  const double energy = set.energy_joule.rowwise().sum().mean();
  Json terms;
  for (std::size_t k = 0; k < set.energy_terms.size(); ++k)
    terms[set.energy_terms[k]] = set.energy_joule.col(static_cast<Index>(k)).mean();
  program.result["mean_energy_joule"] = terms;
  Index vector = 0, line = 0;
  const double peak = set.peak_supply_ampere.cwiseAbs().maxCoeff(&vector, &line);
  const bool minus = line >= set.tile.rows;
  const Index row = line % set.tile.rows;
  program.result["peak_supply"] = {
      {"ampere", peak}, {"row", row}, {"array", minus ? "minus" : "plus"}, {"vector", vector}};
  program.say(
      fmt::format("mean energy of a product {:.4g} pJ, of this {:.4g} pJ charging wires; largest supply "
                  "current of a row {:.4g} uA "
                  "(row {} of G{}, vector {})",
                  1e12 * energy, 1e12 * terms["wire_charging"].get<double>(), 1e6 * peak, row,
                  minus ? "-" : "+", vector));
}

void generate_command(const std::string& file, const path& out, int threads, Program& program) {
  data::Config config = data::Config::from_file(file);
  auto pipeline = validation::read_pipeline(config);
  pipeline.reference.threads = threads;
  require_writable_file(out);
  const path work = out.string() + ".work";
  program.resume_hint =
      "finished shards are kept in " + work.string() + "; run the same command again to go on";
  const auto set = validation::generate_reference(pipeline, work, program.progress());
  data::write_reference_set(out, set);
  std::filesystem::remove_all(work);
  const Index held_out = (set.held_out.array() != 0).count();
  const std::string weights =
      pipeline.layer.weights ? "network" : std::string(data::to_name(pipeline.draw.weights));
  const std::string inputs =
      pipeline.layer.activations ? "activations" : std::string(data::to_name(pipeline.draw.inputs));
  program.result["command"] = "generate";
  program.result["output"] = out.string();
  program.result["vectors"] = set.vectors();
  program.result["held_out"] = held_out;
  program.result["draws"] = set.g_plus_siemens.size();
  program.result["rows"] = set.tile.rows;
  program.result["cols"] = set.tile.cols;
  program.result["weights"] = weights;
  program.result["inputs"] = inputs;
  program.say(fmt::format(
      "{}: {} vectors ({} held out), {} weight draws, tile {} x {}, weights {}, inputs {}, method {}",
      out.string(), set.vectors(), held_out, set.g_plus_siemens.size(), set.tile.rows, set.tile.cols, weights,
      inputs, set.method));
  report_energy(set, program);
}

struct FitFlags {
  std::string file, out, form;
  tilemodel::ModelSpec spec;
  bool no_correction = false;
  double target_error = 0.0;  // LSB; 0: none
};

Form form_for(const FitFlags& flags, const data::TileSpec& tile) {
  if (!flags.form.empty()) return *tilemodel::form_from_name(flags.form);
  if (tile.drive == data::Drive::gated) return Form::ladder;
  return tile.is_linear() ? Form::effective : Form::ideal;
}

validation::Table error_table(const tilemodel::FitReport& report, bool corrected) {
  validation::Table table;
  table.title = "Error against the circuit";
  table.columns = {"vectors",         "model", "RMS (LSB)", "99.9 % (LSB)", "max (LSB)", "RMS of G+ - G- (%)",
                   "bit-line charges"};
  const auto add = [&](const std::string& vectors, const std::string& model, const ErrorFigures& e) {
    if (e.samples > 0)
      table.rows.push_back({vectors, model, e.rms_lsb, e.quantile_999_lsb, e.max_lsb, 100.0 * e.rms_relative,
                            std::to_string(e.samples)});
  };
  add("fit", "before correction", report.fit_before);
  if (corrected) add("fit", "after correction", report.fit_after);
  add("held-out", "before correction", report.held_out_before);
  if (corrected) add("held-out", "after correction", report.held_out_after);
  add("new weights", "before correction", report.new_weights_before);
  if (corrected) add("new weights", "after correction", report.new_weights_after);
  table.caption = fmt::format(
      "{} fit and {} held-out vectors; 1 LSB = {:.4g} coulomb (99.9 % quantile of the bit-line charges / "
      "255).",
      report.fit_vectors, report.held_out_vectors, report.lsb_coulomb);
  return table;
}

validation::Table trial_table(const std::vector<tilemodel::Trial>& trials) {
  validation::Table table;
  table.title = "Forms tried, cheapest first";
  table.columns = {"form", "RMS (LSB)", "time of a vector (us)"};
  for (const tilemodel::Trial& trial : trials)
    table.rows.push_back({trial.name, trial.error_lsb, 1e6 * trial.seconds_per_vector});
  table.caption = "RMS error on held-out vectors and new weights, the larger one; processor time, one thread.";
  return table;
}

std::string fitted_text(const tilemodel::ModelSpec& spec, bool no_correction) {
  if (no_correction) return "no correction";
  if (spec.form == Form::calibrated) {
    std::string text = "factors";
    for (std::size_t f = 0; f < tilemodel::kCalibrationNames.size(); ++f)
      text += fmt::format("{} {} {:.4f}", f == 0 ? "" : ",", tilemodel::kCalibrationNames[f],
                          spec.calibration.factor[f]) +
              (spec.calibration.standard_error[f] > 0.0
                   ? fmt::format(" +- {:.4f}", spec.calibration.standard_error[f])
                   : std::string());
    return text;
  }
  return spec.correction.coefficients.size() > 0 ? "with correction" : "nothing to correct";
}

tilemodel::Choice fitted(const FitFlags& flags, const data::ReferenceSet& set, Program& program) {
  const Progress progress = program.progress();
  if (flags.target_error > 0.0)
    return tilemodel::fit_to_target(set, flags.target_error,
                                    set.tile.is_linear() ? validation::effective_matrices(set, 0)
                                                         : tilemodel::EffectiveMatrices{},
                                    progress);
  tilemodel::Choice choice;
  choice.met = true;
  choice.spec = flags.spec;
  choice.spec.form = form_for(flags, set.tile);
  choice.report = choice.spec.form == Form::effective
                      ? tilemodel::fit(set, choice.spec, validation::effective_matrices(set, 0), progress)
                      : tilemodel::fit(set, choice.spec, progress);
  if (flags.no_correction) {
    choice.spec.correction = {};
    choice.spec.calibration = {};
    choice.report.fit_after = choice.report.fit_before;
    choice.report.held_out_after = choice.report.held_out_before;
    choice.report.new_weights_after = choice.report.new_weights_before;
  }
  return choice;
}

void fit_command(const FitFlags& flags, Program& program) {
  const auto set = data::read_reference_set(flags.file);
  const path out(flags.out);
  require_writable_file(out);
  const auto choice = fitted(flags, set, program);
  const auto& spec = choice.spec;
  tilemodel::write_model(out, spec, set.tile, choice.report);
  if (!choice.trials.empty()) {
    const auto trials = trial_table(choice.trials);
    program.say(trials);
    program.result["trials"] = table_json(trials);
    program.result["target_met"] = choice.met;
  }
  const auto table = error_table(choice.report, !flags.no_correction);
  program.say(table);
  program.say(fmt::format("{}: form {}, {}", out.string(), tilemodel::form_name(spec.form),
                          fitted_text(spec, flags.no_correction)));
  program.result["command"] = "fit";
  program.result["output"] = out.string();
  program.result["form"] = tilemodel::form_name(spec.form);
  program.result["correction"] = spec.correction.coefficients.size() > 0;
  program.result["errors"] = table_json(table);
  if (!choice.met)
    throw Error(ErrorKind::not_converged,
                fmt::format("no form comes within {:g} LSB RMS of the circuit; the best one, {}, reaches {:.4g} LSB "
                            "and is in {}",
                            flags.target_error, tilemodel::form_name(spec.form),
                            tilemodel::judged_error(choice.report), out.string()));
}

void compare_command(const std::string& file, const std::string& model_file, const path& out,
                     Program& program) {
  const auto set = data::read_reference_set(file);
  const auto model = tilemodel::read_model(model_file);
  if (!out.empty()) require_writable_file(out);
  std::vector<std::string> warnings = tilemodel::warnings(model.report, set.tile);
  for (const auto& text : tilemodel::warnings(model.report, set.codes)) warnings.push_back(text);
  for (const auto& text : warnings) program.note("outside what the model was fitted to: " + text);
  validation::CompareOptions options;
  options.model_name = "fast model (" + std::string(tilemodel::form_name(model.spec.form)) +
                       (model.spec.correction.coefficients.size() > 0 ? " + correction)" : ")");
  options.progress = program.progress();
  const auto comparison = validation::compare(set, validation::draw_factory(model.spec), options);
  if (!out.empty()) validation::write_comparison(out, comparison);
  program.say(validation::comparison_table(comparison));
  program.result["command"] = "compare";
  program.result["comparison"] = Json::parse(validation::to_json(comparison));
  program.result["warnings"] = warnings;
  if (out.empty()) return;
  program.result["output"] = out.string();
  program.say("Comparison: " + out.string());
}

void add_generate(CLI::App& app, Program& program) {
  struct Flags {
    std::string file, out;
    int threads = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = add_command(
      app, "generate",
      "Reference data: weights and inputs of [reference], drawn or those of a trained network and a data "
      "set,\n"
      "through the full circuit of [tile].\n"
      "Works in shards in REF.h5.work/; the same command goes on after an interrupt, to the same bits.",
      "crosstile generate demo.toml --out reference.h5");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "reference set, .h5")->required();
  add_threads(command, flags->threads);
  command->callback([flags, &program] {
    program.action = [flags, &program] {
      generate_command(flags->file, flags->out, flags->threads, program);
    };
  });
}

void add_fit(CLI::App& app, Program& program) {
  auto flags = std::make_shared<FitFlags>();
  CLI::App* command = add_command(
      app, "fit",
      "Fits a fast tile model to a reference set and prints its error, before and after the correction,\n"
      "on the vectors of the fit and on those held out of it.",
      "crosstile fit reference.h5 --out model.h5 --target-error 0.05");
  command->add_option("REF", flags->file, "reference set, .h5")->required();
  command->add_option("--out", flags->out, "tile model, .h5")->required();
  auto* form = command
      ->add_option("--form", flags->form, "default: ladder (gated), effective (linear), ideal (other tiles)")
      ->check(CLI::IsMember({"calibrated", "closure", "ladder", "binned", "ideal", "effective"}));
  command->add_option("--block-rows", flags->spec.block_rows, "closure, calibrated: rows a block (default 32)")
      ->check(CLI::Range(1, tilemodel::kMostBlockRows));
  command->add_option("--closure-bins", flags->spec.closure_bins, "closure, calibrated: bins of time (default 1)")
      ->check(CLI::Range(1, tilemodel::kMostClosureBins));
  command->add_option("--references", flags->spec.references,
                      "closure, calibrated: reference columns (default 0: found by clustering)")
      ->check(CLI::Range(0, tilemodel::kMostReferences));
  command->add_option("--segments", flags->spec.segments, "binned: row segments (default 8)")
      ->check(CLI::Range(1, tilemodel::kMostSegments));
  command->add_option("--time-bins", flags->spec.time_bins, "binned: time bins (default 8)")
      ->check(CLI::Range(1, tilemodel::kMostTimeBins));
  auto* no_correction =
      command->add_flag("--no-correction", flags->no_correction, "leave the least-squares correction out");
  command
      ->add_option("--target-error", flags->target_error,
                   "LSB RMS on held-out vectors: fit the cheapest form that is as good")
      ->check(CLI::Range(1e-9, 1e6))
      ->excludes(form)
      ->excludes(no_correction);
  command->callback(
      [flags, &program] { program.action = [flags, &program] { fit_command(*flags, program); }; });
}

struct CompareFlags {
  std::string file, model, out;
  int threads = 0;
};

void design_command(const CompareFlags& flags, Program& program) {
  if (!flags.model.empty())
    throw Error(ErrorKind::usage, "--model goes with a reference set; a design fits the models of its points itself");
  if (flags.out.empty()) throw Error(ErrorKind::usage, "--out DIR is needed with a design of experiments");
  const auto design = validation::read_design(flags.file);
  const path folder(flags.out);
  program.resume_hint = "finished points are kept in " + (folder / "points").string() +
                        "; run the same command again to go on";
  const auto outcome = validation::run_design(design, {folder, flags.threads, program.progress()});
  const auto results = validation::write_design(design, outcome, folder);
  program.result["command"] = "compare";
  program.result["output"] = folder.string();
  program.result["points"] = design.points.size();
  program.result["computed"] = outcome.computed;
  const auto failed = std::count_if(outcome.results.begin(), outcome.results.end(),
                                    [](const auto& result) { return !result.failure.empty(); });
  program.result["failed"] = failed;
  program.result["skipped"] = design.skipped.size();
  Json tables = Json::array();
  for (const auto& table : results.tables) {
    program.say(table);
    tables.push_back(table_json(table));
  }
  program.result["tables"] = tables;
  for (const auto& item : results.headline) program.say(item.label + ": " + item.value + " (" + item.note + ")");
  program.say(fmt::format("{} points ({} failed); results in {}; worst vectors with their tiles in {}",
                          design.points.size(), failed, (folder / "compare.csv").string(),
                          (folder / "points").string()));
}

void run_compare(const CompareFlags& flags, Program& program) {
  if (path(flags.file).extension() == ".toml") return design_command(flags, program);
  if (flags.model.empty())
    throw Error(ErrorKind::usage, "--model is needed with a reference set; a design of experiments (.toml) fits its own");
  compare_command(flags.file, flags.model, flags.out, program);
}

void add_compare(CLI::App& app, Program& program) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = add_command(
      app, "compare",
      "A fast model against the circuit on held-out vectors of a reference set, beside the baselines any model\n"
      "must beat: ideal product with fitted gains, best linear map. With a TOML file: a design of experiments,\n"
      "every point through the full circuit; finished points are kept, the same command goes on after an interrupt.",
      "crosstile compare reference.h5 --model model.h5 --out comparison.h5\n"
      "  crosstile compare examples/compare_design.toml --out design");
  command->add_option("FILE", flags->file, "reference set, .h5; or design of experiments, .toml")->required();
  command->add_option("--model", flags->model, "tile model, .h5 (with a reference set)");
  command->add_option("--out", flags->out, "comparison, .h5; of a design: a folder");
  add_threads(command, flags->threads);
  command->callback([flags, &program] { program.action = [flags, &program] { run_compare(*flags, program); }; });
}

}  // namespace

void add_reference_commands(CLI::App& app, Program& program) {
  add_generate(app, program);
  add_fit(app, program);
  add_compare(app, program);
}

}  // namespace crosstile::cli
