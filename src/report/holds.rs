//! Holds: who wanted them, why, and what they kept on costing.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;

use crate::domain::hold::{Hold, Target};
use crate::domain::run::{Outcome, Row, Run, keyword_and_detail};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, plural};
use crate::report::once::Once;
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::{amount, table};
use crate::report::sum::Sum;

/// More holds than these are counted only.
const MOST_HOLDS: usize = 20;
const LONGEST_REASON: usize = 120;

/// What holds kept on, by what the runs say of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    met: BTreeMap<String, (usize, Sum)>,
    once: Once,
}

impl Held {
    /// Adds a row, where a hold kept it on. Runs must come oldest first.
    pub(super) fn add(&mut self, run: &Run, row: &Row) {
        let (keyword, held) = keyword_and_detail(&row.reason);
        if keyword != "held" || row.outcome != Outcome::Left {
            return;
        }
        // From the decision to the window's end: a hold that ends before does not bring the stop back.
        let kept = self.once.count(run, row);
        let held = held.trim_start();
        if !self.met.contains_key(held) {
            self.met.insert(held.to_owned(), Default::default());
        }
        if let Some((count, sum)) = self.met.get_mut(held) {
            *count += 1;
            sum.add(&kept);
        }
    }

    /// Those that runs met and, from `holds`, those that none met; none where there are no holds.
    pub(super) fn section(&self, holds: &[Hold], form: &Form<'_>) -> Option<Section> {
        let mut met: BTreeMap<&str, &(usize, Sum)> = self.met.iter().map(|(held, sum)| (held.as_str(), sum)).collect();
        let total = Sum::total(self.met.values().map(|(_, sum)| sum));
        let mut known: Vec<Vec<Cell>> = Vec::new();
        for hold in holds {
            let until = hold.until.to_rfc3339_opts(SecondsFormat::Secs, true);
            let kept = met.remove(format!("by {} until {until}: {}", hold.by, hold.reason).as_str());
            let removed = hold.removed_at.map_or_else(String::new, |at| format!(", removed {}", form.instant(at)));
            let until = form.instant(hold.until) + &removed;
            let who = format!("{} until {until}: {}", shorten(&hold.by, 60), shorten(&hold.reason, LONGEST_REASON));
            known.push(vec![Cell::new(target(&hold.target), who), price_cell(kept, form)]);
        }
        let others = met.into_iter().map(|(held, kept)| vec![held_cell(held, form), price_cell(Some(kept), form)]);
        let rows: Vec<Vec<Cell>> = others.chain(known).collect();
        if rows.is_empty() {
            return None;
        }
        let all = rows.len();
        let mut table = table(vec!["Hold", "Kept on costing"], rows.into_iter(), all, MOST_HOLDS);
        if total.node_hours > Decimal::ZERO {
            table.total = Some(("All holds (estimate)".to_owned(), amount(&total, form)));
        }
        let section = Section::new("Holds", Body::Table(table));
        Some(section.intro("What the off windows would have avoided without them, to the windows' ends."))
    }
}

/// A hold as a run met it: `by Mara until 2026-11-24T07:00:00Z: load test`.
fn held_cell(held: &str, form: &Form<'_>) -> Cell {
    let taken_apart = held.strip_prefix("by ").and_then(|rest| {
        let (by, rest) = rest.split_once(" until ")?;
        let (until, why) = rest.split_once("Z: ")?;
        let until: DateTime<Utc> = format!("{until}Z").parse().ok()?;
        Some((by, until, why))
    });
    match taken_apart {
        Some((by, until, why)) => {
            let until = format!("until {}: {}", form.instant(until), shorten(why, LONGEST_REASON));
            Cell::new(shorten(by, 60), until)
        }
        None => Cell::new(shorten(held, LONGEST_REASON), ""),
    }
}

fn target(target: &Target) -> String {
    format!("{} {}", target.kind(), clean(target.name()))
}

fn price_cell(kept: Option<&(usize, Sum)>, form: &Form<'_>) -> Cell {
    match kept {
        Some((count, sum)) => Cell::new(amount(sum, form), plural(*count, &form.count(*count), "deployment")),
        None => Cell::new("nothing", "met no run"),
    }
}
