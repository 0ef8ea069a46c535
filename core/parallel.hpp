// Parallel loops. Work is split by index, never by the number of threads, and results are written by index,
// so the bits of a result do not depend on how many threads ran.
#pragma once

#include <functional>

#include "core/types.hpp"

namespace crosstile {

/// Threads used when a caller asks for 0: the number of processors.
int default_threads();

/// Calls body(index, worker) for index = 0..count-1 on `threads` workers (0: default_threads()); worker = 0..threads-1 picks
/// a workspace. The first exception stops the remaining indices and is thrown again in the caller.
void parallel_for(Index count, int threads, const std::function<void(Index index, int worker)>& body);

}  // namespace crosstile
