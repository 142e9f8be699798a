//! What was asked to stop before: by offhours itself, by another of its rules, by a person.

use std::time::Duration;

use chrono::TimeDelta;
use offhours::domain::deployment::Status;
use offhours::domain::run::{Outcome, RunResult};
use offhours::executor::progress::silent;
use offhours::simulator::{Behaviour, Fleet};
use rust_decimal::Decimal;

use crate::scenario::builder::{EVENINGS, Scenario, instant};
use crate::scenario::fired::row;
use crate::scenario::stage::Stage;

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

/// All mails, their line breaks of quoted-printable and of the text undone.
fn mails(stage: &Stage) -> Vec<String> {
    stage.deliver();
    let mut files: Vec<_> = std::fs::read_dir(stage.mails()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let text = |path| std::fs::read_to_string(path).unwrap().replace("=\r\n", "").replace("=3D", "=");
    files.into_iter().map(text).map(|mail| mail.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn p91_what_hangs_in_stopping_since_an_earlier_evening_is_still_on_and_says_since_when_and_how_often() {
    let fleet = one().behaviour(Behaviour::Stuck).running("d002", "infer.s");
    let mut stage = Scenario::evenings().fleet(fleet).at("2026-03-23T19:00:00+01:00").start();
    let runs = stage.play_until(instant("2026-03-25T20:00:00+01:00"));
    assert_eq!(runs.len(), 3);
    for (run, results) in runs.iter().zip([RunResult::Partial, RunResult::Failed, RunResult::Failed]) {
        let stuck = row(run, "d001");
        assert_eq!((stuck.outcome, run.result), (Outcome::Unconfirmed, results), "{}", stuck.sentence());
    }
    let third = row(&runs[2], "d001");
    assert_eq!(
        third.sentence(),
        "still STOPPING since 2026-03-23T18:00:00Z: asked for by rule `dev-evenings`, not confirmed"
    );
    assert_eq!((third.rate.nodes, third.requested_at), (1, None), "it was not asked again, and costs as it did");
    assert_eq!(stage.patched_ids().iter().filter(|id| id.as_str() == "d001").count(), 1);
    let mail = mails(&stage).pop().unwrap();
    assert!(!mail.contains("somebody else"), "{mail}");
    assert!(mail.contains("This is the 3rd run of this rule in a row that did not end well."), "{mail}");
    assert!(mail.contains("3rd time in a row: still STOPPING"), "{mail}");
    assert!(mail.contains("EUR 41.04 since Mon 23 Mar 2026, 19:00 CET"), "{mail}");
}

/// It comes off in the second evening's window: that window avoids the rest of it, and the first avoids nothing.
#[test]
fn p91_what_comes_off_in_a_later_window_counts_there_and_once() {
    let fleet = one().stop_after(TimeDelta::hours(27));
    let mut stage = Scenario::evenings().fleet(fleet).at("2026-03-23T19:00:00+01:00").start();
    stage.play_until(instant("2026-03-25T18:00:00+01:00"));
    let hours: Vec<Decimal> = stage.history().iter().map(|run| run.totals().node_hours).collect();
    assert_eq!(hours.len(), 2);
    assert!(hours[0].is_zero(), "{hours:?}");
    assert!(hours[1] > Decimal::from(8) && hours[1] <= Decimal::from(9), "from ten to seven: {hours:?}");
}

#[test]
fn p91_what_another_rule_has_stopped_is_said_to_be_that_rules() {
    let nights = EVENINGS.replace("dev-evenings", "nights").replace("0 19", "0 22");
    let mut stage = Scenario::evenings().rule(&nights).fleet(one()).at("2026-03-23T19:00:00+01:00").start();
    let runs = stage.play_until(instant("2026-03-23T23:00:00+01:00"));
    let second = row(&runs[1], "d001");
    assert_eq!((second.outcome, runs[1].result), (Outcome::AlreadyOff, RunResult::Done));
    assert!(second.sentence().starts_with("already STOPPED: rule `dev-evenings` asked for it at 2026-03-23T18:00:00Z"));
    let mail = mails(&stage).pop().unwrap();
    assert!(mail.contains("1 more had been asked to stop by rule `dev-evenings`."), "{mail}");
    assert!(!mail.contains("somebody else"), "{mail}");
}

/// The second rule meets it on its way off, while the first one's run still waits for it.
#[test]
fn p91_what_another_run_is_still_watching_needs_nobody() {
    let nights = EVENINGS.replace("dev-evenings", "nights").replace("0 19", "0 22");
    let fleet = one().stop_after(TimeDelta::minutes(10));
    let mut stage = Scenario::evenings().rule(&nights).fleet(fleet).at("2026-03-23T19:00:00+01:00").start();
    let open = stage.claim().remove(0);
    let executor = stage.executor();
    let nights = executor.config.rules.iter().find(|rule| rule.name.as_str() == "nights").unwrap();
    let by_hand = async {
        executor.clock.pause(Duration::from_secs(60)).await;
        executor.fire(nights, silent()).await.unwrap()
    };
    let (first, second) = stage.block_on(async { tokio::join!(executor.carry_out(open, silent()), by_hand) });
    assert_eq!(row(&first, "d001").outcome, Outcome::Stopped);
    assert_eq!((row(&second, "d001").outcome, second.result), (Outcome::AlreadyOff, RunResult::Done));
    let reason = row(&second, "d001").sentence();
    assert!(reason.starts_with("already STOPPING: rule `dev-evenings` asked for it at 2026"), "{reason}");
}

#[test]
fn p91_what_a_person_has_stopped_is_somebody_elses() {
    let fleet = one().status(&Status::Stopping).behaviour(Behaviour::Stuck);
    let fired = Scenario::evenings().fleet(fleet).fire();
    let found = row(&fired.runs[0], "d001");
    assert_eq!(
        (found.outcome, found.sentence().as_str()),
        (Outcome::AlreadyOff, "already STOPPING: not asked for by offhours")
    );
    let mail = mails(&fired.stage).pop().unwrap();
    assert!(mail.contains("1 more had been switched off or deleted by somebody else."), "{mail}");
}
