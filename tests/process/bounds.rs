//! Memory has bounds: years of history, reports with attachments and whatever kills the process while it draws one up
//! leave the daemon alive and its rules firing. The bound is `ulimit -d`: an allocation above it ends the process.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use offhours::domain::run::Trigger;
use offhours::ledger::{FILE, Ledger};
use offhours::simulator::{Fault, Fleet};
use rusqlite::{Connection, params};

use crate::process::bench::{Bench, MAIL_TO_FILES, Said, fires_soon, fleet, idle_rule, now, waits_until};

/// What a process may allocate. The program, idle, needs a fifth of it; a row in memory takes more than a kilobyte.
const KIBIBYTES: usize = 40 * 1024;
const RUNS: usize = 200;

/// One run a minute from midnight on.
const FILL_RUNS: &str = "
    WITH RECURSIVE minute(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM minute WHERE n < ?2 - 1)
    INSERT INTO run (rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, finished_at,
                     result, open, executor)
    SELECT 'earlier', ?1 + n * 60000, 'dev', 'enforce', 'schedule', ?1 + n * 60000, ?1 + n * 60000 + 43200000,
           ?1 + n * 60000, ?1 + n * 60000 + 50000, 'done', 0, 'executor-x'
    FROM minute";
/// Each of them with so many stops, at ten cents each, and what people call them.
const FILL_ROWS: &str = "
    WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < ?1)
    INSERT INTO deployment (run, resource_group, id, configuration_id, configuration_name, scenario_id, outcome,
                            requested_at, confirmed_at, nodes, node_count, charge, capacity_units_per_hour, price,
                            currency, price_source, price_valid_from, avoided_from, avoided_to, node_hours,
                            capacity_units, cost, state)
    SELECT run.id, 'dev-' || (i % 20), hex(randomblob(8)), hex(randomblob(12)), 'model-' || hex(randomblob(10)),
           'llm-serving', 'stopped', scheduled_at, scheduled_at + 40000, '[{\"plan\":\"infer.s\",\"count\":1}]', 1,
           'metered', '0.9', '0.95', 'EUR', 'order form 4711', '2020-01-01', scheduled_at + 40000, window_to, '11.98',
           '10.79', '0.10', 'projected'
    FROM run, number WHERE rule = 'earlier'";

const SETTLE: &str = "
    INSERT INTO settlement (run, resource_group, id, settled_at, ended_by, avoided_from, avoided_to, node_hours,
                            capacity_units, cost, state)
    SELECT run, resource_group, d.id, window_to, 'window-end', avoided_from, avoided_to, node_hours, capacity_units,
           cost, 'settled'
    FROM deployment d JOIN run ON run.id = run";

/// Midnight of the day before the last instant that ended two hours ago: what a daily report of that instant covers.
fn reported_at() -> (DateTime<Utc>, DateTime<Utc>) {
    let at = now() - TimeDelta::hours(2);
    let day = at.date_naive().pred_opt().unwrap();
    (at, day.and_time(NaiveTime::MIN).and_utc())
}

fn ledger_of(state: &Path) -> Connection {
    drop(Ledger::open(state).unwrap());
    Connection::open(state.join(FILE)).unwrap()
}

/// A ledger with [`RUNS`] runs from `midnight` on, each of so many rows.
fn fill(state: &Path, midnight: DateTime<Utc>, rows_of_each: i64) {
    let ledger = ledger_of(state);
    ledger.execute(FILL_RUNS, [midnight.timestamp_millis(), i64::try_from(RUNS).unwrap()]).unwrap();
    ledger.execute(FILL_ROWS, [rows_of_each]).unwrap();
    ledger.execute(SETTLE, []).unwrap();
}

/// The last time that the report was sent was long ago.
fn was_sent_before(state: &Path, report: &str) {
    let long_ago = (now() - TimeDelta::days(1)).timestamp_millis();
    let ledger = ledger_of(state);
    ledger.execute("INSERT INTO announced VALUES ('report', ?1, ?2)", params![report, long_ago]).unwrap();
}

/// A report of the day before, due two hours ago.
fn report(name: &str, at: DateTime<Utc>, rest: &str) -> String {
    format!("[[report]]\nname = \"{name}\"\ncron = \"{}\"\nperiod = \"yesterday\"\n{rest}", at.format("%-M %-H * * *"))
}

/// `sh`, which lets what it starts allocate no more than [`KIBIBYTES`].
fn bounded() -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("ulimit -d {KIBIBYTES}; exec \"$0\" \"$@\"")]);
    shell
}

fn within_bounds(bench: &Bench, arguments: &[&str]) -> Said {
    let mut command = bounded();
    command.arg(env!("CARGO_BIN_EXE_offhours")).args(arguments).current_dir(bench.home.path());
    command.env_clear().env("HOME", bench.home.path());
    Said::of(command.output().unwrap())
}

fn days(midnight: DateTime<Utc>) -> String {
    format!("{0}..{0}", midnight.date_naive())
}

