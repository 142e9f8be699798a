//! AI Core or the ledger is away for a while: the run tries again inside its off window, and the night is not lost.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use offhours::domain::run::{Outcome, RunResult};
use offhours::executor::progress::silent;
use offhours::simulator::{Entry, Fault, Fleet};

use crate::scenario::builder::Scenario;
use crate::scenario::fired::{Fired, words};
use crate::scenario::stage::Stage;

fn three_groups() -> Fleet {
    ["a", "b", "c"].into_iter().fold(Fleet::new(), |fleet, name| {
        fleet.group(&format!("dev-{name}")).running_many(&format!("d{name}"), 5, "infer.s")
    })
}

/// Fires while every request that `fault` strikes fails, until it is over after `outage`.
fn fire_through(mut stage: Stage, fault: Fault, outage: Duration) -> Fired {
    stage.simulator.inject(fault.always());
    let claimed = stage.claim();
    let executor = stage.executor();
    let runs = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let mend = async {
            executor.clock.pause(outage).await;
            stage.simulator.heal();
        };
        tokio::join!(work, mend).0
    });
    Fired { stage, runs }
}

#[test]
fn p21_an_outage_at_the_firing_does_not_cost_the_night() {
    for (method, path) in [("GET", ""), ("POST", "/oauth/token"), ("GET", "/lm/deployments"), ("PATCH", "")] {
        for outage in [12, 600, 7_000] {
            let faults = [Fault::on(method, path).answers(503), Fault::on(method, path).drops()];
            for fault in faults {
                let stage = Scenario::evenings().fleet(three_groups()).start();
                let fired = fire_through(stage, fault, Duration::from_secs(outage));
                fired.result("done");
                assert_eq!(fired.run().tally().stopped, 15, "{:#?}", words(fired.run()));
                assert_eq!(fired.stage.deliver(), 2, "one mail for each of two recipients, at the end");
                assert_eq!(fired.stage.history()[0], *fired.run(), "its tries are in the ledger");
                assert!(fired.run().tries.len() <= 30, "{} tries", fired.run().tries.len());
            }
        }
    }
}

#[test]
fn p21_after_a_quarter_of_the_off_window_nothing_more_is_tried() {
    let stage = Scenario::evenings().fleet(three_groups()).start();
    let fired = fire_through(stage, Fault::on("GET", "").answers(503), Duration::from_secs(200_000));
    fired.result("failed").because("unreachable").patches(0);
    let run = fired.run();
    let quarter = run.off_window.from + (run.off_window.to - run.off_window.from) / 4;
    assert!(run.finished_at <= quarter, "{} is after {quarter}", run.finished_at);
    assert!(run.finished_at >= quarter - TimeDelta::minutes(15));
    let pauses: Vec<_> = run.tries.windows(2).map(|two| (two[1].at - two[0].at).num_seconds()).collect();
    assert!(pauses[0] < 60 && pauses.iter().all(|pause| *pause <= 11 * 60), "{pauses:?}");
}

#[test]
fn p21_a_group_that_cannot_be_listed_for_a_while_is_stopped_later_and_the_others_at_once() {
    let stage = Scenario::evenings().fleet(three_groups()).start();
    let at = stage.at;
    let fault = Fault::on("GET", "/lm/deployments").group("dev-b").answers(503);
    let fired = fire_through(stage, fault, Duration::from_secs(900));
    fired.result("done");
    assert_eq!(fired.run().tally().stopped, 15);
    let asked = |group: &str| {
        let patches = fired.stage.patches();
        let of_group = |entry: &&Entry| entry.resource_group.as_deref() == Some(group);
        patches.iter().filter(of_group).map(|entry| entry.at - at).collect::<Vec<_>>()
    };
    assert!(asked("dev-a").iter().chain(&asked("dev-c")).all(|after| *after < TimeDelta::minutes(1)));
    assert!(asked("dev-b").iter().all(|after| *after >= TimeDelta::minutes(15)));
    assert_eq!(fired.stage.patches().len(), 3, "one request for each group");
    let ids = fired.stage.patched_ids();
    assert_eq!(ids.len(), 15, "no deployment is asked twice");
}

#[test]
fn p21_what_a_person_fires_is_tried_once_and_the_person_told() {
    let fault = Fault::on("GET", "").always().answers(503);
    let fired = Scenario::evenings().fleet(three_groups()).fault(fault).fire_by_hand("dev-evenings");
    fired.result("failed").because("unreachable").patches(0);
    assert!(fired.run().tries.is_empty());
}

#[test]
fn p21_what_a_person_has_to_put_right_is_not_tried_again() {
    for (path, status) in [("/oauth/token", 401), ("/lm/deployments", 403), ("/lm/deployments", 404)] {
        let method = if path == "/oauth/token" { "POST" } else { "GET" };
        let fired =
            Scenario::evenings().fleet(three_groups()).fault(Fault::on(method, path).always().answers(status)).fire();
        fired.result("failed").patches(0);
        assert!(fired.run().tries.is_empty(), "{path} {status}: {:?}", fired.run().tries);
    }
}

