#include "core/progress.hpp"

#include "core/error.hpp"

namespace crosstile {

void report_progress(const Progress& progress, double fraction, std::string_view what) {
  if (progress && !progress(fraction, what)) throw Error(ErrorKind::interrupted, "interrupted during " + std::string(what));
}

}  // namespace crosstile
