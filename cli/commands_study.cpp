// study: published questions as one command each.
#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "cli/commands_study_budget.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "validation/study_irdrop.hpp"
#include "validation/study_lifetime.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

struct StudyFlags {
  std::string file, out;
  int threads = 0;
};

void say_results(const validation::Results& results, const path& out, Program& program) {
  for (const auto& item : results.headline)
    program.say(item.label + ": " + item.value + (item.note.empty() ? "" : " (" + item.note + ")"));
  program.result["command"] = "study";
  program.result["output"] = out.string();
  Json tables = Json::array();
  for (const auto& table : results.tables) {
    program.say(table);
    tables.push_back(table_json(table));
  }
  program.result["tables"] = tables;
  program.say("results in " + out.string());
}

std::string resume_hint(const StudyFlags& flags) {
  return "finished pieces are kept in " + (path(flags.out) / "pieces").string() +
         "; run the same command again to go on";
}

void say_pieces(Index made, Index kept, Program& program) {
  if (kept > 0) program.note(fmt::format("{} pieces were found finished, {} were computed", kept, made));
  program.result["computed"] = made;
  program.result["kept"] = kept;
}

void irdrop_command(const StudyFlags& flags, Program& program) {
  data::Config config = data::Config::from_file(flags.file);
  const auto study = validation::read_irdrop_study(config);
  program.resume_hint = resume_hint(flags);
  const auto outcome = validation::run_irdrop_study(study, flags.out, flags.threads, program.progress());
  say_results(validation::write_irdrop_study(study, outcome, flags.out), flags.out, program);
  say_pieces(outcome.made, outcome.kept, program);
  if (!outcome.diverged.empty()) throw Error(ErrorKind::not_converged, "diverged: " + outcome.diverged);
}

void lifetime_command(const StudyFlags& flags, Program& program) {
  data::Config config = data::Config::from_file(flags.file);
  const auto study = validation::read_lifetime_study(config);
  program.resume_hint = resume_hint(flags);
  const auto outcome = validation::run_lifetime_study(study, flags.out, flags.threads, program.progress());
  say_results(validation::write_lifetime_study(study, outcome, flags.out), flags.out, program);
  say_pieces(outcome.made, outcome.kept, program);
  if (!outcome.diverged.empty()) throw Error(ErrorKind::not_converged, "diverged: " + outcome.diverged);
}

// The shipped configuration: examples/mnist_irdrop.toml for mnist-irdrop.
std::string example_of(const std::string& name) {
  std::string file = name;
  std::replace(file.begin(), file.end(), '-', '_');
  return "crosstile study " + name + " examples/" + file + ".toml --out runs/" + file;
}

void add_one_study(CLI::App* study, Program& program, const std::string& name, const std::string& help,
                   void (*run)(const StudyFlags&, Program&)) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command = add_command(*study, name, help, example_of(name));
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "folder for the results")->required();
  add_threads(command, flags->threads);
  command->callback(
      [flags, &program, run] { program.action = [flags, &program, run] { run(*flags, program); }; });
}

}  // namespace

void add_study_commands(CLI::App& app, Program& program) {
  CLI::App* study =
      add_command(app, "study", "A whole study from one configuration: tables, data and pictures.",
                  "crosstile study mnist-irdrop examples/mnist_irdrop.toml --out irdrop");
  study->require_subcommand(1);
  add_one_study(
      study, program, "mnist-irdrop",
      "Accuracy against wire resistance: weights written directly, trained with Gaussian noise, and\n"
      "trained through the tile model; evaluated with the exact ladder, confirmed with the full circuit.",
      irdrop_command);
  add_one_study(
      study, program, "mnist-lifetime",
      "Accuracy from a second to a year after programming, with and without drift compensation: weights\n"
      "written directly and after hardware-aware training; every non-ideality alone and removed.",
      lifetime_command);
  add_budget_study(study, program);
}

}  // namespace crosstile::cli
