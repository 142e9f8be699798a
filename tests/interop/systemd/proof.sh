#!/bin/bash
# Runs inside the booted image, as root, and says what it saw. The last line is "proven" or the first thing that is not.
set -euo pipefail

key=/etc/offhours/service-key.json
ctl=(/usr/local/bin/offhoursctl)

ok() { echo "ok: $*"; }
broken() {
    echo "NOT TRUE: $*"
    systemctl status offhours.service --no-pager --lines=0 2>&1 || true
    exit 1
}
finish() { journalctl --unit=offhours.service --no-pager --output=short-iso >/proof/journal 2>&1 || true; }
trap finish EXIT

property() { systemctl show offhours.service --property="$1" --value; }
main_pid() { property MainPID; }

# holds SECONDS WHAT COMMAND…: waits until the command is true.
holds() {
    local seconds=$1 what=$2
    shift 2
    for ((tenth = 0; tenth < seconds * 10; tenth++)); do
        if "$@" >/dev/null 2>&1; then
            ok "$what"
            return
        fi
        sleep 0.1
    done
    broken "$what (waited $seconds s)"
}

status_says() { property StatusText | grep -q -- "$1"; }
journal_says() { journalctl --unit=offhours.service --no-pager --output=cat | grep -q -- "$1"; }
restarted_from() { [ "$(property ActiveState)" = active ] && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }
mails_are_kept() { [ -n "$(ls -A /proof/mails)" ]; }

# --- the other sides
/usr/local/bin/offhours simulator --listen 127.0.0.1:8700 --fleet /proof/fleet.toml >/proof/simulator 2>/proof/simulator.err &
mkdir -p /proof/mails
python3 /proof/smtp.py 2525 offhours 'correct horse' /proof/mails &
for ((tenth = 0; tenth < 100; tenth++)); do
    [ "$(wc -l </proof/simulator)" -ge 2 ] && break
    sleep 0.1
done
(umask 077 && sed -n 2p /proof/simulator >"$key")
[ -s "$key" ] || broken "the simulator does not start: $(cat /proof/simulator.err)"
[ "$(stat -c '%a %U' "$key")" = "600 root" ] || broken "the service key is root's alone"

# --- faults first: nothing is started with a configuration that is wrong
mv /etc/offhours/schedules/rules.toml /proof/rules.toml
sed 's/stop .*/stop = "0 25 * * *"/' /proof/rules.toml >/etc/offhours/schedules/rules.toml
if systemctl start offhours.service 2>/dev/null; then broken "a wrong configuration keeps it from starting"; fi
sleep 1
[ "$(property ExecMainStatus)" = 3 ] || broken "it ends with exit 3, not $(property ExecMainStatus)"
[ "$(property NRestarts)" = 0 ] && [ "$(property ActiveState)" = failed ] || broken "exit 3 is not tried again"
ok "a wrong configuration: exit 3, failed, not tried again"
holds 5 "the journal says where: rules.toml, line, column" journal_says 'rules.toml:4:8: `0 25 \* \* \*`'
cp /proof/rules.toml /etc/offhours/schedules/rules.toml
systemctl reset-failed offhours.service

# --- start
systemctl daemon-reload
before=$(date +%s%N)
systemctl start offhours.service || broken "it starts"
ok "ready in $((($(date +%s%N) - before) / 1000000)) ms"
[ "$(property ActiveState)/$(property SubState)" = active/running ] || broken "active (running)"
status_says '^1 rules, .*next firing 20' || broken "STATUS text: $(property StatusText)"
ok "STATUS: $(property StatusText)"

systemd-analyze security --no-pager --threshold=15 offhours.service >/proof/rating || broken "$(tail -n 1 /proof/rating)"
ok "live rating: $(tail -n 1 /proof/rating | tr -cd '[:print:]' | sed 's/^ *//; s/ *$//')"

