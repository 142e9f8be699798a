"""What offhours needs in memory where much is asked of it, inside a memory cgroup as large as the unit's `MemoryMax`.

usage: memory.py OFFHOURS [month] [tenant] [year]

month   the daemon with 200 deployments a night in its ledger mails last month's report with CSV and JSON to 50 people,
        while a rule fires every ten seconds
tenant  100,000 deployments in 1,000 groups: plan and fire, with and without --json, mail on
year    the report of 1,000 deployments a night, a year of them, in each form
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import lib  # noqa: E402
import long_history  # noqa: E402

MIB = 1 << 20
# MemoryMax of systemd/offhours.service.
UNIT = 256
# What docs/benchmarks.md promises of one command on a tenant of 100,000.
COMMAND = 128
# A rule that is due is claimed so soon, also on a machine with much else to do.
ON_TIME = timedelta(seconds=5)
RECIPIENTS = 50
# A year of them.
NIGHTS = 365
# Real seconds after which a wait is given up.
PATIENCE = 100


class Cell:
    """A memory cgroup; where none can be made, nothing is enforced and peaks alone are judged."""

    def __init__(self):
        self.path, self.kind = None, "none"
        for kind, root, limit in [("v2", "/sys/fs/cgroup", "memory.max"), ("v1", "/sys/fs/cgroup/memory", "memory.limit_in_bytes")]:
            path = Path(root) / f"offhours-{os.getpid()}"
            try:
                path.mkdir()
            except OSError:
                continue
            # Elsewhere than in a cgroup's file system this is a directory like any other, and has none of these.
            if (path / limit).exists() and (path / "cgroup.procs").exists():
                (path / limit).write_text(str(UNIT * MIB))
                swap = path / "memory.swap.max"
                if swap.exists():
                    swap.write_text("0")
                self.path, self.kind = path, kind
                return
            path.rmdir()

    def enter(self):
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def leave(self):
        if self.path:
            self.path.rmdir()


CELL, ROWS = Cell(), []


def note(what, peak, limit, failing):
    ROWS.append((what, f"{peak:.0f} MiB", f"{limit} MiB", failing or ("ok" if peak <= limit else "TOO MUCH")))
    print("{}: {} of {}, {}".format(*ROWS[-1]), flush=True)


def peak_of(pid):
    """MiB that a living process has had at most."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def ended(process):
    """How it ended; none where it ended well."""
    return {0: None, -signal.SIGKILL: "KILLED"}.get(process.returncode, f"ended with {process.returncode}")


def command(what, place, words, limit):
    """Runs one command in the cell, and notes what it needed. Gives what it printed, as a file."""
    out = place / "printed"
    with open(out, "w") as printed, open(place / "said", "w") as said:
        process = subprocess.Popen([lib.OFFHOURS, *words], stdout=printed, stderr=said, preexec_fn=CELL.enter)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    note(what, usage.ru_maxrss / 1024, limit, ended(process))
    return out


def mail(place, to=1):
    people = ", ".join(f'"person-{number}@example.com"' for number in range(to))
    return f'[mail]\ndirectory = "{place}/outbox"\nfrom = "offhours@example.com"\nto = [{people}]\n'


# --- a month of 200 a night, and its report ---

EVERY_TEN_SECONDS = """
[[rule]]
name = "often"
timezone = "UTC"
stop = "*/10 * * * * *"
until = "0 0 1 1 *"
mail = "never"
select = { resource_groups = ["other"] }
"""


def month(place):
    fleet = lib.fleet(place, 10, 20, latency="1ms")
    fleet.write_text(fleet.read_text() + '[[group]]\nid = "other"\n')
    with lib.Simulator(fleet) as simulator:
        config = lib.site(place / "site", simulator.key, lib.RULE.format(groups="dev-*"))
        lib.WORK = place
        lib.measure([lib.OFFHOURS, "fire", "all", "--config", config])
        # Whatever day it is, all of the last calendar month.
        long_history.fill(place / "site/state/ledger.sqlite3", 62, long_history.tonight())
        due = datetime.now(timezone.utc) + timedelta(seconds=15)
        report = (
            f'[[report]]\nname = "monthly"\ntimezone = "UTC"\ncron = "{due:%-S %-M %-H} * * *"\n'
            'period = "last-month"\nattach = ["csv", "json"]\n'
        )
        main = Path(config)
        main.write_text(main.read_text() + mail(place, RECIPIENTS) + report)
        (place / "site/schedules/often.toml").write_text(EVERY_TEN_SECONDS)
        daemon_that_reports(place, config)


def daemon_that_reports(place, config):
    began = datetime.now(timezone.utc)
    with open(place / "log", "w") as log:
        daemon = subprocess.Popen([lib.OFFHOURS, "run", "--config", config], stdout=log, stderr=log, preexec_fn=CELL.enter)
    deadline, peak, arrived = time.monotonic() + PATIENCE, 0, 0
    mails = lambda: len(list((place / "outbox").glob("*.eml")))
    # All mails, and one more firing after the last of them.
    while time.monotonic() < deadline and daemon.poll() is None:
        peak = max(peak, peak_of(daemon.pid))
        if mails() >= RECIPIENTS:
            arrived = arrived or time.monotonic()
            if time.monotonic() > arrived + 11:
                break
        time.sleep(0.05)
    until = datetime.now(timezone.utc)
    failing = "KILLED" if daemon.poll() is not None else None
    if not failing:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
        failing = ended(daemon)
    lost = f"{mails()} of {RECIPIENTS} mails" if mails() < RECIPIENTS else None
    note(f"daemon, a month's report to {RECIPIENTS}", peak, UNIT, failing or lost)
    note("rules due meanwhile", peak, UNIT, failing or firings(config, began, until))


