// Against ngspice, which shares nothing with this project. A missing ngspice is a failure: scripts/packages.txt installs it.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <optional>

#include "../core/scratch.hpp"
#include "../data/random_tile.hpp"
#include "circuit/ngspice.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "support.hpp"

using namespace crosstile;
using namespace crosstile::circuit;
using namespace crosstile::circuit::test;
using namespace crosstile::data;

namespace {

// What must not be left to chance in one random tile.
struct Kind {
  Drive drive;
  CellLaw law;
  SelectorKind selector;
  FrontEndKind front_end;
  std::uint64_t number;
  bool ohmic() const { return law == CellLaw::ohmic && selector == SelectorKind::resistor; }
};

std::vector<Kind> all_kinds(std::uint64_t repeats) {
  std::vector<Kind> kinds;
  for (std::uint64_t repeat = 0; repeat < repeats; ++repeat)
    for (const Drive drive : {Drive::level, Drive::bipolar, Drive::gated})
      for (const CellLaw law : {CellLaw::ohmic, CellLaw::sinh})
        for (const SelectorKind selector : {SelectorKind::resistor, SelectorKind::mos})
          for (const FrontEndKind front_end : {FrontEndKind::ideal, FrontEndKind::integrator, FrontEndKind::cco})
            kinds.push_back({drive, law, selector, front_end, kinds.size()});
  return kinds;
}

// Every other field drawn; half of the wires and capacitances are zero, the exact limits.
TileSpec draw_tile(const Kind& kind) {
  testing::Draw draw(kind.number + 4000);
  TileSpec tile = plain_tile(draw.integer(1, 8), draw.integer(1, 8));
  tile.drive = kind.drive;
  tile.weight_layout = kind.drive == Drive::bipolar ? WeightLayout::bipolar : WeightLayout::single;
  tile.cell.law = kind.law;
  tile.cell.v_h_volt = draw.range(0.08, 0.3);
  tile.selector.kind = kind.selector;
  tile.selector.r_on_ohm = draw.coin() ? draw.log_range(100.0, 5000.0) : 0.0;
  tile.selector.gate_on_volt = draw.range(0.7, 1.2);
  tile.selector.beta_ampere_per_volt2 = draw.log_range(1e-4, 2e-3);
  tile.sense = draw.any<SenseEnd>();
  tile.drivers = draw.any<DriverEnds>();
  tile.sense_segment = draw.coin() ? 1.0 : 0.5;
  for (double* const ohm : {&tile.r_row_ohm, &tile.r_col_ohm, &tile.r_driver_ohm, &tile.r_sense_ohm})
    *ohm = draw.coin() ? draw.log_range(0.3, 300.0) : 0.0;
  for (double* const farad : {&tile.c_row_farad, &tile.c_col_farad}) *farad = draw.coin() ? draw.log_range(0.5e-15, 50e-15) : 0.0;
  tile.g_max_siemens = kind.front_end == FrontEndKind::cco ? 20e-6 : 100e-6;
  tile.pulse.dac_bits = 5;
  tile.pulse.passes = draw.any<Passes>();
  tile.pulse.split_bits = 2;
  tile.pulse.align = draw.any<PulseAlign>();
  tile.pulse.sign = draw.any<SignMode>();
  tile.pulse.t_edge_s = draw.coin() ? draw.range(0.05e-9, 1e-9) : 0.0;
  FrontEndSpec& front_end = tile.front_end;
  front_end.kind = kind.front_end;
  if (kind.front_end == FrontEndKind::integrator) {
    tile.r_sense_ohm += 50.0;
    front_end.dc_gain = draw.log_range(30.0, 1e4);
    front_end.leak_siemens = draw.coin() ? 1e-7 : 0.0;
    front_end.offset_volt = draw.range(-2e-3, 2e-3);
  }
  if (kind.front_end != FrontEndKind::cco) return tile;
  // Counts so fine, and not multiplied by weights, that they hide nothing; every other oscillator meets its highest frequency.
  tile.pulse.passes = Passes::conventional;
  front_end.charge_per_count_coulomb = 1e-20;
  front_end.counter_bits = 40;
  front_end.highest_frequency_hz = draw.coin() ? 1e15 : 3e14;
  return tile;
}

Crossbar draw_crossbar(const Kind& kind) {
  const TileSpec tile = draw_tile(kind);
  Matrix g = random_conductances(tile, kind.number);
  if (kind.number % 3 == 0) g(0, 0) = 0.0;
  if (tile.drive != Drive::bipolar) return {tile, g};
  return {tile, g, random_conductances(tile, kind.number, 1)};
}

struct Comparison {
  double difference = 0.0;  // of the largest charge
  std::string failure;
};

Comparison compare(const Kind& kind) {
  const Crossbar crossbar = draw_crossbar(kind);
  const IntVector codes = random_codes(crossbar.rows(), kind.front_end == FrontEndKind::cco ? -4 : -15, 15, kind.number);
  TransientOptions options;
  options.relative_tolerance = 1e-9;
  const auto own = solve_transient(crossbar, codes, options);
  const auto spice = run_ngspice(crossbar, codes);
  if (own.status != Status::ok || spice.status != Status::ok) return {1.0, own.failure + spice.failure};
  const double largest = std::max(own.charge_coulomb.cwiseAbs().maxCoeff(), spice.charge_coulomb.cwiseAbs().maxCoeff());
  double difference = (own.charge_coulomb - spice.charge_coulomb).cwiseAbs().maxCoeff();
  if (kind.front_end == FrontEndKind::cco)  // a phase near a whole number may be counted either way, once a pass
    for (const auto& pass : make_passes(codes, crossbar.tile))
      difference -= std::abs(pass.weight) * crossbar.tile.front_end.charge_per_count_coulomb;
  return {largest > 0.0 ? difference / largest : difference, ""};
}

class WithEnvironment {
 public:
  WithEnvironment(const char* name, const std::string& value) : name_(name) {
    if (const char* const old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~WithEnvironment() {
    if (old_) ::setenv(name_, old_->c_str(), 1);
    else ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

Crossbar one_cell(const TileSpec& tile, double g = 20e-6) { return {tile, Matrix::Constant(1, 1, g)}; }

TileSpec one_cell_tile() {
  TileSpec tile = plain_tile(1, 1);
  tile.drive = Drive::level;
  tile.r_driver_ohm = 300.0;
  tile.r_sense_ohm = 200.0;
  return tile;
}

}  // namespace

TEST_CASE("Random small tiles of every kind have the charges of ngspice", "[cross]") {
  const auto kinds = all_kinds(2);
  REQUIRE(kinds.size() >= 50);
  std::vector<Comparison> found(kinds.size());
  parallel_for(static_cast<Index>(kinds.size()), 0, [&](Index k, int) {
    found[static_cast<std::size_t>(k)] = compare(kinds[static_cast<std::size_t>(k)]);
  });
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    const Kind& kind = kinds[k];
    CAPTURE(kind.number, to_name(kind.drive), to_name(kind.law), to_name(kind.selector), to_name(kind.front_end));
    REQUIRE(found[k].failure == "");
    CHECK(found[k].difference < (kind.ohmic() ? 2e-6 : 1e-5));
  }
}

TEST_CASE("One cell without capacitance has its closed-form charge in ngspice", "[analytic]") {
  TileSpec tile = one_cell_tile();
  IntVector codes(1);
  codes << 9;
  const double wires = tile.r_driver_ohm + tile.r_row_ohm + tile.r_col_ohm + tile.r_sense_ohm;
  const double g = 20e-6;
  const double seconds = 9.0 * tile.pulse.t_lsb_s;
  SECTION("ohmic") {
    const double expected = seconds * tile.v_read_volt / (wires + 1.0 / g);
    CHECK(run_ngspice(one_cell(tile, g), codes).charge_coulomb[0] == Approx(expected).epsilon(1e-7));
  }
  SECTION("behind a transistor") {
    tile.selector.kind = SelectorKind::mos;
    tile.selector.gate_on_volt = 0.7;
    tile.selector.beta_ampere_per_volt2 = 1e-4;
    const double phi = 1.380649e-23 * tile.selector.temperature_kelvin / 1.602176634e-19;
    const double pinch = (tile.selector.gate_on_volt - tile.selector.threshold_volt) / tile.selector.slope_factor;
    const double scale = 2.0 * tile.selector.slope_factor * tile.selector.beta_ampere_per_volt2 * phi * phi;
    const auto f = [&](double v) { return std::pow(std::log1p(std::exp(v / (2.0 * phi))), 2); };
    // The current i for which source and drain are where the resistances put them.
    double low = 0.0, high = tile.v_read_volt / (wires + 1.0 / g);
    for (int step = 0; step < 200; ++step) {
      const double i = 0.5 * (low + high);
      const double source = i * (tile.r_col_ohm + tile.r_sense_ohm);
      const double drain = tile.v_read_volt - i * (tile.r_driver_ohm + tile.r_row_ohm + 1.0 / g);
      (scale * (f(pinch - source) - f(pinch - drain)) > i ? low : high) = i;
    }
    CHECK(low < 0.9 * tile.v_read_volt / (wires + 1.0 / g));  // the transistor matters
    CHECK(run_ngspice(one_cell(tile, g), codes).charge_coulomb[0] == Approx(seconds * low).epsilon(2e-6));
  }
  SECTION("counted by an oscillator") {
    tile.front_end.kind = FrontEndKind::cco;
    const double current = tile.v_read_volt / (wires + 1.0 / g);
    tile.front_end.charge_per_count_coulomb = seconds * current / 17.5;
    const auto counted = run_ngspice(one_cell(tile, g), codes);
    CHECK(counted.pass_phase(0, 0) == Approx(17.5).epsilon(1e-6));
    CHECK(counted.charge_coulomb[0] == Approx(17.0 * tile.front_end.charge_per_count_coulomb).epsilon(1e-12));
    tile.front_end.counter_bits = 3;
    CHECK(run_ngspice(one_cell(tile, g), codes).charge_coulomb[0] == Approx(7.0 * tile.front_end.charge_per_count_coulomb).epsilon(1e-12));
    tile.front_end.counter_bits = 15;
    tile.front_end.highest_frequency_hz = 5.25 / seconds;
    CHECK(run_ngspice(one_cell(tile, g), codes).pass_phase(0, 0) == Approx(5.25).epsilon(1e-6));
  }
}

TEST_CASE("What ngspice printed is read strictly", "[error]") {
  const std::string good = "Circuit: x\nend_s = 1.0e-08\npoints = 5.0e+01\ncharge_0 = 1.5e-13\ncharge_1 = -2.0e-13\n";
  const auto answer = parse_ngspice_output(good, 2, 1e-8, false);
  CHECK(answer.points == 50);
  CHECK(answer.charge_coulomb[0] == 1.5e-13);
  CHECK(answer.charge_coulomb[1] == -2e-13);
  CHECK_THROWS_WITH(parse_ngspice_output(good, 3, 1e-8, false), Catch::Contains("charge_2"));
  CHECK_THROWS_WITH(parse_ngspice_output(good, 2, 1e-8, true), Catch::Contains("phase_0"));
  CHECK_THROWS_WITH(parse_ngspice_output(good, 2, 2e-8, false), Catch::Contains("stopped at 1e-08 s of 2e-08 s"));
  CHECK_THROWS_WITH(parse_ngspice_output("", 2, 1e-8, false), Catch::Contains("end_s"));
  CHECK_THROWS_WITH(parse_ngspice_output(good + "charge_1 = nan\n", 2, 1e-8, false), Catch::Contains("charge_1 is not finite"));
}

TEST_CASE("A missing ngspice is said so", "[error]") {
  IntVector codes(1);
  codes << 9;
  const WithEnvironment path("PATH", "");
  testing::require_error(testing::error_of([&] { run_ngspice(one_cell(one_cell_tile()), codes); }), ErrorKind::usage,
                         {"ngspice is not installed", "PATH"});
}

TEST_CASE("An ngspice without an answer is a status, and its last words are kept", "[error]") {
  const testing::ScratchFolder scratch;
  IntVector codes(1);
  codes << 9;
  NgspiceOptions options;
  options.program = scratch / "ngspice";
  const auto pretend = [&](const std::string& script) {
    testing::put_bytes(options.program, "#!/bin/sh\n" + script);
    std::filesystem::permissions(options.program, std::filesystem::perms::owner_all);
    return run_ngspice(one_cell(one_cell_tile()), codes, options);
  };
  const auto silent = pretend("echo doAnalyses: timestep too small\nexit 0\n");
  CHECK(silent.status == Status::not_converged);
  CHECK_THAT(silent.failure, Catch::Contains("pass 1 of 1") && Catch::Contains("end_s") && Catch::Contains("timestep too small"));
  const auto failed = pretend("echo no space >&2\nexit 3\n");
  CHECK(failed.status == Status::not_converged);
  CHECK_THAT(failed.failure, Catch::Contains("exit code 3") && Catch::Contains("no space"));
  const auto killed = pretend("kill -9 $$\n");
  CHECK_THAT(killed.failure, Catch::Contains("exit code 137"));
  options.program = scratch / "none";
  CHECK_THROWS_WITH(run_ngspice(one_cell(one_cell_tile()), codes, options), Catch::Contains("cannot start"));
}

TEST_CASE("A run leaves no folder behind, also when it is stopped", "[property]") {
  const testing::ScratchFolder scratch;
  const WithEnvironment temporary("TMPDIR", scratch.path().string());
  IntVector codes(1);
  codes << 9;
  CHECK(run_ngspice(one_cell(one_cell_tile()), codes).status == Status::ok);
  CHECK(scratch.entries() == 0);
  NgspiceOptions slow;
  slow.netlist.max_step_s = 1e-16;  // ten million steps
  const auto stop = [](double, std::string_view) { return false; };
  CHECK(testing::error_of([&] { run_ngspice(one_cell(one_cell_tile()), codes, slow, stop); }).kind() == ErrorKind::interrupted);
  CHECK(scratch.entries() == 0);
  const WithEnvironment nowhere("TMPDIR", (scratch / "none").string());
  CHECK(testing::error_of([&] { run_ngspice(one_cell(one_cell_tile()), codes); }).kind() == ErrorKind::io);
}
