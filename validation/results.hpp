// results.json: the numbers of a run that a reader should see, as free tables. Every stage of a pipeline adds
// its own; the report lays them out.
#pragma once

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace crosstile::validation {

/// A cell of a table: text, or a number that the report rounds for reading.
using Cell = std::variant<std::string, double>;

struct Table {
  std::string title;
  std::string section;  ///< where the report puts it: "irdrop", "waveforms", "comparison", "read_noise",
                        ///< "training", "accuracy"; "" = at the end
  std::vector<std::string> columns;  ///< headings, unit in brackets
  std::vector<std::vector<Cell>> rows;
  std::string caption;
  std::string command;  ///< command that reproduces it; empty: the command of the run
};

/// One of the few numbers at the top of the page.
struct Headline {
  std::string label;
  std::string value;  ///< with its unit, as it should be read
  std::string note;   ///< one short line below; may be empty
};

struct Results {
  std::string title;
  std::vector<Headline> headline;
  std::vector<Table> tables;

  /// Adds, or replaces the headline with the same label / the table with the same section and title: a stage
  /// that runs again does not leave its old numbers.
  void put(Headline item);
  void put(Table table);
};

/// One table as the JSON object it is in results.json. Errors: as write_results.
std::string to_json(const Table& table);
/// Atomic. Errors: usage for a row whose length is not that of the columns, a number that is not finite, or
/// text that is not UTF-8; io.
void write_results(const std::filesystem::path& path, const Results& results);
/// Errors: io, bad_data (file and field).
Results read_results(const std::filesystem::path& path);

}  // namespace crosstile::validation
