//! What the deployments of runs came to, in numbers. The one place where outcomes are counted, so that JSON, table, log and
//! mail say the same of a run.

use rust_decimal::Decimal;

use crate::domain::avoided::Money;
use crate::domain::run::{DeploymentResult, Outcome, Run};

/// How many deployments came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stops that AI Core confirmed; late ones too, once they are known.
    pub stopped: usize,
    /// Off before they were asked, or off by the stop of another run.
    pub(crate) already_off: usize,
    /// Deleted meanwhile.
    pub(crate) gone: usize,
    pub left: usize,
    /// Not stopped although they should.
    pub(crate) failed: usize,
    /// Not seen STOPPED.
    pub(crate) unconfirmed: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, row: &DeploymentResult) {
        *match row.outcome {
            Outcome::Failed if row.is_still_on() => &mut self.failed,
            Outcome::Unconfirmed if row.is_still_on() => &mut self.unconfirmed,
            Outcome::Failed | Outcome::Unconfirmed if row.is_counted_elsewhere() => &mut self.already_off,
            Outcome::Stopped | Outcome::Failed | Outcome::Unconfirmed => &mut self.stopped,
            Outcome::AlreadyOff => &mut self.already_off,
            Outcome::Gone => &mut self.gone,
            Outcome::Left => &mut self.left,
        } += 1;
    }

    /// Adds what others were counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.stopped += other.stopped;
        self.already_off += other.already_off;
        self.gone += other.gone;
        self.left += other.left;
        self.failed += other.failed;
        self.unconfirmed += other.unconfirmed;
    }

    /// Off without a stop of the run.
    pub fn off_anyway(&self) -> usize {
        self.already_off + self.gone
    }

    /// Should be off, and nobody knows that they are.
    pub fn not_confirmed(&self) -> usize {
        self.failed + self.unconfirmed
    }

    /// Those that should be off.
    pub(crate) fn wanted_off(&self) -> usize {
        self.stopped + self.off_anyway() + self.not_confirmed()
    }
}

/// What the rows of a run avoided; money is the sum of the rounded rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    /// Node hours, priced or not.
    pub node_hours: Decimal,
    pub(crate) capacity_units: Decimal,
    /// Money, where anything has a price. A run has one currency.
    pub cost: Option<Money>,
}

impl Totals {
    pub(crate) fn add(&mut self, row: &DeploymentResult) {
        let avoided = row.avoided();
        self.node_hours += avoided.node_hours;
        self.capacity_units += avoided.capacity_units.unwrap_or_default();
        if let Some(money) = avoided.cost {
            let so_far = self.cost.map_or(Decimal::ZERO, |cost| cost.amount);
            self.cost = Some(Money { amount: so_far + money.amount, currency: money.currency });
        }
    }
}

impl Run {
    /// Counts its deployments, those without a row too.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { left: self.without_row(), ..Tally::default() };
        self.deployments.iter().for_each(|row| tally.add(row));
        tally
    }

    /// What its rows avoided.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.deployments.iter().for_each(|row| totals.add(row));
        totals
    }
}
