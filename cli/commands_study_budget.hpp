// The command `study irdrop`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/program.hpp"

namespace crosstile::cli {

/// Adds `irdrop` to the command `study`.
void add_budget_study(CLI::App* study, Program& program);

}  // namespace crosstile::cli
