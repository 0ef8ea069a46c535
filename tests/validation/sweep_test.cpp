#include "validation/sweep.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "core/error.hpp"

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
