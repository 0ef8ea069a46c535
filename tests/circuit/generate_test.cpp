#include <catch2/catch.hpp>

#include "../core/scratch.hpp"
#include "circuit/reference.hpp"
#include "core/files.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;
using crosstile::testing::ScratchFolder;

namespace {

data::TileSpec small_pair_tile() {
  data::TileSpec tile = plain_tile(12, 9);
  tile.weight_layout = data::WeightLayout::pair_columns;
  tile.c_row_farad = tile.c_col_farad = 1e-15;
  tile.pulse.dac_bits = 5;
  return tile;
}

DrawOptions few_vectors() {
  DrawOptions options;
  options.vectors = 22;
  options.draws = 3;
  return options;
}

}  // namespace

TEST_CASE("Every draw holds out the same share of its vectors", "[property]") {
  DrawOptions options = few_vectors();
  options.vectors = 240;
  const auto set = draw_reference_inputs(small_pair_tile(), options, 1);
  for (int d = 0; d < 3; ++d) {
    const auto of_draw = (set.draw.array() == d);
    CHECK(of_draw.count() == 80);
    CHECK((of_draw && set.held_out.array() == 1).count() == 20);
  }
}

TEST_CASE("A weight's size is on the side of its sign, and inputs keep to their scale and density", "[property]") {
  DrawOptions options = few_vectors();
  options.density_low = options.density_high = 0.4;
  options.scale_low = options.scale_high = 0.2;
  options.vectors = 300;
  data::TileSpec tile = small_pair_tile();
  tile.rows = 100;
  tile.pulse.dac_bits = 12;
  const auto set = draw_reference_inputs(tile, options, 3);
  for (std::size_t d = 0; d < set.g_plus_siemens.size(); ++d) {
    const Array smaller = set.g_plus_siemens[d].array().min(set.g_minus_siemens[d].array());
    CHECK((smaller == tile.g_min_siemens).all());
    CHECK(set.g_plus_siemens[d].maxCoeff() <= tile.g_max_siemens * (1.0 + 1e-12));
  }
  // 30 000 Bernoulli draws (a code can also round to 0: with 2047 steps in 0.1 % of the cases); five standard errors.
  const double on = static_cast<double>((set.codes.array() > 0).count()) / static_cast<double>(set.codes.size());
  CHECK(on == Approx(0.4).margin(5.0 * std::sqrt(0.24 / 30000.0) + 1e-3));
  // Mean of |normal| is sqrt(2 / pi).
  const double mean = set.codes.cast<double>().sum() / static_cast<double>((set.codes.array() > 0).count()) / 2047.0;
  CHECK(mean == Approx(0.2 * std::sqrt(2.0 / 3.14159265358979)).epsilon(0.03));
}

TEST_CASE("Reference data are the charges of both arrays, with their energies", "[property]") {
  const ScratchFolder folder;
  ReferenceOptions options;
  options.vectors_per_shard = 5;
  const auto set = run_reference(draw_reference_inputs(small_pair_tile(), few_vectors(), 1), options, folder.path() / "work");
  REQUIRE(set.vectors() == 22);
  for (const Index v : {0, 7, 21}) {
    const auto d = static_cast<std::size_t>(set.draw[v]);
    const IntVector codes = set.codes.row(v).transpose();
    const auto plus = solve_charge(Crossbar(set.tile, set.g_plus_siemens[d]), codes);
    const auto minus = solve_charge(Crossbar(set.tile, set.g_minus_siemens[d]), codes);
    CHECK(plus.charge_coulomb.transpose() == set.charge_plus_coulomb.row(v));
    CHECK(minus.charge_coulomb.transpose() == set.charge_minus_coulomb.row(v));
    CHECK(set.energy_joule.row(v).head(5).sum() == Approx(plus.energy_joule.source + minus.energy_joule.source).epsilon(1e-10));
    CHECK(set.energy_joule(v, 5) == plus.wire_charging_joule + minus.wire_charging_joule);
    REQUIRE(set.peak_supply_ampere.cols() == 24);
    REQUIRE(plus.peak_supply_ampere.size() == 12);
    REQUIRE(minus.average_supply_ampere.size() == 12);
    CHECK(set.peak_supply_ampere.row(v).head(12) == plus.peak_supply_ampere.transpose());
    CHECK(set.average_supply_ampere.row(v).tail(12) == minus.average_supply_ampere.transpose());
  }
}

