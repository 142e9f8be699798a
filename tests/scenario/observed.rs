//! A rule that is set to observe between a crash and the restart: what it had asked for is real, what it had not is not,
//! and every form of history and report says the same of both.

use std::sync::Arc;

use offhours::domain::avoided::Money;
use offhours::domain::money::Currency;
use offhours::domain::period::Span;
use offhours::domain::rule::{Mode, Rule};
use offhours::domain::run::{Outcome, Run};
use offhours::report::form::Form;
use offhours::report::grid::Screen;
use offhours::report::{CsvForm, HistoryTable, JsonWriter, ReportContext, period_report, run_report, run_summary};
use offhours::simulator::{Entry, Fleet};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::scenario::books::{runs_of, with_books};
use crate::scenario::builder::{Scenario, instant};
use crate::scenario::fired::words;
use crate::scenario::stage::Stage;

fn stage() -> Stage {
    let fleet = Fleet::new().group("dev-a").running_many("d", 20, "infer.s").without_bulk();
    Scenario::evenings().fleet(fleet).start()
}

/// The next start finds the rule in observe mode.
fn now_observes(stage: &mut Stage) {
    let config = Arc::make_mut(&mut stage.config);
    config.rules = config.rules.iter().map(|rule| Arc::new(Rule { mode: Mode::Observe, ..(**rule).clone() })).collect();
}

fn sum(amounts: impl Iterator<Item = impl AsRef<str>>) -> Decimal {
    amounts.map(|text| text.as_ref().parse::<Decimal>().unwrap()).sum()
}

/// What every form says would have been avoided, which must be the same.
fn would_have_avoided(stage: &Stage) -> Decimal {
    let (json, csv, text, history) = with_books(stage, Span::Today, {
        let (zone, locale, now) = (stage.config.zone.clone().unwrap(), stage.config.locale(), stage.now());
        move |books| {
            let (mut json, mut csv, mut history) = (Vec::new(), Vec::new(), Vec::new());
            books.write_json(&mut json).unwrap();
            books.write_csv(&mut csv, CsvForm::Exact).unwrap();
            let mut runs = JsonWriter::runs(&mut history);
            books.tell(&mut runs).unwrap();
            runs.finish().unwrap();
            assert_eq!(runs_of(&books).len(), 1);
            let text = period_report(&books.report(), &ReportContext::new(locale, &zone, now)).text;
            (json, csv, text, history)
        }
    });
    let [json, history] = [json, history].map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    let in_json: Decimal = json["would_have_avoided"]["cost"]["EUR"].as_str().unwrap_or("0").parse().unwrap();
    let rows = |json: &Value| {
        let rows = json[0]["deployments"].as_array().unwrap().clone();
        sum(rows.iter().filter_map(|row| row["would_avoid"]["cost"].as_str()))
    };
    assert_eq!(rows(&history), in_json, "history");
    assert_eq!(rows(&json["runs"]), in_json, "the rows of the report as JSON");
    let mut reader = ::csv::Reader::from_reader(csv.as_slice());
    let column = reader.headers().unwrap().iter().position(|name| name == "would_avoid_cost").unwrap();
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(sum(records.iter().map(|record| &record[column]).filter(|cost| !cost.is_empty())), in_json, "CSV");
    let zone = stage.config.zone.clone().unwrap();
    let money = Money { amount: in_json, currency: Currency::from_code("EUR").unwrap() };
    let shown = Form { locale: stage.config.locale(), zone: &zone }.money(money);
    assert!(
        text.contains("OBSERVED: WHAT RULES IN OBSERVE MODE WOULD HAVE AVOIDED") && text.contains(&shown),
        "{text}"
    );
    in_json
}

fn count(run: &Run, is_it: impl Fn(&offhours::domain::run::DeploymentResult) -> bool) -> usize {
    run.deployments.iter().filter(|row| is_it(row)).count()
}

#[test]
fn p37_a_rule_set_to_observe_before_it_asked_for_anything_shows_one_conditional_figure_in_every_form() {
    let mut stage = stage();
    stage.claim();
    stage.kill();
    now_observes(&mut stage);
    let run = stage.resume().remove(0);
    assert!(stage.patches().is_empty());
    assert_eq!((run.mode, count(&run, |row| row.would_stop())), (Mode::Enforce, 20), "{:#?}", words(&run));
    assert!(would_have_avoided(&stage) > Decimal::ZERO);
    let zone = stage.config.zone.clone().unwrap();
    let context = ReportContext::new(stage.config.locale(), &zone, stage.now());
    let mail = run_report(&run, &context);
    assert_eq!(mail.subject, "offhours: nothing was stopped, 20 would have been · dev-evenings");
    assert!(mail.text.contains("Nothing was stopped; 20 deployments would have been."), "{}", mail.text);
    let summary = run_summary(&run, &context, offhours::report::grid::Screen::PIPE);
    assert!(summary.replace('\n', " ").contains("observed: 20 would have been stopped, EUR "), "{summary}");
}

