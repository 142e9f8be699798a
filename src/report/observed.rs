//! What a rule would have done in a week of observing, and whether that says that it may enforce.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::run::{DeploymentResult, Run, RunResult, Trigger};
use crate::domain::visit::RunVisitor;
use crate::report::counted_hours::CountedHours;
use crate::report::form::Form;
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{amount, table};
use crate::report::sum::Sum;

/// A rule that has observed for so long has seen each day of a week. Two hours less: clocks are changed, runs take time.
pub(crate) const LONG_ENOUGH: TimeDelta = TimeDelta::hours(7 * 24 - 2);
/// More runs than these in a week are a rule that fires all day; the last of them are shown.
const MOST_RUNS: usize = 20;

/// The runs of an observing rule, as they are told. A run that a person fired says nothing about an evening.
#[derive(Debug, Default)]
pub struct Observed {
    runs: Vec<ObservedRun>,
    once: CountedHours,
    current: Sum,
}

#[derive(Debug)]
struct ObservedRun {
    at: DateTime<Utc>,
    result: RunResult,
    would: Sum,
}

impl RunVisitor for Observed {
    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        if run.trigger != Trigger::Manual && row.would_stop() {
            self.current.add(&self.once.count(run, row));
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        let would = std::mem::take(&mut self.current);
        if run.trigger != Trigger::Manual {
            self.runs.push(ObservedRun { at: run.firing.at, result: run.result, would });
        }
        ControlFlow::Continue(())
    }
}

impl Observed {
    /// What stands in the way of enforcing, if anything.
    fn obstacle(&self) -> Option<String> {
        let all = self.runs.len();
        let ended = |result: RunResult| self.runs.iter().filter(|run| run.result == result).count();
        let blocked = ended(RunResult::Blocked);
        if blocked > 0 {
            return Some(format!("{blocked} of {all} runs were blocked. Raise `max_stops`, or select less."));
        }
        let well = ended(RunResult::Done);
        if well < all {
            return Some(format!("{} of {all} runs did not end well.", all - well));
        }
        let nothing = self.runs.iter().all(|run| run.would.rows == 0);
        nothing.then(|| "it would have stopped nothing. Does it select what you mean?".to_owned())
    }

    /// Run by run, with what to do next.
    pub(super) fn section(&self, command: &str, form: &Form<'_>) -> Option<ReportSection> {
        if self.runs.is_empty() {
            return None;
        }
        let cells = self.runs.iter().rev().map(|run| {
            let result = if run.result == RunResult::Done { "" } else { run.result.as_str() };
            let count = form.counted(run.would.rows, "deployment");
            vec![Cell::new(form.instant(run.at), result), Cell::new(count, ""), Cell::new(amount(&run.would, form), "")]
        });
        let mut table =
            table(vec!["Run", "Would have stopped", "Would have avoided"], cells, self.runs.len(), MOST_RUNS);
        table.more = table.more.map(|_| format!("and {} earlier runs", self.runs.len().saturating_sub(MOST_RUNS)));
        table.total = Some(("The week".to_owned(), amount(&Sum::total(self.runs.iter().map(|run| &run.would)), form)));
        let (heading, intro) = match self.obstacle() {
            Some(obstacle) => ("A week of observing: not ready to enforce", format!("Not ready: {obstacle}")),
            None => (
                "A week of observing: ready to enforce",
                format!(
                    "If these are the right ones, take `mode = \"observe\"` out of the rule, run `{command} check` and \
                     `systemctl reload offhours`. From then on it stops them."
                ),
            ),
        };
        Some(ReportSection::new(heading, SectionBody::Table(table)).intro(intro))
    }
}
