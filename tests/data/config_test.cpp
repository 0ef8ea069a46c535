#include "data/config.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <sstream>

#include "core/files.hpp"
#include "data/key_distance.hpp"
#include "data/sealed_toml.hpp"
#include "tests/core/scratch.hpp"
#include "tests/data/random_tile.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

TileSpec tile_of(const std::string& toml) {
  Config config = Config::from_text(toml, "t.toml");
  const TileSpec tile = read_tile(config);
  config.finish();
  return tile;
}

std::vector<std::string> lines_of(const Error& error) {
  std::vector<std::string> lines;
  std::istringstream text(error.what());
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("Keys that are present give their values, absent ones the fallback", "[property]") {
  Config config = Config::from_text(R"(
seed = 12
title = "a run"
[train]
rate = 0.05
whole = 3
shuffle = false
layers = [784, 250, 10]
noise = [0, 0.5]
names = ["a", "b"]
)");
  REQUIRE(config.integer("seed", 1, 0, 100) == 12);
  REQUIRE(config.text("title", "") == "a run");
  REQUIRE(config.number("train.rate", 1.0, 0.0, 1.0) == 0.05);
  REQUIRE(config.number("train.whole", 1.0, 0.0, 10.0) == 3.0);
  REQUIRE_FALSE(config.boolean("train.shuffle", true));
  REQUIRE(config.integers("train.layers", {}, 1, 10000) == std::vector<std::int64_t>{784, 250, 10});
  REQUIRE(config.numbers("train.noise", {}, 0.0, 1.0) == std::vector<double>{0.0, 0.5});
  REQUIRE(config.texts("train.names", {}) == std::vector<std::string>{"a", "b"});
  REQUIRE(config.number("train.momentum", 0.9, 0.0, 1.0) == 0.9);
  REQUIRE(config.text("other.text", "x") == "x");
  REQUIRE_FALSE(config.optional_number("train.clip", 0.0, 1.0).has_value());
  REQUIRE(config.optional_number("train.rate", 0.0, 1.0) == 0.05);
  REQUIRE(config.choice("train.kind", "b", {"a", "b"}) == "b");
  REQUIRE(config.has("train.rate"));
  REQUIRE(config.has("train"));
  REQUIRE_FALSE(config.has("train.clip"));
  REQUIRE_NOTHROW(config.finish());
}

TEST_CASE("A file with three mistakes reports all three, in order, with line and column", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "demo.toml", R"(seed = 1

[tile]
preset = "pcm-14nm"
r_colohm = 0.2
r_row_ohm = -3
[tile.pulse]
dac_bits = "eight"
)");
  Config config = Config::from_file(folder / "demo.toml");
  config.integer("seed", 1, 0, 10);
  read_tile(config);
  const Error error = error_of([&] { config.finish(); });
  REQUIRE(error.kind() == ErrorKind::usage);
  const std::string name = (folder / "demo.toml").string();
  REQUIRE(lines_of(error) ==
          std::vector<std::string>{
              name + ":5:1: unknown key \"tile.r_colohm\"; did you mean \"tile.r_col_ohm\"?",
              name + ":6:13: tile.r_row_ohm = -3 is not allowed; allowed: 0 to 1e+06",
              name + ":8:12: tile.pulse.dac_bits = \"eight\" is not allowed; a whole number is expected"});
}

