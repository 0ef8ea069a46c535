#include "cli/signals.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "core/error.hpp"

namespace crosstile::cli {

namespace {

std::atomic<int> signals_seen{0};  // written by the handler; the only state of the program outside main
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void note_signal(int) {
  if (signals_seen.fetch_add(1) > 0) ::_exit(static_cast<int>(ErrorKind::interrupted));
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A file beyond the limit on sizes is an error of its write, as on a full disk, not the end of the program.
  action.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &action, nullptr);
}

bool interrupted() {
  return signals_seen.load() > 0;
}

}  // namespace crosstile::cli
