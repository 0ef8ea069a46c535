// crosstile: the program. Parsing, printing, exit codes; everything else is in the library.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <cstdlib>
#include <regex>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "core/version.hpp"

namespace crosstile::cli {

namespace {

constexpr const char* kFooter = R"(Exit codes:
  0 ok   1 a check failed   2 usage or configuration   3 bad data   4 not converged
  5 input or output   130 interrupted (the same command goes on where it stopped)

`crosstile COMMAND --help` explains a command with an example. docs/commands.md has it all.)";

void set_up_log() {
  auto log = spdlog::stderr_logger_mt("crosstile");
  log->set_pattern("crosstile: [%H:%M:%S] %v");
  spdlog::set_default_logger(log);
}

// The build may need instructions this processor lacks; say so instead of dying of one.
void require_processor() {
#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    throw Error(ErrorKind::usage, std::string("this build needs a processor with ") + kInstructionSet +
                                      " (AVX2, FMA); build with -DCROSSTILE_MARCH= for this one");
#endif
}

// The parser's ranges let nan through: no comparison with it fails.
std::string not_finite(const std::string& text) {
  try {
    return std::isfinite(std::stod(text)) ? std::string()
                                          : text + " is not allowed; a finite number is expected";
  } catch (const std::exception&) {
    return {};  // not a number: the parser says so
  }
}

void refuse_nan(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_type_name().starts_with("FLOAT")) option->check(CLI::Validator(not_finite, ""));
  for (CLI::App* command : app.get_subcommands({})) refuse_nan(*command);
}

// The parser writes every bound with six decimals (1e-09 as 0.000000); its help has them in full.
std::string with_exact_range(const CLI::App& app, const std::string& message) {
  static const std::regex kOutOfRange("(--?[a-z0-9-]+): Value (\\S+) not in range .*");
  std::smatch match;
  if (!std::regex_match(message, match, kOutOfRange)) return message;
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const CLI::Option* option = command->get_option_no_throw(match[1]);
  const std::string type = option == nullptr ? std::string() : option->get_type_name();
  const auto begin = type.find('['), end = type.find(']');
  std::string range = "finite numbers above 0";
  if (begin < end && end != std::string::npos)
    range = type.substr(begin + 1, end - begin - 1);
  else if (type.find("POSITIVE") == std::string::npos)
    return message;
  if (const auto dash = range.find(" - "); dash != std::string::npos) range.replace(dash, 3, " to ");
  return match[1].str() + " " + match[2].str() + " is not allowed; allowed: " + range;
}

// What the parser found wrong, as one message; the usual exit codes instead of the parser's own.
int report_parse_error(const CLI::App& app, const CLI::ParseError& error, Program& program) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  std::string command = "crosstile";
  for (const CLI::App* used : app.get_subcommands()) command += " " + used->get_name();
  // The parser complains about what is missing before it names what it does not know.
  std::string message = with_exact_range(app, error.what());
  if (const auto unknown = app.remaining(true); !unknown.empty())
    message = "unknown argument \"" + unknown.front() + "\"";
  return program.fail(ErrorKind::usage, message + " (see `" + command + " --help`)");
}

int run(int argc, char** argv) {
  Program program;
  CLI::App app{
      "crosstile: circuit-level modeling of analog in-memory computing.\n"
      "From the full circuit of a tile to fast models, networks on tiles, and their accuracy.",
      "crosstile"};
  app.set_version_flag("--version", std::string("crosstile ") + kVersion);
  app.add_flag("--json", program.json, "print one JSON object on stdout, for machines");
  app.add_flag("--quiet", program.quiet, "no progress and no notes on stderr");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  add_run_commands(app, program);
  add_reference_commands(app, program);
  add_network_commands(app, program);
  add_solve_command(app, program);
  add_netlist_command(app, program);
  add_device_commands(app, program);
  add_study_commands(app, program);
  add_sweep_command(app, program);
  add_info_command(app, program);
  add_doctor_command(app, program);
  const auto replace_by_dry_run = add_dry_runs(app, program);
  add_completion_command(app, program);
  refuse_nan(app);

  for (int k = 1; k < argc; ++k)  // an error of the command line itself is JSON too
    if (std::string_view(argv[k]) == "--json") program.json = true;
  try {
    require_processor();
    app.parse(argc, argv);
    replace_by_dry_run();
  } catch (const CLI::ParseError& error) {
    return report_parse_error(app, error, program);
  } catch (const Error& error) {
    return program.fail(error.kind(), error.what());
  }
  install_signal_handlers();
  return program.run();
}

}  // namespace

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help,
                      const std::string& example) {
  CLI::App* command = app.add_subcommand(name, help);
  command->footer(
      "Example:\n  " + example +
      "\n\n--json and --quiet go with every command; see `crosstile --help`, also for the exit codes.");
  return command;
}

void add_threads(CLI::App* command, int& threads) {
  command
      ->add_option("--threads", threads, "threads; 0: the number of processors. No influence on the result")
      ->check(CLI::Range(0, 4096));
}

}  // namespace crosstile::cli

int main(int argc, char** argv) {
  crosstile::cli::set_up_log();
  return crosstile::cli::run(argc, argv);
}
