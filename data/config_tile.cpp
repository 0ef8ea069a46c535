// [tile] in a configuration, both ways.
#include <string_view>

#include "data/config.hpp"
#include "data/tile_fields.hpp"

namespace crosstile::data {

namespace {

class FieldReader {
 public:
  FieldReader(Config& config, std::string table) : config_(config), table_(std::move(table)) {}

  void number(const char* key, double& value, double low, double high) {
    value = config_.number(path(key), value, low, high);
  }
  void optional_number(const char* key, std::optional<double>& value, double low, double high) {
    if (const auto given = config_.optional_number(path(key), low, high)) value = given;
  }
  template <typename Integer>
  void integer(const char* key, Integer& value, std::int64_t low, std::int64_t high) {
    value = static_cast<Integer>(config_.integer(path(key), value, low, high));
  }
  void boolean(const char* key, bool& value) { value = config_.boolean(path(key), value); }
  template <typename Enum>
  void choice(const char* key, Enum& value) {
    value = config_.choice_of(path(key), value);
  }

  std::string path(std::string_view key) const { return table_ + "." + std::string(key); }
  bool has(std::string_view key) const { return config_.has(path(key)); }

 private:
  Config& config_;
  std::string table_;
};

class FieldWriter {
 public:
  explicit FieldWriter(std::string table) : table_(std::move(table)) {}

  void number(std::string_view key, double value, double, double) { line(key, shortest(value)); }
  void optional_number(std::string_view key, const std::optional<double>& value, double, double) {
    if (value) line(key, shortest(*value));
  }
  void integer(std::string_view key, std::int64_t value, std::int64_t, std::int64_t) {
    line(key, std::to_string(value));
  }
  void boolean(std::string_view key, bool value) { line(key, value ? "true" : "false"); }
  template <typename Enum>
  void choice(std::string_view key, Enum value) {
    line(key, in_quotes(to_name(value)));
  }

  void open_table(std::string_view group) {
    group_ = group;
    if (!group.empty()) text += "\n";
    text += "[" + table_ + (group.empty() ? "" : ".") + group_ + "]\n";
  }
  void line(std::string_view key, const std::string& value) {
    const auto dot = key.find('.');
    const auto group = dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
    if (group != group_) open_table(group);
    text += std::string(key.substr(dot == std::string_view::npos ? 0 : dot + 1)) + " = " + value + "\n";
  }

  std::string text;

 private:
  std::string table_;
  std::string group_;
};

// Drive "bipolar" and layout "bipolar" need each other: where only one of the two keys is given, the other
// follows.
void match_layout_to_drive(TileSpec& tile, const FieldReader& reader) {
  const bool drive_given = reader.has("drive");
  const bool layout_given = reader.has("weight_layout");
  const bool drive_bipolar = tile.drive == Drive::bipolar;
  const bool layout_bipolar = tile.weight_layout == WeightLayout::bipolar;
  if (drive_given == layout_given || drive_bipolar == layout_bipolar) return;
  if (drive_given) {
    tile.weight_layout = drive_bipolar ? WeightLayout::bipolar : WeightLayout::pair_columns;
  } else {
    tile.drive = layout_bipolar ? Drive::bipolar : Drive::level;
  }
}

}  // namespace

TileSpec read_tile(Config& config, const std::string& table) {
  TileSpec tile = tile_preset(config.choice(table + ".preset", TileSpec{}.preset, tile_preset_names()));
  FieldReader reader(config, table);
  visit_tile_fields(tile, reader);
  match_layout_to_drive(tile, reader);
  // Single values are in range by now; what is left are rules between a given key and one that kept its
  // default.
  for (const auto& violation : tile_violations(tile))
    config.mistake(reader.path(violation.key), violation.problem);
  return tile;
}

std::string tile_to_toml(const TileSpec& tile, const std::string& table) {
  FieldWriter writer(table);
  writer.open_table("");
  writer.line("preset", in_quotes(tile.preset));
  visit_tile_fields(tile, writer);
  return std::move(writer.text);
}

}  // namespace crosstile::data
