#include "core/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.hpp"

extern "C" char** environ;

namespace crosstile {

namespace {

[[noreturn]] void throw_process_error(const std::string& what, int reason) {
  throw Error(ErrorKind::io, what + ": " + std::strerror(reason));
}

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

  void stream(int number, int from) {
    if (from >= 0)
      ::posix_spawn_file_actions_adddup2(&actions_, from, number);
    else
      ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
  }

 private:
  posix_spawn_file_actions_t actions_;
};

}  // namespace

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& arguments,
                           const ChildIo& io)
    : program_(program) {
  SpawnActions actions;
  if (!io.folder.empty()) ::posix_spawn_file_actions_addchdir_np(actions.get(), io.folder.c_str());
  actions.stream(STDIN_FILENO, io.input);
  actions.stream(STDOUT_FILENO, io.output);
  actions.stream(STDERR_FILENO, io.error);
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int reason = ::posix_spawnp(&process_, program.c_str(), actions.get(), nullptr, argv.data(), environ);
  if (reason != 0) throw_process_error("cannot start " + program, reason);
}

ChildProcess::~ChildProcess() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> ChildProcess::reap(bool patiently) {
  int status = 0;
  pid_t who = -1;
  do {
    who = ::waitpid(process_, &status, patiently ? 0 : WNOHANG);
  } while (patiently && who < 0 && errno == EINTR);
  if (who == 0 || (who < 0 && errno == EINTR)) return std::nullopt;
  if (who < 0) throw_process_error("cannot wait for " + program_, errno);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace crosstile
