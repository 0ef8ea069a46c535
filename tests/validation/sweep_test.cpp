#include "validation/sweep.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "core/error.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::validation;

namespace {

Sweep sweep_of(const std::string& more) {
  return sweep_from_text("seed = 4\n[network]\nlayers = [36, 12, 3]\n[sweep]\n" + more, "test.toml");
}

}  // namespace

TEST_CASE("A grid has the product of its axes and every point has its values", "[property]") {
  const Sweep sweep = sweep_of(R"(
[[sweep.axis]]
key = "analog.forward.output_noise"
values = [0, 0.25]
[[sweep.axis]]
key = "network.kinds"
values = [["analog"], [], ["digital", "analog"]]
[[sweep.axis]]
key = "analog.forward.exact"
values = [true]
)");
  REQUIRE(sweep.points.size() == 6);
  for (std::size_t p = 0; p < 6; ++p) {
    CHECK(sweep.points[p].kinds.analog.forward.output_noise == (p < 3 ? 0.0 : 0.25));
    CHECK(sweep.points[p].kinds.names.size() == std::vector<std::size_t>{1, 0, 2}[p % 3]);
    CHECK(sweep.points[p].kinds.analog.forward.is_exact);
    CHECK(sweep.points[p].network.layers == std::vector<Index>{36, 12, 3});
    CHECK(sweep.points[p].seed == 4);
  }
}

TEST_CASE("Random points stay in their ranges, differ, and depend on the seed alone", "[property]") {
  const std::string more = R"(
mode = "random"
points = 200
[[sweep.axis]]
key = "training.learning_rate"
low = 0.001
high = 0.1
log = true
[[sweep.axis]]
key = "analog.pulses.desired_pulses"
low = 1
high = 3
)";
  const Sweep sweep = sweep_of(more);
  REQUIRE(sweep.points.size() == 200);
  std::set<double> rates;
  std::set<int> pulses;
  int below = 0;
  for (const auto& point : sweep.points) {
    const double rate = point.training.learning_rate;
    CHECK((rate >= 0.001 && rate <= 0.1));
    below += rate < 0.01 ? 1 : 0;
    rates.insert(rate);
    pulses.insert(point.kinds.analog.pulses.desired_pulses);
  }
  CHECK(rates.size() == 200);
  CHECK(pulses == std::set<int>{1, 2, 3});
  CHECK(std::abs(below - 100) <= 35);  // half of them; five standard errors of sqrt(200) / 2
  CHECK(sweep_of(more).values == sweep.values);
  CHECK(sweep_of(more).fingerprint == sweep.fingerprint);
}

TEST_CASE("An axis with where has further values only at the points it names", "[property]") {
  const Sweep sweep = sweep_of(R"(
[[sweep.axis]]
key = "training.learning_rate"
values = [0.1, 0.2]
[[sweep.axis]]
key = "training.batch"
values = [1, 2, 3]
[[sweep.axis]]
key = "seed"
values = [7, 8]
where = { "training.learning_rate" = 0.2, "training.batch" = 3 }
)");
  REQUIRE(sweep.points.size() == 7);
  for (std::size_t p = 0; p < 7; ++p) {
    CHECK(sweep.points[p].seed == (p < 6 ? 7 : 8));
    CHECK(sweep.points[p].training.batch == (p < 6 ? static_cast<Index>(p % 3) + 1 : 3));
  }
}

namespace {

constexpr const char* kTwoAxes = R"(
[[sweep.axis]]
key = "training.learning_rate"
values = [0.1, 0.2]
[[sweep.axis]]
key = "network.activation"
values = ["relu", "tanh"]
[[sweep.axis]]
key = "seed"
values = [1, 2, 3]
)";

// Rate 0.2 is better by 10 points; tanh by 0.2; seeds differ by -1, 0, 1 points.
std::vector<SweepPoint> planted_points(const Sweep& sweep) {
  std::vector<SweepPoint> points;
  for (std::size_t p = 0; p < sweep.points.size(); ++p) {
    SweepPoint point;
    point.accuracy = 0.8 + (sweep.values[p][0] == "0.2" ? 0.1 : 0.0) + (shown_value(sweep.values[p][1]) == "tanh" ? 0.002 : 0.0) +
                     0.01 * (static_cast<double>(p % 3) - 1.0);
    points.push_back(point);
  }
  return points;
}

const Table& table_named(const Results& results, const std::string& title) {
  for (const Table& table : results.tables)
    if (table.title == title) return table;
  throw Error(ErrorKind::usage, "no table " + title);
}

std::string text_of(const Cell& cell) { return std::get<std::string>(cell); }

}  // namespace

