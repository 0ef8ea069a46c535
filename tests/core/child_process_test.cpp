#include "core/child_process.hpp"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "core/error.hpp"

using namespace crosstile;

TEST_CASE("A child's exit code, signal and streams come back", "[core][property]") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ChildProcess child("sh", {"-c", "pwd; exit 7"}, {"/", -1, ends[1], -1});
  CHECK(child.wait() == 7);
  ::close(ends[1]);
  std::array<char, 8> text{};
  CHECK(::read(ends[0], text.data(), text.size()) == 2);
  CHECK(std::string(text.data()) == "/\n");
  ::close(ends[0]);

  ChildProcess killed("sh", {"-c", "kill -9 $$"}, {});
  CHECK(killed.wait() == 128 + 9);
}

TEST_CASE("A child that still runs is ended with its owner", "[core][property]") {
  const auto begin = std::chrono::steady_clock::now();
  {
    ChildProcess child("sleep", {"60"}, {});
    CHECK_FALSE(child.finished().has_value());
  }
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
}

TEST_CASE("A program that is not there is an io error that names it", "[core][error]") {
  CHECK_THROWS_WITH(ChildProcess("no-such-program-here", {}, {}),
                    Catch::Contains("cannot start no-such-program-here"));
}
