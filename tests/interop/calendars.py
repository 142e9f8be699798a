"""Compares the days that offhours reads from iCalendar files with those of dateutil, an independent implementation of
RFC 5545's repetitions.

usage: calendars.py --program offhours --directory DIR [--files N] [--seed S]

Each file holds random events: whole days once, over several days, written as midnights, with DURATION, repeated yearly,
monthly, weekly and daily in many ways, with dates added, left out and moved, among meetings that take no day. A
difference in any day of any event is a failure.
"""

import argparse
import json
import random
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

from dateutil.rrule import rrulestr

FIRST, LAST = 2024, 2045
DAYS = "MO TU WE TH FR SA SU".split()
EVENTS = 30


def midnight(day):
    return datetime(day.year, day.month, day.day)


def written(day):
    return day.strftime("%Y%m%d")


def random_rule(random):
    """A rule that says nothing of when it ends."""
    nth = lambda: random.choice(["1", "2", "3", "4", "-1", "-2"]) + random.choice(DAYS)
    weekdays = lambda: ",".join(random.sample(DAYS, random.randint(1, 3)))
    month = lambda: f"BYMONTH={random.randint(1, 12)}"
    return random.choice(
        [
            lambda: "FREQ=YEARLY",
            lambda: f"FREQ=YEARLY;INTERVAL={random.randint(1, 4)}",
            lambda: f"FREQ=YEARLY;{month()};BYDAY={nth()}",
            lambda: f"FREQ=YEARLY;{month()};BYMONTHDAY={random.choice([1, 6, 15, 25, 29, 30, 31, -1])}",
            lambda: f"FREQ=YEARLY;{month()};BYMONTHDAY=20,21,22,23,24,25,26;BYDAY={random.choice(DAYS)}",
            lambda: f"FREQ=YEARLY;BYYEARDAY={random.choice([1, 100, 256, 366, -1, -100])}",
            lambda: f"FREQ=YEARLY;BYWEEKNO={random.randint(1, 53)};BYDAY={random.choice(DAYS)}",
            lambda: f"FREQ=YEARLY;{month()};BYDAY=MO,TU,WE,TH,FR;BYSETPOS={random.choice([1, -1, 3])}",
            lambda: f"FREQ=MONTHLY;BYDAY={nth()}",
            lambda: f"FREQ=MONTHLY;BYMONTHDAY={random.choice([1, 15, 31, -1])}",
            lambda: f"FREQ=MONTHLY;INTERVAL={random.randint(1, 5)};BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            lambda: f"FREQ=WEEKLY;INTERVAL={random.randint(1, 3)};WKST={random.choice(['MO', 'SU'])};BYDAY={weekdays()}",
            lambda: f"FREQ=DAILY;INTERVAL={random.randint(5, 400)}",
        ]
    )()


