//! The main job over whole fleets, and what never sends a PATCH.

use std::collections::BTreeSet;

use offhours::domain::run::Outcome;
use offhours::simulator::{Behaviour, Entry, Fleet};

use crate::scenario::builder::Scenario;
use crate::scenario::fired::{Fired, row};

/// 250 running deployments in three groups.
fn fleet_of_250() -> Fleet {
    let groups = [("dev-a", "da", 120), ("dev-b", "db", 100), ("dev-c", "dc", 30)];
    let fleet = groups
        .into_iter()
        .fold(Fleet::new(), |fleet, (group, prefix, count)| fleet.group(group).running_many(prefix, count, "infer.s"));
    fleet.group("prod").running("keep-1", "infer.s")
}

fn fire(fleet: Fleet) -> Fired {
    Scenario::evenings().fleet(fleet).fire()
}

fn is_list(entry: &Entry) -> bool {
    entry.method == "GET" && entry.target.split('?').next().unwrap_or("").ends_with("/lm/deployments")
}

fn each_id_once(fired: &Fired) {
    let ids = fired.stage.patched_ids();
    assert_eq!(ids.len(), 250);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 250, "an id came twice");
}

fn all_are_stopped_and_recorded(fired: &Fired) {
    fired.result("done");
    let stopped = |rows: &[offhours::domain::run::DeploymentResult]| {
        rows.iter().filter(|r| r.outcome == Outcome::Stopped).count()
    };
    assert_eq!(stopped(&fired.run().deployments), 250);
    let history = fired.stage.history();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0], *fired.run(), "the ledger has what the run gave");
    assert_eq!(fired.stage.deliver(), 2, "one mail for each of two recipients");
}

#[test]
fn a25_with_bulk_250_deployments_are_stopped_by_4_requests() {
    let fired = fire(fleet_of_250());
    all_are_stopped_and_recorded(&fired);
    fired.patches(4);
    each_id_once(&fired);
    let journal = fired.stage.simulator.journal();
    let first_stop = journal.iter().position(Entry::is_patch).unwrap();
    // A page of another size than any before is followed by one more, which proves that nothing comes after it.
    let lists = journal[..first_stop].iter().filter(|entry| is_list(entry)).count();
    assert!((3..=6).contains(&lists), "{lists} lists before the stops");
    let singles = journal.iter().filter(|one| one.method == "GET" && one.target.contains("/lm/deployments/")).count();
    assert_eq!(singles, 0, "stops are watched by lists, not by one GET for each deployment");
    let watching = journal.iter().filter(|entry| is_list(entry)).count() - lists;
    assert!((3..=40).contains(&watching), "{watching} lists to watch 40 seconds");
}

#[test]
fn without_bulk_250_deployments_are_stopped_by_250_requests() {
    let fired = fire(fleet_of_250().without_bulk());
    all_are_stopped_and_recorded(&fired);
    fired.patches(250);
    each_id_once(&fired);
}

#[test]
fn a25_without_meta_a_tenant_has_no_bulk() {
    let fired = fire(fleet_of_250().without_meta());
    all_are_stopped_and_recorded(&fired);
    fired.patches(250);
}

#[test]
fn a25_where_bulk_is_claimed_and_refused_single_requests_follow_the_refusal() {
    for status in [400, 404, 405, 415, 501] {
        let fired = fire(fleet_of_250().refusing_bulk(status));
        all_are_stopped_and_recorded(&fired);
        let bulk = |entry: &Entry| entry.target.ends_with("/lm/deployments");
        let patches = fired.stage.patches();
        let refused = patches.iter().filter(|entry| bulk(entry)).count();
        assert!((1..=3).contains(&refused), "{status}: {refused} bulk requests, one for each group under way at most");
        assert_eq!(patches.iter().filter(|entry| !bulk(entry)).count(), 250);
        let after_refusal: BTreeSet<String> =
            patches.iter().filter(|entry| !bulk(entry)).flat_map(Entry::patched_ids).collect();
        assert_eq!(after_refusal.len(), 250, "{status}: each once");
    }
}

