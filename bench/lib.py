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
OFFHOURS = str(TARGET / "dist" / "offhours")
FLOOR = str(TARGET / "dist" / "examples" / "floor")

RULE = """[[rule]]
name = "all"
stop = "0 19 * * *"
until = "0 7 * * *"
max_stops = 10000
select = {{ resource_groups = ["{groups}"] }}
"""

# Each run's mail goes into a file.
MAIL = """[mail]
from = "offhours@example.com"
to = ["finops@example.com"]
directory = "mails"
"""


def build():
    """Builds what is measured; a second time it takes a second."""
    subprocess.run(["cargo", "build", "--profile", "dist", "--locked", "--quiet", "--bins", "--example", "floor"], cwd=ROOT, check=True)


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


# The unit's MemoryMax, and what we want to need at most.
UNIT, ENOUGH = 256, 128
MIB = 1024 * 1024


class Bounds:
    """A memory cgroup with the limit of the unit, made anew for one command: `systemd-run` where systemd runs, else a
    directory of cgroup v2 or v1 made by hand, which takes root; where there is neither, nothing is bounded."""

    def __init__(self, mebibytes=UNIT):
        self.limit = mebibytes * MIB
        self.wrapper, self.directory = [], None
        v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        if Path("/run/systemd/system").exists() and os.geteuid() == 0:
            self.kind = "a scope of systemd"
            self.wrapper = ["systemd-run", "--scope", "--quiet", "-p", f"MemoryMax={self.limit}", "-p", "MemorySwapMax=0"]
        elif os.access(v1 / "cgroup.procs", os.W_OK):
            self.kind = "a cgroup of version 1"
            self._make(v1, {"memory.limit_in_bytes": self.limit})
        elif os.access(v2 / "cgroup.procs", os.W_OK) and "memory" in (v2 / "cgroup.controllers").read_text():
            self.kind = "a cgroup of version 2"
            (v2 / "cgroup.subtree_control").write_text("+memory")
            self._make(v2, {"memory.max": self.limit, "memory.swap.max": 0})
        else:
            self.kind = "nothing (no cgroup can be made here); only the peak counts"

    def _make(self, parent, settings):
        self.directory = parent / f"offhours-bench-{os.getpid()}"
        self.close()
        self.directory.mkdir()
        for name, value in settings.items():
            if (self.directory / name).exists():
                (self.directory / name).write_text(str(value))

    def enter(self):
        """Called in the child, before it becomes the command."""
        if self.directory:
            (self.directory / "cgroup.procs").write_text(str(os.getpid()))

    def close(self):
        if self.directory and self.directory.exists():
            self.directory.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def said():
        """How memory is bounded on this machine."""
        with Bounds() as bounds:
            return f"bounded to {UNIT} MiB by {bounds.kind}"


class Measure:
    """Wall and CPU seconds, peak memory in MiB, requests, and what was printed."""

    def __init__(self, wall, cpu, memory, out):
        self.wall, self.cpu, self.memory, self.out, self.requests = wall, cpu, memory, out, None


def measure(command, *, stdin=None, env=None, expect=0, within=None, keep=True):
    """Runs a command to its end, `within` bounds if there are any. Python's own pages at the fork count too, so that less
    than 12 MiB is never told. What it prints is kept unless it is too much."""
    wrapper, enter = (within.wrapper, within.enter) if within else ([], None)
    with open(WORK / "out", "w+") as out, open(WORK / "err", "w+") as err:
        began = time.monotonic()
        process = subprocess.Popen([*wrapper, *command], stdin=stdin, stdout=out, stderr=err, env=env, preexec_fn=enter)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read() if keep else f"{os.fstat(out.fileno()).st_size} bytes"
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
