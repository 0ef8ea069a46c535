// study: published questions as one command each.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "validation/study_irdrop.hpp"

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

void irdrop_command(const StudyFlags& flags, Program& program) {
  data::Config config = data::Config::from_file(flags.file);
  const auto study = validation::read_irdrop_study(config);
  require_writable_folder(flags.out);
  const auto outcome = validation::run_irdrop_study(study, flags.threads, program.progress());
  say_results(validation::write_irdrop_study(study, outcome, flags.out), flags.out, program);
  if (!outcome.diverged.empty()) throw Error(ErrorKind::not_converged, "diverged: " + outcome.diverged);
}

void add_one_study(CLI::App* study, Program& program, const std::string& name, const std::string& help,
                   void (*run)(const StudyFlags&, Program&)) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command = add_command(*study, name, help, "crosstile study " + name + " examples/FILE.toml --out run");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "folder for the results")->required();
  add_threads(command, flags->threads);
  command->callback([flags, &program, run] { program.action = [flags, &program, run] { run(*flags, program); }; });
}

}  // namespace

void add_study_commands(CLI::App& app, Program& program) {
  CLI::App* study = add_command(app, "study", "A whole study from one configuration: tables, data and pictures.",
                                "crosstile study mnist-irdrop examples/mnist_irdrop.toml --out irdrop");
  study->require_subcommand(1);
  add_one_study(study, program, "mnist-irdrop",
                "Accuracy against wire resistance: weights written directly, trained with Gaussian noise, and\n"
                "trained through the tile model; evaluated with the exact ladder, confirmed with the full circuit.",
                irdrop_command);
}

}  // namespace crosstile::cli
