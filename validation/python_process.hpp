// Running a Python script held in memory. Internal to the module.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace crosstile::validation {

struct PythonResult {
  int status =
      0;  ///< exit code; 128 + signal number when killed; -1 when the interpreter could not be started
  std::string error_output;  ///< what it wrote to stderr
};
/// Runs `interpreter - arguments...` with the script as its standard input; standard output is discarded.
/// Errors: io when the operating system has no room for the script or the process.
PythonResult run_python(const std::string& interpreter, std::string_view script,
                        const std::vector<std::string>& arguments);

/// Interpreters to try, in order: CROSSTILE_PYTHON alone when it is set and not empty, else python3 and
/// /usr/bin/python3.
std::vector<std::string> python_candidates();

/// The script that makes the page (report.py and its parts, embedded by CMake).
std::string_view report_script();

}  // namespace crosstile::validation