TEST_CASE("Interrupted reference generation goes on bitwise equal, whatever the threads", "[property]") {
  const ScratchFolder folder;
  const auto inputs = draw_reference_inputs(small_pair_tile(), few_vectors(), 1);
  ReferenceOptions options;
  options.vectors_per_shard = 4;
  options.threads = 1;
  const auto whole = run_reference(inputs, options, folder.path() / "whole");
  int calls = 0;
  CHECK_THROWS_AS(run_reference(inputs, options, folder.path() / "parts", [&](double, std::string_view) { return ++calls < 6; }), Error);
  options.threads = 3;
  const auto resumed = run_reference(inputs, options, folder.path() / "parts");
  data::write_reference_set(folder.path() / "a.h5", whole);
  data::write_reference_set(folder.path() / "b.h5", resumed);
  CHECK(hash_file(folder.path() / "a.h5") == hash_file(folder.path() / "b.h5"));
}

TEST_CASE("Transient and event-driven reference sets agree", "[cross]") {
  const ScratchFolder folder;
  const auto inputs = draw_reference_inputs(small_pair_tile(), few_vectors(), 1);
  ReferenceOptions options;
  const auto events = run_reference(inputs, options, folder.path() / "events");
  options.method = "transient";
  options.transient.relative_tolerance = 1e-4;
  const auto transient = run_reference(inputs, options, folder.path() / "transient");
  const double largest = events.charge_plus_coulomb.maxCoeff();
  CHECK((events.charge_plus_coulomb - transient.charge_plus_coulomb).cwiseAbs().maxCoeff() < 1e-9 * largest);
}

TEST_CASE("A tile that does not settle stops the event-driven generation and says what to use", "[error]") {
  const ScratchFolder folder;
  data::TileSpec tile = small_pair_tile();
  tile.r_col_ohm = 100.0;
  tile.c_col_farad = 500e-15;
  const auto inputs = draw_reference_inputs(tile, few_vectors(), 1);
  CHECK_THROWS_WITH(run_reference(inputs, {}, folder.path() / "work"), Catch::Contains("not settled") && Catch::Contains("transient"));
}

TEST_CASE("Draw options outside their range are refused by name", "[error]") {
  DrawOptions options;
  options.held_out_share = 1.5;
  CHECK_THROWS_WITH(draw_reference_inputs(small_pair_tile(), options, 1), Catch::Contains("held_out_share") && Catch::Contains("1.5"));
}

TEST_CASE("The event-driven method refuses a tile with an op-amp", "[error]") {
  const ScratchFolder folder;
  data::TileSpec tile = small_pair_tile();
  tile.front_end.kind = data::FrontEndKind::integrator;
  const auto inputs = draw_reference_inputs(tile, few_vectors(), 1);
  CHECK_THROWS_WITH(run_reference(inputs, {}, folder.path() / "work"), Catch::Contains("integrator") && Catch::Contains("transient"));
}

TEST_CASE("Behind oscillators a reference set holds whole counts, just below the charges", "[property]") {
  const ScratchFolder folder;
  data::TileSpec tile = small_pair_tile();
  const auto inputs = draw_reference_inputs(tile, few_vectors(), 1);
  const auto exact = run_reference(inputs, {}, folder.path() / "exact");
  auto counted = inputs;
  counted.tile.front_end.kind = data::FrontEndKind::cco;
  const double step = counted.tile.front_end.charge_per_count_coulomb = 3e-16;
  counted.tile.front_end.highest_frequency_hz = 1e12;
  const auto set = run_reference(counted, {}, folder.path() / "counted");
  for (const auto charge : {&data::ReferenceSet::charge_plus_coulomb, &data::ReferenceSet::charge_minus_coulomb}) {
    const Array counts = (set.*charge).array() / step;
    CHECK((counts - counts.round()).abs().maxCoeff() < 1e-6);
    const Array lost = (exact.*charge - set.*charge).array() / step;
    CHECK(lost.minCoeff() > -1e-6);
    CHECK(lost.maxCoeff() < 1.0);
    CHECK(lost.maxCoeff() > 0.5);
  }
  CHECK(set.energy_joule == exact.energy_joule);
}