pid=$(main_pid)
uid=$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")
[ "$uid" -ge 61184 ] && [ "$uid" -le 65519 ] || broken "its user is a dynamic one, not $uid"
for fact in 'NoNewPrivs:.1$' 'Seccomp:.2$' 'CapEff:.0000000000000000$' 'CapBnd:.0000000000000000$'; do
    grep -q "^$fact" "/proc/$pid/status" || broken "/proc/$pid/status: $fact"
done
ok "uid $uid, no capabilities, no new privileges, seccomp filter"

# --- it works, with what only the credentials could tell it
stopped() {
    "${ctl[@]}" history --json | python3 -c '
import json, sys
rows = [row for run in json.load(sys.stdin) for row in run["deployments"]]
sys.exit(0 if len({row["id"] for row in rows if row["outcome"] == "stopped"}) == 5 else 1)'
}
holds 40 "five deployments were stopped and confirmed: the service key was read" stopped
holds 20 "a mail was delivered after a login: the password was read" mails_are_kept
grep -q '^Subject: ' /proof/mails/0000.eml || broken "the mail has a subject"
directory=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^CREDENTIALS_DIRECTORY=//p')
[ "$directory" = /run/credentials/offhours.service ] || broken "credentials directory: $directory"
if setpriv --reuid=nobody --regid=nogroup --clear-groups cat "$directory/service-key" >/dev/null 2>&1; then
    broken "nobody else can read the credentials"
fi
ok "nobody else can read the credentials"
secret=$(python3 -c 'import json; print(json.load(open("/etc/offhours/service-key.json"))["clientsecret"])')
if journalctl --no-pager --output=export --unit=offhours.service | grep -qaF -e "$secret" -e 'correct horse'; then
    broken "no secret is in the journal"
fi
ok "no secret is in the journal"

"${ctl[@]}" check --online >/proof/check 2>&1 || broken "offhoursctl check --online: $(cat /proof/check)"
if grep -q 'is not here' /proof/check; then broken "offhoursctl has the credentials: $(cat /proof/check)"; fi
ok "offhoursctl checks the tenant with the service's user and credentials"
# The daemon fires the same rule now and then: two in one second are refused.
holds 10 "and fires a rule beside the daemon" "${ctl[@]}" fire proof

# --- it is confined: its root as it sees it, and what is there of its making
world=/proc/$pid/root
for place in /etc/offhours /usr/local/bin /var/lib /var/log /root /home /boot /opt; do
    if touch "$world$place/written" 2>/dev/null; then broken "it cannot write to $place"; fi
done
touch "$world/var/lib/private/offhours/written" || broken "it can write to its state directory"
rm "$world/var/lib/private/offhours/written"
# What lies in memory is looked at here; systemd.sh looks at what it left on the disk.
echo "$uid" >/proof/uid
strays=$(find /run /tmp /dev/shm /var/tmp -path /run/credentials -prune -o -uid "$uid" -print | head)
[ -z "$strays" ] || broken "everything it wrote is in its state directory: $strays"
[ "$(stat -c %a /var/lib/private/offhours)" = 700 ] || broken "its state directory is closed"
[ "$(stat -c %a /var/lib/private/offhours/ledger.sqlite3)" = 600 ] || broken "the ledger is closed"
ok "it can write in its state directory and in no other place"

if nsenter --mount="/proc/$pid/ns/mnt" /bin/sh -c true 2>/dev/null; then broken "it can start no shell"; fi
nsenter --mount="/proc/$pid/ns/mnt" /usr/bin/kill -0 "$pid" || broken "ExecReload can start kill"
ok "it can start no other program"

