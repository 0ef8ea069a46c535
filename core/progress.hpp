// Progress of long calls. The library prints nothing: a caller who wants to see progress passes a callback.
#pragma once

#include <functional>
#include <string_view>

namespace crosstile {

/// Called now and then with the fraction done (0..1) and what is being done; never from two threads at once.
/// Returning false asks the call to stop: it throws Error(interrupted) at the next safe point.
using Progress = std::function<bool(double fraction, std::string_view what)>;

/// Reports progress when there is a callback; throws Error(interrupted) when the callback asks to stop.
void report_progress(const Progress& progress, double fraction, std::string_view what);

}  // namespace crosstile
