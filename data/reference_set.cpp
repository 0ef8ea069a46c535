#include "data/reference_set.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"
#include "data/pulse.hpp"
#include "data/tile_fields.hpp"

namespace crosstile::data {

namespace {

constexpr const char* kKind = "reference-set";
constexpr int kVersion = 1;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::bad_data, "reference set: " + what);
}

std::string shape_text(Index rows, Index cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

template <typename Values>
void require_shape(const std::string& field, const Values& value, Index rows, Index cols) {
  if (value.rows() != rows || value.cols() != cols)
    fail(field + " is " + shape_text(value.rows(), value.cols()) + ", " + shape_text(rows, cols) +
         " expected");
}

void require_values(const std::string& field, const Matrix& value, double low, double high) {
  for (Index i = 0; i < value.rows(); ++i)
    for (Index j = 0; j < value.cols(); ++j)
      if (!std::isfinite(value(i, j)) || value(i, j) < low || value(i, j) > high)
        fail(field + "(" + std::to_string(i) + ", " + std::to_string(j) + ") = " + shortest(value(i, j)) +
             " is not allowed; " + allowed_range(low, high));
}

template <typename Values>
void require_integers(const std::string& field, const Values& value, std::int64_t low, std::int64_t high) {
  for (Index i = 0; i < value.rows(); ++i)
    for (Index j = 0; j < value.cols(); ++j)
      if (value(i, j) < low || value(i, j) > high)
        fail(field + "(" + std::to_string(i) + ", " + std::to_string(j) +
             ") = " + std::to_string(value(i, j)) + " is not allowed; " + allowed_range(low, high));
}

void validate_conductances(const ReferenceSet& set) {
  constexpr double kMostSiemens = 1e3;
  const auto check = [&](const std::string& field, const std::vector<Matrix>& draws) {
    for (std::size_t k = 0; k < draws.size(); ++k) {
      const std::string name = field + "[" + std::to_string(k) + "]";
      require_shape(name, draws[k], set.tile.rows, set.tile.cols);
      require_values(name, draws[k], 0.0, kMostSiemens);
    }
  };
  if (set.g_plus_siemens.empty()) fail("g_plus_siemens holds no weight draw");
  const std::size_t minus = set.tile.weight_layout == WeightLayout::single ? 0 : set.g_plus_siemens.size();
  if (set.g_minus_siemens.size() != minus)
    fail("g_minus_siemens holds " + std::to_string(set.g_minus_siemens.size()) + " weight draws, " +
         std::to_string(minus) + " expected for weight_layout \"" +
         std::string(to_name(set.tile.weight_layout)) + "\"");
  check("g_plus_siemens", set.g_plus_siemens);
  check("g_minus_siemens", set.g_minus_siemens);
}

void validate_charges(const ReferenceSet& set) {
  const Index vectors = set.vectors();
  constexpr double kMostCoulomb = 1e3;
  require_shape("charge_plus_coulomb", set.charge_plus_coulomb, vectors, set.tile.cols);
  require_values("charge_plus_coulomb", set.charge_plus_coulomb, -kMostCoulomb, kMostCoulomb);
  const bool pairs = set.tile.weight_layout == WeightLayout::pair_columns;
  require_shape("charge_minus_coulomb", set.charge_minus_coulomb, pairs ? vectors : 0,
                pairs ? set.tile.cols : 0);
  require_values("charge_minus_coulomb", set.charge_minus_coulomb, -kMostCoulomb, kMostCoulomb);
  const auto terms = static_cast<Index>(set.energy_terms.size());
  require_shape("energy_joule", set.energy_joule, terms > 0 ? vectors : set.energy_joule.rows(), terms);
  require_values("energy_joule", set.energy_joule, -1e300, 1e300);
  const auto check_supply = [&](const std::string& field, const Matrix& ampere) {
    if (ampere.size() > 0) require_shape(field, ampere, vectors, set.supply_lines());
    require_values(field, ampere, -1e6, 1e6);
  };
  check_supply("average_supply_ampere", set.average_supply_ampere);
  check_supply("peak_supply_ampere", set.peak_supply_ampere);
  for (const auto& term : set.energy_terms)
    if (term.empty() || term.find('\n') != std::string::npos)
      fail("energy_terms: a name must be one line of text");
}

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// The tile's scalars once more as attributes "tile.r_col_ohm", for readers without a TOML parser.
class AttributeWriter {
 public:
  explicit AttributeWriter(Hdf5Writer& file) : file_(file) {}
  void number(const std::string& key, double value, double, double) { file_.number("tile." + key, value); }
  void optional_number(const std::string& key, const std::optional<double>& value, double, double) {
    if (value) file_.number("tile." + key, *value);
  }
  template <typename Integer>
  void integer(const std::string& key, Integer value, std::int64_t, std::int64_t) {
    file_.number("tile." + key, static_cast<double>(value));
  }
  void boolean(const std::string& key, bool value) { file_.number("tile." + key, value ? 1.0 : 0.0); }
  template <typename Enum>
  void choice(const std::string& key, Enum value) {
    file_.text("tile." + key, std::string(to_name(value)));
  }

 private:
  Hdf5Writer& file_;
};

TileSpec parse_tile(const std::string& toml, const std::string& name) {
  try {
    Config config = Config::from_text(toml, name);
    TileSpec tile = read_tile(config);
    config.finish();
    return tile;
  } catch (const Error& error) {
    throw Error(ErrorKind::bad_data, error.what());  // the user's file is wrong, not his configuration
  }
}

std::uint64_t parse_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size())
    fail("seed = " + in_quotes(text) + " is not a whole number");
  return seed;
}

