//! Whole outputs, reviewed like prose.

use chrono::TimeDelta;
use insta::assert_snapshot;
use offhours::simulator::Fleet;
use serde_json::Value;

use crate::cli::said::{flowing, masked};
use crate::process::bench::{Bench, MAIL_TO_FILES, Said, names, now, waits_until};
use crate::support::given::PRICES;

/// A tenant with something of everything a plan can say.
fn tenant() -> Fleet {
    let mut fleet = Fleet::new()
        .group("dev-a")
        .running("d001", "infer.s")
        .configuration("chat")
        .running("d002", "infer.m")
        .configuration("a-configuration-with-a-rather-long-name-keep")
        .running("d003", "mystery.xl")
        .configuration("search")
        .model("d004", "gpt-4o")
        .running("d005", "infer.s")
        .aged(TimeDelta::minutes(5))
        .group("dev-b")
        .label("ext.ai.sap.com/offhours", "off")
        .running("d101", "infer.s")
        .group("prod-a")
        .running("d201", "infer.s");
    fleet.deployments.iter_mut().for_each(|spec| spec.stop_after = TimeDelta::milliseconds(300));
    fleet
}

const RULES: &str = r#"
[[rule]]
name = "evenings"
description = "Nobody uses the dev models after seven"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"
[rule.select]
resource_groups = ["dev-*", "prod-a"]
[rule.exclude]
configurations = ["*-keep"]

[[rule]]
name = "watch"
stop = "30 22 * * *"
until = "0 6 * * *"
mode = "observe"
max_stops = 1
[rule.select]
resource_groups = ["dev-a"]
"#;

const PROTECT: &str = r#"
[protect]
resource_groups = ["prod*"]
"#;

fn bench() -> Bench {
    let bench = Bench::new(tenant(), RULES);
    bench.configure(&format!("{PROTECT}{PRICES}{MAIL_TO_FILES}"));
    bench
}

#[test]
fn check_shows_firings_or_every_fault() {
    let bench = bench();
    assert_snapshot!("check", masked(&bench.transcript(&["check"])));
    let json = bench.run(&["check", "--json"]).ends(0).json();
    assert_eq!(json["rules"][0]["rule"], "evenings");

    bench.write("schedules/rules.toml", &RULES.replace("name = \"watch\"", "nmae = \"watch\"").replace("0 19", "0 25"));
    let said = bench.transcript(&["check"]);
    assert_snapshot!("check_bad", said);
    assert!(said.ends_with("[exit 3]\n"));
}

