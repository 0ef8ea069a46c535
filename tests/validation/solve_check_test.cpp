// solve --check: which invariants are measured for which run, and that a sound run passes them.
#include <catch2/catch.hpp>

#include "core/random.hpp"
#include "data/pulse.hpp"
#include "validation/solve.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using Verdict = CheckLine::Verdict;

namespace {

SolveInput random_input(data::TileSpec tile, Index vectors, double lowest = -1.0) {
  SolveInput input;
  const auto draw = [&](std::uint64_t event) {
    const Matrix u = random_uniform_matrix({91, Stream::test, 0}, tile.rows, tile.cols, event);
    return Matrix(tile.g_min_siemens + (tile.g_max_siemens - tile.g_min_siemens) * u.array());
  };
  input.tile = tile;
  input.g_siemens = draw(1);
  if (tile.weight_layout != data::WeightLayout::single) input.g_minus_siemens = draw(2);
  const Matrix x = random_uniform_matrix({92, Stream::test, 0}, vectors, tile.rows);
  input.codes = data::dac_codes((lowest + (1.0 - lowest) * x.array()).matrix(), tile.pulse.dac_bits);
  return input;
}

data::TileSpec resistive_tile(Index rows, Index cols) {
  data::TileSpec tile;
  tile.rows = rows;
  tile.cols = cols;
  tile.r_row_ohm = tile.r_col_ohm = 2.0;
  tile.r_driver_ohm = tile.r_sense_ohm = 15.0;
  tile.pulse.dac_bits = 5;
  return tile;
}

std::vector<CheckLine> check(const SolveInput& input, SolveMethod method) {
  SolveOptions options;
  options.method = method;
  options.threads = 1;
  return check_solve(input, options);
}

const CheckLine& line(const std::vector<CheckLine>& lines, const std::string& name) {
  for (const auto& entry : lines)
    if (entry.name == name) return entry;
  FAIL("no line \"" + name + "\"");
  return lines.front();
}

void require_no_failure(const std::vector<CheckLine>& lines) {
  for (const auto& entry : lines) {
    CAPTURE(entry.name, entry.residual, entry.gate, entry.note);
    CHECK(entry.verdict != Verdict::fail);
    CHECK(!entry.note.empty());
    if (entry.verdict == Verdict::pass) CHECK(entry.gate > 0.0);
  }
}

}  // namespace

TEST_CASE("A sound run of every drive, cell and way of pulsing passes its checks", "[property]") {
  for (const auto& drive : data::EnumNames<data::Drive>::value)
    for (const auto& law : data::EnumNames<data::CellLaw>::value)
      for (const auto& passes : data::EnumNames<data::Passes>::value)
        for (const auto& align : data::EnumNames<data::PulseAlign>::value)
          for (const auto& sign : data::EnumNames<data::SignMode>::value) {
            CAPTURE(drive.name, law.name, passes.name, align.name, sign.name);
            data::TileSpec tile = resistive_tile(7, 5);
            tile.drive = drive.value;
            if (drive.value == data::Drive::bipolar) tile.weight_layout = data::WeightLayout::bipolar;
            tile.cell.law = law.value;
            tile.pulse.passes = passes.value;
            tile.pulse.split_bits = 2;
            tile.pulse.align = align.value;
            tile.pulse.sign = sign.value;
            const SolveInput input = random_input(tile, 2);
            const auto lines = check(input, SolveMethod::charge);
            require_no_failure(lines);
            CHECK(line(lines, "Kirchhoff").verdict == Verdict::pass);
            CHECK(line(lines, "ideal limit").verdict == Verdict::pass);
            CHECK(line(lines, "charge = transient").verdict == Verdict::pass);
            const bool ohmic = law.value == data::CellLaw::ohmic;
            CHECK(line(lines, "reciprocity").verdict == (ohmic ? Verdict::pass : Verdict::skipped));
            const bool positive = ohmic && drive.value != data::Drive::bipolar;
            CHECK(line(lines, "total <= ideal").verdict == (positive ? Verdict::pass : Verdict::skipped));
            const bool linear = ohmic && drive.value != data::Drive::gated;
            CHECK(line(lines, "superposition of charges").verdict ==
                  (linear ? Verdict::pass : Verdict::info));
            if (!linear) CHECK(line(lines, "superposition of charges").residual > 1e-6);
          }
}

TEST_CASE("Every method is checked against the one it stands for", "[property]") {
  data::TileSpec tile = resistive_tile(8, 6);
  tile.drive = data::Drive::level;
  const auto effective = check(random_input(tile, 2), SolveMethod::effective);
  require_no_failure(effective);
  CHECK(line(effective, "effective = charge").verdict == Verdict::pass);

  tile.drive = data::Drive::gated;
  tile.r_row_ohm = tile.r_driver_ohm = 0.0;
  const auto binned = check(random_input(tile, 2), SolveMethod::binned);
  require_no_failure(binned);
  CHECK(line(binned, "ladder = charge").verdict == Verdict::pass);
  CHECK(line(binned, "binned -> ladder").verdict == Verdict::pass);

  const auto steady = check(random_input(tile, 2), SolveMethod::steady);
  require_no_failure(steady);
  CHECK(line(steady, "superposition of currents").verdict == Verdict::info);
  CHECK(line(steady, "superposition of currents").residual > 1e-6);
}

TEST_CASE("Reciprocity is checked at any size, and total current where it must be below the ideal one",
          "[property]") {
  const SolveInput input = random_input(resistive_tile(600, 530), 1, 0.0);
  const auto lines = check(input, SolveMethod::steady);
  require_no_failure(lines);
  CHECK(line(lines, "reciprocity").verdict == Verdict::pass);
  CHECK(line(lines, "total <= ideal").verdict == Verdict::pass);
  CHECK(line(lines, "total <= ideal").residual < -0.01);
  CHECK(line(lines, "uniform ladder").verdict == Verdict::pass);
}

TEST_CASE("Where cells that are not ohmic see ramps, the event-driven charge is measured and not judged",
          "[property]") {
  data::TileSpec tile = resistive_tile(6, 5);
  tile.cell.law = data::CellLaw::sinh;
  tile.cell.v_h_volt = 0.05;
  tile.drive = data::Drive::level;
  tile.pulse.t_edge_s = tile.pulse.t_lsb_s;
  const auto lines = check(random_input(tile, 1), SolveMethod::transient);
  require_no_failure(lines);
  CHECK(line(lines, "charge = transient").verdict == Verdict::info);
  CHECK(line(lines, "charge = transient").residual > 1e-4);
}

TEST_CASE("A transistor as selector and front ends behind the columns pass the checks of the network",
          "[property]") {
  for (const auto& drive : data::EnumNames<data::Drive>::value)
    for (const auto& kind : data::EnumNames<data::FrontEndKind>::value) {
      CAPTURE(drive.name, kind.name);
      data::TileSpec tile = resistive_tile(7, 5);
      tile.drive = drive.value;
      if (drive.value == data::Drive::bipolar) tile.weight_layout = data::WeightLayout::bipolar;
      tile.selector.kind = data::SelectorKind::mos;
      tile.front_end.kind = kind.value;
      const auto lines = check(random_input(tile, 1), SolveMethod::transient);
      require_no_failure(lines);
      for (const char* name :
           {"Kirchhoff", "power balance", "current balance", "ideal limit", "charge = transient"})
        CHECK(line(lines, name).verdict == Verdict::pass);
    }
}
