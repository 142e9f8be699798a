//! What a person writes to keep something on is heard, or the person learns that it is not.

use std::fs;

use chrono::TimeDelta;
use insta::assert_snapshot;
use offhours::simulator::{Fault, Fleet};

use crate::cli::said::{flowing, masked};
use crate::process::bench::{Bench, Daemon, MAIL_TO_FILES, fires_at, fires_soon, fleet, idle_rule, names, now, rule};
use crate::support::given::PRICES;

fn hold<'a>(target: [&'a str; 2], until: &'a str) -> Vec<&'a str> {
    vec!["hold", "add", target[0], target[1], "--until", until, "--reason", "training night"]
}

/// A tenant with two deployments, a rule that stops them in three days, and the daemon.
fn bench() -> (Bench, Daemon) {
    let fleet = Fleet::new()
        .group("dev-vision")
        .running("d11invoice", "infer.s")
        .configuration("invoice-ocr")
        .running("d12detect", "infer.m")
        .configuration("detect");
    let bench = Bench::new(fleet, &fires_at("evening", now() + TimeDelta::days(3)));
    bench.configure(&format!("{PRICES}{MAIL_TO_FILES}"));
    let daemon = bench.daemon();
    (bench, daemon)
}

#[test]
fn u21_a_command_that_holds_or_reads_makes_no_ledger_and_a_hold_that_nobody_would_read_is_refused() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let said = bench.run(&hold(["--rule", "evening"], "12h")).ends(5);
    assert!(said.err.contains("there is no ledger in") && said.err.contains("offhours run"), "{}", said.err);
    bench.run(&["hold", "remove", "1"]).ends(5);
    for (command, code) in [
        (&["hold", "list"][..], 0),
        (&["history"], 0),
        (&["mail", "queue"], 0),
        (&["plan"], 0),
        (&["explain", "d001"], 0),
        (&["status"], 1),
        (&["ledger", "verify"], 5),
        (&["ledger", "backup", "copy"], 5),
        (&["ledger", "trust-clock"], 5),
    ] {
        bench.run(command).ends(code);
        assert!(!bench.state().exists(), "{command:?} made a state directory");
    }
}

#[test]
fn u22_whoever_holds_something_learns_what_stays_on_when_at_what_cost_and_what_comes_next() {
    let (bench, daemon) = bench();
    let one = bench.transcript(&hold(["--deployment", "d11invoice"], "5d"));
    assert_snapshot!("hold_one", masked(&one));
    let group = bench.run(&[&hold(["--resource-group", "dev-vision"], "5d")[..], &["--json"]].concat()).ends(0).json();
    assert_eq!(group["covers"].as_array().unwrap().len(), 2);
    assert_eq!(group["firings"].as_array().unwrap().len(), 1);
    assert!(group["cost"].is_string() && group["currency"] == "EUR", "{group}");
    assert_eq!((&group["daemon_runs"], &group["warnings"]), (&true.into(), &serde_json::json!([])));
    assert!(daemon.ends().success());
}

/// A hold that ends before the next firing keeps nothing on then.
#[test]
fn u06_explain_says_that_a_hold_is_over_at_the_next_firing() {
    let (bench, daemon) = bench();
    for (until, stops_then) in [("1d", true), ("5d", false)] {
        bench.run(&hold(["--deployment", "d11invoice"], until)).ends(0);
        let said = bench.run(&["explain", "d11invoice"]).ends(0).out;
        assert!(said.contains("evening: leave, held: "), "{said}");
        assert_eq!(said.contains(", then: stop)"), stops_then, "{said}");
    }
    let other = bench.run(&["explain", "d12detect"]).ends(0).out;
    assert!(other.contains("evening: stop (") && !other.contains("then:"), "{other}");
    assert!(daemon.ends().success());
}

