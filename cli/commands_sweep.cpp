// sweep: many trainings from one configuration.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "cli/commands.hpp"
#include "validation/sweep.hpp"

namespace crosstile::cli {

namespace {

constexpr Index kShownPoints = 36;

struct SweepFlags {
  std::string file, shard = "1/1";
  validation::SweepOptions options;
};

void read_shard(const std::string& text, validation::SweepOptions& options) {
  long shard = 0, shards = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%ld/%ld%c", &shard, &shards, &rest) != 2 || shard < 1 || shards < shard)
    throw Error(ErrorKind::usage, "--shard " + text + " is not allowed; allowed: i/n with 1 <= i <= n");
  options.shard = shard;
  options.shards = shards;
}

void say_sweep(const validation::Sweep& sweep, const validation::SweepOutcome& outcome,
               const std::filesystem::path& folder, const validation::Results& results, Program& program) {
  const auto count = [&](validation::PointStatus status) {
    return std::count_if(outcome.points.begin(), outcome.points.end(),
                         [&](const auto& point) { return point.status == status; });
  };
  const auto ok = count(validation::PointStatus::ok), diverged = count(validation::PointStatus::diverged),
             failed = count(validation::PointStatus::failed);
  const auto table = validation::sweep_table(sweep, outcome.points, kShownPoints);
  program.say(table);
  program.say(fmt::format("{} points: {} ok, {} diverged, {} failed", outcome.points.size(), ok, diverged, failed));
  for (const auto& point : outcome.points)
    if (point.status == validation::PointStatus::failed) {
      program.note(fmt::format("{} points failed, one because of: {}", failed, point.reason));
      break;
    }
  for (const auto& together : results.tables)
    if (together.rows.size() <= static_cast<std::size_t>(kShownPoints)) program.say(together);
  program.say(fmt::format("results in {} and {}; a page of pictures: crosstile report {}", (folder / "sweep.csv").string(),
                          (folder / "sweep.h5").string(), folder.string()));
  program.result["ok"] = ok;
  program.result["diverged"] = diverged;
  program.result["failed"] = failed;
  program.result["table"] = table_json(validation::sweep_table(sweep, outcome.points,
                                                               static_cast<Index>(outcome.points.size())));
}

void sweep_command(SweepFlags flags, Program& program) {
  read_shard(flags.shard, flags.options);
  const auto sweep = validation::read_sweep(flags.file);
  flags.options.progress = program.progress();
  program.resume_hint = "finished points are kept in " + (flags.options.folder / "points").string() +
                        "; run the same command again to go on";
  const auto outcome = validation::run_sweep(sweep, flags.options);
  program.result["command"] = "sweep";
  program.result["output"] = flags.options.folder.string();
  program.result["points"] = sweep.points.size();
  program.result["finished"] = outcome.finished;
  program.result["computed"] = outcome.computed;
  if (outcome.points.empty()) {
    program.say(fmt::format("{} of {} points are finished; sweep.csv follows with the last one", outcome.finished,
                            sweep.points.size()));
  } else {
    const auto results = validation::sweep_results(
        sweep, outcome.points,
        "crosstile sweep " + std::filesystem::path(flags.file).lexically_normal().string() + " --out " +
            flags.options.folder.string());
    validation::write_sweep_results(sweep, results, flags.options.folder);
    say_sweep(sweep, outcome, flags.options.folder, results, program);
  }
}

}  // namespace

void add_sweep_command(CLI::App& app, Program& program) {
  auto flags = std::make_shared<SweepFlags>();
  CLI::App* command = add_command(
      app, "sweep",
      "Trains one network for every point of [sweep]: any keys of the configuration are axes.\n"
      "Finished points are kept; the same command goes on after an interrupt.",
      "crosstile sweep examples/mnist_scenarios.toml --out scenarios");
  command->add_option("FILE", flags->file, "configuration of `train` with [sweep], TOML")->required();
  command->add_option("--out", flags->options.folder, "folder for the results")->required();
  command->add_option("--shard", flags->shard, "i/n: only every n-th point, from the i-th; same folder");
  command->add_option("--noise-draws", flags->options.noise_draws, "test passes with other noise")
      ->check(CLI::Range(1, 100000));
  add_threads(command, flags->options.threads);
  command->callback([flags, &program] { program.action = [flags, &program] { sweep_command(*flags, program); }; });
}

}  // namespace crosstile::cli
