//! A daemon's ordinary life: firing, reloading, ending, and not being alone.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use offhours::domain::run::{RunResult, Trigger};
use offhours::simulator::Fault;

use crate::process::bench::{Bench, another_second, fires_at, fires_soon, fleet, idle_rule, now};

#[test]
fn it_fires_when_its_time_comes_stops_what_it_should_and_mails_once() {
    let bench = Bench::new(fleet(3), &fires_soon("evening"));
    let daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.trigger, run.tally().stopped), (RunResult::Done, Trigger::Schedule, 3));
    assert_eq!(bench.asked(), ["d001", "d002", "d003"]);
    assert!(daemon.ends().success());
    assert_eq!(bench.outbox().len(), 1);
    bench.judge();
}

#[test]
fn p09_a_good_reload_is_used_and_a_bad_one_changes_nothing() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let mut daemon = bench.daemon();
    bench.write("schedules/rules.toml", "[[rule]]\nname = \"evening\"\nstop = \"0 25 * * *\"\n");
    daemon.signal("HUP");
    daemon.waits_for_log("configuration rejected, the old one stays in force");
    daemon.waits_for_log("rules.toml:3:8: ");
    assert!(daemon.is_up());
    bench.write("schedules/rules.toml", &fires_soon("other"));
    daemon.signal("HUP");
    daemon.waits_for_log("configuration reloaded: 1 rules");
    assert_eq!(bench.waits_for_run().firing.rule.as_str(), "other");
    bench.judge();
}

#[test]
fn p09_a_run_under_way_ends_as_it_began_although_its_rule_is_gone() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.stays_stopping();
    let daemon = bench.daemon();
    bench.waits_for_patch();
    bench.write("schedules/rules.toml", &idle_rule("other"));
    daemon.signal("HUP");
    daemon.waits_for_log("configuration reloaded: 1 rules");
    assert_eq!(bench.open_runs(), 1, "it has not ended yet");
    bench.simulator.heal();
    let run = bench.waits_for_run();
    assert_eq!((run.firing.rule.as_str(), run.result, run.tally().stopped), ("evening", RunResult::Done, 2));
    bench.judge();
}

#[test]
fn p08_sigterm_in_the_middle_of_a_run_interrupts_it_and_the_next_start_finishes_it() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.stays_stopping();
    let daemon = bench.daemon();
    bench.waits_for_patch();
    let asked_to_end = Instant::now();
    assert!(daemon.ends().success());
    assert!(asked_to_end.elapsed() < Duration::from_secs(20));
    assert_eq!(bench.history().iter().map(|run| run.result).collect::<Vec<_>>(), [RunResult::Interrupted]);
    assert!(bench.mails().is_empty(), "it has not ended yet");

    bench.simulator.heal();
    let _daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.resumed, run.tally().stopped), (RunResult::Done, true, 2));
    assert_eq!(bench.asked(), ["d001", "d002"], "nothing was asked for again");
    assert_eq!((bench.history().len(), bench.outbox().len()), (1, 1));
    bench.judge();
}

/// Who reads the log at night wants to know since when, not every half minute that it still is.
#[test]
fn an_outage_while_stops_are_awaited_is_said_once_and_so_is_its_end() {
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    bench.stays_stopping();
    let daemon = bench.daemon();
    bench.waits_for_patch();
    bench.simulator.heal();
    bench.simulator.inject(Fault::on("GET", "/deployments").always().answers(403));
    bench.waits_for_request("three looks in vain", 3, |entry| entry.status == Some(403));
    bench.simulator.heal();
    let run = bench.waits_for_run();
    assert_eq!((run.result, run.tally().stopped), (RunResult::Done, 1));
    let log = daemon.log();
    assert_eq!(log.matches("could not look whether the deployments of dev-a stopped").count(), 1, "{log}");
    assert_eq!(log.matches("the deployments of dev-a can be seen again").count(), 1, "{log}");
    bench.judge();
}

#[test]
fn p08_sigterm_while_the_tenant_is_silent_ends_within_twenty_seconds_and_asks_for_nothing_more() {
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    bench.simulator.inject(Fault::on("GET", "/deployments").always().hangs());
    let daemon = bench.daemon();
    bench.waits_for_request("a list", 1, |entry| entry.target.contains("/lm/deployments"));
    let asked_to_end = Instant::now();
    assert!(daemon.ends().success());
    assert!(asked_to_end.elapsed() < Duration::from_secs(20), "{:?}", asked_to_end.elapsed());
    assert!(bench.asked().is_empty());
}

#[test]
fn p10_a_second_daemon_is_refused_and_told_who_is_there() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let daemon = bench.daemon();
    let said = bench.run(&["run"]).ends(75);
    assert!(said.err.contains(&format!("another offhours (pid {}, which uses `", daemon.child.id())));
}

/// Two hosts know nothing of each other: here they share their files, but not the state directory.
#[test]
fn p10_two_hosts_with_the_same_rules_stop_each_deployment_once_and_both_mail() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    bench.run(&["fire", "evening"]).ends(0);
    let main = std::fs::read_to_string(bench.path("offhours.toml")).unwrap();
    bench.write("offhours.toml", &main.replace("\"state\"", "\"state-of-the-other\""));
    bench.run(&["fire", "evening"]).ends(0);
    assert_eq!(bench.asked(), ["d001", "d002"]);
    assert_eq!(bench.outbox().len(), 2);
    bench.judge();
}

#[test]
fn p10_fire_beside_the_daemon_stops_each_deployment_once() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    bench.stays_stopping();
    let _daemon = bench.daemon();
    let mut first = bench.daemon_as(bench.command(&["fire", "evening"]));
    bench.waits_for_patch();
    another_second();
    let refused = bench.run(&["fire", "evening"]).ends(1);
    assert!(refused.err.contains("rule `evening` is already under way"), "{}", refused.err);
    bench.simulator.heal();
    assert!(first.waits_for_end().success());
    assert_eq!(bench.asked(), ["d001", "d002"]);
    bench.judge();
}

#[test]
fn p01_a_firing_that_came_due_while_nobody_was_there_is_caught_up_once() {
    let at = now() + TimeDelta::seconds(2);
    let bench = Bench::new(fleet(1), &fires_at("evening", at));
    bench.daemon().kill();
    crate::process::bench::waits_until("the firing's instant", || now() > at + TimeDelta::milliseconds(200));
    let _daemon = bench.daemon();
    assert_eq!(bench.waits_for_run().result, RunResult::Done);
    assert_eq!(bench.asked(), ["d001"]);
    bench.judge();
}
