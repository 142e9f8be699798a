"""1,000 resource groups of 100 deployments, with the mail on and in the memory that the unit allows: a plan, a fire, both
as JSON, and how they grow."""

from lib import ENOUGH, MAIL, OFFHOURS, RULE, Bounds, Simulator, fleet, fresh, measure, median, site, table, verdict

DEPLOYMENTS, RUNNING = 100, 10
COMMANDS = {"plan": ["plan"], "plan --json": ["plan", "--json"], "fire": ["fire", "all"], "fire --json": ["fire", "all", "--json"]}


def once(groups):
    """Each command on so many groups. Of each 100 deployments 10 run, which is as many as one rule may stop."""
    found = {}
    # What was fired is off: each fire gets a tenant of its own.
    for names in [["plan", "plan --json", "fire"], ["fire --json"]]:
        place = fresh("big-tenant")
        path = fleet(place, groups, DEPLOYMENTS, stopped=DEPLOYMENTS - RUNNING, latency="0s")
        with Simulator(path) as simulator:
            config = site(place / "site", simulator.key, RULE.format(groups="dev-*"), config=MAIL)
            for name in names:
                with Bounds() as bounds:
                    found[name] = measure([OFFHOURS, *COMMANDS[name], "--config", config], within=bounds, keep=name == "fire")
        mails = list((place / "site/mails").glob("*.eml"))
        assert len(mails) == 1, f"{len(mails)} mails"
    assert f"{groups * RUNNING} " in found["fire"].out.replace(",", ""), found["fire"].out[-500:]
    return found


def run(rounds):
    print(f"big tenant: groups of {DEPLOYMENTS} deployments, {RUNNING} of them RUNNING; medians of {rounds}; {Bounds.said()}\n")
    rows, found = [], {}
    for groups in [125, 250, 500, 1000]:
        all_of = [once(groups) for _ in range(rounds)]
        for name in COMMANDS:
            one = {what: median([getattr(each[name], what) for each in all_of]) for what in ["wall", "cpu", "memory"]}
            # The largest peak is what a limit knows.
            one["memory"] = max(each[name].memory for each in all_of)
            found[name, groups] = one
            rows.append([f"{groups * DEPLOYMENTS:,}", name, f"{one['wall']:.2f} s", f"{one['cpu']:.2f} s", f"{one['memory']:.0f} MiB"])
    table(["deployments", "command", "wall", "CPU", "peak memory"], rows)
    good = True
    for name in COMMANDS:
        good &= verdict(f"{name} of 100,000, peak memory", found[name, 1000]["memory"], ENOUGH, unit=" MiB")
    for name in ["plan", "fire"]:
        growth = (found[name, 1000]["cpu"] - found[name, 500]["cpu"]) / (found[name, 500]["cpu"] - found[name, 250]["cpu"])
        good &= verdict(f"{name}: CPU of the second 50,000 to that of the 25,000 before", growth, 2.5, unit=" x")
    print()
    return good