# --- reload
sed 's/"proof"/"second"/' /proof/rules.toml >/etc/offhours/schedules/second.toml
systemctl reload offhours.service || broken "it reloads"
holds 10 "after a reload there are two rules" status_says '^2 rules'
echo 'stop = ' >>/etc/offhours/schedules/second.toml
systemctl reload offhours.service
holds 10 "a bad reload is said in the STATUS" status_says 'rejected, the old one is in force'
holds 5 "and in the journal, with file and line" journal_says 'second.toml:9:8:'
holds 15 "and the old rules go on firing" status_says '^2 rules'
[ "$(main_pid)" = "$pid" ] && [ "$(property ActiveState)" = active ] || broken "it is still the same process"
rm /etc/offhours/schedules/second.toml

# --- what a person writes to keep something on is heard, or the person learns that it is not
cat >/etc/offhours/schedules/later.toml <<RULE
[[rule]]
name   = "later"
stop   = "$(TZ=Europe/Berlin date -d '+2 hours' '+%-M %-H %-d %-m') *"
until  = "0 0 1 1 *"
notice = "3h"
[rule.select]
resource_groups = ["later"]
RULE
systemctl reload offhours.service
notice() {
    python3 - "$@" <<'PYTHON'
import email, email.policy, glob, sys
for path in sorted(glob.glob("/proof/mails/*.eml")):
    mail = email.message_from_binary_file(open(path, "rb"), policy=email.policy.default)
    for line in mail.get_body(("plain",)).get_content().splitlines():
        if "hold add --deployment" in line and "later" in mail["Subject"]:
            print(line.strip())
            sys.exit(0)
sys.exit(1)
PYTHON
}
holds 60 "a notice arrives" notice
command=$(notice)
[[ $command = "sudo offhoursctl hold add --deployment "* ]] || broken "the notice's command: $command"
# `sudo` says who called it; here nobody else is there.
elsewhere=$(mktemp -d)
(cd "$elsewhere" && eval "SUDO_USER=ada PATH=/usr/local/bin:$PATH ${command#sudo }") >/proof/held 2>&1 ||
    broken "the notice's own command holds: $(cat /proof/held)"
grep -q 'keeps on   1 deployment' /proof/held && grep -q 'daemon     runs (pid' /proof/held ||
    broken "and its effect is said: $(cat /proof/held)"
"${ctl[@]}" hold list --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)[0]["by"] != "ada")' ||
    broken "and is ada's: $("${ctl[@]}" hold list --json)"
"${ctl[@]}" plan later | grep -q 'held' || broken "and the daemon's rules keep to it: $("${ctl[@]}" plan later)"
"${ctl[@]}" hold remove 1 >/dev/null || broken "it removes a hold"
ok "the command of a notice holds, from any directory, and knows who wanted it"
# refused_by_plain WHO…: `offhours` itself finds the service's ledger, and says which command works there.
refused_by_plain() {
    local code=0
    (cd "$elsewhere" && "$@" /usr/local/bin/offhours hold add --rule later --until 1h --reason 'not tonight') >/proof/plain 2>&1 || code=$?
    [ "$code" = 5 ] || broken "$*: exit 5, not $code: $(cat /proof/plain)"
    grep -qF "\`sudo offhoursctl hold add --rule later --until 1h --reason 'not tonight'\`" /proof/plain ||
        broken "$*: it names the command that works: $(cat /proof/plain)"
}
refused_by_plain env HOME=/root USER=root
refused_by_plain env HOME=/tmp USER=nobody setpriv --reuid=nobody --regid=nogroup --clear-groups
if [ -e ~root/.local/state/offhours ] || [ -e /tmp/.local ]; then broken "no second ledger was made"; fi
ok "offhours itself makes no second ledger, and names the command that works"
code=0
"${ctl[@]}" ledger backup "$elsewhere/copy" >/proof/backup 2>&1 || code=$?
[ "$code" = 2 ] && [ ! -e "$elsewhere/copy" ] || broken "a backup that would be lost is refused: $(cat /proof/backup)"
"${ctl[@]}" ledger backup - >"$elsewhere/copy" 2>/proof/backup || broken "a backup by a pipe: $(cat /proof/backup)"
[ "$(head -c 15 "$elsewhere/copy")" = "SQLite format 3" ] || broken "the backup is a ledger"
"${ctl[@]}" ledger backup /var/lib/offhours/copy >/dev/null || broken "a backup in the state directory"
rm /var/lib/private/offhours/copy
ok "a backup arrives where it was named, or is refused"
rm -r "$elsewhere" /etc/offhours/schedules/later.toml
systemctl reload offhours.service

