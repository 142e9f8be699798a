//! What the ledger keeps as a fact, every paper tells as the same fact.

use std::ops::ControlFlow;

use chrono::TimeDelta;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{DeploymentId, RuleName};
use offhours::domain::locale::Locale;
use offhours::domain::period::Span;
use offhours::domain::visit::RunVisitor;
use offhours::report::grid::Screen;
use offhours::report::{HistoryTable, JsonWriter, ReportContext, period_report};
use offhours::simulator::{Behaviour, Fleet};
use serde_json::Value;

use crate::scenario::books::with_books;
use crate::scenario::builder::{EVENINGS, Scenario, instant};
use crate::scenario::stage::Stage;

fn deployment(id: &str) -> HoldTarget {
    HoldTarget::Deployment(DeploymentId::new(id).unwrap())
}

/// One person holds two deployments to the same end and for the same reason: each hold has what it kept on.
#[test]
fn p26_two_holds_with_the_same_words_are_two_holds() {
    let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").running("d002", "infer.s");
    let mut stage = Scenario::evenings().fleet(fleet).start();
    let until = stage.now() + TimeDelta::days(7);
    stage.hold(&deployment("d001"), until);
    stage.hold(&deployment("d002"), until);
    let runs = stage.claim();
    stage.carry_out(runs);
    stage.wait_until(instant("2026-03-30T08:00:00+02:00"));
    let zone = stage.config.zone.clone().unwrap();
    let text = with_books(&stage, Span::LastWeek, move |books| {
        let context = ReportContext::new(Locale::default(), &zone, instant("2026-03-30T08:00:00+02:00"));
        period_report(&books.report(), &context).text
    });
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for id in ["d001", "d002"] {
        assert!(words.contains(&format!("deployment {id}")), "{text}");
    }
    assert!(!words.contains("no run was affected"), "{text}");
    assert_eq!(words.matches("· 1 deployment").count(), 2, "{text}");
}

/// STOPPED twenty minutes after the request, where a run waits for fifteen, and seen later.
#[test]
fn p27_a_stop_that_was_confirmed_late_is_counted_the_same_in_every_form() {
    let fleet =
        Fleet::new().group("dev-a").running("d001", "infer.s").running("d002", "infer.s").behaviour(Behaviour::Slow);
    let fired = Scenario::evenings().fleet(fleet).fire();
    let stage = fired.stage;
    stage.wait_until(instant("2026-03-30T08:00:00+02:00"));
    stage.settle();
    let (table, json) = (table_of(&stage), json_of(&stage));
    let columns: Vec<&str> =
        table.lines().nth(1).unwrap().split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(json[0]["totals"]["stopped"], 2, "{json}");
    assert_eq!(json[0]["totals"]["unconfirmed"], 0, "{json}");
    assert_eq!(columns[3..5], ["2", "0"], "{table}");
}

fn table_of(stage: &Stage) -> String {
    let zone = stage.config.zone.clone().unwrap();
    let mut out = Vec::new();
    let mut table =
        HistoryTable::new(&mut out, ReportContext::new(Locale::default(), &zone, stage.now()), Screen::NARROW);
    tell(stage, &mut table);
    table.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn json_of(stage: &Stage) -> Value {
    let mut out = Vec::new();
    let mut json = JsonWriter::runs(&mut out);
    tell(stage, &mut json);
    json.finish().unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn tell(stage: &Stage, visitor: &mut impl RunVisitor) {
    for run in stage.history() {
        assert_eq!(run.tell(visitor), ControlFlow::Continue(()));
    }
}

/// The name that a rule selects has a typing error, and another pattern leaves what was meant: the rule matches nothing
/// all the same.
#[test]
fn p28_a_mistyped_name_is_noticed_though_something_else_leaves_the_deployment() {
    let select = "configurations = [\"chta-*\"]\n";
    for other in ["[rule.exclude]\nconfigurations = [\"chat-*\"]\n", ""] {
        let rule = format!("{EVENINGS}{select}{other}");
        let fleet = Fleet::new().group("dev-a").running("d001", "infer.s").configuration("chat-1");
        let fired = Scenario::new().rule(&rule).fleet(fleet).fire();
        fired.patches(0);
        let ledger = fired.stage.executor().ledger;
        let (from, to) = (instant("2026-03-27T00:00:00Z"), instant("2026-03-29T00:00:00Z"));
        let rule = RuleName::new("dev-evenings").unwrap();
        let matches = fired.stage.block_on(ledger.read(move |tx| tx.matches(&rule, from, to))).unwrap();
        assert!(matches.are_none(), "{other}: {matches:?}");
    }
}
