#!/bin/sh
# Compares the instants of `offhours next` with those of cronsim (from PyPI) in 20,000 random cases, most of them around
# clock changes. Both read the machine's own time zone data.
# Usage: tests/interop/cron.sh [--cases N] [--commands N] [--seed S]
# OFFHOURS and OFFHOURS_NEXT name the binary and examples/next; by default the debug builds, built if need be.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
if [ -z "${OFFHOURS:-}" ] || [ -z "${OFFHOURS_NEXT:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --locked --bin offhours --example next)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ -d /usr/share/zoneinfo/Europe ] || apt-get install -y tzdata >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; exit 2; }
if ! python3 -m venv "$work/venv" >"$work/venv.log" 2>&1; then
    # Debian's python3 comes without it.
    apt-get install -y python3-venv >>"$work/venv.log" 2>&1 || { cat "$work/venv.log" >&2; exit 2; }
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cronsim==2.8

"$work/venv/bin/python" "$here/cron.py" \
    --program "${OFFHOURS:-$target/debug/offhours}" --answers "${OFFHOURS_NEXT:-$target/debug/examples/next}" "$@"
