//! Each exit code, provoked (75 is seen in the process tests, beside a real daemon), and what must never be printed.

use crate::bench::{Bench, fleet, idle_rule};

fn bench() -> Bench {
    Bench::new(fleet(2), &idle_rule("evening"))
}

#[test]
fn fire_ends_0_and_plan_sends_no_patch() {
    let bench = bench();
    bench.run(&["plan"]).ends(0);
    assert!(bench.asked().is_empty());
    let run = bench.run(&["fire", "evening", "--json"]).ends(0).json();
    for field in [
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
        assert!(run.get(field).is_some(), "no `{field}` in {run}");
    }
    bench.judge();
}

#[test]
fn plan_json_has_the_designed_fields() {
    let rows = bench().run(&["plan", "--json"]).ends(0).json();
    for field in [
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
        "nodes",
        "capacity_units_per_hour",
    ] {
        assert!(rows[0].get(field).is_some(), "no `{field}` in {rows}");
    }
}

#[test]
fn a_blocked_run_ends_1_and_asks_for_nothing() {
    let rule = idle_rule("evening").replace("[rule.select]", "max_stops = 1\n[rule.select]");
    let bench = Bench::new(fleet(2), &rule);
    bench.run(&["fire", "evening"]).ends(1);
    assert!(bench.asked().is_empty());
}

#[test]
fn an_unknown_rule_and_a_hold_without_an_end_are_usage() {
    let bench = bench();
    let said = bench.run(&["fire", "evenin"]).ends(2);
    assert!(said.err.contains("did you mean `evening`?"), "{}", said.err);
    bench.run(&["hold", "add", "--rule", "evening", "--reason", "late"]).ends(2);
}

#[test]
fn run_does_not_start_with_a_bad_configuration() {
    let bench = bench();
    bench.write("schedules/rules.toml", "[[rule]]\nname = \"evening\"\nstop = \"0 25 * * *\"\n");
    let said = bench.run(&["run"]).ends(3);
    assert!(said.err.contains("rules.toml:3:8: "), "{}", said.err);
}

#[test]
fn refused_credentials_end_4_and_are_not_printed() {
    let bench = bench();
    let mut key: serde_json::Value = serde_json::from_str(&bench.simulator.service_key()).unwrap();
    key["clientsecret"] = "a-canary-in-the-wrong-place".into();
    bench.secret_file("dev.json", &key.to_string());
    let said = bench.run(&["plan"]).ends(4);
    assert!(said.err.starts_with("error: ") && !said.err.contains("a-canary-in-the-wrong-place"), "{}", said.err);
    assert!(bench.asked().is_empty());
}

#[test]
fn a_damaged_ledger_ends_5_and_is_left_as_it_is() {
    let bench = bench();
    std::fs::create_dir(bench.state()).unwrap();
    let path = bench.state().join(offhours::ledger::FILE);
    let bytes = "no database ".repeat(500);
    std::fs::write(&path, &bytes).unwrap();
    bench.run(&["run"]).ends(5);
    assert_eq!(std::fs::read(&path).unwrap(), bytes.as_bytes());
}

#[test]
fn no_secret_is_printed_at_trace_level() {
    let bench = bench();
    let output = bench.command(&["fire", "evening"]).env("RUST_LOG", "trace").output().unwrap();
    assert!(output.status.success());
    bench.no_secret_in("standard output", &output.stdout);
    bench.no_secret_in("standard error", &output.stderr);
    bench.no_secret_in_files();
}
