//! What ended an avoided cost: the second look at the tenant, after the window or before.

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock;
use offhours::domain::cron::Cron;
use offhours::domain::run::{DeploymentResult, EndedBy};
use offhours::simulator::{Behaviour, Fault, Fleet, Moment, Redeployed};
use rust_decimal::Decimal;

use crate::scenario::builder::{LEAD, Scenario, instant};
use crate::scenario::fired::row;
use crate::scenario::stage::Stage;

const WINDOW_END: &str = "2026-03-30T07:00:00+02:00";
/// A rule that looks again on the afternoon inside that window.
const SATURDAYS: &str = r#"
[[rule]]
name = "saturdays"
stop = "0 15 * * SAT"
until = "0 7 * * MON-FRI"
[rule.select]
resource_groups = ["dev-*"]
"#;

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s").configuration("chat")
}

fn after_the_window() -> DateTime<Utc> {
    instant(WINDOW_END) + TimeDelta::hours(1)
}

/// The row of d001 once everything is settled.
fn settled(stage: &Stage) -> DeploymentResult {
    row(&stage.history()[0], "d001").clone()
}

fn ended_by(row: &DeploymentResult) -> &EndedBy {
    &row.settlement.as_ref().expect("settled").ended_by
}

/// People deploy the configuration again at this minute of every day.
fn again_at(cron: &str) -> Redeployed {
    Redeployed::new(Cron::parse(cron).unwrap(), clock::zone("Europe/Berlin").unwrap())
}

#[test]
fn a_weekend_over_the_spring_change_settles_at_its_projection() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert_eq!(*ended_by(&row), EndedBy::WindowEnd);
    assert_eq!(row.avoided().cost, row.projected.cost);
    // Friday 19:00:40 to Monday 07:00, an hour less for the clocks.
    assert_eq!(row.avoided().node_hours.round_dp(2), Decimal::new(5899, 2));
}

#[test]
fn a27_a_replacement_ends_it_and_what_ran_after_it_is_a_leak() {
    let mut stage = Scenario::evenings().fleet(one().redeployed(&again_at("0 12 * * *"))).start();
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert!(matches!(ended_by(&row), EndedBy::Replacement(_)));
    assert_eq!(row.avoided().to, Some(instant("2026-03-28T12:00:00+01:00")));
    let leak = row.settlement.unwrap().leak.unwrap();
    assert_eq!(leak.cost.node_hours, Decimal::from(42), "Saturday noon to Monday seven, an hour less");
}

/// The daemon looks every hour, so that it knows of a replacement long before the window ends.
#[test]
fn a_replacement_that_was_seen_early_leaks_until_it_is_off() {
    let noon = one().redeployed(&again_at("0 12 28 3 *"));
    for is_deleted in [false, true] {
        let mut stage = Scenario::evenings().rule(SATURDAYS).fleet(noon.clone()).start();
        stage.play_until(instant("2026-03-28T13:00:00+01:00"));
        stage.settle();
        let leak = |stage: &Stage| settled(stage).settlement.unwrap().leak.unwrap();
        assert_eq!(leak(&stage).cost.node_hours, Decimal::from(42), "as it looks at one o'clock");
        if is_deleted {
            stage.wait_until(instant("2026-03-28T15:00:00+01:00"));
            stage.settle();
            let id = leak(&stage).id;
            assert!(stage.block_on(async { stage.simulator.delete("dev-a", id.as_str()) }));
            stage.wait_until(instant("2026-03-28T16:00:00+01:00"));
            stage.settle();
        }
        stage.play_until(after_the_window());
        let row = settled(&stage);
        assert_eq!(row.avoided().to, Some(instant("2026-03-28T12:00:00+01:00")));
        assert_eq!(leak(&stage).cost.node_hours.round_dp(1), Decimal::from(3), "noon to three, deleted: {is_deleted}");
        let looked_at = row.settlement.unwrap().at;
        stage.settle();
        assert_eq!(settled(&stage).settlement.unwrap().at, looked_at, "not looked at again");
    }
}

