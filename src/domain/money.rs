//! Prices: from node hours to capacity units to money. Exact decimals throughout.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::deployment::{Deployment, Nodes, Status};

/// Capacity units that a deployment can consume in an hour. A thousand of the largest machines stay far below it.
const MOST_UNITS_AN_HOUR: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// No figure of one row is as large, and a million million rows of them can be added up. What would be larger is a mistake
/// in somebody's list, and no figure at all.
pub(super) const BEYOND_ALL_MEASURE: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0);

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Reads a code such as `EUR`; capital letters only.
    pub fn from_code(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code).map(Self)
    }

    /// The three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Digits of the minor unit: 2 for EUR, 0 for JPY.
    pub(crate) fn digits(self) -> u32 {
        self.0.exponent().map_or(2, u32::from)
    }

    /// Rounds to the minor unit, half to even; the result always shows all its digits.
    pub(crate) fn round(self, amount: Decimal) -> Decimal {
        let mut rounded = amount.round_dp_with_strategy(self.digits(), RoundingStrategy::MidpointNearestEven);
        rounded.rescale(self.digits());
        rounded
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A contract's prices over time. Without any period there is no money, only node hours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prices {
    /// Ordered by `valid_from`.
    pub periods: Vec<PricePeriod>,
}

/// Prices from one day on, until the next period begins.
#[derive(Debug, Clone, PartialEq)]
pub struct PricePeriod {
    /// First day (UTC) on which they hold.
    pub valid_from: NaiveDate,
    pub currency: Currency,
    pub capacity_unit: Decimal,
    /// Where the price is written down; printed under every figure.
    pub source: Arc<str>,
    /// Capacity units per node hour by resource plan or instance type.
    pub capacity_units_per_node_hour: BTreeMap<String, Decimal>,
}

impl Prices {
    /// The period in force at `at`.
    pub(crate) fn at(&self, at: DateTime<Utc>) -> Option<&PricePeriod> {
        self.periods.iter().rev().find(|period| period.valid_from <= at.date_naive())
    }
}

/// Capacity units per node hour of the tenant's own instance types, as its API reports them (`billableUnitsPerHour`).
pub(crate) type InstanceTypes = BTreeMap<String, Decimal>;

/// What one hour of a deployment consumes and costs: fixed when it is decided on, and written into the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct HourlyRate {
    /// Running replicas, all components together.
    pub nodes: u32,
    /// How its hours are charged.
    pub charge: Charge,
}

/// How a deployment's hours are charged.
#[derive(Debug, Clone, PartialEq)]
pub enum Charge {
    /// By capacity units, at a price where one is in force.
    Metered {
        capacity_units: Decimal,
        price: Option<CapacityUnitPrice>,
    },
    /// A plan has no capacity units in the price list nor in the tenant, or more than a deployment can consume.
    Unpriced {
        plan: String,
    },
    TokenBilled,
    /// Nothing is consumed: not running yet, or no replicas.
    Nothing {
        reason: &'static str,
    },
}

/// The price of one capacity unit and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityUnitPrice {
    /// Amount per capacity unit.
    pub amount: Decimal,
    pub currency: Currency,
    /// `source` of the price period.
    pub source: Arc<str>,
    /// `valid_from` of the price period.
    pub valid_from: NaiveDate,
}

impl HourlyRate {
    /// The rate of `deployment` with the prices in force at `at`. A plan in the price list goes before the tenant's
    /// own instance types; one plan without capacity units makes the whole deployment unpriced.
    pub fn of(deployment: &Deployment, prices: &Prices, instance_types: &InstanceTypes, at: DateTime<Utc>) -> Self {
        let nodes = deployment.nodes.iter().map(|n| n.count).fold(0, u32::saturating_add);
        let charge = if deployment.is_token_billed() {
            Charge::TokenBilled
        } else if deployment.status == Status::Pending {
            Charge::Nothing { reason: "PENDING: no machine was running yet" }
        } else if nodes == 0 {
            Charge::Nothing { reason: "no running replicas" }
        } else {
            metered(&deployment.nodes, prices.at(at), instance_types)
        };
        let counts = matches!(charge, Charge::Metered { .. } | Charge::Unpriced { .. });
        Self { nodes: if counts { nodes } else { 0 }, charge }
    }

    /// The rate of what goes on running whatever is decided here, for this reason.
    pub fn nothing(reason: &'static str) -> Self {
        Self { nodes: 0, charge: Charge::Nothing { reason } }
    }

    /// Capacity units per hour, where they are known.
    pub fn capacity_units(&self) -> Option<Decimal> {
        match &self.charge {
            Charge::Metered { capacity_units, .. } => Some(*capacity_units),
            _ => None,
        }
    }

    /// What an hour costs, not rounded; none where it has no price, or one beyond all measure.
    pub fn cost(&self) -> Option<(Decimal, Currency)> {
        match &self.charge {
            Charge::Metered { capacity_units, price: Some(price) } => {
                let amount = capacity_units.checked_mul(price.amount)?;
                (amount < BEYOND_ALL_MEASURE).then_some((amount, price.currency))
            }
            _ => None,
        }
    }
}

/// A plan that makes more than [`MOST_UNITS_AN_HOUR`] of a deployment has no price: replicas or units are a mistake.
fn metered(nodes: &[Nodes], period: Option<&PricePeriod>, instance_types: &InstanceTypes) -> Charge {
    let mut capacity_units = Decimal::ZERO;
    for Nodes { plan, count } in nodes.iter().filter(|n| n.count > 0) {
        let listed = period.and_then(|period| period.capacity_units_per_node_hour.get(plan));
        let Some(per_node) = listed.or_else(|| instance_types.get(plan)) else {
            return Charge::Unpriced { plan: plan.clone() };
        };
        let sum = per_node.checked_mul(Decimal::from(*count)).and_then(|units| capacity_units.checked_add(units));
        match sum.filter(|units| *units <= MOST_UNITS_AN_HOUR) {
            Some(sum) => capacity_units = sum,
            None => return Charge::Unpriced { plan: plan.clone() },
        }
    }
    let price = period.map(|period| CapacityUnitPrice {
        amount: period.capacity_unit,
        currency: period.currency,
        source: Arc::clone(&period.source),
        valid_from: period.valid_from,
    });
    Charge::Metered { capacity_units, price }
}
