// A run folder: the only place a run writes to, with a manifest that says what made it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace crosstile::data {

struct Manifest {
  std::string command;      ///< what was run, as one line
  std::string config_toml;  ///< the complete configuration
  std::uint64_t seed = 1;
  std::string version;          ///< of the software
  std::string instruction_set;  ///< the build's -march
  std::map<std::string, std::string> files;  ///< artefact -> content hash, added as stages finish
  bool complete = false;
};

class RunFolder {
 public:
  /// Opens or creates a folder for this configuration. A folder that holds a run of another configuration (different fingerprint)
  /// is refused with a usage Error that says so; the same configuration resumes. Errors: io, bad_data (damaged manifest).
  RunFolder(std::filesystem::path folder, Manifest manifest);

  std::filesystem::path path(const std::string& name) const;  ///< folder / name
  bool resumed() const { return resumed_; }
  /// True when `name` was recorded by a finished stage and its file still has the recorded hash. Errors: bad_data when the file
  /// was changed since.
  bool has(const std::string& name) const;
  /// Records an artefact (its hash) in the manifest; atomic.
  void record(const std::string& name);
  /// Marks the run complete; the last thing a run does.
  void finish();
  const Manifest& manifest() const { return manifest_; }

 private:
  void save() const;
  std::filesystem::path folder_;
  Manifest manifest_;
  bool resumed_ = false;
};

/// Errors: io, bad_data.
Manifest read_manifest(const std::filesystem::path& folder);

}  // namespace crosstile::data
