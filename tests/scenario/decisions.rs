//! Who is left, and for which reason: the order of the decisions, labels, and holds up to the last second.

use chrono::TimeDelta;
use offhours::domain::deployment::Status;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{DeploymentId, ResourceGroup, RuleName};
use offhours::simulator::{Fault, Fleet, Moment};

use crate::scenario::builder::{EVENINGS, LEAD, Scenario, instant};
use crate::scenario::fired::{row, words};

const OPT_OUT: &str = "ext.ai.sap.com/offhours";
const HOLD_UNTIL: &str = "ext.ai.sap.com/offhours-hold-until";

fn group(name: &str) -> HoldTarget {
    HoldTarget::ResourceGroup(ResourceGroup::new(name).unwrap())
}

/// Every reason at once, taken away one after the other: what is left is the next reason in the order.
#[test]
fn the_first_reason_in_the_order_decides() {
    let steps = [
        "protected: configuration `chat`",
        "excluded: id `d001`",
        "held: by ada",
        "opted out by label",
        "not selected: scenario `foundation-models`",
        "status UNKNOWN",
        "created after the instant",
        "younger than min_age",
        "token-billed",
        "stop",
    ];
    for (index, expected) in steps.into_iter().enumerate() {
        let still = |reason: usize| index <= reason;
        let mut rule = EVENINGS.to_owned();
        rule.push_str(if still(4) { "scenarios = [\"other\"]\n" } else { "scenarios = [\"*\"]\n" });
        if !still(8) {
            rule.push_str("include_token_billed = true\n");
        }
        if still(1) {
            rule.push_str("[rule.exclude]\nids = [\"d001\"]\n");
        }
        let mut fleet = Fleet::new().group("dev-a");
        if still(3) {
            fleet = fleet.label(OPT_OUT, "off");
        }
        fleet = fleet.model("d001", "gpt-4o").configuration("chat");
        fleet = if still(6) {
            fleet.created(instant("2026-03-27T19:00:01+01:00"))
        } else if still(7) {
            fleet.created(instant("2026-03-27T18:40:00+01:00"))
        } else {
            fleet
        };
        if still(5) {
            fleet = fleet.status(&Status::Unknown);
        }
        let mut scenario = Scenario::new().rule(&rule).fleet(fleet);
        if still(0) {
            scenario = scenario.main("[protect]\nconfigurations = [\"chat\"]\n");
        }
        // A deployment made after the instant is listed only then.
        let stage = scenario.at("2026-03-27T19:00:00+01:00").start();
        if still(2) {
            stage.hold(&group("dev-a"), instant("2026-03-28T07:00:00+01:00"));
        }
        stage.wait_until(instant("2026-03-27T19:00:05+01:00"));
        let fired = stage.fire();
        let row = row(fired.run(), "d001");
        if expected == "stop" {
            fired.stopped(["d001"]);
        } else {
            assert_eq!(row.outcome.as_str(), "left", "{expected}: {}", row.sentence());
            assert!(row.sentence().starts_with(expected), "step {index}: {:?} is not {expected:?}", row.sentence());
            fired.patches(0);
        }
    }
}

#[test]
fn a_protected_group_and_an_excluded_name_are_left_although_a_rule_wants_every_group() {
    let fleet = Fleet::new()
        .group("prod-eu")
        .running("keep-1", "infer.s")
        .group("dev-a")
        .running("keep-2", "infer.s")
        .configuration("chat-keep")
        .running("d001", "infer.s");
    let rule = EVENINGS.replace("\"dev-*\"", "\"*\"") + "[rule.exclude]\nconfigurations = [\"*-keep\"]\n";
    let main = "[protect]\nresource_groups = [\"prod*\"]\n";
    Scenario::new().rule(&rule).main(main).fleet(fleet).fire().stopped(["d001"]).asked("d001", 1);
}

#[test]
fn a_label_holds_until_its_instant_and_no_longer() {
    let labelled = |until: &str| {
        let fleet = Fleet::new().group("dev-a").label(HOLD_UNTIL, until).running("d001", "infer.s");
        Scenario::evenings().fleet(fleet).fire()
    };
    labelled("2026-03-27T18:00:01Z").patches(0).outcome("d001", "left", "opted out by label: until");
    labelled("2026-03-27T18:00:00Z").stopped(["d001"]);
    labelled("2026-03-27T19:30:00+01:00").patches(0);
    for unreadable in ["tomorrow", "2026-03-26", "27.03.2026 18:00", " "] {
        labelled(unreadable).patches(0).outcome("d001", "left", "counts as a hold");
    }
}

