"""1,000 resource groups of 100 deployments: one plan, one fire, and how both grow."""

from lib import OFFHOURS, RULE, Simulator, fleet, fresh, measure, median, site, table, verdict

DEPLOYMENTS, RUNNING = 100, 10


def once(groups):
    """A plan and a fire on so many groups. Of each 100 deployments 10 run, which is as many as one rule may stop."""
    place = fresh("big-tenant")
    path = fleet(place, groups, DEPLOYMENTS, stopped=DEPLOYMENTS - RUNNING, latency="0s")
    with Simulator(path) as simulator:
        config = site(place / "site", simulator.key, RULE.format(groups="dev-*"))
        plan = measure([OFFHOURS, "plan", "--config", config])
        fire = measure([OFFHOURS, "fire", "all", "--config", config])
    assert f"{groups * RUNNING} " in fire.out.replace(",", "").replace("\u202f", ""), fire.out[-500:]
    return plan, fire


def run(rounds):
    print(f"big tenant: groups of {DEPLOYMENTS} deployments, {RUNNING} of them RUNNING; medians of {rounds}\n")
    rows, found = [], {}
    for groups in [125, 250, 500, 1000]:
        all_of = [once(groups) for _ in range(rounds)]
        cells = []
        for index, name in enumerate(["plan", "fire"]):
            one = {what: median([getattr(each[index], what) for each in all_of]) for what in ["wall", "cpu", "memory"]}
            found[name, groups] = one
            cells += [f"{one['wall']:.2f} s", f"{one['cpu']:.2f} s", f"{one['memory']:.0f} MiB"]
        rows.append([f"{groups * DEPLOYMENTS:,}", *cells])
    table(["deployments", "plan", "CPU", "memory", "fire", "CPU", "memory"], rows)
    good = True
    for name in ["plan", "fire"]:
        good &= verdict(f"{name} of 100,000, peak memory", found[name, 1000]["memory"], 120, unit=" MiB")
        growth = (found[name, 1000]["cpu"] - found[name, 500]["cpu"]) / (found[name, 500]["cpu"] - found[name, 250]["cpu"])
        good &= verdict(f"{name}: CPU of the second 50,000 to that of the 25,000 before", growth, 2.5, unit=" x")
    print()
    return good
