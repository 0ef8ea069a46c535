#include <fmt/format.h>

#include "bench/circuit_figures.hpp"
#include "bench/workloads.hpp"

namespace crosstile::bench {

namespace {

using circuit::ChargeOptions;
using circuit::ChargeResult;
using circuit::Status;

constexpr double kWireFarad = 0.5e-15;

// All vectors of a batch of codes through the event-driven solver: time a vector, worst status.
struct ChargeRun {
  ChargeRun(const circuit::Crossbar& which, const IntMatrix& batch) : crossbar(which), codes(batch) {}

  void run() {
    iterations = intervals = 0;
    rc_share = 0.0;
    const double taken = cpu_seconds([&] {
      for (Index v = 0; v < codes.rows(); ++v) add(solve_charge(crossbar, codes.row(v).transpose(), options()));
    });
    samples.add(taken / static_cast<double>(codes.rows()));
  }
  static ChargeOptions options() {
    ChargeOptions out;
    out.energy = false;
    out.steady.tolerance = 1e-9;  // charges still agree to 1e-9 with those of the default, which the table shows
    return out;
  }
  std::string note() const {
    const auto mean = [&](Index sum) { return static_cast<double>(sum) / static_cast<double>(codes.rows()); };
    return fmt::format("{:.0f} intervals, {:.0f} iterations, charges to {:.0e}", mean(intervals), mean(iterations), error());
  }

  const circuit::Crossbar& crossbar;
  const IntMatrix& codes;
  Samples samples;
  Index intervals = 0, iterations = 0;
  double rc_share = 0.0;
  std::string failure;

  // How far the first vector's charges are from those at the default tolerance, over the largest.
  double error() const {
    ChargeOptions exact = options();
    exact.steady = ChargeOptions{}.steady;
    const Vector expected = solve_charge(crossbar, codes.row(0).transpose(), exact).charge_coulomb;
    const Vector charge = solve_charge(crossbar, codes.row(0).transpose(), options()).charge_coulomb;
    return (charge - expected).cwiseAbs().maxCoeff() / expected.cwiseAbs().maxCoeff();
  }

 private:
  void add(const ChargeResult& result) {
    intervals += result.intervals;
    iterations += result.iterations;
    rc_share = std::max(rc_share, result.rc_share);
    if (result.status != Status::ok) failure = circuit::to_text(result.status);
  }
};

void add_gated(Report& report, const std::string& inputs, double goal_s, const IntMatrix& codes) {
  auto tile = mesh_tile(512, 0.35);
  const auto plain = random_crossbar(tile);
  tile.c_row_farad = tile.c_col_farad = kWireFarad;
  const auto with_rc = random_crossbar(tile);
  ChargeRun without(plain, codes), with(with_rc, codes);
  for (int round = 0; round < (report.quick() ? 1 : 3); ++round) {
    without.run();
    with.run();
  }
  const std::string vectors = fmt::format("mean of {} vectors", codes.rows());
  report.add(Figure{.name = "gated 512 x 512, 0.35 ohm, " + inputs + ": a vector",
                    .goal = at_most(goal_s),
                    .reached = seconds(without.samples),
                    .note = vectors + "; " + without.note(),
                    .failure = without.failure});
  report.add(Figure{.name = "the same with RC, 0.5 fF a node",
                    .goal = at_most(2.0 * goal_s),
                    .reached = seconds(with.samples),
                    .note = fmt::format("{}; RC share {:.1e}", with.note(), with.rc_share),
                    .failure = with.failure});
  report.add(Figure{.name = "cost of RC over without",
                    .goal = at_most(2),
                    .reached = times(with.samples.best() / without.samples.best()),
                    .baseline = Baseline{"without RC", seconds(without.samples)},
                    .failure = with.failure});
}

}  // namespace

void gated_figures(Report& report) {
  const auto tile = mesh_tile(512, 0.35);
  add_gated(report, "half-normal codes", 0.1, half_normal_codes(tile, report.quick() ? 2 : 8));
  if (const auto images = mnist_codes(tile, report.quick() ? 4 : 32))
    add_gated(report, "MNIST images", 0.03, *images);
  else
    report.skip("gated 512 x 512, 0.35 ohm, MNIST images: a vector", at_most(0.03), "s", "data/mnist is not there");
}

void level_figures(Report& report) {
  auto tile = mesh_tile(512, 0.35, data::Drive::level);
  tile.c_row_farad = tile.c_col_farad = kWireFarad;
  const auto crossbar = random_crossbar(tile);
  const auto drive = drive_of(random_line_volts(crossbar, 1).row(0).transpose());
  const IntMatrix codes = half_normal_codes(tile, 1);
  ChargeRun charge(crossbar, codes);
  Samples steady, with_energy;
  ChargeOptions energy;
  for (int round = 0; round < (report.quick() ? 3 : 9); ++round) {
    charge.run();
    steady.add(cpu_seconds([&] { solve_steady(crossbar, drive); }));
  }
  report.add(Figure{.name = "level 512 x 512 with RC: charge over a steady solve",
                    .goal = at_most(2),
                    .reached = times(charge.samples.best() / steady.best()),
                    .note = to_text(seconds(charge.samples)),
                    .baseline = Baseline{"solve_steady", seconds(steady)},
                    .failure = charge.failure});
  with_energy.add(cpu_seconds([&] { solve_charge(crossbar, codes.row(0).transpose(), energy); }));
  report.add(Figure{.name = "the same with its energy budget",
                    .goal = {},
                    .reached = times(with_energy.best() / steady.best()),
                    .note = to_text(seconds(with_energy)),
                    .baseline = Baseline{"solve_steady", seconds(steady)}});
}

}  // namespace crosstile::bench
