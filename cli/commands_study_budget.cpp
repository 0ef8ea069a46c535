// study irdrop: where the error of a network on tiles comes from.
#include "cli/commands_study_budget.hpp"

#include <fmt/core.h>

#include "cli/commands.hpp"
#include "core/files.hpp"
#include "data/config.hpp"
#include "validation/budget.hpp"

namespace crosstile::cli {

namespace {

struct BudgetFlags {
  std::string file, out;
  int threads = 0;
};

void budget_command(const BudgetFlags& flags, Program& program) {
  data::Config config = data::Config::from_file(flags.file);
  const auto study = validation::read_budget_study(config);
  program.resume_hint = "finished pieces are kept in " +
                        (std::filesystem::path(flags.out) / "pieces").string() +
                        "; run the same command again to go on";
  const auto outcome = validation::run_budget_study(study, flags.out, flags.threads, program.progress());
  const auto results = validation::write_budget_study(study, outcome, flags.out);
  program.result["command"] = "study";
  program.result["output"] = flags.out;
  program.result["computed"] = outcome.made;
  program.result["kept"] = outcome.kept;
  Json tables = Json::array();
  for (const auto& table : results.tables) {
    program.say(table);
    tables.push_back(table_json(table));
  }
  program.result["tables"] = tables;
  for (const auto& item : results.headline)
    program.say(item.label + ": " + item.value + (item.note.empty() ? "" : " (" + item.note + ")"));
  program.say("results in " + flags.out);
}

}  // namespace

void add_budget_study(CLI::App* study, Program& program) {
  auto flags = std::make_shared<BudgetFlags>();
  CLI::App* command =
      add_command(*study, "irdrop",
                  "Where the error of a network on tiles comes from: every effect alone and removed, how far "
                  "each may grow,\n"
                  "the largest wire resistance and tile for a target (confirmed with the full circuit), "
                  "accuracy and energy.",
                  "crosstile study irdrop examples/irdrop_budget.toml --out runs/irdrop_budget");
  command->add_option("FILE", flags->file, "configuration, TOML")->required();
  command->add_option("--out", flags->out, "folder for the results")->required();
  add_threads(command, flags->threads);
  command->callback(
      [flags, &program] { program.action = [flags, &program] { budget_command(*flags, program); }; });
}

}  // namespace crosstile::cli
