// The commands: each adds its flags and help to the parser and leaves its work in Program::action.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/program.hpp"
#include "validation/study_base.hpp"

namespace crosstile::cli {

void add_run_commands(CLI::App& app, Program& program);        // run, report, config
void add_reference_commands(CLI::App& app, Program& program);  // generate, fit, compare
void add_network_commands(CLI::App& app, Program& program);    // train, evaluate
void add_solve_command(CLI::App& app, Program& program);
void add_netlist_command(CLI::App& app, Program& program);
void add_device_commands(CLI::App& app, Program& program);  // characterize, device-figures
void add_study_commands(CLI::App& app, Program& program);   // study
void add_sweep_command(CLI::App& app, Program& program);
void add_info_command(CLI::App& app, Program& program);
void add_doctor_command(CLI::App& app, Program& program);
void add_completion_command(CLI::App& app, Program& program);  // after the others: it describes them
/// The pieces of a study and what they cost on this machine. name: of the subcommand of study.
std::vector<validation::PieceKind> estimate_study_command(const std::string& name, const std::string& file,
                                                          int threads, const Progress& progress);
/// --dry-run of the commands that take long. To be called after them; what it returns, after the command line was parsed.
std::function<void()> add_dry_runs(CLI::App& app, Program& program);

/// A subcommand with its two lines of help and an example below its flags.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help,
                      const std::string& example);
/// --threads; 0: the number of processors.
void add_threads(CLI::App* command, int& threads);

}  // namespace crosstile::cli
