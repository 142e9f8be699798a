//! Rules that hit the same deployment: the first stops it, and its hours are counted once.

use chrono::TimeDelta;
use offhours::clock;
use offhours::domain::cron::Cron;
use offhours::domain::run::{EndedBy, Outcome, Run};
use offhours::simulator::{Behaviour, Fault, Fleet, Redeployed};
use rust_decimal::Decimal;

use crate::scenario::builder::{EVENINGS, Scenario, instant};
use crate::scenario::fired::{row, words};

/// Like the evenings rule, and three hours later.
const NIGHTS: &str = r#"
[[rule]]
name = "nights"
stop = "0 22 * * MON-FRI"
until = "0 8 * * MON-FRI"
[rule.select]
resource_groups = ["dev-*"]
"#;

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

fn run_of<'a>(runs: &'a [Run], rule: &str) -> &'a Run {
    runs.iter().find(|run| run.firing.rule.as_str() == rule).unwrap()
}

fn hours(runs: &[Run]) -> Decimal {
    runs.iter().map(|run| run.totals().node_hours).sum()
}

#[test]
fn two_rules_at_one_instant_ask_once_and_count_once() {
    for bulk in [true, false] {
        let twin = EVENINGS.replace("dev-evenings", "twin");
        let fleet = Fleet::new().group("dev-a").running_many("d", 20, "infer.s");
        let fleet = if bulk { fleet } else { fleet.without_bulk() };
        let fired = Scenario::evenings().rule(&twin).fleet(fleet).fire();
        assert_eq!(fired.stage.patched_ids().len(), 20, "each once");
        let (first, second) = (fired.run_of("dev-evenings"), fired.run_of("twin"));
        assert_eq!(first.tally().stopped + second.tally().stopped, 20);
        assert_eq!(first.tally().left + second.tally().left, 20, "{:#?}", words(second));
        assert!(hours(&fired.runs) < Decimal::from(20 * 60), "one weekend each: {}", hours(&fired.runs));
    }
}

/// The second rule has its list, and waits for that of another group while the first rule's run comes to its end.
#[test]
fn what_an_old_list_shows_running_and_another_run_has_stopped_meanwhile_is_not_asked_again() {
    for bulk in [true, false] {
        let twin = EVENINGS.replace("dev-evenings", "twin").replace("\"dev-*\"", "\"dev-a\", \"slow\"");
        let fleet = one().stop_after(TimeDelta::seconds(5)).group("slow").running("s001", "infer.s");
        let fleet = if bulk { fleet } else { fleet.without_bulk() };
        let slow = Fault::on("GET", "/lm/deployments").group("slow").delays(std::time::Duration::from_secs(25));
        let fired = Scenario::evenings().rule(&twin).fleet(fleet).fault(slow).fire();
        assert_eq!(row(fired.run_of("dev-evenings"), "d001").outcome, Outcome::Stopped);
        let second = row(fired.run_of("twin"), "d001");
        assert_eq!((second.outcome, second.sentence().as_str()), (Outcome::Left, "already asked to stop"));
        assert_eq!(row(fired.run_of("twin"), "s001").outcome, Outcome::Stopped);
        fired.asked("d001", 1);
    }
}

#[test]
fn the_second_rule_finds_it_off() {
    let mut stage = Scenario::evenings().rule(NIGHTS).fleet(one()).start();
    let runs = stage.play_until(instant("2026-03-28T12:00:00+01:00"));
    assert_eq!(row(run_of(&runs, "dev-evenings"), "d001").outcome, Outcome::Stopped);
    assert_eq!(row(run_of(&runs, "nights"), "d001").outcome, Outcome::AlreadyOff);
    assert_eq!(stage.patches().len(), 1);
    assert!(run_of(&runs, "nights").totals().node_hours.is_zero());
}

