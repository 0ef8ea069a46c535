#include "validation/study_irdrop.hpp"

#include <catch2/catch.hpp>

#include <cmath>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "data/run_folder.hpp"
#include "tests/validation/sample_images.hpp"
#include "validation/line_chart.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using Catch::Matchers::Contains;

namespace {

std::string small_study(const testing::ScratchFolder& folder) {
  return R"(
[tile]
preset = "pcm-14nm"
rows = 18
cols = 8
[tile.adc]
enabled = true
[network]
layers = [36, 8, 3]
[training]
epochs = 6
batch = 20
[gaussian]
noise_levels = [0.05, 0.1]
epochs = 2
[tiles]
epochs = 2
[study]
r_col_ohm = [1.0, 800.0]
seeds = 2
images = 60
calibration_images = 50
confirm_images = 20
confirm_ohm = [800.0]
)" + testing::data_table(folder);
}

}  // namespace

TEST_CASE("the IR-drop study finds every point, and the full circuit agrees with the ladder", "[cross]") {
  const testing::ScratchFolder folder;
  testing::write_images(folder, "train", 200);
  testing::write_images(folder, "test", 80);
  data::Config config = data::Config::from_text(small_study(folder));
  const IrDropStudy study = read_irdrop_study(config);
  const IrDropOutcome outcome = run_irdrop_study(study, {folder / "out", 1});
  CHECK(outcome.diverged.empty());
  REQUIRE(outcome.digital_accuracy.size() == 2);
  CHECK(outcome.points.size() ==
        2 * 2 * 7);  // seeds, resistances; direct, two Gaussian levels, each also fitted; tiles
  CHECK(outcome.digital_seconds > 0.0);
  CHECK(outcome.tile_seconds > 0.0);
  for (const IrDropPoint& point : outcome.points)
    if (point.method == "direct" && point.r_col_ohm == 1.0) CHECK(point.a_star > 0.95);
  REQUIRE(outcome.confirmations.size() == 2);
  for (const IrDropConfirmation& found : outcome.confirmations) {
    CHECK(found.same_class == found.images);
    CHECK(found.largest_difference < 1e-8);  // both exact, unless a charge lies on an ADC step
  }

  const Results results = write_irdrop_study(study, outcome, folder / "out");
  REQUIRE(results.tables.size() == 3);
  CHECK(results.tables[0].rows.size() == 2 * 5);
  CHECK(results.tables[1].rows.size() == 5);
  CHECK(read_results(folder / "out" / "results.json").tables.size() == 3);
  for (const IrDropPoint& point : outcome.points) {
    CHECK(point.inference_joule > point.array_joule);
    CHECK(point.array_joule > 0.0);
  }
  CHECK(data::read_manifest(folder / "out").complete);
  CHECK_THAT(read_text(folder / "out" / "irdrop.svg"), Contains("through tiles") && Contains("</svg>"));
  CHECK_THAT(read_text(folder / "out" / "irdrop.csv"), Contains("gaussian 0.05"));
  const data::Hdf5Reader stored(folder / "out" / "irdrop.h5", "irdrop-study", 1);
  CHECK(stored.matrix("points/through_tiles").rows() == 4);
}

TEST_CASE("an IR-drop study that was interrupted goes on to the same bytes, and finds what is finished",
          "[property]") {
  const testing::ScratchFolder folder;
  testing::write_images(folder, "train", 100);
  testing::write_images(folder, "test", 40);
  const auto study_of = [&](const std::string& more) {
    data::Config config = data::Config::from_text(small_study(folder) + more);
    IrDropStudy study = read_irdrop_study(config);
    study.seeds = 1;
    study.r_col_ohm = {800.0};
    study.confirm_images = 2;
    return study;
  };
  const IrDropStudy study = study_of("");
  const IrDropOutcome whole = run_irdrop_study(study, {folder / "whole", 1});
  write_irdrop_study(study, whole, folder / "whole");
  CHECK(whole.kept == 0);

  const auto stop = [](double, std::string_view what) { return what != "through tiles, 800ohm"; };
  testing::require_error(testing::error_of([&] {
                           run_irdrop_study(study, {folder / "parts", 1, stop});
                         }),
                         ErrorKind::interrupted, {});
  const IrDropOutcome parts = run_irdrop_study(study, {folder / "parts", 2});
  write_irdrop_study(study, parts, folder / "parts");
  CHECK(parts.made == 3);  // the last point and two confirmations
  CHECK(parts.kept + parts.made == whole.made);
  for (const char* name : {"irdrop.csv", "irdrop.h5", "irdrop.svg"})
    CHECK(hash_file(folder / "parts" / name) == hash_file(folder / "whole" / name));
  CHECK(run_irdrop_study(study, {folder / "parts", 1}).made == 0);

  testing::require_error(testing::error_of([&] {
                           run_irdrop_study(study_of("# other\n"), {folder / "parts", 1});
                         }),
                         ErrorKind::usage, {"another configuration"});
  write_text_atomically(folder / "parts" / "pieces" / "s1-800ohm-direct.json", "{}");
  testing::require_error(testing::error_of([&] {
                           run_irdrop_study(study, {folder / "parts", 1});
                         }),
                         ErrorKind::bad_data, {"s1-800ohm-direct.json", "changed"});
}

