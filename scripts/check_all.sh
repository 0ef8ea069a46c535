#!/usr/bin/env bash
# Everything that is too long for every change, in about an hour on two idle cores: the whole gate's tests, then 100 kills, ThreadSanitizer,
# line coverage, fuzzing, and 500 fits. Prints a scorecard and writes it to build/scorecard.md; the exit code is 1 when a line says FAIL.
# Usage: scripts/check_all.sh [tests] [sanitizers] [kills] [threads] [coverage] [fuzz] [fits]   (all when none is named)
#   CROSSTILE_FUZZ_SECONDS=600   in total, shared among the targets
#   CROSSTILE_FUZZ_SEED=1        the same inputs in the same order; without it each run tries others
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
jobs=2
known=(tests sanitizers kills threads fits fuzz coverage)
wanted=("$@")
[ $# -gt 0 ] || wanted=("${known[@]}")
for part in "${wanted[@]}"; do
  [[ " ${known[*]} " == *" $part "* ]] || { echo "check_all: no part \"$part\"; there are: ${known[*]}" >&2; exit 2; }
done
logs=build/check
mkdir -p "$logs"
card=build/scorecard.md
begin=$SECONDS
failed=0
{ echo "| what | bar | reached | | seconds |"; echo "|---|---|---|---|---|"; } > "$card"
scores=build/scorecard.tsv  # the same for scripts/validation.py
: > "$scores"

# line WHAT BAR REACHED VERDICT: ok, FAIL, or skipped and why
line() {
  local took=$((SECONDS - part_begin))
  echo "| $1 | $2 | $3 | $4 | $took |" >> "$card"
  printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$took" >> "$scores"
  printf '%-26s bar: %-34s reached: %-40s %s (%d s)\n' "$1" "$2" "$3" "$4" "$took"
  [[ "$4" != FAIL* ]] || failed=1
}

# build PRESET [TARGET...]
build() {
  cmake --preset "$1" > "$logs/$1-configure.log" 2>&1 || return 1
  local targets=()
  [ $# -lt 2 ] || targets=(--target "${@:2}")
  cmake --build --preset "$1" -j "$jobs" "${targets[@]}" > "$logs/$1-build.log" 2>&1
}

# ctest's own summary of a log: "100% tests passed, 0 tests failed out of 14"
summary() { grep -o '[0-9]*% tests passed.*' "$1" | tail -1; }

tests() {
  if build release && ctest --preset release -j "$jobs" > "$logs/release-tests.log" 2>&1; then
    line "tests, release" "all pass" "$(summary "$logs/release-tests.log")" ok
    part_begin=$SECONDS
    line "bad inputs among them" "at least 80 rows" "$(bad_input_rows) rows" "$([ "$(bad_input_rows)" -ge 80 ] && echo ok || echo FAIL)"
  else line "tests, release" "all pass" "see $logs/release-*.log" FAIL; fi
}

bad_input_rows() {
  (cd tests/cli && CROSSTILE=../../build/release/bin/crosstile python3 -B -c 'import bad_inputs, test_bad_inputs as t; print(len(bad_inputs.CATALOGUE) + len(t.SOLVE_CASES))')
}

# With the checks of every pointer, which the gate leaves out because they double the time to compile.
sanitizers() {
  if build asan-full && ctest --preset asan-full -j "$jobs" > "$logs/asan-full-tests.log" 2>&1; then line "ASan and UBSan" "no report in any test" "$(summary "$logs/asan-full-tests.log")" ok
  else line "ASan and UBSan" "no report in any test" "see $logs/asan-full-*.log" FAIL; fi
}

kills() {
  local reached
  build release crosstile || { line "kill -9" "100 kills, nothing lost" "no program: $logs/release-build.log" FAIL; return; }
  if python3 tests/reliability/kill_test.py build/release/bin/crosstile --kills 100 --seed 7 --json "$logs/kills.json" > "$logs/kills.log" 2>&1; then
    reached=$(tail -1 "$logs/kills.log")
    line "kill -9" "100 kills, nothing lost, same bytes" "$reached" ok
  else line "kill -9" "100 kills, nothing lost, same bytes" "$(tail -1 "$logs/kills.log")" FAIL; fi
}

threads() {
  if build tsan && ctest --preset tsan -j "$jobs" > "$logs/tsan-tests.log" 2>&1; then line "ThreadSanitizer" "no report in core, data, circuit, nn" "$(summary "$logs/tsan-tests.log")" ok
  else line "ThreadSanitizer" "no report in core, data, circuit, nn" "see $logs/tsan-*.log" FAIL; fi
}

fits() {
  local reached
  build release test_validation || { line "500 fits" "95 % intervals cover" "no test program" FAIL; return; }
  if build/release/bin/test_validation "[.coverage]" > "$logs/fits.log" 2>&1; then reached=$(tail -2 "$logs/fits.log" | tr -d '\n')
    line "500 fits" "95 % intervals cover the truth" "$reached" ok
  else line "500 fits" "95 % intervals cover the truth" "see $logs/fits.log" FAIL; fi
}

# fuzz_one TARGET SECONDS: 0 when nothing was found. What stops it is kept beside the log, and printed: it goes into tests/fuzz/corpus.
fuzz_one() {
  local name=$1 log="$logs/fuzz-$1.log"
  mkdir -p "$logs/corpus/$name"
  (cd "$logs" && ../fuzz/bin/fuzz_"$name" -max_total_time="$2" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$name-" \
    ${CROSSTILE_FUZZ_SEED:+-seed="$CROSSTILE_FUZZ_SEED"} "corpus/$name" "../../tests/fuzz/corpus/$name" > "fuzz-$name.log" 2>&1) && return 0
  echo "fuzz_$name stopped; the end of $log:" >&2
  grep -a -v -E '^#[0-9]+|NEW_FUNC' "$log" | tail -n 40 | cut -c1-300 >&2
  return 1
}

fuzz() {
  local names=(config csv idx hdf5 manifest model) each runs=0 crashes=0 name pids=()
  scripts/setup.sh fuzz > "$logs/fuzz-setup.log" 2>&1 || { line fuzzing "no crash" "" "skipped: clang is not installed and cannot be"; return; }
  build fuzz fuzz || { line fuzzing "no crash" "see $logs/fuzz-build.log" FAIL; return; }
  each=$((${CROSSTILE_FUZZ_SECONDS:-600} / ${#names[@]}))
  for name in "${names[@]}"; do
    [ "${#pids[@]}" -lt "$jobs" ] || { wait "${pids[0]}" || crashes=$((crashes + 1)); pids=("${pids[@]:1}"); }
    fuzz_one "$name" "$each" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || crashes=$((crashes + 1)); done
  for name in "${names[@]}"; do
    runs=$((runs + $(grep -a -o 'number_of_executed_units: [0-9]*' "$logs/fuzz-$name.log" | grep -o '[0-9]*$' || echo 0)))
  done
  if [ "$crashes" -eq 0 ]; then line fuzzing "no crash, no hang, no leak" "$runs inputs, ${#names[@]} targets, $each s each" ok
  else line fuzzing "no crash, no hang, no leak" "$crashes targets stopped: $logs/fuzz-*.log" FAIL; fi
}

coverage() {
  local percent counts=$PWD/build/coverage/counts folder added=()
  scripts/setup.sh check > "$logs/coverage-setup.log" 2>&1 || { line "line coverage" "90 %" "" "skipped: gcovr is not installed and cannot be"; return; }
  rm -rf "$counts"
  build coverage || { line "line coverage" "90 %" "see $logs/coverage-build.log" FAIL; return; }
  ctest --preset coverage -j "$jobs" > "$logs/coverage-tests.log" 2>&1 || true  # tests have their own line
  for folder in "$counts"/*; do
    find "$PWD/build/coverage" -path "$counts" -prune -o -name '*.gcno' -exec cp --parents -t "$folder" {} +
    gcovr --root . "$folder" --filter '(core|data|device|circuit|tilemodel|nn|validation|cli)/' --gcov-ignore-parse-errors -j "$jobs" \
      --json "$logs/coverage-$(basename "$folder").json" 2>> "$logs/coverage-gcovr.log"
    added+=(-a "$logs/coverage-$(basename "$folder").json")
  done
  gcovr --root . "${added[@]}" > "$logs/coverage.txt" 2>> "$logs/coverage-gcovr.log"
  percent=$(awk '/^TOTAL/ {sub("%", "", $NF); print $NF}' "$logs/coverage.txt")
  if [ -n "$percent" ] && [ "$percent" -ge 90 ]; then line "line coverage" "at least 90 %" "$percent %; files: $logs/coverage.txt" ok
  else line "line coverage" "at least 90 %" "${percent:-?} %; files: $logs/coverage.txt" FAIL; fi
}

scripts/setup.sh build test
for part in "${known[@]}"; do
  [[ " ${wanted[*]} " == *" $part "* ]] || continue
  part_begin=$SECONDS
  "$part"
done
if [ "${#wanted[@]}" -eq "${#known[@]}" ]; then
  part_begin=$begin
  took=$((SECONDS - begin))
  line "all of these" "60 min" "$((took / 60)) min $((took % 60)) s at $(git rev-parse --short HEAD), $(date -u +%F)" "$([ $took -le 3600 ] && echo ok || echo FAIL)"
fi
echo
echo "$card: $((SECONDS - begin)) s in all"
exit $failed
