// [sweep] of a configuration, and the configurations of its points.
#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/random.hpp"
#include "validation/sweep.hpp"
#include "validation/toml_reader_detail.hpp"

namespace crosstile::validation {

namespace {

constexpr std::int64_t kMostPoints = 100000;
constexpr std::uint32_t kSweepTile = 0x53;  // keeps these numbers apart from others of the stream

struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
  double low = 0.0, high = 0.0;
  bool whole = false, log = false;
  // Earlier axes (place, value) that must stand so for more than the first of the values.
  std::vector<std::pair<std::size_t, std::string>> where;
};

std::string as_toml(const toml::node& node) {
  std::ostringstream out;
  if (const auto* number = node.as_floating_point(); number && std::isfinite(number->get())) {
    // The shortest text that reads back as the same number.
    const std::string text = fmt::format("{}", number->get());
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  node.visit([&](const auto& value) { out << toml::toml_formatter{value}; });
  return out.str();
}

std::vector<std::string> axis_values(const TomlReader& reader, const SweepAxis& axis, const toml::node& node) {
  const std::string where = "sweep.axis \"" + axis.key + "\": values";
  const toml::array* list = node.as_array();
  if (list == nullptr || list->empty()) reader.fail(node, where + " must be a list with at least one value");
  std::vector<std::string> values;
  for (const toml::node& value : *list) {
    if (value.is_table() || value.is_date() || value.is_time() || value.is_date_time())
      reader.fail(value, where + ": numbers, texts, true or false, and lists of these are allowed");
    values.push_back(as_toml(value));
  }
  return values;
}

void read_range(const TomlReader& reader, const toml::table& table, SweepAxis& axis) {
  const std::string where = "sweep.axis \"" + axis.key + "\": ";
  const auto *low = table.get("low"), *high = table.get("high");
  if (low == nullptr || high == nullptr || !low->is_number() || !high->is_number())
    reader.fail(table, where + "needs values = [...], or (mode \"random\") numbers low and high");
  axis.low = low->value<double>().value_or(NAN);
  axis.high = high->value<double>().value_or(NAN);
  axis.whole = low->is_integer() && high->is_integer();
  if (const auto* log = table.get("log")) {
    if (!log->is_boolean()) reader.fail(*log, where + "log must be true or false");
    axis.log = log->as_boolean()->get();
  }
  if (!std::isfinite(axis.low) || !std::isfinite(axis.high) || axis.high < axis.low || (axis.log && axis.low <= 0.0))
    reader.fail(*low, where + fmt::format("low = {}, high = {} is not allowed; allowed: low <= high, and low "
                                          "above 0 with log", axis.low, axis.high));
}

// Grid: `where` names earlier axes and one of their values each.
void read_where(const TomlReader& reader, const toml::node& node, const std::vector<SweepAxis>& earlier,
                SweepAxis& axis) {
  const std::string where = "sweep.axis \"" + axis.key + "\": where";
  const toml::table* table = node.as_table();
  if (table == nullptr || table->empty()) reader.fail(node, where + " must be a table { \"key\" = value }");
  for (const auto& [key, value] : *table) {
    const auto found = std::find_if(earlier.begin(), earlier.end(), [&](const auto& a) { return a.key == key.str(); });
    if (found == earlier.end())
      reader.fail(value, fmt::format("{}: \"{}\" is not the key of an earlier axis", where, key.str()));
    const std::string text = as_toml(value);
    if (std::find(found->values.begin(), found->values.end(), text) == found->values.end())
      reader.fail(value, fmt::format("{}: {} is not among the values of \"{}\"", where, text, key.str()));
    axis.where.emplace_back(found - earlier.begin(), text);
  }
}

SweepAxis read_axis(const TomlReader& reader, const toml::node& node, bool random) {
  const toml::table* table = node.as_table();
  if (table == nullptr) reader.fail(node, "sweep.axis must be tables: [[sweep.axis]]");
  reader.only(*table, "[[sweep.axis]]", {"key", "values", "low", "high", "log", "where"});
  SweepAxis axis;
  axis.key = (*table)["key"].value_or(std::string());
  if (axis.key.empty()) reader.fail(*table, "[[sweep.axis]] needs key = \"a.dotted.key\"");
  if (axis.key == "sweep" || axis.key.starts_with("sweep."))
    reader.fail(*table, "sweep.axis \"" + axis.key + "\": the sweep itself cannot be an axis");
  const auto* values = table->get("values");
  for (const char* key : {"low", "high", "log"})
    if (table->get(key) != nullptr && (values != nullptr || !random))
      reader.fail(*table, fmt::format("sweep.axis \"{}\": {} goes with mode = \"random\" and without values", axis.key, key));
  if (values != nullptr)
    axis.values = axis_values(reader, axis, *values);
  else
    read_range(reader, *table, axis);
  return axis;
}

std::string drawn_value(const SweepAxis& axis, double u) {
  if (!axis.values.empty())
    return axis.values[std::min(static_cast<std::size_t>(u * static_cast<double>(axis.values.size())), axis.values.size() - 1)];
  const double top = axis.whole ? axis.high + 1.0 : axis.high;
  const double value = axis.log ? axis.low * std::pow(top / axis.low, u) : axis.low + u * (top - axis.low);
  if (axis.whole) return fmt::format("{:.0f}", std::min(std::floor(value), axis.high));
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

using Rows = std::vector<std::vector<std::string>>;

Rows grid_rows(const std::vector<SweepAxis>& axes) {
  Rows rows{{}};
  for (const auto& axis : axes) {  // the last axis runs fastest
    Rows longer;
    for (const auto& row : rows) {
      const bool all = std::all_of(axis.where.begin(), axis.where.end(),
                                   [&](const auto& wanted) { return row[wanted.first] == wanted.second; });
      for (std::size_t v = 0; v < (all ? axis.values.size() : 1); ++v) {
        longer.push_back(row);
        longer.back().push_back(axis.values[v]);
      }
    }
    rows = std::move(longer);
    if (static_cast<std::int64_t>(rows.size()) > kMostPoints) break;
  }
  return rows;
}

Rows list_rows(const TomlReader& reader, const toml::table& table, const std::vector<SweepAxis>& axes) {
  Rows rows(axes.front().values.size());
  for (const auto& axis : axes) {
    if (axis.values.size() != rows.size())
      reader.fail(table, fmt::format("sweep.axis \"{}\": has {} values; mode \"list\" needs as many as the first "
                                     "axis: {}", axis.key, axis.values.size(), rows.size()));
    for (std::size_t p = 0; p < rows.size(); ++p) rows[p].push_back(axis.values[p]);
  }
  return rows;
}

Rows random_rows(const std::vector<SweepAxis>& axes, std::int64_t points, std::uint64_t seed) {
  Rows rows(static_cast<std::size_t>(points));
  for (std::size_t p = 0; p < rows.size(); ++p)
    for (std::size_t a = 0; a < axes.size(); ++a)
      rows[p].push_back(drawn_value(axes[a], random_uniform({seed, Stream::subset, kSweepTile}, p, a)));
  return rows;
}

void read_rows(const TomlReader& reader, const toml::table& table, std::uint64_t seed, Sweep& sweep) {
  reader.only(table, "[sweep]", {"mode", "points", "axis", "published", "claim"});
  const std::string mode = table["mode"].value_or(std::string(table.contains("mode") ? "" : "grid"));
  if (mode != "grid" && mode != "list" && mode != "random")
    reader.fail(table, "sweep.mode = \"" + mode + "\" is not allowed; allowed: \"grid\", \"list\", \"random\"");
  if (table.contains("points") != (mode == "random"))
    reader.fail(table, "sweep.points goes with mode = \"random\", and is needed there");
  const auto points = table["points"].value_or(std::int64_t{0});
  if (mode == "random" && (!table["points"].is_integer() || points < 1 || points > kMostPoints))
    reader.fail(table, fmt::format("sweep.points is not allowed; allowed: whole numbers from 1 to {}", kMostPoints));
  const toml::array* list = table["axis"].as_array();
  if (list == nullptr || list->empty()) reader.fail(table, "[sweep] needs at least one [[sweep.axis]]");
  std::vector<SweepAxis> axes;
  for (const auto& node : *list) {
    SweepAxis axis = read_axis(reader, node, mode == "random");
    if (const auto* where = node.as_table()->get("where")) {
      if (mode != "grid") reader.fail(*where, "sweep.axis \"" + axis.key + "\": where goes with mode = \"grid\"");
      read_where(reader, *where, axes, axis);
    }
    axes.push_back(std::move(axis));
    if (std::find(sweep.keys.begin(), sweep.keys.end(), axes.back().key) != sweep.keys.end())
      reader.fail(node, "sweep.axis \"" + axes.back().key + "\": this key has an axis already");
    sweep.keys.push_back(axes.back().key);
  }
  sweep.values = mode == "grid"   ? grid_rows(axes)
                 : mode == "list" ? list_rows(reader, table, axes)
                                  : random_rows(axes, points, seed);
  if (static_cast<std::int64_t>(sweep.values.size()) > kMostPoints)
    reader.fail(table, fmt::format("the grid has too many points; allowed: at most {}", kMostPoints));
}

// A place in `keys`, with a value that some point of the sweep has.
void read_slice(const TomlReader& reader, const toml::table& table, const Sweep& sweep, SweepClaim& claim) {
  for (const auto& [key, value] : table) {
    const auto found = std::find(sweep.keys.begin(), sweep.keys.end(), key.str());
    if (found == sweep.keys.end())
      reader.fail(value, fmt::format("sweep.claim: where: \"{}\" is not the key of an axis", key.str()));
    const auto axis = static_cast<std::size_t>(found - sweep.keys.begin());
    const std::string text = as_toml(value);
    if (std::none_of(sweep.values.begin(), sweep.values.end(), [&](const auto& row) { return row[axis] == text; }))
      reader.fail(value, fmt::format("sweep.claim: where: no point has \"{}\" = {}", key.str(), text));
    claim.where.emplace_back(axis, text);
  }
}

void read_claims(const TomlReader& reader, const toml::node& node, Sweep& sweep) {
  const toml::array* list = node.as_array();
  if (list == nullptr) reader.fail(node, "sweep.claim must be tables: [[sweep.claim]]");
  for (const toml::node& item : *list) {
    const toml::table* table = item.as_table();
    if (table == nullptr) reader.fail(item, "sweep.claim must be tables: [[sweep.claim]]");
    reader.only(*table, "[[sweep.claim]]", {"text", "axis", "where"});
    SweepClaim claim;
    claim.text = (*table)["text"].value_or(std::string());
    const std::string key = (*table)["axis"].value_or(std::string());
    const auto found = std::find(sweep.keys.begin(), sweep.keys.end(), key);
    if (claim.text.empty()) reader.fail(item, "[[sweep.claim]] needs text = \"...\"");
    if (found == sweep.keys.end()) reader.fail(item, "sweep.claim: axis \"" + key + "\" is not the key of an axis");
    claim.axis = static_cast<std::size_t>(found - sweep.keys.begin());
    if (const auto* where = table->get("where")) {
      if (!where->is_table()) reader.fail(*where, "sweep.claim: where must be a table { \"key\" = value }");
      read_slice(reader, *where->as_table(), sweep, claim);
    }
    sweep.claims.push_back(std::move(claim));
  }
}

// root[a.b.c] = value; false where a part of the path is there and no table.
bool put_value(toml::table& root, const std::string& key, const std::string& value) {
  const toml::table parsed = toml::parse("value = " + value);
  toml::table* table = &root;
  std::size_t begin = 0;
  for (auto dot = key.find('.'); dot != std::string::npos; dot = key.find('.', begin)) {
    const std::string part = key.substr(begin, dot - begin);
    if (!table->contains(part)) table->insert(part, toml::table{});
    table = (*table)[part].as_table();
    if (table == nullptr) return false;
    begin = dot + 1;
  }
  parsed.get("value")->visit([&](const auto& node) { table->insert_or_assign(key.substr(begin), node); });
  return true;
}

// What the reader of configurations said, without the places of a text that nobody wrote.
std::string without_places(const std::string& message) {
  std::istringstream lines(message);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.starts_with("point:") ? line.find(": ") : std::string::npos;
    out += (out.empty() ? "" : "; ") + (begin == std::string::npos ? line : line.substr(begin + 2));
  }
  return out;
}

PipelineConfig point_config(const TomlReader& reader, const toml::table& base, const Sweep& sweep, std::size_t p) {
  toml::table root = base;
  std::string where;
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorKind::usage, fmt::format("{}: sweep point {} ({}): {}", reader.name, p, where, problem));
  };
  for (std::size_t a = 0; a < sweep.keys.size(); ++a)
    where += (a == 0 ? "" : ", ") + sweep.keys[a] + " = " + sweep.values[p][a];
  for (std::size_t a = 0; a < sweep.keys.size(); ++a)
    if (!put_value(root, sweep.keys[a], sweep.values[p][a]))
      refuse("sweep.axis \"" + sweep.keys[a] + "\": a part of this key is not a table");
  std::ostringstream text;
  text << toml::toml_formatter{root};
  try {
    data::Config config = data::Config::from_text(text.str(), "point");
    return read_pipeline(config);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    refuse(without_places(error.what()));
  }
  return {};
}

}  // namespace

