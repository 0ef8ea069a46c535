#!/usr/bin/env bash
# Installs what the tests need, builds everything, runs every test.
# Usage: scripts/test.sh [PRESET]   (release, the default, or asan, tsan)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
scripts/setup.sh build test
cmake --preset "$preset" -DCROSSTILE_BUILD_TESTS=ON > /dev/null
cmake --build --preset "$preset"
ctest --preset "$preset" -j 2
