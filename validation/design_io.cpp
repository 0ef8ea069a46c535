// What a design of experiments shows: table, CSV, HDF5, picture.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "validation/design_files.hpp"
#include "validation/line_chart.hpp"
#include "validation/metrics.hpp"

namespace crosstile::validation {

namespace {

constexpr std::size_t kMostCurves = 6;

std::string design_cell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// A TOML text without its quotes.
std::string plain_value(const std::string& value) {
  const bool quoted = value.size() >= 2 && (value.front() == '"' || value.front() == '\'');
  return quoted ? value.substr(1, value.size() - 2) : value;
}

// Times stand behind everything else: without them the same design gives the same bytes.
std::string design_csv(const Design& design, const std::vector<DesignResult>& results) {
  std::string text = "point,name";
  for (const auto& key : design.keys) text += "," + design_cell(key);
  text += ",form,method,failure";
  for (const auto& figure : design_figures()) text += std::string(",") + figure.name;
  text += "\n";
  for (std::size_t p = 0; p < results.size(); ++p) {
    const auto& result = results[p];
    text += std::to_string(p) + "," + design_cell(design.points[p].name);
    for (const auto& value : design.points[p].values) text += "," + design_cell(plain_value(value));
    text += "," + result.form + "," + result.method + "," + design_cell(result.failure);
    for (const auto& figure : design_figures()) {
      const auto& value = result.*figure.field;
      text += value ? fmt::format(",{:.17g}", *value) : std::string(",");
    }
    text += "\n";
  }
  return text;
}

void write_design_h5(const fs::path& path, const Design& design, const std::vector<DesignResult>& results) {
  data::Hdf5Writer out("design", 1);
  out.text("title", design.title);
  out.text("config", design.source);
  std::string names;
  for (const auto& point : design.points) names += (names.empty() ? "" : "\n") + point.name;
  out.text("names", names);
  for (const auto& figure : design_figures()) {
    std::vector<double> points, values;
    for (std::size_t p = 0; p < results.size(); ++p)
      if (const auto& value = results[p].*figure.field) {
        points.push_back(static_cast<double>(p));
        values.push_back(*value);
      }
    if (points.empty()) continue;
    const auto column = [](const std::vector<double>& v) {
      return Vector(Eigen::Map<const Vector>(v.data(), static_cast<Index>(v.size())));
    };
    out.vector(std::string(figure.name) + "/point", column(points), "index");
    out.vector(std::string(figure.name) + "/value", column(values), figure.unit);
  }
  out.write(path);
}

std::string last_key(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

std::optional<double> positive_number(const std::string& text) {
  try {
    std::size_t used = 0;
    const double value = std::stod(text, &used);
    if (used == text.size() && value > 0.0) return value;
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

// The axis with the most numbers above 0, at least two; design.keys.size() where there is none.
std::size_t chart_axis(const Design& design) {
  std::size_t best = design.keys.size(), most = 1;
  for (std::size_t a = 0; a < design.keys.size(); ++a) {
    std::vector<double> distinct;
    for (const auto& point : design.points)
      if (const auto value = positive_number(point.values[a]))
        if (std::find(distinct.begin(), distinct.end(), *value) == distinct.end()) distinct.push_back(*value);
    if (distinct.size() > most) {
      most = distinct.size();
      best = a;
    }
  }
  return best;
}

// An axis that always has the value of the shown one or of an earlier one (rows and cols of square tiles)
// tells nothing new.
bool tells_more(const Design& design, std::size_t axis, std::size_t shown) {
  const auto equal = [&](std::size_t other) {
    return std::all_of(design.points.begin(), design.points.end(),
                       [&](const auto& point) { return point.values[axis] == point.values[other]; });
  };
  if (axis == shown || equal(shown)) return false;
  for (std::size_t earlier = 0; earlier < axis; ++earlier)
    if (equal(earlier)) return false;
  return true;
}

// The next of 1, 2, 5, 10, ... at or above: where an axis may end.
double round_above(double value) {
  const double decade = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0})
    if (step * decade >= value) return step * decade;
  return 10.0 * decade;
}

// Error of the fast model over one axis, a curve for every combination of the others.
bool write_chart(const fs::path& path, const Design& design, const std::vector<DesignResult>& results) {
  const std::size_t axis = chart_axis(design);
  if (axis == design.keys.size()) return false;
  LineChart chart{design.title, design.keys[axis], "RMS error of G+ - G- (% of its RMS)", 0.0, 0.0, {}};
  std::map<std::string, std::size_t> place;
  for (std::size_t p = 0; p < results.size(); ++p) {
    const auto& values = design.points[p].values;
    const auto x = positive_number(values[axis]);
    if (!x || !results[p].differential_relative) continue;
    std::string label;
    for (std::size_t a = 0; a < values.size(); ++a)
      if (tells_more(design, a, axis))
        label += (label.empty() ? "" : ", ") + last_key(design.keys[a]) + " " + plain_value(values[a]);
    if (!place.contains(label)) {
      if (chart.curves.size() == kMostCurves) continue;
      place[label] = chart.curves.size();
      chart.curves.push_back({label, {}});
    }
    const double y = 100.0 * *results[p].differential_relative;
    chart.curves[place[label]].points.push_back({*x, y, 0.0});
    chart.y_high = std::max(chart.y_high, y);
  }
  if (!(chart.y_high > 0.0)) return false;
  chart.y_high = round_above(chart.y_high);
  for (auto& curve : chart.curves)
    std::sort(curve.points.begin(), curve.points.end(),
              [](const auto& a, const auto& b) { return a.x < b.x; });
  write_line_chart(path, chart);
  return true;
}

std::string shown_number(const std::optional<double>& value, double scale = 1.0) {
  return value ? fmt::format("{:.3g}", scale * *value) : std::string("-");
}

Table design_table(const Design& design, const DesignOutcome& outcome) {
  Table table;
  table.title = "Fast model against the full circuit";
  table.section = "comparison";
  table.columns = {"point",
                   "form",
                   "circuit",
                   "RMS (LSB)",
                   "99 % (LSB)",
                   "99.9 % (LSB)",
                   "worst (LSB)",
                   "RMS of G+ - G- (%)",
                   "best linear map (LSB)",
                   "ideal product (LSB)",
                   "speed-up",
                   "energy, circuit (pJ)",
                   "energy, fast (pJ)",
                   "ngspice - circuit (LSB)",
                   "fast - ngspice (LSB)"};
  for (std::size_t p = 0; p < outcome.results.size(); ++p) {
    const DesignResult& r = outcome.results[p];
    if (!r.failure.empty()) continue;
    table.rows.push_back({design.points[p].name, r.form, r.method, shown_number(r.rms_lsb),
                          shown_number(r.quantile_99_lsb), shown_number(r.quantile_999_lsb),
                          shown_number(r.max_lsb), shown_number(r.differential_relative, 100.0),
                          shown_number(r.linear_map_lsb), shown_number(r.ideal_lsb), shown_number(r.speed_up),
                          shown_number(r.circuit_joule, 1e12), shown_number(r.fast_joule, 1e12),
                          shown_number(r.ngspice_lsb), shown_number(r.fast_ngspice_lsb)});
  }
  table.caption =
      "Single bit lines on vectors that no fit has seen; 1 LSB = 99.9 % quantile of a point's bit-line "
      "charges / "
      "255; quantiles of |error|. Speed-up: processor time of a product, one thread, the fast model in a "
      "batch. "
      "Energy: both arrays and charging of wires, mean. ngspice: on the worst vector, largest difference.";
  if (!outcome.note.empty()) table.caption += " " + outcome.note + ".";
  return table;
}

Table failure_table(const Design& design, const DesignOutcome& outcome) {
  Table table;
  table.title = "Points without figures";
  table.section = "comparison";
  table.columns = {"point", "reason"};
  for (std::size_t p = 0; p < outcome.results.size(); ++p)
    if (!outcome.results[p].failure.empty())
      table.rows.push_back({design.points[p].name, outcome.results[p].failure});
  for (const auto& reason : design.skipped) table.rows.push_back({std::string("(left out)"), reason});
  return table;
}

Table stored_table(const Design& design, const DesignOutcome& outcome) {
  Table table;
  table.title = "Stored reference sets";
  table.section = "comparison";
  table.columns = {"point", "file", "stored - this circuit, worst vector (LSB)"};
  for (std::size_t p = 0; p < outcome.results.size(); ++p)
    if (outcome.results[p].stored_lsb)
      table.rows.push_back(
          {design.points[p].name, design.points[p].reference.string(), *outcome.results[p].stored_lsb});
  return table;
}

std::vector<double> values_of(const DesignOutcome& outcome, std::optional<double> DesignResult::*field) {
  std::vector<double> values;
  for (const auto& result : outcome.results)
    if (result.*field) values.push_back(*(result.*field));
  return values;
}

}  // namespace

Results write_design(const Design& design, const DesignOutcome& outcome,
                     const std::filesystem::path& folder) {
  write_text_atomically(folder / "compare.csv", design_csv(design, outcome.results));
  write_design_h5(folder / "compare.h5", design, outcome.results);
  write_chart(folder / "compare.svg", design, outcome.results);
  Results results;
  results.title = design.title;
  const auto relative = values_of(outcome, &DesignResult::differential_relative);
  const auto speed = values_of(outcome, &DesignResult::speed_up);
  if (!relative.empty())
    results.put(Headline{"RMS error of G+ - G-",
                         fmt::format("{:.3g} % median, {:.3g} % at the worst point",
                                     100.0 * quantile(relative, 0.5), 100.0 * quantile(relative, 1.0)),
                         fmt::format("{} points, vectors that no fit has seen", relative.size())});
  if (!speed.empty())
    results.put(Headline{"speed-up",
                         fmt::format("{:.3g} median, {:.3g} to {:.3g}", quantile(speed, 0.5),
                                     quantile(speed, 0.0), quantile(speed, 1.0)),
                         "processor time of the full circuit over that of the fast model, per product"});
  results.put(design_table(design, outcome));
  if (auto stored = stored_table(design, outcome); !stored.rows.empty()) results.put(stored);
  if (auto failed = failure_table(design, outcome); !failed.rows.empty()) results.put(failed);
  write_results(folder / "results.json", results);
  return results;
}

}  // namespace crosstile::validation
