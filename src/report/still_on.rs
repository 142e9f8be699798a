//! Deployments that should be off and may be on: each costs money every hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::avoided::{Avoided, Money};
use crate::domain::earlier::{EarlierStop, Precedent};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::money::HourlyRate;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::reason::Reason;
use crate::domain::run::{DeploymentResult, Outcome};
use crate::report::form::{Form, ordinal};
use crate::report::page::{Cell, ReportSection, SectionBody};
use crate::report::parts::{amounts, table};
use crate::report::sum::{Sum, cost_between, cost_per_hour};

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
    /// When its stop was asked for first.
    since: Option<DateTime<Utc>>,
    told: Option<Box<Told>>,
}

#[derive(Debug)]
struct Told {
    configuration: String,
    reason: Option<Reason>,
    /// In how many runs in a row it did not come off, where there were several.
    times: Option<u32>,
    rate: HourlyRate,
}

impl Doubt {
    /// `an hour; EUR 12.34 since Mon 23 Nov 19:00`.
    fn so_far(&self, now: DateTime<Utc>, form: &Form<'_>) -> String {
        let Some(since) = self.since else { return "an hour".to_owned() };
        let cost = self.told.as_deref().and_then(|told| cost_between(&told.rate, since, now));
        let cost = cost.map_or_else(String::new, |cost| format!("{} ", form.money(cost)));
        format!("an hour; {cost}since {}", form.instant(since))
    }
}

impl Told {
    /// `3rd time in a row: still RUNNING after 15 minutes`.
    fn why(&self, form: &Form<'_>) -> String {
        let again = self.times.map_or_else(String::new, |times| format!("{} time in a row: ", ordinal(times)));
        let why = self.reason.as_ref().map_or_else(String::new, |reason| reason.beside_outcome(&form.instants()));
        format!("{again}{}", shorten(&why, LONGEST_REASON))
    }
}

impl StillOn {
    /// Takes note of a row. Of a deployment that is met several times, the last time says whether it is on; but what is
    /// STOPPING, for whatever reason, is not off yet.
    pub(super) fn meet(&mut self, row: &DeploymentResult) {
        self.meet_again(row, None);
    }

    /// The same, with what earlier runs say about it: since when it is asked to stop, and how often in a row it did not
    /// come off.
    pub(super) fn meet_again(&mut self, row: &DeploymentResult, precedent: Option<&Precedent>) {
        let key = || (row.resource_group.clone(), row.id.clone());
        if row.is_still_on() {
            let told = (self.doubts.len() < MOST_TOLD).then(|| {
                Box::new(Told {
                    configuration: clean(row.configuration()),
                    reason: row.reason.clone(),
                    times: precedent.map(|precedent| precedent.times).filter(|times| *times > 1),
                    rate: row.rate.clone(),
                })
            });
            let asked = precedent.and_then(|precedent| precedent.asked.as_ref()).and_then(EarlierStop::at);
            let before = self.doubts.get(&key()).and_then(|doubt| doubt.since);
            let since = before.or(asked).or(row.requested_at);
            self.doubts.insert(key(), Doubt { outcome: row.outcome, cost_per_hour: cost_per_hour(row), since, told });
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
        let hourly = hourly(self.doubts.values()).money();
        if hourly.is_empty() { String::new() } else { format!(", at {} an hour", amounts(&hourly, form)) }
    }

    /// Each with what it costs in an hour, the costliest first.
    pub(super) fn section(&self, now: DateTime<Utc>, form: &Form<'_>, most: usize) -> Option<ReportSection> {
        if self.doubts.is_empty() {
            return None;
        }
        let mut ordered: Vec<_> = self.doubts.iter().collect();
        ordered.sort_by(|((_, id_a), a), ((_, id_b), b)| {
            let cost = |doubt: &Doubt| doubt.cost_per_hour.map(|money| money.amount);
            cost(b).cmp(&cost(a)).then_with(|| id_a.cmp(id_b))
        });
        let others = ordered.split_off(ordered.len().min(most));
        let rest = hourly(others.iter().map(|(_, doubt)| *doubt));
        let cells = ordered.into_iter().map(|((group, id), doubt)| {
            let told = doubt.told.as_deref();
            let configuration = told.map_or(id.as_str(), |told| &told.configuration);
            let why = told.map_or_else(String::new, |told| told.why(form));
            let cost = doubt.cost_per_hour.map_or_else(|| "no price".to_owned(), |money| form.money(money));
            vec![
                Cell::new(configuration, format!("{group} · {id}")),
                Cell::new(doubt.outcome.as_str(), why),
                Cell::new(cost, doubt.so_far(now, form)),
            ]
        });
        let mut table =
            table(vec!["Deployment", "What happened", "Costs"], cells, self.doubts.len(), most).with_rest(&rest, form);
        let total = hourly(self.doubts.values()).money();
        if !total.is_empty() {
            table.total = Some(("All of them, an hour".to_owned(), amounts(&total, form)));
        }
        let section = ReportSection::new("Still on, as far as is known", SectionBody::Table(table));
        Some(
            section
                .intro("Asked to stop, or to be asked, and not seen STOPPED by AI Core. Nothing is counted for them."),
        )
    }
}

/// What an hour of them costs: the sum of the rounded costs of each.
fn hourly<'a>(doubts: impl Iterator<Item = &'a Doubt>) -> Sum {
    let mut sum = Sum::default();
    for cost in doubts.filter_map(|doubt| doubt.cost_per_hour) {
        sum.add(&Avoided { cost: Some(cost), ..Avoided::nothing() });
    }
    sum
}
