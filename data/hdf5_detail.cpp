#include "data/hdf5_detail.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

#include "core/files.hpp"

namespace crosstile::data::hdf5 {

namespace {

constexpr std::string_view kProgram = "crosstile ";

std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::string seal_text(const Seal& seal) {
  std::string text = std::string(kProgram) + seal.kind + " v" + std::to_string(seal.version) + "\nxxh3-128 " +
                     seal.hash + "\nbytes " + std::to_string(seal.bytes) + "\n";
  text.resize(kUserBlockBytes, '\0');
  return text;
}

std::string read_user_block(const std::filesystem::path& file) {
  std::error_code status;
  if (std::filesystem::is_directory(file, status))
    throw Error(ErrorKind::io, "cannot read " + file.string() + ": it is a folder");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorKind::io, "cannot read " + file.string() + ": " + std::strerror(errno));
  std::string block(kUserBlockBytes, '\0');
  in.read(block.data(), static_cast<std::streamsize>(block.size()));
  if (in.bad()) throw Error(ErrorKind::io, "cannot read " + file.string() + ": " + std::strerror(errno));
  block.resize(static_cast<std::size_t>(in.gcount()));
  return block;
}

// Takes `prefix` and everything up to `end` off the front of `text`; what stood between, or nothing when it
// does not match.
std::string take(std::string_view& text, std::string_view prefix, std::string_view end) {
  const auto at =
      text.substr(0, prefix.size()) == prefix ? text.find(end, prefix.size()) : std::string_view::npos;
  if (at == std::string_view::npos) return {};
  const std::string middle(text.substr(prefix.size(), at - prefix.size()));
  text.remove_prefix(at + end.size());
  return middle;
}

template <typename Number>
Number to_number(const std::string& text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

herr_t keep_innermost(unsigned level, const H5E_error2_t* error, void* text) {
  if (level == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

LibraryLock::LibraryLock() : lock_(library_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

LibraryLock::~LibraryLock() {
  H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

std::string last_failure() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  return text.empty() ? "HDF5 gives no reason" : text;
}

void seal_image(std::string& image, const std::string& kind, int version) {
  const std::string hash = hash_bytes(std::string_view(image).substr(kUserBlockBytes));
  image.replace(0, kUserBlockBytes, seal_text({kind, version, hash, image.size()}));
}

bool is_sealed(const std::filesystem::path& file) {
  return read_user_block(file).starts_with(kProgram);
}

Seal verify_seal(const std::filesystem::path& file) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::bad_data, file.string() + ": " + what);
  };
  const std::string block = read_user_block(file);
  if (!block.starts_with(kProgram))
    fail("not a crosstile file, or damaged (its first bytes do not say crosstile)");
  std::string_view rest = block;
  Seal seal;
  seal.kind = take(rest, kProgram, " v");
  seal.version = to_number<int>(take(rest, "", "\n"));
  seal.hash = take(rest, "xxh3-128 ", "\n");
  seal.bytes = to_number<std::uint64_t>(take(rest, "bytes ", "\n"));
  // Written again from what was understood: any other byte in the block is damage too.
  if (seal_text(seal) != block) fail("damaged: the user block is not what this program writes");
  const std::uint64_t bytes = std::filesystem::file_size(file);
  if (bytes != seal.bytes)
    fail((bytes < seal.bytes ? "truncated: " : "damaged: ") + std::to_string(bytes) + " bytes, " +
         std::to_string(seal.bytes) + " expected");
  if (hash_file(file, kUserBlockBytes) != seal.hash) fail("damaged: the content does not match its hash");
  return seal;
}

}  // namespace crosstile::data::hdf5