# --- one instance only
code=0
"${ctl[@]}" run 2>/proof/second || code=$?
[ "$code" = 75 ] || broken "a second instance ends with exit 75, not $code: $(cat /proof/second)"
ok "a second instance on the same state directory: exit 75"

# --- crash and watchdog
systemctl reset-failed offhours.service 2>/dev/null || true
kill -9 "$pid"
holds 20 "after kill -9 it is started again" restarted_from "$pid"
mkdir -p /run/systemd/system/offhours.service.d
printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/offhours.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart offhours.service || broken "it restarts"
pid=$(main_pid)
sleep 5
[ "$(main_pid)" = "$pid" ] || broken "the heartbeat feeds a watchdog of 3 seconds"
ok "the heartbeat feeds a watchdog of 3 seconds"
kill -STOP "$pid"
holds 30 "after SIGSTOP the watchdog starts it again" restarted_from "$pid"
holds 5 "and systemd says why" journal_says 'Watchdog timeout'

# --- offhoursctl is what the unit and its drop-ins say
drop_in() {
    cat >"/run/systemd/system/offhours.service.d/$1.conf"
    systemctl daemon-reload
}
keys="/etc/offhours keys"
named="/etc/offhours/another name.toml"
mkdir "$keys"
mv "$key" "$keys/service key; it's \$HOME's.json"
rm /etc/offhours/smtp-password
mv /etc/offhours/offhours.toml "$named"
drop_in unusual <<UNIT
[Service]
LoadCredential=
LoadCredential=service-key:$keys/service key; it's \$HOME's.json
SetCredential=smtp-password:correct\x20horse\n
Environment="CANARY=sung in" "OFFHOURS_CONFIG=$named"
UNIT
systemctl restart offhours.service || broken "it starts with credentials and a configuration of other names"
"${ctl[@]}" check --online >/proof/check 2>&1 || broken "offhoursctl follows the drop-in: $(cat /proof/check)"
grep -q "^$named: no faults" /proof/check || broken "offhoursctl has the service's configuration: $(cat /proof/check)"
"${ctl[@]}" mail test >/proof/check 2>&1 || broken "offhoursctl has the password of the drop-in: $(cat /proof/check)"
ok "offhoursctl follows a drop-in: an emptied LoadCredential=, paths with spaces, SetCredential=, Environment="

drop_in command <<UNIT
[Service]
ExecStart=
ExecStart=/usr/local/bin/offhours --config "$named" run
Environment=OFFHOURS_CONFIG=/nowhere/offhours.toml
UNIT
"${ctl[@]}" check 2>&1 | grep -q "^$named: no faults" || broken "the configuration that ExecStart names"
ok "and its configuration is the one that ExecStart names"

# Every directive that confines the service confines what offhoursctl starts.
settings=$(sed -n '/^# It may read/,/^\[Install\]/p' /etc/systemd/system/offhours.service | grep -oE '^[A-Za-z]+' |
    grep -vE '^(MemoryMax|TasksMax)$' | sort -u | paste -sd,)
settings+=,User,DynamicUser,StateDirectory,StateDirectoryMode,UMask
command_unit() { systemctl list-units --plain --no-legend --state=active 'run-*.service' | awk '{ print $1; exit }'; }
command_runs() { [ -n "$(command_unit)" ]; }
"${ctl[@]}" rehearse --days 1000 >/dev/null 2>&1 &
holds 20 "a long command runs as a unit of its own" command_runs
transient=$(command_unit)
systemctl show "$transient" --property="$settings" | sort >/proof/transient
systemctl stop "$transient"
systemctl show offhours.service --property="$settings" | sort | diff - /proof/transient ||
    broken "it is confined as the service is"
