// Another program as a child process: started, waited for, and never left behind.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace crosstile {

/// Where a child works, and open file descriptors for its standard streams; -1: the null device.
struct ChildIo {
  std::filesystem::path folder;  ///< empty: the caller's
  int input = -1, output = -1, error = -1;
};

class ChildProcess {
 public:
  /// Starts `program arguments...`, found in PATH unless it holds a slash. Errors: io when it cannot be started.
  ChildProcess(const std::string& program, const std::vector<std::string>& arguments, const ChildIo& io);
  /// Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Exit code, or 128 + the number of the signal that ended it; nothing while it runs. Once. Errors: io.
  std::optional<int> finished() { return reap(false); }
  /// The same when it has ended.
  int wait() { return *reap(true); }

 private:
  std::optional<int> reap(bool patiently);

  std::string program_;
  int process_ = -1;
};

}  // namespace crosstile