Sweep sweep_from_text(const std::string& text, const std::string& name) {
  data::Config config = data::Config::from_text(text, name);
  config.accept_table("sweep");
  const PipelineConfig plain = read_pipeline(config);  // mistakes outside [sweep], with their places
  const TomlReader reader{name};
  toml::table base = toml::parse(text);
  const toml::table* table = base["sweep"].as_table();
  if (table == nullptr) throw Error(ErrorKind::usage, name + ": needs a table [sweep]");
  Sweep sweep;
  sweep.title = plain.title;
  sweep.source = text;
  read_rows(reader, *table, plain.seed, sweep);
  if (const auto* claims = table->get("claim")) read_claims(reader, *claims, sweep);
  if (const auto* published = table->get("published")) {
    const auto file = published->value<std::string>();
    if (!file || file->empty()) reader.fail(*published, "sweep.published must be the name of a CSV file");
    sweep.published = read_published_sweep(*file, sweep.keys);
  }
  base.erase("sweep");
  std::string all;
  for (std::size_t p = 0; p < sweep.values.size(); ++p) {
    sweep.points.push_back(point_config(reader, base, sweep, p));
    all += hash_bytes(sweep.points.back().toml);
  }
  for (const auto& key : sweep.keys) all += key + "\n";
  sweep.fingerprint = hash_bytes(all);
  return sweep;
}

Sweep read_sweep(const std::filesystem::path& file) {
  return sweep_from_text(read_text(file, std::uint64_t{1} << 24), file.string());
}

}  // namespace crosstile::validation
