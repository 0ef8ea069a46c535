#include "validation/budget.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/files.hpp"
#include "tests/validation/sample_images.hpp"

using namespace crosstile;
using namespace crosstile::validation;

namespace {

BudgetStudy parsed(const std::string& text) {
  data::Config config = data::Config::from_text(text, "test.toml");
  return read_budget_study(config);
}

std::string small_budget(const testing::ScratchFolder& folder) {
  return R"(
[tile]
preset = "pcm-14nm"
rows = 18
cols = 8
r_col_ohm = 50.0
sense = "south"
[tile.adc]
enabled = true
gain_spread = 0.02
[tile.pulse]
dac_bits = 5
split_bits = 2
[network]
layers = [36, 8, 3]
[training]
epochs = 6
batch = 20
[study]
form = "ladder"
images = 60
layer_images = 20
calibration_images = 30
draws = 2
most_factor = 64.0
error_lsb = 0.5
confirm_images = 5
energy_images = 5
table_r_ohm = [1.0, 800.0]
table_passes = ["conventional", "bit-serial"]
table_adc_bits = [8]
)" + testing::data_table(folder);
}

const BudgetPoint& named(const BudgetOutcome& outcome, const std::string& name) {
  for (const auto& point : outcome.budget)
    if (point.name == name) return point;
  throw std::logic_error("no point " + name);
}

}  // namespace

TEST_CASE("The largest factor is the root of the value, with the error of the value over its slope",
          "[analytic]") {
  for (const double a : {7.0, 300.0, 0.02}) {  // exp(-f / a) = 1/2 at f = a ln 2
    const auto root = largest_factor(
        [a](double f) {
          return FactorSample{std::exp(-f / a), 0.01};
        },
        0.5, 1e4, 1.05);
    CHECK(root.verdict == FactorRoot::Verdict::found);
    CHECK(root.factor == Approx(a * std::log(2.0)).epsilon(1e-3));
    CHECK(root.samples.size() < 15);
  }
  const auto line = largest_factor(
      [](double f) {
        return FactorSample{1.0 - 0.2 * std::log(f), 0.01};
      },
      0.5, 1e4, 1.05);
  CHECK(line.factor == Approx(std::exp(2.5)).epsilon(1e-12));
  CHECK(line.log_error == Approx(0.01 / 0.2).epsilon(1e-9));
  const auto never = largest_factor([](double) { return FactorSample{1.0, 0.0}; }, 0.5, 100.0, 1.1);
  CHECK(never.verdict == FactorRoot::Verdict::above);
  CHECK(never.factor == 100.0);
  const auto always = largest_factor([](double) { return FactorSample{0.1, 0.0}; }, 0.5, 100.0, 1.1);
  CHECK(always.verdict == FactorRoot::Verdict::below);
  CHECK(always.factor == Approx(0.01));
}

TEST_CASE("Over given factors the root lies between two neighbours, linear over ln factor", "[analytic]") {
  const std::vector<double> factors{0.25, 0.5, 1.0, 2.1, 4.4, 9.4};
  int asked = 0;
  const auto line = [&asked](double f) {
    ++asked;
    return FactorSample{1.0 - 0.1 * std::log(f), 0.0};
  };
  const auto root = largest_factor_of(factors, line, 0.9);
  CHECK(root.factor == Approx(std::exp(1.0)).epsilon(1e-12));
  CHECK(asked == 3);
  CHECK(largest_factor_of(factors, line, 1.1).factor == Approx(std::exp(-1.0)).epsilon(1e-12));
  CHECK(largest_factor_of(factors, line, 0.1).verdict == FactorRoot::Verdict::above);
  CHECK(largest_factor_of(factors, line, 2.0).verdict == FactorRoot::Verdict::below);
}

