#include "bench/measure.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <exception>
#include <fstream>
#include <limits>
#include <string>

#include "core/error.hpp"

namespace crosstile::bench {

namespace {

double process_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double child_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A line "name:  123 kB" of /proc/self/status, in bytes.
double process_status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(name + ":", 0) == 0) return 1024.0 * std::stod(line.substr(name.size() + 1));
  return std::numeric_limits<double>::quiet_NaN();
}

[[noreturn]] void run_child(const std::function<void()>& work, int out) {
  double growth = std::numeric_limits<double>::quiet_NaN();
  int code = 1;
  try {
    malloc_trim(0);
    const double before = process_status_bytes("VmRSS");
    std::ofstream("/proc/self/clear_refs") << "5";  // the high-water mark starts again from here
    work();
    growth = process_status_bytes("VmHWM") - before;
    code = write(out, &growth, sizeof growth) == static_cast<ssize_t>(sizeof growth) ? 0 : 1;
  } catch (const std::exception&) {
    code = 1;
  }
  _exit(code);
}

}  // namespace

double cpu_seconds(const std::function<void()>& work) {
  const double begin = process_seconds();
  work();
  return process_seconds() - begin;
}

double cold_cpu_seconds(const std::function<void()>& work) {
  malloc_trim(0);
  return cpu_seconds(work);
}

double wall_seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double child_cpu_seconds(const std::function<void()>& work) {
  const double begin = child_seconds();
  work();
  return child_seconds() - begin;
}

double Samples::best() const {
  if (seconds_.empty()) return std::numeric_limits<double>::quiet_NaN();
  return *std::min_element(seconds_.begin(), seconds_.end());
}

double Samples::spread() const {
  if (seconds_.size() < 2) return 0.0;
  std::vector<double> sorted = seconds_;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2] / sorted.front() - 1.0;
}

double peak_memory_growth(const std::function<void()>& work) {
  int ends[2];
  if (pipe(ends) != 0) throw Error(ErrorKind::io, "cannot make a pipe to measure memory");
  const pid_t child = fork();
  if (child < 0) throw Error(ErrorKind::io, "cannot fork to measure memory");
  if (child == 0) {
    close(ends[0]);
    run_child(work, ends[1]);
  }
  close(ends[1]);
  double growth = std::numeric_limits<double>::quiet_NaN();
  const bool told = read(ends[0], &growth, sizeof growth) == static_cast<ssize_t>(sizeof growth);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!told || status != 0) throw Error(ErrorKind::check_failed, "the child that measures memory failed");
  return growth;
}

}  // namespace crosstile::bench
