#include "core/parallel.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/random.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;

namespace {

std::vector<double> fill(Index count, int threads) {
  std::vector<double> out(static_cast<std::size_t>(count));
  parallel_for(count, threads, [&](Index index, int) {
    out[static_cast<std::size_t>(index)] =
        random_normal({1, Stream::test, 0}, static_cast<std::uint64_t>(index), 0);
  });
  return out;
}

}  // namespace

TEST_CASE("parallel_for gives the same bits for any number of threads", "[property]") {
  const auto one = fill(1001, 1);
  for (const int threads : {2, 3, 8, 0}) REQUIRE(fill(1001, threads) == one);
}

TEST_CASE("parallel_for visits every index once and names a worker below the number of threads",
          "[property]") {
  for (const Index count : {0, 1, 5, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
    std::atomic<bool> worker_in_range{true};
    parallel_for(count, 4, [&](Index index, int worker) {
      ++visits[static_cast<std::size_t>(index)];
      if (worker < 0 || worker >= 4) worker_in_range = false;
    });
    for (const auto& visit : visits) REQUIRE(visit == 1);
    REQUIRE(worker_in_range);
  }
}

TEST_CASE("Two calls of the body at one time never share a worker", "[property]") {
  std::vector<std::atomic<int>> inside(4);
  std::atomic<bool> shared{false};
  parallel_for(200, 4, [&](Index, int worker) {
    auto& mine = inside[static_cast<std::size_t>(worker)];
    if (mine.fetch_add(1) != 0) shared = true;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    --mine;
  });
  REQUIRE_FALSE(shared);
}

TEST_CASE("An exception in a parallel loop reaches the caller and stops the loop", "[error]") {
  for (const int threads : {1, 3}) {
    std::atomic<Index> calls{0};
    const auto run = [&] {
      parallel_for(1000000, threads, [&](Index index, int) {
        ++calls;
        if (index == 10) throw Error(ErrorKind::bad_data, "index 10 is bad");
      });
    };
    testing::require_error(testing::error_of(run), ErrorKind::bad_data, {"index 10 is bad"});
    REQUIRE(calls < 1000000);
  }
}
