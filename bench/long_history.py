"""Five years of nightly runs over 200 deployments: what is asked of them, and how large they are."""

import sqlite3
from datetime import datetime, timedelta, timezone

from lib import OFFHOURS, RULE, Simulator, fleet, fresh, measure, median, site, verdict
from many_rules import start

NIGHTS = 5 * 365 + 1
DAY = 86_400_000

# The run of tonight, once for each night before it, all settled.
RUNS = """
WITH RECURSIVE night(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM night WHERE n < :nights)
INSERT INTO run (id, rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, finished_at, result, open, executor)
SELECT id + n, rule, :last - n * :day, connection, mode, 'schedule', :last - n * :day, :last - n * :day + :day / 2,
       :last - n * :day, :last - n * :day + 60000, result, 0, executor
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


def fill(path):
    """Five years of nights before tonight's run. Gives how many bytes a year takes."""
    before = path.stat().st_size
    ledger = sqlite3.connect(path)
    first, = ledger.execute("SELECT min(id) FROM run").fetchone()
    last = int(datetime.now(timezone.utc).replace(hour=18, minute=0, second=0, microsecond=0).timestamp() * 1000)
    values = {"nights": NIGHTS, "last": last, "day": DAY, "first": first}
    for text in [RUNS, DEPLOYMENTS, SETTLEMENTS]:
        ledger.execute(text, values)
    ledger.commit()
    ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    return (path.stat().st_size - before) / 5


def run(rounds):
    place = fresh("long-history")
    with Simulator(fleet(place, 10, 20, latency="1ms")) as simulator:
        config = site(place / "site", simulator.key, RULE.format(groups="dev-*"))
        measure([OFFHOURS, "fire", "all", "--config", config])
        year = fill(place / "site/state/ledger.sqlite3")
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
        good &= verdict("start", median([start(config) for _ in range(rounds)]), 1, unit=" s")
    print()
    return good