IntVector read_integer_column(const Hdf5Reader& file, const std::string& name) {
  const IntMatrix column = file.integers(name);
  if (column.cols() != 1) fail(name + " has " + std::to_string(column.cols()) + " columns, 1 expected");
  return column.col(0);
}

void require_same_job(const ReferenceSet& first, const ReferenceSet& other, std::size_t shard) {
  const auto check = [&](bool same, const char* field) {
    if (!same) fail("shard " + std::to_string(shard) + " does not belong to shard 0: another " + field);
  };
  check(first.tile == other.tile, "tile");
  check(first.seed == other.seed, "seed");
  check(first.method == other.method, "method");
  check(first.config_toml == other.config_toml, "config_toml");
  check(first.g_plus_siemens == other.g_plus_siemens, "g_plus_siemens");
  check(first.g_minus_siemens == other.g_minus_siemens, "g_minus_siemens");
  check(first.energy_terms == other.energy_terms, "list of energy_terms");
  check(first.average_supply_ampere.cols() == other.average_supply_ampere.cols() &&
            first.peak_supply_ampere.cols() == other.peak_supply_ampere.cols(),
        "number of supply currents");
}

// The field of all shards, one under the other.
template <typename Values>
Values stack(const std::vector<ReferenceSet>& shards, Values ReferenceSet::*field) {
  Index rows = 0;
  for (const auto& shard : shards) rows += (shard.*field).rows();
  Values all(rows, (shards.front().*field).cols());
  Index begin = 0;
  for (const auto& shard : shards) {
    all.middleRows(begin, (shard.*field).rows()) = shard.*field;
    begin += (shard.*field).rows();
  }
  return all;
}

}  // namespace

Matrix ReferenceSet::differential_coulomb() const {
  if (charge_minus_coulomb.size() == 0) return charge_plus_coulomb;
  return charge_plus_coulomb - charge_minus_coulomb;
}

void ReferenceSet::validate() const {
  if (const auto violations = tile_violations(tile); !violations.empty())
    fail("tile." + violations.front().key + " " + violations.front().problem);
  if (method != "charge" && method != "transient")
    fail("method = " + in_quotes(method) + " is not allowed; allowed: \"charge\", \"transient\"");
  validate_conductances(*this);
  if (vectors() < 1) fail("codes holds no vector");
  require_shape("codes", codes, vectors(), tile.rows);
  const int limit = max_code(tile.pulse.dac_bits);
  require_integers("codes", codes, -limit, limit);
  require_shape("draw", draw, vectors(), 1);
  require_integers("draw", draw, 0, static_cast<std::int64_t>(g_plus_siemens.size()) - 1);
  validate_charges(*this);
  require_shape("held_out", held_out, vectors(), 1);
  require_integers("held_out", held_out, 0, 1);
}