/// AI Core accepted the first stop and did nothing. The second rule asked again, and had it confirmed. When the first
/// rule's row is settled, the deployment is STOPPED; its hours are the second rule's all the same.
#[test]
fn a_stop_that_the_second_rule_brought_about_is_not_counted_by_the_first_as_well() {
    let accepted = r#"{"deployments":[{"id":"d001","message":"Deployment modification scheduled"}]}"#;
    let nothing_done = Fault::on("PATCH", "").answers_with(202, "application/json", accepted);
    let mut stage = Scenario::evenings().rule(NIGHTS).fleet(one()).fault(nothing_done).start();
    let runs = stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    assert_eq!(row(run_of(&runs, "dev-evenings"), "d001").outcome, Outcome::Unconfirmed);
    assert_eq!(row(run_of(&runs, "nights"), "d001").outcome, Outcome::Stopped);
    let settled = stage.history();
    let first = row(run_of(&settled, "dev-evenings"), "d001");
    assert!(first.avoided().node_hours.is_zero());
    assert_eq!(first.settlement.as_ref().unwrap().ended_by, EndedBy::CountedElsewhere);
    let tally = run_of(&settled, "dev-evenings").tally();
    assert_eq!((tally.off_anyway(), tally.not_confirmed()), (1, 0), "nobody has to look for it any more");
    let counted = run_of(&settled, "nights").totals().node_hours;
    assert_eq!(hours(&settled), counted);
    assert!(counted > Decimal::from(56), "from ten to eight, an hour less for the clocks: {counted}");
}

/// Neither saw it STOPPED in time. One of them counts what came true later.
#[test]
fn of_two_unconfirmed_stops_one_is_counted() {
    let accepted = r#"{"deployments":[{"id":"d001","message":"Deployment modification scheduled"}]}"#;
    let nothing_done = Fault::on("PATCH", "").answers_with(202, "application/json", accepted);
    let fleet = one().behaviour(Behaviour::Slow);
    let mut stage = Scenario::evenings().rule(NIGHTS).fleet(fleet).fault(nothing_done).start();
    let runs = stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    assert!(runs.iter().all(|run| row(run, "d001").outcome == Outcome::Unconfirmed));
    let settled = stage.history();
    let counting = settled.iter().filter(|run| !run.totals().node_hours.is_zero()).count();
    assert_eq!(counting, 1, "{:#?}", settled.iter().map(Run::totals).collect::<Vec<_>>());
}

/// A second name for the tenant `dev`.
const OTHER_NAME: &str = "\n[connection.other]\nservice_key = \"dev.json\"\n";

/// The rule, over the tenant's second name.
fn by_the_other_name(rule: &str) -> String {
    rule.replace("stop =", "connection = \"other\"\nstop =")
}

fn two_names(rule: &str) -> Scenario {
    let dev = EVENINGS.replace("stop =", "connection = \"dev\"\nstop =");
    Scenario::new().main(OTHER_NAME).rule(&dev).rule(&by_the_other_name(rule))
}

#[test]
fn p48_two_names_of_one_tenant_ask_once_and_count_once() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 20, "infer.s");
    let fired = two_names(&EVENINGS.replace("dev-evenings", "twin")).fleet(fleet).fire();
    assert_eq!(fired.stage.patched_ids().len(), 20, "each once");
    let (first, second) = (fired.run_of("dev-evenings"), fired.run_of("twin"));
    assert_eq!(first.tally().stopped + second.tally().stopped, 20);
    assert!(hours(&fired.runs) < Decimal::from(20 * 60), "one weekend each: {}", hours(&fired.runs));
}

