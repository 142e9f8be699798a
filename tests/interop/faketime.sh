#!/bin/sh
# Runs the real daemon under Debian's libfaketime: weeks across both clock changes, a suspended weekend, a late
# evening, a clock that steps back, one that starts in 1970, one that is ahead for seconds, one that was for long, and one
# that jumps while requests wait. Each with timers that run on and, where that can be, with timers that jump too.
# Rows: t01 t02 t04 t05 t06 t07 t21 t22 t31 t32
# Usage: tests/interop/faketime.sh [SCENARIO…]     OFFHOURS names the binary; by default the debug build, built if need be.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${OFFHOURS:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --locked --bin offhours)
    OFFHOURS=${CARGO_TARGET_DIR:-$here/../../target}/debug/offhours
fi

library() { find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1; }
if [ -z "$(library)" ]; then
    log=$(mktemp)
    { apt-get update && apt-get install -y faketime; } >"$log" 2>&1 || { cat "$log" >&2; exit 2; }
    rm -f "$log"
fi

PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/faketime.py" "$(realpath "$OFFHOURS")" "$(library)" "$@"
