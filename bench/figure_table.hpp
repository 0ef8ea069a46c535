// Tables of measured figures, shared by the benchmark programs of all modules.
//
// A program is a list of groups. A group measures something and reports figures (name, goal, reached, baseline) and, where a curve says
// more than a number, series. run_program reads the command line, runs the groups that were asked for, prints one table with a verdict
// a figure and writes everything as JSON:
//
//     int main(int argc, char** argv) {
//       return run_program({"circuit", {{"cholmod", "512 x 512 beside sparse Cholesky", cholmod_figures}}, {}}, argc, argv);
//     }
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/measure.hpp"

namespace crosstile::bench {

/// A number with its unit. "s" and "B" are printed with a prefix (17.3 ms, 350 MB), others as they are ("x": times, "" a plain number).
struct Quantity {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string unit;
  double spread = 0.0;  ///< of repeated times: median over best, minus 1
};
inline Quantity seconds(double value) { return {value, "s"}; }
inline Quantity seconds(const Samples& samples) { return {samples.best(), "s", samples.spread()}; }
inline Quantity bytes(double value) { return {value, "B"}; }
inline Quantity times(double value) { return {value, "x"}; }
inline Quantity number(double value) { return {value, ""}; }

struct Goal {
  enum class Direction { at_least, at_most } direction;
  double value;
};
inline Goal at_least(double value) { return {Goal::Direction::at_least, value}; }
inline Goal at_most(double value) { return {Goal::Direction::at_most, value}; }

struct Baseline {
  std::string name;  ///< "CHOLMOD"
  Quantity value;
  std::string note = {};
};

/// One row of the table.
struct Figure {
  std::string name;
  std::optional<Goal> goal;  ///< in the unit of `reached`; absent: the figure is only shown
  Quantity reached;
  std::string note = {};       ///< behind the reached value: what it is made of
  std::optional<Baseline> baseline = {};
  std::string failure = {};    ///< why the value does not count although there may be one ("not converged"); the goal is missed
  std::string skipped = {};    ///< why nothing was measured
  bool is_test = false;        ///< nothing to measure: the test named by `command` asserts the goal
  std::string command = {};    ///< what reproduces it; empty: this program with --only GROUP
};

/// A curve: one row a point, every column with its unit.
struct Series {
  struct Column {
    std::string name, unit;
  };
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<double>> rows;  ///< NaN: not measured
};

/// What a group writes into.
class Report {
 public:
  explicit Report(bool quick) : quick_(quick) {}
  /// The user asked to leave out what takes minutes; leave it out with skip().
  bool quick() const { return quick_; }
  void add(Figure figure);
  void skip(const std::string& name, std::optional<Goal> goal, const std::string& unit, const std::string& why);
  void add(Series series) { series_.push_back(std::move(series)); }

  struct Row {
    std::string group;
    Figure figure;
  };
  void begin_group(const std::string& id) { group_ = id; }
  const std::vector<Row>& rows() const { return rows_; }
  const std::vector<Series>& series() const { return series_; }

 private:
  bool quick_;
  std::string group_;
  std::vector<Row> rows_;
  std::vector<Series> series_;
};

/// "met", "missed", "shown", "skipped" or "test".
std::string verdict(const Figure& figure);

/// Texts as they stand in the table: "17.3 ms +4 %", ">= 100 x".
std::string to_text(const Quantity& quantity);
std::string to_text(const Goal& goal, const std::string& unit);

struct Group {
  std::string id;     ///< for --only
  std::string title;
  std::function<void(Report&)> measure;
};

struct Program {
  std::string name;  ///< "circuit": scripts/bench.sh circuit, build/bench/circuit.json
  std::vector<Group> groups;
  std::vector<std::pair<std::string, std::string>> baselines;  ///< name and version
};

/// Options: --only TEXT (groups whose id contains it, may be repeated), --quick, --json PATH, --list. Returns the exit code: 0 also when
/// goals are missed (the table says so); 2 usage; otherwise that of the Error.
int run_program(const Program& program, int argc, char** argv);

}  // namespace crosstile::bench