/// Whoever labels a group wants to keep something on; only three words mean that they do not.
#[test]
fn c73_a_group_whose_label_is_not_understood_is_left_and_the_value_is_named() {
    let labelled = |key: &str, value: &str| {
        let fleet = Fleet::new().group("dev-a").label(key, value).running("d001", "infer.s");
        Scenario::evenings().fleet(fleet).fire()
    };
    for word in ["off", "OFF", " off ", "keep", "Keep"] {
        let said = format!("opted out by label: `offhours` = `{}`", word.trim().to_lowercase());
        labelled(OPT_OUT, word).patches(0).outcome("d001", "left", &said);
    }
    for word in ["on", "true", "yes", " Yes ", "TRUE"] {
        labelled(OPT_OUT, word).stopped(["d001"]);
    }
    for doubt in ["false", "no", "never", "disabled", "\"off\"", "", "aus", "0", "offf"] {
        let said = format!("opted out by label: `offhours` = `{doubt}` is not understood, which counts as `off`");
        labelled(OPT_OUT, doubt).patches(0).outcome("d001", "left", &said);
    }
    labelled("ext.ai.sap.com/OffHours", "off").patches(0);
    let long = labelled(OPT_OUT, &format!("\u{1b}[2J{}", "x".repeat(100)));
    let reason = long.patches(0).run().deployments[0].sentence();
    assert!(reason.contains("`\\u{1b}[2Jxxx") && reason.contains("xxx…` is not"), "{reason}");
}

#[test]
fn c78_a_label_whose_key_only_looks_like_ours_leaves_the_group_whatever_its_value() {
    let labelled = |key: &str| {
        let fleet = Fleet::new().group("dev-a").label(key, "2027-01-01T00:00:00Z").running("d001", "infer.s");
        Scenario::evenings().fleet(fleet).fire()
    };
    let prefix = "ext.ai.sap.com";
    for key in
        ["offhours-hold", "offhours_hold_until", "offhours-until", "off-hours", "Off Hours", "offhour", "offhours."]
    {
        let said = format!("opted out by label: `{prefix}/{key}` is not understood, which counts as `off`");
        labelled(&format!("{prefix}/{key}")).patches(0).outcome("d001", "left", &said);
    }
    for key in ["offhours", "offhours-hold-until", "scenario.ai.sap.com/offhours", "ext.ai.sap.com/offhours/x"] {
        labelled(key).patches(0).outcome("d001", "left", "is not understood");
    }
    for key in ["ext.ai.sap.com/owner", "ext.ai.sap.com/office-hours", "ext.ai.sap.com/hold"] {
        labelled(key).stopped(["d001"]);
    }
}

#[test]
fn c73_a_label_whose_value_is_no_text_is_a_doubt_and_no_missing_label() {
    for value in [serde_json::json!(false), serde_json::Value::Null, serde_json::json!({ "off": true })] {
        let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
        let fault = Fault::on("GET", "/admin/resourceGroups").always().rewrites(move |answer| {
            for group in answer["resources"].as_array_mut().into_iter().flatten() {
                group["labels"] = serde_json::json!([{ "key": OPT_OUT, "value": value }]);
            }
        });
        Scenario::evenings().fleet(fleet).fault(fault).fire().patches(0).outcome("d001", "left", "not understood");
    }
}

#[test]
fn c74_the_mail_of_a_run_says_that_a_calendar_runs_out() {
    let calendar = "skip = [\"2026-04-03\", \"2026-04-06\"]\n";
    let rule = EVENINGS.replace("max_stops", &format!("{calendar}max_stops"));
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
    let mails = |rule: &str| {
        let fired = Scenario::new().rule(rule).fleet(fleet.clone()).fire();
        fired.stage.deliver();
        let files = std::fs::read_dir(fired.stage.mails()).unwrap();
        let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        text.replace("=\r\n", "").replace("\r\n", " ")
    };
    let said = mails(&rule);
    assert!(said.contains("The calendar of `skip` of rule") && said.contains("2026-04-06: after that day"), "{said}");
    assert!(!mails(EVENINGS).contains("The calendar of"));
    assert!(!mails(&rule.replace("2026-04-06", "2027-04-06")).contains("The calendar of"));
}

#[test]
fn a_group_that_is_named_in_full_can_opt_out_as_well() {
    let rule = EVENINGS.replace("\"dev-*\"", "\"dev-a\"");
    let fleet = Fleet::new().group("dev-a").label(OPT_OUT, "off").running("keep-1", "infer.s");
    Scenario::new().rule(&rule).fleet(fleet).fire().result("done").patches(0);
}