void write_reference_set(const std::filesystem::path& path, const ReferenceSet& set) {
  set.validate();
  Hdf5Writer file(kKind, kVersion);
  file.text("tile_toml", tile_to_toml(set.tile));
  AttributeWriter attributes(file);
  visit_tile_fields(set.tile, attributes);
  file.text("seed", std::to_string(set.seed));
  file.text("generator", "philox4x64-10");
  file.text("method", set.method);
  file.text("config_toml", set.config_toml);
  file.matrices("g_plus_siemens", set.g_plus_siemens, "siemens");
  if (!set.g_minus_siemens.empty()) file.matrices("g_minus_siemens", set.g_minus_siemens, "siemens");
  file.integers("draw", set.draw, "1");
  file.integers("codes", set.codes, "1");
  file.matrix("charge_plus_coulomb", set.charge_plus_coulomb, "coulomb");
  if (set.charge_minus_coulomb.size() > 0)
    file.matrix("charge_minus_coulomb", set.charge_minus_coulomb, "coulomb");
  file.matrix("energy_joule", set.energy_joule, "joule");
  file.text("energy_terms", join(set.energy_terms));
  if (set.average_supply_ampere.size() > 0) file.matrix("average_supply_ampere", set.average_supply_ampere, "ampere");
  if (set.peak_supply_ampere.size() > 0) file.matrix("peak_supply_ampere", set.peak_supply_ampere, "ampere");
  file.integers("held_out", set.held_out, "1");
  file.write(path);
}

ReferenceSet read_reference_set(const std::filesystem::path& path) {
  const Hdf5Reader file(path, kKind, kVersion);
  ReferenceSet set;
  set.tile = parse_tile(file.text("tile_toml"), path.string() + ": tile_toml");
  set.method = file.text("method");
  set.config_toml = file.text("config_toml");
  set.g_plus_siemens = file.matrices("g_plus_siemens");
  if (file.has("g_minus_siemens")) set.g_minus_siemens = file.matrices("g_minus_siemens");
  set.codes = file.integers("codes");
  set.charge_plus_coulomb = file.matrix("charge_plus_coulomb");
  if (file.has("charge_minus_coulomb")) set.charge_minus_coulomb = file.matrix("charge_minus_coulomb");
  set.energy_joule = file.matrix("energy_joule");
  set.energy_terms = split(file.text("energy_terms"));
  if (file.has("average_supply_ampere")) set.average_supply_ampere = file.matrix("average_supply_ampere");
  if (file.has("peak_supply_ampere")) set.peak_supply_ampere = file.matrix("peak_supply_ampere");
  try {
    set.seed = parse_seed(file.text("seed"));
    set.draw = read_integer_column(file, "draw");
    set.held_out = read_integer_column(file, "held_out");
    set.validate();
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool named = message.starts_with(path.string());
    throw Error(error.kind(), named ? message : path.string() + ": " + message);
  }
  return set;
}

ReferenceSet concatenate(const std::vector<ReferenceSet>& shards) {
  if (shards.empty()) fail("no shards to put together");
  for (std::size_t k = 1; k < shards.size(); ++k) require_same_job(shards.front(), shards[k], k);
  const ReferenceSet& first = shards.front();
  ReferenceSet set;
  set.tile = first.tile;
  set.seed = first.seed;
  set.method = first.method;
  set.config_toml = first.config_toml;
  set.g_plus_siemens = first.g_plus_siemens;
  set.g_minus_siemens = first.g_minus_siemens;
  set.energy_terms = first.energy_terms;
  set.draw = stack(shards, &ReferenceSet::draw);
  set.codes = stack(shards, &ReferenceSet::codes);
  set.charge_plus_coulomb = stack(shards, &ReferenceSet::charge_plus_coulomb);
  set.charge_minus_coulomb = stack(shards, &ReferenceSet::charge_minus_coulomb);
  set.energy_joule = stack(shards, &ReferenceSet::energy_joule);
  set.average_supply_ampere = stack(shards, &ReferenceSet::average_supply_ampere);
  set.peak_supply_ampere = stack(shards, &ReferenceSet::peak_supply_ampere);
  set.held_out = stack(shards, &ReferenceSet::held_out);
  set.validate();
  return set;
}

}  // namespace crosstile::data
