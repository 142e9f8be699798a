//! How values of the domain stand in columns, and back. A column that holds what no version writes is an error, never
//! a guess.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::domain::avoided::{Avoided, Money};
use crate::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
use crate::ledger::columns::NamedColumns;
use crate::ledger::error::LedgerError;

/// The charges that are written down without a reason of their own.
const NOTHING: &str = "nothing was running";

pub(crate) fn to_ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

pub(crate) fn from_ms(ms: i64) -> Result<DateTime<Utc>, LedgerError> {
    DateTime::from_timestamp_millis(ms).ok_or_else(|| wrong(ms, "an instant"))
}

pub(crate) fn wrong(value: impl std::fmt::Display, wanted: &'static str) -> LedgerError {
    LedgerError::Value { value: value.to_string().chars().take(80).collect(), wanted }
}

/// Reads a column through a parser of the domain.
pub(crate) fn parsed<T, E>(
    columns: &impl NamedColumns,
    name: &str,
    wanted: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, LedgerError> {
    let text: String = columns.get(name)?;
    parse(&text).map_err(|_| wrong(text, wanted))
}

pub(crate) fn instant(columns: &impl NamedColumns, name: &str) -> Result<DateTime<Utc>, LedgerError> {
    from_ms(columns.get(name)?)
}

pub(crate) fn optional_instant(columns: &impl NamedColumns, name: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
    columns.get::<Option<i64>>(name)?.map(from_ms).transpose()
}

pub(crate) fn decimal(columns: &impl NamedColumns, name: &str) -> Result<Option<Decimal>, LedgerError> {
    let text: Option<String> = columns.get(name)?;
    text.map(|text| text.parse().map_err(|_| wrong(text, "a decimal"))).transpose()
}

fn currency(columns: &impl NamedColumns) -> Result<Option<Currency>, LedgerError> {
    let code: Option<String> = columns.get("currency")?;
    code.map(|code| Currency::from_code(&code).ok_or_else(|| wrong(code, "a currency"))).transpose()
}

/// Columns of an hourly rate: charge, note, capacity units per hour.
pub(crate) fn charge_columns(charge: &Charge) -> (&'static str, Option<&str>, Option<String>) {
    match charge {
        Charge::Metered { capacity_units, .. } => ("metered", None, Some(capacity_units.to_string())),
        Charge::Unpriced { plan } => ("unpriced", Some(plan), None),
        Charge::TokenBilled => ("token-billed", None, None),
        Charge::Nothing { reason } => ("nothing", Some(reason), None),
    }
}

pub(crate) fn price_of(charge: &Charge) -> Option<&CapacityUnitPrice> {
    match charge {
        Charge::Metered { price, .. } => price.as_ref(),
        _ => None,
    }
}

/// The hourly rate of a row of `deployment`.
pub(crate) fn rate(columns: &impl NamedColumns) -> Result<HourlyRate, LedgerError> {
    let charge: String = columns.get("charge")?;
    let charge = match charge.as_str() {
        "metered" => Charge::Metered {
            capacity_units: decimal(columns, "capacity_units_per_hour")?.unwrap_or_default(),
            price: price(columns)?,
        },
        "unpriced" => Charge::Unpriced { plan: columns.get::<Option<String>>("charge_note")?.unwrap_or_default() },
        "token-billed" => Charge::TokenBilled,
        "nothing" => Charge::Nothing { reason: NOTHING },
        other => return Err(wrong(other, "a charge")),
    };
    Ok(HourlyRate { nodes: columns.get("node_count")?, charge })
}

fn price(columns: &impl NamedColumns) -> Result<Option<CapacityUnitPrice>, LedgerError> {
    let (Some(amount), Some(currency)) = (decimal(columns, "price")?, currency(columns)?) else { return Ok(None) };
    Ok(Some(CapacityUnitPrice {
        amount,
        currency,
        source: columns.get::<Option<Arc<str>>>("price_source")?.unwrap_or_default(),
        valid_from: parsed(columns, "price_valid_from", "a date", str::parse)?,
    }))
}

/// An avoided cost from columns with a common prefix: none (projected), `s_` (settled) or `leak_`.
pub(crate) fn avoided(columns: &impl NamedColumns, names: &AvoidedColumns) -> Result<Avoided, LedgerError> {
    let cost = match (decimal(columns, names.cost)?, currency(columns)?) {
        (Some(amount), Some(currency)) => Some(Money { amount: currency.round(amount), currency }),
        _ => None,
    };
    Ok(Avoided {
        from: optional_instant(columns, names.from)?,
        to: optional_instant(columns, names.to)?,
        node_hours: decimal(columns, names.node_hours)?.unwrap_or_default(),
        capacity_units: decimal(columns, names.capacity_units)?,
        cost,
        state: parsed(columns, names.state, "the state of an avoided cost", str::parse)?,
    })
}

/// Names of the columns of an avoided cost.
#[derive(Debug)]
pub(crate) struct AvoidedColumns {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) node_hours: &'static str,
    pub(crate) capacity_units: &'static str,
    pub(crate) cost: &'static str,
    pub(crate) state: &'static str,
}

pub(crate) const PROJECTED: AvoidedColumns = AvoidedColumns {
    from: "avoided_from",
    to: "avoided_to",
    node_hours: "node_hours",
    capacity_units: "capacity_units",
    cost: "cost",
    state: "state",
};
pub(crate) const SETTLED: AvoidedColumns = AvoidedColumns {
    from: "s_from",
    to: "s_to",
    node_hours: "s_node_hours",
    capacity_units: "s_capacity_units",
    cost: "s_cost",
    state: "s_state",
};
pub(crate) const LEAK: AvoidedColumns = AvoidedColumns {
    from: "leak_from",
    to: "leak_to",
    node_hours: "leak_node_hours",
    capacity_units: "leak_capacity_units",
    cost: "leak_cost",
    state: "leak_state",
};
