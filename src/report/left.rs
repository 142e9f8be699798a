//! What was left on, and why: counted by the kind of reason.

use std::collections::BTreeMap;

use crate::domain::plain_text::{clean, shorten};
use crate::domain::reason::{Reason, ReasonCode, ReasonKind};
use crate::domain::run::{DeploymentResult, LeftOut, Outcome, Run};
use crate::report::counted_hours::CountedHours;
use crate::report::form::Form;
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{amount, table};
use crate::report::sum::Sum;

/// More kinds of reasons than these are counted only.
const MOST_REASONS: usize = 20;
/// More than these are not told apart: a tenant can have statuses of its own.
const MOST_TOLD_APART: usize = 200;
/// What they are counted as then.
const OTHERS: ReasonKind = ReasonKind::Plain(ReasonCode::Sentence);
const LONGEST_NAME: usize = 60;

/// Deployments that were left, by the kind of reason.
#[derive(Debug, Default)]
pub(super) struct Left {
    by_reason: BTreeMap<ReasonKind, Kind>,
    without_row: usize,
    once: CountedHours,
}

/// Those that were left for one reason.
#[derive(Debug, Default)]
struct Kind {
    count: usize,
    /// The reason of the first one that has a row.
    example: Option<Reason>,
    /// What they cost in the off windows, each hour once. Of those that have a row.
    cost: Sum,
}

impl Left {
    /// Adds a row, where it is one that was left. What an observing rule would have stopped is told elsewhere.
    pub(super) fn add(&mut self, run: &Run, row: &DeploymentResult) {
        let reason = row.reason.as_ref().filter(|_| row.outcome == Outcome::Left && !row.would_stop());
        if let Some(reason) = reason {
            let cost = self.once.count(run, row);
            let kind = self.count(&reason.kind(), 1);
            kind.example.get_or_insert_with(|| reason.clone());
            kind.cost.add(&cost);
        }
    }

    /// Adds what a run left without rows.
    pub(super) fn add_counts(&mut self, left_out: &LeftOut) {
        for (kind, count) in left_out {
            self.count(&kind.reason, *count);
            self.without_row += count;
        }
    }

    /// Counts `more` of a kind.
    fn count(&mut self, reason: &ReasonKind, more: usize) -> &mut Kind {
        let is_told_apart = self.by_reason.len() < MOST_TOLD_APART || self.by_reason.contains_key(reason);
        let kind = self.by_reason.entry(if is_told_apart { reason.clone() } else { OTHERS }).or_default();
        kind.count += more;
        kind
    }

    /// How many of them have no row of their own anywhere.
    pub(super) fn without_row(&self) -> usize {
        self.without_row
    }

    /// `99,000 not selected, 12 held`.
    pub(super) fn line(&self, form: &Form<'_>) -> String {
        let mut counts: Vec<(String, usize)> =
            self.by_reason.iter().map(|(reason, kind)| (name(reason), kind.count)).collect();
        counts.sort();
        let counts = counts.into_iter().map(|(name, count)| format!("{} {name}", form.count(count)));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// The costliest reason first, then the most frequent; none where nothing was left.
    pub(super) fn section(&self, form: &Form<'_>) -> Option<ReportSection> {
        if self.by_reason.is_empty() {
            return None;
        }
        let size = |kind: &Kind| (kind.cost.only_money().map(|money| money.amount), kind.count);
        let mut ordered: Vec<(String, &Kind)> =
            self.by_reason.iter().map(|(reason, kind)| (name(reason), kind)).collect();
        ordered.sort_by(|a, b| size(b.1).cmp(&size(a.1)).then_with(|| a.0.cmp(&b.0)));
        let all: usize = self.by_reason.values().map(|kind| kind.count).sum();
        let total = Sum::total(self.by_reason.values().map(|kind| &kind.cost));
        let has_cost = !total.node_hours.is_zero();
        let rest = Sum::total(ordered.iter().skip(MOST_REASONS).map(|(_, kind)| &kind.cost));
        let kinds = ordered.len();
        let rows = ordered.into_iter().map(|(name, kind)| {
            let example = kind.example.as_ref().map_or_else(String::new, |reason| reason.detail(&form.instants()));
            let for_instance = if kind.count > 1 && !example.is_empty() { "for instance: " } else { "" };
            let reason = Cell::new(name, format!("{for_instance}{}", clean(&example)));
            let count = form.count(kind.count);
            if !has_cost {
                return vec![reason, Cell::new(count, "")];
            }
            let deployments = Cell::new(form.counted(kind.count, "deployment"), "");
            vec![reason, deployments, Cell::new(amount(&kind.cost, form), "")]
        });
        let heads =
            if has_cost { vec!["Reason", "Left on", "Cost in the off window"] } else { vec!["Reason", "Deployments"] };
        let mut table = table(heads, rows, kinds, MOST_REASONS);
        let left_on = if has_cost {
            table = table.with_rest(&rest, form);
            (format!("{} left on", form.count(all)), amount(&total, form))
        } else {
            ("Left on".to_owned(), form.count(all))
        };
        table.total = Some(left_on);
        let mut section = ReportSection::new("Left on, and why", SectionBody::Table(table));
        if has_cost {
            section =
                section.intro("What they cost in the off windows all the same (estimate): what could be avoided next.");
        }
        if self.without_row > 0 {
            let count = form.count(self.without_row);
            let sample = if has_cost { "the rows and the cost are of a sample" } else { "the rows are a sample" };
            section =
                section.intro(format!("{count} of them are only counted and have no row of their own; {sample}."));
        }
        Some(section)
    }
}

fn name(reason: &ReasonKind) -> String {
    shorten(&reason.to_string(), LONGEST_NAME)
}