class Event:
    """A random event: its lines, and its days by dateutil."""

    def __init__(self, random, name):
        self.name, self.days, self.is_meeting = name, set(), random.random() < 0.1
        start = date(random.randint(2018, 2040), 1, 1) + timedelta(random.randrange(366))
        length = random.choice([1, 1, 1, 1, 2, 3])
        rule, starts = None, [start]
        if random.random() < 0.7:
            rule = random_rule(random)
            # An event on another day than its rule's is a fault of its own.
            found = rrulestr(rule, dtstart=midnight(start)).after(midnight(start), inc=True)
            start = found.date() if found and found.year <= LAST else start
            end = random.choice(["", "", f";COUNT={random.randint(1, 40)}", f";UNTIL={random.randint(start.year + 1, 2046)}0701"])
            if found and found.date() == start:
                rule += end
                last = datetime(LAST, 12, 31)
                every = rrulestr(rule, dtstart=midnight(start)).between(midnight(start), last, inc=True)
                starts = [day.date() for day in every]
            else:
                rule, starts = None, [start]
        self.lines = self.times(random, start, length) + ([f"RRULE:{rule}"] if rule else [])
        if self.is_meeting:
            return
        starts = {day for day in starts if not rule or FIRST <= day.year}
        if random.random() < 0.2:
            added = {start + timedelta(random.randint(1, 900)) for _ in range(3)}
            starts |= added
            self.lines.append("RDATE;VALUE=DATE:" + ",".join(map(written, sorted(added))))
        if random.random() < 0.3 and starts:
            without = set(random.sample(sorted(starts), min(len(starts), 2)))
            starts -= without
            self.lines.append("EXDATE:" + ",".join(f"{written(day)}T000000" for day in sorted(without)))
        self.moved = []
        if random.random() < 0.2 and rule and starts:
            away = random.choice(sorted(starts))
            starts.discard(away)
            to = away + timedelta(random.randint(-9, 9))
            self.moved = [f"RECURRENCE-ID;VALUE=DATE:{written(away)}", f"DTSTART;VALUE=DATE:{written(to)}"]
            self.days.add(to)
        self.days |= {day + timedelta(after) for day in starts for after in range(length)}

    def times(self, random, start, length):
        if self.is_meeting:
            return [f"DTSTART;TZID=Europe/Berlin:{written(start)}T0{random.randint(1, 9)}3000", "DURATION:PT1H"]
        end = start + timedelta(length)
        zone = random.choice(["", ";TZID=Asia/Kolkata"])
        return random.choice(
            [
                [f"DTSTART;VALUE=DATE:{written(start)}", f"DTEND;VALUE=DATE:{written(end)}"],
                [f"DTSTART;VALUE=DATE:{written(start)}", f"DURATION:P{length}D"],
                [f"DTSTART{zone}:{written(start)}T000000", f"DTEND{zone}:{written(end)}T000000"],
                [f"DTSTART{zone}:{written(start)}T000000", f"DURATION:PT{24 * length}H"],
            ]
        )

    def text(self):
        own = lambda lines: ["BEGIN:VEVENT", f"UID:{self.name}", f"SUMMARY:{self.name}", *lines, "END:VEVENT"]
        return own(self.lines) + (own(self.moved) if getattr(self, "moved", None) else [])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--directory", required=True, type=Path)
    arguments.add_argument("--files", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = arguments.parse_args()
    print(f"seed {arguments.seed}")
    dice = random.Random(arguments.seed)
    home = arguments.directory / "config"
    (home / "schedules").mkdir(parents=True)
    (home / "offhours.toml").write_text(
        'timezone = "UTC"\n[connection.dev]\nservice_key = "none.json"\n[calendars]\nall = "all.ics"\n'
    )
    (home / "schedules/rules.toml").write_text(
        '[[rule]]\nname = "r"\nmode = "observe"\nstop = "0 19 * * *"\nskip = "all"\n[rule.select]\nresource_groups = ["*"]\n'
    )
    command = [arguments.program, "--config", home / "offhours.toml", "check", "--no-secrets", "--json"]
    days = 0
    for _ in range(arguments.files):
        events = [Event(dice, f"event-{number:02}") for number in range(EVENTS)]
        lines = ["BEGIN:VCALENDAR", *(line for event in events for line in event.text()), "END:VCALENDAR"]
        (home / "all.ics").write_text("".join(f"{line}\r\n" for line in lines))
        said = subprocess.run(command, capture_output=True, text=True, env={"HOME": str(home)})
        if said.returncode != 0:
            sys.exit(f"refused:\n{said.stdout}{said.stderr}")
        read = {}
        for day in json.loads(said.stdout)["calendars"][0]["days"]:
            for name in day["name"].split(" / "):
                read.setdefault(name, set()).add(date.fromisoformat(day["date"]))
        for event in events:
            found = read.get(event.name, set())
            if found != event.days:
                more, less = sorted(found - event.days), sorted(event.days - found)
                lines = "\n".join(event.text())
                sys.exit(f"{lines}\nmore than dateutil: {more[:9]}\nless: {less[:9]}")
            days += len(found)
    print(f"{arguments.files * EVENTS} events, {days} days: all the same")


main()
