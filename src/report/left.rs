//! What was left on, and why: counted by the keyword of the reason.

use std::collections::BTreeMap;

use crate::domain::run::{LeftOut, Outcome, Row, keyword_and_detail};
use crate::report::clean::{clean, shorten};
use crate::report::form::Form;
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::table;

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
    /// How many, and the first one's reason in full.
    by_keyword: BTreeMap<String, (usize, String)>,
    without_row: usize,
}

impl Left {
    /// Adds a row, where it is one that was left. What an observing rule would have stopped is told elsewhere.
    pub(super) fn add(&mut self, row: &Row) {
        if row.outcome == Outcome::Left && !row.would_stop() {
            self.count(row.keyword(), keyword_and_detail(&row.reason).1, 1);
        }
    }

    /// Adds what a run left without rows.
    pub(super) fn add_counts(&mut self, left_out: &LeftOut) {
        for (keyword, count) in left_out {
            self.count(keyword, "", *count);
            self.without_row += count;
        }
    }

    fn count(&mut self, keyword: &str, detail: &str, more: usize) {
        let mut keyword = shorten(keyword, LONGEST_KEYWORD);
        if self.by_keyword.len() >= MOST_KEYWORDS && !self.by_keyword.contains_key(&keyword) {
            OTHERS.clone_into(&mut keyword);
        }
        let (count, example) = self.by_keyword.entry(keyword).or_default();
        *count += more;
        if example.is_empty() {
            *example = clean(detail);
        }
    }

    /// How many of them have no row of their own anywhere.
    pub(super) fn without_row(&self) -> usize {
        self.without_row
    }

    /// `99,000 not selected, 12 held`.
    pub(super) fn line(&self, form: &Form<'_>) -> String {
        let counts = self.by_keyword.iter().map(|(keyword, (count, _))| format!("{} {keyword}", form.count(*count)));
        counts.collect::<Vec<_>>().join(", ")
    }

    /// The most frequent reason first; none where nothing was left.
    pub(super) fn section(&self, form: &Form<'_>) -> Option<Section> {
        if self.by_keyword.is_empty() {
            return None;
        }
        let mut ordered: Vec<(&String, &(usize, String))> = self.by_keyword.iter().collect();
        ordered.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(b.0)));
        let (kinds, all) = (ordered.len(), ordered.iter().map(|(_, (count, _))| count).sum());
        let rows = ordered.into_iter().map(|(keyword, (count, example))| {
            let for_instance = if *count > 1 && !example.is_empty() { "for instance: " } else { "" };
            vec![Cell::new(keyword, format!("{for_instance}{example}")), Cell::new(form.count(*count), "")]
        });
        let mut table = table(vec!["Reason", "Deployments"], rows, kinds, MOST_REASONS);
        table.total = Some(("Left on".to_owned(), form.count(all)));
        let section = Section::new("Left on, and why", Body::Table(table));
        if self.without_row == 0 {
            return Some(section);
        }
        let count = form.count(self.without_row);
        Some(
            section.intro(format!(
                "{count} of them are only counted and have no row of their own; the rows are a sample."
            )),
        )
    }
}
