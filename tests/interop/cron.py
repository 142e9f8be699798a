"""Compares the instants of offhours with those of cronsim, an independent implementation of Debian cron's rules.

usage: cron.py --answers examples/next --program offhours [--cases N] [--commands N] [--seed S]

The difference in dialect that is left is not excluded but translated: offhours counts an expression as fixed-time
where minute and hour are numbers or lists of numbers, Debian cron where neither begins with a star. cronsim is asked
for the wall-clock rule by giving it seconds (its six-field form), for the fixed-time rule by leaving them out.

Where the two differ, the rule itself is asked about the first instant in question, minute by minute; cronsim is known
to answer with times that no clock shows (a skipped midnight) or to jump over some (clocks that change by half an hour).
A difference in which offhours is the one that breaks the rule is a failure.
"""

import argparse
import collections
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import warnings
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

UTC = timezone.utc
# Seconds that cronsim is given for one answer.
PATIENCE = 2
FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
ZONES = """UTC Europe/Berlin Europe/Dublin Europe/London Europe/Lisbon Europe/Chisinau Europe/Istanbul Africa/Cairo
Africa/Casablanca Africa/El_Aaiun Asia/Beirut Asia/Gaza Asia/Jerusalem Asia/Kolkata Asia/Kathmandu Asia/Tokyo
America/New_York America/St_Johns America/Vancouver America/Havana America/Santiago America/Asuncion America/Nuuk
America/Scoresbysund America/Miquelon Antarctica/Troll Australia/Lord_Howe Australia/Adelaide Australia/Sydney
Pacific/Apia Pacific/Auckland Pacific/Chatham Pacific/Easter Pacific/Norfolk""".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


def offset(zone, at):
    return at.astimezone(zone).utcoffset()


def changes(zone):
    """The instants from which another offset holds."""
    found, at, step = [], FIRST, timedelta(hours=6)
    while at < LAST:
        if offset(zone, at) != offset(zone, at + step):
            low, high = at, at + step
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (middle, high) if offset(zone, middle) == offset(zone, at) else (low, middle)
            found.append(high)
        at += step
    return found


# --- random expressions -------------------------------------------------------------------------------------------


class Random(random.Random):
    def one(self, weighted):
        return self.choices([make for _, make in weighted], [weight for weight, _ in weighted])[0]()

    def span(self, low, high):
        first = self.randint(low, high)
        return first, self.randint(first, high)

    def case(self, text):
        return self.choice([text, text, text.lower(), text.title()])

    def clock_field(self, high, number):
        listed = lambda: ",".join(str(n) for n in self.sample(range(high + 1), self.randint(2, 4)))
        near = lambda: ",".join(str(number()) for _ in range(self.randint(2, 4)))
        ranged = lambda: "{}-{}".format(*self.span(0, high))
        return self.one(
            [
                (34, lambda: str(number())),
                (8, near),
                (8, listed),
                (12, lambda: "*"),
                (14, lambda: f"*/{self.randint(1, high)}"),
                (9, ranged),
                # `9-9/4` is 9 for Debian cron and for offhours; cronsim goes on from there.
                (9, lambda: f"{{}}-{{}}/{self.randint(1, high // 2)}".format(*sorted(self.sample(range(high + 1), 2)))),
                (6, lambda: f"{number()},{ranged()}"),
            ]
        )

    def day(self):
        return self.one(
            [
                (66, lambda: "*"),
                (8, lambda: str(self.randint(1, 31))),
                (6, lambda: "L"),
                (3, lambda: "LW"),
                (3, lambda: f"{self.randint(1, 28)},L"),
                (5, lambda: ",".join(str(n) for n in self.sample(range(1, 32), 3))),
                (4, lambda: "{}-{}".format(*self.span(1, 31))),
                (5, lambda: f"*/{self.randint(2, 15)}"),
            ]
        )

    def month(self):
        name = lambda n: self.case(MONTHS[n - 1])
        return self.one(
            [
                (70, lambda: "*"),
                (8, lambda: str(self.randint(1, 12))),
                (6, lambda: name(self.randint(1, 12))),
                (4, lambda: "{}-{}".format(*self.span(1, 12))),
                (4, lambda: "-".join(name(n) for n in self.span(1, 12))),
                (4, lambda: ",".join(str(n) for n in self.sample(range(1, 13), 3))),
                (4, lambda: f"*/{self.randint(2, 6)}"),
            ]
        )

    def weekday(self):
        name = lambda n: self.case(DAYS[n])
        return self.one(
            [
                (50, lambda: "*"),
                (8, lambda: str(self.randint(0, 7))),
                (6, lambda: name(self.randint(0, 6))),
                (10, lambda: "-".join(name(n) for n in self.span(0, 6))),
                (5, lambda: "{}-{}".format(*self.span(0, 7))),
                (5, lambda: ",".join(name(n) for n in self.sample(range(7), 2))),
                (3, lambda: f"*/{self.randint(2, 5)}"),
                (8, lambda: f"{self.choice([name(self.randint(0, 6)), self.randint(0, 7)])}#{self.randint(1, 5)}"),
                (5, lambda: f"{self.randint(0, 7)}L"),
            ]
        )

    def seconds(self):
        return self.one(
            [
                (4, lambda: "0"),
                (2, lambda: str(self.randint(0, 59))),
                (2, lambda: f"*/{self.randint(7, 59)}"),
                (1, lambda: ",".join(str(n) for n in self.sample(range(60), 2))),
            ]
        )


