//! `mail = "changes"`: an evening like the one before sends nothing.

use offhours::simulator::{Behaviour, Fleet, Moment, Redeployed};

use crate::scenario::books::every_morning;
use crate::scenario::builder::{Scenario, instant};
use crate::scenario::stage::Stage;

fn morning() -> Redeployed {
    every_morning("0 8 * * MON-FRI")
}

fn evenings(fleet: Fleet) -> Stage {
    Scenario::evenings_with("mail = \"changes\"").fleet(fleet).at("2026-03-23T19:00:00+01:00").start()
}

/// Mails in the outbox by now; each run has two recipients.
fn mailed_runs(stage: &Stage) -> usize {
    stage.deliver() / 2
}

#[test]
fn e54_an_evening_like_the_one_before_sends_no_mail() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").redeployed(&morning());
    let mut stage = evenings(fleet);
    stage.play_until(instant("2026-03-23T20:00:00+01:00"));
    assert_eq!(mailed_runs(&stage), 1, "the first one is news");
    // The same configuration under new ids.
    let runs = stage.play_until(instant("2026-03-26T20:00:00+01:00"));
    assert!(runs.iter().all(|run| run.tally().stopped == 1) && runs.len() == 3, "{runs:#?}");
    assert_eq!(mailed_runs(&stage), 1);
}

#[test]
fn e54_what_is_new_or_needs_a_person_is_mailed_each_time() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").behaviour(Behaviour::Refuses);
    let mut stage = evenings(fleet);
    stage.play_until(instant("2026-03-24T20:00:00+01:00"));
    assert_eq!(mailed_runs(&stage), 2, "the same failure again needs a person again");

    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").redeployed(&morning());
    let fleet =
        fleet.group("dev-b").running("d002", "infer.s").appears_at(Moment::At(instant("2026-03-24T12:00:00+01:00")));
    let mut stage = evenings(fleet);
    stage.play_until(instant("2026-03-24T20:00:00+01:00"));
    assert_eq!(mailed_runs(&stage), 2, "a deployment that was not there the evening before");
    stage.play_until(instant("2026-03-25T20:00:00+01:00"));
    assert_eq!(mailed_runs(&stage), 3, "and now it is not there any more");
}
