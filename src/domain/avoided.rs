//! Avoided cost: what the off window would have cost, counted from the confirmed stop. An estimate, and called one.

use chrono::{DateTime, SubsecRound, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::money::{BEYOND_ALL_MEASURE, Charge, Currency, HourlyRate};
use crate::domain::schedule::OffWindow;
use crate::domain::words::words;

/// Decimal places that node hours and capacity units keep.
const PLACES: u32 = 6;
const MILLISECONDS_PER_HOUR: i64 = 3_600_000;

words! {
    /// How far a figure can be relied on.
    pub AvoidedState {
        /// The off window has not ended yet.
        Projected = "projected",
        /// The window has ended and the tenant was looked at again.
        Settled = "settled",
        /// Node hours without a price.
        Unpriced = "unpriced",
        /// Billed by tokens: a stop avoids no compute cost.
        TokenBilled = "token-billed",
        None = "none",
    }
}

/// One deployment's avoided cost in one off window. Rounded once, here; totals are sums of these.
#[derive(Debug, Clone, PartialEq)]
pub struct Avoided {
    pub from: Option<DateTime<Utc>>,
    /// Where the counting ends.
    pub to: Option<DateTime<Utc>>,
    pub node_hours: Decimal,
    /// Node hours × capacity units per node hour, where known.
    pub capacity_units: Option<Decimal>,
    /// Capacity units × price, rounded to the currency's minor unit, where there is a price.
    pub cost: Option<Money>,
    /// What kind of figure this is.
    pub state: AvoidedState,
}

/// An amount in a currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Money {
    /// Rounded to the minor unit.
    pub amount: Decimal,
    pub currency: Currency,
}

/// Whether the tenant has been looked at after the window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Counted to the end of the window, which may yet be cut short.
    Projected,
    /// Counted to what really ended it.
    Settled,
}

impl Avoided {
    /// Nothing was avoided: there was no confirmed stop.
    pub fn nothing() -> Self {
        let (from, to, cost) = (None, None, None);
        Self { from, to, node_hours: Decimal::ZERO, capacity_units: None, cost, state: AvoidedState::None }
    }

    /// Counts `rate` from the confirmed stop to `end`, both inside `window`.
    ///
    /// Time is elapsed UTC time in whole milliseconds, which is what the ledger keeps of an instant: whoever recalculates a
    /// row from its own instants comes to the same figure. A stop confirmed before the window began counts from its
    /// beginning. A figure beyond all measure is left out, and the row is unpriced.
    pub fn count(
        rate: &HourlyRate,
        window: OffWindow,
        confirmed_at: DateTime<Utc>,
        end: DateTime<Utc>,
        basis: Basis,
    ) -> Self {
        let from = confirmed_at.max(window.from).trunc_subsecs(3);
        let to = end.min(window.to).trunc_subsecs(3).max(from);
        let milliseconds = Decimal::from((to - from).num_milliseconds());
        let Some(node_hours) = in_time(Decimal::from(rate.nodes), milliseconds) else { return Self::nothing() };
        let units = rate.capacity_units().and_then(|per_hour| in_time(per_hour, milliseconds));
        // One division, last: nothing is rounded on the way to the cent.
        let cost = rate.cost().and_then(|(per_hour, currency)| {
            Some(Money { amount: currency.round(in_time(per_hour, milliseconds)?), currency })
        });
        let state = match (&rate.charge, basis) {
            (Charge::Nothing { .. }, _) => AvoidedState::None,
            (Charge::TokenBilled, _) => AvoidedState::TokenBilled,
            _ if cost.is_none() => AvoidedState::Unpriced,
            (_, Basis::Projected) => AvoidedState::Projected,
            (_, Basis::Settled) => AvoidedState::Settled,
        };
        let (from, to) = (Some(from), Some(to));
        Self { from, to, node_hours: rounded(node_hours), capacity_units: units.map(rounded), cost, state }
    }
}

