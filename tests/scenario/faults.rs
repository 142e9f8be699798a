//! Every fault of AI Core, and what a whole run must come to. The names begin with the rows of the fault table.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use offhours::domain::run::Outcome;
use offhours::simulator::{Behaviour, Entry, Fault, Fleet, Moment, Spec};
use serde_json::json;

use crate::fired::Fired;
use crate::scenario::{LEAD, Scenario};

const LIST: &str = "/lm/deployments";
const BULK: &str = "/lm/deployments";
const ONE: &str = "/lm/deployments/d001";

/// One deployment in a tenant without bulk changes.
fn single() -> Fleet {
    bulk().without_bulk()
}

/// One deployment in a tenant with bulk changes.
fn bulk() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

fn fire(fleet: Fleet, fault: Fault) -> Fired {
    Scenario::evenings().fleet(fleet).fault(fault).fire()
}

/// A run that could do nothing: one word of why, no PATCH, nothing counted.
fn fails(fired: &Fired, keyword: &str) {
    fired.result("failed").because(keyword).patches(0).avoids_nothing();
    ends_in_time(fired);
}

fn ends_in_time(fired: &Fired) {
    let took = fired.run().finished_at - fired.run().started_at;
    assert!(took <= TimeDelta::minutes(30), "it took {took}");
}

fn took_seconds(fired: &Fired) -> i64 {
    (fired.run().finished_at - fired.run().started_at).num_seconds()
}

fn requests(fired: &Fired, method: &str, path_suffix: &str) -> usize {
    fired.stage.count(method, path_suffix)
}

#[test]
fn a01_a_token_that_is_no_longer_good_is_renewed_once() {
    let fired = fire(bulk(), Fault::on("GET", LIST).answers(401));
    fired.result("done").stopped(["d001"]).token_calls(2);
}

#[test]
fn a01_the_same_before_a_stop() {
    for (fleet, path) in [(single(), ONE), (bulk(), BULK)] {
        let fired = fire(fleet, Fault::on("PATCH", path).answers(401));
        fired.result("done").stopped(["d001"]).token_calls(2).asked("d001", 2);
    }
}

#[test]
fn a02_rejected_credentials_stop_nothing_and_are_not_hammered_with() {
    let fired = fire(bulk(), Fault::on("GET", "").always().answers(401));
    fails(&fired, "auth");
    fired.because("rejected the credentials");
    let calls = requests(&fired, "POST", "/oauth/token");
    assert!(calls <= 2, "{calls} token calls");
    fired.stage.wait(TimeDelta::seconds(2));
    let again = fired.stage.fire_by_hand("dev-evenings").unwrap();
    assert!(again.reason.contains("auth"), "{}", again.reason);
    assert_eq!(requests(&fired, "POST", "/oauth/token"), calls, "another token call within a minute");
    fired.stage.wait(TimeDelta::seconds(61));
    fired.stage.fire_by_hand("dev-evenings").unwrap();
    assert!(requests(&fired, "POST", "/oauth/token") > calls);
    fired.patches(0);
}

