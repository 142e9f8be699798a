#!/bin/sh
# Starts `offhours simulator` and drives it with SAP's own Python SDK from PyPI.
# Usage: tests/interop/sdk.sh [PATH TO offhours]; by default the dist build, then release, then debug.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
program=${1:-}
for candidate in "$target/dist/offhours" "$target/release/offhours" "$target/debug/offhours"; do
    [ -n "$program" ] || [ ! -x "$candidate" ] || program=$candidate
done
[ -n "$program" ] || { echo "sdk.sh: no offhours: run cargo build first" >&2; exit 2; }

work=$(mktemp -d)
simulator=
finish() {
    [ -z "$simulator" ] || kill "$simulator" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

if ! python3 -m venv "$work/venv" >"$work/venv.log" 2>&1; then
    # Debian's python3 comes without it.
    apt-get install -y python3-venv >>"$work/venv.log" 2>&1 || { cat "$work/venv.log" >&2; exit 2; }
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check sap-ai-sdk-core

: >"$work/stdout"
"$program" simulator --listen 127.0.0.1:0 --fleet "$here/fleet.toml" >"$work/stdout" 2>"$work/stderr" &
simulator=$!

# The first line says where it listens, the second is the service key.
tries=0
until [ "$(wc -l <"$work/stdout")" -ge 2 ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$simulator" 2>/dev/null; then
        echo "sdk.sh: the simulator does not start" >&2
        cat "$work/stdout" "$work/stderr" >&2
        exit 1
    fi
    sleep 0.1
done
head -n 1 "$work/stdout"

# Whatever the machine's own credentials and proxies are, this stays on loopback.
sed -n 2p "$work/stdout" | env -i PATH="$PATH" HOME="$work" NO_PROXY='*' "$work/venv/bin/python" "$here/sdk.py"