/// What so much an hour comes to.
fn in_time(per_hour: Decimal, milliseconds: Decimal) -> Option<Decimal> {
    let product = per_hour.checked_mul(milliseconds)?;
    product.checked_div(Decimal::from(MILLISECONDS_PER_HOUR)).filter(|figure| *figure < BEYOND_ALL_MEASURE)
}

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointNearestEven).normalize()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use rust_decimal::Decimal;

    use super::{Avoided, AvoidedState, Basis};
    use crate::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
    use crate::domain::schedule::OffWindow;

    /// In nanoseconds.
    const HOUR: i64 = 3_600_000_000_000;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn rate(capacity_units: &str, price: &str) -> HourlyRate {
        let price = CapacityUnitPrice {
            amount: decimal(price),
            currency: Currency::from_code("EUR").unwrap(),
            source: "order form".into(),
            valid_from: "2026-01-01".parse().unwrap(),
        };
        HourlyRate { nodes: 1, charge: Charge::Metered { capacity_units: decimal(capacity_units), price: Some(price) } }
    }

    fn count(rate: &HourlyRate, confirmed: &str, end: &str) -> Avoided {
        let window = OffWindow { from: utc("2026-03-27T17:00:00Z"), to: utc(end) };
        Avoided::count(rate, window, utc(confirmed), utc(end), Basis::Projected)
    }

    #[test]
    fn a_weekend_over_the_spring_change_in_berlin() {
        // Fri 27 Mar 18:07:30 CET to Mon 30 Mar 08:00 CEST.
        let avoided = count(&rate("1.552", "0.95"), "2026-03-27T17:07:30Z", "2026-03-30T06:00:00Z");
        assert_eq!(avoided.node_hours, decimal("60.875"));
        assert_eq!(avoided.capacity_units, Some(decimal("94.478")));
        assert_eq!(avoided.cost.unwrap().amount.to_string(), "89.75", "89.7541 rounds to the cent");
        assert_eq!(avoided.state, AvoidedState::Projected);
    }

    #[test]
    fn a_weekend_over_the_autumn_change_in_berlin_is_63_hours() {
        let window = OffWindow { from: utc("2026-10-23T16:00:00Z"), to: utc("2026-10-26T07:00:00Z") };
        let avoided = Avoided::count(&rate("1", "1"), window, window.from, window.to, Basis::Settled);
        assert_eq!(avoided.node_hours, decimal("63"));
    }

    #[test]
    fn halves_round_to_even() {
        for (price, cost) in [("0.005", "0.00"), ("0.015", "0.02"), ("0.025", "0.02")] {
            let avoided = count(&rate("1", price), "2026-03-28T17:00:00Z", "2026-03-28T18:00:00Z");
            assert_eq!(avoided.cost.unwrap().amount.to_string(), cost);
        }
    }

    #[test]
    fn a_stop_confirmed_after_the_window_avoids_nothing() {
        let avoided = count(&rate("1", "1"), "2026-03-30T07:00:00Z", "2026-03-30T06:00:00Z");
        assert_eq!(avoided.node_hours, Decimal::ZERO);
        assert_eq!(avoided.cost.unwrap().amount, Decimal::ZERO);
    }

    #[test]
    fn a_plan_without_a_price_shows_node_hours_and_never_zero_money() {
        let rate = HourlyRate { nodes: 2, charge: Charge::Unpriced { plan: "gpu.xl".to_owned() } };
        let avoided = count(&rate, "2026-03-28T17:00:00Z", "2026-03-28T18:30:00Z");
        assert_eq!((avoided.node_hours, avoided.cost, avoided.state), (decimal("3"), None, AvoidedState::Unpriced));
    }

    /// AI Core writes microseconds, the ledger keeps milliseconds. Whoever recalculates a row from its own instants must
    /// come to its own figures.
    #[test]
    fn p50_a_row_recalculated_from_its_own_instants_is_the_same() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let nanoseconds = |random: &mut fastrand::Rng| TimeDelta::nanoseconds(random.i64(0..48 * HOUR));
            let from = utc("2026-11-23T18:00:00Z") + nanoseconds(&mut random);
            let window = OffWindow { from: utc("2026-11-23T18:00:00Z"), to: from + nanoseconds(&mut random) };
            let (confirmed_at, end) = (from + nanoseconds(&mut random), from + nanoseconds(&mut random));
            let rate = HourlyRate { nodes: random.u32(1..50), ..rate("1.552", "0.95") };
            let counted = Avoided::count(&rate, window, confirmed_at, end, Basis::Settled);
            let kept = |at: DateTime<Utc>| DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap();
            let (from, to) = (counted.from.unwrap(), counted.to.unwrap());
            assert_eq!((from, to), (kept(from), kept(to)), "seed {seed}");
            let window = OffWindow { from: kept(window.from), to: kept(window.to) };
            assert_eq!(Avoided::count(&rate, window, kept(from), kept(to), Basis::Settled), counted, "seed {seed}");
        }
    }

    #[test]
    fn p51_a_figure_beyond_all_measure_is_no_money_and_no_panic() {
        let most = decimal("999999999.999999999");
        let long = "2035-03-28T18:00:00Z";
        for (units, price) in [(most, most), (Decimal::MAX, Decimal::MAX), (Decimal::MAX, Decimal::ONE)] {
            let rate = HourlyRate { nodes: u32::MAX, ..rate(&units.to_string(), &price.to_string()) };
            let avoided = count(&rate, "2026-03-28T17:00:00Z", long);
            assert_eq!((avoided.cost, avoided.state), (None, AvoidedState::Unpriced), "{units} × {price}");
            assert!(avoided.node_hours > Decimal::ZERO, "the node hours are shown all the same");
        }
        // What any contract says is far from it.
        let dear = count(&rate("100000", "1000"), "2026-03-28T17:00:00Z", "2026-03-30T17:00:00Z");
        assert_eq!(dear.cost.unwrap().amount, decimal("4800000000.00"));
    }
}
