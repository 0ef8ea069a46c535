#!/usr/bin/env bash
# Makes docs/gallery.md and its pictures from the shipped examples. A full run in runs/NAME (scripts/studies.sh) is used where there is one;
# otherwise the example runs with quicker settings, which the page names.
# Usage: scripts/gallery.sh [--only NAME]...   (some minutes on two cores)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
cmake --preset demo > /dev/null
cmake --build --preset demo --target crosstile
python3 scripts/gallery.py build/release/bin/crosstile "$@"
