#include "validation/report.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "core/error.hpp"
#include "core/files.hpp"
#include "data/hdf5_file.hpp"
#include "data/run_folder.hpp"
#include "validation/python_process.hpp"
#include "validation/results.hpp"

namespace crosstile::validation {

namespace {

constexpr int kPackagesMissing =
    86;  // report.py's exit code when matplotlib, h5py or numpy cannot be imported
constexpr std::size_t kLongestMessage = 2000;

struct Picture {
  const char* file;
  const char* kind;
};
constexpr std::array<Picture, 7> kPictures{{{"irdrop.h5", "node-voltages"},
                                            {"waveforms.h5", "waveforms"},
                                            {"comparison.h5", "comparison"},
                                            {"read_noise.h5", "read-noise-study"},
                                            {"training.h5", "training"},
                                            {"accuracy.h5", "accuracy"},
                                            {"sweep.h5", "sweep"}}};
constexpr int kAnyVersion = 1 << 20;

// What the first line of the file says it is ("crosstile <kind> v<version>"); empty: not a file of ours.
std::string stated_kind(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string program, kind;
  return in >> program >> kind && program == "crosstile" ? kind : std::string();
}

// A file with a name of ours and the content of another of ours is a mistake; a study may use the name for its
// own content.
void check_picture(const fs::path& file) {
  const auto named = std::find_if(kPictures.begin(), kPictures.end(), [&](const Picture& p) { return file.filename() == p.file; });
  const std::string kind = stated_kind(file);
  const bool known = std::any_of(kPictures.begin(), kPictures.end(), [&](const Picture& p) { return kind == p.kind; });
  if (named != kPictures.end() && (known || kind.empty()))
    data::Hdf5Reader(file, named->kind, 1);
  else if (!kind.empty())
    data::Hdf5Reader(file, kind, kAnyVersion);
}

// Python reads the files without looking at their hashes, so damage must be found before.
void check_inputs(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw Error(ErrorKind::io, "report: " + folder.string() + " is not a folder");
  bool any = false;
  if (path_exists(folder / "manifest.json")) {
    data::read_manifest(folder);
    any = true;
  }
  if (path_exists(folder / "results.json")) {
    read_results(folder / "results.json");
    any = true;
  }
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".h5" && entry.is_regular_file()) check_picture(entry.path());
  for (const Picture& picture : kPictures) any = any || path_exists(folder / picture.file);
  if (!any)
    throw Error(ErrorKind::usage, "report: " + folder.string() +
                                      " holds nothing to report (expected manifest.json, results.json, "
                                      "comparison.h5 or other results of a run)");
}

std::string tail_of(const std::string& text) {
  const std::string end =
      text.size() > kLongestMessage ? "..." + text.substr(text.size() - kLongestMessage) : text;
  const auto last = end.find_last_not_of(" \n\r\t");
  return last == std::string::npos ? "no message" : end.substr(0, last + 1);
}

void make_page(const fs::path& folder, const fs::path& page) {
  std::string tried;
  for (const std::string& interpreter : python_candidates()) {
    const PythonResult result = run_python(interpreter, report_script(), {folder.string(), page.string()});
    if (result.status == 0) return;
    // 126 and 127: the shell's codes for "cannot execute" and "not found", also used by a spawned process
    // that could not start
    const bool absent = result.status == -1 || result.status == 126 || result.status == 127;
    if (!absent && result.status != kPackagesMissing)
      throw Error(ErrorKind::io, "report: " + interpreter + " failed with status " +
                                     std::to_string(result.status) + ": " + tail_of(result.error_output));
    tried += (tried.empty() ? "" : "; ") + interpreter + ": " +
             (absent ? "cannot be started" : tail_of(result.error_output));
  }
  throw Error(
      ErrorKind::io,
      "report: no Python interpreter with matplotlib and h5py was found (" + tried +
          "); install the Debian packages python3-matplotlib and python3-h5py, or set CROSSTILE_PYTHON to an "
          "interpreter that has them");
}

}  // namespace

void write_report(const std::filesystem::path& run_folder) {
  check_inputs(run_folder);
  write_atomically(run_folder / "report.html", [&](const fs::path& temporary) {
    make_page(run_folder, temporary);
    if (!path_exists(temporary) || fs::file_size(temporary) == 0)
      throw Error(ErrorKind::io, "report: Python made no page");
  });
}

}  // namespace crosstile::validation
