"""A machine for the real daemon: a directory, a clock that is moved from outside, a simulator and a daemon.

Two kinds of clocks exist. Where only the wall clock is moved, timers run on: as when somebody sets the clock, or a host
wakes from its sleep. Where the monotonic clock moves with it (`timers=True`) every timer jumps too: as when a virtual
machine or a process stood still while its clocks went on.
"""

import json
import os
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
PATIENCE = 240
# Real seconds after which a clock that has jumped ahead is believed, and some.
STEADY = 75
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
max_stops = 100
[rule.select]
resource_groups = ["dev"]
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
    def __init__(self, name, at, rules, *, timers, fleet=FLEET, wire=None):
        """`wire`, where there is one, stands between the daemon and the simulator."""
        self.name, self.program, self.began = name + (" +timers" if timers else ""), sys.argv[1], time.monotonic()
        self.root = Path(tempfile.mkdtemp(prefix=f"offhours-{name}-"))
        self.clock, self.timers, self.wire = self.root / "clock", timers, wire
        self.set(at)
        self.write("offhours.toml", CONFIG)
        self.write("schedules/rules.toml", rules)
        self.write("fleet.toml", fleet)
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

    def approach(self, at):
        """Until shortly before `at`: long enough for a clock that jumps ahead of its timers to be believed."""
        self.hurry(at - timedelta(seconds=4 if self.timers else STEADY))

    # --- processes ---

    def environment(self):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "NO_PROXY": "*",
            "LD_PRELOAD": sys.argv[2],
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            # Files keep their own times.
            "NO_FAKE_STAT": "1",
        }
        if not self.timers:
            env["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        return env

    def start(self, *command):
        log = open(self.root / f"{command[0]}.log", "a")
        out = open(self.root / f"{command[0]}.out", "a")
        command = [self.program, *command]
        process = subprocess.Popen(command, cwd=self.root, env=self.environment(), stdout=out, stderr=log)
        self.processes.append(process)
        return process

    def says(self, code, *command):
        """What a command prints that is run at this time and ends with `code`."""
        command = [self.program, *command, "--config", "offhours.toml"]
        ended = subprocess.run(command, cwd=self.root, env=self.environment(), capture_output=True, text=True)
        assert ended.returncode == code, f"{command} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def start_simulator(self):
        self.start("simulator", "--listen", "127.0.0.1:0", "--fleet", "fleet.toml")
        lines = self.wait("the simulator", lambda: self.read("simulator.out").splitlines()[1:])
        key = json.loads(lines[0])
        if self.wire:
            self.wire.leads_to(key["url"])
            key["url"] = key["serviceurls"]["AI_API_URL"] = self.wire.url
        self.write("key.json", json.dumps(key))

    def start_daemon(self):
        ready = self.read("run.log").count("offhours is ready")
        self.daemon = self.start("run", "--config", "offhours.toml")
        self.wait("the daemon", lambda: self.read("run.log").count("offhours is ready") > ready)

    def read(self, name):
        path = self.root / name
        return path.read_text() if path.exists() else ""

    def end(self):
        if self.wire:
            self.wire.end()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    # --- what is seen ---

    def say(self, text):
        print(f"{self.name:>16} {time.monotonic() - self.began:6.1f}s  {text}", flush=True)

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