def firings(config, began, until):
    """What is wrong with the firings of the rule that is due every ten seconds; none where nothing is."""
    shown = subprocess.run(
        [lib.OFFHOURS, "history", "--config", config, "--rule", "often", "--json", "--since", f"{began:%Y-%m-%dT%H:%M:%SZ}"],
        capture_output=True, text=True, check=True,
    )
    instant = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00"))
    found = {instant(run["scheduled_for"]): instant(run["started_at"]) for run in json.loads(shown.stdout)}
    first = began.replace(microsecond=0) + timedelta(seconds=10 - began.second % 10)
    # The first seconds are its start's, the last its end's.
    expected = [first + timedelta(seconds=10 * n) for n in range(1, 100) if first + timedelta(seconds=10 * n) < until - ON_TIME]
    missing = [at for at in expected if at not in found]
    late = [at for at in expected if at in found and found[at] - at > ON_TIME]
    if not expected:
        return "none came due"
    return f"{len(missing)} of {len(expected)} MISSING, {len(late)} LATE" if missing or late else None


# --- a tenant of 100,000 ---

GROUPS, EACH = 1_000, 100


def large_fleet(place):
    """Of each hundred one is stopped by the first rule and one by the second; 98 are to stay on."""
    kinds = [("a", 1), ("b", 1), ("keep", EACH - 2)]
    lines = ['[tenant]\nlatency = "0s"'] + [f'[[group]]\nid = "dev-{group:04}"' for group in range(GROUPS)]
    for group in range(GROUPS):
        for kind, count in kinds:
            lines.append(
                f'[[deployment]]\ngroup = "dev-{group:04}"\nid = "d{group:04}-{kind}"\ncount = {count}\n'
                f'configuration = "{kind}-{group:04}"\nplan = "infer.s"\nstop_after = "500ms"'
            )
    path = place / "fleet.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def rule(kind):
    return (
        f'[[rule]]\nname = "{kind}"\nstop = "0 19 * * *"\nuntil = "0 7 * * *"\nmax_stops = 10000\n'
        f'select = {{ resource_groups = ["dev-*"] }}\nexclude = {{ configurations = ["keep-*", "{"ab".replace(kind, "")}-*"] }}\n'
    )


def tenant(place):
    with lib.Simulator(large_fleet(place)) as simulator:
        config = lib.site(place / "site", simulator.key, rule("a"), rule("b"), config=mail(place))
        of = f"of {GROUPS * EACH:,}"
        command(f"plan {of}", place, ["plan", "a", "--config", config], COMMAND)
        command(f"plan --json {of}", place, ["plan", "a", "--json", "--config", config], COMMAND)
        command(f"fire {of}", place, ["fire", "a", "--config", config], COMMAND)
        fired = command(f"fire --json {of}", place, ["fire", "b", "--json", "--config", config], COMMAND)
        check("stopped by fire --json", lambda: json.loads(fired.read_text())["totals"]["stopped"], GROUPS)
        check("mails of both", lambda: len(list((place / "outbox").glob("*.eml"))), 2)


def check(what, count, wanted):
    """Less than wanted is lost, however little memory that took."""
    try:
        found = count()
    except (OSError, ValueError, KeyError) as error:
        found = type(error).__name__
    if found != wanted:
        ROWS.append((what, str(found), str(wanted), "LOST"))


# --- a year of 1,000 a night ---


def year(place):
    with lib.Simulator(lib.fleet(place, 10, 100, latency="1ms")) as simulator:
        config = lib.site(place / "site", simulator.key, lib.RULE.format(groups="dev-*"), config=mail(place))
        lib.WORK = place
        lib.measure([lib.OFFHOURS, "fire", "all", "--config", config])
    long_history.fill(place / "site/state/ledger.sqlite3", NIGHTS, long_history.tonight())
    today = datetime.now(timezone.utc).date()
    since, until = today - timedelta(days=367), today + timedelta(days=1)
    for form in ["text", "html", "csv", "json"]:
        words = ["report", "--period", f"{since}..{until}", "--format", form, "--output", str(place / f"report.{form}"), "--config", config]
        command(f"report of a year, {form}", place, words, UNIT)
        if mark := {"csv": b",stopped,", "json": b'"outcome"'}.get(form):
            check(f"deployments in it, {form}", lambda: count_in(place / f"report.{form}", mark), 1_000 * (NIGHTS + 1))
    command("report of a year, mailed", place, ["report", "--period", f"{since}..{until}", "--mail", "--config", config], UNIT)
    command("history of a year, --json", place, ["history", "--json", "--since", f"{since}T00:00:00Z", "--config", config], UNIT)


def count_in(path, mark):
    """How often the mark stands in a file that is too large to be read at once."""
    found, rest = 0, b""
    with open(path, "rb") as file:
        while part := file.read(MIB):
            part = rest + part
            found += part.count(mark)
            rest = part[-len(mark) + 1 :]
    return found


def main():
    lib.OFFHOURS = long_history.OFFHOURS = sys.argv[1]
    wanted = sys.argv[2:] or ["month", "tenant", "year"]
    if CELL.kind == "none":
        print(f"no memory cgroup can be made here: nothing is killed at {UNIT} MiB, peaks alone are judged", flush=True)
    else:
        print(f"in a memory cgroup ({CELL.kind}) of {UNIT} MiB", flush=True)
    for part in [month, tenant, year]:
        if part.__name__ in wanted:
            place = Path(tempfile.mkdtemp(prefix=f"offhours-{part.__name__}-"))
            try:
                part(place)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    CELL.leave()
    print()
    lib.table(["what", "peak", "limit", ""], ROWS)
    return 0 if all(row[3] == "ok" for row in ROWS) else 1


if __name__ == "__main__":
    sys.exit(main())
