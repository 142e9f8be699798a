"""What is small: the binary, `check` on the shipped rules, an idle daemon."""

import json
import shutil
import subprocess
import time

from lib import OFFHOURS, ROOT, Simulator, fleet, fresh, measure, median, site, verdict

from pathlib import Path


def memory(pid, what):
    """`VmRSS` or `VmHWM` of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def idle(config, seconds):
    """The share of one core and the memory (now, peak) of a daemon that has nothing to do."""
    daemon = subprocess.Popen([OFFHOURS, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(5)
        began, used = time.monotonic(), processor_seconds(daemon.pid)
        time.sleep(seconds)
        share = (processor_seconds(daemon.pid) - used) / (time.monotonic() - began)
        return share, memory(daemon.pid, "VmRSS"), memory(daemon.pid, "VmHWM")
    finally:
        daemon.terminate()
        daemon.wait()


def run(rounds):
    size = Path(OFFHOURS).stat().st_size / 1e6
    good = verdict("dist binary", size, 15, unit=" MB")
    place = fresh("small")
    for name in ["offhours.example.toml", "schedules"]:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place / name)
    key = {"clientid": "c", "clientsecret": "s", "url": "https://auth.example.com", "serviceurls": {"AI_API_URL": "https://api.example.com"}}
    for name, text in [("dev.json", json.dumps(key)), ("smtp-password", "secret")]:
        (place / name).write_text(text)
        (place / name).chmod(0o600)
    checks = [measure([OFFHOURS, "check", "--config", str(place / "offhours.example.toml")]).wall * 1000 for _ in range(rounds)]
    good &= verdict("check on the shipped rules", median(checks), 50, unit=" ms")
    with Simulator(fleet(place, 1, 1)) as simulator:
        rules = "".join(
            f'[[rule]]\nname = "rule-{n}"\nstop = "{n % 60} 19 * * *"\nuntil = "0 7 * * *"\nmail = "never"\nselect = {{ resource_groups = ["dev-0000"] }}\n'
            for n in range(100)
        )
        share, now, peak = idle(site(place / "site", simulator.key, rules), 30)
    good &= verdict("idle daemon with 100 rules, memory", peak, 20, unit=" MiB")
    print(f"     of one core, over 30 s: {share:.2%}; {now:.1f} MiB now\n")
    return good
