#include "data/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "core/error.hpp"

namespace crosstile::data {

namespace {

constexpr std::uint32_t kLabelsMagic = 0x00000801;  // unsigned bytes, one dimension
constexpr std::uint32_t kImagesMagic = 0x00000803;  // unsigned bytes, three dimensions
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 32;
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

// A byte stream over a plain or gzip file; which of the two is told from its first bytes.
class IdxStream {
 public:
  explicit IdxStream(const std::filesystem::path& path) : path_(path) {
    std::error_code status;
    if (std::filesystem::is_directory(path, status))
      throw Error(ErrorKind::io, "cannot read " + path.string() + ": it is a folder");
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rbe"));
    if (!file_) throw Error(ErrorKind::io, "cannot read " + path.string() + ": " + std::strerror(errno));
    if (gzdirect(file_.get()) != 0) plain_bytes_ = std::filesystem::file_size(path);
  }

  /// Up to `size` bytes; fewer only at the end of the data.
  std::size_t read(std::uint8_t* out, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const auto chunk = static_cast<unsigned>(std::min(size - done, kBlockBytes));
      const int got = gzread(file_.get(), out + done, chunk);
      if (got < 0) throw_stream_error();
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    int code = Z_OK;
    gzerror(file_.get(), &code);
    if (done < size && code == Z_BUF_ERROR) fail("truncated: the compressed data end too early");
    return done;
  }

  /// Size of the file when it is not compressed.
  std::optional<std::uint64_t> plain_bytes() const { return plain_bytes_; }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::bad_data, path_.string() + ": " + message);
  }

 private:
  [[noreturn]] void throw_stream_error() const {
    const int saved = errno;
    int code = Z_OK;
    const std::string text = gzerror(file_.get(), &code);
    if (code == Z_ERRNO)
      throw Error(ErrorKind::io, "cannot read " + path_.string() + ": " + std::strerror(saved));
    if (code == Z_BUF_ERROR) fail("truncated: the compressed data end too early");
    fail("the compressed data are damaged (" + text + ")");
  }

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::optional<std::uint64_t> plain_bytes_;
};

std::uint32_t read_word(IdxStream& stream) {
  std::array<std::uint8_t, 4> bytes{};
  if (stream.read(bytes.data(), bytes.size()) != bytes.size())
    stream.fail("truncated: the header is incomplete");
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) |
         bytes[3];
}

// Sizes from the header, each at least 1 and together within `kMaxBytes` and, when it is known, the size of
// the file.
std::vector<std::uint64_t> read_header(IdxStream& stream, std::uint32_t wanted_magic, std::size_t rank) {
  const std::uint32_t magic = read_word(stream);
  if (magic != wanted_magic)
    stream.fail("magic number " + std::to_string(magic) + " found, " + std::to_string(wanted_magic) +
                " expected: not an IDX file of " + (rank == 3 ? "images" : "labels"));
  std::vector<std::uint64_t> sizes(rank);
  std::uint64_t total = 1;
  for (auto& size : sizes) {
    size = read_word(stream);
    if (size == 0) stream.fail("a size of 0 in the header");
    if (size > kMaxBytes / total)
      stream.fail("the header asks for more than " + std::to_string(kMaxBytes) + " bytes");
    total *= size;
  }
  const std::uint64_t header_bytes = 4 * (1 + rank);
  if (const auto plain = stream.plain_bytes(); plain && *plain != header_bytes + total)
    stream.fail(std::string(*plain < header_bytes + total ? "truncated" : "overlong") + ": " +
                std::to_string(*plain) + " bytes, " + std::to_string(header_bytes + total) +
                " expected from the header");
  return sizes;
}

// Grows block by block: a header that lies about compressed data costs no more memory than the data really
// have.
std::vector<std::uint8_t> read_payload(IdxStream& stream, std::uint64_t total) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < total) {
    const std::size_t begin = bytes.size();
    const std::size_t wanted = std::min<std::size_t>(total - begin, std::max(kBlockBytes, begin));
    bytes.resize(begin + wanted);
    const std::size_t got = stream.read(bytes.data() + begin, wanted);
    if (got < wanted)
      stream.fail("truncated: " + std::to_string(begin + got) + " bytes of data, " + std::to_string(total) +
                  " expected from the header");
  }
  std::uint8_t extra = 0;
  if (stream.read(&extra, 1) != 0)
    stream.fail("overlong: more data than the " + std::to_string(total) + " bytes of the header");
  return bytes;
}

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  IdxStream stream(path);
  const auto sizes = read_header(stream, kImagesMagic, 3);
  IdxImages images;
  images.count = static_cast<Index>(sizes[0]);
  images.height = static_cast<Index>(sizes[1]);
  images.width = static_cast<Index>(sizes[2]);
  images.pixels = read_payload(stream, sizes[0] * sizes[1] * sizes[2]);
  return images;
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  IdxStream stream(path);
  const auto sizes = read_header(stream, kLabelsMagic, 1);
  return read_payload(stream, sizes[0]);
}

LabelledImages read_labelled_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                                    int classes) {
  const IdxImages raw = read_idx_images(images);
  LabelledImages set;
  set.labels = read_idx_labels(labels);
  const auto label_count = static_cast<Index>(set.labels.size());
  if (label_count != raw.count)
    throw Error(ErrorKind::bad_data, labels.string() + ": " + std::to_string(label_count) +
                                         " labels for the " + std::to_string(raw.count) + " images of " +
                                         images.string());
  for (std::size_t k = 0; k < set.labels.size(); ++k)
    if (set.labels[k] >= classes)
      throw Error(ErrorKind::bad_data, labels.string() + ": label " + std::to_string(k) + " = " +
                                           std::to_string(set.labels[k]) + " is not allowed; allowed: 0 to " +
                                           std::to_string(classes - 1));
  set.height = raw.height;
  set.width = raw.width;
  using Pixels = Eigen::Matrix<std::uint8_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Pixels> pixels(raw.pixels.data(), raw.count, raw.height * raw.width);
  set.inputs = pixels.cast<float>() / 255.0F;
  return set;
}

void require_same_shape(const LabelledImages& train, const LabelledImages& test) {
  const bool known = train.height > 0 && test.height > 0;
  if (train.inputs.cols() == test.inputs.cols() &&
      (!known || (train.height == test.height && train.width == test.width)))
    return;
  const auto text = [](const LabelledImages& set) {
    return set.height > 0 ? std::to_string(set.height) + " x " + std::to_string(set.width)
                          : std::to_string(set.inputs.cols());
  };
  throw Error(ErrorKind::bad_data,
              "the training images have " + text(train) + " pixels, the test images " + text(test));
}

}  // namespace crosstile::data
