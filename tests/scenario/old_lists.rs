//! A list is a picture of a moment. What was changed, or said by a label, since then is looked at before a stop that has had
//! to wait.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use offhours::executor::progress::silent;
use offhours::simulator::{Fault, Fleet};
use serde_json::{Value, json};

use crate::scenario::builder::Scenario;
use crate::scenario::fired::Fired;

/// What was said may be overtaken by stops that were prepared so short a while before.
const GRACE: TimeDelta = TimeDelta::seconds(30 + 8);

/// Slow enough that a hundred stops take minutes.
fn slow(bulk: bool) -> Fleet {
    let fleet = Fleet::new().group("dev-a").running_many("d", 100, "infer.s").latency(Duration::from_secs(4));
    if bulk { fleet } else { fleet.without_bulk() }
}

/// Fires, and puts `faults` between offhours and the tenant after a while. Gives the stops that were sent too late for that.
fn sent_after_a_change(fleet: Fleet, more: Option<Fault>, faults: impl Fn() -> Vec<Fault>) -> (Fired, usize) {
    let mut stage = Scenario::evenings().fleet(fleet).start();
    if let Some(fault) = more {
        stage.simulator.inject(fault);
    }
    let claimed = stage.claim();
    let executor = stage.executor();
    let (runs, changed_at) = stage.block_on(async {
        let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
        let change = async {
            executor.clock.pause(Duration::from_secs(30)).await;
            for fault in faults() {
                stage.simulator.inject(fault);
            }
            executor.clock.now()
        };
        tokio::join!(work, change)
    });
    let late = stage.patches().iter().filter(|patch| patch.at > changed_at + GRACE).count();
    (Fired { stage, runs }, late)
}

/// From now on the group carries the label by which it opts out.
fn opts_out() -> Vec<Fault> {
    vec![Fault::on("GET", "/admin/resourceGroups").always().rewrites(|answer| {
        for group in answer["resources"].as_array_mut().into_iter().flatten() {
            group["labels"] = json!([{ "key": "ext.ai.sap.com/offhours", "value": "off" }]);
        }
    })]
}

/// From now on every deployment has been given another configuration.
fn are_changed() -> Vec<Fault> {
    let change = |one: &mut Value| one["configurationId"] = json!("another");
    let list = Fault::on("GET", "/lm/deployments").always().rewrites(move |answer| {
        answer["resources"].as_array_mut().into_iter().flatten().for_each(change);
    });
    let single = (1..=100).map(|n| Fault::on("GET", &format!("/lm/deployments/d{n:03}")).always().rewrites(change));
    std::iter::once(list).chain(single).collect()
}

#[test]
fn a29_a_group_that_opts_out_while_stops_wait_is_left() {
    let (fired, late) = sent_after_a_change(slow(false), None, opts_out);
    assert_eq!(late, 0, "stops that were sent although the group had opted out");
    let left = fired.run().deployments.iter().filter(|row| row.sentence().starts_with("opted out by label")).count();
    assert!((20..100).contains(&left), "{left} were left");
}

#[test]
fn a29_c73_a_label_that_is_not_understood_counts_right_before_the_stop_too() {
    let label = || {
        vec![Fault::on("GET", "/admin/resourceGroups").always().rewrites(|answer| {
            for group in answer["resources"].as_array_mut().into_iter().flatten() {
                group["labels"] = json!([{ "key": "ext.ai.sap.com/offhours", "value": "disabled" }]);
            }
        })]
    };
    let (fired, late) = sent_after_a_change(slow(false), None, label);
    assert_eq!(late, 0, "stops that were sent although the group's label was in doubt");
    let left =
        fired.run().deployments.iter().filter(|row| row.sentence().contains("`disabled` is not understood")).count();
    assert!((20..100).contains(&left), "{left} were left");
}

#[test]
fn a29_what_is_changed_while_stops_wait_is_left() {
    let (fired, late) = sent_after_a_change(slow(false), None, are_changed);
    assert_eq!(late, 0, "stops that were sent although their deployments were changed");
    let left = fired.run().deployments.iter().filter(|row| row.sentence().starts_with("changed")).count();
    assert!((20..100).contains(&left), "{left} were left");
}

#[test]
fn a29_a_batch_that_waited_is_looked_at_with_its_labels() {
    let put_off = || Some(Fault::on("PATCH", "").answers(429).header("Retry-After", "90"));
    for faults in [opts_out, are_changed] {
        let (fired, late) = sent_after_a_change(slow(true), put_off(), faults);
        assert_eq!((late, fired.run().tally().stopped, fired.run().tally().left), (0, 0, 100));
    }
}
