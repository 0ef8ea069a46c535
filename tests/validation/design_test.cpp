#include "validation/design.hpp"

#include <catch2/catch.hpp>

#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"
#include "tests/validation/sample_sets.hpp"
#include "validation/design_files.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

// A column ladder, which the fast form "ladder" solves exactly.
const char* const kLadderTile =
    "seed = 3\n[tile]\nrows = 6\ncols = 4\nr_col_ohm = 30.0\nc_row_farad = 0.0\nc_col_farad = 0.0\n"
    "[tile.pulse]\ndac_bits = 4\n[reference]\nvectors = 12\ndraws = 1\nheld_out_share = 0.5\n";

Design small_design(const std::string& more) {
  return design_from_text(kLadderTile + std::string("[model]\nform = \"ladder\"\ncorrection = false\n") +
                              "[design]\ntiming_seconds = 0.0\nngspice_rows = 0\n" + more,
                          "test.toml");
}

const char* const kWires = "[[design.axis]]\nkey = \"tile.r_col_ohm\"\nvalues = [3.0, 30.0, 300.0]\n";

void require_same_but_times(const DesignResult& a, const DesignResult& b) {
  CHECK(a.failure == b.failure);
  CHECK(a.form == b.form);
  for (const auto& figure : design_figures()) {
    INFO(figure.name);
    CHECK((a.*figure.field).has_value() == (b.*figure.field).has_value());
    if (!figure.is_time && a.*figure.field) CHECK(*(a.*figure.field) == *(b.*figure.field));
  }
}

}  // namespace

TEST_CASE("The ladder is the circuit of a column, so the design finds no error in it", "[identity]") {
  const Design design = small_design(kWires);
  REQUIRE(design.points.size() == 3);
  for (const auto& point : design.points) {
    const DesignResult result = run_design_point(design, point).result;
    INFO(point.name);
    CHECK(*result.max_lsb < 1e-7);
    CHECK(*result.ideal_lsb > 1e4 * *result.max_lsb);
    CHECK(*result.fast_joule == Approx(*result.circuit_joule).epsilon(1e-9));
    CHECK(*result.compared_vectors == 6);
    CHECK(result.circuit_seconds.value() > 0.0);
  }
}

TEST_CASE("An interrupted design goes on to the same figures, and leaves another folder alone",
          "[property]") {
  const ScratchFolder folder;
  const Design design = small_design(kWires);
  const auto whole = run_design(design, {folder / "whole", 2, {}});
  CHECK(whole.computed == 3);
  int calls = 0;
  const Progress stop_later = [&calls](double, std::string_view) { return ++calls < 18; };
  const Error error = error_of([&] { run_design(design, {folder / "parts", 1, stop_later}); });
  CHECK(error.kind() == ErrorKind::interrupted);
  const auto rest = run_design(design, {folder / "parts", 1, {}});
  CHECK(rest.kept > 0);
  CHECK(rest.computed > 0);
  for (std::size_t p = 0; p < 3; ++p) require_same_but_times(whole.results[p], rest.results[p]);
  CHECK(hash_file(folder / "whole/points/worst-000002.h5") ==
        hash_file(folder / "parts/points/worst-000002.h5"));
  const Design other = small_design("[[design.axis]]\nkey = \"tile.r_col_ohm\"\nvalues = [4.0]\n");
  require_error(error_of([&] {
                  run_design(other, {folder / "parts", 1, {}});
                }),
                ErrorKind::usage, {"parts", "another design"});
}

TEST_CASE("The worst vector of a point is kept with what the circuit needs to give its charge again",
          "[cross]") {
  const ScratchFolder folder;
  const Design design = design_from_text(std::string(kLadderTile) +
                                             "[model]\nform = \"ideal\"\n[design]\ntiming_seconds = 0.0\n"
                                             "ngspice_rows = 0\n[[design.point]]\nname = \"one\"\n",
                                         "test.toml");
  const auto outcome = run_design(design, {folder.path(), 1, {}});
  const data::Hdf5Reader in(folder / "points/worst-000000.h5", "worst-vector", 1);
  data::Config config = data::Config::from_file(folder / "points/worst-000000.toml");
  const data::TileSpec tile = data::read_tile(config);
  const IntVector codes = in.integers("codes").row(0).transpose();
  const Vector circuit =
      circuit::solve_charge(circuit::Crossbar(tile, in.matrix("g_minus_siemens")), codes).charge_coulomb;
  const Vector stored = in.matrix("circuit_minus_coulomb").row(0).transpose();
  CHECK((circuit - stored).cwiseAbs().maxCoeff() < 1e-12 * stored.maxCoeff());
  // The largest error of the point is that of this vector.
  double largest = (in.matrix("fast_minus_coulomb").row(0).transpose() - stored).cwiseAbs().maxCoeff();
  largest = std::max(
      largest, (in.matrix("fast_plus_coulomb") - in.matrix("circuit_plus_coulomb")).cwiseAbs().maxCoeff());
  const auto& result = outcome.results.front();
  const Vector both =
      result.worst_is_minus.value() > 0.5
          ? Vector(in.matrix("fast_minus_coulomb").row(0).transpose() - stored)
          : Vector((in.matrix("fast_plus_coulomb") - in.matrix("circuit_plus_coulomb")).row(0));
  CHECK(std::abs(both(static_cast<Index>(*result.worst_column))) == largest);
}