[ "$(wc -l </proof/transient)" -ge 35 ] || broken "that was compared: $(wc -l </proof/transient) settings"
ok "and is confined as the service is, in $(wc -l </proof/transient) settings"

# --- who may run nothing else gets no more by it
cat >/proof/own.toml <<CONFIG
timezone = "UTC"
[connection.dev]
credential = "service-key"
[mail]
smtp = "smtp://127.0.0.1:2525"
username = "offhours"
password_credential = "service-key"
from = "offhours@example.com"
to = ["me@example.com"]
CONFIG
refused() {
    local code=0
    "${ctl[@]}" "$@" >/proof/refused 2>&1 || code=$?
    [ "$code" = 2 ] && grep -q '^offhoursctl: ' /proof/refused || broken "refused: $* (exit $code: $(cat /proof/refused))"
}
refused --config /proof/own.toml mail test
refused --config=/proof/own.toml mail test
refused mail test --config /proof/own.toml
refused mail --json test --config=/proof/own.toml
refused plan -- --config /proof/own.toml
refused rehearse --fleet "/run/credentials/offhours.service/service-key"
refused report --output /var/lib/offhours/ledger.sqlite3
refused report --output=/var/lib/offhours/ledger.sqlite3
echo 'touch /proof/sourced' >/proof/bash-env
OFFHOURS_CONFIG=/proof/own.toml BASH_ENV=/proof/bash-env PATH=/proof "${ctl[@]}" check >/proof/check 2>&1 ||
    broken "it checks: $(cat /proof/check)"
grep -q "^$named: no faults" /proof/check || broken "the caller's environment is not handed on: $(cat /proof/check)"
[ ! -e /proof/sourced ] || broken "the caller's environment starts nothing"
"${ctl[@]}" hold add --rule proof --until 1h --reason 'for $CANARY ${CANARY} $$ %n' >/dev/null || broken "it adds a hold"
"${ctl[@]}" hold list --json | grep -qF '"for $CANARY ${CANARY} $$ %n"' ||
    broken "the service's environment is not read out: $("${ctl[@]}" hold list --json)"
"${ctl[@]}" hold remove 2 >/dev/null || broken "it removes a hold"
"${ctl[@]}" ledger verify >/dev/null || broken "the ledger is whole"
code=0
setpriv --reuid=nobody --regid=nogroup --clear-groups "${ctl[@]}" status >/proof/refused 2>&1 || code=$?
[ "$code" = 2 ] && grep -q 'sudo offhoursctl' /proof/refused || broken "offhoursctl without sudo: $(cat /proof/refused)"
ok "offhoursctl takes no --config, no file of the caller's and nothing of his environment"
rm /run/systemd/system/offhours.service.d/command.conf
systemctl daemon-reload

# --- end
pid=$(main_pid)
peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$pid/status")
ok "peak memory of the last process: $((peak / 1024)) MiB"
before=$(date +%s%N)
systemctl stop offhours.service
[ "$(property Result)/$(property ExecMainStatus)" = success/0 ] || broken "a clean stop: $(property Result), exit $(property ExecMainStatus)"
ok "stopped cleanly in $((($(date +%s%N) - before) / 1000000)) ms"
holds 5 "and said so" journal_says 'stopping: nothing more is asked of AI Core'
repeated=$("${ctl[@]}" history --json | python3 -c '
import collections, json, sys
runs = json.load(sys.stdin)
times = collections.Counter(run["firing"] for run in runs)
stops = collections.Counter(row["id"] for run in runs for row in run["deployments"] if row["outcome"] == "stopped")
print([key for key, n in (times | stops).items() if n > 1])')
[ "$repeated" = "[]" ] || broken "no firing and no stop twice: $repeated"
ok "through all of it no firing and no stop twice"
echo proven