#[test]
fn p37_a_rule_set_to_observe_in_the_middle_keeps_what_is_real_and_what_is_not_apart() {
    let mut stage = stage();
    let asked = |simulator: &offhours::simulator::Simulator| {
        simulator.journal().iter().filter(|entry| Entry::is_patch(entry)).count() >= 16
    };
    assert!(stage.die_when(asked).is_none());
    now_observes(&mut stage);
    let run = stage.resume().remove(0);
    let stopped = count(&run, |row| row.outcome == Outcome::Stopped);
    assert_eq!((stopped, count(&run, |row| row.would_stop())), (16, 4), "{:#?}", words(&run));
    let real = run.totals().cost.unwrap().amount;
    assert!(would_have_avoided(&stage) < real);
    let zone = stage.config.zone.clone().unwrap();
    let mail = run_report(&run, &ReportContext::new(stage.config.locale(), &zone, stage.now()));
    assert!(mail.subject.starts_with("offhours: 16 stopped, EUR "), "{}", mail.subject);
    let text = mail.text.replace('\n', " ");
    assert!(text.contains("4 more would have been stopped: the rule was set to observe before it asked"), "{text}");
    assert!(text.contains("16 stopped · 0 not confirmed · 4 would be stopped · 0 left on"), "{text}");
}

/// All runs of a stage as the history table shows them in a pipe.
fn history_table(stage: &Stage) -> String {
    let zone = stage.config.zone.clone().unwrap();
    let mut out = Vec::new();
    let mut table =
        HistoryTable::new(&mut out, ReportContext::new(stage.config.locale(), &zone, stage.now()), Screen::PIPE);
    for run in stage.history() {
        let _ = run.tell(&mut table);
    }
    table.finish().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn p92_what_an_observing_rule_would_do_is_shown_in_history_and_json() {
    let fleet = Fleet::new().group("dev-a").running_many("d", 6, "infer.s").group("dev-b").running("late", "infer.s");
    let mut stage = Scenario::evenings_with("mode = \"observe\"").fleet(fleet).start();
    let runs = stage.claim();
    let runs = stage.carry_out(runs);
    let table = history_table(&stage);
    assert!(table.contains("would 7") && table.contains("would EUR"), "{table}");
    let mut json = Vec::new();
    let mut writer = JsonWriter::run(&mut json);
    let _ = runs[0].tell(&mut writer);
    writer.finish().unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let totals = &json["totals"];
    assert_eq!((totals["would_stop"].as_u64(), totals["stopped"].as_u64()), (Some(7), Some(0)));
    let rows = json["deployments"].as_array().unwrap();
    let by_row: Decimal = sum(rows.iter().filter_map(|row| row["would_avoid"]["cost"].as_str()));
    assert_eq!(totals["would_avoid"]["cost"].as_str().unwrap().parse::<Decimal>().unwrap(), by_row);
    assert!(by_row > Decimal::ZERO);
}

/// The text of the newest mail as one line.
fn newest_mail(stage: &Stage) -> String {
    stage.deliver();
    let files = std::fs::read_dir(stage.mails()).unwrap().map(|file| file.unwrap().path());
    let mail = std::fs::read_to_string(files.max().unwrap()).unwrap();
    mail.replace("=\r\n", "").replace("=3D", "=").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn p92_after_a_week_of_observing_the_mail_says_whether_the_rule_is_ready_to_enforce() {
    let observing = |max_stops: u32| {
        let fleet = Fleet::new().group("dev-a").running_many("d", 6, "infer.s");
        Scenario::evenings_with(&format!("mode = \"observe\"\nmax_stops = {max_stops}"))
            .fleet(fleet)
            .at("2026-03-16T19:00:00+01:00")
            .start()
    };
    let mut stage = observing(50);
    stage.play_until(instant("2026-03-22T12:00:00+01:00"));
    assert!(!newest_mail(&stage).contains("week of observing"), "six days are no week");
    stage.play_until(instant("2026-03-23T20:00:00+01:00"));
    let mail = newest_mail(&stage);
    let said = |text: &str| assert!(mail.to_lowercase().contains(&text.to_lowercase()), "{text} in {mail}");
    said("A week of observing: ready to enforce");
    said("take `mode = \"observe\"` out of the rule, run `offhours");
    said("check` and `systemctl reload offhours`. From then on it stops them.");
    said("The week EUR 554.04");
    said("The week");

    let mut stage = observing(5);
    stage.play_until(instant("2026-03-23T20:00:00+01:00"));
    let mail = newest_mail(&stage);
    assert!(mail.contains("Not ready: 5 of 5 runs were blocked. Raise `max_stops`, or select less."), "{mail}");
}
