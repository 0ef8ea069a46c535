#include "validation/python_process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/child_process.hpp"
#include "core/error.hpp"

namespace crosstile::validation {

namespace {

[[noreturn]] void throw_system(const std::string& what) {
  throw Error(ErrorKind::io, what + ": " + std::strerror(errno));
}

/// A file in memory: unlike a pipe it neither blocks nor raises a signal when the other side goes away.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : fd_(::memfd_create(name, MFD_CLOEXEC)) {
    if (fd_ < 0) throw_system("cannot make a file in memory");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }

  void fill(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) throw_system("cannot write to a file in memory");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    ::lseek(fd_, 0, SEEK_SET);
  }

  std::string content() const {
    std::string text;
    std::array<char, 4096> block;
    ::lseek(fd_, 0, SEEK_SET);
    for (ssize_t n = 0; (n = ::read(fd_, block.data(), block.size())) > 0;)
      text.append(block.data(), static_cast<std::size_t>(n));
    return text;
  }

 private:
  int fd_;
};

}  // namespace

PythonResult run_python(const std::string& interpreter, std::string_view script,
                        const std::vector<std::string>& arguments) {
  MemoryFile input("crosstile-script");
  MemoryFile errors("crosstile-errors");
  input.fill(script);

  std::vector<std::string> words{"-"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::optional<ChildProcess> child;
  try {
    child.emplace(interpreter, words, ChildIo{{}, input.fd(), -1, errors.fd()});
  } catch (const Error&) {
    return {-1, "cannot be started"};
  }
  const int status = child->wait();
  return {status, errors.content()};
}

std::vector<std::string> python_candidates() {
  const char* chosen = std::getenv("CROSSTILE_PYTHON");
  if (chosen != nullptr && *chosen != '\0') return {chosen};
  return {"python3", "/usr/bin/python3"};
}

}  // namespace crosstile::validation
