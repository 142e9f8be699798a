//! `offhours rehearse` on one's own tenant: evenings with mornings between them, and the reports that would be mailed.

use std::fs;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};
use serde_json::Value;

use crate::process::bench::{Bench, fleet, now};

const DAILY: &str = "[[report]]\nname = \"daily\"\ncron = \"0 8 * * *\"\nperiod = \"yesterday\"\n";

/// The next Monday, of a tenant whose deployments have been there for days.
fn monday() -> NaiveDate {
    now().date_naive().iter_days().skip(1).find(|day| day.weekday() == Weekday::Mon).unwrap()
}

/// A tenant of two, weekday evenings, and no work on Wednesday.
fn bench(monday: NaiveDate) -> Bench {
    let rule = format!(
        "[[rule]]\nname = \"evenings\"\nstop = \"0 19 * * MON-FRI\"\nuntil = \"0 7 * * MON-FRI\"\n\
         holidays = [\"{}\"]\n[rule.select]\nresource_groups = [\"dev-*\"]\n",
        monday + Days::new(2)
    );
    let bench = Bench::new(fleet(2), &rule);
    let main = fs::read_to_string(bench.path("offhours.toml")).unwrap();
    bench.write("offhours.toml", &format!("{main}\n{DAILY}"));
    bench
}

/// Monday to Friday, with more words.
fn week(monday: NaiveDate, more: &[&str]) -> Vec<String> {
    let from = monday.and_time(NaiveTime::from_hms_opt(8, 30, 0).unwrap()).and_utc().to_rfc3339();
    let words = ["rehearse", "--days", "5", "--from", &from];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}

fn rehearse(bench: &Bench, monday: NaiveDate, more: &[&str]) -> Value {
    let words = week(monday, more);
    bench.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).ends(0).json()
}

/// How many each run stopped, oldest first.
fn stopped(report: &Value) -> Vec<u64> {
    let runs = report["runs"].as_array().unwrap();
    runs.iter().map(|run| run["totals"]["stopped"].as_u64().unwrap()).collect()
}

#[test]
fn p93_a_rehearsal_of_ones_own_tenant_has_mornings_and_mails_its_reports() {
    let monday = monday();
    let bench = bench(monday);
    let report = rehearse(&bench, monday, &["--json", "--output", "week"]);
    // On Wednesday nobody deploys, and its evening finds them off.
    assert_eq!(stopped(&report), [2, 2, 0, 2, 2], "{report:#}");
    assert!(report["runs"].as_array().unwrap().iter().all(|run| run["result"] == "done"));
    assert!(!report.to_string().contains("\"ended_by\":\"replacement\""), "nobody deploys inside an off window");
    let mails: Vec<String> = fs::read_dir(bench.path("week/mails"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let reports = mails.iter().filter(|mail| !mail.contains("Firing evenings@")).count();
    assert_eq!((mails.len(), reports), (10, 5), "five runs, and five mornings with a report of the day before");
    assert!(bench.asked().is_empty(), "the real tenant is only read");
}

#[test]
fn p93_without_mornings_only_the_first_evening_stops_anything() {
    let monday = monday();
    let bench = bench(monday);
    let words = week(monday, &["--output", "said"]);
    let said = bench.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).ends(0).out;
    assert!(said.contains("Assumed: what was stopped is deployed again at its rule's `until`"), "{said}");
    assert_eq!(stopped(&rehearse(&bench, monday, &["--json", "--no-redeploy", "--output", "bare"])), [2, 0, 0, 0, 0]);
}