#[test]
fn a03_without_a_token_nothing_is_stopped() {
    let token = || Fault::on("POST", "/oauth/token").always();
    let faults = [
        token().answers(503),
        token().answers_with(500, "text/html", "<html>oops</html>"),
        token().hangs(),
        token().drops(),
        token().answers_with(200, "text/html", "<html>log in</html>"),
        token().answers_with(200, "application/json", r#"{"token_type":"bearer"}"#),
        token().answers_with(200, "application/json", "{"),
    ];
    for fault in faults {
        let name = format!("{fault:?}");
        let fired = fire(bulk(), fault);
        fails(&fired, "token");
        let calls = requests(&fired, "POST", "/oauth/token");
        assert!((1..=3).contains(&calls), "{calls} token calls: {name}");
    }
}

#[test]
fn a04_any_lifetime_of_a_token_will_do() {
    for lifetime in [json!(null), json!(0), json!(-5), json!(1_000_000_000_000_i64), json!("soon"), json!(3600)] {
        let given = lifetime.clone();
        let fault =
            Fault::on("POST", "/oauth/token").always().rewrites(move |answer| answer["expires_in"] = given.clone());
        let fired = fire(single(), fault);
        fired.result("done").stopped(["d001"]);
        let calls = requests(&fired, "POST", "/oauth/token");
        assert!((1..=2).contains(&calls), "{calls} token calls for {lifetime}");
    }
    let fault =
        Fault::on("POST", "/oauth/token").rewrites(|answer| drop(answer.as_object_mut().unwrap().remove("expires_in")));
    fire(single(), fault).result("done").stopped(["d001"]);
}

#[test]
fn a04_tokens_that_die_during_a_run_are_replaced() {
    let fleet = bulk().each(|spec| spec.stop_after = TimeDelta::minutes(10)).token_lifetime(Duration::from_secs(120));
    let fired = fire(fleet, Fault::on("GET", "/none").answers(500));
    fired.result("done").stopped(["d001"]);
    let calls = requests(&fired, "POST", "/oauth/token");
    assert!((5..=12).contains(&calls), "{calls} token calls in ten minutes");
    let refused = fired.stage.simulator.journal().iter().filter(|entry| entry.status == Some(401)).count();
    assert_eq!(refused, 0, "each was replaced before its end");
}

#[test]
fn a05_ten_lists_that_meet_an_expired_token_ask_for_one_new_one() {
    let fleet =
        (0..10).fold(Fleet::new(), |fleet, n| fleet.group(&format!("dev-{n}")).running(&format!("d00{n}"), "infer.s"));
    let fired = fire(fleet, Fault::on("GET", LIST).times(10).answers(401));
    fired.result("done").token_calls(2);
    assert_eq!(fired.run().totals().stopped, 10);
}

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
    assert_eq!(lists, 11, "one more than there are groups");
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
    let fired = fire(bulk(), Fault::on("GET", LIST).always().answers(429).header("Retry-After", "86400"));
    fails(&fired, "rate_limited");
    assert!(took_seconds(&fired) < 5, "it waited {} s", took_seconds(&fired));
    let fired = fire(single(), Fault::on("PATCH", ONE).always().answers(429).header("Retry-After", "86400"));
    fired.outcome("d001", "failed", "rate_limited").asked("d001", 1);
    assert!(took_seconds(&fired) < 5);
}

#[test]
fn a12_too_many_requests_for_ever_is_a_failure() {
    let fired = fire(bulk(), Fault::on("GET", LIST).always().answers(429));
    fails(&fired, "rate_limited");
    assert!(requests(&fired, "GET", LIST) <= 3);
    let fired = fire(single(), Fault::on("PATCH", ONE).always().answers(429));
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
        let fired = fire(bulk(), fault.always());
        fails(&fired, "unreachable");
        let reads = fired.stage.simulator.journal().iter().filter(|entry| entry.method == "GET").count();
        assert!(reads <= 3, "{reads} reads");
    }
}

#[test]
fn a14_stops_that_never_arrive_end_as_unreachable() {
    for fault in [Fault::on("PATCH", "").answers(503), Fault::on("PATCH", "").drops()] {
        let fired = fire(single(), fault.always());
        fired.result("failed").outcome("d001", "failed", "unreachable").asked("d001", 3).avoids_nothing();
        ends_in_time(&fired);
    }
}

