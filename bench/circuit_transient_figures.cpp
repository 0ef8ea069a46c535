#include <fmt/format.h>
#include <stdio.h>

#include <array>
#include <memory>

#include "bench/circuit_figures.hpp"
#include "bench/workloads.hpp"
#include "circuit/ngspice.hpp"
#include "core/error.hpp"

namespace crosstile::bench {

namespace {

using circuit::Status;

constexpr double kChargeError = 1e-5;  // of the largest charge, against the event-driven solver: what both have to reach
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Level drive, 0.35 ohm, 0.5 fF a node, 8-bit pulses of all lengths with edges of 0.1 ns: 128 ns that nobody can skip.
struct TransientCase {
  explicit TransientCase(Index size) : crossbar(random_crossbar(tile_of(size))), codes(uniform_codes(crossbar.tile)) {
    circuit::ChargeOptions options;
    options.energy = false;
    exact = solve_charge(crossbar, codes, options).charge_coulomb;
  }
  static data::TileSpec tile_of(Index size) {
    data::TileSpec tile = mesh_tile(size, 0.35, data::Drive::level);
    tile.c_row_farad = tile.c_col_farad = 0.5e-15;
    tile.pulse.t_edge_s = 0.1e-9;
    return tile;
  }

  circuit::Crossbar crossbar;
  IntVector codes;
  Vector exact;
};

// What one method needed for a case.
struct Reached {
  Samples samples;
  double error = kNan;
  double tolerance = 0.0;
  long steps = 0;
  std::string failure;
  bool accurate() const { return failure.empty() && error <= kChargeError; }
};

Reached run_ours(const TransientCase& which, double tolerance, int rounds) {
  Reached out;
  out.tolerance = tolerance;
  circuit::TransientOptions options;
  options.relative_tolerance = tolerance;
  circuit::TransientResult result;
  for (int round = 0; round < rounds; ++round)
    out.samples.add(cpu_seconds([&] { result = solve_transient(which.crossbar, which.codes, options); }));
  out.error = distance(result.charge_coulomb, which.exact);
  out.steps = result.steps;
  out.failure = result.failure;
  return out;
}

// The largest step is about ngspice's own default, a fiftieth of the window.
Reached run_spice(const TransientCase& which, double reltol) {
  Reached out;
  out.tolerance = reltol;
  circuit::NgspiceOptions options;
  options.netlist = circuit::NetlistOptions::fast();
  options.netlist.reltol = reltol;
  options.netlist.max_step_s = 2.5e-9;
  circuit::NgspiceResult result;
  out.samples.add(child_cpu_seconds([&] { result = run_ngspice(which.crossbar, which.codes, options); }));
  out.failure = result.failure;
  if (result.status == Status::ok) out.error = distance(result.charge_coulomb, which.exact);
  out.steps = result.points;
  return out;
}

// Tightens a method's tolerance until it reaches the charge error; the next, larger case goes on from there.
class Tightening {
 public:
  explicit Tightening(std::vector<double> tolerances) : tolerances_(std::move(tolerances)) {}
  template <typename Run>
  Reached operator()(const Run& run) {
    Reached out = run(tolerances_[at_]);
    while (!out.accurate() && at_ + 1 < tolerances_.size()) out = run(tolerances_[++at_]);
    return out;
  }

 private:
  std::vector<double> tolerances_;
  std::size_t at_ = 0;
};

bool has_ngspice() {
  try {
    return !circuit::find_ngspice().empty();
  } catch (const Error&) {
    return false;
  }
}

std::string accuracy_text(const Reached& reached) {
  if (!reached.failure.empty()) return reached.failure;
  return fmt::format("rtol {:.0e}, {} steps, error {:.1e}", reached.tolerance, reached.steps, reached.error);
}

constexpr const char* kSpeedUp = "transient 64 x 64, 128 ns of PWM with RC, level: speed-up at a charge error of 1e-5";

void add_speed_up(Report& report, const Reached& ours, const Reached& theirs) {
  std::string failure;
  if (!ours.accurate()) failure = "charge error above 1e-5";
  if (!theirs.accurate()) failure = "ngspice's charge error above 1e-5";
  report.add(Figure{.name = kSpeedUp,
                    .goal = at_least(200),
                    .reached = times(theirs.samples.best() / ours.samples.best()),
                    .note = to_text(seconds(ours.samples)) + ", " + accuracy_text(ours),
                    .baseline = Baseline{"ngspice", seconds(theirs.samples), accuracy_text(theirs)},
                    .failure = failure});
}

void add_large(Report& report, Index size, const Reached& ours) {
  report.add(Figure{.name = fmt::format("transient {} x {}: charge error", size, size),
                    .goal = at_most(kChargeError),
                    .reached = number(ours.error),
                    .note = fmt::format("{}, rtol {:.0e}, {} steps", to_text(seconds(ours.samples)), ours.tolerance, ours.steps),
                    .failure = ours.failure});
}

std::vector<double> columns_of(const Reached& reached) {
  return {reached.samples.best(), reached.tolerance, static_cast<double>(reached.steps), reached.error};
}

}  // namespace

void transient_figures(Report& report) {
  const std::string no_spice = !has_ngspice() ? "ngspice is not installed" : report.quick() ? "ngspice takes minutes (--quick)" : "";
  Tightening our_tolerance({1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 1e-9});
  Tightening spice_tolerance({1e-2, 1e-3, 1e-4, 1e-5, 1e-6});

  Series series{"Transient against size, level drive with RC, 0.35 ohm, loosest tolerance with a charge error of 1e-5",
                {{"N", ""}, {"time", "s"}, {"tolerance", ""}, {"steps", ""}, {"charge error", ""}, {"ngspice", "s"}, {"reltol", ""},
                 {"points", ""}, {"charge error", ""}}, {}};
  for (const Index size : {16, 32, 64, 128, 256}) {
    const TransientCase which(size);
    Reached ours = our_tolerance([&](double tolerance) { return run_ours(which, tolerance, 1); });
    if (size <= 64) ours = run_ours(which, ours.tolerance, 5);
    Reached theirs;
    if (has_ngspice() && size <= (report.quick() ? 16 : 64)) {
      theirs = spice_tolerance([&](double tolerance) { return run_spice(which, tolerance); });
      if (size == 64) add_speed_up(report, ours, theirs);
    } else if (size == 64) {
      report.skip(kSpeedUp, at_least(200), "x", no_spice);
    }
    if (size > 64) add_large(report, size, ours);
    std::vector<double> row{static_cast<double>(size)};
    for (const auto& reached : {ours, theirs})
      for (const double value : columns_of(reached)) row.push_back(reached.samples.empty() ? kNan : value);
    series.rows.push_back(std::move(row));
  }
  report.add(std::move(series));
}

std::string ngspice_version_text() {
  if (!has_ngspice()) return "not installed";
  const std::unique_ptr<FILE, int (*)(FILE*)> out(popen("ngspice --version 2>/dev/null", "r"), pclose);
  std::array<char, 256> line{};
  while (out && fgets(line.data(), static_cast<int>(line.size()), out.get())) {
    const std::string text = line.data();
    const auto begin = text.find("ngspice-");
    if (begin != std::string::npos) return text.substr(begin + 8, text.find_first_of(" \n", begin) - begin - 8);
  }
  return "version unknown";
}

}  // namespace crosstile::bench
