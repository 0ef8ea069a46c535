#include "data/idx.hpp"

#include <zlib.h>

#include <array>
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/core/scratch.hpp"

using namespace crosstile;
using namespace crosstile::data;
using namespace crosstile::testing;

namespace {

const std::filesystem::path kMnist = std::filesystem::path(CROSSTILE_SOURCE_DIR) / "data/mnist";

std::string word(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string images_header(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  return word(0x803) + word(count) + word(height) + word(width);
}

void put_gzip(const std::filesystem::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

std::array<int, 10> histogram(const std::vector<std::uint8_t>& labels) {
  std::array<int, 10> counts{};
  for (const auto label : labels) ++counts.at(label);
  return counts;
}

}  // namespace

TEST_CASE("The MNIST training set has its published sizes, label counts and mean pixel", "[kat]") {
  const IdxImages images = read_idx_images(kMnist / "train-images-idx3-ubyte.gz");
  REQUIRE(images.count == 60000);
  REQUIRE(images.height == 28);
  REQUIRE(images.width == 28);
  REQUIRE(images.pixels.size() == 60000UL * 28 * 28);
  const double sum = std::accumulate(images.pixels.begin(), images.pixels.end(), 0.0);
  REQUIRE(sum / static_cast<double>(images.pixels.size()) / 255.0 == Approx(0.1307).margin(5e-5));
  const auto labels = read_idx_labels(kMnist / "train-labels-idx1-ubyte.gz");
  REQUIRE(labels.size() == 60000);
  REQUIRE(std::vector<int>(labels.begin(), labels.begin() + 5) == std::vector<int>{5, 0, 4, 1, 9});
  REQUIRE(histogram(labels) ==
          std::array<int, 10>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
}

TEST_CASE("The MNIST test set is read as inputs between 0 and 1 with its labels", "[kat]") {
  const LabelledImages set =
      read_labelled_images(kMnist / "t10k-images-idx3-ubyte.gz", kMnist / "t10k-labels-idx1-ubyte.gz");
  REQUIRE(set.inputs.rows() == 10000);
  REQUIRE(set.inputs.cols() == 784);
  REQUIRE(set.height == 28);
  REQUIRE(set.inputs.minCoeff() == 0.0F);
  REQUIRE(set.inputs.maxCoeff() == 1.0F);
  REQUIRE(histogram(set.labels) ==
          std::array<int, 10>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009});
}

TEST_CASE("Plain and compressed files give the same images", "[identity]") {
  const ScratchFolder folder;
  std::string pixels;
  for (int k = 0; k < 2 * 3 * 4; ++k) pixels += static_cast<char>(k * 11);
  put_bytes(folder / "plain", images_header(2, 3, 4) + pixels);
  put_gzip(folder / "packed", images_header(2, 3, 4) + pixels);
  const IdxImages plain = read_idx_images(folder / "plain");
  const IdxImages packed = read_idx_images(folder / "packed");
  REQUIRE(plain.count == 2);
  REQUIRE(plain.height == 3);
  REQUIRE(plain.width == 4);
  REQUIRE(std::string(plain.pixels.begin(), plain.pixels.end()) == pixels);
  REQUIRE(packed.pixels == plain.pixels);
}

TEST_CASE("An MNIST file cut anywhere is refused as truncated", "[error]") {
  const ScratchFolder folder;
  const std::string whole = get_bytes(kMnist / "t10k-labels-idx1-ubyte.gz");
  for (const std::size_t size :
       {std::size_t{25}, whole.size() / 2, whole.size() - 9, whole.size() - 8, whole.size() - 1}) {
    put_bytes(folder / "labels.gz", whole.substr(0, size));
    require_error(error_of([&] { read_idx_labels(folder / "labels.gz"); }), ErrorKind::bad_data,
                  {"labels.gz", "truncated"});
  }
  const std::string images = get_bytes(kMnist / "t10k-images-idx3-ubyte.gz");
  put_bytes(folder / "images.gz", images.substr(0, images.size() / 3));
  require_error(error_of([&] { read_idx_images(folder / "images.gz"); }), ErrorKind::bad_data,
                {"images.gz", "truncated"});
}

TEST_CASE("A flipped byte in compressed data is refused", "[error]") {
  const ScratchFolder folder;
  const std::string whole = get_bytes(kMnist / "t10k-labels-idx1-ubyte.gz");
  for (std::size_t at = 60; at < whole.size(); at += 307) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    put_bytes(folder / "labels.gz", damaged);
    require_error(error_of([&] { read_idx_labels(folder / "labels.gz"); }), ErrorKind::bad_data,
                  {"labels.gz"});
  }
}

TEST_CASE("Hostile and broken IDX files are refused before memory is taken for them", "[error]") {
  struct Case {
    std::string bytes;
    std::string part;
  };
  const std::vector<Case> cases = {
      {"", "truncated"},
      {word(0x803) + word(1), "truncated"},
      {images_header(2, 2, 2) + "1234567", "truncated"},
      {images_header(2, 2, 2) + "123456789", "overlong"},
      {images_header(0, 2, 2), "size of 0"},
      {images_header(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + "1", "more than"},
      {images_header(0x10000, 0x10000, 2) + "1", "more than"},
      {images_header(0x80000000, 1, 1) + "1", "truncated"},
      {word(0x801) + word(1) + "1", "magic number 2049"},
      {"<!DOCTYPE html><html>", "magic number"},
  };
  const ScratchFolder folder;
  for (const auto& one : cases) {
    put_bytes(folder / "plain", one.bytes);
    require_error(error_of([&] { read_idx_images(folder / "plain"); }), ErrorKind::bad_data,
                  {"plain", one.part});
    put_gzip(folder / "packed", one.bytes);
    require_error(error_of([&] { read_idx_images(folder / "packed"); }), ErrorKind::bad_data,
                  {"packed", one.part});
  }
  put_bytes(folder / "images", images_header(1, 1, 1) + "1");
  require_error(error_of([&] { read_idx_labels(folder / "images"); }), ErrorKind::bad_data, {"labels"});
}

TEST_CASE("Images and labels that do not belong together are refused", "[error]") {
  const ScratchFolder folder;
  put_bytes(folder / "images", images_header(2, 1, 1) + "ab");
  put_bytes(folder / "three", word(0x801) + word(3) + std::string(3, '\1'));
  put_bytes(folder / "eleven", word(0x801) + word(2) + "\1\13");
  require_error(error_of([&] { read_labelled_images(folder / "images", folder / "three"); }),
                ErrorKind::bad_data, {"three", "3 labels", "2 images"});
  require_error(error_of([&] { read_labelled_images(folder / "images", folder / "eleven"); }),
                ErrorKind::bad_data, {"eleven", "label 1 = 11", "0 to 9"});
  LabelledImages tall{MatrixF::Zero(1, 6), {0}, 3, 2}, wide{MatrixF::Zero(1, 6), {0}, 2, 3},
      flat{MatrixF::Zero(1, 6), {0}, 0, 0};
  require_error(error_of([&] { require_same_shape(tall, wide); }), ErrorKind::bad_data, {"3 x 2", "2 x 3"});
  require_same_shape(tall, tall);
  require_same_shape(tall, flat);
  flat.inputs = MatrixF::Zero(1, 5);
  require_error(error_of([&] { require_same_shape(tall, flat); }), ErrorKind::bad_data, {"3 x 2", "5"});
}

TEST_CASE("A missing IDX file is an input/output error", "[error]") {
  const ScratchFolder folder;
  require_error(error_of([&] { read_idx_images(folder / "none"); }), ErrorKind::io, {"none"});
  require_error(error_of([&] { read_idx_labels(folder.path()); }), ErrorKind::io, {"folder"});
}
