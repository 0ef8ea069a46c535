// Strict TOML. Every key is asked for by name with its range; what is left over, of the wrong type or out of range is collected and
// reported at once, with line, column, the allowed range and the nearest known key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tile.hpp"

namespace crosstile::data {

class Config {
 public:
  /// Errors: io; usage for a syntax error (file, line, column).
  static Config from_file(const std::filesystem::path& path);
  static Config from_text(std::string_view text, const std::string& name = "configuration");
  ~Config();
  Config(Config&&) noexcept;

  /// A key is a dotted path, "tile.pulse.dac_bits". Absent keys give `fallback`; a mistake is recorded and gives `fallback` too.
  double number(const std::string& key, double fallback, double low, double high);
  std::optional<double> optional_number(const std::string& key, double low, double high);
  std::int64_t integer(const std::string& key, std::int64_t fallback, std::int64_t low, std::int64_t high);
  bool boolean(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  std::string choice(const std::string& key, const std::string& fallback, const std::vector<std::string>& allowed);
  std::vector<double> numbers(const std::string& key, const std::vector<double>& fallback, double low, double high);
  std::vector<std::int64_t> integers(const std::string& key, const std::vector<std::int64_t>& fallback, std::int64_t low, std::int64_t high);
  std::vector<std::string> texts(const std::string& key, const std::vector<std::string>& fallback);

  template <typename Enum>
  Enum choice_of(const std::string& key, Enum fallback) {
    std::vector<std::string> allowed;
    for (const auto& entry : EnumNames<Enum>::value) allowed.emplace_back(entry.name);
    return *from_name<Enum>(choice(key, std::string(to_name(fallback)), allowed));
  }

  bool has(const std::string& key) const;
  /// Records a mistake found by the caller at `key` (a rule between keys, say).
  void mistake(const std::string& key, const std::string& message);
  /// Declares a whole table as belonging to another reader: its keys are not "unknown".
  void accept_table(const std::string& key);
  /// Throws one usage Error with all mistakes and unknown keys, in file order; returns quietly when there are none.
  void finish() const;

  const std::string& name() const;    ///< file name, for messages
  const std::string& source() const;  ///< the text as read

 private:
  struct Impl;
  explicit Config(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Reads `[tile]` (or another table) over its preset's values. Mistakes are recorded in `config`.
TileSpec read_tile(Config& config, const std::string& table = "tile");
/// The complete specification as TOML, every key written out; read_tile(tile_to_toml(t)) == t.
std::string tile_to_toml(const TileSpec& tile, const std::string& table = "tile");

}  // namespace crosstile::data
