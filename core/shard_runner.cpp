#include "core/shard_runner.hpp"

#include <atomic>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"

namespace crosstile {

namespace {

// The job file is written before the first shard, so that a folder always says what its shards belong to.
void claim_folder(const ShardJob& job) {
  require_writable_folder(job.folder);
  const fs::path path = job.folder / (job.name + ".job.json");
  if (path_exists(path)) {
    std::string fingerprint, name;
    Index shards = -1;
    try {
      const auto stored = nlohmann::json::parse(read_text(path));
      stored.at("fingerprint").get_to(fingerprint);
      shards = stored.at("shards").get_ref<const nlohmann::json::number_integer_t&>();  // refuses fractions
      stored.at("name").get_to(name);
    } catch (const nlohmann::json::exception& error) {
      throw Error(ErrorKind::bad_data, path.string() + " is damaged (" + error.what() + "); delete the folder to start again");
    }
    if (fingerprint != job.fingerprint || shards != job.shards || name != job.name)
      throw Error(ErrorKind::usage, job.folder.string() + " holds the results of another configuration; choose another folder or delete it");
    return;
  }
  const nlohmann::json text = {{"name", job.name}, {"fingerprint", job.fingerprint}, {"shards", job.shards}};
  write_text_atomically(path, text.dump(2) + "\n");
}

}  // namespace

fs::path shard_path(const ShardJob& job, Index shard) {
  char number[24];
  std::snprintf(number, sizeof number, "-%06lld", static_cast<long long>(shard));
  return job.folder / (job.name + number + job.extension);
}

ShardReport run_shards(const ShardJob& job, const ShardWork& work, const Progress& progress) {
  claim_folder(job);
  std::vector<Index> missing;
  for (Index shard = 0; shard < job.shards; ++shard)
    if (!path_exists(shard_path(job, shard))) missing.push_back(shard);

  ShardReport report;
  report.kept = job.shards - static_cast<Index>(missing.size());
  Index finished = report.kept;
  std::mutex mutex;
  const auto tell = [&](Index done) {
    const std::lock_guard lock(mutex);
    finished += done;
    report_progress(progress, job.shards > 0 ? static_cast<double>(finished) / static_cast<double>(job.shards) : 1.0, job.name);
  };
  tell(0);
  parallel_for(static_cast<Index>(missing.size()), job.threads, [&](Index index, int worker) {
    const Index shard = missing[static_cast<std::size_t>(index)];
    tell(0);
    write_atomically(shard_path(job, shard), [&](const fs::path& temporary) { work(shard, temporary, worker); });
    tell(1);
  });
  report.computed = static_cast<Index>(missing.size());
  return report;
}

}  // namespace crosstile
