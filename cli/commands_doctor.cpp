// doctor: what the program runs on, what it was made of, and what is missing for which command.
#include <fmt/core.h>

#include <Eigen/Core>
#include <filesystem>
#include <fstream>

#include "circuit/ngspice.hpp"
#include "cli/commands.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/version.hpp"
#include "validation/python_process.hpp"

namespace crosstile::cli {

namespace {

// One line of the examination. A missing part that a command cannot do without fails it.
struct Finding {
  enum class State { ok, missing_optional, missing };
  std::string what, found, needed_for;
  State state = State::ok;
};

std::string state_name(Finding::State state) {
  return state == Finding::State::ok ? "ok" : state == Finding::State::missing ? "missing" : "not there";
}

// The text behind the first "key ... :" of a file of /proc; empty when there is none.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

std::string gibibytes(const std::string& kib) {
  return kib.empty() ? std::string("?")
                     : fmt::format("{:.1f} GiB", std::atof(kib.c_str()) / (1024.0 * 1024.0));
}

Finding find_processor() {
  std::string simd = "SSE2";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) simd = "AVX2, FMA";
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) simd += ", AVX-512";
#endif
  const std::string model = proc_value("/proc/cpuinfo", "model name");
  return {"processor",
          fmt::format("{}; {} threads; {}", model.empty() ? "?" : model, default_threads(), simd), ""};
}

Finding find_instructions() {
  std::string kernels = "compiled for the build's instruction set";
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    kernels = "AVX-512 where it is faster, else the build's";
#endif
  return {"instructions",
          fmt::format("built for {}, Eigen with {}; kernels: {}",
                      *kInstructionSet != '\0' ? kInstructionSet : "the compiler's default",
                      Eigen::SimdInstructionSetsInUse(), kernels),
          ""};
}

Finding find_libraries() {
  return {"libraries",
          fmt::format("SUNDIALS {}, HDF5 {}, Eigen {}.{}.{}, CLI11 {}", CROSSTILE_SUNDIALS_VERSION,
                      CROSSTILE_HDF5_VERSION, EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION,
                      CLI11_VERSION),
          ""};
}

// The interpreter that `report` would take, with the versions of what it needs; or what each candidate lacks.
Finding find_python() {
  constexpr const char* kScript =
      "import sys, matplotlib, h5py\n"
      "sys.stderr.write('%s, matplotlib %s, h5py %s' % (sys.version.split()[0], matplotlib.__version__, "
      "h5py.__version__))\n";
  const std::string needed_for = "run, report, device-figures, pictures of study";
  std::string failures;
  for (const auto& candidate : validation::python_candidates()) {
    const auto answer = validation::run_python(candidate, kScript, {});
    if (answer.status == 0) return {"python", candidate + ": " + answer.error_output, needed_for};
    std::string why = answer.error_output;
    while (!why.empty() && why.back() == '\n') why.pop_back();
    const auto line = why.rfind('\n');
    failures += (failures.empty() ? "" : "; ") + candidate + ": " +
                (why.empty() ? "cannot be started" : why.substr(line == std::string::npos ? 0 : line + 1));
  }
  return {"python", failures + " (Debian packages python3-matplotlib, python3-h5py; or set CROSSTILE_PYTHON)",
          needed_for, Finding::State::missing};
}

Finding examine_ngspice() {
  const std::string needed_for = "solve --method ngspice, comparisons with it";
  try {
    return {"ngspice", circuit::find_ngspice().string(), needed_for};
  } catch (const Error&) {
    return {"ngspice", "no program of that name in PATH (Debian package ngspice)", needed_for,
            Finding::State::missing_optional};
  }
}

Finding scratch_folder() {
  const std::string needed_for = "solve --method ngspice";
  std::error_code status;
  const auto folder = std::filesystem::temp_directory_path(status);
  if (status) return {"temporary folder", "none: " + status.message(), needed_for, Finding::State::missing};
  try {
    require_writable_folder(folder);
  } catch (const Error& error) {
    return {"temporary folder", error.what(), needed_for, Finding::State::missing};
  }
  const auto space = std::filesystem::space(folder, status);
  return {
      "temporary folder",
      fmt::format("{}, {:.1f} GiB free", folder.string(), static_cast<double>(space.available) / (1U << 30)),
      needed_for};
}

Finding find_mnist() {
  const std::string needed_for = "the examples, from this folder";
  const std::filesystem::path folder = "data/mnist";
  if (std::filesystem::exists(folder / "train-images-idx3-ubyte.gz"))
    return {"data/mnist", "there", needed_for};
  return {"data/mnist", "not below the working folder", needed_for, Finding::State::missing_optional};
}

void doctor_command(Program& program) {
  const std::string memory =
      fmt::format("{}, {} available", gibibytes(proc_value("/proc/meminfo", "MemTotal")),
                  gibibytes(proc_value("/proc/meminfo", "MemAvailable")));
  const std::vector<Finding> findings{
      {"crosstile", fmt::format("{}, compiler {}", kVersion, __VERSION__), ""},
      find_instructions(),
      find_libraries(),
      find_processor(),
      {"memory", memory, ""},
      scratch_folder(),
      find_python(),
      examine_ngspice(),
      find_mnist()};
  std::string missing;
  Json list = Json::array();
  for (const auto& one : findings) {
    program.say(fmt::format("{:<10} {:<17} {}{}", state_name(one.state), one.what, one.found,
                            one.needed_for.empty() ? "" : "  [" + one.needed_for + "]"));
    list.push_back({{"what", one.what},
                    {"found", one.found},
                    {"needed_for", one.needed_for},
                    {"state", state_name(one.state)}});
    if (one.state == Finding::State::missing)
      missing += (missing.empty() ? "" : "; ") + one.what + ", needed for " + one.needed_for;
  }
  program.result["command"] = "doctor";
  program.result["findings"] = list;
  if (!missing.empty()) throw Error(ErrorKind::check_failed, "missing: " + missing);
}

}  // namespace

void add_doctor_command(CLI::App& app, Program& program) {
  CLI::App* command =
      add_command(app, "doctor",
                  "What the program runs on and was made of, and what is missing for which command.\n"
                  "The exit code is 1 when something is missing that a command cannot do without.",
                  "crosstile doctor");
  command->callback([&program] { program.action = [&program] { doctor_command(program); }; });
}

}  // namespace crosstile::cli