#[test]
fn u23_a_name_with_a_typing_error_holds_nothing_and_the_right_one_is_named() {
    let (bench, daemon) = bench();
    for (target, right) in [
        (["--deployment", "d11invioce"], "d11invoice"),
        (["--resource-group", "dev-visoin"], "dev-vision"),
        (["--configuration", "invoice-orc"], "invoice-ocr"),
        (["--rule", "evenings"], "evening"),
        (["--deployment", "invoice-ocr"], "--configuration invoice-ocr"),
        (["--configuration", "dev-vision"], "--resource-group dev-vision"),
        (["--resource-group", "d12detect"], "--deployment d12detect"),
    ] {
        let said = bench.run(&hold(target, "5d")).ends(2);
        assert!(said.err.contains(&format!("did you mean `{right}`?")), "{}", said.err);
        assert!(said.err.contains("--anyway"), "{}", said.err);
    }
    assert_eq!(bench.run(&["hold", "list", "--json"]).ends(0).json(), serde_json::json!([]));
    let anyway = [&hold(["--deployment", "d13later"], "5d")[..], &["--anyway"]].concat();
    assert!(bench.run(&anyway).ends(0).out.contains("d13later` was not found"));
    assert!(daemon.ends().success());
}

#[test]
fn u23_a_name_that_cannot_be_looked_up_is_held() {
    let (bench, daemon) = bench();
    bench.simulator.inject(Fault::on("GET", "").always().answers(403));
    let said = bench.run(&hold(["--deployment", "d13later"], "5d")).ends(0);
    assert!(said.out.contains("warning: not everything could be looked at"), "{}", said.out);
    assert!(bench.run(&["hold", "list"]).ends(0).out.contains("d13later"));
    assert!(daemon.ends().success());
}

#[test]
fn u24_a_hold_that_changes_nothing_says_so() {
    let (bench, daemon) = bench();
    let said = bench.run(&hold(["--deployment", "d11invoice"], "2d")).ends(0);
    assert!(said.out.contains("no rule fires before this hold ends"), "{}", said.out);
    assert!(said.out.contains("next stop"), "{}", said.out);
    assert!(daemon.ends().success());
    let said = bench.run(&hold(["--deployment", "d11invoice"], "5d")).ends(0);
    assert!(said.out.contains("no daemon uses this ledger now"), "{}", said.out);
}

/// A firing that waits for the daemon, and one that is at work, ask for holds before each stop.
#[test]
fn u24_a_hold_counts_the_firing_that_is_due_and_the_run_that_is_under_way() {
    let bench = Bench::new(fleet(2), &fires_soon("evening"));
    bench.stays_stopping();
    let daemon = bench.daemon();
    bench.waits_for_patch();
    let said = bench.run(&hold(["--rule", "evening"], "1h")).ends(0);
    assert!(said.out.contains("rule evening, which has come"), "{}", said.out);
    assert!(!said.out.contains("no rule fires"), "{}", said.out);

    let (since, run) = (bench.run(&["history"]).ends(0).out, bench.run(&["history", "evening"]).ends(0).out);
    assert!(since.contains("under way: evening, ") && run.contains("under way: evening, "), "{since}{run}");
    let report = bench.run(&["report", "--period", "today"]).ends(0).out;
    assert!(report.contains("No run has ended yet.") && !report.contains("No rule fired"), "{report}");
    assert!(report.contains("A run of rule evening is under way"), "{report}");
    assert!(daemon.ends().success());

    // A firing by hand that comes too early hides nothing of the run that is to be gone on with.
    let status = bench.run(&["status"]).ends(1).out;
    assert!(status.contains("interrupted"), "{status}");
    let run = bench.run(&["history", "evening"]).ends(0).out;
    assert!(flowing(&run).contains("its next start looks at what was asked for"), "{run}");
}

#[test]
fn u24_a_firing_that_came_while_no_daemon_ran_is_kept_from_stopping() {
    let at = |hours: i64| (now() + TimeDelta::hours(hours)).format("%-M %-H %-d %-m *").to_string();
    let bench = Bench::new(fleet(1), &rule("evening", &at(-1)).replace("0 0 1 1 *", &at(12)));
    assert!(bench.daemon().ends().success());
    bench.was_dealt_with_until(now() - TimeDelta::hours(2));
    let said = bench.run(&hold(["--deployment", "d001"], "1h")).ends(0);
    assert!(said.out.contains("rule evening, which has come"), "{}", said.out);
    let daemon = bench.daemon();
    let run = bench.waits_for_run();
    assert_eq!(run.deployments[0].outcome.as_str(), "left", "{run:?}");
    assert!(daemon.ends().success());
}

