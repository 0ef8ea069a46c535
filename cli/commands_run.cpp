// run, report, config: the whole pipeline, its page, its configuration.
#include <fmt/core.h>

#include <iostream>
#include <iterator>

#include "cli/commands.hpp"
#include "data/config.hpp"
#include "validation/pipeline.hpp"
#include "validation/report.hpp"
#include "validation/results.hpp"

namespace crosstile::cli {

namespace {

using std::filesystem::path;

constexpr const char* kStandardInput = "-";

void show_headlines(const path& folder, Program& program) {
  const auto results = validation::read_results(folder / "results.json");
  Json list = Json::array();
  for (const auto& item : results.headline) {
    program.say(fmt::format("  {:<36} {:>14}   {}", item.label, item.value, item.note));
    list.push_back({{"label", item.label}, {"value", item.value}, {"note", item.note}});
  }
  const path page = folder / "report.html";
  program.say("Report: " + page.string());
  program.result["title"] = results.title;
  program.result["headline"] = list;
  program.result["report"] = page.string();
}

void run_command(const std::string& file, std::string out, int threads, Program& program) {
  data::Config config = data::Config::from_file(file);
  const auto pipeline = validation::read_pipeline(config);
  if (out.empty()) out = (path("runs") / path(file).stem()).string();
  program.resume_hint = "finished work is kept in " + out + "; run the same command again to go on";
  // Where it is written and on how many threads changes nothing, so both are left out of what identifies a
  // run.
  const std::string command = "crosstile run " + path(file).lexically_normal().string();
  validation::run_pipeline(pipeline, out, threads, command, program.progress());
  program.result["command"] = "run";
  program.result["folder"] = out;
  show_headlines(out, program);
}

void report_command(const std::string& folder, Program& program) {
  validation::write_report(folder);
  program.result["command"] = "report";
  const path page = path(folder) / "report.html";
  program.result["report"] = page.string();
  program.say("Report: " + page.string());
}

void check_config(const std::string& file, Program& program) {
  const auto read = [&] {
    if (file != kStandardInput) return data::Config::from_file(file);
    return data::Config::from_text(std::string(std::istreambuf_iterator<char>(std::cin), {}),
                                   "standard input");
  };
  data::Config config = read();
  const auto pipeline = validation::read_pipeline(config);
  program.result["command"] = "config";
  program.result["ok"] = true;
  program.result["config_toml"] = pipeline.toml;
  program.say("ok");
}

void show_template(Program& program) {
  std::string text = validation::pipeline_template();
  program.result["command"] = "config";
  program.result["template"] = text;
  if (!text.empty() && text.back() == '\n') text.pop_back();
  program.say(text);
}

void add_run(CLI::App& app, Program& program) {
  struct Flags {
    std::string file, out;
    int threads = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(app, "run",
                  "The whole pipeline in one run folder: train, reference data, fit, noise, accuracy, "
                  "comparison, report.\n"
                  "Interrupted or killed, the same command goes on where it stopped, to the same bits.",
                  "crosstile run examples/demo.toml --out runs/demo");
  command->add_option("FILE", flags->file, "configuration, TOML (`crosstile config --template`)")->required();
  command->add_option("--out", flags->out, "run folder (default: runs/<name of FILE>)");
  add_threads(command, flags->threads);
  command->callback([flags, &program] {
    program.action = [flags, &program] { run_command(flags->file, flags->out, flags->threads, program); };
  });
}

void add_report(CLI::App& app, Program& program) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command =
      add_command(app, "report",
                  "Makes report.html of a run folder anew, one self-contained page of tables and pictures.\n"
                  "Parts whose files are not there yet are named as missing.",
                  "crosstile report runs/demo");
  command->add_option("RUNDIR", *folder, "run folder")->required();
  command->callback(
      [folder, &program] { program.action = [folder, &program] { report_command(*folder, program); }; });
}

void add_config(CLI::App& app, Program& program) {
  struct Flags {
    bool make_template = false;
    std::string file;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(app, "config",
                  "Configurations: --template prints every key with its default and meaning,\n"
                  "--check reads a file strictly and lists all its mistakes at once.",
                  "crosstile config --template > my.toml && crosstile config --check my.toml");
  CLI::Option* make =
      command->add_flag("--template", flags->make_template, "print a commented configuration");
  CLI::Option* check = command->add_option("--check", flags->file, "file to check; - reads standard input");
  make->excludes(check);
  command->callback([flags, &program] {
    program.action = [flags, &program] {
      if (flags->make_template)
        show_template(program);
      else if (!flags->file.empty())
        check_config(flags->file, program);
      else
        throw Error(ErrorKind::usage,
                    "config needs --template or --check FILE (see `crosstile config --help`)");
    };
  });
}

}  // namespace

void add_run_commands(CLI::App& app, Program& program) {
  add_run(app, program);
  add_report(app, program);
  add_config(app, program);
}

}  // namespace crosstile::cli
