// IDX files (MNIST's format), plain or gzip-compressed. http://yann.lecun.com/exdb/mnist/ describes the layout.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/types.hpp"

namespace crosstile::data {

struct IdxImages {
  Index count = 0;
  Index height = 0;
  Index width = 0;
  std::vector<std::uint8_t> pixels;  ///< count x height x width
};

/// Errors: io; bad_data for a wrong magic number, a truncated or overlong file, or sizes that do not fit the file (checked before
/// anything is allocated for them).
IdxImages read_idx_images(const std::filesystem::path& path);
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

/// A labelled data set with inputs scaled to [0, 1].
struct LabelledImages {
  MatrixF inputs;              ///< count x (height * width), pixel / 255
  std::vector<std::uint8_t> labels;
  Index height = 0;
  Index width = 0;
};
/// Reads and checks a pair of files (same count, labels below `classes`).
LabelledImages read_labelled_images(const std::filesystem::path& images, const std::filesystem::path& labels, int classes = 10);
/// Errors: bad_data when the images of the two sets differ in height or width (where both are known) or in
/// pixels.
void require_same_shape(const LabelledImages& train, const LabelledImages& test);

}  // namespace crosstile::data
