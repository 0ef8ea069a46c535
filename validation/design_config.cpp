// [design] of a configuration, and the configurations of its points.
#include <cmath>
#include <set>
#include <sstream>

#include "core/error.hpp"
#include "core/files.hpp"
#include "validation/design.hpp"
#include "validation/toml_reader_detail.hpp"

namespace crosstile::validation {

namespace {

constexpr std::size_t kMostDesignPoints = 10000;

struct DesignAxis {
  std::vector<std::string> keys;  // all get the same value
  toml::array values;
};

// A table of the grid or of a named point, before it is checked.
struct DesignOverlay {
  std::string name;
  toml::table table;
  std::string reference;
  bool of_grid = false;
};

std::string design_value(const toml::node& node) {
  std::ostringstream out;
  if (const auto* number = node.as_floating_point())
    out << fmt::format("{}", number->get());
  else
    node.visit([&](const auto& value) { out << toml::toml_formatter{value}; });
  return out.str();
}

std::string last_part(const std::string& key) {
  const auto dot = key.rfind('.');
  return dot == std::string::npos ? key : key.substr(dot + 1);
}

// root[a.b.c] = value; false where a part of the path is there and no table.
bool put_node(toml::table& root, const std::string& key, const toml::node& value) {
  toml::table* table = &root;
  std::size_t begin = 0;
  for (auto dot = key.find('.'); dot != std::string::npos; dot = key.find('.', begin)) {
    const std::string part = key.substr(begin, dot - begin);
    if (!table->contains(part)) table->insert(part, toml::table{});
    table = (*table)[part].as_table();
    if (table == nullptr) return false;
    begin = dot + 1;
  }
  value.visit([&](const auto& node) { table->insert_or_assign(key.substr(begin), node); });
  return true;
}

// Tables are joined, everything else is replaced.
void lay_over(toml::table& base, const toml::table& over) {
  for (const auto& [key, node] : over) {
    const auto* inner = node.as_table();
    auto* place = base[key].as_table();
    if (inner != nullptr && place != nullptr)
      lay_over(*place, *inner);
    else
      node.visit([&base, name = key](const auto& value) { base.insert_or_assign(name, value); });
  }
}

DesignAxis read_design_axis(const TomlReader& reader, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr) reader.fail(node, "design.axis must be tables: [[design.axis]]");
  reader.only(*table, "[[design.axis]]", {"key", "values"});
  DesignAxis axis;
  if (const auto* list = (*table)["key"].as_array())
    for (const auto& key : *list) axis.keys.push_back(key.value_or(std::string()));
  else
    axis.keys.push_back((*table)["key"].value_or(std::string()));
  for (const auto& key : axis.keys)
    if (key.empty() || key == "design" || key.starts_with("design."))
      reader.fail(*table,
                  "[[design.axis]] needs key = \"a.dotted.key\", or a list of such keys, outside [design]");
  const auto* values = (*table)["values"].as_array();
  if (values == nullptr || values->empty())
    reader.fail(*table,
                "design.axis \"" + axis.keys.front() + "\": values must be a list with at least one value");
  for (const auto& value : *values)
    if (!value.is_number() && !value.is_string() && !value.is_boolean() && !value.is_array())
      reader.fail(value, "design.axis \"" + axis.keys.front() +
                             "\": numbers, texts, true or false, and lists of these are allowed");
  axis.values = *values;
  return axis;
}

std::vector<DesignOverlay> grid_overlays(const TomlReader& reader, const toml::table& design,
                                         const std::vector<DesignAxis>& axes) {
  std::vector<DesignOverlay> grid{{"", {}, "", true}};
  for (const auto& axis : axes) {  // the last axis runs fastest
    std::vector<DesignOverlay> longer;
    for (const auto& overlay : grid)
      for (const auto& value : axis.values) {
        longer.push_back(overlay);
        DesignOverlay& here = longer.back();
        std::string shown = design_value(value);
        if (value.is_string()) shown = value.value_or(std::string());
        here.name += (here.name.empty() ? "" : ", ") + last_part(axis.keys.front()) + " " + shown;
        for (const auto& key : axis.keys)
          if (!put_node(here.table, key, value))
            reader.fail(design, "design.axis \"" + key + "\": a part of this key is not a table");
      }
    grid = std::move(longer);
    if (grid.size() > kMostDesignPoints)
      reader.fail(design,
                  fmt::format("the grid has too many points; allowed: at most {}", kMostDesignPoints));
  }
  return grid;
}

DesignOverlay read_named_point(const TomlReader& reader, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr) reader.fail(node, "design.point must be tables: [[design.point]]");
  DesignOverlay point;
  point.name = (*table)["name"].value_or(std::string());
  if (point.name.empty()) reader.fail(*table, "[[design.point]] needs name = \"what it is called\"");
  if (const auto* reference = table->get("reference"); reference != nullptr && !reference->is_table()) {
    point.reference = reference->value_or(std::string());
    if (point.reference.empty())
      reader.fail(*reference,
                  "design.point \"" + point.name + "\": reference must be a file (or a table of keys)");
  }
  point.table = *table;
  point.table.erase("name");
  if (!point.reference.empty()) point.table.erase("reference");
  return point;
}

