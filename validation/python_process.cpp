#include "validation/python_process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/error.hpp"

extern "C" char** environ;

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

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw_system("cannot wait for the Python process");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

PythonResult run_python(const std::string& interpreter, std::string_view script,
                        const std::vector<std::string>& arguments) {
  MemoryFile input("crosstile-script");
  MemoryFile errors("crosstile-errors");
  input.fill(script);

  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(actions.get(), input.fd(), STDIN_FILENO);
  ::posix_spawn_file_actions_addopen(actions.get(), STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), errors.fd(), STDERR_FILENO);

  std::vector<std::string> words{interpreter, "-"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  pid_t child = 0;
  if (::posix_spawnp(&child, interpreter.c_str(), actions.get(), nullptr, argv.data(), environ) != 0)
    return {-1, "cannot be started"};
  const int status = wait_for(child);
  return {status, errors.content()};
}

std::vector<std::string> python_candidates() {
  const char* chosen = std::getenv("CROSSTILE_PYTHON");
  if (chosen != nullptr && *chosen != '\0') return {chosen};
  return {"python3", "/usr/bin/python3"};
}

}  // namespace crosstile::validation
