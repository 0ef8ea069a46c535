// Times and memory of a piece of work. Times are processor seconds (user and system, all threads), so that other load on the machine
// counts little; what runs on several threads is timed by the wall clock instead.
#pragma once

#include <functional>
#include <vector>

namespace crosstile::bench {

double cpu_seconds(const std::function<void()>& work);
/// The same as a fresh process would see it: memory freed before goes back to the system first, so that `work` pays for its pages.
double cold_cpu_seconds(const std::function<void()>& work);
double wall_seconds(const std::function<void()>& work);
/// Processor seconds of the programs that `work` starts and waits for.
double child_cpu_seconds(const std::function<void()>& work);

/// Repeated times of one piece of work. Rounds alternate between the contestants, and the best of each counts.
class Samples {
 public:
  void add(double seconds) { seconds_.push_back(seconds); }
  bool empty() const { return seconds_.empty(); }
  double best() const;  ///< NaN when empty
  /// Median over best, minus 1.
  double spread() const;

 private:
  std::vector<double> seconds_;
};

/// Largest growth of the resident memory while `work` runs, bytes: in a forked child, so that nothing is reused from earlier work.
/// Linux only. Errors: check_failed when the child fails.
double peak_memory_growth(const std::function<void()>& work);

}  // namespace crosstile::bench