#[test]
fn p31_a_report_over_twenty_thousand_rows_is_written_in_every_form_in_little_memory() {
    let bench = Bench::new(Fleet::new(), &idle_rule("evening"));
    let (_, midnight) = reported_at();
    fill(&bench.state(), midnight, 100);
    let period = days(midnight);
    for format in ["text", "html", "csv", "json"] {
        let file = bench.path(&format!("report.{format}"));
        let name = file.to_str().unwrap();
        within_bounds(&bench, &["report", "--period", &period, "--format", format, "--output", name]).ends(0);
        let text = fs::read_to_string(&file).unwrap();
        match format {
            "csv" => assert_eq!(text.lines().count(), 20_001),
            "json" => {
                let report: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(report["totals"]["cost"]["EUR"], "2000.00");
                assert_eq!(report["runs"].as_array().unwrap().len(), RUNS);
            }
            // In HTML no line breaks between a currency and its amount.
            _ => assert!(text.replace('\u{a0}', " ").contains("EUR 2,000.00"), "{text}"),
        }
    }
    let printed = within_bounds(&bench, &["report", "--period", &period, "--format", "csv"]).ends(0);
    assert_eq!(printed.out, fs::read_to_string(bench.path("report.csv")).unwrap());
    assert_eq!(bench.run(&["report", "--period", &period, "--format", "csv"]).out.len(), printed.out.len());
}

#[test]
fn p32_a_history_of_fifty_thousand_rows_is_printed_in_little_memory() {
    let bench = Bench::new(Fleet::new(), &idle_rule("evening"));
    let (_, midnight) = reported_at();
    fill(&bench.state(), midnight, 250);
    let since = midnight.to_rfc3339();
    let table = within_bounds(&bench, &["history", "--since", &since]).ends(0).out;
    let mut lines = table.lines();
    assert!(lines.next().unwrap().ends_with("AVOIDED EUR 25.00"), "what is equal in all rows is said once");
    assert_eq!(lines.filter(|line| line.contains(':')).count(), RUNS, "one line a run");
    let json = within_bounds(&bench, &["history", "--since", &since, "--json"]).ends(0).json();
    let runs = json.as_array().unwrap();
    let rows: usize = runs.iter().map(|run| run["deployments"].as_array().unwrap().len()).sum();
    assert_eq!(rows, 50_000);
}

// What the report and its attachments take whole is several times what the daemon may allocate. A rule comes due while
// it is drawn up.
#[test]
fn p33_a_report_of_the_calendar_over_eight_thousand_rows_leaves_the_daemon_alive_and_its_rules_firing() {
    let bench = Bench::new(fleet(2), &idle_rule("evening"));
    let (at, midnight) = reported_at();
    bench.configure(&format!("{MAIL_TO_FILES}{}", report("daily", at, "attach = [\"csv\", \"json\", \"html\"]\n")));
    fill(&bench.state(), midnight, 40);
    was_sent_before(&bench.state(), "daily");
    bench.write("schedules/rules.toml", &fires_soon("evening"));
    let mut daemon = bench.daemon_within(&mut bounded());
    daemon.waits_for_log("ended done: 2 stopped");
    daemon.waits_for_log("report daily of");
    let run = bench.history().into_iter().find(|run| run.firing.rule.as_str() == "evening").unwrap();
    assert_eq!(run.trigger, Trigger::Schedule, "on time");
    waits_until("both mails", || bench.outbox().len() == 2);
    assert!(daemon.is_up(), "{}", daemon.log());
    let mails = bench.outbox();
    let mail = mails.iter().find(|mail| mail.contains("offhours-daily.html")).unwrap();
    assert!(mail.contains("EUR 800.00") && mail.contains(".csv.gz\"") && mail.contains(".json.gz\""));
    assert!(mail.len() < 8_000_000, "{} bytes", mail.len());
    bench.judge();
}

/// A tenant that never answers what a report asks of it first: whoever draws the report up can be killed just then.
fn bench_with_a_deadly_report() -> Bench {
    let bench = Bench::new(fleet(1), &idle_rule("evening"));
    let (at, _) = reported_at();
    bench.configure(&format!("{MAIL_TO_FILES}{}", report("deadly", at, "")));
    was_sent_before(&bench.state(), "deadly");
    bench.simulator.inject(Fault::on("GET", "/admin/resources/nodes").always().hangs());
    bench
}

fn waits_for_report(bench: &Bench, times: usize) {
    bench.waits_for_request("the report", times, |entry| entry.target.ends_with("/admin/resources/nodes"));
}

#[test]
fn p34_a_report_that_has_ended_the_process_twice_is_put_aside_and_told() {
    let bench = bench_with_a_deadly_report();
    for death in 1..=2 {
        let daemon = bench.daemon();
        waits_for_report(&bench, death);
        daemon.kill();
    }
    bench.write("schedules/rules.toml", &fires_soon("evening"));
    let mut daemon = bench.daemon();
    daemon.waits_for_log("made offhours crash 2 times");
    daemon.waits_for_log("offhours report --period ");
    let run = bench.waits_for_run();
    assert_eq!(run.tally().stopped, 1);
    assert!(daemon.is_up());
    let asked =
        bench.simulator.journal().iter().filter(|entry| entry.target.ends_with("/admin/resources/nodes")).count();
    assert_eq!(asked, 2, "it is not begun a third time");
    let status = bench.run(&["status"]);
    assert!(status.out.replace('\n', " ").contains("not tried again: report deadly of "), "{}", status.out);
    let json = bench.run(&["status", "--json"]).json();
    assert_eq!(json["put_aside"][0]["name"], "deadly");
    bench.judge();
}

// SIGTERM in the middle of a report is no fault of the report.
#[test]
fn p34_a_report_that_a_stop_of_the_daemon_cut_off_is_drawn_up_by_the_next_start() {
    let bench = bench_with_a_deadly_report();
    for stop in 1..=3 {
        let daemon = bench.daemon();
        waits_for_report(&bench, stop);
        assert!(daemon.ends().success());
    }
    bench.simulator.heal();
    let daemon = bench.daemon();
    daemon.waits_for_log("report deadly of");
    waits_until("its mail", || bench.outbox().len() == 1);
    bench.judge();
}
