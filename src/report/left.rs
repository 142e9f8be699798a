//! What was left on, and why: counted by the keyword of the reason.

use std::collections::BTreeMap;

use crate::domain::run::{LeftOut, Outcome, Row, Run, keyword_and_detail};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, plural};
use crate::report::once::Once;
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::{amount, table};
use crate::report::sum::Sum;

/// More kinds of reasons than these are counted only.
const MOST_REASONS: usize = 20;
/// More than these are not told apart.
const MOST_KEYWORDS: usize = 200;
/// The keyword under which they are counted then.
const OTHERS: &str = "other reasons";
const LONGEST_KEYWORD: usize = 60;

/// Deployments that were left, by keyword.
#[derive(Debug, Default)]
pub(super) struct Left {
    by_keyword: BTreeMap<String, Kind>,
    without_row: usize,
    once: Once,
}

/// Those that were left for one reason.
#[derive(Debug, Default)]
struct Kind {
    count: usize,
    /// The first one's reason in full.
    example: String,
    /// What they cost in the off windows, each hour once. Of those that have a row.
    cost: Sum,
}

impl Left {
    /// Adds a row, where it is one that was left. What an observing rule would have stopped is told elsewhere.
    pub(super) fn add(&mut self, run: &Run, row: &Row) {
        if row.outcome == Outcome::Left && !row.would_stop() {
            let cost = self.once.count(run, row);
            self.count(row.keyword(), keyword_and_detail(&row.reason).1, 1).add(&cost);
        }
    }

    /// Adds what a run left without rows.
    pub(super) fn add_counts(&mut self, left_out: &LeftOut) {
        for (keyword, count) in left_out {
            let _ = self.count(keyword, "", *count);
            self.without_row += count;
        }
    }

    /// Counts `more` of a kind, and gives what the kind costs.
    fn count(&mut self, keyword: &str, detail: &str, more: usize) -> &mut Sum {
        let mut keyword = shorten(keyword, LONGEST_KEYWORD);
        if self.by_keyword.len() >= MOST_KEYWORDS && !self.by_keyword.contains_key(&keyword) {
            OTHERS.clone_into(&mut keyword);
        }
        let kind = self.by_keyword.entry(keyword).or_default();
        kind.count += more;
        if kind.example.is_empty() {
            kind.example = clean(detail);
        }
        &mut kind.cost
    }

    /// How many of them have no row of their own anywhere.
    pub(super) fn without_row(&self) -> usize {
        self.without_row
    }

    /// `99,000 not selected, 12 held`.
    pub(super) fn line(&self, form: &Form<'_>) -> String {
        let counts = self.by_keyword.iter().map(|(keyword, kind)| format!("{} {keyword}", form.count(kind.count)));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// The costliest reason first, then the most frequent; none where nothing was left.
    pub(super) fn section(&self, form: &Form<'_>) -> Option<Section> {
        if self.by_keyword.is_empty() {
            return None;
        }
        let size = |kind: &Kind| (kind.cost.only_money().map(|money| money.amount), kind.count);
        let mut ordered: Vec<(&String, &Kind)> = self.by_keyword.iter().collect();
        ordered.sort_by(|a, b| size(b.1).cmp(&size(a.1)).then_with(|| a.0.cmp(b.0)));
        let all: usize = self.by_keyword.values().map(|kind| kind.count).sum();
        let total = Sum::total(self.by_keyword.values().map(|kind| &kind.cost));
        let has_cost = !total.node_hours.is_zero();
        let rest = Sum::total(ordered.iter().skip(MOST_REASONS).map(|(_, kind)| &kind.cost));
        let kinds = ordered.len();
        let rows = ordered.into_iter().map(|(keyword, kind)| {
            let for_instance = if kind.count > 1 && !kind.example.is_empty() { "for instance: " } else { "" };
            let reason = Cell::new(keyword, format!("{for_instance}{}", form.told(&kind.example)));
            let count = form.count(kind.count);
            if !has_cost {
                return vec![reason, Cell::new(count, "")];
            }
            let deployments = Cell::new(plural(kind.count, &count, "deployment"), "");
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
        let mut section = Section::new("Left on, and why", Body::Table(table));
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