/// Two of one configuration were stopped, and one came back: nobody knows for which of them. Neither counts from then on,
/// and what the one costs is reported once.
#[test]
fn one_replacement_of_two_siblings_leaks_once() {
    let siblings = one().redeployed(&again_at("0 12 * * *")).running("d002", "infer.s").configuration("chat");
    let mut stage = Scenario::evenings().fleet(siblings).start();
    stage.play_until(after_the_window());
    let run = &stage.history()[0];
    let settlements = ["d001", "d002"].map(|id| row(run, id).settlement.clone().expect("settled"));
    assert_eq!(settlements[0].ended_by, settlements[1].ended_by);
    let leaks: Vec<Decimal> =
        settlements.iter().filter_map(|s| s.leak.as_ref()).map(|leak| leak.cost.node_hours).collect();
    assert_eq!(leaks, [Decimal::from(42)]);
}

#[test]
fn what_is_deployed_in_the_morning_is_no_replacement() {
    let mut stage = Scenario::evenings().fleet(one().redeployed(&again_at("0 7 * * MON-FRI"))).start();
    stage.play_until(after_the_window());
    assert_eq!(*ended_by(&settled(&stage)), EndedBy::WindowEnd);
}

/// Somebody deployed the configuration again after the instant, and before the late stop of the old deployment: the
/// model ran all night, and nothing was avoided.
#[test]
fn a_replacement_made_before_a_late_stop_leaves_nothing_to_count() {
    let fleet = one();
    let fleet =
        fleet.running("d002", "infer.s").configuration("chat").appears_at(Moment::After(LEAD + TimeDelta::hours(1)));
    let mut fired = Scenario::evenings().fleet(fleet).fire_late(TimeDelta::hours(2));
    fired.outcome("d002", "left", "created after").stopped(["d001"]);
    fired.stage.play_until(after_the_window());
    let row = settled(&fired.stage);
    assert!(row.avoided().node_hours.is_zero(), "{row:#?}");
    assert!(row.settlement.unwrap().leak.is_some());
}

#[test]
fn a_replacement_that_was_stopped_in_its_turn_leaks_no_longer() {
    let mut stage = Scenario::evenings().rule(SATURDAYS).fleet(one().redeployed(&again_at("0 12 28 3 *"))).start();
    stage.play_until(after_the_window());
    let leak = settled(&stage).settlement.unwrap().leak.unwrap();
    assert_eq!(leak.cost.node_hours.round_dp(1), Decimal::from(3), "noon to three");
}

#[test]
fn a08_a_deletion_by_somebody_else_ends_it_when_it_was_last_seen() {
    let mut stage = Scenario::evenings().fleet(one().deleted_at(Moment::After(TimeDelta::hours(12)))).start();
    stage.wait_until(stage.at);
    let claimed = stage.claim();
    stage.carry_out(claimed);
    stage.wait(TimeDelta::hours(3));
    stage.settle();
    let seen = stage.now();
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert_eq!(*ended_by(&row), EndedBy::Deletion);
    assert!((row.avoided().to.unwrap() - seen).abs() < TimeDelta::seconds(1), "nothing after the last look counts");
}

#[test]
fn time_to_live_ends_it() {
    let fleet = one().aged(TimeDelta::hours(24)).ttl("30h");
    let mut stage = Scenario::evenings().fleet(fleet).start();
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert_eq!(*ended_by(&row), EndedBy::Ttl);
    assert_eq!(row.avoided().to, Some(stage.from + TimeDelta::hours(6)));
    assert_eq!(row.avoided().cost, row.projected.cost, "the projection knew");
}

#[test]
fn a_stop_that_never_came_true_counts_nothing() {
    let mut stage = Scenario::evenings().fleet(one().behaviour(Behaviour::Stuck)).start();
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert_eq!(*ended_by(&row), EndedBy::NeverConfirmed);
    assert!(row.avoided().cost.is_none() && row.avoided().node_hours.is_zero());
}

/// AI Core reports no `completionTime`, in no list.
fn says_not_when() -> Fault {
    Fault::on("GET", "/lm/deployments").always().rewrites(|body| {
        for deployment in body["resources"].as_array_mut().into_iter().flatten() {
            deployment.as_object_mut().unwrap().remove("completionTime");
        }
    })
}

/// It is STOPPED twenty minutes after the request, and a run waits for fifteen.
fn off_late() -> Stage {
    let fired = Scenario::evenings().fleet(one().behaviour(Behaviour::Slow)).fault(says_not_when()).fire();
    fired.outcome("d001", "unconfirmed", "still STOPPING").avoids_nothing();
    fired.stage
}

