// What the HDF5 reader and writer share: the library lock, handles that close themselves, checked calls, and
// the sealed user block. Private to this module.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace crosstile::data::hdf5 {

inline constexpr std::uint64_t kUserBlockBytes = 512;

/// Holds the one lock of the HDF5 library (Debian's build is not thread-safe) and silences its error printing
/// meanwhile.
class LibraryLock {
 public:
  LibraryLock();
  ~LibraryLock();
  LibraryLock(const LibraryLock&) = delete;
  LibraryLock& operator=(const LibraryLock&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  H5E_auto2_t printer_ = nullptr;
  void* printer_data_ = nullptr;
};

/// What HDF5 says about its last failure; only while the lock is held.
std::string last_failure();

/// File and purpose of the calls being made; turns a failed call into an Error.
struct Context {
  std::filesystem::path path;
  ErrorKind kind = ErrorKind::bad_data;

  [[noreturn]] void fail(const std::string& what) const { throw Error(kind, path.string() + ": " + what); }
  /// Passes a result on; negative means that the call failed.
  template <typename Result>
  Result check(Result result, const std::string& what) const {
    if (result < 0) fail(what + ": " + last_failure());
    return result;
  }
};

/// Owns an identifier. close() reports a failure (data may be written as late as that); the destructor
/// cannot.
class Handle {
 public:
  using Closer = herr_t (*)(hid_t);
  Handle() = default;
  Handle(hid_t id, Closer closer) : id_(id), close_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }  // NOLINT: stands in for the identifier in every call
  void close(const Context& context, const std::string& what) {
    context.check(close_(std::exchange(id_, -1)), what);
  }

 private:
  hid_t id_ = -1;
  Closer close_ = nullptr;
};

/// The text in the user block of a file: what it is, and the hash and size by which damage is noticed.
struct Seal {
  std::string kind;
  int version = 0;
  std::string hash;         ///< XXH3-128 of the bytes behind the user block
  std::uint64_t bytes = 0;  ///< size of the whole file
};

/// Fills in the user block of a finished file held in memory.
void seal_image(std::string& image, const std::string& kind, int version);
/// True when the file begins with the name of this program.
bool is_sealed(const std::filesystem::path& file);
/// Reads the seal and checks size and hash. Errors: io, bad_data.
Seal verify_seal(const std::filesystem::path& file);

}  // namespace crosstile::data::hdf5