std::string toml_text(const toml::table& table) {
  std::ostringstream text;
  text << toml::toml_formatter{table};
  return text.str();
}

tilemodel::Form fitting_form(const data::TileSpec& tile) {
  if (tile.drive == data::Drive::gated)
    return tile.pulse.sign == data::SignMode::two_phase ? tilemodel::Form::calibrated
                                                        : tilemodel::Form::ladder;
  return tile.is_linear() ? tilemodel::Form::effective : tilemodel::Form::ideal;
}

bool needs_transient(const data::TileSpec& tile) {
  return tile.front_end.kind == data::FrontEndKind::integrator ||
         (tile.drive == data::Drive::gated && tile.selector.kind == data::SelectorKind::mos &&
          tile.pulse.t_edge_s > 0.0);
}

// Form and method where the file leaves them open. Mistakes are found later.
void fill_open_keys(toml::table& root) {
  data::TileSpec tile;
  try {
    data::Config config = data::Config::from_text(toml_text(root), "point");
    tile = data::read_tile(config);
  } catch (const Error&) {
    return;
  }
  if (!root.at_path("model.form"))
    put_node(root, "model.form", toml::value<std::string>(std::string(data::to_name(fitting_form(tile)))));
  if (!root.at_path("reference.method") && needs_transient(tile))
    put_node(root, "reference.method", toml::value<std::string>("transient"));
}

// What the reader of configurations said, without the places of a text that nobody wrote.
std::string only_mistakes(const std::string& message) {
  std::istringstream lines(message);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.starts_with("point:") ? line.find(": ") : std::string::npos;
    out += (out.empty() ? "" : "; ") + (begin == std::string::npos ? line : line.substr(begin + 2));
  }
  return out;
}

// Mistakes outside [design], with their places, where the file by itself is a complete point.
void check_base(const std::string& text, const std::string& name, const toml::table& base) {
  if (!base.contains("model")) {
    toml::table filled = base;
    fill_open_keys(filled);
    const auto form = filled.at_path("model.form").value_or(std::string("ideal"));
    data::Config config = data::Config::from_text(text + "\n[model]\nform = \"" + form + "\"\n", name);
    config.accept_table("design");
    read_pipeline(config);
  } else if (base.at_path("model.form")) {
    data::Config config = data::Config::from_text(text, name);
    config.accept_table("design");
    read_pipeline(config);
  }
}

