#include "core/files.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>

#include "core/progress.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::testing;

TEST_CASE("hash_bytes gives the published XXH3-128 of known texts", "[kat]") {
  REQUIRE(hash_bytes("") == "99aa06d3014798d86001c324468d497f");
  REQUIRE(hash_bytes("abc") == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("hash_file equals hash_bytes of the bytes behind the offset", "[property]") {
  const ScratchFolder folder;
  for (const std::size_t size : {0UL, 1UL, 513UL, (1UL << 20) + 7}) {
    std::string bytes(size, '\0');
    for (std::size_t k = 0; k < size; ++k) bytes[k] = static_cast<char>(k * 131 + 7);
    put_bytes(folder / "file", bytes);
    REQUIRE(hash_file(folder / "file") == hash_bytes(bytes));
    const std::size_t offset = size / 3;
    REQUIRE(hash_file(folder / "file", offset) == hash_bytes(std::string_view(bytes).substr(offset)));
  }
}

TEST_CASE("write_atomically replaces a file and leaves no temporary", "[property]") {
  const ScratchFolder folder;
  write_text_atomically(folder / "a.txt", "first");
  write_text_atomically(folder / "a.txt", "second\n");
  REQUIRE(read_text(folder / "a.txt") == "second\n");
  REQUIRE(folder.entries() == 1);
}

TEST_CASE("A writer that throws leaves nothing, and the old file as it was", "[property]") {
  const ScratchFolder folder;
  const auto fail_half_way = [&](const fs::path& temporary) {
    put_bytes(temporary, "half");
    throw std::runtime_error("stop");
  };
  REQUIRE_THROWS_AS(write_atomically(folder / "a.txt", fail_half_way), std::runtime_error);
  REQUIRE(folder.entries() == 0);
  write_text_atomically(folder / "a.txt", "old");
  REQUIRE_THROWS_AS(write_atomically(folder / "a.txt", fail_half_way), std::runtime_error);
  REQUIRE(read_text(folder / "a.txt") == "old");
  REQUIRE(folder.entries() == 1);
}

TEST_CASE("A writer that leaves no file is an input/output error", "[error]") {
  const ScratchFolder folder;
  require_error(error_of([&] { write_atomically(folder / "a.txt", [](const fs::path&) {}); }), ErrorKind::io,
                {"a.txt"});
  REQUIRE(folder.entries() == 0);
}

TEST_CASE("Places that cannot be written or read are input/output errors that name them", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "plain", "x");
  const fs::path below_a_file = folder / "plain" / "deeper";
  require_error(error_of([&] { write_text_atomically(below_a_file, "x"); }), ErrorKind::io, {"plain/deeper"});
  require_error(error_of([&] { require_writable_folder(below_a_file); }), ErrorKind::io, {"plain/deeper"});
  require_error(error_of([&] { require_writable_folder("/proc/crosstile"); }), ErrorKind::io,
                {"/proc/crosstile"});
  require_error(error_of([&] { read_text(folder / "missing"); }), ErrorKind::io, {"missing"});
  require_error(error_of([&] { hash_file(folder / "missing"); }), ErrorKind::io, {"missing"});
  require_error(error_of([&] { read_text(folder.path()); }), ErrorKind::io, {"folder"});
  require_error(error_of([&] { path_exists(folder / std::string(300, 'n')); }), ErrorKind::io, {"nnn", "too long"});
  REQUIRE_FALSE(path_exists(folder / "missing"));
  REQUIRE_FALSE(path_exists(below_a_file));
  REQUIRE(path_exists(folder / "plain"));
}

TEST_CASE("read_text refuses a file beyond its limit", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "long", "12345");
  REQUIRE(read_text(folder / "long", 5) == "12345");
  require_error(error_of([&] { read_text(folder / "long", 4); }), ErrorKind::bad_data,
                {"long", "5 bytes", "4 allowed"});
}

TEST_CASE("require_writable_folder creates a folder and leaves nothing in it", "[property]") {
  const ScratchFolder folder;
  require_writable_folder(folder / "a/b");
  REQUIRE(fs::is_directory(folder / "a/b"));
  REQUIRE(fs::is_empty(folder / "a/b"));
}

TEST_CASE("A progress callback that says no interrupts, and its absence does nothing", "[error]") {
  report_progress({}, 0.5, "nothing");
  report_progress([](double, std::string_view) { return true; }, 0.5, "work");
  const Error error =
      error_of([] { report_progress([](double, std::string_view) { return false; }, 0.5, "work"); });
  require_error(error, ErrorKind::interrupted, {"work"});
  REQUIRE(error.exit_code() == 130);
}

TEST_CASE("Out-of-range errors name field, value and allowed range", "[error]") {
  REQUIRE_NOTHROW(require_in_range("x", 2.0, 1.0, 2.0));
  require_error(error_of([] { require_in_range("r_col_ohm", -3.0, 0.0, 1e6); }), ErrorKind::usage,
                {"r_col_ohm", "-3", "0 to 1000000"});
  require_error(error_of([] { require_in_range("x", std::nan(""), 0.0, 1.0); }), ErrorKind::usage,
                {"x", "nan"});
}