TEST_CASE("Every kind of mistake is refused with place, key, value and what is allowed", "[error]") {
  struct Case {
    std::string text;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"n = 2.5", "c:1:5: n = 2.5 is not allowed; allowed: 0 to 1"},
      {"n = -1", "c:1:5: n = -1 is not allowed; allowed: 0 to 1"},
      {"n = nan", "n = nan is not allowed; allowed: 0 to 1"},
      {"n = -inf", "n = -inf is not allowed"},
      {"n = \"1\"", "n = \"1\" is not allowed; a number is expected"},
      {"n = true", "n = true is not allowed; a number is expected"},
      {"n = [1]", "n = a list is not allowed; a number is expected"},
      {"n = 2020-01-01", "n = a date or time is not allowed"},
      {"[n]\nx = 1", "n = a table is not allowed; a number is expected"},
      {"i = 1.0", "i = 1 is not allowed; a whole number is expected"},
      {"i = 11", "i = 11 is not allowed; allowed: 0 to 10"},
      {"b = 1", "b = 1 is not allowed; true or false is expected"},
      {"t = 5", "t = 5 is not allowed; a text in quotes is expected"},
      {"c = \"z\"", "c = \"z\" is not allowed; allowed: \"x\", \"y\""},
      {"c = 1", "c = 1 is not allowed; allowed: \"x\", \"y\""},
      {"ns = 1", "ns = 1 is not allowed; a list in brackets is expected"},
      {"ns = [0.5,\n  7]", "c:2:3: ns[1] = 7 is not allowed; allowed: 0 to 1"},
      {"is = [1, 2.5]", "is[1] = 2.5 is not allowed; a whole number is expected"},
      {"ts = [\"a\", 1]", "ts[1] = 1 is not allowed"},
      {"a = 5", "c:1:5: a = 5 is not allowed; a table is expected"},
      {"[a]\nkeyy = 1", "c:2:1: unknown key \"a.keyy\"; did you mean \"a.key\"?"},
      {"[ab]", "c:1:2: unknown key \"ab\"; did you mean"},
      {"key = 1", "unknown key \"key\"; did you mean \"a.key\"?"},
      {"\"a.key\" = 1", "unknown key \"\"a.key\"\""},
      {"[[a]]\nkey = 1", "a = a list is not allowed; a table is expected"},
      {"something_else_entirely = 1", "unknown key \"something_else_entirely\""},
  };
  for (const auto& one : cases) {
    INFO(one.text);
    Config config = Config::from_text(one.text, "c");
    REQUIRE(config.number("n", 0.5, 0.0, 1.0) == 0.5);
    REQUIRE(config.integer("i", 3, 0, 10) == 3);
    REQUIRE(config.boolean("b", true));
    REQUIRE(config.text("t", "t0") == "t0");
    REQUIRE(config.choice("c", "x", {"x", "y"}) == "x");
    REQUIRE(config.numbers("ns", {1.0}, 0.0, 1.0) == std::vector<double>{1.0});
    REQUIRE(config.integers("is", {1}, 0, 10) == std::vector<std::int64_t>{1});
    REQUIRE(config.texts("ts", {"s"}) == std::vector<std::string>{"s"});
    config.number("a.key", 1.0, 0.0, 1.0);
    const Error error = error_of([&] { config.finish(); });
    require_error(error, ErrorKind::usage, {"c:", one.expected});
    REQUIRE(lines_of(error).size() == 1);
  }
}

TEST_CASE("A syntax error is a usage error with line and column", "[error]") {
  require_error(error_of([] { Config::from_text("a = 1\nb = \n", "bad.toml"); }), ErrorKind::usage,
                {"bad.toml:2:"});
  require_error(error_of([] { Config::from_text("a = 1\na = 2\n", "bad.toml"); }), ErrorKind::usage,
                {"bad.toml:2:"});
  require_error(error_of([] { Config::from_text("a = \"\xff\"\n", "bad.toml"); }), ErrorKind::usage,
                {"bad.toml:1:"});
  const ScratchFolder folder;
  require_error(error_of([&] { Config::from_file(folder / "none.toml"); }), ErrorKind::io, {"none.toml"});
}

TEST_CASE("A mistake found by the caller is reported at its key, or at the table that would hold it",
          "[error]") {
  Config config = Config::from_text("[a]\nb = 1\n", "c");
  config.integer("a.b", 0, 0, 10);
  config.mistake("a.b", "must be even");
  config.mistake("a.c", "is needed when a.b is given");
  config.mistake("a", "is odd");
  config.mistake("z", "is missing");
  REQUIRE(lines_of(error_of([&] { config.finish(); })) ==
          std::vector<std::string>{"c:1:1: a.c: is needed when a.b is given", "c:1:1: a: is odd",
                                   "c:1:1: z: is missing", "c:2:5: a.b: must be even"});
}

TEST_CASE("A mistake about a table does not hide unknown keys in it", "[regression]") {
  Config config = Config::from_text("[a]\nb = 1\nx = 2\n", "c");
  config.integer("a.b", 0, 0, 10);
  config.mistake("a", "is odd");
  require_error(error_of([&] { config.finish(); }), ErrorKind::usage, {"a: is odd", "unknown key \"a.x\""});
}

TEST_CASE("Tables that belong to another reader are accepted whole", "[property]") {
  Config config = Config::from_text("[tile.cell]\nlaw = \"ohmic\"\nanything = 1\n[other]\nx = 1\n", "c");
  config.accept_table("tile.cell");
  require_error(error_of([&] { config.finish(); }), ErrorKind::usage, {"c:4:2: unknown key \"other\""});
  config.accept_table("other");
  REQUIRE_NOTHROW(config.finish());
}

TEST_CASE("The source and the name of a configuration are kept", "[property]") {
  const std::string text = "# comment\nseed = 1\n";
  const Config config = Config::from_text(text, "c");
  REQUIRE(config.source() == text);
  REQUIRE(config.name() == "c");
}

TEST_CASE("Edit distances of known pairs", "[kat]") {
  REQUIRE(edit_distance("kitten", "sitting") == 3);
  REQUIRE(edit_distance("flaw", "lawn") == 2);
  REQUIRE(edit_distance("", "abc") == 3);
  REQUIRE(edit_distance("abc", "abc") == 0);
}

