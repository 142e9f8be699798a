#!/bin/sh
# Sends mail to a real SMTP server with TLS and login, and reads what arrived with another language's mail library.
#
# Rows: e07 e08 e09
#
#   tests/interop/smtp.sh [BINARY]
#
# Needs python3 with venv, openssl, and PyPI for aiosmtpd. BINARY defaults to $OFFHOURS_BIN, then to a debug build.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

binary=${1:-${OFFHOURS_BIN:-}}
if [ -z "$binary" ]; then
    (cd "$root" && cargo build --quiet)
    binary=${CARGO_TARGET_DIR:-$root/target}/debug/offhours
fi
binary=$(realpath "$binary")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'aiosmtpd==1.4.6'

# An authority of our own, a server it vouches for, and another authority that vouches for nobody here.
cd "$work"
for name in ca stranger; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=offhours test $name" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -keyout "$name.key" -out "$name.pem" 2>/dev/null
done
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
    -keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext \
    -out server.pem 2>/dev/null
# The same, but for a day that is over.
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >ca.cnf
: >index
openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in server.csr -extfile server.ext \
    -startdate 20250101000000Z -enddate 20250102000000Z -notext -out expired.pem 2>/dev/null

# The warning is about clear text; the server it means speaks TLS from the first byte.
"$work/venv/bin/python" -W ignore::UserWarning "$here/smtp.py" "$binary" "$work"
