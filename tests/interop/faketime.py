"""Runs the real daemon and the simulator under a clock that this script moves, and reads `offhours history`.

usage: faketime.py OFFHOURS LIBFAKETIME [SCENARIO…]

Days pass quickly and the seconds around each firing at their own pace, so that "on time" means what it means in
production. Each scenario is played twice: with timers that run on while the wall clock jumps, and with timers that jump
with it.
"""

import shutil
import signal
import sys
import threading
import time
from datetime import datetime, timedelta

from machine import BERLIN, EVENINGS, MACHINES, STEADY, UTC, YEAR, Machine, a_friday, berlin, describe, last_sunday
from wire import Wire

# In the hour that the clock change leaves out, or repeats.
NIGHTLY = """
[[rule]]
name   = "nightly"
stop   = "30 2 * * *"
until  = "0 6 * * *"
[rule.select]
resource_groups = ["batch"]
"""

# --- the clock is changed, sleeps, steps back ---


def week(name, timers, sunday, night):
    """Weekday evenings and every night, from Thursday before a clock change to Wednesday after it; where each firing has to
    be waited for, from Saturday to Monday."""
    days = [sunday + timedelta(days=n) for n in (range(-3, 4) if timers else range(-1, 2))]
    evenings = [("evenings", berlin(day, 19)) for day in days if day.weekday() < 5]
    nights = [("nightly", night if day == sunday else berlin(day, 2, 30)) for day in days[1:]]
    machine = Machine(name, berlin(days[0], 12), EVENINGS + NIGHTLY, timers=timers)
    expected = sorted(evenings + nights, key=lambda firing: firing[1])
    for rule, at in expected:
        machine.approach(at)
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


def spring(timers):
    sunday = last_sunday(3)
    # 02:30 does not exist: the first instant after the gap.
    return week("spring", timers, sunday, datetime(YEAR, 3, sunday.day, 1, 0, tzinfo=UTC))


def autumn(timers):
    sunday = last_sunday(10)
    # 02:30 exists twice: the first.
    return week("autumn", timers, sunday, datetime(YEAR, 10, sunday.day, 0, 30, tzinfo=UTC))


