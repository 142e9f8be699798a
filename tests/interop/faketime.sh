#!/bin/sh
# Runs the real daemon under Debian's libfaketime: weeks across both clock changes, a suspended weekend, a late
# evening, a clock that steps back, and one that starts in 1970.
# Usage: tests/interop/faketime.sh [PATH TO offhours [SCENARIO…]]; by default the release build, then the debug build.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
program=${1:-}
[ $# -eq 0 ] || shift
for candidate in "$target/release/offhours" "$target/debug/offhours"; do
    [ -n "$program" ] || [ ! -x "$candidate" ] || program=$candidate
done
[ -n "$program" ] || { echo "faketime.sh: no offhours: run cargo build first" >&2; exit 2; }

library() { find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1; }
if [ -z "$(library)" ]; then
    log=$(mktemp)
    { apt-get update && apt-get install -y faketime; } >"$log" 2>&1 || { cat "$log" >&2; exit 2; }
    rm -f "$log"
fi

exec python3 "$here/faketime.py" "$(realpath "$program")" "$(library)" "$@"
