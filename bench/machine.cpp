#include "bench/machine.hpp"

#include <ctime>
#include <fstream>
#include <thread>

#include "core/version.hpp"

namespace crosstile::bench {

namespace {

// Value of the first line that begins with `key`, behind the separator; empty when there is none.
std::string first_value(const std::string& path, const std::string& key, char separator) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const auto begin = line.find_first_not_of(" \t\"", line.find(separator) + 1);
    const auto end = line.find_last_not_of(" \t\"");
    return begin == std::string::npos ? "" : line.substr(begin, end + 1 - begin);
  }
  return "";
}

std::string memory() {
  const std::string text = first_value("/proc/meminfo", "MemTotal", ':');
  return text.empty() ? "" : std::to_string(static_cast<long>(std::stod(text) / (1024.0 * 1024.0) + 0.5)) + " GB";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_facts() {
  return {{"processor", first_value("/proc/cpuinfo", "model name", ':')},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"memory", memory()},
          {"system", first_value("/etc/os-release", "PRETTY_NAME", '=')},
          {"compiler", CROSSTILE_BENCH_COMPILER},
          {"flags", CROSSTILE_BENCH_FLAGS},
          {"crosstile", kVersion}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace crosstile::bench
