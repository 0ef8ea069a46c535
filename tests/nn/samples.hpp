// Small inputs for the tests of nn.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <unistd.h>

#include "core/random.hpp"
#include "data/idx.hpp"

namespace samples {

using namespace crosstile;

/// Images of `classes` blurred prototypes with noise, pixels in [0, 1]; easy but not trivial to learn.
inline data::LabelledImages images(Index count, Index side = 8, int classes = 10, std::uint64_t seed = 5) {
  data::LabelledImages out;
  out.height = out.width = side;
  const Index pixels = side * side;
  const Matrix prototypes = random_uniform_matrix({seed, Stream::test, 1}, classes, pixels);
  const Matrix noise = random_uniform_matrix({seed, Stream::test, 2}, count, pixels);
  out.inputs.resize(count, pixels);
  for (Index r = 0; r < count; ++r) {
    const Index label = r % classes;
    out.labels.push_back(static_cast<std::uint8_t>(label));
    out.inputs.row(r) = (0.5 * prototypes.row(label) + 0.5 * noise.row(r)).cast<float>();
  }
  return out;
}

/// The first `count` of a data set.
inline data::LabelledImages head(const data::LabelledImages& all, Index count) {
  data::LabelledImages out;
  out.height = all.height;
  out.width = all.width;
  out.inputs = all.inputs.topRows(count);
  out.labels.assign(all.labels.begin(), all.labels.begin() + count);
  return out;
}

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder() {
    static std::atomic<int> next{0};
    path_ = std::filesystem::temp_directory_path() /
            ("crosstile-nn-" + std::to_string(::getpid()) + "-" + std::to_string(next++));
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace samples
