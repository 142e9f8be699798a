//! One row for each rule, where a period has more runs than anybody reads.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::domain::id::RuleName;
use crate::domain::rule::Mode;
use crate::domain::run::Run;
use crate::domain::tally::Tally;
use crate::report::form::Form;
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{self, amount};
use crate::report::sum::Sum;

/// What the runs of each rule come to. There are as many as the configuration has had.
#[derive(Debug, Default)]
pub(super) struct ByRule(BTreeMap<RuleName, Runs>);

#[derive(Debug, Default)]
struct Runs {
    count: usize,
    with_problems: usize,
    tally: Tally,
    sum: Sum,
}

impl ByRule {
    /// Adds a run, and what it avoided or would have.
    pub(super) fn add(&mut self, run: &Run, tally: Tally, sum: &Sum) {
        let runs = match self.0.get_mut(&run.firing.rule) {
            Some(runs) => runs,
            None => self.0.entry(run.firing.rule.clone()).or_default(),
        };
        runs.count += 1;
        runs.with_problems += usize::from(run.needs_action());
        runs.tally.merge(tally);
        runs.sum.merge(sum);
    }

    /// The rule that avoided most first, or would have.
    pub(super) fn section(&self, heading: &str, mode: Mode, form: &Form<'_>, most: usize) -> ReportSection {
        let size =
            |runs: &Runs| (runs.sum.only_money().map_or(Decimal::ZERO, |money| money.amount), runs.sum.node_hours);
        let mut ordered: Vec<(&RuleName, &Runs)> = self.0.iter().collect();
        ordered.sort_by(|a, b| size(b.1).cmp(&size(a.1)).then_with(|| a.0.cmp(b.0)));
        let rest = Sum::total(ordered.iter().skip(most).map(|(_, runs)| &runs.sum));
        let rows = ordered.iter().map(|(rule, runs)| row(rule, runs, mode, form));
        let last = if mode == Mode::Observe { "Would have avoided" } else { "Avoided" };
        let mut table = parts::table(vec!["Rule", "Runs", last], rows, ordered.len(), most).with_rest(&rest, form);
        table.total = Some(("Total".to_owned(), amount(&Sum::total(self.0.values().map(|runs| &runs.sum)), form)));
        ReportSection::new(heading, SectionBody::Table(table))
    }
}

fn row(rule: &RuleName, runs: &Runs, mode: Mode, form: &Form<'_>) -> Vec<Cell> {
    let mut counts = match mode {
        Mode::Enforce => format!("{} stopped", form.count(runs.tally.stopped)),
        Mode::Observe => format!("{} would be stopped", form.count(runs.sum.rows)),
    };
    if runs.tally.not_confirmed() > 0 {
        counts = format!("{counts}, {} not confirmed", form.count(runs.tally.not_confirmed()));
    }
    let problems = match runs.with_problems {
        0 => String::new(),
        count => format!("{} with problems", form.count(count)),
    };
    vec![
        Cell::new(rule.as_str(), counts),
        Cell::new(form.counted(runs.count, "run"), problems),
        Cell::new(amount(&runs.sum, form), ""),
    ]
}