#[test]
fn p22_a_ledger_that_cannot_be_written_for_a_while_keeps_nothing_on() {
    let mut stage = Scenario::evenings().fleet(three_groups()).start();
    let claimed = stage.claim();
    let refuse = "CREATE TRIGGER locked BEFORE INSERT ON deployment WHEN new.resource_group = 'dev-b'
                  BEGIN SELECT RAISE(ABORT, 'database is locked'); END";
    stage.database().execute_batch(refuse).unwrap();
    let executor = stage.executor();
    let runs = stage.block_on(async {
        let mend = async {
            executor.clock.pause(Duration::from_secs(26)).await;
            stage.database().execute_batch("DROP TRIGGER locked").unwrap();
        };
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        tokio::join!(work, mend).0
    });
    let fired = Fired { stage, runs };
    fired.result("done");
    assert_eq!(fired.run().tally().stopped, 15);
    assert_eq!(fired.stage.patched_ids().len(), 15, "no deployment is asked twice");
}

#[test]
fn p23_a_resumed_run_waits_for_ai_core_like_any_other() {
    for outage in [10, 600] {
        let mut stage = Scenario::evenings().fleet(three_groups()).start();
        let patched = |simulator: &offhours::simulator::Simulator| {
            simulator.journal().iter().filter(|entry| entry.is_patch() && entry.status.is_some()).count() == 3
        };
        assert!(stage.die_when(patched).is_none());
        stage.simulator.inject(Fault::on("GET", "").always().answers(503));
        stage.start_process();
        let executor = stage.executor();
        let orphans = stage.block_on(executor.orphans(&std::collections::BTreeSet::new())).unwrap();
        let runs = stage.block_on(async {
            let work = join_all(orphans.into_iter().map(|run| executor.carry_out(run, silent())));
            let mend = async {
                executor.clock.pause(Duration::from_secs(outage)).await;
                stage.simulator.heal();
            };
            tokio::join!(work, mend).0
        });
        let run = &runs[0];
        assert!(run.deployments.iter().all(|row| row.outcome == Outcome::Stopped), "{:#?}", words(run));
        assert_eq!((run.result, run.resumed), (RunResult::Done, true));
        assert_eq!(stage.patched_ids().len(), 15, "nothing was asked twice");
    }
}

#[test]
fn p21_a_run_that_is_killed_between_two_tries_goes_on_with_them() {
    let mut stage = Scenario::evenings().fleet(three_groups()).start();
    stage.simulator.inject(Fault::on("GET", "/lm/deployments").group("dev-b").always().answers(503));
    let is_waiting = |simulator: &offhours::simulator::Simulator| {
        let stopped = simulator.journal().iter().filter(|entry| entry.is_patch()).count() == 2;
        let looks = simulator.journal().iter().filter(|entry| entry.resource_group.as_deref() == Some("dev-b")).count();
        stopped && looks >= 9
    };
    assert!(stage.die_when(is_waiting).is_none());
    stage.simulator.heal();
    let run = stage.resume().remove(0);
    assert_eq!((run.result.as_str(), run.tally().stopped), ("done", 15), "{:#?}", words(&run));
    assert!(!run.tries.is_empty(), "the tries before the restart are told too");
    assert_eq!(stage.patched_ids().len(), 15, "nothing was asked twice");
}

#[test]
fn p24_a_run_that_is_blocked_stops_nothing_in_its_later_tries_either() {
    // Five and five are listed at once, and are over the limit; the other five alone would not be.
    let stage = Scenario::evenings_with("max_stops = 7").fleet(three_groups()).start();
    let fault = Fault::on("GET", "/lm/deployments").group("dev-b").answers(503);
    let fired = fire_through(stage, fault, Duration::from_secs(900));
    fired.result("blocked").because("max_stops = 7").patches(0);
}

#[test]
fn p24_what_was_asked_before_a_crash_counts_against_max_stops() {
    let fleet =
        Fleet::new().group("dev-a").running_many("da", 5, "infer.s").group("dev-b").running_many("db", 5, "infer.s");
    let mut stage = Scenario::evenings_with("max_stops = 7").fleet(fleet).start();
    stage.simulator.inject(Fault::on("GET", "/lm/deployments").group("dev-b").always().answers(503));
    let has_asked =
        |simulator: &offhours::simulator::Simulator| simulator.journal().iter().any(|entry| entry.is_patch());
    assert!(stage.die_when(has_asked).is_none());
    stage.simulator.heal();
    stage.simulator.inject(Fault::on("GET", "/lm/deployments").group("dev-a").always().answers(503));
    let run = stage.resume().remove(0);
    let ids = stage.patched_ids();
    assert!(ids.iter().all(|id| id.starts_with("da")), "{ids:?} were asked, {:#?}", words(&run));
}

#[test]
fn p25_a_list_that_takes_longer_than_a_look_may_be_old_still_ends_with_everything_stopped() {
    let slow = |path: &str, seconds: u64| Fault::on("GET", path).always().delays(Duration::from_secs(seconds));
    let scenario = Scenario::evenings().fleet(three_groups());
    let fired = scenario.fault(slow("/lm/deployments", 20)).fault(slow("/admin/resourceGroups", 15)).fire();
    fired.result("done");
    assert_eq!(fired.run().tally().stopped, 15, "{:#?}", words(fired.run()));
    assert!(fired.run().finished_at - fired.run().started_at < TimeDelta::minutes(15));
}
