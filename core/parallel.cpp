#include "core/parallel.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace crosstile {

namespace {

constexpr int kSpins = 1000;  // some ten microseconds, then a waiting thread sleeps
constexpr int kMostHelpers = 0xFFFF;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Helper threads that outlive a loop, so that short loops pay for no thread. One loop at a time; a loop that finds the helpers busy
// (nested, or from a second thread) starts threads of its own. A helper that comes late finds the turn closed and is not waited for.
class Helpers {
 public:
  using Work = std::function<void(int)>;

  ~Helpers() {
    stopping_.store(true);
    open_turn(kMostHelpers);
    threads_.clear();
  }

  /// work(0) here, and work(1) .. work(helpers) on those helpers that come before it ends. False: the helpers are busy and nothing was
  /// done. `work` does not throw.
  bool run(int helpers, const Work& work) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner || helpers > kMostHelpers || !is_at_home()) return false;
    while (static_cast<int>(threads_.size()) < helpers) {
      const int id = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, id, seen = turn_of(state_.load())] { serve(id, seen); });
    }
    work_ = &work;
    open_turn(helpers);
    work(0);
    state_.fetch_and(~kOpen);
    wait_until([this] { return active_of(state_.load()) == 0; }, finished_);
    return true;
  }

  /// False in a forked child, which has none of the threads.
  bool is_at_home() const { return process_ == ::getpid(); }

 private:
  // state_: turn | open | helpers asked for (16 bits) | helpers at work (16 bits)
  static constexpr std::uint64_t kOpen = std::uint64_t{1} << 32;
  static constexpr int kTurnShift = 33;
  static std::uint64_t turn_of(std::uint64_t state) { return state >> kTurnShift; }
  static int helpers_of(std::uint64_t state) { return static_cast<int>((state >> 16) & 0xFFFF); }
  static int active_of(std::uint64_t state) { return static_cast<int>(state & 0xFFFF); }

  void open_turn(int helpers) {
    const std::uint64_t next = turn_of(state_.load()) + 1;
    state_.store((next << kTurnShift) | kOpen | (static_cast<std::uint64_t>(helpers) << 16));
    wake(called_);
  }

  // Joins the turn as long as it is open; work_ stays while a helper is at work.
  bool join(int id, std::uint64_t& seen) {
    std::uint64_t state = state_.load();
    do {
      seen = turn_of(state);
      if ((state & kOpen) == 0 || id > helpers_of(state)) return false;
    } while (!state_.compare_exchange_weak(state, state + 1));
    return true;
  }

  void serve(int id, std::uint64_t seen) {
    for (;;) {
      wait_until([&] { return turn_of(state_.load()) != seen; }, called_);
      if (stopping_.load()) return;
      if (!join(id, seen)) continue;
      (*work_)(id);
      const std::uint64_t before = state_.fetch_sub(1);
      if (active_of(before) == 1 && (before & kOpen) == 0) wake(finished_);
    }
  }

  struct Sleepers {
    std::condition_variable condition;
    std::atomic<int> count{0};
  };

  template <typename Condition>
  void wait_until(const Condition& condition, Sleepers& sleepers) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (condition()) return;
      pause_briefly();
    }
    std::unique_lock lock(mutex_);
    sleepers.count.fetch_add(1);  // before the condition is looked at again: wake() sees one or the other
    sleepers.condition.wait(lock, condition);
    sleepers.count.fetch_sub(1);
  }

  void wake(Sleepers& sleepers) {
    if (sleepers.count.load() == 0) return;
    { const std::lock_guard lock(mutex_); }
    sleepers.condition.notify_all();
  }

  std::mutex owner_, mutex_;
  Sleepers called_, finished_;
  const Work* work_ = nullptr;  // of the open turn
  std::atomic<std::uint64_t> state_{0};
  std::atomic<bool> stopping_{false};
  pid_t process_ = ::getpid();
  std::vector<std::jthread> threads_;
};

// Ends the helpers with the program; in a forked child there is nobody to wait for, and they are left as they are.
struct HelpersOwner {
  Helpers* helpers = new Helpers;
  HelpersOwner() = default;
  HelpersOwner(const HelpersOwner&) = delete;
  HelpersOwner& operator=(const HelpersOwner&) = delete;
  ~HelpersOwner() {
    if (helpers->is_at_home()) delete helpers;
  }
};

void run_workers(int workers, const Helpers::Work& work) {
  if (workers == 1) return work(0);
  static const HelpersOwner owner;
  if (owner.helpers->run(workers - 1, work)) return;
  std::vector<std::jthread> others;
  for (int worker = 1; worker < workers; ++worker) others.emplace_back(work, worker);
  work(0);
}

}  // namespace

int default_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void parallel_for(Index count, int threads, const std::function<void(Index index, int worker)>& body) {
  const int wanted = threads > 0 ? threads : default_threads();
  const int workers = static_cast<int>(std::min<Index>(wanted, std::max<Index>(count, 1)));
  std::atomic<Index> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  run_workers(workers, [&](int worker) {
    for (Index index = next.fetch_add(1); index < count; index = next.fetch_add(1)) {
      try {
        body(index, worker);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next.store(count);
      }
    }
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace crosstile
