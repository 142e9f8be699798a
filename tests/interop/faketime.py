"""Runs the real daemon and the simulator under a clock that this script moves, and reads `offhours history`.

usage: faketime.py OFFHOURS LIBFAKETIME [SCENARIO…]

Only the wall clock is moved, as on a real machine: the monotonic clock that timers run on goes on. Days pass quickly
and the seconds around each firing at their own pace, so that "on time" means what it means in production.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

UTC, BERLIN = timezone.utc, ZoneInfo("Europe/Berlin")
# Later than any build that runs this, so that the clock is plausible.
YEAR = date.today().year + 1
# Virtual seconds in a second while nothing is expected.
FAST = 20_000
# Real seconds after which a wait is given up.
PATIENCE = 90
MACHINES = []

CONFIG = """
timezone  = "Europe/Berlin"
schedules = "schedules"
state_dir = "state"
[connection.dev]
service_key = "key.json"
[mail]
directory = "outbox"
from = "offhours <offhours@example.com>"
to   = ["finops@example.com"]
"""
EVENINGS = """
[[rule]]
name   = "evenings"
stop   = "0 19 * * MON-FRI"
until  = "0 7 * * MON-FRI"
[rule.select]
resource_groups = ["dev"]
"""
# In the hour that the clock change leaves out, or repeats.
NIGHTLY = """
[[rule]]
name   = "nightly"
stop   = "30 2 * * *"
until  = "0 6 * * *"
[rule.select]
resource_groups = ["batch"]
"""
FLEET = """
[tenant]
timezone = "Europe/Berlin"
[[group]]
id = "dev"
[[group]]
id = "batch"
[[deployment]]
group = "dev"
id = "d001"
configuration = "chat"
plan = "infer.s"
stop_after = "1s"
redeployed = "0 8 * * MON-FRI"
[[deployment]]
group = "batch"
id = "d002"
configuration = "embeddings"
plan = "infer.s"
stop_after = "1s"
redeployed = "0 8 * * *"
"""


def berlin(day, hour, minute=0, second=0):
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=BERLIN).astimezone(UTC)


def last_sunday(month):
    day = date(YEAR, month, 31)
    return day - timedelta(days=(day.weekday() + 1) % 7)


def a_friday():
    """In February, far from any clock change."""
    day = date(YEAR, 2, 10)
    return day + timedelta(days=(4 - day.weekday()) % 7)


class Machine:
    """A directory, a clock, a simulator and a daemon."""

    def __init__(self, name, at, rules):
        self.name, self.program, self.began = name, sys.argv[1], time.monotonic()
        self.root = Path(tempfile.mkdtemp(prefix=f"offhours-{name}-"))
        self.clock = self.root / "clock"
        self.set(at)
        self.write("offhours.toml", CONFIG)
        self.write("schedules/rules.toml", rules)
        self.write("fleet.toml", FLEET)
        self.processes = []
        MACHINES.append(self)
        self.start_simulator()
        self.start_daemon()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)

    # --- the clock ---

    def set(self, at):
        """The clock shows `at`, from one moment to the next."""
        self.shift = round(at.timestamp() - time.time())
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(f"{self.shift:+d}\n")
        fresh.rename(self.clock)

    def now(self):
        return datetime.fromtimestamp(time.time() + self.shift, UTC)

    def hurry(self, to):
        """The time until `to` passes quickly."""
        last = time.monotonic()
        while self.now() < to:
            time.sleep(0.05)
            elapsed, last = time.monotonic() - last, time.monotonic()
            self.set(min(to, self.now() + timedelta(seconds=elapsed * FAST)))
        self.say(f"the clock shows {self.now().astimezone(BERLIN):%a %d %b %H:%M:%S %Z}")

    # --- processes ---

    def start(self, *command):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "NO_PROXY": "*",
            "LD_PRELOAD": sys.argv[2],
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Files keep their own times.
            "NO_FAKE_STAT": "1",
        }
        log = open(self.root / f"{command[0]}.log", "a")
        out = open(self.root / f"{command[0]}.out", "a")
        process = subprocess.Popen([self.program, *command], cwd=self.root, env=env, stdout=out, stderr=log)
        self.processes.append(process)
        return process

    def start_simulator(self):
        self.start("simulator", "--listen", "127.0.0.1:0", "--fleet", "fleet.toml")
        lines = self.wait("the simulator", lambda: self.read("simulator.out").splitlines()[1:])
        self.write("key.json", lines[0])

    def start_daemon(self):
        ready = self.read("run.log").count("offhours is ready")
        self.daemon = self.start("run", "--config", "offhours.toml")
        self.wait("the daemon", lambda: self.read("run.log").count("offhours is ready") > ready)

    def read(self, name):
        path = self.root / name
        return path.read_text() if path.exists() else ""

    def end(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)

    # --- what is seen ---

    def say(self, text):
        print(f"{self.name:>9} {time.monotonic() - self.began:6.1f}s  {text}", flush=True)

    def wait(self, what, condition):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if seen := condition():
                return seen
            time.sleep(0.2)
        raise AssertionError(f"{what}: not seen in {PATIENCE} seconds")

    def history(self):
        command = [self.program, "history", "--config", "offhours.toml", "--since", "1960-01-01T00:00:00Z", "--json"]
        shown = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=True)
        return sorted(json.loads(shown.stdout), key=lambda run: run["scheduled_for"])

    def runs(self):
        return [describe(run) for run in self.history()]

    def ended(self, rule, at):
        """Waits for the end of one run."""
        stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        found = lambda: [run for run in self.history() if run["rule"] == rule and run["scheduled_for"] == stamp]
        run = self.wait(f"{rule}@{stamp}", found)[0]
        self.say(describe(run))
        return run

    def stays(self, expected, seconds=6):
        """For some beats nothing else comes."""
        time.sleep(seconds)
        self.expect(expected)

    def expect(self, expected):
        seen = self.runs()
        assert seen == expected, "\nexpected {}\nseen     {}".format("\n         ".join(expected), "\n         ".join(seen))

    def mails(self):
        return len(list((self.root / "outbox").glob("*.eml")))


def describe(run):
    at = datetime.fromisoformat(run["scheduled_for"].replace("Z", "+00:00")).astimezone(BERLIN)
    return f"{run['rule']} {at:%a %d %b %H:%M %Z} {run['trigger']} {run['result']}, {run['totals']['stopped']} stopped"


# --- scenarios ------------------------------------------------------------------------------------------------------


def week(name, sunday, night):
    """Weekday evenings and every night, from Thursday before a clock change to Wednesday after it."""
    days = [sunday + timedelta(days=n) for n in range(-3, 4)]
    evenings = [("evenings", berlin(day, 19)) for day in days if day.weekday() < 5]
    nights = [("nightly", night if day == sunday else berlin(day, 2, 30)) for day in days[1:]]
    machine = Machine(name, berlin(days[0], 12), EVENINGS + NIGHTLY)
    expected = sorted(evenings + nights, key=lambda firing: firing[1])
    for rule, at in expected:
        machine.hurry(at - timedelta(seconds=4))
        run = machine.ended(rule, at)
        assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
        late = datetime.fromisoformat(run["started_at"].replace("Z", "+00:00")) - at
        assert timedelta() <= late <= timedelta(seconds=10), f"{late} late"
    machine.hurry(berlin(days[-1], 23))
    seen = [(run["rule"], run["scheduled_for"]) for run in machine.history()]
    assert seen == [(rule, f"{at:%Y-%m-%dT%H:%M:%SZ}") for rule, at in expected], seen
    locally = {f"{at.astimezone(BERLIN):%H:%M}" for rule, at in expected if rule == "evenings"}
    assert locally == {"19:00"}, locally
    return machine


def spring():
    sunday = last_sunday(3)
    # 02:30 does not exist: the first instant after the gap.
    return week("spring", sunday, datetime(YEAR, 3, sunday.day, 1, 0, tzinfo=UTC))


def autumn():
    sunday = last_sunday(10)
    # 02:30 exists twice: the first.
    return week("autumn", sunday, datetime(YEAR, 10, sunday.day, 0, 30, tzinfo=UTC))


def asleep():
    """From Friday 18:59 to Monday 08:00: the deployments are wanted again, so nothing is stopped."""
    friday = a_friday()
    machine = Machine("asleep", berlin(friday, 18, 58, 55), EVENINGS)
    machine.hurry(berlin(friday, 18, 59))
    machine.set(berlin(friday + timedelta(days=3), 8))
    run = machine.ended("evenings", berlin(friday, 19))
    assert run["result"] == "missed" and not run["deployments"], run
    machine.stays([describe(run)])
    machine.wait("the mail", machine.mails)
    assert run["reason"].startswith("missed") and "carrying out" not in machine.read("run.log"), run
    # The evening comes as ever, and the missed one is told once.
    machine.hurry(berlin(friday + timedelta(days=3), 18, 59, 56))
    run = machine.ended("evenings", berlin(friday + timedelta(days=3), 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
    machine.wait("the second mail", lambda: machine.mails() >= 2)
    assert machine.mails() == 2, f"{machine.mails()} mails"
    return machine


def late():
    """Wakes at 20:30, in the off window: stops once, as a catch-up."""
    friday = a_friday()
    machine = Machine("late", berlin(friday, 18, 50), EVENINGS)
    machine.set(berlin(friday, 20, 30))
    run = machine.ended("evenings", berlin(friday, 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("catch-up", "done", 1), run
    machine.stays([describe(run)])
    machine.hurry(berlin(friday + timedelta(days=3), 18, 50))
    machine.stays([describe(run)], 3)
    return machine


def back():
    """The clock steps back an hour after a firing: 19:00 comes again, the firing does not."""
    friday = a_friday()
    machine = Machine("back", berlin(friday, 18, 59, 56), EVENINGS)
    run = machine.ended("evenings", berlin(friday, 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
    only = [describe(run)]
    machine.set(machine.now() - timedelta(hours=1))
    # Long enough for the heartbeat to fall silent and be started anew.
    machine.stays(only, 8)
    machine.hurry(berlin(friday, 18, 59, 56))
    machine.stays(only, 8)
    # Neither does a daemon that is started in that hour.
    machine.set(berlin(friday, 18, 30))
    machine.daemon.send_signal(signal.SIGTERM)
    assert machine.daemon.wait(timeout=30) == 0
    machine.start_daemon()
    machine.hurry(berlin(friday, 18, 59, 56))
    machine.stays(only, 8)
    monday = friday + timedelta(days=3)
    machine.hurry(berlin(monday, 18, 59, 56))
    run = machine.ended("evenings", berlin(monday, 19))
    machine.expect([*only, describe(run)])
    assert run["trigger"] == "schedule", run
    return machine


def epoch():
    """Boots in 1970 and is told the time an hour after a firing: nothing of the years between is due or missed."""
    friday = a_friday()
    machine = Machine("1970", datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC), EVENINGS)
    machine.wait("the clock's complaint", lambda: "before this program was built" in machine.read("run.log"))
    machine.say("says that the clock cannot be right")
    machine.set(berlin(friday, 20))
    machine.wait("the daemon's belief", lambda: "the clock is plausible" in machine.read("run.log"))
    machine.stays([])
    assert machine.mails() == 0, f"{machine.mails()} mails"
    monday = friday + timedelta(days=3)
    machine.hurry(berlin(monday, 18, 59, 56))
    run = machine.ended("evenings", berlin(monday, 19))
    assert run["trigger"] == "schedule", run
    machine.expect([describe(run)])
    return machine


def main():
    scenarios = {play.__name__: play for play in (spring, autumn, asleep, late, back, epoch)}
    failures = {}

    def play(name):
        try:
            scenarios[name]()
            print(f"{name:>9}          holds", flush=True)
        except BaseException as failure:
            failures[name] = failure

    threads = [threading.Thread(target=play, args=(name,), daemon=True) for name in sys.argv[3:] or scenarios]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for machine in MACHINES:
        machine.end()
        if not failures:
            shutil.rmtree(machine.root)
    for name, failure in failures.items():
        print(f"FAILED {name}: {type(failure).__name__}: {failure}")
    for machine in MACHINES if failures else []:
        print(f"--- {machine.root}\n" + "\n".join(machine.read("run.log").splitlines()[-20:]))
    return 1 if failures else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.exit(code)
