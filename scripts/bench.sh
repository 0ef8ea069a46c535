#!/usr/bin/env bash
# Builds and runs the benchmark programs; each prints one table of figures beside their goals and baselines, and writes it as JSON
# (tilemodel: also pictures, build/bench/tilemodel_pareto.png and tilemodel_wire.png).
# Usage: scripts/bench.sh [circuit] [tilemodel] [device] [nn] [--quick] [--only GROUP]... [--list] [--json PATH]
#   --quick   leave out what takes minutes      --only   groups whose name contains GROUP      --json   default build/bench/<name>.json
# One thread unless a row says otherwise; numbers are of this machine, baselines of the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
names=()
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --only | --json) [ $# -ge 2 ] || { echo "bench: $1 needs a value" >&2; exit 2; }
                     options+=("$1" "$2"); shift ;;
    -*) options+=("$1") ;;
    *) names+=("$1") ;;
  esac
  shift
done
known=(circuit tilemodel device nn)
[ ${#names[@]} -gt 0 ] || names=("${known[@]}")
for name in "${names[@]}"; do
  [[ " ${known[*]} " == *" $name "* ]] || { echo "bench: no figures for \"$name\"; there are: ${known[*]}" >&2; exit 2; }
done
scripts/setup.sh build test bench
cmake --preset bench > /dev/null
for name in "${names[@]}"; do
  echo "building bench_$name (build/release/bench-build.log)"
  cmake --build --preset bench --target "bench_$name" > build/release/bench-build.log || { cat build/release/bench-build.log; exit 1; }
  echo
  OPENBLAS_NUM_THREADS=1 "build/release/bin/bench_$name" "${options[@]}"
  # Curves as pictures, where the figures were written to the default place.
  if [ -f "bench/${name}_pictures.py" ] && [ -f "build/bench/$name.json" ] && [[ " ${options[*]} " != *" --json "* ]]; then
    python3 "bench/${name}_pictures.py" "build/bench/$name.json" build/bench
  fi
done
