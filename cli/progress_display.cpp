#include "cli/progress_display.hpp"

#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/signals.hpp"

namespace crosstile::cli {

namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(10);
constexpr int kBarWidth = 30;

}  // namespace

ProgressDisplay::Mode ProgressDisplay::mode_for(bool quiet) {
  if (quiet) return Mode::silent;
  return ::isatty(STDERR_FILENO) == 1 ? Mode::bar : Mode::lines;
}

ProgressDisplay::ProgressDisplay(Mode mode) : mode_(mode) {}
ProgressDisplay::~ProgressDisplay() {
  clear();
}

Progress ProgressDisplay::callback() {
  return [this](double fraction, std::string_view what) {
    if (mode_ != Mode::silent) show(std::clamp(fraction, 0.0, 1.0), what);
    return !interrupted();
  };
}

void ProgressDisplay::clear() {
  if (on_screen_) fmt::print(stderr, "\r\033[K");
  on_screen_ = false;
}

void ProgressDisplay::show(double fraction, std::string_view what) {
  const auto now = Clock::now();
  if (what != stage_) {
    stage_ = what;
    stage_start_ = now;
    stage_fraction_ = fraction;
  }
  if (fraction >= 1.0) return;  // done: whoever asked for it says so
  const bool bar = mode_ == Mode::bar;
  if (now - last_shown_ < (bar ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval))) return;
  last_shown_ = now;
  if (bar)
    draw_bar(fraction);
  else
    spdlog::info("{}: {:.0f} %{}", stage_, std::floor(100.0 * fraction), time_left(fraction));
  on_screen_ = bar;
}

void ProgressDisplay::draw_bar(double fraction) const {
  const int full = static_cast<int>(std::floor(fraction * kBarWidth));
  fmt::print(stderr, "\r\033[K{:<28} [{}{}] {:3.0f} %{}", stage_.substr(0, 28),
             std::string(static_cast<std::size_t>(full), '#'),
             std::string(static_cast<std::size_t>(kBarWidth - full), '-'), std::floor(100.0 * fraction),
             time_left(fraction));
  std::fflush(stderr);
}

std::string ProgressDisplay::time_left(double fraction) const {
  const double done = fraction - stage_fraction_;
  const double seconds = std::chrono::duration<double>(Clock::now() - stage_start_).count();
  if (done < 0.01 || seconds < 1.0) return {};
  const auto left = static_cast<long>(std::ceil(seconds * (1.0 - fraction) / done));
  return fmt::format(", {}:{:02} left", left / 60, left % 60);
}

}  // namespace crosstile::cli