#[test]
fn a14_an_outage_over_a_large_fleet_is_not_made_worse() {
    let fleet = (0..60)
        .fold(Fleet::new(), |fleet, n| fleet.group(&format!("dev-{n:02}")).running(&format!("d{n:03}"), "infer.s"));
    let fired = fire(fleet, Fault::on("GET", LIST).always().answers(503));
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

#[test]
fn a16_a_list_that_broke_off_is_read_again_and_never_acted_on() {
    let fleet = || bulk().running_many("e", 30, "infer.s");
    fire(fleet(), Fault::on("GET", LIST).truncates()).result("done").patches(1);
    // A page whose head promises more than comes, and one that says nothing of its length.
    let half = r#"{"count":2,"resources":[{"id":"keep-half","status":"RUNNING"},{"id""#;
    for fault in
        [Fault::on("GET", LIST).truncates(), Fault::on("GET", LIST).answers_with(200, "application/json", half)]
    {
        let fired = fire(fleet(), fault.always());
        fails(&fired, "broke");
        assert_eq!(requests(&fired, "GET", LIST), 3);
    }
}

#[test]
fn a17_a_broken_acceptance_is_checked_by_a_look() {
    for (fleet, path) in [(single(), ONE), (bulk(), BULK)] {
        let faults = [
            Fault::on("PATCH", path).truncates(),
            Fault::on("PATCH", path).does_but_answers_with(202, "application/json", "{bro"),
            Fault::on("PATCH", path).does_but_answers_with(202, "application/json", "null"),
            Fault::on("PATCH", path).does_but_answers_with(202, "text/plain", "ok"),
            Fault::on("PATCH", path).does_but_answers_with(200, "application/json", "{}"),
        ];
        for fault in faults {
            fire(fleet.clone(), fault).result("done").stopped(["d001"]).asked("d001", 1);
        }
    }
}

#[test]
fn a18_what_is_no_answer_of_this_api_is_not_acted_on() {
    let page = || Fault::on("GET", LIST).always();
    fails(&fire(bulk(), page().answers_with(200, "text/html", "<html>log in</html>")), "unexpected_response");
    fails(&fire(bulk(), page().answers_with(204, "application/json", "")), "unexpected_response");
    fails(
        &fire(bulk(), page().answers_with(200, "application/json", r#"{"resources":"none"}"#)),
        "unexpected_response",
    );
}

#[test]
fn a18_no_redirect_is_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("http://{}/v2/lm/deployments", elsewhere.local_addr().unwrap());
    for status in [301, 302, 307, 308] {
        let away = |method| Fault::on(method, "").always().answers(status).header("Location", &location);
        fails(&fire(bulk(), away("GET")), "unexpected_response");
        let fired = fire(single(), away("PATCH"));
        fired.outcome("d001", "failed", "unexpected_response").avoids_nothing();
        assert!(fired.stage.patches().len() <= 3);
    }
    assert!(elsewhere.accept().is_err(), "somebody followed");
}

#[test]
fn a19_a_silent_server_is_waited_for_thirty_seconds() {
    let fired = fire(bulk(), Fault::on("GET", LIST).hangs());
    fired.result("done").stopped(["d001"]);
    assert!((30..180).contains(&took_seconds(&fired)), "{} s", took_seconds(&fired));
    fails(&fire(bulk(), Fault::on("GET", LIST).always().hangs()), "unreachable");
}

#[test]
fn a20_a_body_beyond_all_measure_is_not_read() {
    let huge = vec![b' '; 17 << 20];
    let fired = fire(bulk(), Fault::on("GET", LIST).always().answers_with(200, "application/json", huge));
    fails(&fired, "too_large");
}

#[test]
fn a21_an_id_that_comes_twice_is_asked_once() {
    let fleet = bulk().running("d002", "infer.s");
    let fired = fire(fleet, Fault::on("GET", LIST).always().repeats("d001"));
    fired.result("done").stopped(["d001", "d002"]).asked("d001", 1);
}

#[test]
fn a21_a_list_that_never_agrees_is_said_to_be_inconsistent() {
    let walks = AtomicUsize::new(5);
    let fault = Fault::on("GET", LIST).times(20).rewrites(move |answer| {
        answer["count"] = json!(walks.fetch_add(1, Ordering::Relaxed));
    });
    // Every walk sees another deployment.
    let seen = AtomicUsize::new(0);
    let shifting = Fault::on("GET", LIST).times(20).rewrites(move |answer| {
        let walk = seen.fetch_add(1, Ordering::Relaxed);
        let list = answer["resources"].as_array_mut().unwrap();
        let id = format!("d00{}", walk % 3 + 1);
        list.retain(|one| one["id"] != json!(id));
        answer["count"] = json!(7);
    });
    for fault in [shifting, fault] {
        let fleet = bulk().running("d002", "infer.s").running("d003", "infer.s");
        let fired = fire(fleet, fault);
        for id in fired.stage.patched_ids() {
            fired.asked(&id, 1);
        }
        assert!(fired.run().reason.contains("list_inconsistent") || fired.run().result.as_str() == "done");
    }
}

#[test]
fn a22_what_is_not_understood_is_left() {
    let strange = Fault::on("GET", LIST).always().rewrites(|answer| {
        for one in answer["resources"].as_array_mut().unwrap() {
            match one["id"].as_str().unwrap() {
                "keep-status" => one["status"] = json!("HIBERNATING"),
                "keep-nothing" => one["status"] = json!(null),
                "keep-time" => one["createdAt"] = json!("yesterday"),
                "keep-future" => one["createdAt"] = json!("2036-01-01T00:00:00Z"),
                _ => {
                    one["surprise"] = json!({"a": [1, 2, 3]});
                    one["details"] = json!(null);
                    one["scenarioId"] = json!(null);
                    one["configurationName"] = json!(null);
                }
            }
        }
    });
    let ids = ["keep-status", "keep-nothing", "keep-time", "keep-future"];
    let fleet = ids.into_iter().fold(bulk(), |fleet, id| fleet.running(id, "infer.s"));
    let fired = fire(fleet, strange);
    fired
        .result("done")
        .stopped(["d001"])
        .outcome("keep-status", "left", "status HIBERNATING")
        .outcome("keep-time", "left", "unknown time")
        .outcome("keep-future", "left", "created after")
        .avoids_nothing();
}

#[test]
fn a23_an_error_in_a_bulk_answer_is_that_of_its_deployment_only() {
    let fleet = bulk().running("d002", "infer.s").behaviour(Behaviour::Refuses).running("d003", "infer.s");
    let fired = Scenario::evenings().fleet(fleet).fire();
    fired.result("partial").stopped(["d001", "d003"]).outcome("d002", "failed", "precondition");
    fired.asked("d001", 1).asked("d003", 1).asked("d002", 2);
}

#[test]
fn a24_a_bulk_answer_that_lacks_adds_or_repeats_an_id() {
    let fleet = || bulk().running("d002", "infer.s");
    let fired = fire(fleet(), Fault::on("PATCH", BULK).lacks("d002"));
    fired.result("done").stopped(["d001", "d002"]).asked("d002", 1);
    let looked = fired.stage.count("GET", "/lm/deployments/d002");
    assert_eq!(looked, 1, "a look decides");
    for fault in [
        Fault::on("PATCH", BULK).adds(json!({"id": "keep-foreign", "message": "Deployment modification scheduled"})),
        Fault::on("PATCH", BULK).repeats("d001"),
    ] {
        fire(fleet(), fault).result("done").stopped(["d001", "d002"]).asked("d001", 1).asked("d002", 1);
    }
}

#[test]
fn a24_an_id_that_is_never_answered_for_is_asked_a_limited_number_of_times() {
    let nothing = r#"{"deployments":[]}"#;
    let fault = Fault::on("PATCH", BULK).always().answers_with(202, "application/json", nothing);
    let scenario = Scenario::evenings().fleet(bulk()).fault(fault);
    let odd = Fault::on("PATCH", ONE).always().answers_with(202, "application/json", "{}");
    let fired = scenario.fault(odd).fire();
    fired.result("failed").outcome("d001", "failed", "unexpected_response").asked("d001", 3).avoids_nothing();
}

#[test]
fn a25_the_second_of_three_batches_fails_and_the_first_is_not_repeated() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 250, "infer.s");
    let fired = fire(fleet, Fault::on("PATCH", BULK).skip(1).answers(503));
    fired.result("done");
    assert_eq!(fired.run().totals().stopped, 250);
    let patches = fired.stage.patches();
    let sizes: Vec<usize> = patches.iter().map(|one| one.patched_ids().len()).filter(|size| *size > 1).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(fired.stage.patched_ids().len(), 350, "only the second batch was asked for again, one by one");
}

