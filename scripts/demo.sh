#!/usr/bin/env bash
# From a fresh clone to a first run folder: installs packages, builds the program, runs examples/demo.toml.
# Usage: scripts/demo.sh [RUN_FOLDER]   (default runs/demo)
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/demo}
scripts/setup.sh build
cmake --preset demo > /dev/null
cmake --build --preset demo --target crosstile
echo
build/release/bin/crosstile run examples/demo.toml --out "$out"
echo
echo "The page to look at: $out/report.html"