#[test]
fn a26_one_that_refuses_vanishes_dies_or_gets_stuck_does_not_touch_the_others() {
    for bulk in [true, false] {
        let odd = |fleet: Fleet, id: &str, behaviour| fleet.running(id, "infer.s").behaviour(behaviour);
        let fleet = Fleet::new().group("dev-a").running_many("da", 20, "infer.s");
        let fleet = odd(fleet, "refuses", Behaviour::Refuses);
        let fleet = odd(fleet, "forbidden", Behaviour::Forbidden);
        let fleet = odd(fleet, "vanishes", Behaviour::Vanishes);
        let fleet = odd(fleet, "dies", Behaviour::Dies);
        let fleet = odd(fleet, "stuck", Behaviour::Stuck);
        let fleet = odd(fleet, "comes-back", Behaviour::ComesBack);
        let fired = fire(if bulk { fleet } else { fleet.without_bulk() });
        fired
            .result("partial")
            .outcome("refuses", "failed", "precondition")
            .outcome("forbidden", "failed", "forbidden")
            .outcome("vanishes", "gone", "deleted")
            .outcome("dies", "failed", "dead")
            .outcome("stuck", "unconfirmed", "still STOPPING")
            .outcome("comes-back", "failed", "came_back")
            .asked("comes-back", 1)
            .asked("stuck", 1)
            .because("4 failed, 1 unconfirmed");
        let stopped = fired.run().deployments.iter().filter(|row| row.outcome == Outcome::Stopped).count();
        assert_eq!(stopped, 20, "bulk {bulk}");
        for id in ["refuses", "forbidden", "vanishes", "dies", "stuck", "comes-back"] {
            assert!(row(fired.run(), id).avoided().node_hours.is_zero(), "{id} avoids nothing");
        }
    }
}

#[test]
fn plan_sends_no_patch() {
    let stage = Scenario::evenings().fleet(fleet_of_250()).start();
    let plan = stage.plan("dev-evenings", stage.at);
    assert_eq!(plan.values().filter(|decision| *decision == "stop").count(), 250);
    assert!(stage.patches().is_empty());
}

#[test]
fn observe_sends_no_patch() {
    let fleet = Fleet::new().group("dev-a").running_many("keep", 5, "infer.s");
    let fired = Scenario::evenings_with("mode = \"observe\"").fleet(fleet).fire();
    fired.result("done").patches(0).avoids_nothing().outcome("keep001", "left", "observe: would have been stopped");
}

#[test]
fn an_observing_rule_over_max_stops_says_that_it_would_have_been_blocked() {
    let fleet = Fleet::new().group("dev-a").running_many("keep", 5, "infer.s");
    let fired = Scenario::evenings_with("mode = \"observe\"\nmax_stops = 4").fleet(fleet).fire();
    fired.result("blocked").patches(0).outcome("keep001", "left", "max_stops = 4");
    assert!(!row(fired.run(), "keep001").would_stop(), "what would be blocked would avoid nothing");
}

#[test]
fn a_rule_over_max_stops_stops_nothing_at_all() {
    let fleet =
        Fleet::new().group("dev-a").running_many("keep", 3, "infer.s").group("dev-b").running("keep", "infer.s");
    let fired = Scenario::evenings_with("max_stops = 3").fleet(fleet.clone()).fire();
    fired.result("blocked").patches(0).avoids_nothing().because("4 deployments, more than max_stops = 3");
    let fleet = Fleet::new().group("dev-a").running_many("da", 4, "infer.s");
    Scenario::evenings_with("max_stops = 4").fleet(fleet).fire().result("done").patches(1);
}

#[test]
fn t06_a_second_firing_of_an_instant_stops_nothing() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
    let mut fired = Scenario::evenings().fleet(fleet).fire();
    fired.result("done").stopped(["d001"]).patches(1);
    // The cursor is lost, as after a restored backup: the firing itself is still in the ledger.
    fired.stage.database().execute("UPDATE cursor SET after = after - 60000", []).unwrap();
    fired.stage.kill();
    fired.stage.start_process();
    assert!(fired.stage.claim().is_empty(), "claimed twice");
    fired.patches(1);
}

/// A claim that only seemed to fail is given to its executor once more; that must not hand out one under way.
#[test]
fn a_rule_fired_twice_by_hand_in_one_second_runs_once() {
    let stage = Scenario::evenings().fleet(Fleet::new().group("dev-a").running("d001", "infer.s")).start();
    let executor = stage.executor();
    let rule = executor.config.rules[0].clone();
    let silent = offhours::executor::progress::silent;
    let (first, second) =
        stage.block_on(async { tokio::join!(executor.fire(&rule, silent()), executor.fire(&rule, silent())) });
    // Which of the two comes first is nobody's business.
    assert!(first.is_ok() != second.is_ok(), "{first:?}\n{second:?}");
    assert_eq!(stage.patches().len(), 1);
}
