// The one exception of the library, for caller mistakes and bad files. Numerical outcomes (not converged, not settled) are
// statuses in returned reports, never exceptions.
#pragma once

#include <stdexcept>
#include <string>

namespace crosstile {

/// What went wrong; the program's exit code is its value (docs/commands.md lists them).
enum class ErrorKind : int {
  check_failed = 1,   ///< a --check or a comparison found a violation
  usage = 2,          ///< wrong flag, wrong configuration key or value, wrong argument of a library call
  bad_data = 3,       ///< a file's content is damaged, truncated, or not what it should be
  not_converged = 4,  ///< a numerical method gave no answer that may be used
  io = 5,             ///< a file cannot be opened, written, synced, renamed
  interrupted = 130   ///< SIGINT or SIGTERM; the run can be resumed
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws a usage Error that names the field, its value and the allowed range.
[[noreturn]] void throw_out_of_range(const std::string& field, double value, const std::string& allowed);
/// Throws unless low <= value <= high and value is finite.
void require_in_range(const std::string& field, double value, double low, double high);

}  // namespace crosstile