/// Looks at the tenant at this instant, and gives the instant.
fn look_at(stage: &Stage, text: &str) -> DateTime<Utc> {
    stage.wait_until(instant(text));
    let now = stage.now();
    stage.settle();
    now
}

/// A list takes a few milliseconds.
fn is_near(at: DateTime<Utc>, look: DateTime<Utc>) -> bool {
    (at - look).abs() < TimeDelta::seconds(1)
}

#[test]
fn p49_a_late_stop_without_completion_time_counts_from_the_first_look_that_saw_it() {
    let mut stage = off_late();
    let looked = look_at(&stage, "2026-03-27T21:00:00+01:00");
    let first = settled(&stage).confirmed_at.expect("noted at once, and not at the end of the window");
    assert!(is_near(first, looked), "{first}");
    // The note is on the disk.
    stage.kill();
    stage.start_process();
    look_at(&stage, "2026-03-28T10:00:00+01:00");
    look_at(&stage, "2026-03-29T23:00:00+02:00");
    stage.play_until(after_the_window());
    let row = settled(&stage);
    assert_eq!(*ended_by(&row), EndedBy::WindowEnd);
    assert_eq!((row.avoided().from, row.avoided().to), (Some(first), Some(instant(WINDOW_END))));
    assert_eq!(row.avoided().node_hours.round_dp(3), Decimal::from(57), "Friday nine to Monday seven, an hour less");
    assert_eq!(row.outcome.as_str(), "unconfirmed", "what the run itself came to stays");
}

#[test]
fn p49_a_late_stop_that_was_seen_and_then_deleted_counts_until_it_was_last_seen() {
    for says_when in [false, true] {
        let mut stage = off_late();
        if says_when {
            stage.simulator.heal();
        }
        let first = look_at(&stage, "2026-03-27T21:00:00+01:00");
        let last = look_at(&stage, "2026-03-28T10:00:00+01:00");
        assert!(stage.block_on(async { stage.simulator.delete("dev-a", "d001") }));
        stage.play_until(after_the_window());
        let row = settled(&stage);
        assert_eq!(*ended_by(&row), EndedBy::Deletion);
        let (from, to) = (row.avoided().from.unwrap(), row.avoided().to.unwrap());
        assert!(is_near(to, last), "{to}");
        let said = instant("2026-03-27T19:20:00+01:00");
        assert!(is_near(from, if says_when { said } else { first }), "{from}");
    }
}

#[test]
fn p49_a_late_stop_that_is_first_seen_after_the_window_counts_nothing() {
    let mut stage = off_late();
    stage.play_until(after_the_window());
    assert!(settled(&stage).avoided().node_hours.is_zero());
}

#[test]
fn a_daemon_that_was_down_at_the_end_of_the_window_settles_when_it_is_back() {
    let mut fired = Scenario::evenings().fleet(one()).fire();
    fired.stage.kill();
    fired.stage.wait(TimeDelta::days(5));
    fired.stage.start_process();
    let round = fired.stage.settle();
    assert_eq!((round.settled, round.overdue), (1, 0));
    let row = settled(&fired.stage);
    assert_eq!(row.avoided().to, Some(instant(WINDOW_END)));
    assert_eq!(row.avoided().cost, row.projected.cost);
    // What came due while it was down is in the ledger too.
    fired.stage.claim();
}

#[test]
fn while_ai_core_cannot_be_asked_nothing_is_settled() {
    let mut fired = Scenario::evenings().fleet(one()).fire();
    fired.stage.wait_until(after_the_window());
    fired.stage.simulator.inject(Fault::on("GET", "/lm/deployments").times(3).answers(503));
    let round = fired.stage.settle();
    assert_eq!((round.settled, round.overdue), (0, 1));
    assert!(row(&fired.stage.history()[0], "d001").settlement.is_none());
    assert_eq!(fired.stage.settle().settled, 1);
    fired.stage.claim();
}

#[test]
fn a16_a_list_that_broke_off_settles_nothing_as_deleted() {
    let mut fired = Scenario::evenings().fleet(one()).fire();
    fired.stage.wait(TimeDelta::hours(1));
    fired.stage.simulator.inject(Fault::on("GET", "/lm/deployments").times(3).truncates());
    assert_eq!(fired.stage.settle().settled, 0);
    fired.stage.claim();
}