TEST_CASE("A planted effect is seen with its size and error, a smaller one is not, published numbers stand beside",
          "[analytic]") {
  const testing::ScratchFolder scratch;
  testing::put_bytes(scratch / "p.csv", "# a source\nnetwork.activation,training.learning_rate,accuracy\n"
                               "relu,0.10,0.5\nrelu,0.2,0.7\ntanh,0.1,\n");
  const std::string claims = R"(
[[sweep.claim]]
text = "fast is better"
axis = "training.learning_rate"
[[sweep.claim]]
text = "tanh is better"
axis = "network.activation"
where = { "training.learning_rate" = 0.1 }
)";
  const Sweep sweep = sweep_of("published = \"" + (scratch / "p.csv").string() + "\"\n" + kTwoAxes + claims);
  const Results results = sweep_results(sweep, planted_points(sweep), "crosstile sweep a --out b");

  // one run spreads by 1 point, so a mean of three by 0.577, one over two groups by 0.408; differences by sqrt 2 more
  const Table& decided = table_named(results, "Claims and the numbers that decide them");
  REQUIRE(decided.rows.size() == 2);
  CHECK(text_of(decided.rows[0][3]) == "80.10 / 90.10");
  CHECK(text_of(decided.rows[0][4]) == "10.00 +- 0.58 points: an effect, highest at 0.2");
  CHECK(text_of(decided.rows[0][5]) == "50.00 / 70.00");
  CHECK(text_of(decided.rows[1][3]) == "80.00 / 80.20");
  CHECK(text_of(decided.rows[1][4]) == "0.20 +- 0.82 points: no effect seen");
  CHECK(text_of(decided.rows[1][5]) == "50.00 (at relu)");

  const Table& cells = table_named(results, "Every point, its seeds joined");
  REQUIRE(cells.rows.size() == 4);
  const auto& first = cells.rows[0];
  CHECK(std::get<double>(first[2]) == 3.0);
  CHECK(text_of(first[3]) == "80.00");
  CHECK(text_of(first[4]) == "0.58");
  CHECK(text_of(first.back()) == "50.00");
  CHECK(text_of(cells.rows[1].back()) == "no result");
  CHECK(text_of(cells.rows[3].back()) == "-");

  write_sweep_results(sweep, results, scratch.path());
  CHECK(testing::get_bytes(scratch / "published.csv") == sweep.published->text);
  CHECK(read_results(scratch / "results.json").tables.size() == results.tables.size());
}

TEST_CASE("A setting with a run that diverged has no accuracy and enters no mean", "[property]") {
  const Sweep sweep = sweep_of(kTwoAxes);
  auto points = planted_points(sweep);
  points[1] = SweepPoint{};
  points[1].status = PointStatus::diverged;
  const Results results = sweep_results(sweep, points, "");
  CHECK(text_of(table_named(results, "Every point, its seeds joined").rows[0][3]) == "diverged");
  const Table& means = table_named(results, "Mean accuracy by value of each axis");
  CHECK(text_of(means.rows[0][2]) == "80.20");  // rate 0.1: tanh alone
  CHECK(std::get<double>(means.rows[0][5]) == 1.0);
}

TEST_CASE("Mistakes in where, claims and published numbers are named with their place", "[error]") {
  const auto refused = [](const std::string& more, ErrorKind kind, std::initializer_list<std::string> parts) {
    testing::require_error(testing::error_of([&] { sweep_of(more); }), kind, parts);
  };
  const std::string axes = kTwoAxes;
  refused(axes + "where = { \"training.batch\" = 3 }\n", ErrorKind::usage, {"test.toml:", "\"training.batch\"", "earlier axis"});
  refused(axes + "where = { \"training.learning_rate\" = 0.3 }\n", ErrorKind::usage, {"0.3", "not among"});
  refused("mode = \"list\"\n" + axes + "where = { \"training.learning_rate\" = 0.1 }\n", ErrorKind::usage, {"where goes with"});
  refused(axes + "[[sweep.claim]]\ntext = \"a\"\naxis = \"training.batch\"\n", ErrorKind::usage, {"\"training.batch\"", "not the key"});
  refused(axes + "[[sweep.claim]]\naxis = \"seed\"\n", ErrorKind::usage, {"needs text"});
  refused(axes + "[[sweep.claim]]\ntext = \"a\"\naxis = \"seed\"\nwhere = { seed = 9 }\n", ErrorKind::usage, {"no point has", "9"});
  const testing::ScratchFolder scratch;
  const auto published = [&](const std::string& text, ErrorKind kind, std::initializer_list<std::string> parts) {
    testing::put_bytes(scratch / "p.csv", text);
    refused("published = \"" + (scratch / "p.csv").string() + "\"\n" + axes, kind, parts);
  };
  published("# x\nrate,accuracy\n1,0.5\n", ErrorKind::usage, {"p.csv:2", "\"rate\"", "no axis"});
  published("seed,accuracy\n1,97\n", ErrorKind::bad_data, {"p.csv:2", "\"97\"", "0 to 1"});
  published("seed,accuracy\n1\n", ErrorKind::bad_data, {"p.csv:2", "1 cells for 2"});
  published("seed,accuracy\n", ErrorKind::bad_data, {"no row"});
}

TEST_CASE("A list as the value of an axis is found among published numbers, however it is spaced", "[regression]") {
  const testing::ScratchFolder scratch;
  testing::put_bytes(scratch / "p.csv", "network.layers,last_of_batch\n\"[36, 12, 3]\",0.5\n\"[36, 3]\",0.25\n");
  const Sweep sweep = sweep_of("published = \"" + (scratch / "p.csv").string() + "\"\n" + R"(
[[sweep.axis]]
key = "network.layers"
values = [[36,12,3], [36,  3]]
)");
  std::vector<SweepPoint> points(2);
  for (SweepPoint& point : points) point.accuracy = point.last_of_batch = 1.0;
  const Results results = sweep_results(sweep, points, "");
  const Table& cells = table_named(results, "Every point, its seeds joined");
  REQUIRE(cells.rows.size() == 2);
  CHECK(text_of(cells.rows[0][0]) == "[36, 12, 3]");
  CHECK(text_of(cells.rows[0].back()) == "50.00");
  CHECK(text_of(cells.rows[1].back()) == "25.00");
}