TEST_CASE("a study whose training diverges has a reason and no accuracy", "[regression]") {
  const testing::ScratchFolder folder;
  testing::write_images(folder, "train", 40);
  testing::write_images(folder, "test", 20);
  data::Config config = data::Config::from_text(small_study(folder));
  IrDropStudy study = read_irdrop_study(config);
  study.seeds = 1;
  study.digital.learning_rate = 1e6;
  const IrDropOutcome outcome = run_irdrop_study(study, {folder / "out", 1});
  CHECK_THAT(outcome.diverged, Contains("digital") && Contains("loss"));
  const Results results = write_irdrop_study(study, outcome, folder / "out");
  CHECK(results.tables.empty());
  REQUIRE(results.headline.size() == 1);
  CHECK(results.headline[0].label == "diverged");
}

TEST_CASE("where a curve falls through a level is found between its points", "[analytic]") {
  const std::vector<std::pair<double, double>> curve{{1.0, 1.0}, {10.0, 0.98}, {100.0, 0.5}};
  CHECK(*falls_below(curve, 0.99) == Approx(std::sqrt(10.0)));
  CHECK(*falls_below(curve, 0.98) == Approx(10.0));
  CHECK_FALSE(falls_below(curve, 0.4).has_value());
  CHECK_FALSE(falls_below(curve, 1.1).has_value());
  CHECK(fall_text(curve, 0.4, "ohm") == "above 100 ohm");
  CHECK(fall_text(curve, 1.1, "ohm") == "below 1 ohm");
  CHECK(fall_text({}, 1.0, "ohm") == "-");
}

TEST_CASE("the best Gaussian level is chosen at every resistance by itself", "[analytic]") {
  IrDropStudy study;
  study.r_col_ohm = {1.0, 2.0};
  IrDropOutcome outcome;
  outcome.digital_accuracy = {0.9};
  for (const double ohm : {1.0, 2.0}) {
    outcome.points.push_back({1, ohm, "gaussian 0.1", 0.7, 0.7, 1e-6});
    outcome.points.push_back({1, ohm, "gaussian 0.2", ohm == 1.0 ? 0.6 : 0.8, 0.6, 1e-6});
  }
  const testing::ScratchFolder folder;
  const Results results = write_irdrop_study(study, outcome, folder / "out");
  REQUIRE(results.tables.at(0).rows.size() == 2);
  CHECK(std::get<double>(results.tables[0].rows[0][2]) == Approx(70.0));
  CHECK(std::get<double>(results.tables[0].rows[1][2]) == Approx(80.0));
  CHECK_THAT(std::get<std::string>(results.tables[0].rows[1][1]), Contains("gaussian 0.2"));
}

TEST_CASE("mistakes of an IR-drop study are named", "[error]") {
  data::Config config = data::Config::from_text(
      "[study]\nr_col_ohm = [1.0]\nconfirm_ohm = [3.0]\nseeds = 0\n[tiles]\nblock_row = 3\n", "study.toml");
  data::Config twice =
      data::Config::from_text("[study]\nr_col_ohm = [50.0, 1.0, 50.0]\nconfirm_ohm = [1.0]\n");
  CHECK(read_irdrop_study(twice).r_col_ohm == std::vector<double>{1.0, 50.0});
  CHECK_THROWS_WITH(read_irdrop_study(config),
                    Contains("study.confirm_ohm") && Contains("study.seeds") && Contains("block_row"));
  const testing::ScratchFolder folder;
  CHECK_THROWS_WITH(
      write_line_chart(folder / "a.svg", {"t", "x", "y", 0.0, 1.0, {{"one", {{0.0, 0.5, 0.0}}}}}),
      Contains("one") && Contains("above 0"));
}
