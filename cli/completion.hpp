// Shell completion and the manual page, made from the parser's own tree of commands and flags.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace crosstile::cli {

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);
/// In roff, for man(1).
std::string manual_page(const CLI::App& app);

}  // namespace crosstile::cli