#[test]
fn a26_a_slow_stop_is_unconfirmed_and_counts_from_what_ai_core_says_later() {
    let mut fired = Scenario::evenings().fleet(bulk().behaviour(Behaviour::Slow)).fire();
    fired.result("failed").outcome("d001", "unconfirmed", "still STOPPING after 15 minutes").avoids_nothing();
    let end = fired.run().off_window.to;
    fired.stage.play_until(end + TimeDelta::hours(1));
    let row = fired.stage.history()[0].deployments[0].clone();
    let settled = row.settlement.clone().expect("settled");
    let from = settled.avoided.from.unwrap();
    let stopped = row.requested_at.unwrap() + TimeDelta::minutes(20);
    assert!((stopped - from).abs() <= TimeDelta::seconds(1), "from its completionTime, not from {from}");
    assert_eq!(settled.avoided.to, Some(end));
    fired.asked("d001", 1);
}

#[test]
fn a27_what_was_changed_before_a_repeat_is_left() {
    let changed = Fault::on("GET", ONE).rewrites(|answer| answer["modifiedAt"] = json!("2026-03-27T18:00:00Z"));
    let scenario = Scenario::evenings().fleet(single()).fault(changed).fault(Fault::on("PATCH", ONE).answers(503));
    scenario.fire().outcome("d001", "left", "changed").asked("d001", 1).avoids_nothing();
}