#[test]
fn where_labels_cannot_be_asked_for_nothing_is_stopped() {
    let fleet = Fleet::new().group("dev-a").running("keep-1", "infer.s");
    let fault = Fault::on("GET", "/admin/resourceGroups").always().answers(503);
    Scenario::evenings().fleet(fleet).fault(fault).fire().result("failed").because("unreachable").patches(0);
}

/// A hold over a group costs what the rule would have stopped in it, and nothing for what it would have left anyway.
#[test]
fn a_hold_is_priced_by_what_it_kept_from_stopping() {
    let rule = EVENINGS.to_owned() + "configurations = [\"chat\"]\n";
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").configuration("chat");
    let fleet = fleet.running("d002", "infer.s").configuration("search");
    let mut stage = Scenario::new().rule(&rule).fleet(fleet).start();
    stage.hold(&group("dev-a"), stage.now() + TimeDelta::days(7));
    let claimed = stage.claim();
    let run = stage.carry_out(claimed).remove(0);
    let held = |id: &str| row(&run, id).hold() == Some(1);
    assert!(held("d001") && held("d002"), "{:?}", words(&run));
    let nodes = |id: &str| row(&run, id).rate.nodes;
    assert_eq!((nodes("d001"), nodes("d002")), (1, 0));
}

/// A key that may not see the labels, and a gateway's 404 that says nothing about the key: where a label could protect, an
/// unknown label is a doubt.
#[test]
fn where_a_label_could_protect_and_none_can_be_read_nothing_is_stopped() {
    let rule = EVENINGS.replace("\"dev-*\"", "\"dev-a\"");
    let fleet = || Fleet::new().group("dev-a").label(OPT_OUT, "off").label("env", "prod").running("keep-1", "infer.s");
    let asked = || Fault::on("GET", "/admin/resourceGroups").always();
    let protect = "[protect]\nlabels = { \"env\" = \"prod\" }\n";
    let fire = |rule: &str, main: &str, fault| Scenario::new().rule(rule).main(main).fleet(fleet()).fault(fault).fire();
    fire(&rule, protect, asked().answers(403)).result("failed").because("forbidden").patches(0);
    let excluded = rule.clone() + "[rule.exclude]\nlabels = { \"env\" = \"prod\" }\n";
    fire(&excluded, "", asked().answers(403)).result("failed").because("forbidden").patches(0);
    let gateway = asked().answers_with(404, "text/plain", "no such route");
    fire(&rule, "", gateway).result("failed").because("unexpected_response").patches(0);
    let lacks_it = asked().rewrites(|body| body["resources"] = serde_json::json!([]));
    fire(&rule, protect, lacks_it).result("failed").because("unknown_labels: 1 of 1").patches(0);
}

#[test]
fn labels_select_groups() {
    let rule = EVENINGS.replace("resource_groups = [\"dev-*\"]", "labels = { \"ext.ai.sap.com/env\" = \"dev\" }");
    let fleet = Fleet::new()
        .group("alpha")
        .label("ext.ai.sap.com/env", "dev")
        .running("d001", "infer.s")
        .group("beta")
        .label("ext.ai.sap.com/env", "prod")
        .running("keep-1", "infer.s")
        .group("gamma")
        .running("keep-2", "infer.s");
    Scenario::new().rule(&rule).fleet(fleet).fire().result("done").stopped(["d001"]);
}

#[test]
fn every_kind_of_hold_set_a_second_before_the_stop_is_honoured() {
    let targets = [
        group("dev-a"),
        HoldTarget::Deployment(DeploymentId::new("d001").unwrap()),
        HoldTarget::Configuration("chat".to_owned()),
        HoldTarget::Rule(RuleName::new("dev-evenings").unwrap()),
    ];
    for target in targets {
        let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").configuration("chat");
        let stage = Scenario::evenings().fleet(fleet).start();
        stage.wait_until(stage.at - TimeDelta::seconds(1));
        stage.hold(&target, instant("2026-03-28T07:00:00+01:00"));
        stage.fire().result("done").patches(0).outcome("d001", "left", "held: by ada");
    }
}

#[test]
fn a_hold_that_has_ended_holds_nothing() {
    let stage = Scenario::evenings().fleet(Fleet::new().group("dev-a").running("d001", "infer.s")).start();
    stage.hold(&group("dev-a"), stage.at);
    stage.fire().stopped(["d001"]);
}