TEST_CASE("The nearest key is the misspelt one, or the same name in another table", "[property]") {
  const std::vector<std::string> known = {"seed",           "tile",           "tile.rows",
                                          "tile.r_row_ohm", "tile.r_col_ohm", "tile.pulse.dac_bits"};
  REQUIRE(nearest_key("tile.r_colohm", known) == "tile.r_col_ohm");
  REQUIRE(nearest_key("tile.dac_bits", known) == "tile.pulse.dac_bits");
  REQUIRE(nearest_key("tlie", known) == "tile");
  REQUIRE(nearest_key("rows", known) == "tile.rows");
  REQUIRE_FALSE(nearest_key("completely_different", known).has_value());
}

TEST_CASE("A tile written as TOML and read again is the same, to the last bit", "[property]") {
  for (std::uint64_t event = 0; event < 300; ++event) {
    const TileSpec tile = random_tile(event);
    const std::string toml = tile_to_toml(tile);
    INFO(toml);
    REQUIRE(tile_of(toml) == tile);
  }
}

TEST_CASE("A tile can live in any table", "[property]") {
  const TileSpec tile = random_tile(3);
  Config config = Config::from_text("seed = 1\n" + tile_to_toml(tile, "study.left") + "\n" +
                                    tile_to_toml(random_tile(4), "study.right"));
  config.integer("seed", 0, 0, 1);
  REQUIRE(read_tile(config, "study.left") == tile);
  REQUIRE(read_tile(config, "study.right") == random_tile(4));
  REQUIRE_NOTHROW(config.finish());
}

TEST_CASE("Without keys a tile is its preset, and keys stand over the preset", "[property]") {
  REQUIRE(tile_of("") == tile_preset("pcm-14nm"));
  for (const auto& name : tile_preset_names()) {
    REQUIRE(tile_of("tile.preset = \"" + name + "\"") == tile_preset(name));
    TileSpec expected = tile_preset(name);
    expected.r_col_ohm = 7.0;
    expected.pulse.t_lsb_s = 5e-9;
    expected.front_end.c_int_farad = 1e-12;
    REQUIRE(tile_of("[tile]\npreset = \"" + name +
                    "\"\nr_col_ohm = 7\npulse = {t_lsb_s = 5e-9}\nfront_end.c_int_farad = 1e-12\n") ==
            expected);
  }
}

TEST_CASE("Drive and weight layout follow each other when only one is given", "[property]") {
  REQUIRE(tile_of("tile.drive = \"bipolar\"").weight_layout == WeightLayout::bipolar);
  REQUIRE(tile_of("tile.weight_layout = \"bipolar\"").drive == Drive::bipolar);
  REQUIRE(tile_of("tile.drive = \"level\"").weight_layout == WeightLayout::pair_columns);
  REQUIRE(tile_of("tile.weight_layout = \"single\"").drive == Drive::gated);
  require_error(error_of([] { tile_of("[tile]\ndrive = \"bipolar\"\nweight_layout = \"single\"\n"); }),
                ErrorKind::usage,
                {"t.toml:2:9: tile.drive = \"bipolar\" does not go with weight_layout = \"single\""});
}

TEST_CASE("A given key can make the default of another one illegal, which is said", "[error]") {
  require_error(
      error_of([] { tile_of("[tile]\nr_col_ohm = 1\n[tile.pulse]\nt_lsb_s = 1e-9\nt_edge_s = 2e-9\n"); }),
      ErrorKind::usage, {"t.toml:5:12: tile.pulse.t_edge_s = 2e-09 is not allowed; allowed: 0 to 1e-09"});
  require_error(error_of([] { tile_of("tile.g_min_siemens = 1e-3"); }), ErrorKind::usage,
                {"tile.g_max_siemens = 2.5e-05 is not allowed; allowed: 0.001 to 1"});
  require_error(error_of([] { tile_of("tile.preset = \"pcm\""); }), ErrorKind::usage,
                {"tile.preset = \"pcm\"", "\"pcm-14nm\", \"pcm-512-mesh\", \"rram-128\""});
}

TEST_CASE("One flipped bit in a sealed TOML file is noticed or changes no value", "[property]") {
  const ScratchFolder folder;
  const std::string whole = seal_toml("[tile]\nrows = 100\nr_col_ohm = 0.25\n");
  const auto read = [&](const std::string& text) {
    write_text_atomically(folder / "t.toml", text);
    Config config = Config::from_file(folder / "t.toml");
    const TileSpec tile = read_tile(config);
    config.finish();
    return tile;
  };
  const TileSpec expected = read(whole);
  REQUIRE(expected.rows == 100);
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string text = whole;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    try {
      const TileSpec tile = read(text);
      if (tile.rows != expected.rows || tile.r_col_ohm != expected.r_col_ohm) FAIL("bit " << bit << " was not noticed");
    } catch (const Error& error) {
      REQUIRE((error.kind() == ErrorKind::bad_data || error.kind() == ErrorKind::usage));
    }
  }
  std::string edited = whole;
  edited.replace(edited.find("100"), 3, "101");
  require_error(error_of([&] { read(edited); }), ErrorKind::bad_data, {"t.toml", "line 1", "remove"});
  REQUIRE(read(edited.substr(edited.find('\n') + 1)).rows == 101);
}
