#!/usr/bin/env bash
# Writes docs/validation.md: every claim, its goal, the value reached here, its command. Collects what commands have left in build/bench
# and runs, and runs the assertions that are named.
# Usage: scripts/validation.sh [--collect] [options of scripts/validation.py]
#   --collect   run nothing, only collect         what else could be run first (hours): scripts/bench.sh, scripts/demo.sh, scripts/studies.sh
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(--tests)
if [ "${1:-}" = "--collect" ]; then
  tests=()
  shift
fi
python=python3
"$python" -c 'import tomllib' 2> /dev/null || python=/usr/bin/python3
"$python" scripts/validation.py "${tests[@]}" "$@"
