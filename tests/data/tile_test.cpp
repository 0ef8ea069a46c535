#include "data/tile.hpp"

#include <catch2/catch.hpp>
#include <limits>

#include "core/units.hpp"
#include "tests/core/scratch.hpp"
#include "tests/data/random_tile.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

TEST_CASE("Every preset can be simulated and keeps its name", "[identity]") {
  for (const auto& name : tile_preset_names()) {
    const TileSpec tile = tile_preset(name);
    REQUIRE(tile.preset == name);
    REQUIRE(tile.violations().empty());
  }
}

TEST_CASE("Presets hold the published values", "[kat]") {
  const TileSpec pcm = tile_preset("pcm-14nm");
  REQUIRE(pcm.rows == 512);
  REQUIRE(pcm.drive == Drive::gated);
  REQUIRE(pcm.r_col_ohm == 0.15);
  REQUIRE(pcm.ideal_supply());
  REQUIRE_FALSE(pcm.is_linear());
  REQUIRE(pcm.g_max_siemens == 25e-6);
  const TileSpec mesh = tile_preset("pcm-512-mesh");
  REQUIRE(mesh.r_row_ohm == 0.35);
  REQUIRE_FALSE(mesh.ideal_supply());
  const TileSpec rram = tile_preset("rram-128");
  REQUIRE(rram.cell.law == CellLaw::sinh);
  REQUIRE_FALSE(rram.is_linear());
  REQUIRE(rram.pulse.dac_bits == 6);
}

TEST_CASE("An unknown preset names the known ones", "[error]") {
  require_error(error_of([] { tile_preset("pcm-7nm"); }), ErrorKind::usage,
                {"pcm-7nm", "pcm-14nm", "pcm-512-mesh", "rram-128"});
}

TEST_CASE("Random legal tiles have no violations", "[property]") {
  for (std::uint64_t event = 0; event < 200; ++event) {
    const auto violations = random_tile(event).violations();
    INFO((violations.empty() ? "" : violations.front()));
    REQUIRE(violations.empty());
  }
}

