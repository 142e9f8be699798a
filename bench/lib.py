"""What the benchmarks share: a simulated tenant, a site whose rules and key offhours reads, and measured commands."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "bench"
OFFHOURS = str(TARGET / "release" / "offhours")
FLOOR = str(TARGET / "release" / "examples" / "floor")

RULE = """[[rule]]
name = "all"
stop = "0 19 * * *"
until = "0 7 * * *"
max_stops = 10000
mail = "never"
select = {{ resource_groups = ["{groups}"] }}
"""


def build():
    """Builds what is measured; a second time it takes a second."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bins", "--example", "floor"], cwd=ROOT, check=True)


def fresh(name):
    """An empty directory below target/bench."""
    place = WORK / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def fleet(place, groups, deployments, *, stopped=0, latency="50ms", bulk=True, stop_after="500ms"):
    """Writes a fleet: so many groups of so many deployments, of which the first `stopped` have long been off."""
    lines = ["[tenant]", f"bulk = {str(bulk).lower()}", f'latency = "{latency}"']
    lines += [f'[[group]]\nid = "dev-{group:04}"' for group in range(groups)]
    kinds = [("s", stopped, "STOPPED"), ("r", deployments - stopped, "RUNNING")]
    for group in range(groups):
        for letter, count, status in kinds:
            if count:
                # `count` deployments, each with a number of its own in the place of x.
                lines.append(
                    f'[[deployment]]\ngroup = "dev-{group:04}"\nid = "d{group:04}-{letter}x"\ncount = {count}\n'
                    f'configuration = "model-{group:04}"\nplan = "infer.s"\nstatus = "{status}"\nstop_after = "{stop_after}"'
                )
    path = place / "fleet.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


class Simulator:
    """`offhours simulator` with a fleet, on a free port of loopback."""

    def __init__(self, path):
        command = [OFFHOURS, "simulator", "--listen", "127.0.0.1:0", "--fleet", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.key = json.loads(self.process.stdout.readline())
        self.requests = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        account = self.process.communicate()[0]
        self.requests = int(account.split()[1])
        if "nobody should have" in account:
            sys.exit(f"the simulator was asked what nobody should ask:\n{account}")


def site(place, key, *rule_files, config=""):
    """A directory in which offhours finds a configuration, a key and rules. Gives the configuration's path."""
    (place / "schedules").mkdir(parents=True)
    (place / "key.json").write_text(json.dumps(key))
    (place / "key.json").chmod(0o600)
    for number, text in enumerate(rule_files):
        (place / "schedules" / f"rules-{number}.toml").write_text(text)
    (place / "offhours.toml").write_text(
        'timezone = "Europe/Berlin"\nschedules = "schedules"\nstate_dir = "state"\n'
        '[connection.dev]\nservice_key = "key.json"\n'
        '[prices]\ncurrency = "EUR"\ncapacity_unit = "0.95"\nsource = "order form"\nvalid_from = 2020-01-01\n'
        '[prices.capacity_units_per_node_hour]\n"infer.s" = "0.90"\n' + config
    )
    return str(place / "offhours.toml")


class Measure:
    """Wall and CPU seconds, peak memory in MiB, requests, and what was printed."""

    def __init__(self, wall, cpu, memory, out):
        self.wall, self.cpu, self.memory, self.out, self.requests = wall, cpu, memory, out, None


def measure(command, *, stdin=None, env=None, expect=0):
    """Runs a command to its end. Python's own pages at the fork count too, so that less than 12 MiB is never told."""
    with open(WORK / "out", "w+") as out, open(WORK / "err", "w+") as err:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read()
        if process.returncode != expect:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}{err.read()[-2000:]}")
    return Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


def median(values):
    return statistics.median(values)


def table(heads, rows):
    """A table in Markdown, its columns aligned."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    line = lambda cells: "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"
    print(line(heads))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        print(line(row))
    print(flush=True)


def verdict(what, reached, target, *, unit="", at_most=True):
    """One line: what was reached, what was wanted, and whether that is so."""
    good = reached <= target if at_most else reached >= target
    shown = f"{reached:,}" if isinstance(reached, int) else f"{reached:.3g}"
    print(f"{'ok  ' if good else 'MISS'} {what}: {shown}{unit} (wanted: {'at most' if at_most else 'at least'} {target}{unit})", flush=True)
    return good
