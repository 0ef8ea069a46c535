#include "circuit/ngspice.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <sstream>
#include <system_error>
#include <thread>

#include "core/child_process.hpp"
#include "core/error.hpp"
#include "core/files.hpp"

namespace crosstile::circuit {

namespace {

using std::filesystem::path;

[[noreturn]] void throw_system(const std::string& what, int reason) {
  throw Error(ErrorKind::io, what + ": " + std::strerror(reason));
}

// A folder of its own, gone with everything in it at the end.
class PrivateFolder {
 public:
  PrivateFolder() {
    std::error_code reason;
    const path parent = std::filesystem::temp_directory_path(reason);
    if (reason) throw Error(ErrorKind::io, "no folder for temporary files (TMPDIR): " + reason.message());
    std::string name = (parent / "crosstile-ngspice-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw_system("cannot make the folder " + name, errno);
    folder_ = name;
  }
  ~PrivateFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  const path& get() const { return folder_; }

 private:
  path folder_;
};

class OutputFile {
 public:
  explicit OutputFile(const path& file) : fd_(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (fd_ < 0) throw_system("cannot write " + file.string(), errno);
  }
  ~OutputFile() { ::close(fd_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

int wait_for(ChildProcess& child, const Progress& progress, double fraction) {
  using namespace std::chrono_literals;
  auto pause = 1ms;
  for (;;) {
    if (const auto code = child.finished()) {
      report_progress(progress, fraction, "ngspice");  // an interrupt from the keyboard reaches ngspice too
      return *code;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, 50ms);
    report_progress(progress, fraction, "ngspice");
  }
}

// Values that ngspice printed as "name = value".
std::map<std::string, double> printed_values(const std::string& output) {
  std::map<std::string, double> values;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find(" = ");
    if (equals == std::string::npos || line.find(' ') != equals) continue;
    double value = 0.0;
    const char* const end = line.data() + line.size();
    const auto read = std::from_chars(line.data() + equals + 3, end, value);
    if (read.ec == std::errc() && read.ptr == end) values[line.substr(0, equals)] = value;
  }
  return values;
}

std::string last_lines(const std::string& output) {
  std::vector<std::string> kept;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) kept.push_back(line);
  constexpr std::size_t kShown = 6;
  std::string text;
  for (std::size_t k = kept.size() > kShown ? kept.size() - kShown : 0; k < kept.size(); ++k)
    text += (text.empty() ? "" : " | ") + kept[k];
  return text.empty() ? "nothing" : text;
}

}  // namespace

path find_ngspice() {
  const char* const search = std::getenv("PATH");
  std::istringstream folders(search != nullptr ? search : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    const path candidate = path(folder) / "ngspice";
    std::error_code status;
    if (std::filesystem::is_regular_file(candidate, status) && ::access(candidate.c_str(), X_OK) == 0)
      return std::filesystem::absolute(candidate);
  }
  throw Error(ErrorKind::usage, "ngspice is not installed: no program of that name in a folder of PATH (Debian package: ngspice)");
}

NgspiceAnswer parse_ngspice_output(const std::string& output, Index cols, double window_s, bool with_phase) {
  const auto values = printed_values(output);
  const auto value = [&](const std::string& name) {
    const auto found = values.find(name);
    if (found == values.end()) throw Error(ErrorKind::not_converged, "ngspice did not print " + name);
    if (!std::isfinite(found->second)) throw Error(ErrorKind::not_converged, "ngspice's " + name + " is not finite");
    return found->second;
  };
  const double end = value("end_s");
  if (std::abs(end - window_s) > 1e-9 * window_s) {
    std::ostringstream text;
    text << "ngspice stopped at " << end << " s of " << window_s << " s";
    throw Error(ErrorKind::not_converged, text.str());
  }
  NgspiceAnswer answer;
  answer.points = static_cast<long>(value("points"));
  answer.charge_coulomb.resize(cols);
  answer.phase.resize(with_phase ? cols : 0);
  for (Index j = 0; j < cols; ++j) {
    answer.charge_coulomb[j] = value("charge_" + std::to_string(j));
    if (with_phase) answer.phase[j] = value("phase_" + std::to_string(j));
  }
  return answer;
}

NgspiceResult run_ngspice(const Crossbar& crossbar, const IntVector& codes, const NgspiceOptions& options, const Progress& progress) {
  const auto decks = write_netlists(crossbar, codes, options.netlist);
  const path program = options.program.empty() ? find_ngspice() : options.program;
  const bool with_phase = crossbar.tile.front_end.kind == data::FrontEndKind::cco;
  const Index passes = static_cast<Index>(decks.size());
  NgspiceResult result;
  result.charge_coulomb = Vector::Zero(crossbar.cols());
  result.pass_charge = Matrix::Zero(passes, crossbar.cols());
  if (with_phase) result.pass_phase = Matrix::Zero(passes, crossbar.cols());

  const PrivateFolder folder;
  for (const Netlist& deck : decks) {
    const path input = folder.get() / "deck.cir", output = folder.get() / "output.txt";
    write_text_atomically(input, deck.text);
    const OutputFile stream(output);
    // -n: no start-up file of the user's, which could change tolerances.
    ChildProcess child(program, {"-n", "-b", input.string()}, {folder.get(), -1, stream.fd(), stream.fd()});
    const int code = wait_for(child, progress, static_cast<double>(deck.number) / static_cast<double>(passes));
    const std::string said = read_text(output);
    try {
      if (code != 0) throw Error(ErrorKind::not_converged, "ngspice ended with exit code " + std::to_string(code));
      const auto answer = parse_ngspice_output(said, crossbar.cols(), deck.window_s, with_phase);
      result.pass_charge.row(deck.number) = answer.charge_coulomb.transpose();
      if (with_phase) result.pass_phase.row(deck.number) = answer.phase.transpose();
      result.charge_coulomb += deck.weight * answer.charge_coulomb;
      result.points += answer.points;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_converged) throw;
      result.status = Status::not_converged;
      result.failure = "pass " + std::to_string(deck.number + 1) + " of " + std::to_string(passes) + ": " + error.what() +
                       "; its last words: " + last_lines(said);
      return result;
    }
  }
  return result;
}

}  // namespace crosstile::circuit
