//! Late, overlapping and overlong; and a ledger that cannot be written.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::join_all;
use offhours::domain::hold::HoldTarget;
use offhours::executor::progress::{RunStep, silent};
use offhours::simulator::{Behaviour, Fault, Fleet};

use crate::scenario::builder::{EVENINGS, Scenario, instant};
use crate::scenario::fired::{Fired, words};

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

fn keep() -> Fleet {
    Fleet::new().group("dev-a").running("keep-1", "infer.s")
}

/// A stop that AI Core put off stands at the client's gate while the window ends.
#[test]
fn a_stop_that_had_to_wait_is_not_sent_after_the_window() {
    let rule = EVENINGS.replace("0 7 * * MON-FRI", "3 19 * * MON-FRI");
    for bulk in [true, false] {
        let fleet = if bulk { one() } else { one().without_bulk() };
        let path = if bulk { "/lm/deployments" } else { "/d001" };
        let fault = Fault::on("PATCH", path).answers(429).header("Retry-After", "240");
        let fired = Scenario::new().rule(&rule).fleet(fleet).fault(fault).fire();
        fired.outcome("d001", "left", "window ended").asked("d001", 1).result("missed").avoids_nothing();
    }
}

/// A stop that AI Core put off stands at the client's gate while somebody says "not tonight". The others of its batch
/// are stopped all the same.
#[test]
fn a_stop_that_had_to_wait_is_not_sent_once_it_is_held() {
    for bulk in [true, false] {
        let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").running("d002", "infer.s");
        let fleet = if bulk { fleet } else { fleet.without_bulk() };
        let fault = Fault::on("PATCH", "").times(if bulk { 1 } else { 2 }).answers(429).header("Retry-After", "240");
        let mut stage = Scenario::evenings().fleet(fleet).fault(fault).start();
        let claimed = stage.claim();
        let (executor, held) = (stage.executor(), HoldTarget::Deployment("d001".parse().unwrap()));
        let (until, now) = (stage.at + TimeDelta::hours(9), stage.at + TimeDelta::minutes(1));
        let runs = stage.block_on(async {
            let hold = async {
                executor.clock.pause(std::time::Duration::from_secs(60)).await;
                executor.ledger.write(move |tx| tx.add_hold(&held, until, "training", "ada", now)).await.unwrap();
            };
            let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
            tokio::join!(work, hold).0
        });
        let fired = Fired { stage, runs };
        fired.outcome("d001", "left", "held").stopped(["d002"]);
        let asked_later =
            fired.stage.patches().into_iter().filter(|patch| patch.at > now).flat_map(|one| one.patched_ids());
        assert_eq!(asked_later.collect::<Vec<_>>(), ["d002"]);
    }
}

#[test]
fn t04_waking_after_the_window_stops_nothing_and_says_so_once() {
    let fired = Scenario::evenings().fleet(keep()).fire_late(TimeDelta::hours(62));
    assert!(fired.runs.is_empty());
    let history = fired.stage.history();
    assert_eq!((history.len(), history[0].result.as_str()), (1, "missed"));
    assert_eq!(fired.stage.deliver(), 2);
    fired.patches(0);
}

#[test]
fn t05_waking_inside_the_window_stops_once_as_a_catch_up() {
    let fired = Scenario::evenings().fleet(one()).fire_late(TimeDelta::minutes(90));
    fired.result("done").stopped(["d001"]);
    assert_eq!(fired.run().trigger.as_str(), "catch-up");
    assert_eq!(fired.run().firing.at, instant("2026-03-27T19:00:00+01:00"));
}

#[test]
fn t05_five_days_later_one_catches_up_and_the_rest_is_missed() {
    // Wednesday evening, past the firings of Friday, Monday and Tuesday.
    let late = instant("2026-04-01T20:00:00+02:00") - instant("2026-03-27T19:00:00+01:00");
    let fired = Scenario::evenings().fleet(one()).fire_late(late);
    fired.result("done").stopped(["d001"]);
    let results: Vec<_> = fired.stage.history().iter().map(|run| run.result.as_str()).collect();
    assert_eq!(results, ["missed", "missed", "missed", "done"]);
    assert_eq!(fired.stage.deliver(), 4, "one mail about what was missed, one about the run, two recipients");
}

#[test]
fn t08_a_firing_during_the_rules_previous_run_is_skipped_and_told_once() {
    let rule = EVENINGS.replace("0 19 * * MON-FRI", "*/10 19 * * MON-FRI");
    let fleet = one().behaviour(Behaviour::Stuck);
    let mut stage = Scenario::new().rule(&rule).fleet(fleet).start();
    let first = stage.claim();
    let executor = stage.executor();
    let run = executor.carry_out(first.into_iter().next().unwrap(), silent());
    let process = stage.process.take().unwrap();
    let mut agenda = process.agenda.clone();
    let second = stage.block_on(async {
        let beat = async {
            executor.clock.pause(std::time::Duration::from_secs(601)).await;
            executor.beat(&mut agenda).await.unwrap().runs
        };
        tokio::join!(run, beat).1
    });
    stage.process = Some(process);
    assert!(second.is_empty());
    let results: Vec<_> = stage.history().iter().map(|run| run.result.as_str()).collect();
    assert_eq!(results, ["failed", "skipped"]);
    assert_eq!(stage.deliver(), 4);
}

