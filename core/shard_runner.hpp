// Long jobs that do not lose work: a job is a list of shards, each one file, each written to a temporary, synced and renamed.
// Killed and started again, a job goes on with the shards that are missing; because a shard's content depends only on its index,
// the result is the same, bit for bit, as without the interruption.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/progress.hpp"
#include "core/types.hpp"

namespace crosstile {

struct ShardJob {
  std::filesystem::path folder;  ///< shards live here; created when missing
  std::string name;              ///< shard k is folder/name-00000k + extension
  std::string extension = ".h5";
  std::string fingerprint;  ///< hash of everything the shards depend on; a folder left by another job is refused
  Index shards = 0;
  int threads = 0;  ///< shards computed at the same time; 0: the number of processors
};

struct ShardReport {
  Index computed = 0;  ///< shards written by this call
  Index kept = 0;      ///< shards found finished
};

/// Computes one shard and leaves its file at `temporary`.
using ShardWork = std::function<void(Index shard, const std::filesystem::path& temporary, int worker)>;

/// Path of one shard's file.
std::filesystem::path shard_path(const ShardJob& job, Index shard);

/// Runs all missing shards. Errors: usage when the folder belongs to a job with another fingerprint (delete the folder or choose
/// another); io; interrupted when the progress callback says so (finished shards stay). An exception of `work` passes through.
ShardReport run_shards(const ShardJob& job, const ShardWork& work, const Progress& progress = {});

}  // namespace crosstile
