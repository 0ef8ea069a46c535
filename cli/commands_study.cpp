// study: published questions as one command each.
#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "validation/budget.hpp"
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

// What a study does from its configuration on: Read, Run and Write are functions of validation.
template <auto Read, auto Run, auto Write>
struct Work {
  static void run(const StudyFlags& flags, Program& program) {
    data::Config config = data::Config::from_file(flags.file);
    const auto study = Read(config);
    program.resume_hint = resume_hint(flags);
    const auto outcome = Run(study, {flags.out, flags.threads, program.progress(), nullptr});
    say_results(Write(study, outcome, flags.out), flags.out, program);
    say_pieces(outcome.made, outcome.kept, program);
    if constexpr (requires { outcome.diverged; })
      if (!outcome.diverged.empty()) throw Error(ErrorKind::not_converged, "diverged: " + outcome.diverged);
  }
  static std::vector<validation::PieceKind> estimate(const std::string& file, int threads,
                                                     const Progress& progress) {
    data::Config config = data::Config::from_file(file);
    const auto study = Read(config);
    return validation::estimate_study([&](validation::StudyTrial& trial) {
      Run(study, {{}, threads, progress, &trial});
    });
  }
};
using IrDrop =
    Work<validation::read_irdrop_study, validation::run_irdrop_study, validation::write_irdrop_study>;
using Lifetime =
    Work<validation::read_lifetime_study, validation::run_lifetime_study, validation::write_lifetime_study>;
using Budget =
    Work<validation::read_budget_study, validation::run_budget_study, validation::write_budget_study>;

struct StudyCommand {
  std::string name, example, help;  // example: the shipped configuration
  void (*run)(const StudyFlags&, Program&);
  std::vector<validation::PieceKind> (*estimate)(const std::string&, int, const Progress&);
};
const std::vector<StudyCommand>& study_list() {
  static const std::vector<StudyCommand> kStudies{
      {"mnist-irdrop", "mnist_irdrop",
       "Accuracy against wire resistance: weights written directly, trained with Gaussian noise, and\n"
       "trained through the tile model; evaluated with the exact ladder, confirmed with the full circuit.",
       IrDrop::run, IrDrop::estimate},
      {"mnist-lifetime", "mnist_lifetime",
       "Accuracy from a second to a year after programming, with and without drift compensation: weights\n"
       "written directly and after hardware-aware training; every non-ideality alone and removed.",
       Lifetime::run, Lifetime::estimate},
      {"irdrop", "irdrop_budget",
       "Where the error of a network on tiles comes from: every effect alone and removed, how far each may\n"
       "grow, the largest wire resistance and tile for a target (confirmed with the full circuit), accuracy\n"
       "and energy.",
       Budget::run, Budget::estimate}};
  return kStudies;
}

void add_one_study(CLI::App* parent, Program& program, const StudyCommand& study) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command = add_command(
      *parent, study.name, study.help,
      "crosstile study " + study.name + " examples/" + study.example + ".toml --out runs/" + study.example);
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "folder for the results")->required();
  add_threads(command, flags->threads);
  command->callback([flags, &program, run = study.run] {
    program.action = [flags, &program, run] { run(*flags, program); };
  });
}

}  // namespace

std::vector<validation::PieceKind> estimate_study_command(const std::string& name, const std::string& file,
                                                          int threads, const Progress& progress) {
  const auto& all = study_list();
  return std::find_if(all.begin(), all.end(), [&](const auto& study) { return study.name == name; })
      ->estimate(file, threads, progress);
}

void add_study_commands(CLI::App& app, Program& program) {
  CLI::App* parent =
      add_command(app, "study", "A whole study from one configuration: tables, data and pictures.",
                  "crosstile study mnist-irdrop examples/mnist_irdrop.toml --out irdrop");
  parent->require_subcommand(1);
  for (const StudyCommand& study : study_list()) add_one_study(parent, program, study);
}

}  // namespace crosstile::cli
