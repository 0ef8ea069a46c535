#include "data/tile.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/units.hpp"
#include "data/tile_fields.hpp"

namespace crosstile::data {

using namespace units;

namespace {

class RangeCheck {
 public:
  void number(const char* key, double value, double low, double high) {
    if (std::isfinite(value) && value >= low && value <= high) return;
    found.push_back({key, "= " + shortest(value) + " is not allowed; " + allowed_range(low, high)});
  }
  void integer(const char* key, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return;
    found.push_back({key, "= " + std::to_string(value) + " is not allowed; " + allowed_range(low, high)});
  }
  void optional_number(const char* key, const std::optional<double>& value, double low, double high) {
    if (value) number(key, *value, low, high);
  }
  void boolean(const char*, bool) {}
  template <typename Enum>
  void choice(const char*, Enum) {}

  std::vector<TileViolation> found;
};

std::string preset_problem(std::string_view name) {
  std::string text = "= " + in_quotes(name) + " is not known; allowed:";
  for (const auto& known : tile_preset_names()) text += " " + in_quotes(known);
  return text;
}

bool is_preset(std::string_view name) {
  const auto names = tile_preset_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<TileViolation> tile_violations(const TileSpec& tile) {
  RangeCheck check;
  if (!is_preset(tile.preset)) check.found.push_back({"preset", preset_problem(tile.preset)});
  visit_tile_fields(tile, check);
  if ((tile.drive == Drive::bipolar) != (tile.weight_layout == WeightLayout::bipolar))
    check.found.push_back(
        {"drive", "= " + in_quotes(to_name(tile.drive)) +
                      " does not go with weight_layout = " + in_quotes(to_name(tile.weight_layout)) +
                      "; drive \"bipolar\" and weight_layout \"bipolar\" need each other"});
  return std::move(check.found);
}

std::vector<std::string> TileSpec::violations() const {
  std::vector<std::string> list;
  for (const auto& violation : tile_violations(*this))
    list.push_back(violation.key + " " + violation.problem);
  return list;
}

void TileSpec::validate() const {
  const auto list = violations();
  if (list.empty()) return;
  std::string text = "tile:";
  for (const auto& line : list) text += (list.size() > 1 ? "\n  " : " ") + line;
  throw Error(ErrorKind::usage, text);
}

TileSpec tile_preset(std::string_view name) {
  TileSpec tile;  // the defaults are pcm-14nm
  tile.preset = name;
  if (name == "pcm-14nm") return tile;
  if (name == "pcm-512-mesh") {
    tile.r_row_ohm = 0.35_ohm;
    tile.r_col_ohm = 0.35_ohm;
    tile.r_driver_ohm = 10.0_ohm;
    tile.r_sense_ohm = 10.0_ohm;
    tile.selector.r_on_ohm = 1.0_kohm;
    return tile;
  }
  if (name == "rram-128") {
    tile.rows = 128;
    tile.cols = 128;
    tile.drive = Drive::level;
    tile.r_row_ohm = 1.0_ohm;
    tile.r_col_ohm = 1.0_ohm;
    tile.r_driver_ohm = 50.0_ohm;
    tile.r_sense_ohm = 50.0_ohm;
    tile.sense = SenseEnd::south;
    tile.cell.law = CellLaw::sinh;
    tile.g_min_siemens = 1.0_uS;
    tile.g_max_siemens = 40.0_uS;
    tile.pulse.dac_bits = 6;
    tile.pulse.t_lsb_s = 2.0_ns;
    return tile;
  }
  throw Error(ErrorKind::usage, "preset " + preset_problem(name));
}

std::vector<std::string> tile_preset_names() {
  return {"pcm-14nm", "pcm-512-mesh", "rram-128"};
}

}  // namespace crosstile::data
