#include "tilemodel/validity.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "data/pulse.hpp"

namespace crosstile::tilemodel {

namespace {

constexpr double kMargin = 0.01;  // of a range's far end, beyond which a value counts as outside

constexpr const char* kActivity = "activity";
constexpr const char* kMeanConductance = "mean_conductance_siemens";
constexpr const char* kColumnSpread = "column_spread";

struct Parameter {
  const char* name;
  double (*of)(const data::TileSpec&);
};
constexpr Parameter kTileParameters[] = {
    {"rows", [](const data::TileSpec& t) { return static_cast<double>(t.rows); }},
    {"cols", [](const data::TileSpec& t) { return static_cast<double>(t.cols); }},
    {"r_row_ohm", [](const data::TileSpec& t) { return t.r_row_ohm; }},
    {"r_col_ohm", [](const data::TileSpec& t) { return t.r_col_ohm; }},
    {"r_driver_ohm", [](const data::TileSpec& t) { return t.r_driver_ohm; }},
    {"r_sense_ohm", [](const data::TileSpec& t) { return t.r_sense_ohm; }},
    {"sense_segment", [](const data::TileSpec& t) { return t.sense_segment; }},
    {"selector.r_on_ohm", [](const data::TileSpec& t) { return t.selector.r_on_ohm; }},
    {"v_read_volt", [](const data::TileSpec& t) { return t.v_read_volt; }},
};

double mean_activity(const Eigen::Ref<const IntMatrix>& codes, int max_code) {
  return codes.cwiseAbs().cast<double>().mean() / max_code;
}

// Standard deviation of the columns' mean conductances over their mean.
double column_spread(const Matrix& g) {
  const Vector mean = g.colwise().mean().transpose();
  const double overall = mean.mean();
  return overall > 0.0 ? std::sqrt((mean.array() - overall).square().mean()) / overall : 0.0;
}

void extend(std::vector<ParameterRange>& list, const std::string& name, double value) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const ParameterRange& r) { return r.name == name; });
  if (found == list.end()) {
    list.push_back({name, value, value});
    return;
  }
  found->low = std::min(found->low, value);
  found->high = std::max(found->high, value);
}

// One sentence when the value is outside its range.
std::optional<std::string> outside(const FitReport& report, const std::string& name, double value) {
  for (const ParameterRange& range : report.validity) {
    if (range.name != name) continue;
    const double margin = kMargin * std::max(std::abs(range.low), std::abs(range.high));
    if (value >= range.low - margin && value <= range.high + margin) return std::nullopt;
    std::ostringstream text;
    text.precision(4);
    text << name << " = " << value << " is outside the fitted range " << range.low << " to " << range.high;
    return text.str();
  }
  return std::nullopt;
}

template <typename Enum>
void compare(const char* name, Enum fitted, Enum used, std::vector<std::string>& list) {
  if (fitted != used)
    list.push_back(std::string(name) + " = \"" + std::string(data::to_name(used)) +
                   "\" differs from the fitted tile's \"" + std::string(data::to_name(fitted)) + "\"");
}

}  // namespace

std::vector<ParameterRange> validity_of(const data::ReferenceSet& set) {
  std::vector<ParameterRange> list;
  for (const Parameter& parameter : kTileParameters) extend(list, parameter.name, parameter.of(set.tile));
  for (const auto* arrays : {&set.g_plus_siemens, &set.g_minus_siemens}) {
    for (const Matrix& g : *arrays) {
      extend(list, kMeanConductance, g.mean());
      extend(list, kColumnSpread, column_spread(g));
    }
  }
  const int max_code = data::max_code(set.tile.pulse.dac_bits);
  for (Index v = 0; v < set.vectors(); ++v)
    if (set.held_out[v] == 0) extend(list, kActivity, mean_activity(set.codes.row(v), max_code));
  return list;
}

std::vector<std::string> warnings(const FitReport& report, const data::TileSpec& tile) {
  std::vector<std::string> list;
  for (const Parameter& parameter : kTileParameters)
    if (const auto text = outside(report, parameter.name, parameter.of(tile))) list.push_back(*text);
  compare("drive", report.tile.drive, tile.drive, list);
  compare("drivers", report.tile.drivers, tile.drivers, list);
  compare("sense", report.tile.sense, tile.sense, list);
  compare("cell.law", report.tile.cell.law, tile.cell.law, list);
  compare("pulse.passes", report.tile.pulse.passes, tile.pulse.passes, list);
  compare("pulse.sign", report.tile.pulse.sign, tile.pulse.sign, list);
  compare("front_end.kind", report.tile.front_end.kind, tile.front_end.kind, list);
  return list;
}

std::vector<std::string> warnings(const FitReport& report, const Matrix& g_siemens) {
  std::vector<std::string> list;
  if (const auto text = outside(report, kMeanConductance, g_siemens.mean())) list.push_back(*text);
  if (const auto text = outside(report, kColumnSpread, column_spread(g_siemens))) list.push_back(*text);
  return list;
}

std::vector<std::string> warnings(const FitReport& report, const IntMatrix& codes) {
  const int max_code = data::max_code(report.tile.pulse.dac_bits);
  Index count = 0;
  std::string first;
  for (Index v = 0; v < codes.rows(); ++v) {
    const auto text = outside(report, kActivity, mean_activity(codes.row(v), max_code));
    if (text && count++ == 0) first = *text;
  }
  if (count == 0) return {};
  return {std::to_string(count) + " of " + std::to_string(codes.rows()) +
          " vectors are outside the validity range, the first because " + first};
}

}  // namespace crosstile::tilemodel
