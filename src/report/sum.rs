//! Sums of rounded rows. The one place where avoided costs are added up, so that every form shows the same total.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::avoided::{Avoided, AvoidedState, Basis, Money};
use crate::domain::money::HourlyRate;
use crate::domain::run::DeploymentResult;
use crate::domain::schedule::OffWindow;

/// What a set of avoided costs comes to. Money is kept by currency: amounts of two currencies are never added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    /// How many rows were added.
    pub(crate) rows: usize,
    /// Node hours, priced or not.
    pub(crate) node_hours: Decimal,
    /// Capacity units, as far as they are known.
    pub(crate) capacity_units: Decimal,
    /// Node hours that have no price.
    pub(crate) unpriced_hours: Decimal,
    settled: Amounts,
    projected: Amounts,
}

type Amounts = BTreeMap<&'static str, Money>;

impl Sum {
    /// Adds up the figures that count.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a DeploymentResult>) -> Self {
        let mut sum = Self::default();
        for row in rows {
            sum.add(row.avoided());
        }
        sum
    }

    pub(crate) fn total<'a>(sums: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        for sum in sums {
            total.merge(sum);
        }
        total
    }

    pub(crate) fn add(&mut self, avoided: &Avoided) {
        self.rows += 1;
        self.node_hours += avoided.node_hours;
        self.capacity_units += avoided.capacity_units.unwrap_or_default();
        if avoided.state == AvoidedState::Unpriced {
            self.unpriced_hours += avoided.node_hours;
        }
        if let Some(money) = avoided.cost {
            add_to(if avoided.state == AvoidedState::Settled { &mut self.settled } else { &mut self.projected }, money);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.node_hours += other.node_hours;
        self.capacity_units += other.capacity_units;
        self.unpriced_hours += other.unpriced_hours;
        add_all(&mut self.settled, &other.settled);
        add_all(&mut self.projected, &other.projected);
    }

    /// The amounts, one for each currency, ordered by its code. Empty where nothing has a price.
    pub(crate) fn money(&self) -> Vec<Money> {
        let mut all = self.settled.clone();
        add_all(&mut all, &self.projected);
        all.into_values().collect()
    }

    pub(crate) fn settled(&self) -> Vec<Money> {
        self.settled.values().copied().collect()
    }
    pub(crate) fn projected(&self) -> Vec<Money> {
        self.projected.values().copied().collect()
    }

    /// The amount, where there is exactly one currency.
    pub(crate) fn only_money(&self) -> Option<Money> {
        match self.money().as_slice() {
            [money] => Some(*money),
            _ => None,
        }
    }
}

fn add_all(amounts: &mut Amounts, others: &Amounts) {
    for money in others.values() {
        add_to(amounts, *money);
    }
}

fn add_to(amounts: &mut Amounts, money: Money) {
    amounts.entry(money.currency.code()).and_modify(|sum| sum.amount += money.amount).or_insert(money);
}

/// What `rate` costs from `since` to `until`, rounded to the cent; none where it has no price.
pub(crate) fn cost_between(rate: &HourlyRate, since: DateTime<Utc>, until: DateTime<Utc>) -> Option<Money> {
    let window = OffWindow { from: since, to: until };
    Avoided::count(rate, window, since, until, Basis::Projected).cost
}

/// What an hour of `row` costs, rounded to the cent; none where it has no price.
pub(crate) fn cost_per_hour(row: &DeploymentResult) -> Option<Money> {
    row.rate.cost().map(|(amount, currency)| Money { amount: currency.round(amount), currency })
}
