#include "validation/results.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::validation {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

Json to_value(const Cell& cell, const std::string& where) {
  if (const double* number = std::get_if<double>(&cell)) {
    if (!std::isfinite(*number))
      throw Error(ErrorKind::usage, where + ": a cell is not a finite number; use text for it");
    return *number;
  }
  return std::get<std::string>(cell);
}

Json to_object(const Table& table) {
  const std::string where = "results: table \"" + table.title + "\"";
  Json rows = Json::array();
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (table.rows[r].size() != table.columns.size())
      throw Error(ErrorKind::usage, where + ": row " + std::to_string(r) + " has " +
                                        std::to_string(table.rows[r].size()) + " cells for " +
                                        std::to_string(table.columns.size()) + " columns");
    Json row = Json::array();
    for (const Cell& cell : table.rows[r]) row.push_back(to_value(cell, where));
    rows.push_back(std::move(row));
  }
  return {{"title", table.title}, {"section", table.section}, {"columns", table.columns},
          {"rows", rows},         {"caption", table.caption}, {"command", table.command}};
}

std::string dump(const Json& document, int indent) {
  try {
    return document.dump(indent);
  } catch (const Json::exception&) {
    throw Error(ErrorKind::usage, "results: a text is not valid UTF-8");
  }
}

/// Reads fields of one object; every mistake names file and field.
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("is not an object");
  }
  std::string text(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return {};
    if (!found->is_string()) fail(std::string(key) + " is not a text");
    return found->get<std::string>();
  }
  const Json& list(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end() || !found->is_array()) fail(std::string(key) + " is missing or not a list");
    return *found;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::bad_data, where_ + " " + what);
  }

 private:
  const Json& object_;
  std::string where_;
};

Cell read_cell(const Json& value, const Fields& table) {
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  table.fail("rows: a cell is neither number nor text");
}

Table read_table(const Json& object, const std::string& where) {
  const Fields fields(object, where);
  Table table;
  table.title = fields.text("title");
  table.section = fields.text("section");
  table.caption = fields.text("caption");
  table.command = fields.text("command");
  for (const Json& column : fields.list("columns")) {
    if (!column.is_string()) fields.fail("columns: a heading is not a text");
    table.columns.push_back(column.get<std::string>());
  }
  for (const Json& row : fields.list("rows")) {
    if (!row.is_array() || row.size() != table.columns.size())
      fields.fail("rows: a row is not a list of " + std::to_string(table.columns.size()) + " cells");
    std::vector<Cell> cells;
    for (const Json& cell : row) cells.push_back(read_cell(cell, fields));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace

void Results::put(Headline item) {
  const auto same = std::find_if(headline.begin(), headline.end(),
                                 [&](const Headline& h) { return h.label == item.label; });
  if (same != headline.end())
    *same = std::move(item);
  else
    headline.push_back(std::move(item));
}

void Results::put(Table table) {
  const auto same = std::find_if(tables.begin(), tables.end(), [&](const Table& t) {
    return t.title == table.title && t.section == table.section;
  });
  if (same != tables.end())
    *same = std::move(table);
  else
    tables.push_back(std::move(table));
}

std::string to_json(const Table& table) {
  return dump(to_object(table), -1);
}

void write_results(const std::filesystem::path& path, const Results& results) {
  Json headline = Json::array();
  for (const Headline& item : results.headline)
    headline.push_back({{"label", item.label}, {"value", item.value}, {"note", item.note}});
  Json tables = Json::array();
  for (const Table& table : results.tables) tables.push_back(to_object(table));
  const Json document = {{"kind", "crosstile-results"},
                         {"version", kFormatVersion},
                         {"title", results.title},
                         {"headline", headline},
                         {"tables", tables}};
  write_text_atomically(path, dump(document, 2) + "\n");
}

Results read_results(const std::filesystem::path& path) {
  const std::string text = read_text(path, std::uint64_t{1} << 26);
  const std::string file = path.string();
  const Json document = Json::parse(text, nullptr, false);
  if (document.is_discarded()) throw Error(ErrorKind::bad_data, file + ": not valid JSON");
  const Fields fields(document, file + ": the document");
  if (fields.text("kind") != "crosstile-results") fields.fail("is not a crosstile-results file (kind)");
  const auto version = document.find("version");
  if (version == document.end() || !version->is_number_integer() || version->get<int>() < 1 ||
      version->get<int>() > kFormatVersion)
    fields.fail("has no version this program can read (allowed: 1 to " + std::to_string(kFormatVersion) +
                ")");

  Results results;
  results.title = fields.text("title");
  std::size_t n = 0;
  for (const Json& item : fields.list("headline")) {
    const Fields one(item, file + ": headline[" + std::to_string(n++) + "]");
    results.headline.push_back({one.text("label"), one.text("value"), one.text("note")});
  }
  n = 0;
  for (const Json& item : fields.list("tables"))
    results.tables.push_back(read_table(item, file + ": tables[" + std::to_string(n++) + "]"));
  return results;
}

}  // namespace crosstile::validation