/// The first request is answered and comes to nothing; the second, by the tenant's other name, is confirmed.
#[test]
fn p48_a_lost_answer_and_a_second_name_of_the_tenant_count_one_stop_once() {
    let accepted = r#"{"deployments":[{"id":"d001","message":"Deployment modification scheduled"}]}"#;
    let nothing_done = Fault::on("PATCH", "").answers_with(202, "application/json", accepted);
    let mut stage = two_names(NIGHTS).fleet(one()).fault(nothing_done).start();
    let runs = stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    assert_eq!(row(run_of(&runs, "dev-evenings"), "d001").outcome, Outcome::Unconfirmed);
    assert_eq!(row(run_of(&runs, "nights"), "d001").outcome, Outcome::Stopped);
    let settled = stage.history();
    let first = row(run_of(&settled, "dev-evenings"), "d001");
    assert_eq!(first.settlement.as_ref().unwrap().ended_by, EndedBy::CountedElsewhere);
    assert_eq!(hours(&settled), run_of(&settled, "nights").totals().node_hours);
}

/// Each name stops one of two siblings, and one replacement comes back: its cost is one leak.
#[test]
fn p48_what_a_replacement_costs_is_reported_once_whatever_the_tenant_is_called() {
    let noon = Redeployed::new(Cron::parse("0 12 28 3 *").unwrap(), clock::zone("Europe/Berlin").unwrap());
    let siblings = one().configuration("chat").redeployed(&noon).running("d002", "infer.s").configuration("chat");
    let without = |rule: &str, id: &str| format!("{rule}\n[rule.exclude]\nids = [\"{id}\"]\n");
    let dev = without(&EVENINGS.replace("stop =", "connection = \"dev\"\nstop ="), "d002");
    let twin = without(&by_the_other_name(&EVENINGS.replace("dev-evenings", "twin")), "d001");
    let mut stage = Scenario::new().main(OTHER_NAME).rule(&dev).rule(&twin).fleet(siblings).start();
    stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    let runs = stage.history();
    let settlements: Vec<_> =
        runs.iter().flat_map(|run| &run.deployments).filter_map(|row| row.settlement.as_ref()).collect();
    let replaced = settlements.iter().filter(|one| matches!(one.ended_by, EndedBy::Replacement(_))).count();
    assert_eq!((replaced, settlements.iter().filter(|one| one.leak.is_some()).count()), (2, 1));
}

#[test]
fn what_one_rule_failed_to_stop_the_next_may_stop() {
    let fleet = one().without_bulk();
    let fault = Fault::on("PATCH", "/d001").times(2).answers(412);
    let mut stage = Scenario::evenings().rule(NIGHTS).fleet(fleet).fault(fault).start();
    let runs = stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    assert_eq!(row(run_of(&runs, "dev-evenings"), "d001").outcome, Outcome::Failed);
    assert_eq!(row(run_of(&runs, "nights"), "d001").outcome, Outcome::Stopped);
    let settled = stage.history();
    assert_eq!(hours(&settled), run_of(&settled, "nights").totals().node_hours);
}

#[test]
fn an_observing_rule_beside_an_enforcing_one_adds_nothing() {
    let observer =
        NIGHTS.replace("nights", "watch").replace("0 22", "0 19").replace("stop =", "mode = \"observe\"\nstop =");
    let mut fired = Scenario::evenings().rule(&observer).fleet(one()).fire();
    let total = fired.run_of("dev-evenings").totals();
    assert_eq!(hours(&fired.runs), total.node_hours);
    fired.stage.play_until(instant("2026-03-30T09:00:00+02:00"));
    let settled = fired.stage.history();
    assert_eq!(hours(&settled), run_of(&settled, "dev-evenings").totals().node_hours);
    assert!(run_of(&settled, "watch").deployments.iter().all(|row| row.settlement.is_none()));
}

#[test]
fn a_person_and_the_schedule_do_not_stop_one_rule_twice() {
    let mut stage = Scenario::evenings().fleet(one()).start();
    let claimed = stage.claim();
    stage.wait(TimeDelta::seconds(2));
    let refused = stage.fire_by_hand("dev-evenings").unwrap_err();
    assert!(refused.to_string().contains("already under way"), "{refused}");
    stage.carry_out(claimed);
    assert_eq!(stage.patches().len(), 1);
}
