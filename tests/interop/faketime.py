"""Runs the daemon under libfaketime and looks at what it recorded. usage: faketime.py OFFHOURS LIBFAKETIME"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

OFFHOURS, LIBRARY = sys.argv[1:]
BERLIN = ZoneInfo("Europe/Berlin")
# A week of virtual time takes this many seconds.
SPEED = 4000
FLEET = """
[tenant]
timezone = "Europe/Berlin"
tidied_after = "2d"
[[group]]
id = "dev-a"
[[deployment]]
group = "dev-a"
id = "d001"
configuration = "chat"
plan = "infer.s"
created = "30d"
stop_after = "2s"
redeployed = "0 8 * * MON-FRI"
"""
CONFIG = """
timezone = "Europe/Berlin"
state_dir = "state"
[connection.dev]
service_key = "key.json"
"""
RULE = """
[[rule]]
name = "evenings"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"
min_age = "1m"
[rule.select]
resource_groups = ["dev-a"]
"""


def berlin(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


class Stage:
    """A simulator and a daemon under one faked clock."""

    def __init__(self, environment):
        self.environment = {**os.environ, "LD_PRELOAD": LIBRARY, "TZ": "UTC", **environment}
        self.directory = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.directory.name)
        (self.root / "schedules").mkdir()
        (self.root / "fleet.toml").write_text(FLEET)
        (self.root / "offhours.toml").write_text(CONFIG)
        (self.root / "schedules" / "evenings.toml").write_text(RULE)

    def __enter__(self):
        serve = [OFFHOURS, "simulator", "--listen", "127.0.0.1:0", "--fleet", "fleet.toml"]
        self.simulator = self.start(serve, stdout=subprocess.PIPE)
        self.simulator.stdout.readline()
        key = self.root / "key.json"
        key.touch(mode=0o600)
        key.write_bytes(self.simulator.stdout.readline())
        self.log = open(self.root / "daemon.log", "w+")
        self.daemon = self.start([OFFHOURS, "run"], stdout=self.log, stderr=self.log)
        self.wait(lambda: "offhours is ready" in self.said())
        return self

    def start(self, command, **pipes):
        return subprocess.Popen(command, cwd=self.root, env=self.environment, **pipes)

    def said(self):
        return (self.root / "daemon.log").read_text()

    def runs(self):
        # Without the library: the command's own clock does not matter.
        command = [OFFHOURS, "history", "--since", "2026-01-01T00:00:00Z", "--json"]
        return json.loads(subprocess.run(command, cwd=self.root, capture_output=True, check=True).stdout)

    def wait(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.1)
        return False

    def __exit__(self, *_):
        for process in (self.daemon, self.simulator):
            process.terminate()
        for process in (self.daemon, self.simulator):
            process.wait(20)
        self.log.close()
        self.directory.cleanup()


def summary(runs):
    return [f"{run['firing']} {run['trigger']} {run['result']}, {run['totals']['stopped']} stopped" for run in runs]


def expect(name, found, wanted):
    good = found == wanted
    print(f"{'ok' if good else 'FAILED'}: {name}")
    for line in found:
        print(f"    {line}")
    if not good:
        print("  expected:", *wanted, sep="\n    ")
    return good


def firing(local, trigger="schedule", result="done", stopped=1):
    at = berlin(local).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"evenings@{at} {trigger} {result}, {stopped} stopped"


def week(name, first, days):
    """At many times the speed, from the noon of `first` on."""
    start = berlin(f"{first}T12:00:00").astimezone(timezone.utc)
    with Stage({"FAKETIME": f"@{start:%Y-%m-%d %H:%M:%S} x{SPEED}"}) as stage:
        stage.wait(lambda: len(stage.runs()) >= len(days), 8 * 86400 / SPEED + 60)
        # At this speed a request's 30 seconds are a few milliseconds: whether it came through is not the question here.
        fired = [run["firing"] for run in stage.runs() if run["result"] in ("done", "partial", "failed")]
        return name, fired, [firing(f"{day}T19:00:00").split()[0] for day in days]


class Stepped(Stage):
    """Under a clock that is set by hand; the monotonic one runs on undisturbed, as on a real machine."""

    def __init__(self, local):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".faketime")
        self.set(local)
        super().__init__(
            {
                "FAKETIME_TIMESTAMP_FILE": self.file.name,
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        )

    def set(self, local):
        offset = (berlin(local) - datetime.now(timezone.utc)) / timedelta(seconds=1)
        pathlib.Path(self.file.name).write_text(f"{offset:+.0f}s\n")


def slept_over_the_weekend():
    with Stepped("2027-06-04T18:58:50") as stage:
        stage.set("2027-06-07T08:00:00")
        stage.wait(stage.runs)
        return "asleep from Friday 18:59 to Monday 08:00: nothing is stopped", summary(stage.runs()), [
            firing("2027-06-04T19:00:00", "catch-up", "missed", 0)
        ]


def woke_in_the_night():
    with Stepped("2027-06-08T18:58:50") as stage:
        stage.set("2027-06-08T20:30:00")
        stage.wait(stage.runs)
        return "awake at 20:30: stopped once, as a catch-up", summary(stage.runs()), [
            firing("2027-06-08T19:00:00", "catch-up")
        ]


def put_back_after_a_firing():
    with Stepped("2027-06-09T18:59:57") as stage:
        stage.wait(stage.runs)
        stage.set("2027-06-09T18:00:00")
        time.sleep(4)
        stage.set("2027-06-09T19:00:30")
        time.sleep(4)
        return "put back an hour after a firing: not fired again", summary(stage.runs()), [
            firing("2027-06-09T19:00:00")
        ]


def main():
    spring = ["2027-03-25", "2027-03-26", "2027-03-29", "2027-03-30", "2027-03-31"]
    autumn = ["2027-10-28", "2027-10-29", "2027-11-01", "2027-11-02", "2027-11-03"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        weeks = [
            pool.submit(week, "19:00 in Berlin over the spring change", "2027-03-25", spring),
            pool.submit(week, "19:00 in Berlin over the autumn change", "2027-10-28", autumn),
        ]
        stepped = [pool.submit(case) for case in (slept_over_the_weekend, woke_in_the_night, put_back_after_a_firing)]
        results = [expect(*case.result()) for case in stepped + weeks]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
