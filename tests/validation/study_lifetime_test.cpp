#include "validation/study_lifetime.hpp"

#include <catch2/catch.hpp>

#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "tests/validation/sample_images.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using Catch::Matchers::Contains;

namespace {

LifetimeStudy small_lifetime(const testing::ScratchFolder& folder) {
  const std::string text = R"(
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
[hardware_aware]
epochs = 2
[study]
times_s = [31536000.0, 1.0]
compensations = ["none", "global"]
seeds = 1
draws = 2
images = 60
calibration_images = 40
parts_time_s = 3600.0
)" + testing::data_table(folder);
  data::Config config = data::Config::from_text(text);
  return read_lifetime_study(config);
}

}  // namespace

TEST_CASE("the lifetime study has every point, and goes on where it stopped", "[property]") {
  const testing::ScratchFolder folder;
  testing::write_images(folder, "train", 200);
  testing::write_images(folder, "test", 80);
  const LifetimeStudy study = small_lifetime(folder);
  CHECK(study.times_s.front() == 1.0);
  const auto stop = [](double fraction, std::string_view) { return fraction < 0.6; };
  testing::require_error(testing::error_of([&] {
                           run_lifetime_study(study, {folder / "out", 1, stop});
                         }),
                         ErrorKind::interrupted, {});
  const LifetimeOutcome outcome = run_lifetime_study(study, {folder / "out", 1});
  CHECK(outcome.diverged.empty());
  CHECK(outcome.kept > 0);
  CHECK(outcome.points.size() == 2 * 2 * 2);  // weights, compensations, times
  CHECK(outcome.parts.size() == 2 * 12);
  for (const auto* list : {&outcome.points, &outcome.parts})
    for (const LifetimePoint& point : *list) {
      CHECK(point.accuracies.size() == 2);
      // Neither wires nor devices are left: rounding alone costs these images nothing.
      if (point.present == "none") CHECK(point.a_star == Approx(1.0).margin(0.06));
    }
  CHECK(outcome.inference_joule >
        outcome.array_joule + outcome.driver_joule + outcome.conversion_joule - 1e-20);

  const Results results = write_lifetime_study(study, outcome, folder / "out");
  REQUIRE(results.tables.size() == 4);
  CHECK(results.tables[0].rows.size() == 8);
  CHECK(results.tables[1].rows.size() == 4);
  CHECK(results.tables[2].rows.size() == 12);
  CHECK_THAT(read_text(folder / "out" / "lifetime.svg"),
             Contains("hardware-aware, compensated global") && Contains(">1 y<") && Contains("</svg>"));
  CHECK_THAT(read_text(folder / "out" / "lifetime.csv"), Contains("no read noise"));
  const data::Hdf5Reader stored(folder / "out" / "lifetime.h5", "lifetime-study", 1);
  CHECK(stored.matrix("points/hardware-aware/global").cols() == 5);
  CHECK(stored.matrix("parts/direct/no_wires").rows() == 1);

  // In one go, with other threads: the same bytes.
  write_lifetime_study(study, run_lifetime_study(study, {folder / "whole", 2}), folder / "whole");
  for (const char* name : {"lifetime.csv", "lifetime.h5", "results.json"})
    CHECK(hash_file(folder / "whole" / name) == hash_file(folder / "out" / name));
}

TEST_CASE("mistakes of a lifetime study are named", "[error]") {
  data::Config config = data::Config::from_text(
      "[tile]\ng_max_siemens = 30e-6\n[study]\ntimes_s = []\ncompensations = [\"some\"]\ndraws = "
      "0\n[hardware_aware]\nepoch = 3\n",
      "study.toml");
  testing::require_error(testing::error_of([&] { read_lifetime_study(config); }), ErrorKind::usage,
                         {"study.toml", "tile.g_max_siemens", "pcm-2019", "study.times_s", "\"some\"",
                          "per-column", "study.draws", "hardware_aware.epochs"});
}
