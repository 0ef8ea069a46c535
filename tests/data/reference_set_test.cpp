#include "data/reference_set.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "core/random.hpp"
#include "data/config.hpp"
#include "data/hdf5_file.hpp"
#include "data/pulse.hpp"
#include "tests/core/scratch.hpp"
#include "tests/data/random_tile.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

std::vector<Matrix> random_draws(const TileSpec& tile, std::uint64_t event, int count) {
  std::vector<Matrix> draws;
  for (int k = 0; k < count; ++k)
    draws.push_back(random_uniform_matrix({61, Stream::weights, static_cast<std::uint32_t>(k)}, tile.rows,
                                          tile.cols, event) *
                    tile.g_max_siemens);
  return draws;
}

ReferenceSet random_set(std::uint64_t event, WeightLayout layout, Index vectors = 7) {
  ReferenceSet set;
  set.tile = random_tile(event);
  set.tile.rows = 6;
  set.tile.cols = 5;
  set.tile.weight_layout = layout;
  set.tile.drive = layout == WeightLayout::bipolar ? Drive::bipolar : Drive::gated;
  set.seed = std::numeric_limits<std::uint64_t>::max() - event;
  set.method = event % 2 == 0 ? "charge" : "transient";
  set.config_toml = "seed = 3\n# made by a test\n";
  set.g_plus_siemens = random_draws(set.tile, 1, 2);
  if (layout != WeightLayout::single) set.g_minus_siemens = random_draws(set.tile, 2, 2);
  const Matrix x = random_uniform_matrix({62, Stream::inputs, 0}, vectors, set.tile.rows, event) * 2.0 -
                   Matrix::Ones(vectors, set.tile.rows);
  set.codes = dac_codes(x, set.tile.pulse.dac_bits);
  set.draw =
      IntVector::LinSpaced(vectors, 0, static_cast<int>(vectors) - 1).unaryExpr([](int k) { return k % 2; });
  set.held_out = set.draw.reverse();
  set.charge_plus_coulomb =
      random_normal_matrix({63, Stream::test, 0}, vectors, set.tile.cols, event) * 1e-12;
  if (layout == WeightLayout::pair_columns)
    set.charge_minus_coulomb =
        random_normal_matrix({64, Stream::test, 0}, vectors, set.tile.cols, event) * 1e-12;
  set.energy_terms = {"cells", "row_wires", "column_wires"};
  set.energy_joule = random_uniform_matrix({65, Stream::test, 0}, vectors, 3, event) * 1e-9;
  if (event % 2 == 0) {
    const Index lines = (layout == WeightLayout::single ? 1 : 2) * set.tile.rows;
    set.average_supply_ampere = random_normal_matrix({66, Stream::test, 0}, vectors, lines, event) * 1e-6;
    set.peak_supply_ampere = random_normal_matrix({67, Stream::test, 0}, vectors, lines, event) * 1e-6;
  }
  return set;
}

void require_same(const ReferenceSet& a, const ReferenceSet& b) {
  REQUIRE(a.tile == b.tile);
  REQUIRE(a.seed == b.seed);
  REQUIRE(a.method == b.method);
  REQUIRE(a.config_toml == b.config_toml);
  REQUIRE(a.g_plus_siemens == b.g_plus_siemens);
  REQUIRE(a.g_minus_siemens == b.g_minus_siemens);
  REQUIRE(a.draw == b.draw);
  REQUIRE(a.codes == b.codes);
  REQUIRE(a.charge_plus_coulomb == b.charge_plus_coulomb);
  REQUIRE(a.charge_minus_coulomb.rows() == b.charge_minus_coulomb.rows());
  REQUIRE((a.charge_minus_coulomb.size() == 0 || a.charge_minus_coulomb == b.charge_minus_coulomb));
  REQUIRE(a.energy_joule.cols() == b.energy_joule.cols());
  REQUIRE((a.energy_joule.size() == 0 || a.energy_joule == b.energy_joule));
  REQUIRE(a.energy_terms == b.energy_terms);
  REQUIRE(a.peak_supply_ampere.cols() == b.peak_supply_ampere.cols());
  REQUIRE((a.peak_supply_ampere.size() == 0 || a.peak_supply_ampere == b.peak_supply_ampere));
  REQUIRE((a.average_supply_ampere.size() == 0 || a.average_supply_ampere == b.average_supply_ampere));
  REQUIRE(a.held_out == b.held_out);
}

