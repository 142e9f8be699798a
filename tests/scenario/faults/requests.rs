//! Faults a06 to a15: refusals, pauses, outages, and answers that never came.

use std::time::Duration;

use chrono::TimeDelta;
use offhours::simulator::{Behaviour, Entry, Fault, Fleet, Moment};
use serde_json::json;

use crate::scenario::builder::{LEAD, Scenario};
use crate::scenario::faults::{
    BULK, LIST, ONE, bulk, ends_in_time, fails, fire, fire_once, requests, single, took_seconds,
};
use crate::scenario::fired::Fired;

#[test]
fn a06_a_group_that_may_not_be_read_does_not_keep_the_others_on() {
    let fleet = bulk().group("dev-b").inaccessible().running("keep-b", "infer.s");
    let fired = Scenario::evenings().fleet(fleet).fire();
    fired.result("partial").because("forbidden").because("dev-b").stopped(["d001"]);
    let journal = fired.stage.simulator.journal();
    let asked = journal.iter().filter(|entry| entry.resource_group.as_deref() == Some("dev-b")).count();
    assert_eq!(asked, 1, "a 403 is not asked again");
}

#[test]
fn a07_a_stop_that_is_forbidden_is_asked_for_once() {
    let fleet = single().running("d002", "infer.s").behaviour(Behaviour::Forbidden);
    let fired = Scenario::evenings().fleet(fleet).fire();
    fired.result("partial").outcome("d002", "failed", "forbidden").stopped(["d001"]).asked("d002", 1).asked("d001", 1);
}

#[test]
fn a08_what_was_deleted_before_its_stop_is_gone() {
    for fleet in [single(), bulk()] {
        let fleet = fleet.deleted_at(Moment::After(LEAD + TimeDelta::seconds(5)));
        // The list is read, then it takes a while until the stop is sent.
        let fired = fire(fleet, Fault::on("GET", "/lm/meta").delays(Duration::from_secs(10)));
        fired.result("done").outcome("d001", "gone", "deleted by somebody else").avoids_nothing();
    }
}

#[test]
fn a08_what_is_deleted_while_it_stops_is_gone() {
    let fleet = bulk().behaviour(Behaviour::Vanishes);
    Scenario::evenings().fleet(fleet).fire().result("done").outcome("d001", "gone", "deleted").avoids_nothing();
}

#[test]
fn a08_a_list_that_is_not_found_is_a_failure() {
    fails(&fire(bulk(), Fault::on("GET", LIST).always().answers(404)), "not_found");
}

#[test]
fn a09_a_refusal_of_what_is_off_already_is_no_failure_and_not_ours() {
    let cannot = r#"{"error":{"code":"01010076","message":"current status cannot be changed","requestId":"r"}}"#;
    for status in [400, 409, 412] {
        let fault = Fault::on("PATCH", ONE).does_but_answers_with(status, "application/json", cannot);
        let fired = fire(single(), fault);
        fired.result("done").outcome("d001", "already-off", "STOPPING").asked("d001", 1).avoids_nothing();
    }
}

#[test]
fn a09_a_refusal_of_what_still_runs_is_tried_once_more() {
    for status in [400, 409, 412] {
        fire(single(), Fault::on("PATCH", ONE).answers(status)).result("done").stopped(["d001"]).asked("d001", 2);
        let fired = fire(single(), Fault::on("PATCH", ONE).always().answers(status));
        fired.result("failed").outcome("d001", "failed", "precondition").asked("d001", 2).avoids_nothing();
    }
}

#[test]
fn a09_what_turned_into_something_else_is_left() {
    for word in ["UNKNOWN", "DEAD", "COMPLETED", "HIBERNATING"] {
        let seen = Fault::on("GET", ONE).rewrites(move |answer| answer["status"] = json!(word));
        let scenario = Scenario::evenings().fleet(single()).fault(seen).fault(Fault::on("PATCH", ONE).answers(412));
        scenario.fire().outcome("d001", "left", &format!("status {word}")).asked("d001", 1).avoids_nothing();
    }
}