def question(rng, zones):
    name = rng.choice(list(zones))
    if zones[name] and rng.random() < 0.8:
        hours = rng.choice([(-3, 3), (-30, 26)])
        from_ = rng.choice(zones[name]) + timedelta(seconds=rng.randint(hours[0] * 3600, hours[1] * 3600))
    else:
        from_ = FIRST + timedelta(seconds=rng.randint(0, int((LAST - FIRST).total_seconds())))
    from_ = rng.choice([from_, from_.replace(second=0), from_.replace(minute=rng.choice([0, 30]), second=0)])
    hour = lambda: rng.choice([0, 0, 1, 1, 2, 2, 2, 3, 3, 23, rng.randint(0, 23)])
    minute = lambda: rng.choice([0, 0, 15, 30, 30, 45, 59, rng.randint(0, 59)])
    fields = [rng.clock_field(59, minute), rng.clock_field(23, hour), rng.day(), rng.month(), rng.weekday()]
    if rng.random() < 0.12:
        # cronsim's six fields always follow the wall clock, so fixed times keep second 0.
        fields.insert(0, "0" if fixed_time(fields) else rng.seconds())
    count = rng.randint(2, 6)
    return {"cron": " ".join(fields), "timezone": name, "from": stamp(from_), "count": count}


def fixed_time(fields):
    minute, hour = fields[-5:-3]
    return all(part.isdigit() for field in (minute, hour) for part in field.split(","))


def stamp(at):
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the reference ------------------------------------------------------------------------------------------------