/// A list is a picture of a moment. Where minutes pass between it and the stop, because AI Core asked for a pause or
/// because there were many stops before, somebody may have given the deployment another model meanwhile.
#[test]
fn a27_what_was_changed_since_an_old_list_is_left() {
    for fleet in [single(), bulk()] {
        let before = Fault::on("GET", LIST).rewrites(|answer| {
            for one in answer["resources"].as_array_mut().unwrap() {
                if one["id"] == json!("keep-d") {
                    one["configurationId"] = json!("the-one-before");
                }
            }
        });
        let pause = Fault::on("GET", "/lm/meta").answers(429).header("Retry-After", "120");
        let fleet = fleet.running("keep-d", "infer.s");
        let fired = Scenario::evenings().fleet(fleet).fault(before).fault(pause).fire();
        fired.result("done").stopped(["d001"]).outcome("keep-d", "left", "changed").asked("d001", 1);
    }
}

#[test]
fn a27_what_was_created_after_the_instant_is_not_touched() {
    let fleet = bulk().running("keep-new", "infer.s").appears_at(Moment::After(LEAD + TimeDelta::minutes(10)));
    let fired = Scenario::evenings().fleet(fleet).fire_late(TimeDelta::hours(1));
    fired.stopped(["d001"]).outcome("keep-new", "left", "created after the instant");
    assert_eq!(fired.run().trigger.as_str(), "catch-up");
}

#[test]
fn a28_ids_that_are_none_are_never_asked_about() {
    let ids = ["..", ".", "", "a/bc", "d%2e", "dépl", &"d".repeat(65), "d001\r\nX: y"].map(str::to_owned);
    let hostile = ids.iter().fold(bulk(), |fleet, id| fleet.deployment(Spec::running("dev-a", id, "infer.s")));
    let fired = Scenario::evenings().fleet(hostile).fire();
    fired.stopped(["d001"]).asked("d001", 1).because("8 deployments of `dev-a` have malformed ids and were left");
    assert!(fired.run().deployments.iter().all(|row| row.outcome == Outcome::Stopped));
}

#[test]
fn a28_names_that_are_meant_to_harm_do_none() {
    let names = [
        "x\r\nBcc: everybody@example.com",
        "<script>alert(1)</script>",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{202e}gnp.exe",
        "=HYPERLINK(\"http://example.com\")",
    ];
    let fleet = names.iter().enumerate().fold(bulk(), |fleet, (n, name)| {
        fleet.running(&format!("d10{n}"), "infer.s").each(|spec| spec.configuration_name = Some((*name).to_owned()))
    });
    let fleet = fleet.running("d200", "infer.s").each(|spec| spec.configuration_name = Some("n".repeat(10_000)));
    let fired = Scenario::evenings().fleet(fleet).fire();
    fired.result("done");
    assert_eq!(fired.run().totals().stopped, 7);
    fired.stage.deliver();
    for file in std::fs::read_dir(fired.stage.mails()).unwrap() {
        let mail = String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned();
        let head = mail.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("Bcc") && !head.contains("script"), "{head}");
        let html = mail.split("Content-Type: text/html").nth(1).unwrap();
        assert!(!html.contains("<script"), "a script in the HTML part");
        assert!(!mail.contains('\u{1b}') && !mail.contains('\u{202e}'), "control characters in the mail");
        assert!(mail.len() < 512 << 10, "{} bytes", mail.len());
    }
}
