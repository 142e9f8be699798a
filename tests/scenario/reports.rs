//! Reports by the calendar: sent once, with what was asked for, marked where they restate, over weeks that agree.

use chrono::{DateTime, NaiveDate, Utc};
use offhours::accounting::period::reserved_nodes;
use offhours::accounting::reports;
use offhours::domain::money::Currency;
use offhours::domain::period::Span;
use offhours::ledger::LedgerError;
use offhours::simulator::{Fleet, Redeployed};
use rust_decimal::Decimal;

use crate::scenario::books::{every_morning, runs_of, with_books};
use crate::scenario::builder::{Scenario, instant};
use crate::scenario::stage::Stage;

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
    let send_due = async {
        for schedule in &executor.config.reports {
            if let Some(at) = reports::due(&executor.ledger, schedule, now).await? {
                let (ledger, config, tenants) = (&executor.ledger, &executor.config, &executor.tenants);
                reports::send(ledger, config, tenants, schedule, at, now).await?;
            }
        }
        Ok::<_, LedgerError>(())
    };
    stage.block_on(send_due).unwrap();
}

/// What a report of last week has to say.
fn last_week(stage: &Stage) -> Shown {
    shown(stage, Span::LastWeek)
}

struct Shown {
    label: String,
    restates: Option<DateTime<Utc>>,
    currency: Option<&'static str>,
    amounts: Vec<Option<Decimal>>,
    labels: Vec<String>,
    costs: Decimal,
}

fn shown(stage: &Stage, span: Span) -> Shown {
    with_books(stage, span, |books| {
        let report = books.report();
        let points = &report.trend.points;
        let costs = runs_of(&books).into_iter().flat_map(|run| run.deployments);
        Shown {
            label: report.period.label.clone(),
            restates: report.restates,
            currency: report.trend.currency.map(Currency::code),
            amounts: points.iter().map(|point| point.amount).collect(),
            labels: points.iter().map(|point| point.label.clone()).collect(),
            costs: costs.filter_map(|row| row.avoided().cost).map(|cost| cost.amount).sum(),
        }
    })
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
    assert_eq!(last_week(&stage).restates, None);
    send_due(&stage);
    send_due(&stage);
    let mail = newest_mail(&stage);
    assert_eq!(stage.deliver(), 1, "one recipient, one mail");
    let attached = |name: &str| mail.contains(&format!("filename=\"{name}\""));
    assert!(attached("offhours-weekly.html") && attached("offhours-weekly.json"), "{mail}");
    assert!(!mail.contains(".csv\""), "nobody asked for it");

    stage.wait_until(instant("2026-03-30T12:00:00+02:00"));
    assert_eq!(last_week(&stage).restates, None, "nothing has changed since");
    stage.settle();
    let sent_at = instant("2026-03-30T08:00:00+02:00");
    assert_eq!(last_week(&stage).restates.map(|at| at.timestamp()), Some(sent_at.timestamp()));
    let month = shown(&stage, Span::Month(NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()));
    assert_eq!((month.restates, month.label.as_str()), (None, "March 2026"), "never sent");
    stage.wait_until(instant("2026-03-30T20:00:00+02:00"));
    send_due(&stage);
    assert_eq!(stage.deliver(), 2);
    assert_eq!(last_week(&stage).restates, None, "restated once, and true since");
}

/// As many deployments as `names`, in the one run that the ledger holds.
fn add_rows(stage: &Stage, names: impl Iterator<Item = String>) {
    let database = stage.database();
    database.execute_batch("BEGIN; CREATE TEMP TABLE one AS SELECT * FROM deployment LIMIT 1").unwrap();
    for (number, name) in names.enumerate() {
        let id = format!("x{number:04}");
        database.execute("UPDATE one SET id = ?1, configuration_name = ?2", [id, name]).unwrap();
        database.execute("INSERT INTO deployment SELECT * FROM one", []).unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
}

// Names of ten kilobytes that nobody can compress: JSON shows them whole, a CSV does not.
#[test]
fn e22_what_is_too_large_for_a_mail_is_left_out_of_it_and_the_mail_is_sent() {
    let nightly = r#"
[[report]]
name = "nightly"
cron = "0 20 * * *"
period = "today"
attach = ["csv", "json", "html"]
to = ["finance@example.com"]
"#;
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s");
    let mut stage =
        Scenario::evenings_with("mail = \"never\"").main(nightly).fleet(fleet).at("2026-03-26T19:00:00+01:00").start();
    send_due(&stage);
    let runs = stage.claim();
    stage.carry_out(runs);
    let mut noise = fastrand::Rng::with_seed(22);
    add_rows(&stage, (0..500).map(|_| std::iter::repeat_with(|| noise.alphanumeric()).take(10_000).collect()));
    stage.wait_until(instant("2026-03-26T20:00:00+01:00"));
    send_due(&stage);
    let mail = newest_mail(&stage);
    assert!(mail.len() < 1_000_000, "{} bytes", mail.len());
    // As quoted-printable has it: a line that ends with an equals sign goes on, and a header's goes on after a space.
    let mail = mail.replace("=\r\n", "");
    let files: Vec<&str> = mail.lines().filter(|line| line.contains("filename")).collect();
    let has = |name: &str| files.iter().any(|line| line.contains(name));
    assert!(has("offhours-2026-03-26") && has("offhours-nightly.html") && !has("offhours-nightly.json"), "{files:#?}");
    let said = mail.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "The JSON is too large for a mail, also compressed: `offhours report --period 2026-03-26..2026-03-26 \
                    --format json --output FILE` writes it.";
    assert!(said.contains(sentence), "{}", &said[..20_000.min(said.len())]);
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
    assert_eq!(shown(&stage, Span::Today).restates, None);
    stage.wait_until(instant("2026-03-26T19:00:00+01:00"));
    let runs = stage.claim();
    stage.carry_out(runs);
    assert!(shown(&stage, Span::Today).restates.is_some());
}

#[test]
fn a_trend_shows_what_the_reports_of_its_weeks_showed() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").redeployed(&morning());
    let mut stage = Scenario::evenings().fleet(fleet).at("2026-03-10T19:00:00+01:00").start();
    let mut weeks = Vec::new();
    for monday in ["2026-03-16T09:00:00+01:00", "2026-03-23T09:00:00+01:00", "2026-03-30T09:00:00+02:00"] {
        stage.play_until(instant(monday));
        let trend = last_week(&stage).amounts;
        let own = trend.last().copied().flatten();
        assert_eq!(trend[..trend.len() - 1], [vec![None; 7 - weeks.len()], weeks.clone()].concat());
        assert!(own.is_some_and(|own| own > Decimal::ZERO));
        weeks.push(own);
    }
    let newest = last_week(&stage);
    assert_eq!(newest.currency, Some("EUR"));
    assert_eq!(weeks[2], Some(newest.costs));
    assert_eq!(newest.labels[5..], ["W11", "W12", "W13"]);
    assert_eq!(shown(&stage, Span::Yesterday).label, "29 Mar 2026");
    assert_eq!(newest.label, "week 13, 23 Mar 2026 to 29 Mar 2026");
    assert_ne!(weeks[0], weeks[1], "the first week began on a Tuesday");
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
