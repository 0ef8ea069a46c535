// Small data sets in IDX for tests of the pipeline.
#pragma once

#include <fstream>
#include <string>

#include "core/random.hpp"
#include "tests/core/scratch.hpp"

namespace crosstile::testing {

inline void put_big_endian(std::ofstream& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>((value >> shift) & 255));
}

// Images of 6 x 6 pixels whose bright row says their class (0..2), in IDX.
inline void write_images(const ScratchFolder& folder, const std::string& name, std::uint32_t count) {
  std::ofstream images(folder / (name + "-images"), std::ios::binary),
      labels(folder / (name + "-labels"), std::ios::binary);
  put_big_endian(images, 0x803);
  put_big_endian(labels, 0x801);
  for (auto* file : {&images, &labels}) put_big_endian(*file, count);
  put_big_endian(images, 6);
  put_big_endian(images, 6);
  for (std::uint32_t n = 0; n < count; ++n) {
    labels.put(static_cast<char>(n % 3));
    for (std::uint32_t p = 0; p < 36; ++p) {
      const double noise = random_uniform({name.size(), Stream::test, 0}, n, p);
      images.put(static_cast<char>(p / 12 == n % 3 ? 120 + static_cast<int>(100 * noise)
                                                   : static_cast<int>(60 * noise)));
    }
  }
}

// The table [data] for images "train" and "test" in that folder.
inline std::string data_table(const ScratchFolder& folder) {
  std::string text = "[data]\n";
  for (const std::string part : {"train", "test"}) {
    text += part + "_images = \"" + (folder / (part + "-images")).string() + "\"\n";
    text += part + "_labels = \"" + (folder / (part + "-labels")).string() + "\"\n";
  }
  return text;
}

}  // namespace crosstile::testing
