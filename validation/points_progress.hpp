// Internal. One progress for points that run at the same time (sweeps, designs of experiments).
#pragma once

#include <algorithm>
#include <mutex>
#include <string>

#include "core/progress.hpp"

namespace crosstile::validation {

class PointsProgress {
 public:
  /// progress: must outlive this. what: said with every report. kept: points that were found finished.
  PointsProgress(const Progress& progress, std::string what, Index kept, Index total)
      : progress_(progress),
        what_(std::move(what)),
        done_(static_cast<double>(kept)),
        total_(static_cast<double>(std::max<Index>(total, 1))) {}
  /// For the work inside one point: it may only ask whether to go on.
  Progress of_point() {
    if (!progress_) return {};
    return [this](double, std::string_view) { return tell(0.0); };
  }
  /// So many more points are done; false: stop.
  bool tell(double done) {
    const std::lock_guard lock(mutex_);
    done_ += done;
    return !progress_ || progress_(done_ / total_, what_);
  }

 private:
  const Progress& progress_;
  std::mutex mutex_;
  std::string what_;
  double done_, total_;
};

}  // namespace crosstile::validation
