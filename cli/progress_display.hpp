// Progress on stderr: a bar on a terminal, one line every ten seconds otherwise.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/progress.hpp"

namespace crosstile::cli {

class ProgressDisplay {
 public:
  enum class Mode { silent, lines, bar };
  /// silent when `quiet`, else what suits stderr.
  static Mode mode_for(bool quiet);

  explicit ProgressDisplay(Mode mode);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  /// The callback for the library; asks it to stop once a signal has arrived. Must not outlive the display.
  Progress callback();
  /// Takes the bar off the screen.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show(double fraction, std::string_view what);
  void draw_bar(double fraction) const;
  std::string time_left(double fraction) const;

  Mode mode_;
  Clock::time_point stage_start_ = Clock::now();
  Clock::time_point last_shown_ = stage_start_;
  double stage_fraction_ = 0.0;  // where the stage was when it was first seen
  std::string stage_;
  bool on_screen_ = false;
};

}  // namespace crosstile::cli
