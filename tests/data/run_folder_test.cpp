#include "data/run_folder.hpp"

#include <catch2/catch.hpp>

#include "core/files.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

Manifest manifest_of(const std::string& config = "seed = 1\n") {
  Manifest manifest;
  manifest.command = "crosstile run demo.toml";
  manifest.config_toml = config;
  manifest.seed = ~std::uint64_t{0};
  manifest.version = "0.1.0";
  manifest.instruction_set = "x86-64-v3";
  return manifest;
}

}  // namespace

TEST_CASE("A new run folder holds a manifest that says what made it", "[property]") {
  const ScratchFolder folder;
  const RunFolder run(folder / "a/run", manifest_of());
  REQUIRE_FALSE(run.resumed());
  REQUIRE(run.path("x.h5") == folder / "a/run/x.h5");
  const Manifest stored = read_manifest(folder / "a/run");
  REQUIRE(stored.command == manifest_of().command);
  REQUIRE(stored.config_toml == manifest_of().config_toml);
  REQUIRE(stored.seed == ~std::uint64_t{0});
  REQUIRE(stored.version == "0.1.0");
  REQUIRE(stored.instruction_set == "x86-64-v3");
  REQUIRE(stored.files.empty());
  REQUIRE_FALSE(stored.complete);
}

TEST_CASE("The same run resumes with what its stages recorded", "[property]") {
  const ScratchFolder folder;
  {
    RunFolder run(folder / "run", manifest_of());
    put_bytes(run.path("model.h5"), "model");
    std::filesystem::create_directories(run.path("data"));
    put_bytes(run.path("data/set.h5"), "set");
    put_bytes(run.path("half.h5"), "half");
    run.record("model.h5");
    run.record("data/set.h5");
    REQUIRE(run.has("model.h5"));
  }
  RunFolder run(folder / "run", manifest_of());
  REQUIRE(run.resumed());
  REQUIRE(run.has("model.h5"));
  REQUIRE(run.has("data/set.h5"));
  REQUIRE_FALSE(run.has("half.h5"));
  REQUIRE_FALSE(run.has("none.h5"));
  REQUIRE_FALSE(run.manifest().complete);
  run.finish();
  REQUIRE(read_manifest(folder / "run").complete);
  REQUIRE(read_manifest(folder / "run").files.at("model.h5") == hash_bytes("model"));
}

TEST_CASE("A recorded file that was deleted is to be made again, one that was changed is bad data",
          "[error]") {
  const ScratchFolder folder;
  RunFolder run(folder / "run", manifest_of());
  put_bytes(run.path("model.h5"), "model");
  run.record("model.h5");
  put_bytes(run.path("model.h5"), "modem");
  require_error(error_of([&] { run.has("model.h5"); }), ErrorKind::bad_data, {"model.h5", "changed"});
  std::filesystem::remove(run.path("model.h5"));
  REQUIRE_FALSE(run.has("model.h5"));
  require_error(error_of([&] { run.record("model.h5"); }), ErrorKind::io, {"model.h5"});
}

TEST_CASE("A folder of another run is refused and left as it was", "[error]") {
  const ScratchFolder folder;
  { const RunFolder run(folder / "run", manifest_of()); }
  const std::string before = get_bytes(folder / "run/manifest.json");
  std::vector<Manifest> others(5, manifest_of());
  others[0].config_toml = "seed = 2\n";
  others[1].command = "crosstile run other.toml";
  others[2].seed = 2;
  others[3].version = "0.2.0";
  others[4].instruction_set = "x86-64-v4";
  for (const auto& other : others)
    require_error(error_of([&] { RunFolder(folder / "run", other); }), ErrorKind::usage,
                  {(folder / "run").string(), "another", "delete it"});
  REQUIRE(get_bytes(folder / "run/manifest.json") == before);
}

