//! Reports by the calendar: sent once, with what was asked for, marked where they restate, over weeks that agree.

use chrono::NaiveDate;
use offhours::accounting::period::{Books, reserved_nodes};
use offhours::accounting::reports;
use offhours::domain::money::Currency;
use offhours::domain::period::Span;
use offhours::simulator::{Fleet, Redeployed};
use rust_decimal::Decimal;

use crate::books::every_morning;
use crate::scenario::{Scenario, instant};
use crate::stage::Stage;

const TWO_WEEKLIES: &str = r#"
[[report]]
name = "weekly"
cron = "0 8 * * MON"
period = "last-week"
attach = ["html", "json"]
to = ["finance@example.com"]

[[report]]
name = "weekly-again"
cron = "0 20 * * MON"
period = "last-week"
to = ["finance@example.com"]
"#;

fn morning() -> Redeployed {
    every_morning("0 8 * * MON-FRI")
}

/// The daemon's look at whether a report is due.
fn send_due(stage: &Stage) {
    let (executor, now) = (stage.executor(), stage.now());
    stage.block_on(reports::send_due(&executor.ledger, &executor.config, &executor.tenants, now)).unwrap();
}

fn last_week(stage: &Stage) -> Books {
    books_of(stage, Span::LastWeek)
}

fn books_of(stage: &Stage, span: Span) -> Books {
    let (executor, now, zone) = (stage.executor(), stage.now(), stage.config.zone.clone().unwrap());
    let open = Books::open(Some(&executor.ledger), &stage.config, span, &zone, now, Vec::new());
    stage.block_on(open).unwrap()
}

fn amounts(books: &Books) -> Vec<Option<Decimal>> {
    books.report().trend.points.iter().map(|point| point.amount).collect()
}

/// The text of the newest mail, its line breaks of quoted-printable undone.
fn newest_mail(stage: &Stage) -> String {
    stage.deliver();
    let files = std::fs::read_dir(stage.mails()).unwrap().map(|file| file.unwrap().path());
    std::fs::read_to_string(files.max().unwrap()).unwrap().replace("=\r\n", "")
}

#[test]
fn a_report_is_mailed_once_and_one_that_changed_since_says_so() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").redeployed(&morning());
    let mut stage = Scenario::evenings_with("mail = \"never\"")
        .main(TWO_WEEKLIES)
        .fleet(fleet)
        .at("2026-03-26T19:00:00+01:00")
        .start();
    send_due(&stage);
    // Friday's window ends on Monday at seven, and nobody looks again before the first report.
    let runs = stage.claim();
    stage.carry_out(runs);
    stage.wait_until(instant("2026-03-30T07:59:00+02:00"));
    send_due(&stage);
    assert_eq!(stage.deliver(), 0, "a report that is new begins with its next instant");
    stage.wait_until(instant("2026-03-30T08:00:00+02:00"));
    assert_eq!(last_week(&stage).report().restates, None);
    send_due(&stage);
    send_due(&stage);
    let mail = newest_mail(&stage);
    assert_eq!(stage.deliver(), 1, "one recipient, one mail");
    let attached = |name: &str| mail.contains(&format!("filename=\"{name}\""));
    assert!(attached("offhours-weekly.html") && attached("offhours-weekly.json"), "{mail}");
    assert!(!mail.contains(".csv\""), "nobody asked for it");

    stage.wait_until(instant("2026-03-30T12:00:00+02:00"));
    assert_eq!(last_week(&stage).report().restates, None, "nothing has changed since");
    stage.settle();
    let sent_at = instant("2026-03-30T08:00:00+02:00");
    assert_eq!(last_week(&stage).report().restates.map(|at| at.timestamp()), Some(sent_at.timestamp()));
    let month = books_of(&stage, Span::Month(NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()));
    assert_eq!((month.report().restates, month.report().period.label.as_str()), (None, "March 2026"), "never sent");
    stage.wait_until(instant("2026-03-30T20:00:00+02:00"));
    send_due(&stage);
    assert_eq!(stage.deliver(), 2);
    assert_eq!(last_week(&stage).report().restates, None, "restated once, and true since");
}

#[test]
fn a_day_that_was_reported_before_its_last_run_is_restated() {
    let early = r#"
[[report]]
name = "early"
cron = "30 18 * * *"
period = "today"
to = ["finance@example.com"]
"#;
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
    let mut stage =
        Scenario::evenings_with("mail = \"never\"").main(early).fleet(fleet).at("2026-03-26T18:30:00+01:00").start();
    send_due(&stage);
    stage.wait_until(instant("2026-03-26T18:30:00+01:00"));
    send_due(&stage);
    assert_eq!(books_of(&stage, Span::Today).report().restates, None);
    stage.wait_until(instant("2026-03-26T19:00:00+01:00"));
    let runs = stage.claim();
    stage.carry_out(runs);
    assert!(books_of(&stage, Span::Today).report().restates.is_some());
}

#[test]
fn a_trend_shows_what_the_reports_of_its_weeks_showed() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").redeployed(&morning());
    let mut stage = Scenario::evenings().fleet(fleet).at("2026-03-10T19:00:00+01:00").start();
    let mut shown = Vec::new();
    for monday in ["2026-03-16T09:00:00+01:00", "2026-03-23T09:00:00+01:00", "2026-03-30T09:00:00+02:00"] {
        stage.play_until(instant(monday));
        let trend = amounts(&last_week(&stage));
        let own = trend.last().copied().flatten();
        assert_eq!(trend[..trend.len() - 1], [vec![None; 7 - shown.len()], shown.clone()].concat());
        assert!(own.is_some_and(|own| own > Decimal::ZERO));
        shown.push(own);
    }
    let books = last_week(&stage);
    assert_eq!(books.report().trend.currency.map(Currency::code), Some("EUR"));
    let costs = books.runs().iter().flat_map(|run| &run.deployments).filter_map(|row| row.avoided().cost);
    assert_eq!(shown[2], Some(costs.map(|cost| cost.amount).sum()));
    let labels: Vec<&str> = books.report().trend.points.iter().map(|point| point.label.as_str()).collect();
    assert_eq!(labels[5..], ["W11", "W12", "W13"]);
    let label = |span| books_of(&stage, span).report().period.label.clone();
    assert_eq!(label(Span::Yesterday), "29 Mar 2026");
    assert_eq!(label(Span::LastWeek), "week 13, 23 Mar 2026 to 29 Mar 2026");
    assert_ne!(shown[0], shown[1], "the first week began on a Tuesday");
}

#[test]
fn nodes_that_are_reserved_are_said_to_go_on_costing() {
    let mut fleet = Fleet::new().group("dev-a");
    fleet.tenant.reserved_nodes = [("infer.l".to_owned(), 2), ("infer.s".to_owned(), 0)].into();
    let stage = Scenario::evenings().fleet(fleet).start();
    let executor = stage.executor();
    let notes = stage.block_on(reserved_nodes(&stage.config, &executor.tenants));
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("(2 × infer.l)"), "{notes:?}");
}
