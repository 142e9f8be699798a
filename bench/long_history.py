"""Five years of nightly runs over 200 deployments: what is asked of them, and how large they are. Then a year of nights of
1,000: its report and history in the memory that the unit allows, mailed to 50 with attachments, while a rule comes due."""

import sqlite3
import subprocess
import time
from datetime import datetime, timedelta, timezone

from lib import ENOUGH, OFFHOURS, RULE, Bounds, Simulator, fleet, fresh, measure, median, site, verdict
from many_rules import start
from small import memory

NIGHTS = 5 * 365 + 1
YEAR, LARGE = 365, 1_000
RECIPIENTS = 50
DAY = 86_400_000

# The run of tonight, once for each night before it, all settled.
RUNS = """
WITH RECURSIVE night(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM night WHERE n < :nights)
INSERT INTO run (id, rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, finished_at, result, open, executor)
SELECT id + n, rule, :last - n * :apart, connection, mode, 'schedule', :last - n * :apart, :last - n * :apart + :apart / 2,
       :last - n * :apart, :last - n * :apart + 60000, result, 0, executor
FROM run, night WHERE id = :first
"""
DEPLOYMENTS = """
INSERT INTO deployment (run, resource_group, id, configuration_id, configuration_name, scenario_id, outcome, reason, requested_at, confirmed_at,
    nodes, node_count, charge, charge_note, capacity_units_per_hour, price, currency, price_source, price_valid_from,
    avoided_from, avoided_to, node_hours, capacity_units, cost, state, seen_at)
SELECT run.id, resource_group, d.id || '-' || (run.id % 97), configuration_id, configuration_name, scenario_id, 'stopped', '', started_at, started_at + 40000,
    nodes, node_count, charge, charge_note, capacity_units_per_hour, price, currency, price_source, price_valid_from,
    started_at + 40000, window_to, '11.989', '10.790', '10.25', 'projected', started_at + 40000
FROM run, deployment d WHERE d.run = :first AND run.id > :first
"""
SETTLEMENTS = """
INSERT INTO settlement (run, resource_group, id, settled_at, ended_by, avoided_from, avoided_to, node_hours, capacity_units, cost, state)
SELECT run, resource_group, d.id, window_to, 'window-end', avoided_from, avoided_to, node_hours, capacity_units, cost, 'settled'
FROM deployment d JOIN run ON run.id = run WHERE run > :first
"""


def fill(path, nights, last, apart=DAY):
    """So many nights before `last`, each as tonight's run. Gives how many bytes they take."""
    before = path.stat().st_size
    ledger = sqlite3.connect(path)
    first, = ledger.execute("SELECT min(id) FROM run").fetchone()
    values = {"nights": nights, "last": milliseconds(last), "apart": apart, "first": first}
    for text in [RUNS, DEPLOYMENTS, SETTLEMENTS]:
        ledger.execute(text, values)
    ledger.commit()
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    return path.stat().st_size - before


def milliseconds(at):
    return int(at.timestamp() * 1000)


def tonight():
    return datetime.now(timezone.utc).replace(hour=18, minute=0, second=0, microsecond=0)


