#!/bin/sh
# The real daemon under clocks that run fast, jump and step back (Debian's libfaketime), against the simulator:
# a week over both clock changes of Berlin, a host that slept, a catch-up, a clock that was put back.
# Usage: tests/interop/faketime.sh     OFFHOURS names the binary; by default the debug build, built if need be.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${OFFHOURS:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --locked --bin offhours)
    OFFHOURS=${CARGO_TARGET_DIR:-$here/../../target}/debug/offhours
fi
library=$(dpkg -L libfaketime 2>/dev/null | grep 'libfaketimeMT.so.1$' || true)
if [ -z "$library" ]; then
    apt-get install -y -qq faketime >/dev/null
    library=$(dpkg -L libfaketime | grep 'libfaketimeMT.so.1$')
fi
exec python3 "$here/faketime.py" "$OFFHOURS" "$library"
