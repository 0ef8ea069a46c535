#!/usr/bin/env bash
# Installs the Debian packages of the given groups (build, test, bench, check, fuzz; see packages.txt) that are not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=()
for group in "$@"; do
  while read -r kind name; do [ "$kind" = "$group" ] && wanted+=("$name"); done < <(grep -v '^#' scripts/packages.txt)
done
missing=()
for name in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: these packages are missing and this user cannot install them: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2068
${as_root[@]} apt-get update -q
${as_root[@]} apt-get install -y -q --no-install-recommends "${missing[@]}"