TEST_CASE("Effects of strength 1 are the configuration, and absent ones are gone", "[identity]") {
  BudgetStudy study;
  study.tile = data::tile_preset("pcm-512-mesh");
  study.tile.adc.enabled = true;
  study.tile.adc.gain_spread = 0.01;
  study.tile.adc.offset_spread_lsb = 0.5;
  CHECK(tile_with(study, all_effects(1.0)) == study.tile);
  const auto devices = devices_with(study, all_effects(1.0));
  CHECK(devices.programming.sigma(0.3) == study.device.programming.sigma(0.3));
  CHECK(devices.drift.mean(0.3) == study.device.drift.mean(0.3));
  CHECK(devices.read.q_s(0.3) == study.device.read.q_s(0.3));
  const auto none = tile_with(study, all_effects(0.0));
  CHECK(none.r_col_ohm + none.r_row_ohm + none.r_driver_ohm + none.r_sense_ohm + none.selector.r_on_ohm ==
        0.0);
  CHECK(none.adc.gain_spread + none.adc.offset_spread_lsb == 0.0);
  CHECK(none.adc.bits == 16);
  CHECK(none.pulse.dac_bits == 12);
  CHECK(devices_with(study, all_effects(0.0)).drift.mean(0.3) == 0.0);
  // 255 steps three times as wide are 85; 63 would be 6 bits.
  const auto wide = only_effect(static_cast<std::size_t>(Effect::adc), 255.0 / 63.0);
  CHECK(tile_with(study, wide).adc.bits == 6);
  const auto twice = devices_with(study, without_effect(static_cast<std::size_t>(Effect::read_noise), 2.0));
  for (const double g : {1e-4, 0.5}) CHECK(twice.read.q_s(g) == Approx(2.0 * study.device.read.q_s(g)));
}

TEST_CASE("A budget holds every effect, its limits agree with the circuit, and it can go on", "[cross]") {
  const testing::ScratchFolder folder;
  testing::write_images(folder, "train", 200);
  testing::write_images(folder, "test", 80);
  const BudgetStudy study = parsed(small_budget(folder));
  const BudgetOutcome outcome = run_budget_study(study, {folder / "out", 1});
  CHECK(outcome.budget.size() == 2 + 2 * 7);  // no row wires, no selector in this tile
  CHECK(outcome.growth.size() == 7);
  CHECK(named(outcome, "none").rms_lsb < 0.1 * named(outcome, "only column wire").rms_lsb);
  CHECK(named(outcome, "no column wire").rms_lsb < named(outcome, "all").rms_lsb);
  CHECK(named(outcome, "none").a_star == Approx(1.0).margin(0.05));
  REQUIRE(outcome.limits.size() == 4);
  for (const Limit& limit : outcome.limits) {
    INFO(limit.what + " " + limit.target);
    REQUIRE(limit.circuit_lsb.has_value());
    CHECK(*limit.difference_lsb < 1e-6 * *limit.circuit_lsb);  // the ladder is exact here
  }
  CHECK(outcome.limits[0].verdict.empty());
  CHECK(*outcome.limits[0].circuit_lsb == Approx(study.error_lsb).epsilon(0.3));  // a few of the images
  REQUIRE(outcome.trade.size() == 4);
  CHECK(outcome.trade[1].latency_s < outcome.trade[0].latency_s);  // four short passes
  CHECK(outcome.trade[1].joule > outcome.trade[0].joule);          // and as many conversions

  const Results results = write_budget_study(study, outcome, folder / "out");
  CHECK(results.tables.size() == 4);
  const BudgetOutcome again = run_budget_study(study, {folder / "out", 2});
  CHECK(again.made == 0);
  CHECK(again.kept == outcome.made + outcome.kept);
  write_budget_study(study, again, folder / "again");
  CHECK(read_text(folder / "again/budget.csv") == read_text(folder / "out/budget.csv"));
}

TEST_CASE("Mistakes of a budget study name the key", "[error]") {
  const auto refused = [](const std::string& text, std::initializer_list<std::string> parts) {
    testing::require_error(testing::error_of([&] { parsed(text); }), ErrorKind::usage, parts);
  };
  refused("[tile]\ndrive = \"level\"\n", {"tile", "gated"});
  refused("[study]\nform = \"ideal\"\n", {"study.form", "closure"});
  refused("[study]\ntable_passes = [\"serial\"]\n", {"study.table_passes", "bit-serial"});
  refused("[study]\ndevice_model = \"pcm-1999\"\n", {"study.device_model", "pcm-2019"});
  refused("[study]\na_star = 1.5\n", {"a_star", "allowed"});
}
