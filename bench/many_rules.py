"""10,000 rules: start, check, idle, and 1,000 firings that fall on one second."""

import sqlite3
import subprocess
import time
from datetime import datetime, timedelta, timezone

from lib import OFFHOURS, Simulator, fleet, fresh, measure, median, site, verdict
from small import idle

RULES, FILES, AT_ONCE = 10_000, 20, 1_000


def rules(together):
    """Files of 500 rules. The first 1,000 stop at `together` (UTC), the others in the small hours, all over the year."""
    files = [[] for _ in range(FILES)]
    for n in range(RULES):
        stop = f"{together.minute} {together.hour} * * *" if n < AT_ONCE else f"{n % 60} {n % 5} {1 + n % 28} {1 + n % 12} *"
        files[n % FILES].append(
            f'[[rule]]\nname = "rule-{n}"\nstop = "{stop}"\nuntil = "{(together.minute + 30) % 60} {(together.hour + 6) % 24} * * *"\n'
            f'timezone = "UTC"\nmail = "never"\nselect = {{ resource_groups = ["group-{n}"] }}\n'
        )
    return ["\n".join(file) for file in files]


def start(config):
    """Seconds until the daemon says that it is ready."""
    began = time.monotonic()
    daemon = subprocess.Popen([OFFHOURS, "run", "--config", config], stderr=subprocess.PIPE, text=True)
    try:
        for line in daemon.stderr:
            if "ready" in line.lower() or "rules" in line.lower():
                return time.monotonic() - began
        raise SystemExit("the daemon ended")
    finally:
        daemon.terminate()
        daemon.communicate()


def lag(config, state, together):
    """Milliseconds from the common second to the last of its claims, and how many were claimed."""
    daemon = subprocess.Popen([OFFHOURS, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(max(0, together.timestamp() - time.time()) + 10)
        ledger = sqlite3.connect(f"file:{state}/ledger.sqlite3?mode=ro", uri=True)
        at = int(together.timestamp() * 1000)
        claimed, last = ledger.execute("SELECT count(*), max(started_at) FROM run WHERE scheduled_at = ?", [at]).fetchone()
        return claimed, (last or 0) - at
    finally:
        daemon.terminate()
        daemon.wait()


def run(rounds):
    place = fresh("many-rules")
    soon = lambda: (datetime.now(timezone.utc) + timedelta(seconds=80)).replace(second=0, microsecond=0)
    good = True
    with Simulator(fleet(place, 1, 1, latency="0s")) as simulator:
        config = site(place / "site", simulator.key, *rules(soon() + timedelta(hours=3)))
        checks = [measure([OFFHOURS, "check", "--config", config]).wall for _ in range(rounds)]
        print(f"many rules: {RULES} rules; check takes {median(checks):.2f} s")
        good &= verdict("start", median([start(config) for _ in range(rounds)]), 1, unit=" s")
        share, now, peak = idle(config, 60)
        good &= verdict("idle, of one core", share * 100, 0.5, unit=" %")
        print(f"     that is {share * 3600:.1f} s of CPU an hour; memory {now:.0f} MiB, peak {peak:.0f} MiB")
        together = soon()
        other = site(place / "lag", simulator.key, *rules(together))
        claimed, milliseconds = lag(other, place / "lag/state", together)
        good &= verdict(f"claims of {AT_ONCE} firings of one second", claimed, AT_ONCE, at_most=False)
        good &= verdict("the last claim after its second", milliseconds / 1000, 2, unit=" s")
    print()
    return good
