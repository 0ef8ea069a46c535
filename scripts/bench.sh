#!/usr/bin/env bash
# Builds and runs the benchmark programs: scripts/bench.sh [circuit] [tilemodel]. One thread; numbers are of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build test bench
cmake --preset bench > /dev/null
[ $# -gt 0 ] || set -- circuit tilemodel
for name in "$@"; do
  cmake --build --preset bench --target "bench_$name"
  OPENBLAS_NUM_THREADS=1 "build/release/bin/bench_$name"
done
