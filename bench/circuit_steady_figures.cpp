#include <fmt/format.h>

#include "bench/cholmod_baseline.hpp"
#include "bench/circuit_figures.hpp"
#include "bench/workloads.hpp"

namespace crosstile::bench {

namespace {

using circuit::Status;

constexpr Index kBatch = 64;
// Kirchhoff error for sense currents within 1e-10; the table shows how far they are from CHOLMOD's.
constexpr circuit::SteadyOptions kEnough{.tolerance = 5e-11};

std::string failure_of(Status status) { return status == Status::ok ? "" : circuit::to_text(status); }

std::string own_text(const Samples& samples) { return to_text(seconds(samples)); }

// Largest relative difference, column by column.
double column_error(const Matrix& ours, const Matrix& theirs) {
  return ((ours - theirs).array() / theirs.array()).abs().maxCoeff();
}

struct CholmodTimes {
  Samples analyse, factorise, solve, first;
  void add(CholmodBaseline& baseline, const Matrix& line_volt) {
    baseline.reset();
    const double a = cold_cpu_seconds([&] { baseline.analyse(); });
    const double f = cpu_seconds([&] { baseline.factorise(); });
    const double s = cpu_seconds([&] { baseline.solve(line_volt); });
    analyse.add(a);
    factorise.add(f);
    solve.add(s);
    first.add(a + f + s);
  }
  std::string parts() const {
    return fmt::format("analyse {}, factorise {}, solve {}", to_text(seconds(analyse.best())), to_text(seconds(factorise.best())),
                       to_text(seconds(solve.best())));
  }
};

void add_first_vector(Report& report, const circuit::Crossbar& crossbar, const Matrix& volts, CholmodBaseline& baseline) {
  const auto drive = drive_of(volts.row(0).transpose());
  const Matrix first_volt = volts.topRows(1);
  circuit::SteadyState state;
  CholmodTimes theirs;
  Samples ours;
  for (int round = 0; round < (report.quick() ? 1 : 5); ++round) {
    theirs.add(baseline, first_volt);
    for (int repeat = 0; repeat < 3; ++repeat) ours.add(cold_cpu_seconds([&] { state = solve_steady(crossbar, drive, kEnough); }));
  }
  const std::string failure = failure_of(state.report.status);
  report.add(Figure{.name = "512 x 512, 0.35 ohm: first vector, speed-up",
                    .goal = at_least(100),
                    .reached = times(theirs.first.best() / ours.best()),
                    .note = fmt::format("{}, {} iterations", own_text(ours), state.report.iterations),
                    .baseline = Baseline{"CHOLMOD", seconds(theirs.first), theirs.parts()},
                    .failure = failure});

  const double ours_bytes = peak_memory_growth([&] { solve_steady(random_crossbar(crossbar.tile), drive, kEnough); });
  const double theirs_bytes = baseline.peak_bytes();
  report.add(Figure{.name = "its memory over the baseline's",
                    .goal = at_most(0.25),
                    .reached = times(ours_bytes / theirs_bytes),
                    .note = to_text(bytes(ours_bytes)) + " resident",
                    .baseline = Baseline{"CHOLMOD", bytes(theirs_bytes), "its own account"},
                    .failure = failure});
  report.add(Figure{.name = "its sense currents, largest relative difference",
                    .goal = at_most(1e-10),
                    .reached = number(column_error(state.sense_ampere.transpose(), baseline.solve(first_volt))),
                    .note = fmt::format("Kirchhoff error {:.1e}", state.report.kirchhoff_error),
                    .baseline = Baseline{"CHOLMOD", {}, ""},
                    .failure = failure});
}

void add_further_vectors(Report& report, const circuit::Crossbar& crossbar, const Matrix& volts, CholmodBaseline& baseline) {
  const std::vector<bool> conducting(static_cast<std::size_t>(crossbar.lines()), true);
  const Matrix first_volt = volts.topRows(1);
  Samples ours, theirs, single;
  circuit::SteadyBatch batch;
  Matrix expected;
  const auto per_vector = [](double seconds_taken) { return seconds_taken / static_cast<double>(kBatch); };
  for (int round = 0; round < (report.quick() ? 1 : 3); ++round) {
    theirs.add(per_vector(cpu_seconds([&] { expected = baseline.solve(volts); })));
    ours.add(per_vector(cpu_seconds([&] { batch = solve_steady_batch(crossbar, volts, conducting, 1, kEnough); })));
  }
  for (int round = 0; round < 5; ++round) single.add(cpu_seconds([&] { baseline.solve(first_volt); }));
  const std::string failure = failure_of(batch.report.status);
  report.add(Figure{.name = "further vectors, 64 at once: speed-up per vector",
                    .goal = at_least(6),
                    .reached = times(theirs.best() / ours.best()),
                    .note = own_text(ours),
                    .baseline = Baseline{"CHOLMOD, 64 at once", seconds(theirs), ""},
                    .failure = failure});
  report.add(Figure{.name = "the same over one right-hand side at a time",
                    .goal = {},
                    .reached = times(single.best() / ours.best()),
                    .note = fmt::format("64 currents differ by {:.1e}", column_error(batch.sense_ampere, expected)),
                    .baseline = Baseline{"CHOLMOD, one at a time", seconds(single), ""},
                    .failure = failure});
}

// One size and resistance, set up once.
struct SteadyCase {
  SteadyCase(Index size, double r_ohm) : crossbar(random_crossbar(mesh_tile(size, r_ohm))) {
    drive = drive_of(random_line_volts(crossbar, 1).row(0).transpose());
  }
  void run(const circuit::SteadyOptions& options = kEnough) {
    samples.add(cold_cpu_seconds([&] { report = solve_steady(crossbar, drive, options).report; }));
  }
  std::string note() const { return fmt::format("{}, {} iterations", own_text(samples), report.iterations); }