#[test]
fn u24_a_hold_on_a_rule_that_observes_names_that_and_of_two_holds_the_longer_one_is_told() {
    let rule = fires_at("evening", now() + TimeDelta::days(3)).replace("until", "mode = \"observe\"\nuntil");
    let bench = Bench::new(fleet(1), &rule);
    let daemon = bench.daemon();
    let said = bench.run(&hold(["--rule", "evening"], "5d")).ends(0).out;
    assert!(said.contains("(rule evening observes and stops nothing)"), "{said}");
    let until = |days: i64| (now() + TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    for days in [9, 7] {
        bench.run(&hold(["--deployment", "d001"], &until(days))).ends(0);
    }
    let long = bench.run(&["hold", "list", "--json"]).ends(0).json()[1]["until"].as_str().unwrap().to_owned();
    let plan = bench.run(&["plan", "--json"]).ends(0).out;
    assert!(plan.contains(&format!("until {long}")), "{plan}");
    assert!(daemon.ends().success());
}

#[test]
fn u25_more_than_thirty_days_are_asked_for_in_so_many_words() {
    let (bench, daemon) = bench();
    let said = bench.run(&hold(["--deployment", "d11invoice"], "31d")).ends(2);
    assert!(said.err.contains("`--long`"), "{}", said.err);
    let long = |until: &'static str| [&hold(["--deployment", "d11invoice"], until)[..], &["--long"]].concat();
    bench.run(&long("31d")).ends(0);
    let said = bench.run(&long("9999-01-01")).ends(2);
    assert!(said.err.contains("a year at most") && said.err.contains("keep"), "{}", said.err);
    assert!(daemon.ends().success());
}

#[test]
fn u26_a_broken_file_of_another_team_keeps_nobody_from_holding_and_reading() {
    let (bench, daemon) = bench();
    bench.write("schedules/another-team.toml", "[[rule]]\nname = \"broken\"\nstop = \"0 25 * * *\"\n");
    let said = bench.run(&hold(["--deployment", "d11invoice"], "5d")).ends(0);
    assert!(said.err.contains("another-team.toml:3:8"), "{}", said.err);
    assert!(said.out.contains("keeps on"), "{}", said.out);
    for command in [&["hold", "list"][..], &["history"], &["mail", "queue"], &["explain", "d11invoice"]] {
        let said = bench.run(command).ends(0);
        assert!(said.err.contains("another-team.toml:3:8"), "{command:?}: {}", said.err);
    }
    bench.run(&["hold", "remove", "1"]).ends(0);
    for command in [&["check"][..], &["plan"], &["fire", "evening"], &["run"]] {
        bench.run(command).ends(3);
    }
    assert!(daemon.ends().success());
}

#[test]
fn u26_where_the_ledgers_place_cannot_be_told_nothing_is_held_in_another() {
    let (bench, daemon) = bench();
    bench.write("offhours.toml", "this is = not toml at all\n");
    bench.run(&hold(["--deployment", "d11invoice"], "5d")).ends(3);
    assert!(!bench.home.path().join(".local").exists());
    assert!(daemon.ends().success());
}

#[test]
fn u27_a_configuration_that_is_not_in_force_is_said_by_status_and_by_each_mail() {
    let bench = Bench::new(fleet(1), &fires_soon("evening"));
    let daemon = bench.daemon();
    assert_eq!(bench.run(&["status", "--json"]).ends(0).json()["amiss"], serde_json::json!([]));
    // Somebody protects the group and makes a mistake; the daemon does not even hear of it.
    let main = fs::read_to_string(bench.path("offhours.toml")).unwrap();
    bench.write("offhours.toml", &format!("{main}[protect]\nresource_group = [\"dev-*\"]\n"));
    bench.waits_for_run();
    let status = bench.run(&["status"]).ends(1);
    assert!(status.out.contains("not the one in force"), "{}", status.out);
    assert!(bench.run(&["status", "--json"]).ends(1).json()["amiss"][0].as_str().unwrap().contains("a fault"));
    let mail = bench.outbox().concat();
    assert!(mail.contains("ACTION NEEDED") && mail.contains("not the one in force"), "{mail}");
    assert!(!mail.contains("Nothing here needs a person"), "{mail}");
    assert!(daemon.ends().success());
}

#[test]
fn u27_two_configurations_that_share_a_ledger_are_told_so() {
    let one = Bench::new(fleet(1), &idle_rule("evening"));
    let daemon = one.daemon();
    let other = Bench::new(fleet(1), &idle_rule("night"));
    let text = fs::read_to_string(other.path("offhours.toml")).unwrap();
    let shared = format!("state_dir = \"{}\"", one.state().display());
    other.write("offhours.toml", &text.replace("state_dir = \"state\"", &shared));
    let status = flowing(&other.run(&["status"]).ends(1).out);
    assert!(status.contains("The daemon uses another configuration, `"), "{status}");
    assert!(status.contains("Give it its own `state_dir`") && !status.contains("not the one in force"), "{status}");
    let said = other.run(&["run"]).ends(75).err;
    assert!(said.contains("which uses `") && said.contains("each needs its own `state_dir`"), "{said}");
    assert!(!one.run(&["status"]).ends(0).out.contains("another configuration"));
    assert!(daemon.ends().success());
}

/// Whoever may not read the service key may know how things stand.
#[test]
fn u27_what_only_the_ledger_answers_needs_no_key() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let daemon = bench.daemon();
    fs::remove_file(bench.path("dev.json")).unwrap();
    for command in [&["status"][..], &["history"], &["hold", "list"], &["mail", "queue"]] {
        let said = bench.run(command).ends(0);
        assert!(!said.err.contains("faults") && !said.out.contains("fault"), "{command:?}: {}{}", said.err, said.out);
    }
    assert!(daemon.ends().success());
}