def five_years(rounds):
    place = fresh("long-history")
    with Simulator(fleet(place, 10, 20, latency="1ms")) as simulator:
        config = site(place / "site", simulator.key, RULE.format(groups="dev-*"))
        measure([OFFHOURS, "fire", "all", "--config", config])
        year = fill(place / "site/state/ledger.sqlite3", NIGHTS, tonight()) / 5
        print(f"long history: {NIGHTS} nights of 200 deployments, {year / 1e6:.0f} MB a year; medians of {rounds}\n")
        week = (datetime.now(timezone.utc) - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
        commands = {
            "history": (["history"], 50),
            "history --since, a week": (["history", "--since", week], 50),
            "status": (["status"], 50),
            "report --period last-month": (["report", "--period", "last-month"], 200),
        }
        good = True
        for name, (words, limit) in commands.items():
            all_of = [measure([OFFHOURS, *words, "--config", config]) for _ in range(rounds + 1)][1:]
            took = median([one.wall for one in all_of]) * 1000
            good &= verdict(f"{name} ({median([one.memory for one in all_of]):.0f} MiB)", took, limit, unit=" ms")
        with Bounds() as bounds:
            whole = measure([OFFHOURS, "history", "--json", "--since", "2000-01-01T00:00:00Z", "--config", config], within=bounds, keep=False)
        good &= verdict(f"history --json of all of it ({whole.wall:.1f} s), peak memory", whole.memory, ENOUGH, unit=" MiB")
        good &= verdict("start", median([start(config) for _ in range(rounds)]), 1, unit=" s")
    print()
    return good


def mail():
    to = ", ".join(f'"reader-{n}@example.com"' for n in range(RECIPIENTS))
    return f'[mail]\nfrom = "offhours@example.com"\ndirectory = "mails"\nto = [{to}]\n'


def a_year():
    """Each form of a year's report, and the report as a mail to all recipients."""
    place = fresh("year")
    print(f"a year of {LARGE:,} deployments a night, {YEAR * LARGE:,} rows; {Bounds.said()}\n")
    with Simulator(fleet(place, 50, LARGE // 50, latency="1ms")) as simulator:
        config = site(place / "site", simulator.key, RULE.format(groups="dev-*"), config=mail())
        measure([OFFHOURS, "fire", "all", "--config", config])
        fill(place / "site/state/ledger.sqlite3", YEAR, tonight())
        days = f"{(tonight() - timedelta(days=YEAR)).date()}..{(tonight() - timedelta(days=1)).date()}"
        commands = {form: ["report", "--period", days, "--format", form, "--output", str(place / form)] for form in ["text", "csv", "json"]}
        commands[f"--mail, to {RECIPIENTS}"] = ["report", "--period", days, "--mail"]
        good = True
        for name, words in commands.items():
            with Bounds() as bounds:
                took = measure([OFFHOURS, *words, "--config", config], within=bounds)
            good &= verdict(f"report {name} ({took.wall:.1f} s), peak memory", took.memory, ENOUGH, unit=" MiB")
        rows = sum(1 for _ in open(place / "csv", newline="")) - 1
        good &= verdict("rows of its CSV", rows, YEAR * LARGE, at_most=False)
        good &= verdict("mails", len(list((place / "site/mails").glob("*.eml"))), RECIPIENTS, at_most=False)
    print()
    return good


def a_daemon():
    """As many rows in one month: the daemon mails their report with attachments, and a rule comes due meanwhile."""
    place = fresh("year")
    now = datetime.now(timezone.utc)
    last_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    due = now - timedelta(hours=2)
    report = f'[[report]]\nname = "monthly"\ncron = "{due.minute} {due.hour} * * *"\ntimezone = "UTC"\nperiod = "last-month"\nattach = ["csv", "json", "html"]\n'
    soon = RULE.format(groups="dev-0000")
    with Simulator(fleet(place, 50, LARGE // 50, latency="1ms")) as simulator:
        config = site(place / "site", simulator.key, RULE.format(groups="dev-*"), config=mail() + report)
        measure([OFFHOURS, "fire", "all", "--config", config])
        ledger = place / "site/state/ledger.sqlite3"
        # Twelve runs a day, so that the rows of a year are those of a month.
        fill(ledger, YEAR, last_month, apart=DAY // 13)
        with sqlite3.connect(ledger) as raw:
            raw.execute("INSERT INTO announced VALUES ('report', 'monthly', ?)", [milliseconds(now - timedelta(days=1))])
        raw.close()
        at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=4)
        rules = place / "site/schedules/soon.toml"
        rules.write_text(soon.replace('"all"', '"soon"').replace("0 19 * * *", f"{at.second} {at.minute} {at.hour} * * *").replace("[[rule]]", '[[rule]]\ntimezone = "UTC"'))
        with Bounds() as bounds, open(place / "log", "w") as log:
            daemon = subprocess.Popen([*bounds.wrapper, OFFHOURS, "run", "--config", config], stderr=log, preexec_fn=bounds.enter)
            try:
                began = time.monotonic()
                while "report monthly of" not in (place / "log").read_text():
                    assert daemon.poll() is None and time.monotonic() - began < 600, (place / "log").read_text()[-2000:]
                    time.sleep(0.2)
                took, peak = time.monotonic() - began, memory(daemon.pid, "VmHWM")
            finally:
                daemon.terminate()
                daemon.wait()
        with sqlite3.connect(ledger) as raw:
            late = raw.execute("SELECT started_at - scheduled_at FROM run WHERE rule = 'soon'").fetchone()
            count, = raw.execute("SELECT count(*) FROM mail WHERE subject LIKE '% avoided %'").fetchone()
        raw.close()
        good = verdict(f"the daemon with the report of {YEAR * LARGE:,} rows to {RECIPIENTS} ({took:.1f} s), peak memory", peak, ENOUGH, unit=" MiB")
        good &= verdict("a rule that came due meanwhile, late by", late[0] / 1000 if late else 1e9, 2, unit=" s")
        print(f"     {count} mails in the outbox\n")
    return good


def run(rounds):
    return all([five_years(rounds), a_year(), a_daemon()])