TEST_CASE("Every field out of range is named with value and allowed range", "[error]") {
  struct Case {
    void (*spoil)(TileSpec&);
    std::string expected;
  };
  const std::vector<Case> cases = {
      {[](TileSpec& t) { t.preset = "mine"; }, "preset = \"mine\" is not known"},
      {[](TileSpec& t) { t.rows = 0; }, "rows = 0 is not allowed; allowed: 1 to 16384"},
      {[](TileSpec& t) { t.cols = 16385; }, "cols = 16385 is not allowed"},
      {[](TileSpec& t) { t.r_row_ohm = -1.0; }, "r_row_ohm = -1 is not allowed; allowed: 0 to 1e+06"},
      {[](TileSpec& t) { t.r_col_ohm = std::nan(""); }, "r_col_ohm = nan is not allowed"},
      {[](TileSpec& t) { t.r_driver_ohm = -1.0; }, "r_driver_ohm = -1"},
      {[](TileSpec& t) { t.r_sense_ohm = std::numeric_limits<double>::infinity(); }, "r_sense_ohm = inf"},
      {[](TileSpec& t) { t.sense_segment = -0.5; }, "sense_segment = -0.5"},
      {[](TileSpec& t) { t.c_row_farad = 1.0; }, "c_row_farad = 1 is not allowed; allowed: 0 to 1e-06"},
      {[](TileSpec& t) { t.c_col_farad = -1e-15; }, "c_col_farad = -1e-15"},
      {[](TileSpec& t) { t.v_read_volt = 0.0; }, "v_read_volt = 0 is not allowed; allowed: above 0 to 100"},
      {[](TileSpec& t) { t.g_min_siemens = -1e-9; }, "g_min_siemens = -1e-09"},
      {[](TileSpec& t) { t.g_max_siemens = 0.05e-6; },
       "g_max_siemens = 5e-08 is not allowed; allowed: 1e-07 to 1"},
      {[](TileSpec& t) { t.cell.v_h_volt = 0.0; }, "cell.v_h_volt = 0"},
      {[](TileSpec& t) { t.selector.r_on_ohm = -1.0; }, "selector.r_on_ohm = -1"},
      {[](TileSpec& t) { t.pulse.dac_bits = 1; }, "pulse.dac_bits = 1 is not allowed; allowed: 2 to 16"},
      {[](TileSpec& t) { t.pulse.t_lsb_s = 0.0; }, "pulse.t_lsb_s = 0"},
      {[](TileSpec& t) { t.pulse.t_edge_s = 2e-9; },
       "pulse.t_edge_s = 2e-09 is not allowed; allowed: 0 to 1e-09"},
      {[](TileSpec& t) { t.pulse.t_settle_s = -1e-9; }, "pulse.t_settle_s = -1e-09"},
      {[](TileSpec& t) {
         t.pulse.passes = Passes::split;
         t.pulse.split_bits = 7;
       },
       "pulse.split_bits = 7 is not allowed; allowed: 1 to 6"},
      {[](TileSpec& t) { t.front_end.dc_gain = 0.5; }, "front_end.dc_gain = 0.5"},
      {[](TileSpec& t) { t.front_end.gain_bandwidth_hz = 0.0; }, "front_end.gain_bandwidth_hz = 0"},
      {[](TileSpec& t) { t.front_end.c_int_farad = 0.0; }, "front_end.c_int_farad = 0"},
      {[](TileSpec& t) { t.front_end.swing_volt = -0.6; }, "front_end.swing_volt = -0.6"},
      {[](TileSpec& t) { t.front_end.slew_volt_per_s = 0.0; }, "front_end.slew_volt_per_s = 0"},
      {[](TileSpec& t) { t.front_end.leak_siemens = -1.0; }, "front_end.leak_siemens = -1"},
      {[](TileSpec& t) { t.front_end.offset_volt = 2.0; }, "front_end.offset_volt = 2"},
      {[](TileSpec& t) { t.adc.bits = 25; }, "adc.bits = 25"},
      {[](TileSpec& t) { t.adc.full_scale_coulomb = -1e-12; }, "adc.full_scale_coulomb = -1e-12"},
      {[](TileSpec& t) { t.adc.gain_spread = 0.6; }, "adc.gain_spread = 0.6"},
      {[](TileSpec& t) { t.adc.offset_spread_lsb = -1.0; }, "adc.offset_spread_lsb = -1"},
      {[](TileSpec& t) { t.drive = Drive::bipolar; },
       "drive = \"bipolar\" does not go with weight_layout = \"pair-columns\""},
      {[](TileSpec& t) { t.weight_layout = WeightLayout::bipolar; },
       "drive = \"gated\" does not go with weight_layout = \"bipolar\""},
  };
  for (const auto& one : cases) {
    TileSpec tile;
    one.spoil(tile);
    const auto violations = tile.violations();
    REQUIRE(violations.size() == 1);
    REQUIRE_THAT(violations.front(), Catch::Matchers::StartsWith(one.expected));
    require_error(error_of([&] { tile.validate(); }), ErrorKind::usage, {one.expected});
  }
}

TEST_CASE("Several violations are reported together", "[error]") {
  TileSpec tile;
  tile.rows = 0;
  tile.adc.bits = 0;
  require_error(error_of([&] { tile.validate(); }), ErrorKind::usage, {"rows = 0", "adc.bits = 0"});
}

TEST_CASE("Alternate sensing takes odd columns north", "[analytic]") {
  TileSpec tile;
  REQUIRE_FALSE(tile.sensed_north(0));
  REQUIRE(tile.sensed_north(1));
  tile.sense = SenseEnd::south;
  REQUIRE_FALSE(tile.sensed_north(1));
  tile.sense = SenseEnd::north;
  REQUIRE(tile.sensed_north(0));
}
