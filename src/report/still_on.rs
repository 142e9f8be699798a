//! Deployments that should be off and may be on: each costs money every hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::avoided::{Avoided, Money};
use crate::domain::earlier::{Asked, Precedent};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::run::{Outcome, Row};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, ordinal};
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::{amounts, table};
use crate::report::sum::{Sum, cost_between, cost_per_hour, is_still_on};

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
    /// What it has cost since it was first asked to stop.
    so_far: Option<SoFar>,
    told: Option<Box<Told>>,
}

#[derive(Debug)]
struct SoFar {
    since: DateTime<Utc>,
    cost: Option<Money>,
}

#[derive(Debug)]
struct Told {
    configuration: String,
    why: String,
}

impl Doubt {
    /// `an hour; EUR 12.34 since Mon 23 Nov 19:00`.
    fn since(&self, form: &Form<'_>) -> String {
        let Some(SoFar { since, cost }) = &self.so_far else { return "an hour".to_owned() };
        let cost = cost.map_or_else(String::new, |cost| format!("{} ", form.money(cost)));
        format!("an hour; {cost}since {}", form.instant(*since))
    }
}

impl StillOn {
    /// Takes note of a row. Of a deployment that is met several times, the last time says whether it is on; but what is
    /// STOPPING, for whatever reason, is not off yet.
    pub(super) fn meet(&mut self, row: &Row) {
        self.meet_again(row, None, None);
    }

    /// The same, with what earlier runs say about it: since when it is asked to stop, what it has cost by `now`, and how
    /// often in a row it did not come off.
    pub(super) fn meet_again(&mut self, row: &Row, precedent: Option<&Precedent>, now: Option<DateTime<Utc>>) {
        let key = || (row.resource_group.clone(), row.id.clone());
        if is_still_on(row) {
            let told = (self.doubts.len() < MOST_TOLD).then(|| {
                let again = precedent.map(|precedent| precedent.times).filter(|times| *times > 1);
                let again = again.map_or_else(String::new, |times| format!("{} time in a row: ", ordinal(times)));
                let why = format!("{again}{}", shorten(row.why(), LONGEST_REASON));
                Box::new(Told { configuration: clean(row.configuration()), why })
            });
            let since = precedent.and_then(|precedent| precedent.asked.as_ref()).and_then(Asked::at);
            let so_far = since.zip(now).map(|(since, now)| SoFar { since, cost: cost_between(row, since, now) });
            self.doubts.insert(key(), Doubt { outcome: row.outcome, cost_per_hour: cost_per_hour(row), so_far, told });
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
                Cell::new(cost, doubt.since(form)),
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