  circuit::Crossbar crossbar;
  circuit::LineDrive drive;
  circuit::SteadyReport report;
  Samples samples;
};

void add_ratio(Report& report, const std::string& name, double goal, const SteadyCase& wanted, const SteadyCase& base) {
  report.add(Figure{.name = name,
                    .goal = at_most(goal),
                    .reached = times(wanted.samples.best() / base.samples.best()),
                    .note = wanted.note(),
                    .baseline = Baseline{"512 x 512, 0.35 ohm", seconds(base.samples),
                                         fmt::format("{} iterations", base.report.iterations)},
                    .failure = failure_of(wanted.report.status)});
}

}  // namespace

void cholmod_figures(Report& report) {
  const auto crossbar = random_crossbar(mesh_tile(512, 0.35));
  const Matrix volts = random_line_volts(crossbar, kBatch);
  CholmodBaseline baseline(crossbar);
  add_first_vector(report, crossbar, volts, baseline);
  add_further_vectors(report, crossbar, volts, baseline);
}

void size_figures(Report& report) {
  SteadyCase base(512, 0.35), large(1024, 1.0), resistive(512, 20.0);
  for (int round = 0; round < (report.quick() ? 3 : 9); ++round) {
    base.run();
    large.run();
    resistive.run();
  }
  add_ratio(report, "1024 x 1024, 1 ohm: cost", 6, large, base);
  add_ratio(report, "512 x 512, 20 ohm: cost", 2.5, resistive, base);

  SteadyCase huge(2048, 1.0);
  for (int round = 0; round < 3; ++round) huge.run();
  report.add(Figure{.name = "2048 x 2048, 1 ohm: time",
                    .goal = at_most(1.2),
                    .reached = seconds(huge.samples),
                    .note = fmt::format("{} iterations", huge.report.iterations),
                    .failure = failure_of(huge.report.status)});
  const double growth = peak_memory_growth([] { SteadyCase(2048, 1.0).run(); });
  report.add(Figure{.name = "its memory, conductances included", .goal = at_most(2e9), .reached = bytes(growth), .note = "resident"});

  SteadyCase corner(2048, 100.0);
  corner.run();
  report.add(Figure{.name = "2048 x 2048, 100 ohm: iterations (stretch: 60)",
                    .goal = at_most(circuit::SteadyOptions{}.max_iterations),
                    .reached = number(corner.report.iterations),
                    .note = fmt::format("{}, Kirchhoff error {:.1e}", own_text(corner.samples), corner.report.kirchhoff_error),
                    .failure = failure_of(corner.report.status)});
}

void cost_series(Report& report) {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  Series sizes{"Steady state against size, both wires 1 ohm per cell", {{"N", ""}, {"time", "s"}, {"per node", "s"}, {"iterations", ""},
               {"Kirchhoff error", ""}, {"CHOLMOD, first vector", "s"}}, {}};
  for (const Index size : {64, 128, 256, 512, 1024, 2048}) {
    SteadyCase point(size, 1.0);
    for (int round = 0; round < (size > 512 ? 3 : 9); ++round) point.run();
    double direct = nan;
    if (size <= (report.quick() ? 256 : 1024)) {
      CholmodBaseline baseline(point.crossbar);
      CholmodTimes theirs;
      theirs.add(baseline, point.drive.line_volt.transpose());
      direct = theirs.first.best();
    }
    const bool ok = point.report.status == Status::ok;
    sizes.rows.push_back({static_cast<double>(size), ok ? point.samples.best() : nan,
                          point.samples.best() / static_cast<double>(2 * size * size), static_cast<double>(point.report.iterations),
                          point.report.kirchhoff_error, direct});
  }
  report.add(std::move(sizes));

  Series resistances{"Steady state against wire resistance, 512 x 512",
                     {{"r", "ohm"}, {"time", "s"}, {"iterations", ""}, {"Kirchhoff error", ""}}, {}};
  for (const double r_ohm : {0.01, 0.1, 0.35, 1.0, 5.0, 20.0, 100.0}) {
    SteadyCase point(512, r_ohm);
    for (int round = 0; round < 5; ++round) point.run();
    const bool ok = point.report.status == Status::ok;
    resistances.rows.push_back({r_ohm, ok ? point.samples.best() : nan, static_cast<double>(point.report.iterations),
                                point.report.kirchhoff_error});
  }
  report.add(std::move(resistances));
}

void effective_figures(Report& report) {
  const auto crossbar = random_crossbar(mesh_tile(512, 0.35, data::Drive::level));
  Matrix one, two;
  Samples ours, both;
  for (int round = 0; round < (report.quick() ? 1 : 2); ++round) {
    ours.add(cpu_seconds([&] { one = effective_matrix(crossbar, 1); }));
    both.add(wall_seconds([&] { two = effective_matrix(crossbar, 2); }));
  }
  const Vector volt = random_line_volts(crossbar, 1).row(0).transpose();
  const Vector expected = solve_steady(crossbar, drive_of(volt)).sense_ampere;
  report.add(Figure{.name = "effective matrix of 512 x 512, 0.35 ohm",
                    .goal = at_most(3),
                    .reached = seconds(ours),
                    .note = fmt::format("against a steady solve {:.1e}", distance(one.transpose() * volt, expected))});
  report.add(Figure{.name = "the same on two threads",
                    .goal = {},
                    .reached = seconds(both),
                    .note = fmt::format("wall clock; same bits: {}", one == two ? "yes" : "no")});
}

}  // namespace crosstile::bench
