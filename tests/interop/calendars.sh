#!/bin/sh
# Compares the days that `offhours check --json` reads from iCalendar files with those of python-dateutil (from PyPI), for
# random events of every shape that is understood.
# Usage: tests/interop/calendars.sh [--files N] [--seed S]
# OFFHOURS names the binary; by default the debug build, built if need be.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
if [ -z "${OFFHOURS:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --locked --bin offhours)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

if ! python3 -m venv "$work/venv" >"$work/venv.log" 2>&1; then
    # Debian's python3 comes without it.
    apt-get install -y python3-venv >>"$work/venv.log" 2>&1 || { cat "$work/venv.log" >&2; exit 2; }
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-dateutil==2.9.0.post0

"$work/venv/bin/python" "$here/calendars.py" --program "${OFFHOURS:-$target/debug/offhours}" --directory "$work" "$@"