#[test]
fn t09_fifty_rules_on_one_second_all_run() {
    let mut scenario = Scenario::new();
    let mut fleet = Fleet::new();
    for n in 0..50 {
        let rule = EVENINGS.replace("dev-evenings", &format!("rule-{n}")).replace("dev-*", &format!("dev-{n}"));
        scenario = scenario.rule(&rule);
        fleet = fleet.group(&format!("dev-{n}")).running(&format!("d{n:03}"), "infer.s");
    }
    let fired = scenario.fleet(fleet).fire();
    assert_eq!(fired.runs.len(), 50);
    assert!(fired.runs.iter().all(|run| run.result.as_str() == "done" && run.tally().stopped == 1));
    assert!(fired.runs.iter().all(|run| run.started_at - fired.stage.at <= TimeDelta::seconds(2)));
}

/// Does as a disk that is full: this statement fails until it is mended.
const FULL: [(&str, &str); 3] = [
    ("claims", "CREATE TRIGGER full BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'disk full'); END"),
    ("requests", "CREATE TRIGGER full BEFORE INSERT ON deployment BEGIN SELECT RAISE(ABORT, 'disk full'); END"),
    (
        "results",
        "CREATE TRIGGER full BEFORE UPDATE ON run WHEN new.open = 0 BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    ),
];

#[test]
fn p05_without_a_durable_claim_nothing_is_stopped_and_the_firing_stays_due() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    stage.database().execute_batch(FULL[0].1).unwrap();
    stage.wait_until(stage.at);
    let executor = stage.executor();
    let mut agenda = stage.process.as_ref().unwrap().agenda.clone();
    assert!(stage.block_on(executor.beat(&mut agenda)).is_err());
    assert!(stage.simulator.journal().is_empty());
    stage.database().execute_batch("DROP TRIGGER full").unwrap();
    stage.wait(TimeDelta::minutes(1));
    stage.at = stage.now();
    stage.fire().result("done").stopped(["d001"]);
}

#[test]
fn p05_without_a_durable_note_of_a_request_it_is_not_sent() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    let claimed = stage.claim();
    stage.database().execute_batch(FULL[1].1).unwrap();
    let executor = stage.executor();
    let run = stage.block_on(async {
        let mend = async {
            executor.clock.pause(std::time::Duration::from_secs(60)).await;
            stage.database().execute_batch("DROP TRIGGER full").unwrap();
        };
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        tokio::join!(work, mend).0.remove(0)
    });
    assert!(run.tries[0].reason.to_string().starts_with("ledger: not asked"), "{:#?}", run.tries);
    assert_eq!((run.result.as_str(), run.tally().stopped), ("done", 1), "{:#?}", words(&run));
    let mended = stage.at + TimeDelta::seconds(60);
    assert!(stage.patches().iter().all(|patch| patch.at >= mended), "asked without a note of it");
    assert_eq!(stage.history()[0], run, "its tries are in the ledger too");
}

#[test]
fn p06_a_result_that_cannot_be_written_is_kept_and_nothing_is_asked_again() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    let claimed = stage.claim();
    stage.database().execute_batch(FULL[2].1).unwrap();
    let executor = stage.executor();
    stage.block_on(async {
        let mend = async {
            executor.clock.pause(std::time::Duration::from_secs(300)).await;
            stage.database().execute_batch("DROP TRIGGER full").unwrap();
        };
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        tokio::join!(work, mend)
    });
    assert_eq!(stage.history()[0].result.as_str(), "done");
    assert_eq!(stage.patches().len(), 1);
    assert_eq!(stage.deliver(), 2);
}

#[test]
fn p11_a_panic_in_one_run_ends_that_run_only() {
    let other = EVENINGS.replace("dev-evenings", "other").replace("dev-*", "other");
    let fleet = one().group("other").running("o001", "infer.s");
    let mut stage = Scenario::evenings().rule(&other).fleet(fleet).start();
    let claimed = stage.claim();
    let executor = stage.executor();
    let work = claimed.into_iter().map(|run| {
        let panics = run.claim.firing.rule.as_str() == "dev-evenings";
        let observer = move |step: &RunStep| assert!(!(panics && matches!(step, RunStep::Asked(_))), "on purpose");
        executor.carry_out(run, Arc::new(observer))
    });
    let runs = stage.block_on(join_all(work));
    assert_eq!((runs[0].result.as_str(), runs[1].result.as_str()), ("failed", "done"));
    assert!(runs[0].sentence().starts_with("panic"));
    assert_eq!(runs[0].deployments.len(), 1, "what it had asked for is in its report");
    assert_eq!(runs[0].deployments[0].outcome.as_str(), "unconfirmed");
    assert_eq!(stage.deliver(), 4);
}