ReferenceSet shard_of(const ReferenceSet& set, Index begin, Index count) {
  ReferenceSet shard = set;
  shard.draw = set.draw.segment(begin, count);
  shard.codes = set.codes.middleRows(begin, count);
  shard.charge_plus_coulomb = set.charge_plus_coulomb.middleRows(begin, count);
  if (set.charge_minus_coulomb.size() > 0)
    shard.charge_minus_coulomb = set.charge_minus_coulomb.middleRows(begin, count);
  shard.energy_joule = set.energy_joule.middleRows(begin, count);
  shard.held_out = set.held_out.segment(begin, count);
  if (set.peak_supply_ampere.size() > 0) {
    shard.average_supply_ampere = set.average_supply_ampere.middleRows(begin, count);
    shard.peak_supply_ampere = set.peak_supply_ampere.middleRows(begin, count);
  }
  return shard;
}

}  // namespace

TEST_CASE("A reference set written and read again is the same, for every layout and any tile", "[property]") {
  const ScratchFolder folder;
  std::uint64_t event = 0;
  for (int round = 0; round < 8; ++round)
    for (const auto& layout : EnumNames<WeightLayout>::value) {
      const ReferenceSet set = random_set(event++, layout.value);
      write_reference_set(folder / "set.h5", set);
      require_same(read_reference_set(folder / "set.h5"), set);
    }
  REQUIRE(folder.entries() == 1);
}

TEST_CASE("A reference set without energies keeps none", "[property]") {
  const ScratchFolder folder;
  ReferenceSet set = random_set(1, WeightLayout::single);
  set.energy_terms.clear();
  set.energy_joule.resize(0, 0);
  write_reference_set(folder / "set.h5", set);
  require_same(read_reference_set(folder / "set.h5"), set);
}

TEST_CASE("The tile's values are attributes for readers without TOML", "[property]") {
  const ScratchFolder folder;
  const ReferenceSet set = random_set(3, WeightLayout::single);
  write_reference_set(folder / "set.h5", set);
  const Hdf5Reader file(folder / "set.h5", "reference-set", 1);
  REQUIRE(file.number("tile.r_col_ohm") == set.tile.r_col_ohm);
  REQUIRE(file.number("tile.pulse.t_lsb_s") == set.tile.pulse.t_lsb_s);
  REQUIRE(file.text("tile.drive") == "gated");
  REQUIRE(file.number("complete") == 1.0);
}

TEST_CASE("The differential charge is plus minus minus, or plus alone", "[analytic]") {
  const ReferenceSet pairs = random_set(0, WeightLayout::pair_columns);
  REQUIRE(pairs.differential_coulomb() == pairs.charge_plus_coulomb - pairs.charge_minus_coulomb);
  const ReferenceSet single = random_set(0, WeightLayout::single);
  REQUIRE(single.differential_coulomb() == single.charge_plus_coulomb);
}

