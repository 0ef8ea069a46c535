#include "core/files.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "core/error.hpp"

namespace crosstile {

namespace {

[[noreturn]] void throw_io(const std::string& what, const fs::path& path) {
  throw Error(ErrorKind::io, what + " " + path.string() + ": " + std::strerror(errno));
}

void sync_path(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) throw_io("cannot open", path);
  const int failed = ::fsync(fd);
  const int saved = errno;
  ::close(fd);
  errno = saved;
  if (failed != 0) throw_io("cannot sync", path);
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> counter{0};  // only makes names unique within the process; no result depends on it
  return folder_of(path) / ("." + path.filename().string() + "." + std::to_string(::getpid()) + "." +
                            std::to_string(counter.fetch_add(1)) + ".tmp");
}

std::string to_hex(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

void write_atomically(const fs::path& path, const std::function<void(const fs::path& temporary)>& write) {
  const fs::path temporary = temporary_beside(path);
  try {
    write(temporary);
    sync_path(temporary, O_RDONLY);
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw_io("cannot rename to", path);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_path(folder_of(path), O_RDONLY | O_DIRECTORY);
}

void write_text_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path, [&](const fs::path& temporary) {
    std::ofstream out(temporary, std::ios::binary);
    if (!out) throw_io("cannot create", path);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) throw_io("cannot write", path);
  });
}

bool path_exists(const fs::path& path) {
  std::error_code status;
  const bool there = fs::exists(path, status);
  if (status) throw Error(ErrorKind::io, "cannot look for " + path.string() + ": " + status.message());
  return there;
}

std::string read_text(const fs::path& path, std::uint64_t max_bytes) {
  std::error_code status;
  if (fs::is_directory(path, status)) throw Error(ErrorKind::io, "cannot read " + path.string() + ": it is a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_io("cannot read", path);
  const auto size = fs::file_size(path, status);
  if (!status && size > max_bytes)
    throw Error(ErrorKind::bad_data, path.string() + ": " + std::to_string(size) + " bytes, more than the " +
                                         std::to_string(max_bytes) + " allowed");
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) throw_io("cannot read", path);
  return text;
}

std::string hash_file(const fs::path& path, std::uint64_t offset) {
  std::ifstream in(path, std::ios::binary);
  if (!in || !in.seekg(static_cast<std::streamoff>(offset))) throw_io("cannot read", path);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> block(1 << 20);
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    XXH3_128bits_update(state.get(), block.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) throw_io("cannot read", path);
  return to_hex(XXH3_128bits_digest(state.get()));
}

std::string hash_bytes(std::string_view bytes) { return to_hex(XXH3_128bits(bytes.data(), bytes.size())); }

void require_writable_folder(const fs::path& folder) {
  std::error_code status;
  fs::create_directories(folder, status);
  if (status) throw Error(ErrorKind::io, "cannot create the folder " + folder.string() + ": " + status.message());
  const fs::path probe = temporary_beside(folder / "probe");
  const int fd = ::open(probe.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) throw_io("cannot write in the folder", folder);
  ::close(fd);
  fs::remove(probe, status);
}

}  // namespace crosstile