TEST_CASE("Axes make a grid with the last one fastest, named points follow, and open forms fit the tile",
          "[kat]") {
  const Design design =
      design_from_text(std::string(kLadderTile) +
                           "[design]\nskip_invalid = true\n[[design.axis]]\nkey = [\"tile.rows\", "
                           "\"tile.cols\"]\nvalues = [4, 8]\n"
                           "[[design.axis]]\nkey = \"tile.pulse.split_bits\"\nvalues = [1, 3]\n"
                           "[[design.point]]\nname = \"split\"\ntile.pulse.passes = "
                           "\"split\"\ntile.pulse.split_bits = 2\ntile.rows = 5\n"
                           "[[design.point]]\nname = \"level\"\ntile.drive = \"level\"\n"
                           "[[design.point]]\nname = \"op-amp\"\ntile.front_end.kind = "
                           "\"integrator\"\nreference.vectors = 4\n",
                       "test.toml");
  REQUIRE(design.points.size() == 7);
  CHECK(design.points[1].name == "rows 4, split_bits 3");
  CHECK(design.points[2].name == "rows 8, split_bits 1");
  CHECK(design.points[2].config.tile.rows == 8);
  CHECK(design.points[2].config.tile.cols == 8);
  CHECK(design.points[2].values == std::vector<std::string>{"8", "8", "1"});
  CHECK(design.points[4].config.tile.pulse.passes == data::Passes::split);
  CHECK(design.points[4].config.tile.cols == 4);
  CHECK(design.points[4].config.model.form == tilemodel::Form::calibrated);
  CHECK(design.points[5].config.model.form == tilemodel::Form::effective);
  CHECK(design.points[5].config.reference.method == "charge");
  CHECK(design.points[6].config.reference.method == "transient");
  CHECK(design.points[6].config.draw.vectors == 4);
  const std::string split =
      "[[design.axis]]\nkey = \"tile.pulse.passes\"\nvalues = [\"conventional\", \"split\"]\n";
  const Design skipping = small_design("skip_invalid = true\n" + split +
                                       "[[design.axis]]\nkey = \"tile.pulse.split_bits\"\nvalues = [2, 9]\n");
  CHECK(skipping.points.size() == 3);
  REQUIRE(skipping.skipped.size() == 1);
  CHECK_THAT(skipping.skipped[0], Catch::Matchers::Contains("split_bits 9"));
}

TEST_CASE("A stored reference set is a point, and this circuit says whether it agrees", "[cross]") {
  const ScratchFolder folder;
  data::TileSpec tile = small_tile(6, 4);
  tile.c_row_farad = tile.c_col_farad = 0.0;
  data::ReferenceSet set = ladder_set(tile, 9);
  data::write_reference_set(folder / "good.h5", set);
  set.charge_plus_coulomb *= 1.05;
  data::write_reference_set(folder / "scaled.h5", set);
  const auto design = small_design(
      "[[design.point]]\nname = \"good\"\nreference = \"" + (folder / "good.h5").string() +
      "\"\n[[design.point]]\nname = \"scaled\"\nreference = \"" + (folder / "scaled.h5").string() +
      "\"\n[[design.point]]\nname = \"none\"\n" + "reference = \"" + (folder / "none.h5").string() + "\"\n");
  const auto outcome = run_design(design, {folder / "out", 1, {}});
  CHECK(*outcome.results[0].stored_lsb < 1e-7);
  CHECK(*outcome.results[0].max_lsb < 1e-7);
  CHECK(*outcome.results[1].stored_lsb > 1.0);
  CHECK_THAT(outcome.results[2].failure, Catch::Matchers::Contains("none.h5"));
  const Results results = write_design(design, outcome, folder / "out");
  CHECK(results.tables.size() == 3);
  CHECK(std::filesystem::exists(folder / "out/compare.h5"));
  CHECK_FALSE(std::filesystem::exists(folder / "out/compare.svg"));
}

TEST_CASE("Mistakes of a design name the place, the axis or the point", "[error]") {
  const auto refused = [](const std::string& more, std::initializer_list<std::string> parts) {
    require_error(error_of([&] { small_design(more); }), ErrorKind::usage, parts);
  };
  refused("", {"test.toml", "at least one"});
  refused("axes = 1\n", {"test.toml", "unknown key \"axes\"", "skip_invalid"});
  refused("ngspice_row = 3\n", {"unknown key \"ngspice_row\""});
  refused("[[design.axis]]\nvalues = [1]\n", {"key = \"a.dotted.key\""});
  refused("[[design.axis]]\nkey = \"tile.rows\"\nvalues = []\n", {"tile.rows", "at least one value"});
  refused("[[design.axis]]\nkey = \"tile.rows\"\nvalues = [0]\n", {"rows 0", "tile.rows", "allowed: 1 to"});
  refused("[[design.axis]]\nkey = \"tile.row\"\nvalues = [3]\n", {"tile.row", "did you mean"});
  refused(std::string(kWires) + kWires, {"tile.r_col_ohm", "an axis already"});
  refused("[[design.point]]\ntile.rows = 3\n", {"needs name"});
  refused("[[design.point]]\nname = \"bad\"\ntile.drive = \"level\"\n", {"\"bad\"", "model.form", "gated"});
  require_error(error_of([] { design_from_text("seed = 1\n", "test.toml"); }), ErrorKind::usage,
                {"[design]"});
  require_error(
      error_of([] { design_from_text("sed = 1\n[design]\n[[design.point]]\nname=\"a\"\n", "test.toml"); }),
      ErrorKind::usage, {"test.toml:1", "sed"});
}
