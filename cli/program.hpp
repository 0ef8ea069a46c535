// What all commands share: global flags, where output goes, how an error becomes a message and an exit code.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/progress_display.hpp"
#include "core/error.hpp"
#include "validation/results.hpp"

namespace crosstile::cli {

using Json = nlohmann::ordered_json;

/// Global flags, and what a command says to its caller.
class Program {
 public:
  bool json = false;   ///< one JSON object on stdout instead of text
  bool quiet = false;  ///< no progress, no notes

  Json result = Json::object();  ///< for --json
  std::string resume_hint;       ///< how to go on after an interrupt
  std::function<void()> action;  ///< the chosen command; set while the command line is parsed

  /// A line (or a table) for people on stdout; nothing with --json.
  void say(const std::string& text);
  void say(const validation::Table& table);
  /// A note on stderr; nothing with --quiet.
  void note(const std::string& text);
  /// The progress callback of this command.
  Progress progress();

  /// Runs `action`. Returns the exit code; errors are reported.
  int run();
  /// Reports an error as text on stderr and, with --json, as an object on stdout; returns its exit code.
  int fail(ErrorKind kind, const std::string& message);

 private:
  int finish(int exit_code);
  std::optional<ProgressDisplay> display_;
};

/// "usage", "bad_data", ...
std::string kind_name(ErrorKind kind);
/// A results table as JSON.
Json table_json(const validation::Table& table);
/// Before long work: the file can be written (its folder exists and is writable, it is not a folder itself).
/// Errors: io.
void require_writable_file(const std::filesystem::path& file);

}  // namespace crosstile::cli