TEST_CASE("Text moved from the command into the configuration is another run", "[property]") {
  const ScratchFolder folder;
  Manifest one = manifest_of("b");
  one.command = "a\n1\n";
  { const RunFolder run(folder / "run", one); }
  Manifest other = manifest_of("");
  other.command = "a\n1\nb";
  require_error(error_of([&] { RunFolder(folder / "run", other); }), ErrorKind::usage,
                {"another configuration"});
}

TEST_CASE("A damaged manifest is bad data", "[error]") {
  const ScratchFolder folder;
  { const RunFolder run(folder / "run", manifest_of()); }
  const std::string good = get_bytes(folder / "run/manifest.json");
  const auto replace = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::vector<std::string> damaged = {"",
                                            "[]",
                                            good.substr(0, good.size() / 2),
                                            replace("\"seed\":", "\"sead\":"),
                                            replace("\"files\": {}", "\"files\": 3"),
                                            replace("\"complete\": false", "\"complete\": \"no\""),
                                            replace("seed = 1", "seed = 7"),
                                            replace("\"manifest_version\": 2", "\"manifest_version\": 9"),
                                            replace("\"manifest_version\": 2", "\"manifest_version\": 1e300"),
                                            replace("\"seed\": 1844", "\"seed\": -1844")};
  for (const auto& text : damaged) {
    INFO(text);
    put_bytes(folder / "run/manifest.json", text);
    require_error(error_of([&] { RunFolder(folder / "run", manifest_of()); }), ErrorKind::bad_data,
                  {"manifest.json"});
    require_error(error_of([&] { read_manifest(folder / "run"); }), ErrorKind::bad_data, {"manifest.json"});
  }
}

TEST_CASE("Names that lead out of the run folder are refused", "[error]") {
  const ScratchFolder folder;
  RunFolder run(folder / "run", manifest_of());
  for (const std::string name : {"../x", "/tmp/x", "a/../../x", ""})
    require_error(error_of([&] { run.path(name); }), ErrorKind::usage, {"run folder"});
}

TEST_CASE("A run folder that cannot be written is an input/output error", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "plain", "x");
  require_error(error_of([&] { RunFolder(folder / "plain/run", manifest_of()); }), ErrorKind::io,
                {"plain/run"});
  require_error(error_of([&] { RunFolder("/proc/run", manifest_of()); }), ErrorKind::io, {"/proc/run"});
  require_error(error_of([&] { read_manifest(folder / "none"); }), ErrorKind::io, {"none"});
}

TEST_CASE("One flipped bit anywhere in a manifest is noticed or changes nothing", "[property]") {
  const ScratchFolder folder;
  {
    RunFolder run(folder / "run", manifest_of());
    put_bytes(run.path("model.h5"), "model");
    run.record("model.h5");
  }
  const std::string good = get_bytes(folder / "run/manifest.json");
  std::size_t noticed = 0;
  for (std::size_t bit = 0; bit < 8 * good.size(); bit += 3) {
    std::string text = good;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    put_bytes(folder / "run/manifest.json", text);
    try {
      const Manifest read = read_manifest(folder / "run");
      const bool same = read.files.at("model.h5") == hash_bytes("model") && !read.complete &&
                        read.version == "0.1.0" && read.instruction_set == "x86-64-v3";
      if (!same) FAIL("bit " << bit << " changed the manifest and was not noticed");
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::bad_data);
      ++noticed;
    }
  }
  REQUIRE(noticed > 0);
}

TEST_CASE("A manifest of version 1, without a hash, is still read", "[regression]") {
  const ScratchFolder folder;
  { const RunFolder run(folder / "run", manifest_of()); }
  std::string text = get_bytes(folder / "run/manifest.json");
  const auto hash = text.find("  \"hash\"");
  text.erase(hash, text.find('\n', hash) + 1 - hash);
  text.replace(text.find("\"manifest_version\": 2"), 21, "\"manifest_version\": 1");
  put_bytes(folder / "run/manifest.json", text);
  REQUIRE(read_manifest(folder / "run").command == manifest_of().command);
}
