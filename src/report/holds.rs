//! Holds: who wanted them, why, and what they kept on costing.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::plain_text::{clean, shorten};
use crate::domain::reason::{HeldBy, Reason};
use crate::domain::run::{DeploymentResult, Run};
use crate::report::counted_hours::CountedHours;
use crate::report::form::Form;
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{amount, table};
use crate::report::sum::Sum;

/// More holds than these are counted only.
const MOST_HOLDS: usize = 20;
const LONGEST_REASON: usize = 120;

#[derive(Debug, Default)]
pub(super) struct Held {
    met: BTreeMap<HeldBy, (usize, Sum)>,
    once: CountedHours,
}

impl Held {
    /// Adds a row, where a hold kept it on. Runs must come oldest first.
    pub(super) fn add(&mut self, run: &Run, row: &DeploymentResult) {
        let Some(Reason::Held(held)) = &row.reason else { return };
        // From the decision to the window's end: a hold that ends before does not bring the stop back.
        let kept = self.once.count(run, row);
        let (count, sum) = self.met.entry(held.clone()).or_default();
        *count += 1;
        sum.add(&kept);
    }

    /// Those that runs met and, from `holds`, those that none met; none where there are no holds.
    pub(super) fn section(&self, holds: &[Hold], form: &Form<'_>) -> Option<ReportSection> {
        let mut met: BTreeMap<&HeldBy, &(usize, Sum)> = self.met.iter().collect();
        let total = Sum::total(self.met.values().map(|(_, sum)| sum));
        let mut known: Vec<Vec<Cell>> = Vec::new();
        for hold in holds {
            let kept = met.remove(&HeldBy::from(hold));
            let removed = hold.removed_at.map_or_else(String::new, |at| format!(", removed {}", form.instant(at)));
            let until = form.instant(hold.until) + &removed;
            let who = format!("{} until {until}: {}", shorten(&hold.by, 60), shorten(&hold.reason, LONGEST_REASON));
            known.push(vec![Cell::new(target(&hold.target), who), price_cell(kept, form)]);
        }
        let others = met.into_iter().map(|(held, kept)| {
            let HeldBy { by, until, why, .. } = held;
            let until = format!("until {}: {}", form.instant(*until), shorten(why, LONGEST_REASON));
            vec![Cell::new(shorten(by, 60), until), price_cell(Some(kept), form)]
        });
        let rows: Vec<Vec<Cell>> = others.chain(known).collect();
        if rows.is_empty() {
            return None;
        }
        let all = rows.len();
        let mut table = table(vec!["Hold", "Kept on costing"], rows.into_iter(), all, MOST_HOLDS);
        if total.node_hours > Decimal::ZERO {
            table.total = Some(("All holds (estimate)".to_owned(), amount(&total, form)));
        }
        let section = ReportSection::new("Holds", SectionBody::Table(table));
        Some(section.intro("What the off windows would have avoided without them, to the windows' ends."))
    }
}

fn target(target: &HoldTarget) -> String {
    format!("{} {}", target.kind(), clean(target.name()))
}

fn price_cell(kept: Option<&(usize, Sum)>, form: &Form<'_>) -> Cell {
    match kept {
        Some((count, sum)) => Cell::new(amount(sum, form), form.counted(*count, "deployment")),
        None => Cell::new("nothing", "no run was affected"),
    }
}