// Adds the point to the design; a grid point that is no tile goes to `skipped` where that is allowed.
void add_point(const TomlReader& reader, const toml::table& base, const DesignOverlay& overlay,
               bool skip_invalid, Design& design) {
  toml::table root = base;
  lay_over(root, overlay.table);
  fill_open_keys(root);
  DesignPoint point;
  point.name = overlay.name;
  point.reference = overlay.reference;
  for (const auto& key : design.keys) {
    const auto node = overlay.of_grid ? root.at_path(key) : toml::node_view<toml::node>{};
    point.values.push_back(node ? design_value(*node.node()) : std::string());
  }
  try {
    data::Config config = data::Config::from_text(toml_text(root), "point");
    point.config = read_pipeline(config);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    const std::string said =
        fmt::format("design point \"{}\": {}", overlay.name, only_mistakes(error.what()));
    if (!overlay.of_grid || !skip_invalid) throw Error(ErrorKind::usage, reader.name + ": " + said);
    design.skipped.push_back(said);
    return;
  }
  design.points.push_back(std::move(point));
}

void require_distinct(const TomlReader& reader, const toml::table& table, Design& design,
                      const std::vector<DesignAxis>& axes) {
  for (const auto& axis : axes)
    for (const auto& key : axis.keys) {
      if (std::find(design.keys.begin(), design.keys.end(), key) != design.keys.end())
        reader.fail(table, "design.axis \"" + key + "\": this key has an axis already");
      design.keys.push_back(key);
    }
}

void read_settings(const TomlReader& reader, const toml::table& table, Design& design, bool& skip_invalid) {
  reader.only(table, "[design]", {"axis", "point", "ngspice_rows", "timing_seconds", "skip_invalid"});
  if (const auto* node = table.get("ngspice_rows")) {
    design.ngspice_rows = static_cast<Index>(node->value_or(std::int64_t{-1}));
    if (!node->is_integer() || design.ngspice_rows < 0 || design.ngspice_rows > 64)
      reader.fail(*node, "design.ngspice_rows is not allowed; allowed: whole numbers from 0 to 64");
  }
  if (const auto* node = table.get("timing_seconds")) {
    design.timing_seconds = node->value_or(-1.0);
    if (!(design.timing_seconds >= 0.0 && design.timing_seconds <= 60.0))
      reader.fail(*node, "design.timing_seconds is not allowed; allowed: 0 to 60");
  }
  if (const auto* node = table.get("skip_invalid")) {
    if (!node->is_boolean()) reader.fail(*node, "design.skip_invalid must be true or false");
    skip_invalid = node->value_or(false);
  }
}

}  // namespace

Design design_from_text(const std::string& text, const std::string& name) {
  static_cast<void>(data::Config::from_text(text, name));  // mistakes of syntax, with their places
  const TomlReader reader{name};
  toml::table base = toml::parse(text);
  const auto* table = base["design"].as_table();
  if (table == nullptr) throw Error(ErrorKind::usage, name + ": needs a table [design]");
  Design design;
  design.title = base["title"].value_or(std::string("Fast model against full circuit"));
  design.source = text;
  bool skip_invalid = false;
  read_settings(reader, *table, design, skip_invalid);
  std::vector<DesignAxis> axes;
  if (const auto* list = (*table)["axis"].as_array())
    for (const auto& node : *list) axes.push_back(read_design_axis(reader, node));
  require_distinct(reader, *table, design, axes);
  std::vector<DesignOverlay> overlays;
  if (!axes.empty()) overlays = grid_overlays(reader, *table, axes);
  if (const auto* list = (*table)["point"].as_array())
    for (const auto& node : *list) overlays.push_back(read_named_point(reader, node));
  if (overlays.empty())
    reader.fail(*table, "[design] needs at least one [[design.axis]] or [[design.point]]");
  toml::table plain = base;
  plain.erase("design");
  check_base(text, name, plain);
  for (const auto& overlay : overlays) add_point(reader, plain, overlay, skip_invalid, design);
  std::string all = fmt::format("{} {}\n", design.ngspice_rows, design.keys.size());
  for (const auto& point : design.points)
    all += hash_bytes(point.config.toml) + point.name + "\n" + point.reference.string() + "\n";
  design.fingerprint = hash_bytes(all);
  return design;
}

Design read_design(const std::filesystem::path& file) {
  return design_from_text(read_text(file, std::uint64_t{1} << 24), file.string());
}

}  // namespace crosstile::validation
