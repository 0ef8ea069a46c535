// core: what every module stands on and that knows nothing about tiles.
// Units and constants, the one error type with its exit codes, counter-based random numbers, parallel loops whose results do not
// depend on the number of threads, progress callbacks, crash-safe files, child processes, and the shard runner for long resumable jobs.
#pragma once

#include "core/child_process.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/parallel.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "core/shard_runner.hpp"
#include "core/types.hpp"
#include "core/units.hpp"
#include "core/version.hpp"