TEST_CASE("validate names the first field that is inconsistent", "[error]") {
  struct Case {
    void (*spoil)(ReferenceSet&);
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {[](ReferenceSet& s) { s.tile.r_col_ohm = -1.0; }, {"tile.r_col_ohm = -1"}},
      {[](ReferenceSet& s) { s.method = "guess"; }, {"method = \"guess\"", "\"charge\""}},
      {[](ReferenceSet& s) { s.g_plus_siemens.clear(); }, {"g_plus_siemens"}},
      {[](ReferenceSet& s) { s.g_minus_siemens.pop_back(); }, {"g_minus_siemens holds 1", "2 expected"}},
      {[](ReferenceSet& s) { s.g_plus_siemens[1].resize(3, 3); },
       {"g_plus_siemens[1] is 3 x 3, 6 x 5 expected"}},
      {[](ReferenceSet& s) { s.g_plus_siemens[1](2, 3) = -1e-6; },
       {"g_plus_siemens[1](2, 3) = -1e-06", "0 to"}},
      {[](ReferenceSet& s) { s.g_minus_siemens[0](0, 1) = std::nan(""); },
       {"g_minus_siemens[0](0, 1) = nan"}},
      {[](ReferenceSet& s) { s.codes.resize(0, 6); }, {"codes holds no vector"}},
      {[](ReferenceSet& s) {
         s.codes.resize(7, 5);
         s.codes.setZero();
       },
       {"codes is 7 x 5, 7 x 6 expected"}},
      {[](ReferenceSet& s) { s.codes(4, 2) = 1 << 20; }, {"codes(4, 2) = 1048576", "allowed: -"}},
      {[](ReferenceSet& s) {
         s.draw.resize(3);
         s.draw.setZero();
       },
       {"draw is 3 x 1"}},
      {[](ReferenceSet& s) { s.draw[6] = 2; }, {"draw(6, 0) = 2", "0 to 1"}},
      {[](ReferenceSet& s) { s.draw[6] = -1; }, {"draw(6, 0) = -1"}},
      {[](ReferenceSet& s) {
         s.charge_plus_coulomb.resize(7, 4);
         s.charge_plus_coulomb.setZero();
       },
       {"charge_plus_coulomb is 7 x 4"}},
      {[](ReferenceSet& s) { s.charge_plus_coulomb(1, 1) = std::nan(""); },
       {"charge_plus_coulomb(1, 1) = nan"}},
      {[](ReferenceSet& s) { s.charge_minus_coulomb.resize(0, 0); },
       {"charge_minus_coulomb is 0 x 0, 7 x 5 expected"}},
      {[](ReferenceSet& s) { s.energy_terms.pop_back(); }, {"energy_joule is 7 x 3, 7 x 2 expected"}},
      {[](ReferenceSet& s) { s.energy_joule(0, 0) = std::nan(""); }, {"energy_joule(0, 0) = nan"}},
      {[](ReferenceSet& s) { s.peak_supply_ampere(2, 1) = std::nan(""); }, {"peak_supply_ampere(2, 1) = nan"}},
      {[](ReferenceSet& s) { s.average_supply_ampere = Matrix::Zero(7, 3); }, {"average_supply_ampere is 7 x 3"}},
      {[](ReferenceSet& s) { s.energy_terms[1] = "row\nwires"; }, {"energy_terms"}},
      {[](ReferenceSet& s) { s.held_out.resize(0); }, {"held_out is 0 x 1"}},
      {[](ReferenceSet& s) { s.held_out[3] = 2; }, {"held_out(3, 0) = 2", "0 to 1"}},
  };
  REQUIRE_NOTHROW(random_set(0, WeightLayout::pair_columns).validate());
  const ScratchFolder folder;
  for (const auto& one : cases) {
    ReferenceSet set = random_set(0, WeightLayout::pair_columns);
    one.spoil(set);
    const Error error = error_of([&] { set.validate(); });
    for (const auto& part : one.parts) require_error(error, ErrorKind::bad_data, {part});
    require_error(error_of([&] { write_reference_set(folder / "set.h5", set); }), ErrorKind::bad_data, {});
  }
  REQUIRE(folder.entries() == 0);
}