#[test]
fn a10_a_pause_that_is_asked_for_is_kept_by_all() {
    let fleet =
        (0..10).fold(Fleet::new(), |fleet, n| fleet.group(&format!("dev-{n}")).running(&format!("d00{n}"), "infer.s"));
    let fired = fire(fleet, Fault::on("GET", LIST).answers(429).header("Retry-After", "7"));
    fired.result("done");
    let journal = fired.stage.simulator.journal();
    let refused = journal.iter().position(|entry| entry.status == Some(429)).unwrap();
    let at = journal[refused].at;
    let later: Vec<&Entry> = journal.iter().filter(|entry| entry.at > at).collect();
    assert!(later.iter().all(|entry| entry.at >= at + TimeDelta::seconds(7)), "somebody did not wait");
    let before_stops = journal.iter().take_while(|entry| !entry.is_patch());
    let lists = before_stops.filter(|entry| entry.target.contains("/lm/deployments?")).count();
    assert_eq!(lists, 10 + 1 + 1, "one that was put off, and one page that proves that lists end so");
}

#[test]
fn a11_a_pause_may_be_a_date_and_nonsense_is_none() {
    // Virtual time is at 18:00:00 UTC when the list is asked for.
    let list = |value: &str| Fault::on("GET", LIST).answers(429).header("Retry-After", value);
    let fired = fire(bulk(), list("Fri, 27 Mar 2026 18:00:20 GMT"));
    fired.result("done").stopped(["d001"]);
    let journal = fired.stage.simulator.journal();
    let refused = journal.iter().position(|entry| entry.status == Some(429)).unwrap();
    assert!(journal[refused + 1].at - journal[refused].at >= TimeDelta::seconds(19));
    for nonsense in ["Fri, 27 Mar 2026 17:00:00 GMT", "soon", "", "-1"] {
        let fired = fire(bulk(), list(nonsense));
        fired.result("done").stopped(["d001"]);
        assert!(took_seconds(&fired) < 120, "{nonsense:?}");
    }
}

#[test]
fn a11_a_pause_beyond_all_patience_is_not_waited_for() {
    let fired = fire_once(bulk(), Fault::on("GET", LIST).always().answers(429).header("Retry-After", "86400"));
    fails(&fired, "rate_limited");
    assert!(took_seconds(&fired) < 5, "it waited {} s", took_seconds(&fired));
    let fired = fire_once(single(), Fault::on("PATCH", ONE).always().answers(429).header("Retry-After", "86400"));
    fired.outcome("d001", "failed", "rate_limited").asked("d001", 1);
    assert!(took_seconds(&fired) < 5);
}

#[test]
fn a12_too_many_requests_for_ever_is_a_failure() {
    let fired = fire_once(bulk(), Fault::on("GET", LIST).always().answers(429));
    fails(&fired, "rate_limited");
    assert!(requests(&fired, "GET", LIST) <= 3);
    let fired = fire_once(single(), Fault::on("PATCH", ONE).always().answers(429));
    fired.result("failed").outcome("d001", "failed", "rate_limited").avoids_nothing();
    assert!(fired.stage.patches().len() <= 3);
}

#[test]
fn a13_trouble_that_passes_is_survived_while_reading() {
    for status in [500, 502, 503, 504] {
        let fired = fire(bulk(), Fault::on("GET", LIST).times(2).answers(status));
        fired.result("done").stopped(["d001"]).asked("d001", 1);
    }
}

#[test]
fn a13_trouble_that_passes_is_survived_while_stopping_and_each_repeat_is_preceded_by_a_look() {
    for (fleet, path) in [(single(), ONE), (bulk(), "")] {
        for status in [500, 502, 503, 504] {
            let fired = fire(fleet.clone(), Fault::on("PATCH", path).times(2).answers(status));
            fired.result("done").stopped(["d001"]).asked("d001", 3);
            looks_between_stops(&fired);
        }
    }
}

