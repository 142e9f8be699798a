//! Faults a01 to a05: tokens and credentials.

use std::time::Duration;

use chrono::TimeDelta;
use offhours::simulator::{Fault, Fleet};
use serde_json::json;

use crate::scenario::faults::{BULK, LIST, ONE, bulk, fails, fire, fire_once, requests, single};

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
    assert!(again.sentence().contains("auth"), "{}", again.sentence());
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
        let fired = fire_once(bulk(), fault);
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
        assert!((1..=3).contains(&calls), "{calls} token calls for {lifetime}");
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
    assert_eq!(fired.run().tally().stopped, 10);
}
