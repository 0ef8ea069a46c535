#include "validation/compare.hpp"

#include <catch2/catch.hpp>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"
#include "tests/validation/sample_sets.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

CompareOptions quick() {
  CompareOptions options;
  options.timing_seconds = 0.0;
  return options;
}

const Competitor& competitor(const Comparison& comparison, const std::string& key) {
  for (const Competitor& one : comparison.competitors)
    if (one.key == key) return one;
  throw std::logic_error("no competitor " + key);
}

}  // namespace

TEST_CASE("A model that made the reference set has no error, and beats every baseline", "[identity]") {
  const data::ReferenceSet set = ladder_set(small_tile(24, 8), 120);
  CompareOptions options = quick();
  options.circuit_seconds_per_vector = 2.0;
  const Comparison result = compare(set, ladder_model, options);
  CHECK(result.fast().bit_line.max_lsb == 0.0);
  CHECK(result.fast().differential.max_lsb == 0.0);
  CHECK(result.held_out_only);
  CHECK(result.note.empty());
  CHECK(result.vectors.size() == 40);
  CHECK(result.fit_vectors == 80);
  // the order any sensible data set gives
  const double map = competitor(result, "linear_map").bit_line.rms_lsb;
  const double column = competitor(result, "column_gain").bit_line.rms_lsb;
  const double one = competitor(result, "one_gain").bit_line.rms_lsb;
  const double ideal = competitor(result, "ideal").bit_line.rms_lsb;
  CHECK(map > 0.0);
  CHECK(map < column);
  CHECK(column < one);
  CHECK(one < ideal);
  CHECK(result.timing.repetitions >= 3);
  REQUIRE(result.timing.speed_up.has_value());
  CHECK(*result.timing.speed_up == Approx(2.0 / result.timing.fast_seconds_per_vector).epsilon(1e-12));
  for (const Competitor& each : result.competitors)
    CHECK(each.error.below + each.error.counts.sum() + each.error.above ==
          static_cast<double>(each.bit_line.count));
}

TEST_CASE("IR-drop of a set that lost a tenth of every charge is a tenth", "[analytic]") {
  const data::TileSpec tile = small_tile(8, 4);
  const Comparison result =
      compare(linear_set(tile, 30, {Matrix::Constant(8, 4, 0.9)}), ladder_model, quick());
  CHECK(result.ir_drop.mean_loss == Approx(0.1).epsilon(1e-11));
  CHECK(result.ir_drop.max_loss == Approx(0.1).epsilon(1e-11));
  CHECK(competitor(result, "one_gain").bit_line.max_lsb < 1e-10);
  CHECK(competitor(result, "linear_map").bit_line.max_lsb < 1e-9);
}

TEST_CASE("The largest loss is that of the worst bit line", "[kat]") {
  const data::TileSpec tile = small_tile(8, 4);
  data::ReferenceSet set = linear_set(tile, 30, {Matrix::Constant(8, 4, 0.9)});
  set.charge_minus_coulomb(5, 2) *= 0.5 / 0.9;  // vector 5 is held out
  const Comparison result = compare(set, ladder_model, quick());
  CHECK(result.ir_drop.max_loss == Approx(0.5).epsilon(1e-11));
  CHECK(result.ir_drop.mean_loss > 0.1);
}

TEST_CASE("The worst vector, column and array are found, and only held-out vectors count", "[kat]") {
  data::ReferenceSet set = ladder_set(small_tile(24, 8), 60);
  const Scale scale = scale_of(set);
  set.charge_minus_coulomb(14, 3) += 2.0 * scale.lsb_coulomb;  // held out
  set.charge_plus_coulomb(13, 5) += 10.0 * scale.lsb_coulomb;  // not held out
  const Comparison result = compare(set, ladder_model, quick());
  CHECK(result.worst_vector == 14);
  CHECK(result.worst_column == 3);
  CHECK(result.worst_is_minus);
  CHECK(result.fast().bit_line.max_lsb * result.scale.lsb_coulomb ==
        Approx(2.0 * scale.lsb_coulomb).epsilon(1e-9));
  // the error of 20 x 16 bit lines, one of them wrong by 2 LSB
  CHECK(result.fast().bit_line.rms_lsb ==
        Approx(result.fast().bit_line.max_lsb / std::sqrt(320.0)).epsilon(1e-9));
  CHECK(result.fast().differential.rms_lsb ==
        Approx(result.fast().differential.max_lsb / std::sqrt(160.0)).epsilon(1e-9));
}

TEST_CASE("Several weight draws are compared each with its own model", "[identity]") {
  const data::TileSpec tile = small_tile(16, 4);
  data::ReferenceSet set = empty_set(tile, 45, 3);
  for (Index v = 0; v < 45; ++v) {
    const auto d = static_cast<std::size_t>(set.draw(v));
    Matrix charge;
    ladder_model(tile, set.g_plus_siemens[d]).charge(set.codes.row(v), charge);
    set.charge_plus_coulomb.row(v) = charge;
    ladder_model(tile, set.g_minus_siemens[d]).charge(set.codes.row(v), charge);
    set.charge_minus_coulomb.row(v) = charge;
    set.held_out(v) = v % 5 == 4 ? 1 : 0;
  }
  const Comparison result = compare(set, ladder_model, quick());
  CHECK(result.vectors.size() == 9);
  CHECK(result.fast().bit_line.max_lsb < 1e-9);
  CHECK(competitor(result, "one_gain").bit_line.rms_lsb > 0.1);
}