class Reference:
    def __init__(self, cron, zone):
        fields = cron.split()
        self.zone = zone
        self.fixed = fixed_time(fields)
        five, six = " ".join(fields[-5:]), " ".join(fields if len(fields) == 6 else ["0", *fields])
        # A star in front, without effect on what matches, would make cronsim take the expression for a wildcard one.
        self.text = five if self.fixed else six
        self.fields = CronSim(six, datetime(2024, 1, 1))

    def after(self, from_, count):
        """cronsim's answer, each instant once."""
        # For fixed times cronsim forgets which of two 02:30 it starts from; starting earlier makes up for it.
        start = from_ - timedelta(hours=49) if self.fixed else from_
        simulation, found = CronSim(self.text, start.astimezone(self.zone)), []
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            for at in simulation:
                at = at.astimezone(UTC)
                if at > from_ and (not found or at > found[-1]):
                    found.append(at)
                if len(found) == count:
                    break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return found

    def happens_at(self, at):
        """The rule itself, for one instant."""
        wall = at.astimezone(self.zone)
        if not self.fixed:
            return self.matches(wall)
        if wall.fold == 0 and self.matches(wall):
            return True
        # Right after a gap, what lies in the gap happens.
        before = at - timedelta(seconds=1)
        gap = offset(self.zone, at) - offset(self.zone, before)
        skipped = (wall - timedelta(minutes=n) for n in range(1, int(gap.total_seconds()) // 60 + 1))
        return any(self.matches(time) for time in skipped)

    def matches(self, wall):
        f = self.fields
        return (
            wall.second in f.seconds
            and wall.minute in f.minutes
            and wall.hour in f.hours
            and wall.month in f.months
            and f.match_day(wall.date())
        )


def compare(asked, answer, tally):
    """None where both agree, or a sentence."""
    zone, from_ = ZoneInfo(asked["timezone"]), datetime.fromisoformat(asked["from"].replace("Z", "+00:00"))
    try:
        reference = Reference(asked["cron"], zone)
        theirs = reference.after(from_, asked["count"])
    except CronSimError:
        theirs = []
    except (OverflowError, TimeoutError):
        # In some zones it walks hour by hour past what it looks for, to the end of Python's calendar.
        tally["cronsim never answered"] += 1
        return None
    if "error" in answer:
        tally["refused by both"] += not theirs
        return None if not theirs else f"refused ({answer['error']}), cronsim: {[stamp(at) for at in theirs]}"
    ours = [datetime.fromisoformat(at.replace("Z", "+00:00")) for at in answer["instants"]]
    tally["fixed-time" if reference.fixed else "wall clock"] += 1
    while ours != theirs:
        # cronsim gives up after 50 years.
        if theirs == ours[: len(theirs)] and ours[len(theirs)].year >= from_.year + 49:
            break
        at = next(
            min(times)
            for n in range(max(len(ours), len(theirs)))
            if len(set(times := [*ours[n : n + 1], *theirs[n : n + 1]])) > 1 or len(times) == 1
        )
        if (at in ours) != reference.happens_at(at) or at <= from_:
            return f"{[stamp(at) for at in ours]}, cronsim: {[stamp(at) for at in theirs]}"
        tally["cronsim's own faults"] += 1
        tally[f"  of them in {asked['timezone']}"] += 1
        # Both go on from there.
        ours = [other for other in ours if other > at]
        try:
            theirs = reference.after(at, len(ours))
        except (OverflowError, TimeoutError):
            tally["cronsim never answered"] += 1
            return None
    tally["instants"] += len(answer["instants"])
    return None


def out_of_patience(*_):
    raise TimeoutError


def compare_some(pairs):
    signal.signal(signal.SIGALRM, out_of_patience)
    tally = collections.Counter()
    found = [(asked, failure) for asked, answer in pairs if (failure := compare(asked, answer, tally))]
    return tally, found


def chunks(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


def ask_all(program, questions):
    lines = "".join(json.dumps(one) + "\n" for one in questions)
    run = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def ask_command(program, asked):
    command = [program, "next", asked["cron"], "--timezone", asked["timezone"], "--from", asked["from"]]
    run = subprocess.run([*command, "--count", str(asked["count"]), "--json"], capture_output=True, text=True)
    return {"instants": json.loads(run.stdout)} if run.returncode == 0 else {"error": run.stderr.strip()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--commands", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    rng = Random(args.seed)
    zones = {name: changes(ZoneInfo(name)) for name in ZONES}
    print(f"seed {args.seed}: {len(zones)} zones, {sum(map(len, zones.values()))} clock changes in 2024 to 2040")
    questions = [question(rng, zones) for _ in range(args.cases)]
    answers = ask_all(args.answers, questions)
    assert len(answers) == len(questions)

    tally, failures = collections.Counter(), []
    with multiprocessing.Pool() as pool:
        for counted, found in pool.imap_unordered(compare_some, chunks(list(zip(questions, answers)), 200)):
            tally.update(counted)
            failures.extend(found)
    # And the command itself, which must say the same.
    for n in rng.sample(range(len(questions)), min(args.commands, len(questions))):
        said = ask_command(args.program, questions[n])
        if said.get("instants") != answers[n].get("instants"):
            failures.append((questions[n], f"`offhours next` says {said}, the library {answers[n]}"))
        tally["asked through the command"] += 1

    for what, number in tally.items():
        print(f"{number:>8} {what}")
    for asked, failure in failures[:20]:
        print(f"DISAGREEMENT on {json.dumps(asked)}\n    {failure}")
    print(f"{len(questions)} cases, {len(failures)} disagreements")
    return 1 if failures else 0


sys.exit(main())
