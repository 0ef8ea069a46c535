// Every file of the corpus, and seeded changes of each, through its target: fuzz_replay CORPUS [TARGET]. With
// any compiler.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/files.hpp"
#include "tests/fuzz/targets.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

// A small generator for tests of robustness; nothing is concluded from its statistics.
class Changes {
 public:
  explicit Changes(std::uint64_t seed) : state_(seed * 2862933555777941757ULL + 3037000493ULL) {}
  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % std::max<std::uint64_t>(bound, 1);
  }

  Bytes of(const Bytes& whole) {
    Bytes bytes = whole;
    for (std::uint64_t k = 1 + below(4); k > 0 && !bytes.empty(); --k) change(bytes);
    return bytes;
  }

 private:
  void change(Bytes& bytes) {
    const auto at = static_cast<std::ptrdiff_t>(below(bytes.size()));
    const auto length = static_cast<std::ptrdiff_t>(
        below(std::min<std::size_t>(16, bytes.size() - static_cast<std::size_t>(at))));
    switch (below(5)) {
      case 0:
        bytes[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        bytes[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(below(256));
        break;
      case 2:
        bytes.erase(bytes.begin() + at, bytes.begin() + at + length);
        break;
      case 3: {
        const Bytes piece(bytes.begin() + at, bytes.begin() + at + length);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(),
                     piece.end());
        break;
      }
      default:
        bytes.resize(below(8) == 0 ? static_cast<std::size_t>(at) : bytes.size());
    }
  }

  std::uint64_t state_;
};

Bytes read_bytes(const std::filesystem::path& file) {
  const std::string text = crosstile::read_text(file);
  return {text.begin(), text.end()};
}

// How many files there were.
int replay(const crosstile::fuzz::NamedTarget& target, const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::uint64_t seed = 1;
  for (const auto& file : files) {
    const Bytes whole = read_bytes(file);
    target.run(whole.data(), whole.size());
    Changes changes(seed++);
    for (int k = 0; k < target.mutations; ++k) {
      const Bytes changed = changes.of(whole);
      target.run(changed.data(), changed.size());
    }
  }
  return static_cast<int>(files.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: fuzz_replay CORPUS [TARGET]\n");
    return 2;
  }
  for (const auto& target : crosstile::fuzz::targets()) {
    if (argc == 3 && std::strcmp(argv[2], target.name) != 0) continue;
    const int files = replay(target, std::filesystem::path(argv[1]) / target.name);
    std::printf("%-9s %3d files, %d changes of each\n", target.name, files, target.mutations);
    if (files == 0) return 1;
  }
  return 0;
}
