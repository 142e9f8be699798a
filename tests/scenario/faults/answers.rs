//! Faults a16 to a28: answers that broke off, are something else, change under us, or mean harm.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use offhours::domain::run::Outcome;
use offhours::simulator::{Behaviour, Fault, Fleet, Moment, Spec};
use serde_json::json;

use crate::scenario::builder::{LEAD, Scenario};
use crate::scenario::faults::{BULK, LIST, ONE, bulk, fails, fire, fire_once, requests, single, took_seconds};

#[test]
fn a16_a_list_that_broke_off_is_read_again_and_never_acted_on() {
    let fleet = || bulk().running_many("e", 30, "infer.s");
    fire(fleet(), Fault::on("GET", LIST).truncates()).result("done").patches(1);
    // A page whose head promises more than comes, and one that says nothing of its length.
    let half = r#"{"count":2,"resources":[{"id":"keep-half","status":"RUNNING"},{"id""#;
    for fault in
        [Fault::on("GET", LIST).truncates(), Fault::on("GET", LIST).answers_with(200, "application/json", half)]
    {
        let fired = fire_once(fleet(), fault.always());
        fails(&fired, "broke");
        assert_eq!(requests(&fired, "GET", LIST), 3, "a person is told at once");
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
    fails(&fire_once(bulk(), page().answers_with(200, "text/html", "<html>log in</html>")), "unexpected_response");
    fails(&fire_once(bulk(), page().answers_with(204, "application/json", "")), "unexpected_response");
    fails(
        &fire_once(bulk(), page().answers_with(200, "application/json", r#"{"resources":"none"}"#)),
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
        fails(&fire_once(bulk(), away("GET")), "unexpected_response");
        let fired = fire_once(single(), away("PATCH"));
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
    fails(&fire_once(bulk(), Fault::on("GET", LIST).always().hangs()), "unreachable");
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
        assert!(fired.run().sentence().contains("list_inconsistent") || fired.run().result.as_str() == "done");
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
    let fired = scenario.fault(odd).fire_by_hand("dev-evenings");
    fired.result("failed").outcome("d001", "failed", "unexpected_response").asked("d001", 3).avoids_nothing();
}

#[test]
fn a25_the_second_of_three_batches_fails_and_the_first_is_not_repeated() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 250, "infer.s");
    let fired = fire(fleet, Fault::on("PATCH", BULK).skip(1).answers(503));
    fired.result("done");
    assert_eq!(fired.run().tally().stopped, 250);
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
    assert_eq!(fired.run().tally().stopped, 7);
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