TEST_CASE("A file whose content is inconsistent is refused by name", "[error]") {
  const ScratchFolder folder;
  const ReferenceSet set = random_set(0, WeightLayout::single);
  // A file with a good hash that another program might have written.
  const auto write = [&](const std::string& tile_toml, const std::string& seed, const IntMatrix& draw) {
    Hdf5Writer file("reference-set", 1);
    file.text("tile_toml", tile_toml);
    file.text("seed", seed);
    file.text("method", set.method);
    file.text("config_toml", "");
    file.matrices("g_plus_siemens", set.g_plus_siemens, "siemens");
    file.integers("draw", draw, "1");
    file.integers("codes", set.codes, "1");
    file.matrix("charge_plus_coulomb", set.charge_plus_coulomb, "coulomb");
    file.matrix("energy_joule", set.energy_joule, "joule");
    file.text("energy_terms", "cells\nrow_wires\ncolumn_wires\n");
    file.integers("held_out", set.held_out, "1");
    file.write(folder / "set.h5");
  };
  const auto read_error = [&] { return error_of([&] { read_reference_set(folder / "set.h5"); }); };
  const std::string toml = tile_to_toml(set.tile);
  write(toml, "1", set.draw);
  REQUIRE_NOTHROW(read_reference_set(folder / "set.h5"));
  write(toml + "unknown_key = 1\n", "1", set.draw);
  require_error(read_error(), ErrorKind::bad_data, {"set.h5", "unknown_key"});
  write("[tile]\nrows = 0\n", "1", set.draw);
  require_error(read_error(), ErrorKind::bad_data, {"set.h5", "tile.rows = 0"});
  write("[tile\n", "1", set.draw);
  require_error(read_error(), ErrorKind::bad_data, {"set.h5"});
  write(toml, "-1", set.draw);
  require_error(read_error(), ErrorKind::bad_data, {"set.h5", "seed"});
  write(toml, "1", IntMatrix::Constant(7, 1, 5));
  require_error(read_error(), ErrorKind::bad_data, {"set.h5", "draw(0, 0) = 5"});
  write(toml, "1", IntMatrix::Zero(7, 2));
  require_error(read_error(), ErrorKind::bad_data, {"set.h5", "draw has 2 columns"});
}

TEST_CASE("One flipped bit in a reference set is noticed before anything is used", "[property]") {
  const ScratchFolder folder;
  write_reference_set(folder / "set.h5", random_set(0, WeightLayout::pair_columns));
  std::string bytes = get_bytes(folder / "set.h5");
  for (std::size_t at = 0; at < bytes.size(); at += 61) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    put_bytes(folder / "set.h5", bytes);
    INFO("byte " << at);
    require_error(error_of([&] { read_reference_set(folder / "set.h5"); }), ErrorKind::bad_data, {"set.h5"});
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
  }
}

TEST_CASE("Shards put together are the whole set", "[property]") {
  for (const auto& layout : EnumNames<WeightLayout>::value) {
    const ReferenceSet set = random_set(6, layout.value, 11);
    require_same(concatenate({shard_of(set, 0, 4), shard_of(set, 4, 6), shard_of(set, 10, 1)}), set);
    require_same(concatenate({set}), set);
  }
}

TEST_CASE("Shards of different jobs are not put together", "[error]") {
  const ReferenceSet set = random_set(5, WeightLayout::pair_columns);
  require_error(error_of([] { concatenate({}); }), ErrorKind::bad_data, {"no shards"});
  ReferenceSet other = set;
  other.tile.r_col_ohm *= 2.0;
  require_error(error_of([&] { concatenate({set, set, other}); }), ErrorKind::bad_data, {"shard 2", "tile"});
  other = set;
  other.seed += 1;
  require_error(error_of([&] { concatenate({set, other}); }), ErrorKind::bad_data, {"shard 1", "seed"});
  other = set;
  other.peak_supply_ampere = Matrix::Zero(7, 2 * set.tile.rows);
  require_error(error_of([&] { concatenate({set, other}); }), ErrorKind::bad_data, {"shard 1", "supply currents"});
  other = set;
  other.g_minus_siemens[1](0, 0) += 1e-9;
  require_error(error_of([&] {
                  concatenate({set, other});
                }),
                ErrorKind::bad_data, {"shard 1", "g_minus_siemens"});
}
