//! Deployments that should be off and may be on: each costs money every hour.

use std::collections::BTreeMap;

use crate::domain::avoided::{Avoided, Money};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::run::{Outcome, Row};
use crate::report::clean::{clean, shorten};
use crate::report::form::Form;
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::{amounts, table};
use crate::report::sum::{Sum, cost_per_hour, is_still_on};

/// Of more than these, name and reason are not kept: the CSV has them.
const MOST_TOLD: usize = 10_000;
const LONGEST_REASON: usize = 120;

/// Those of which nobody knows that they are off.
#[derive(Debug, Default)]
pub(super) struct StillOn {
    doubts: BTreeMap<(ResourceGroup, DeploymentId), Doubt>,
}

#[derive(Debug)]
struct Doubt {
    outcome: Outcome,
    cost_per_hour: Option<Money>,
    told: Option<Box<Told>>,
}

#[derive(Debug)]
struct Told {
    configuration: String,
    why: String,
}

impl StillOn {
    /// Takes note of a row. Of a deployment that is met several times, the last time says whether it is on; but what is
    /// STOPPING, for whatever reason, is not off yet.
    pub(super) fn meet(&mut self, row: &Row) {
        let key = || (row.resource_group.clone(), row.id.clone());
        if is_still_on(row) {
            let told = (self.doubts.len() < MOST_TOLD).then(|| {
                Box::new(Told { configuration: clean(row.configuration()), why: shorten(row.why(), LONGEST_REASON) })
            });
            self.doubts.insert(key(), Doubt { outcome: row.outcome, cost_per_hour: cost_per_hour(row), told });
        } else if !row.was_stopping() && !self.doubts.is_empty() {
            self.doubts.remove(&key());
        }
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.doubts.len()
    }

    /// `, at EUR 12.34 an hour`: the sum of the rounded costs of each; nothing where nothing has a price.
    pub(super) fn at_what_cost(&self, form: &Form<'_>) -> String {
        let hourly = self.hourly();
        if hourly.is_empty() { String::new() } else { format!(", at {} an hour", amounts(&hourly, form)) }
    }

    fn hourly(&self) -> Vec<Money> {
        let mut sum = Sum::default();
        for cost in self.doubts.values().filter_map(|doubt| doubt.cost_per_hour) {
            sum.add(&Avoided { cost: Some(cost), ..Avoided::nothing() });
        }
        sum.money()
    }

    /// Each with what it costs in an hour, the costliest first.
    pub(super) fn section(&self, form: &Form<'_>, most: usize) -> Option<Section> {
        if self.doubts.is_empty() {
            return None;
        }
        let mut ordered: Vec<_> = self.doubts.iter().collect();
        ordered.sort_by(|((_, id_a), a), ((_, id_b), b)| {
            let cost = |doubt: &Doubt| doubt.cost_per_hour.map(|money| money.amount);
            cost(b).cmp(&cost(a)).then_with(|| id_a.cmp(id_b))
        });
        let cells = ordered.into_iter().map(|((group, id), doubt)| {
            let (configuration, why) =
                doubt.told.as_deref().map_or((id.as_str(), ""), |told| (&told.configuration, &told.why));
            let cost = doubt.cost_per_hour.map_or_else(|| "no price".to_owned(), |money| form.money(money));
            vec![
                Cell::new(configuration, format!("{group} · {id}")),
                Cell::new(doubt.outcome.as_str(), why),
                Cell::new(cost, "an hour"),
            ]
        });
        let mut table = table(vec!["Deployment", "What happened", "Costs"], cells, self.doubts.len(), most);
        let total = self.hourly();
        if !total.is_empty() {
            table.total = Some(("All of them, an hour".to_owned(), amounts(&total, form)));
        }
        let section = Section::new("Still on, as far as anybody knows", Body::Table(table));
        Some(
            section
                .intro("Asked to stop, or to be asked, and not seen STOPPED by AI Core. Nothing is counted for them."),
        )
    }
}
