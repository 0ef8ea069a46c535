#!/usr/bin/env bash
# Runs the shipped studies and sweeps into runs/, with a report page each; what is finished is kept, so it can be stopped and called again.
# Usage: scripts/studies.sh [NAME]...   (default: all; hours on two cores, `scripts/studies.sh --list` says which)
set -euo pipefail
cd "$(dirname "$0")/.."
sweeps=(mnist_scenarios mnist_noise_sweep mnist_34db_depth mnist_34db_activation mnist_34db_snr mnist_34db_batch_rate)
studies=(mnist_irdrop:mnist-irdrop mnist_lifetime:mnist-lifetime irdrop_budget:irdrop)
all=("${sweeps[@]}" "${studies[@]%%:*}" compare_design)
if [ "${1:-}" = "--list" ]; then
  printf '%s\n' "${all[@]}"
  exit 0
fi
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")
scripts/setup.sh build
cmake --preset demo > /dev/null
cmake --build --preset demo --target crosstile
program=build/release/bin/crosstile
mkdir -p runs
for name in "${names[@]}"; do
  case " ${all[*]} " in *" $name "*) ;; *) echo "studies: no study \"$name\"; there are: ${all[*]}" >&2; exit 2 ;; esac
  if [ "$name" = compare_design ]; then
    command=(compare "examples/$name.toml" --out "runs/$name")
  elif [[ " ${sweeps[*]} " == *" $name "* ]]; then
    command=(sweep "examples/$name.toml" --out "runs/$name")
  else
    for study in "${studies[@]}"; do
      [ "${study%%:*}" = "$name" ] && command=(study "${study#*:}" "examples/$name.toml" --out "runs/$name")
    done
  fi
  echo "crosstile ${command[*]}"
  "$program" "${command[@]}"
  "$program" report "runs/$name"
done