def asleep(timers):
    """From Friday 18:59 to Monday 08:00: the deployments are wanted again, so nothing is stopped."""
    friday = a_friday()
    machine = Machine("asleep", berlin(friday, 18, 58, 55), EVENINGS, timers=timers)
    machine.hurry(berlin(friday, 18, 59))
    machine.set(berlin(friday + timedelta(days=3), 8))
    run = machine.ended("evenings", berlin(friday, 19))
    assert run["result"] == "missed" and not run["deployments"], run
    machine.stays([describe(run)])
    machine.wait("the mail", machine.mails)
    assert run["reason"].startswith("missed") and "carrying out" not in machine.read("run.log"), run
    # The evening comes as ever, and the missed one is told once.
    machine.approach(berlin(friday + timedelta(days=3), 19))
    run = machine.ended("evenings", berlin(friday + timedelta(days=3), 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
    machine.wait("the second mail", lambda: machine.mails() >= 2)
    assert machine.mails() == 2, f"{machine.mails()} mails"
    return machine


def late(timers):
    """Wakes at 20:30, in the off window: stops once, as a catch-up."""
    friday = a_friday()
    machine = Machine("late", berlin(friday, 18, 50), EVENINGS, timers=timers)
    machine.set(berlin(friday, 20, 30))
    run = machine.ended("evenings", berlin(friday, 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("catch-up", "done", 1), run
    machine.stays([describe(run)])
    machine.hurry(berlin(friday + timedelta(days=3), 18, 50))
    machine.stays([describe(run)], 3)
    return machine


def back(timers):
    """The clock steps back an hour after a firing: 19:00 comes again, the firing does not."""
    friday = a_friday()
    machine = Machine("back", berlin(friday, 18, 59, 56), EVENINGS, timers=timers)
    run = machine.ended("evenings", berlin(friday, 19))
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
    only = [describe(run)]
    machine.set(machine.now() - timedelta(hours=1))
    # Long enough for the heartbeat to fall silent and be started anew.
    machine.stays(only, 8)
    machine.approach(berlin(friday, 19))
    machine.stays(only, STEADY + 8)
    # Neither does a daemon that is started in that hour.
    machine.set(berlin(friday, 18, 30))
    machine.daemon.send_signal(signal.SIGTERM)
    assert machine.daemon.wait(timeout=30) == 0
    machine.start_daemon()
    machine.approach(berlin(friday, 19))
    machine.stays(only, STEADY + 8)
    monday = friday + timedelta(days=3)
    machine.approach(berlin(monday, 19))
    run = machine.ended("evenings", berlin(monday, 19))
    machine.expect([*only, describe(run)])
    assert run["trigger"] == "schedule", run
    return machine


def epoch(timers):
    """Boots in 1970 and is told the time an hour after a firing: nothing of the years between is due or missed."""
    friday = a_friday()
    machine = Machine("1970", datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC), EVENINGS, timers=timers)
    machine.wait("the clock's complaint", lambda: "before this program was built" in machine.read("run.log"))
    machine.say("says that the clock cannot be right")
    machine.set(berlin(friday, 20))
    machine.wait("the daemon's belief", lambda: "the clock is plausible" in machine.read("run.log"))
    machine.stays([])
    assert machine.mails() == 0, f"{machine.mails()} mails"
    monday = friday + timedelta(days=3)
    machine.approach(berlin(monday, 19))
    run = machine.ended("evenings", berlin(monday, 19))
    assert run["trigger"] == "schedule", run
    machine.expect([describe(run)])
    return machine

def glitch(timers):
    """For four seconds the clock is 200 days ahead: nothing is claimed by it, and the evening comes as ever."""
    friday = a_friday()
    machine = Machine("glitch", berlin(friday, 18, 59, 30), EVENINGS, timers=timers)
    machine.set(machine.now() + timedelta(days=200))
    time.sleep(4)
    machine.wait("the daemon's caution", lambda: "the clock went ahead by" in machine.read("run.log"))
    machine.set(machine.now() - timedelta(days=200))
    run = machine.ended("evenings", berlin(friday, 19))
    machine.expect([describe(run)])
    assert (run["trigger"], run["result"], run["totals"]["stopped"]) == ("schedule", "done", 1), run
    return machine


def ahead(timers):
    """A daemon that was started under a clock 28 weeks ahead fires there. Put right, nothing fires, which is said, until a
    person trusts the clock."""
    friday = a_friday()
    far = friday + timedelta(weeks=28)
    machine = Machine("ahead", berlin(far, 18, 59, 56), EVENINGS, timers=timers)
    there = describe(machine.ended("evenings", berlin(far, 19)))
    machine.set(berlin(friday, 12))
    machine.wait("the daemon's complaint", lambda: "a day before the newest entry" in machine.read("run.log"))
    told = machine.says(1, "status")
    assert "RULES DO NOT FIRE" in told and "offhours ledger trust-clock" in told and "not now" in told, told
    machine.approach(berlin(friday, 19))
    machine.stays([there], STEADY + 8)
    shown = machine.says(1, "ledger", "trust-clock")
    assert "rule evenings, which does not fire before" in shown and "carried out before its time" in shown, shown
    machine.says(0, "ledger", "trust-clock", "--yes")
    machine.wait("the daemon's belief", lambda: "the clock and the ledger agree again" in machine.read("run.log"))
    machine.says(0, "status")
    monday = friday + timedelta(days=3)
    machine.approach(berlin(monday, 19))
    run = machine.ended("evenings", berlin(monday, 19))
    assert (run["trigger"], run["result"]) == ("schedule", "done"), run
    machine.expect([describe(run), there])
    return machine


# --- the clock jumps while requests wait: over the end of the off window, which is on Monday at seven ---

# More than are asked for at once.
MANY = 60


def many(bulk):
    return f"""
[tenant]
timezone = "Europe/Berlin"
bulk = {str(bulk).lower()}
[[group]]
id = "dev"
[[deployment]]
group = "dev"
id = "d"
count = {MANY}
configuration = "chat"
plan = "infer.s"
stop_after = "1s"
"""


def jump(name, timers, wire, bulk, is_waiting):
    """The clock shows Monday, ten past eight, as soon as `is_waiting`: from then on nothing may be asked for any more."""
    friday = a_friday()
    machine = Machine(name, berlin(friday, 18, 59, 55), EVENINGS, timers=timers, fleet=many(bulk), wire=wire)
    machine.wait("requests that wait", lambda: is_waiting(machine, wire))
    before = len(wire.stops_after(0))
    machine.set(berlin(friday + timedelta(days=3), 8, 10))
    jumped = time.monotonic()
    machine.say(f"jumps to Monday 08:10 when {before} stops have come")
    # What was held goes on when the clock has been another for some beats.
    time.sleep(3)
    wire.release()
    run = machine.ended("evenings", berlin(friday, 19))
    late = wire.stops_after(jumped)
    assert not late, f"{len(late)} stops came after the off window; the run is `{run['result']}`, {run['totals']['stopped']} stopped"
    assert before < MANY or run["totals"]["stopped"] < MANY, "nothing was left to ask for when the clock jumped"
    assert run["result"] != "done", describe(run)
    return machine


def singles(timers):
    """Single stops behind a slow API: sixteen are under way, and the others wait for their turn."""
    wire = Wire(holds=lambda request: request.method == "PATCH")
    seen = []

    def is_waiting(machine, wire):
        # No place is free once their number stays: nothing can be on its way to the wire when the clock jumps.
        seen.append(wire.held)
        return wire.held > 0 and len(seen) > 10 and len(set(seen[-10:])) == 1

    return jump("singles", timers, wire, False, is_waiting)


def pause(timers):
    """A bulk stop that AI Core puts off: it is repeated after the pause, or not at all."""
    first = lambda request: request.method == "PATCH" and len(request.wire.stops) == 1
    wire = Wire(answers=lambda request: (429, [("Retry-After", "5")]) if first(request) else None)
    return jump("pause", timers, wire, True, lambda machine, wire: wire.stops)


def renewed(timers):
    """A stop whose token is not taken any more: it is repeated with a new one, or not at all."""
    first = lambda request: request.method == "PATCH" and len(request.wire.stops) == 1
    wire = Wire(
        answers=lambda request: (401, []) if first(request) else None,
        holds=lambda request: request.path.endswith("/oauth/token") and request.wire.stops,
    )
    return jump("renewed", timers, wire, True, lambda machine, wire: wire.held)


def listing(timers):
    """A list that comes late: nothing is asked for at all."""
    wire = Wire(holds=lambda request: request.path.endswith("/lm/deployments") and request.method == "GET")
    return jump("listing", timers, wire, True, lambda machine, wire: wire.held)


SCENARIOS = (spring, autumn, asleep, late, back, epoch, glitch, ahead, singles, pause, renewed, listing)
# With timers that run on only: where all clocks jump nobody can tell it from time that passes.
ONE_WAY = (glitch, ahead)


def main():
    wanted = [play for play in SCENARIOS if not sys.argv[3:] or play.__name__ in sys.argv[3:]]
    failures = {}

    def play(scenario, timers):
        name = scenario.__name__ + (" +timers" if timers else "")
        try:
            scenario(timers)
            print(f"{name:>16}          holds", flush=True)
        except BaseException as failure:
            failures[name] = failure

    threads = [
        threading.Thread(target=play, args=(scenario, timers), daemon=True)
        for scenario in wanted
        for timers in ((False,) if scenario in ONE_WAY else (False, True))
    ]
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