TEST_CASE("Without held-out vectors all are compared, and the result says so", "[property]") {
  data::ReferenceSet set = ladder_set(small_tile(12, 4), 20);
  set.held_out.setZero();
  const Comparison result = compare(set, ladder_model, quick());
  CHECK_FALSE(result.held_out_only);
  CHECK(result.vectors.size() == 20);
  CHECK(result.note.find("No vector of the set is held out") == 0);
  CHECK(comparison_table(result).caption.find("No vector of the set is held out") != std::string::npos);
}

TEST_CASE("With nothing left to fit on the baselines are the ideal product, and the result says so",
          "[property]") {
  data::ReferenceSet set = ladder_set(small_tile(12, 4), 20);
  set.held_out.setOnes();
  const Comparison result = compare(set, ladder_model, quick());
  CHECK(result.fit_vectors == 0);
  CHECK(result.note.find("could not be fitted") != std::string::npos);
  CHECK(competitor(result, "linear_map").bit_line.rms_lsb ==
        Approx(competitor(result, "ideal").bit_line.rms_lsb).epsilon(1e-12));
}

TEST_CASE("A single-array set is compared without a minus array", "[property]") {
  data::TileSpec tile = small_tile(12, 4);
  tile.weight_layout = data::WeightLayout::single;
  data::ReferenceSet set = empty_set(tile, 20);
  set.g_minus_siemens.clear();
  set.charge_minus_coulomb.resize(0, 0);
  ladder_model(tile, set.g_plus_siemens[0]).charge(set.codes, set.charge_plus_coulomb);
  const Comparison result = compare(set, ladder_model, quick());
  CHECK(result.fast().bit_line.max_lsb == 0.0);
  CHECK(result.fast().bit_line.count == 6 * 4);
  CHECK(result.fast().charge.minus.size() == 0);
  CHECK(competitor(result, "ideal").bit_line.rms_lsb == competitor(result, "ideal").differential.rms_lsb);
}

TEST_CASE(
    "A comparison refuses models of another size, layout bipolar without a draw factory, and negative times",
    "[error]") {
  const data::ReferenceSet set = ladder_set(small_tile(12, 4), 20);
  const ModelFactory wrong = [](const data::TileSpec&, const Matrix& g) {
    return ladder_model(small_tile(12, 3), g.leftCols(3));
  };
  CHECK_THROWS_WITH(compare(set, wrong, quick()), Catch::Contains("12 x 3") && Catch::Contains("12 x 4"));
  data::ReferenceSet bipolar = set;
  bipolar.tile.weight_layout = data::WeightLayout::bipolar;
  CHECK_THROWS_WITH(compare(bipolar, ModelFactory(ladder_model), quick()), Catch::Contains("bipolar"));
  CompareOptions options = quick();
  options.circuit_seconds_per_vector = -1.0;
  CHECK_THROWS_WITH(compare(set, ladder_model, options), Catch::Contains("circuit_seconds_per_vector = -1"));
}

TEST_CASE("A comparison stops when the progress callback says so", "[error]") {
  CompareOptions options = quick();
  options.progress = [](double, std::string_view) { return false; };
  try {
    compare(ladder_set(small_tile(12, 4), 20), ladder_model, options);
    FAIL("not interrupted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
}

TEST_CASE("A comparison's file holds its charges, figures and table", "[identity]") {
  const ScratchFolder scratch;
  const Comparison result = compare(ladder_set(small_tile(24, 8), 60), ladder_model, quick());
  write_comparison(scratch / "comparison.h5", result);
  const data::Hdf5Reader file(scratch / "comparison.h5", "comparison", 1);
  CHECK(file.matrix("full/charge_plus_coulomb") == result.full.plus);
  CHECK(file.matrix("linear_map/charge_minus_coulomb") == competitor(result, "linear_map").charge.minus);
  CHECK(file.vector("one_gain/error_counts") == competitor(result, "one_gain").error.counts);
  CHECK(file.integers("vectors")(1, 0) == 5);
  const std::string json = file.text("summary_json");
  for (const char* key : {"\"rms_lsb\"", "\"quantile_999_lsb\"", "\"rms_relative\"",
                          "\"fast_seconds_per_vector\"", "\"mean_loss\"", "\"worst\""})
    CHECK(json.find(key) != std::string::npos);
  CHECK(json.find("\"speed_up\"") == std::string::npos);  // nobody gave the circuit's time
  CHECK(file.text("table_json") == to_json(comparison_table(result)));
  const Table table = comparison_table(result);
  REQUIRE(table.rows.size() == 5);
  CHECK(std::get<double>(table.rows[1][1]) == competitor(result, "linear_map").bit_line.rms_lsb);
}
