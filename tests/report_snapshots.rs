//! Whole mails, to be read like prose when they change.

use crate::report_support::{
    berlin, blocked, context, csv, digest, good, history_table, hold, hostile, json_run, last_week, missed, observed,
    partial, planned, trend, utc, week,
};
use chrono::TimeDelta;
use offhours::domain::locale::Locale;
use offhours::domain::run::{Run, RunResult};
use offhours::report::grid::Screen;
use offhours::report::{AttachedFile, CSV, Content, PeriodReport, ReportContext, notice, period_report, run_report};

fn whole(content: &Content) -> String {
    let names: Vec<&str> = content.attachments.iter().map(|a| a.name.as_str()).collect();
    format!("Subject: {}\nAttached: {}\n\n{}", content.subject, names.join(", "), content.text)
}

fn mail(run: &Run) -> Content {
    let zone = berlin();
    run_report(run, &context(&zone))
}

macro_rules! snapshots {
    ($name:literal, $content:expr) => {
        let content = $content;
        insta::assert_snapshot!(concat!($name, "_text"), whole(&content));
        insta::assert_snapshot!(concat!($name, "_html"), content.html);
    };
}

#[test]
fn a_good_run() {
    snapshots!("good", mail(&good()));
}

#[test]
fn a_partial_run() {
    snapshots!("partial", mail(&partial()));
}

#[test]
fn a_blocked_run() {
    snapshots!("blocked", mail(&blocked()));
}

#[test]
fn a_missed_run() {
    snapshots!("missed", mail(&missed()));
}

#[test]
fn an_observed_run() {
    snapshots!("observed", mail(&observed()));
}

#[test]
fn hostile_names() {
    snapshots!("hostile", mail(&hostile()));
}

#[test]
fn a_good_run_for_a_german_reader() {
    let zone = berlin();
    let content = run_report(&good(), &ReportContext { locale: Locale::De, ..context(&zone) });
    insta::assert_snapshot!("german_text", whole(&content));
}

#[test]
fn runs_that_did_not_come_to_anything() {
    let mut subjects = Vec::new();
    for result in RunResult::ALL {
        let mut run = blocked();
        run.result = *result;
        run.reasons.clear();
        let content = mail(&run);
        let body: Vec<&str> = content.text.lines().skip(3).take_while(|line| *line != "--").collect();
        subjects.push(format!("{}\n{}", content.subject, body.join("\n")));
    }
    insta::assert_snapshot!("results", subjects.join("\n\n"));
}

#[test]
fn a_week() {
    let (zone, runs, period, trend) = (berlin(), week(), last_week(), trend());
    let notes = ["The tenant has 2 reserved nodes; they go on costing whatever is stopped.".to_owned()];
    let digest = digest(&runs);
    let report = PeriodReport {
        period: &period,
        digest: &digest,
        trend: &trend,
        holds: &[hold()],
        notes: &notes,
        restates: None,
    };
    let mut content = period_report(&report, &context(&zone));
    let name = format!("{}.csv", period.file_name(&zone));
    content.attachments.push(AttachedFile { name, content_type: CSV.to_owned(), bytes: csv(&runs) });
    snapshots!("week", content);
}

#[test]
fn a_notice() {
    let (zone, run) = (berlin(), good());
    let planned = planned();
    let context = ReportContext { now: utc("2026-11-23T17:00:00Z") - TimeDelta::minutes(1), ..context(&zone) };
    snapshots!("notice", notice(&run.firing.rule, run.firing.at, run.off_window, &planned, &context));
}

#[test]
fn tables_for_a_terminal() {
    let (zone, runs) = (berlin(), week());
    let context = context(&zone);
    insta::assert_snapshot!("history", history_table(&runs, &context));
    insta::assert_snapshot!("summary", offhours::report::run_summary(&partial(), &context, Screen::NARROW));
    insta::assert_snapshot!("summary_observed", offhours::report::run_summary(&observed(), &context, Screen::NARROW));
    for text in [history_table(&runs, &context), offhours::report::run_summary(&hostile(), &context, Screen::NARROW)] {
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn json() {
    insta::assert_snapshot!("run_json", serde_json::to_string_pretty(&json_run(&week()[1])).unwrap());
}
