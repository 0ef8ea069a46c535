#include "bench/figure_table.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/machine.hpp"
#include "bench/text_table.hpp"
#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::bench {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> only;
  bool quick = false;
  bool list = false;
  std::string json_path;
};

// Three significant digits, as a plain number where that is readable: 0.0123, 1.23, 123, 12345, 1.2e-13.
std::string plain_number(double value) {
  const double size = std::abs(value);
  if (value == std::round(value) && size < 1e7) return fmt::format("{:.0f}", value);
  if (size >= 1000.0 && size < 1e7) return fmt::format("{:.0f}", value);
  if (size >= 1e-3 && size < 1e7) return fmt::format("{:.3g}", value);
  std::string text = fmt::format("{:.1e}", value);
  if (const auto zero = text.find(".0e"); zero != std::string::npos) text.erase(zero, 2);
  return text;
}

struct Prefix {
  double factor;
  const char* name;
};

std::string with_prefix(double value, const std::vector<Prefix>& prefixes) {
  for (const auto& prefix : prefixes)
    if (std::abs(value) >= prefix.factor || prefix.name == prefixes.back().name)
      return plain_number(value / prefix.factor) + " " + prefix.name;
  return "";
}

std::string value_text(double value, const std::string& unit) {
  if (std::isnan(value)) return "-";
  if (unit == "s") return with_prefix(value, {{1.0, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}});
  if (unit == "B") return with_prefix(value, {{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}});
  return plain_number(value) + (unit.empty() ? "" : " " + unit);
}

const char* direction_text(Goal::Direction direction) { return direction == Goal::Direction::at_least ? ">=" : "<="; }

std::string with_note(const std::string& text, const std::string& note) { return note.empty() ? text : text + " (" + note + ")"; }

std::string reached_text(const Figure& figure) {
  if (figure.is_test) return with_note("asserted by the test", figure.note);
  if (!figure.skipped.empty()) return figure.skipped;
  if (!figure.failure.empty()) return with_note(figure.failure, figure.note);
  return with_note(to_text(figure.reached), figure.note);
}

std::string baseline_text(const Figure& figure) {
  if (!figure.baseline) return "";
  const auto& baseline = *figure.baseline;
  return with_note(baseline.name + (std::isnan(baseline.value.value) ? "" : " " + to_text(baseline.value)), baseline.note);
}

std::string command_text(const Program& program, const Report::Row& row) {
  return row.figure.command.empty() ? "scripts/bench.sh " + program.name + " --only " + row.group : row.figure.command;
}

std::string figures_text(const Program& program, const Report& report) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : report.rows()) {
    const Figure& figure = row.figure;
    rows.push_back({figure.name, figure.goal ? to_text(*figure.goal, figure.reached.unit) : "", reached_text(figure), verdict(figure),
                    baseline_text(figure), figure.command.empty() ? "--only " + row.group : figure.command});
  }
  const std::vector<TextColumn> columns{{"figure", 42}, {"goal", 10}, {"reached", 32}, {"", 7}, {"baseline, same run", 32},
                                        {"command", 17}};
  return text_table(columns, rows) + "command: scripts/bench.sh " + program.name +
         " followed by what stands there.\n"
         "Times: processor seconds, one thread unless said, best of several; +x % is the median above it.\n";
}

std::string series_text(const Series& series) {
  std::vector<TextColumn> columns;
  for (const auto& column : series.columns) columns.push_back({column.name, 24, true});
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : series.rows) {
    rows.emplace_back();
    for (std::size_t c = 0; c < row.size(); ++c) rows.back().push_back(value_text(row[c], series.columns[c].unit));
  }
  return series.title + "\n" + text_table(columns, rows);
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const Quantity& quantity) {
  return {{"value", finite(quantity.value)}, {"unit", quantity.unit}, {"spread", quantity.spread}};
}

Json to_json(const Program& program, const Report::Row& row) {
  const Figure& figure = row.figure;
  Json out{{"group", row.group}, {"figure", figure.name}, {"goal", nullptr}, {"reached", to_json(figure.reached)}, {"note", figure.note},
           {"baseline", nullptr}, {"verdict", verdict(figure)}, {"failure", figure.failure}, {"skipped", figure.skipped},
           {"command", command_text(program, row)}};
  if (figure.is_test) out["test"] = true;
  if (figure.goal) out["goal"] = {{"direction", direction_text(figure.goal->direction)}, {"value", figure.goal->value}};
  if (figure.baseline) {
    out["baseline"] = to_json(figure.baseline->value);
    out["baseline"]["name"] = figure.baseline->name;
    out["baseline"]["note"] = figure.baseline->note;
  }
  return out;
}

Json to_json(const Series& series) {
  Json out{{"title", series.title}, {"columns", Json::array()}, {"rows", Json::array()}};
  for (const auto& column : series.columns) out["columns"].push_back({{"name", column.name}, {"unit", column.unit}});
  for (const auto& row : series.rows) {
    Json values = Json::array();
    for (const double value : row) values.push_back(finite(value));
    out["rows"].push_back(values);
  }
  return out;
}

