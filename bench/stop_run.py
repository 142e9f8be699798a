"""100 resource groups of 20 deployments, 50 ms per request: stop all, see each stopped, and mail what came of it."""

import os
import subprocess
import sys

from lib import FLOOR, MAIL, OFFHOURS, ROOT, RULE, WORK, Simulator, fleet, fresh, measure, median, site, table, verdict

GROUPS, DEPLOYMENTS, CONNECTIONS = 100, 20, 16


def python_with_sdk():
    """A virtual environment with SAP's SDK, made once."""
    venv = WORK / "venv"
    if not (venv / "ready").exists():
        if subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True).returncode:
            # Debian's python3 comes without it.
            subprocess.run(["apt-get", "install", "-y", "-qq", "python3-venv"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "--disable-pip-version-check", "sap-ai-sdk-core"], check=True)
        (venv / "ready").touch()
    return str(venv / "bin/python")


def contestants(python):
    """Each with the command that does the work, made of a service key, `bulk` or `single`, and a configuration."""
    script = str(ROOT / "bench" / "sdk.py")
    return {
        "floor": lambda key, how, config: [FLOOR, key, how, str(CONNECTIONS)],
        "offhours": lambda key, how, config: [OFFHOURS, "fire", "all", "--config", config],
        "SDK, threads": lambda key, how, config: [python, script, key, how, str(CONNECTIONS)],
        "SDK, sequential": lambda key, how, config: [python, script, key, how, "1"],
    }


def run(rounds, only=None):
    everybody = contestants(python_with_sdk())
    env = {"PATH": os.environ["PATH"], "HOME": str(WORK), "NO_PROXY": "*"}
    good = True
    for how in ["bulk", "single"]:
        found = {}
        for _ in range(rounds):
            for name, command in everybody.items():
                if only and name not in only:
                    continue
                place = fresh("stop-run")
                with Simulator(fleet(place, GROUPS, DEPLOYMENTS, bulk=how == "bulk")) as simulator:
                    config = site(place / "site", simulator.key, RULE.format(groups="dev-*"), config=MAIL)
                    took = measure(command(str(place / "site/key.json"), how, config), env=env)
                took.requests = simulator.requests
                found.setdefault(name, []).append(took)
        middle = {name: {what: median([getattr(one, what) for one in all]) for what in ["wall", "cpu", "memory", "requests"]} for name, all in found.items()}
        print(f"stop run, {how}: {GROUPS} groups x {DEPLOYMENTS} deployments, 50 ms a request, medians of {rounds}\n")
        ours = middle["offhours"]
        rows = [
            [name, f"{one['wall']:.2f} s", f"{one['wall'] / ours['wall']:.2f}", f"{one['cpu']:.2f} s", f"{one['memory']:.0f} MiB", f"{one['requests']:.0f}"]
            for name, one in middle.items()
        ]
        table(["contestant", "wall", "x offhours", "CPU", "peak memory", "requests"], rows)
        if len(middle) < 4:
            continue
        threads = 2 if how == "bulk" else 1.3
        good &= verdict("wall against the floor", ours["wall"] / middle["floor"]["wall"], 1.05, unit=" x")
        sequential = middle["SDK, sequential"]["wall"]
        # Sixteen connections cannot be much more than sixteen times as fast as one: where even the floor is not, that counts.
        most = round(min(25, sequential / middle["floor"]["wall"] / 1.1), 1)
        good &= verdict("faster than the sequential script", sequential / ours["wall"], most, unit=" x", at_most=False)
        good &= verdict("faster than the threaded script", middle["SDK, threads"]["wall"] / ours["wall"], threads, unit=" x", at_most=False)
        good &= verdict("peak memory", ours["memory"], 40, unit=" MiB")
        # One more is the question whether the tenant takes bulk changes, which the scripts' authors knew.
        scripts = min(middle[name]["requests"] for name in middle if "SDK" in name)
        good &= verdict("requests more than the scripts'", ours["requests"] - scripts, 1)
        print()
    return good