/// The list has been read and the decision has been made when somebody says "not tonight".
#[test]
fn a_hold_set_between_the_list_and_the_stop_is_honoured() {
    let stage = Scenario::evenings().fleet(Fleet::new().group("dev-a").running("d001", "infer.s")).start();
    stage.simulator.inject(Fault::on("GET", "/lm/meta").delays(std::time::Duration::from_secs(20)));
    let fired = fire_and_hold(stage, TimeDelta::seconds(10));
    fired.result("done").patches(0).outcome("d001", "left", "held: by ada");
}

/// Some batches are sent, the rest waits for AI Core's pause.
#[test]
fn a_hold_set_between_two_batches_saves_the_second() {
    for bulk in [true, false] {
        let fleet = Fleet::new().group("dev-a").running_many("d", 120, "infer.s");
        let fleet = if bulk { fleet } else { fleet.without_bulk() };
        let first = 100;
        let stage = Scenario::evenings().fleet(fleet).start();
        let slow = if bulk { "/lm/deployments" } else { "/lm/deployments/d001" };
        stage.simulator.inject(Fault::on("PATCH", slow).delays(std::time::Duration::from_secs(20)));
        let fired = fire_and_hold(stage, TimeDelta::seconds(10));
        let asked = fired.stage.patched_ids().len();
        assert_eq!(asked, first, "bulk {bulk}");
        assert_eq!(fired.run().tally().stopped, first);
        assert_eq!(fired.run().tally().left, 120 - first);
    }
}

/// A stop was refused for the moment; before it is repeated, somebody says "not tonight".
#[test]
fn a_hold_set_before_a_repeat_is_honoured() {
    let stage =
        Scenario::evenings().fleet(Fleet::new().group("dev-a").running("d001", "infer.s").without_bulk()).start();
    stage.simulator.inject(Fault::on("PATCH", "/d001").answers(503));
    stage.simulator.inject(Fault::on("GET", "/d001").delays(std::time::Duration::from_secs(20)));
    fire_and_hold(stage, TimeDelta::seconds(10)).asked("d001", 1).outcome("d001", "left", "held: by ada");
}

/// Fires, and holds the group so long after the instant.
fn fire_and_hold(mut stage: crate::scenario::stage::Stage, after: TimeDelta) -> crate::scenario::fired::Fired {
    let claimed = stage.claim();
    let (executor, until) = (stage.executor(), stage.at + TimeDelta::hours(12));
    let runs = stage.block_on(async {
        let work = claimed.into_iter().map(|run| executor.carry_out(run, offhours::executor::progress::silent()));
        let hold = async {
            executor.clock.pause(after.to_std().unwrap()).await;
            let now = executor.clock.now();
            let add = move |tx: &offhours::ledger::Tx<'_>| tx.add_hold(&group("dev-a"), until, "training", "ada", now);
            executor.ledger.write(add).await.unwrap();
        };
        tokio::join!(futures_util::future::join_all(work), hold).0
    });
    crate::scenario::fired::Fired { stage, runs }
}

#[test]
fn a_deployment_made_during_the_run_is_not_touched() {
    let fleet = Fleet::new()
        .group("dev-a")
        .running("d001", "infer.s")
        .running("keep-new", "infer.s")
        .appears_at(Moment::After(LEAD + TimeDelta::seconds(10)));
    Scenario::evenings().fleet(fleet).fire().result("done").stopped(["d001"]);
}

#[test]
fn a_token_billed_deployment_that_is_included_is_stopped_and_avoids_nothing() {
    let fleet = Fleet::new().group("dev-a").model("d001", "gpt-4o").running("d002", "infer.s");
    let included = EVENINGS.to_owned() + "include_token_billed = true\n";
    let mut fired = Scenario::new().rule(&included).fleet(fleet.clone()).fire();
    fired.result("done").stopped(["d001", "d002"]);
    assert!(row(fired.run(), "d001").avoided().node_hours.is_zero());
    assert_eq!(row(fired.run(), "d001").avoided().state.as_str(), "token-billed");
    fired.stage.play_until(instant("2026-03-30T08:00:00+02:00"));
    let settled = fired.stage.history().remove(0);
    assert_eq!(row(&settled, "d001").avoided().state.as_str(), "token-billed", "settled, and still nothing");
    assert!(row(&settled, "d001").avoided().cost.is_none());
    Scenario::evenings().fleet(fleet).fire().stopped(["d002"]).outcome("d001", "left", "token-billed");
}
