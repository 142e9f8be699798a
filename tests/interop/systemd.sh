#!/bin/bash
# Proves systemd/offhours.service: verifies it, rates its hardening, and boots it under a systemd of its own in a
# copy-on-write image of this machine, with the simulator and a mail server beside it. Root; installs what it needs.
# Rows: p09 p10 p11 p56 p57
# Usage: tests/interop/systemd.sh [PATH TO offhours]; by default the dist build, then release, then debug.
#
# Where this machine cannot boot such an image the script says why and exits with 77: what it could verify and rate held,
# which proves much less. A boot that begins and shows something that does not hold exits with 1.
set -euo pipefail

here=$(cd -- "$(dirname -- "$0")" && pwd)
repository=$(cd -- "$here/../.." && pwd)
unit=$repository/systemd/offhours.service
# systemd rates from 0 (closed) to 10; 1.5 is what the unit must keep.
threshold=15

target=${CARGO_TARGET_DIR:-$repository/target}
program=${1:-}
for candidate in "$target/dist/offhours" "$target/release/offhours" "$target/debug/offhours"; do
    [ -n "$program" ] || [ ! -x "$candidate" ] || program=$candidate
done
[ -n "$program" ] || { echo "systemd.sh: no offhours: run cargo build first" >&2; exit 2; }
program=$(realpath "$program")

work=$(mktemp -d)
image=$work/image
finish() {
    if mountpoint -q "$image/root"; then umount -R "$image/root" || umount -R -l "$image/root"; fi
    if mountpoint -q "$image"; then umount "$image" || umount -l "$image"; fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

need() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1; then
        apt-get update >>"$work/apt.log" 2>&1
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$work/apt.log" 2>&1 ||
            { cat "$work/apt.log" >&2; exit 2; }
    fi
}

echo "-- on paper"
need systemd
# systemd looks whether the program is there, which on this machine it need not be.
sed "s#/usr/local/bin/offhours#$program#g" "$unit" >"$work/offhours.service"
systemd-analyze verify "$work/offhours.service"
echo "ok: systemd-analyze verify has nothing to say"
systemd-analyze security --offline=true --threshold=$threshold "$unit" >"$work/rating" ||
    { cat "$work/rating" >&2; echo "systemd.sh: the unit is rated worse than ${threshold}" >&2; exit 1; }
echo "ok: $(tail -n 1 "$work/rating" | tr -cd '[:print:]' | sed 's/^ *//; s/ *$//')"

cannot_boot() {
    echo "systemd.sh: this machine cannot boot the unit: $1" >&2
    echo "systemd.sh: NOT PROVEN: readiness, reload, watchdog, restarts, credentials, confinement" >&2
    exit 77
}

echo "-- booted"
[ "$(id -u)" = 0 ] || cannot_boot "that takes root"
need systemd-container dbus iproute2 python3 tzdata
mkdir "$image"
mount -t tmpfs -o size=2g tmpfs "$image" || cannot_boot "no tmpfs can be mounted"
mkdir -m 755 "$image/up" "$image/wk" "$image/root"

# What is laid over this machine is written before it is laid there.
up=$image/up
printf 'correct horse\n' >"$work/smtp-password"
install -D -m 755 "$program" "$up/usr/local/bin/offhours"
install -D -m 755 "$repository/systemd/offhoursctl" "$up/usr/local/bin/offhoursctl"
install -D -m 644 "$unit" "$up/etc/systemd/system/offhours.service"
install -D -m 644 "$here/systemd/offhours.toml" "$up/etc/offhours/offhours.toml"
install -D -m 644 "$here/systemd/rules.toml" "$up/etc/offhours/schedules/rules.toml"
install -D -m 600 "$work/smtp-password" "$up/etc/offhours/smtp-password"
install -D -m 755 "$here/systemd/proof.sh" "$up/proof/proof.sh"
install -m 644 "$here/systemd/fleet.toml" "$here/systemd/smtp.py" "$up/proof/"
cat >"$up/etc/systemd/system/proof.target" <<'UNIT'
[Unit]
Requires=proof.service
UNIT
cat >"$up/etc/systemd/system/proof.service" <<'UNIT'
[Unit]
After=dbus.socket systemd-journald.socket
Wants=dbus.socket
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/proof/proof.sh
StandardOutput=append:/proof/log
StandardError=append:/proof/log
TimeoutStartSec=230
UNIT

root=$image/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$up,workdir=$image/wk" "$root" ||
    cannot_boot "no overlay of / can be mounted"
[ -x "$root/proof/proof.sh" ] && [ -s "$root/etc/offhours/smtp-password" ] ||
    cannot_boot "an overlay of / does not show what was laid over it"
home=~root
# What this machine runs and keeps is none of the proof's business.
rm -rf "$root"/etc/systemd/system/*.wants "$root/var/lib/private/offhours" "$root/var/lib/offhours" \
    "$root$home/.local" "$root/tmp/.local"
boot=0
timeout --kill-after=10 260 systemd-nspawn --quiet --register=no --keep-unit --machine="offhours-proof-$$" \
    --directory="$root" --private-network --boot systemd.unit=proof.target systemd.show_status=no \
    </dev/null >"$work/console" 2>&1 || boot=$?
if [ ! -s "$root/proof/log" ]; then
    tail -n 20 "$work/console" >&2
    cannot_boot "systemd-nspawn ended with $boot before the proof began"
fi
cat "$root/proof/log"
if [ "$(tail -n 1 "$root/proof/log")" != "proven" ]; then
    echo "systemd.sh: the unit does not hold" >&2
    [ ! -s "$root/proof/journal" ] || { echo "-- its journal" >&2; tail -n 80 "$root/proof/journal" >&2; }
    exit 1
fi
# The image's upper layer is all that was written while it ran.
strays=$(find "$up" -uid "$(cat "$root/proof/uid")" -not -path "$up/var/lib/private/offhours*")
[ -z "$strays" ] || { echo "systemd.sh: written outside the state directory: $strays" >&2; exit 1; }
echo "ok: all that the service left on the disk is in its state directory"