#[test]
fn u28_what_a_notice_prints_holds_from_any_directory() {
    let bench = Bench::new(
        fleet(2),
        &fires_at("evening", now() + TimeDelta::hours(2)).replace("[rule.select]", "notice = \"3h\"\n[rule.select]"),
    );
    let daemon = bench.daemon();
    crate::process::bench::waits_until("a notice", || !bench.outbox().is_empty());
    let notice = bench.outbox().concat().replace("=\r\n", "").replace("=3D", "=");
    let command = notice.lines().find(|line| line.contains("hold add --deployment d001")).unwrap().trim().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let words = shlex::split(&command.replace("WHY", "training")).unwrap();
    assert_eq!(words[0], "offhours");
    let mut held = bench.command(&words[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let held = crate::process::bench::Said::of(held.current_dir(elsewhere.path()).output().unwrap()).ends(0);
    assert!(held.out.contains("keeps on   1 deployment"), "{}", held.out);
    assert_eq!(names(elsewhere.path()), Vec::<String>::new());
    assert!(daemon.ends().success());
}

#[test]
fn u29_a_demo_takes_the_place_of_an_earlier_one_and_of_nothing_else() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.run(&["demo"]).ends(0);
    let mails = names(&bench.path("offhours-demo/mails")).len();
    bench.run(&["demo"]).ends(0);
    assert_eq!(names(&bench.path("offhours-demo/mails")).len(), mails, "none of the earlier demo's is left");
    let before = fs::read_to_string(bench.path("offhours.toml")).unwrap();
    let said = bench.run(&["demo", "--output", "."]).ends(2);
    assert!(said.err.contains("not the demo's"), "{}", said.err);
    assert_eq!(fs::read_to_string(bench.path("offhours.toml")).unwrap(), before);
}

#[test]
fn a_backup_goes_through_a_pipe_and_comes_back_through_one() {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    bench.run(&["fire", "evening"]).ends(0);
    let mut backup = bench.command(&["ledger", "backup", "-"]);
    let backup = backup.stdout(fs::File::create(bench.path("monday")).unwrap()).output().unwrap();
    assert!(backup.status.success());
    assert!(String::from_utf8(backup.stderr).unwrap().contains("1 run, 1 deployment, 1 mail"));
    let mut restore = bench.command(&["ledger", "restore", "-"]);
    let restore = restore.stdin(fs::File::open(bench.path("monday")).unwrap()).output().unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    bench.run(&["ledger", "verify"]).ends(0);
    assert!(names(&bench.state()).iter().all(|name| !name.contains("stream")), "{:?}", names(&bench.state()));
}
