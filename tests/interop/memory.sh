#!/bin/sh
# What offhours needs in memory, inside a memory cgroup as large as the unit's: the daemon with a month's report to fifty
# people, a tenant of 100,000 deployments, and a year's report. States each peak; where no cgroup can be made, peaks alone
# are judged.
# Rows: p62
# Usage: tests/interop/memory.sh [month] [tenant] [year]; OFFHOURS names the binary, by default the dist build, built if need be.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${OFFHOURS:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --locked --profile dist --bin offhours)
    OFFHOURS=${CARGO_TARGET_DIR:-$here/../../target}/dist/offhours
fi
[ -r /proc/self/status ] || { echo "memory.sh: this system does not tell what a process needs" >&2; exit 77; }

PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/memory.py" "$(realpath "$OFFHOURS")" "$@"