std::string json_text(const Program& program, const Options& options, const Report& report) {
  Json out{{"benchmark", program.name}, {"date", utc_now()}, {"quick", options.quick}, {"only", options.only}};
  for (const auto& [fact, value] : machine_facts()) out["machine"][fact] = value;
  for (const auto& [name, version] : program.baselines) out["baselines"][name] = version;
  out["figures"] = Json::array();
  out["series"] = Json::array();
  for (const auto& row : report.rows()) out["figures"].push_back(to_json(program, row));
  for (const auto& series : report.series()) out["series"].push_back(to_json(series));
  return out.dump(1) + "\n";
}

std::string facts_text(const Program& program) {
  std::string out;
  for (const auto& [fact, value] : machine_facts()) out += fmt::format("{:<10} {}\n", fact, value);
  std::string baselines;
  for (const auto& [name, version] : program.baselines) baselines += (baselines.empty() ? "" : "; ") + name + " " + version;
  if (!baselines.empty()) out += fmt::format("{:<10} {}\n", "baselines", baselines);
  return out;
}

std::vector<Group> chosen(const Program& program, const Options& options) {
  std::vector<Group> groups;
  for (const auto& group : program.groups) {
    bool wanted = options.only.empty();
    for (const auto& part : options.only) wanted = wanted || group.id.find(part) != std::string::npos;
    if (wanted) groups.push_back(group);
  }
  if (!groups.empty()) return groups;
  std::string ids;
  for (const auto& group : program.groups) ids += (ids.empty() ? "" : ", ") + group.id;
  throw Error(ErrorKind::usage, "--only matches no group; there are: " + ids);
}

void run(const Program& program, const Options& options) {
  const auto groups = chosen(program, options);
  const std::string path = options.json_path.empty() ? "build/bench/" + program.name + ".json" : options.json_path;
  if (const auto folder = fs::path(path).parent_path(); !folder.empty()) require_writable_folder(folder);
  fmt::print("{}\n", facts_text(program));
  std::fflush(stdout);
  Report report(options.quick);
  for (const auto& group : groups) {
    fmt::print(stderr, "{}: {} ...", group.id, group.title);
    report.begin_group(group.id);
    const double seconds_taken = wall_seconds([&] { group.measure(report); });
    fmt::print(stderr, " {:.1f} s\n", seconds_taken);
  }
  if (!report.rows().empty()) fmt::print("\n{}", figures_text(program, report));
  for (const auto& series : report.series()) fmt::print("\n{}", series_text(series));
  write_text_atomically(path, json_text(program, options, report));
  fmt::print("\nas JSON: {}\n", path);
}

}  // namespace

void Report::add(Figure figure) { rows_.push_back({group_, std::move(figure)}); }

void Report::skip(const std::string& name, std::optional<Goal> goal, const std::string& unit, const std::string& why) {
  Figure figure{name, goal, {std::numeric_limits<double>::quiet_NaN(), unit}};
  figure.skipped = why;
  add(std::move(figure));
}

std::string verdict(const Figure& figure) {
  if (figure.is_test) return "test";
  if (!figure.skipped.empty()) return "skipped";
  if (!figure.failure.empty()) return "missed";
  if (!figure.goal) return "shown";
  const double reached = figure.reached.value;
  const bool met = figure.goal->direction == Goal::Direction::at_least ? reached >= figure.goal->value : reached <= figure.goal->value;
  return met ? "met" : "missed";
}

std::string to_text(const Quantity& quantity) {
  const std::string text = value_text(quantity.value, quantity.unit);
  return quantity.spread > 0.0 ? fmt::format("{} +{:.0f} %", text, 100.0 * quantity.spread) : text;
}

std::string to_text(const Goal& goal, const std::string& unit) {
  return std::string(direction_text(goal.direction)) + " " + value_text(goal.value, unit);
}

int run_program(const Program& program, int argc, char** argv) {
  Options options;
  CLI::App app{"Measured figures of crosstile: " + program.name};
  app.add_option("--only", options.only, "Groups whose name contains this text; may be repeated")->allow_extra_args(false);
  app.add_flag("--quick", options.quick, "Leave out baselines that take minutes");
  app.add_option("--json", options.json_path, "Where the JSON goes (build/bench/" + program.name + ".json)")->expected(1);
  app.add_flag("--list", options.list, "Print the groups");
  try {
    app.parse(argc, argv);
    if (options.list)
      for (const auto& group : program.groups) fmt::print("{:<12} {}\n", group.id, group.title);
    else
      run(program, options);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const Error& error) {
    fmt::print(stderr, "\nbench_{}: {}\n", program.name, error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    fmt::print(stderr, "\nbench_{}: {}\n", program.name, error.what());
    return 1;
  }
}

}  // namespace crosstile::bench