/// The first request seemed to fail, and the second is refused because the first is being carried out after all.
#[test]
fn a15_a_stop_that_took_effect_late_is_ours_and_is_watched_to_its_end() {
    let refusal =
        r#"{"error":{"code":"01010076","message":"Invalid Request, Current status STOPPING cannot be changed."}}"#;
    let scenario = Scenario::evenings()
        .fleet(single())
        .fault(Fault::on("PATCH", ONE).answers(503))
        .fault(Fault::on("PATCH", ONE).does_but_answers_with(412, "application/json", refusal));
    scenario.fire().result("done").stopped(["d001"]).asked("d001", 2);
}

/// Each list is told to wait. The run gives up in time, so that the rule's next firing is not skipped.
#[test]
fn a12_lists_that_are_put_off_again_and_again_end_with_the_runs_deadline() {
    let groups =
        (0..20).fold(Fleet::new(), |fleet, n| fleet.group(&format!("dev-{n}")).running(&format!("d{n}"), "infer.s"));
    let put_off = Fault::on("GET", LIST).always().answers(429).header("Retry-After", "120");
    let fired = Scenario::evenings().fleet(groups).fault(put_off).fire_by_hand("dev-evenings");
    fails(&fired, "deadline");
    assert!(took_seconds(&fired) <= 15 * 60, "{} s", took_seconds(&fired));
}

/// Between two requests for d001 somebody looked whether it is still needed.
fn looks_between_stops(fired: &Fired) {
    let mut looked = true;
    for entry in fired.stage.simulator.journal() {
        if entry.patched_ids().iter().any(|id| id == "d001") {
            assert!(looked, "repeated without a look");
            looked = false;
        }
        looked |= entry.method == "GET" && entry.target.ends_with(ONE);
    }
}

#[test]
fn a14_a_tenant_that_never_answers_ends_as_unreachable() {
    for fault in [Fault::on("GET", "").answers(503), Fault::on("GET", "").drops(), Fault::on("GET", "").hangs()] {
        let fired = fire_once(bulk(), fault.always());
        fails(&fired, "unreachable");
        let reads = fired.stage.simulator.journal().iter().filter(|entry| entry.method == "GET").count();
        assert!(reads <= 3, "{reads} reads");
    }
}

#[test]
fn a14_stops_that_never_arrive_end_as_unreachable() {
    for fault in [Fault::on("PATCH", "").answers(503), Fault::on("PATCH", "").drops()] {
        let fired = fire_once(single(), fault.always());
        fired.result("failed").outcome("d001", "failed", "unreachable").asked("d001", 3).avoids_nothing();
        ends_in_time(&fired);
    }
}

#[test]
fn a14_an_outage_over_a_large_fleet_is_not_made_worse() {
    let fleet = (0..60)
        .fold(Fleet::new(), |fleet, n| fleet.group(&format!("dev-{n:02}")).running(&format!("d{n:03}"), "infer.s"));
    let fired = fire_once(fleet, Fault::on("GET", LIST).always().answers(503));
    fails(&fired, "unreachable");
    let lists = requests(&fired, "GET", LIST);
    assert!(lists <= 60 + 6 + 5, "{lists} lists for 60 groups");
}

#[test]
fn a15_a_stop_that_was_done_without_an_answer_is_not_repeated() {
    for (fleet, path) in [(single(), ONE), (bulk(), BULK)] {
        for fault in [Fault::on("PATCH", path).does_but_hangs(), Fault::on("PATCH", path).does_but_drops()] {
            let fired = fire(fleet.clone(), fault);
            fired.result("done").stopped(["d001"]).asked("d001", 1);
        }
        for status in [500, 502, 504] {
            let fired = fire(fleet.clone(), Fault::on("PATCH", path).does_but_answers(status));
            fired.result("done").stopped(["d001"]).asked("d001", 1);
        }
    }
}
