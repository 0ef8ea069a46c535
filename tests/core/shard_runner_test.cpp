#include "core/shard_runner.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

#include "core/files.hpp"
#include "core/random.hpp"
#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::testing;

namespace {

ShardJob make_job(const fs::path& folder, int threads = 2) {
  ShardJob job;
  job.folder = folder;
  job.name = "part";
  job.extension = ".txt";
  job.fingerprint = "f1";
  job.shards = 9;
  job.threads = threads;
  return job;
}

void write_shard(Index shard, const fs::path& temporary) {
  const Matrix z = random_normal_matrix({4, Stream::test, static_cast<std::uint32_t>(shard)}, 20, 20);
  put_bytes(temporary, std::string(reinterpret_cast<const char*>(z.data()),
                                   static_cast<std::size_t>(z.size()) * sizeof(double)));
}

void work(Index shard, const fs::path& temporary, int) {
  write_shard(shard, temporary);
}

std::vector<std::string> contents(const ShardJob& job) {
  std::vector<std::string> all;
  for (Index shard = 0; shard < job.shards; ++shard) all.push_back(get_bytes(shard_path(job, shard)));
  return all;
}

}  // namespace

TEST_CASE("A job that failed in the middle goes on and ends bitwise as an uninterrupted one", "[property]") {
  const ScratchFolder folder;
  const ShardJob whole = make_job(folder / "whole", 1);
  REQUIRE(run_shards(whole, work).computed == 9);

  const ShardJob job = make_job(folder / "broken");
  const auto fail_at_five = [](Index shard, const fs::path& temporary, int) {
    write_shard(shard, temporary);
    if (shard == 5) throw std::runtime_error("power cut");
  };
  REQUIRE_THROWS_AS(run_shards(job, fail_at_five), std::runtime_error);
  REQUIRE_FALSE(fs::exists(shard_path(job, 5)));
  for (const auto& entry : fs::directory_iterator(job.folder)) REQUIRE(entry.path().extension() != ".tmp");

  const auto kept_time = fs::last_write_time(shard_path(job, 0));
  const ShardReport report = run_shards(job, work);
  REQUIRE(report.kept >= 5);
  REQUIRE(report.kept + report.computed == 9);
  REQUIRE(fs::last_write_time(shard_path(job, 0)) == kept_time);
  REQUIRE(contents(job) == contents(whole));
}

TEST_CASE("A finished job computes nothing again", "[property]") {
  const ScratchFolder folder;
  const ShardJob job = make_job(folder.path());
  run_shards(job, work);
  const ShardReport report =
      run_shards(job, [](Index, const fs::path&, int) { throw std::runtime_error("computed again"); });
  REQUIRE(report.kept == 9);
  REQUIRE(report.computed == 0);
}

TEST_CASE("Shards are the same for any number of threads", "[property]") {
  const ScratchFolder folder;
  run_shards(make_job(folder / "one", 1), work);
  run_shards(make_job(folder / "four", 4), work);
  REQUIRE(contents(make_job(folder / "one")) == contents(make_job(folder / "four")));
}

TEST_CASE("A folder of another job is refused and stays as it was", "[error]") {
  const ScratchFolder folder;
  ShardJob job = make_job(folder.path());
  run_shards(job, work);
  const auto before = contents(job);
  ShardJob other = job;
  other.fingerprint = "f2";
  require_error(error_of([&] { run_shards(other, work); }), ErrorKind::usage,
                {folder.path().string(), "another configuration"});
  other = job;
  other.shards = 10;
  require_error(error_of([&] { run_shards(other, work); }), ErrorKind::usage, {"another configuration"});
  REQUIRE(contents(job) == before);
}

TEST_CASE("A damaged job file is bad data", "[error]") {
  const ScratchFolder folder;
  const ShardJob job = make_job(folder.path());
  run_shards(job, work);
  put_bytes(folder / "part.job.json", "{\"fingerprint\": ");
  require_error(error_of([&] { run_shards(job, work); }), ErrorKind::bad_data, {"part.job.json", "damaged"});
}

TEST_CASE("A progress callback can interrupt a job, which then resumes", "[property]") {
  const ScratchFolder folder;
  const ShardJob job = make_job(folder / "stopped", 1);
  const auto stop_at_a_third = [](double fraction, std::string_view) { return fraction < 0.3; };
  require_error(error_of([&] { run_shards(job, work, stop_at_a_third); }), ErrorKind::interrupted, {"part"});
  REQUIRE(fs::exists(shard_path(job, 0)));
  REQUIRE_FALSE(fs::exists(shard_path(job, 8)));

  double last = 0.0;
  const ShardReport report = run_shards(job, work, [&](double fraction, std::string_view) {
    REQUIRE(fraction >= last);
    last = fraction;
    return true;
  });
  REQUIRE(last == 1.0);
  REQUIRE(report.kept == 3);
  const ShardJob whole = make_job(folder / "whole");
  run_shards(whole, work);
  REQUIRE(contents(job) == contents(whole));
}

TEST_CASE("A folder that cannot be written is an input/output error", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "plain", "x");
  require_error(error_of([&] { run_shards(make_job(folder / "plain" / "run"), work); }), ErrorKind::io,
                {"plain/run"});
}