#[test]
fn next_shows_instants() {
    let bench = bench();
    let arguments = ["next", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-10-24", "--count", "3"];
    assert_snapshot!("next", bench.transcript(&arguments));
    let json = bench.run(&[&arguments[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_snapshot!("next_bad_zone", bench.transcript(&["next", "30 2 * * *", "--timezone", "Europe/Berln"]));
    assert_snapshot!("next_bad_cron", bench.transcript(&["next", "30 25 * * *", "--timezone", "UTC"]));
}

#[test]
fn plan_says_what_it_would_stop_and_why_it_leaves_the_rest_and_sends_no_change() {
    let bench = bench();
    let text = bench.transcript(&["plan"]);
    assert_snapshot!("plan", masked(&text));
    let json = bench.run(&["plan", "evenings", "--json"]).ends(0).json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut wanted = [
            "rule",
            "connection",
            "resource_group",
            "id",
            "configuration_id",
            "configuration_name",
            "scenario_id",
            "executable_id",
            "status",
            "decision",
            "reason",
            "reason_code",
            "hold",
            "nodes",
            "capacity_units_per_hour",
        ];
        wanted.sort_unstable();
        assert_eq!(keys, wanted, "as docs/json.md has them");
    }
    let of = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(
        (of("d001")["decision"].clone(), of("d001")["capacity_units_per_hour"].clone()),
        ("stop".into(), "0.9".into())
    );
    assert_eq!(of("d003")["capacity_units_per_hour"], Value::Null);
    assert_eq!(of("d001")["nodes"], serde_json::json!([{"plan": "infer.s", "count": 1}]));
    assert!(bench.asked().is_empty());
    bench.judge();
}

#[test]
fn u01_in_a_pipe_no_name_is_broken_or_cut() {
    let name = "a-configuration-with-a-name-that-is-so-long-that-no-terminal-of-eighty-columns-has-room-for-it";
    let fleet =
        crate::process::bench::fleet(2).each(|spec| spec.configuration_name = Some(format!("{name}-{}", spec.id)));
    let bench = Bench::new(fleet, RULES);
    for command in [&["plan", "evenings"][..], &["fire", "evenings"], &["history", "evenings"]] {
        let out = bench.run(command).ends(0).out;
        assert!(out.lines().any(|line| line.contains("d001") && line.contains(&format!("{name}-d001"))), "{out}");
    }
}

#[test]
fn u02_a_plan_says_what_the_stops_come_to() {
    let out = bench().run(&["plan", "evenings"]).ends(0).out;
    let total = out.lines().find(|line| line.starts_with("2 would be stopped")).unwrap();
    for part in ["2 would be stopped: EUR 0.86 an hour, EUR ", " until ", "; 1 of them without a price: ", "; 5 left"] {
        assert!(total.contains(part), "`{part}` is not in: {total}");
    }
}

#[test]
fn explain_gives_the_first_reason_of_each_rule() {
    let bench = bench();
    for (name, id) in [("explain", "d001"), ("explain_held_out", "d101"), ("explain_unknown", "d999")] {
        assert_snapshot!(name, masked(&bench.transcript(&["explain", id])));
    }
}

/// By its configuration's name, in a group that no rule means, and where the tenant is away.
#[test]
fn u06_explain_finds_a_deployment_wherever_it_is_and_by_its_name_too() {
    let tenant = Fleet::new().group("dev-a").running("d001", "infer.s").configuration("chat");
    let tenant = tenant.stop_after(TimeDelta::zero());
    let tenant = tenant.group("prod-a").running("d002", "infer.s").configuration("chat");
    let bench = Bench::new(tenant, RULES);
    let main = std::fs::read_to_string(bench.path("offhours.toml")).unwrap();
    bench.write("offhours.toml", &format!("{main}[protect]\nresource_groups = [\"prod-*\"]\n"));
    let said = bench.run(&["explain", "chat"]).ends(0).out;
    for part in [
        "d001 chat in resource group dev-a of dev: RUNNING,",
        "d002 chat in resource group prod-a of dev: RUNNING,",
        "evenings: leave, protected: resource group `prod-*`",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let json = bench.run(&["explain", "d002", "--json"]).ends(0).json();
    assert_eq!((json[0]["resource_group"].as_str(), json[0]["status"].as_str()), (Some("prod-a"), Some("RUNNING")));

    bench.run(&["fire", "evenings"]).ends(0);
    // Nobody listens on the discard port.
    let mut key: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    key["url"] = "http://127.0.0.1:9".into();
    bench.secret_file("dev.json", &key.to_string());
    for wanted in ["d001", "chat"] {
        let said = bench.run(&["explain", wanted]).ends(4);
        assert!(said.out.contains("Before, of d001:") && said.out.contains("evenings: stopped"), "{said:?}");
    }
}

#[test]
fn u08_the_command_line_helps_itself() {
    let bench = bench();
    assert!(bench.run(&["help"]).ends(0).out.contains("Usage: offhours"));
    assert!(bench.run(&["help", "plan"]).ends(0).out.contains("Show it for this time"));
    for command in ["run", "init", "simulator", "man", "schema"] {
        let rest: &[&str] = if command == "simulator" { &["--listen", "127.0.0.1:0"] } else { &[] };
        assert!(!bench.run(&[command, "--help"]).ends(0).out.contains("--json"), "{command}");
        bench.run(&[&[command, "--json"], rest].concat()).ends(2);
        bench.run(&[&["--json", command], rest].concat()).ends(2);
    }
    assert!(bench.run(&["plan", "--help"]).ends(0).out.contains("--json"));
    let script = bench.run(&["completions", "bash"]).ends(0).out;
    for value in ["evenings", "Asia/Kolkata", "last-month"] {
        assert!(script.contains(value), "{value} is not offered");
    }
}

#[test]
fn fire_and_what_it_leaves_behind() {
    let bench = bench();
    let text = bench.transcript(&["fire", "evenings"]);
    // Where a line is broken depends on how large the figures are at this hour.
    let flowing = flowing(&text);
    for part in [
        "in all rows: GROUP dev-a",
        "d# chat stopped EUR #",
        "d# search stopped # node hours",
        "left: # excluded, # opted out by label, # protected, # token-billed, # younger than min_age",
        "evenings@#-#-#T#:#Z done: # stopped, # not confirmed, # left, EUR # avoided (estimate)",
        "evenings: listing deployments # to stop, # left confirming # of #",
    ] {
        assert!(flowing.contains(part), "`{part}` is not in: {flowing}");
    }
    let text = bench.transcript(&["history"]);
    assert_snapshot!("history", masked(&text));
    // One run in full, by its rule and by its firing; and one deployment.
    let text = bench.transcript(&["history", "evenings"]);
    assert_snapshot!("history_of_a_run", masked(&text));
    let run = bench.run(&["history", "--json"]).ends(0).json()[0].clone();
    let firing = run["firing"].as_str().unwrap();
    assert_eq!(bench.run(&["history", firing]).ends(0).out.lines().next(), text.lines().nth(1));
    assert_eq!(bench.run(&["history", firing, "--json"]).ends(0).json(), serde_json::json!([run]));
    assert_snapshot!("history_of_a_deployment", masked(&bench.transcript(&["history", "--deployment", "d002"])));
    let json = bench.run(&["history", "--deployment", "d001", "--since", "yesterday", "--json"]).ends(0).json();
    assert_eq!(json[0]["deployments"].as_array().unwrap().len(), 1, "{json:#}");
    assert_eq!(json[0]["deployments"][0]["outcome"], "stopped");

    let text = bench.transcript(&["mail", "queue"]);
    assert!(masked(&text).contains("# sent a@example.com offhours: # stopped, EUR #"), "{text}");

    // Observed: exits well, stops nothing.
    waits_until("another second", || crate::process::bench::now().timestamp_subsec_millis() < 100);
    let observed = bench.run(&["fire", "watch", "--json"]).ends(0).json();
    assert_eq!((&observed["result"], &observed["totals"]["stopped"]), (&"done".into(), &0.into()));

    let history = bench.run(&["history", "--json"]).ends(0).json();
    assert_eq!(history.as_array().unwrap().len(), 2);
    shape_of_a_run(&history[0]);
    shape_of_a_run(&observed);
    assert_eq!(history[1], observed, "fire --json prints one run of history --json");
    assert_eq!(bench.run(&["history", "--rule", "watch", "--json"]).ends(0).json().as_array().unwrap().len(), 1);
    bench.judge();
}

/// The fields that docs/json.md names; more may come.
fn shape_of_a_run(run: &Value) {
    for key in [
        "firing",
        "rule",
        "connection",
        "scheduled_for",
        "trigger",
        "started_at",
        "finished_at",
        "result",
        "reason",
        "off_window",
        "deployments",
        "totals",
    ] {
        assert!(run.get(key).is_some(), "{key} is missing in {run:#}");
    }
    for deployment in run["deployments"].as_array().unwrap() {
        for key in [
            "resource_group",
            "id",
            "configuration_id",
            "configuration_name",
            "scenario_id",
            "outcome",
            "reason",
            "requested_at",
            "confirmed_at",
            "nodes",
            "avoided",
        ] {
            assert!(deployment.get(key).is_some(), "{key} is missing in {deployment:#}");
        }
        for key in ["from", "to", "node_hours", "capacity_units", "cost", "currency", "state"] {
            assert!(deployment["avoided"].get(key).is_some(), "{key} is missing in {deployment:#}");
        }
    }
    for key in ["stopped", "unconfirmed", "failed", "left", "node_hours", "capacity_units", "cost"] {
        assert!(run["totals"].get(key).is_some(), "{key} is missing in {run:#}");
    }
}

#[test]
fn the_forms_of_a_report_agree() {
    let bench = bench();
    bench.run(&["fire", "evenings"]).ends(0);
    let form = |name: &str| bench.run(&["report", "--period", "today", "--format", name]).ends(0).out;
    let (text, html, csv, json) = (form("text"), form("html"), form("csv"), form("json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    let total = bench.run(&["history", "--json"]).json()[0]["totals"]["cost"].as_str().unwrap().to_owned();
    assert!(json.to_string().contains(&total), "{json:#} lacks {total}");
    for (what, form) in [("text", &text), ("html", &html), ("csv", &csv)] {
        assert!(form.contains(&total), "the {what} lacks {total}:\n{form}");
    }
    bench.run(&["report", "--period", "today", "--output", "today.html", "--format", "html"]).ends(0);
    assert!(std::fs::read_to_string(bench.path("today.html")).unwrap().contains(&total));
    let mails = bench.outbox().len();
    bench.run(&["report", "--period", "today", "--mail"]).ends(0);
    assert_eq!(bench.outbox().len(), mails + 1);
}

#[test]
fn a_rehearsal_is_a_report_in_json() {
    let bench = bench();
    let report = bench.run(&["demo", "--json"]).ends(0).json();
    assert_eq!(report["runs"].as_array().unwrap().len(), 10);
    assert!(report["totals"]["cost"]["EUR"].is_string(), "{report}");
}

#[test]
fn holds_are_added_listed_and_removed_beside_a_running_daemon() {
    let bench = bench();
    // With the usual 30 minutes the youngest would be covered or not, as the next evening is far or near.
    bench.write("schedules/rules.toml", &RULES.replace("\"0 7 * * MON-FRI\"", "\"0 7 * * MON-FRI\"\nmin_age = \"1m\""));
    let daemon = bench.daemon();
    let add = ["hold", "add", "--resource-group", "dev-a", "--until", "200d", "--reason", "a training runs", "--long"];
    assert_snapshot!("hold_add", masked(&bench.transcript(&add)));
    let text = bench.transcript(&["hold", "list"]);
    assert_snapshot!("hold_list", masked(&text));
    let plan = bench.run(&["plan", "evenings", "--json"]).ends(0).json();
    assert!(plan[0]["reason"].as_str().unwrap().contains("held"), "{plan:#}");
    assert_snapshot!("hold_remove", bench.transcript(&["hold", "remove", "1"]));
    assert_snapshot!("hold_remove_again", bench.transcript(&["hold", "remove", "1"]));
    assert_eq!(bench.run(&["hold", "list", "--json"]).ends(0).json(), serde_json::json!([]));

    let without_end = bench.run(&["hold", "add", "--resource-group", "dev-a", "--reason", "x"]).ends(2);
    assert!(without_end.err.contains("--until <TIME>"), "{}", without_end.err);
    assert!(daemon.ends().success());
}

#[test]
fn a_test_mail_arrives() {
    let bench = bench();
    assert!(bench.run(&["mail", "test"]).ends(0).out.starts_with("a@example.com: sent"));
    assert!(bench.outbox()[0].contains("Subject: offhours: test mail"));
    assert_eq!(names(&bench.path("outbox")).len(), 1);
    assert_snapshot!("mail_queue_empty", bench.transcript(&["mail", "queue"]));
    assert_snapshot!("history_empty", masked(&bench.transcript(&["history"])));
}

#[test]
fn papers_are_printed() {
    let bench = bench();
    for shell in ["bash", "zsh", "fish"] {
        assert!(bench.run(&["completions", shell]).ends(0).out.contains("offhours"));
    }
    let man = bench.run(&["man"]).ends(0).out;
    assert!(man.contains(".TH offhours 1"), "{man}");
    for file in ["rules", "offhours"] {
        let schema: Value = bench.run(&["schema", file]).ends(0).json();
        assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    }
    assert_snapshot!("help", bench.transcript(&["--help"]));
}

#[test]
fn a_name_that_is_none_brings_the_nearest() {
    let bench = bench();
    assert_snapshot!("unknown_rule", bench.transcript(&["fire", "evenigns"]));
    assert!(bench.asked().is_empty());
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let bench = bench();
    for arguments in [&["check"][..], &["plan"], &["history"], &["--help"], &["nonsense"]] {
        let said = Said::of(bench.command(arguments).env("NO_COLOR", "1").output().unwrap());
        assert!(!(said.out + &said.err).contains('\x1b'), "{arguments:?}");
    }
}

// More than a hundred are left for one reason: the others have no row, and no command says that nobody saw them.
#[test]
fn p36_what_a_run_left_without_a_row_is_told_by_plan_and_explain_of_the_past() {
    let bench = Bench::new(Fleet::new().group("dev-a").running_many("d", 105, "infer.s"), RULES);
    bench.write("schedules/rules.toml", &RULES.replace("[\"*-keep\"]", "[\"*\"]"));
    let summary = bench.run(&["fire", "evenings"]).ends(0).out;
    assert!(summary.contains("left: 105 excluded"), "{summary}");
    let json = bench.run(&["history", "--json"]).ends(0).json();
    assert_eq!(json[0]["left_out"], serde_json::json!({ "excluded": 5 }));
    assert_eq!((json[0]["deployments"].as_array().unwrap().len(), &json[0]["totals"]["left"]), (100, &105.into()));

    let ledger = rusqlite::Connection::open(bench.state().join(offhours::ledger::FILE)).unwrap();
    ledger.execute("UPDATE run SET scheduled_at = scheduled_at - 7200000", []).unwrap();
    let then = (now() - TimeDelta::hours(1)).to_rfc3339();
    let plan = bench.run(&["plan", "evenings", "--at", &then]).ends(0).out;
    assert!(plan.contains("left, and only counted: 5 excluded"), "{plan}");
    let ids = (1..=105).map(|number| format!("d{number:03}"));
    let kept = |id: &String| {
        ledger.query_row("SELECT EXISTS (SELECT 1 FROM deployment WHERE id = ?1)", [id], |row| row.get(0)).unwrap()
    };
    let (with, without): (Vec<String>, Vec<String>) = ids.partition(kept);
    assert_eq!((with.len(), without.len()), (100, 5));
    let said = bench.run(&["explain", &without[0], "--at", &then]).ends(0).out;
    assert!(
        said.contains(" kept a row of a deployment `")
            && said.contains("such run is evenings@")
            && said.contains("(5 counted)"),
        "{said}"
    );
    let said = bench.run(&["explain", &with[0], "--at", &then]).ends(0).out;
    assert!(said.contains("evenings: left: excluded"), "{said}");
    let said = bench.run(&["explain", &without[0], "--at", &then, "--json"]).ends(0);
    assert!(said.json().as_array().unwrap().is_empty() && said.err.contains("(5 counted)"), "{}", said.err);
}
