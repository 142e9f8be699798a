//! `[prices]`: one contract's prices, in one period or in several.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::key::{Many, Typed, section};
use crate::config::name::Text;
use crate::config::reading::clip;
use crate::config::section::Section;
use crate::config::value::{Node, Value};
use crate::domain::money::{Currency, PricePeriod, Prices};

/// Digits before and after the point: no product or sum of such numbers leaves what a decimal can hold.
const MOST_DIGITS: (usize, usize) = (9, 9);

section! {
    /// What a capacity unit costs by contract. Without this section reports show node hours and no money. The keys
    /// of a single period stand here; several periods stand in `[[prices.period]]`, with at most `currency` here.
    PricesKeys {
        /// ISO 4217 code of the contract's currency.
        currency: Currency, Optional r#""EUR""#;
        /// Price of one capacity unit in your contract: a decimal in quotes.
        capacity_unit: Decimal, Optional r#""0.95""#;
        /// Where that price is written down; printed under every figure.
        source: Text, Optional r#""order form 4711""#;
        /// First day (UTC) on which these prices hold.
        valid_from: NaiveDate, Optional "2026-01-01";
        /// Capacity units per node hour, by resource plan or instance type: decimals in quotes.
        capacity_units_per_node_hour: BTreeMap<String, Decimal>, Optional r#"{ "infer.s" = "0.90" }"#;
        /// Prices from one day on, until the next period begins.
        period: Many<PeriodKeys>, Optional "";
    }
}

section! {
    /// Prices from one day on, until the next period begins.
    PeriodKeys {
        /// ISO 4217 code; that of `[prices]` where it is left out.
        currency: Currency, Optional r#""EUR""#;
        /// Price of one capacity unit: a decimal in quotes.
        capacity_unit: Decimal, Required r#""0.95""#;
        /// Where that price is written down; printed under every figure.
        source: Text, Required r#""order form 4711""#;
        /// First day (UTC) on which these prices hold.
        valid_from: NaiveDate, Required "2026-01-01";
        /// Capacity units per node hour, by resource plan or instance type: decimals in quotes.
        capacity_units_per_node_hour: BTreeMap<String, Decimal>, Optional r#"{ "infer.s" = "0.90" }"#;
    }
}

/// Reads `[prices]`.
pub(super) fn read(section: &Section<'_, PricesKeys>) -> Prices {
    let periods = if section.has(|k| k.period) { several(section) } else { single(section).into_iter().collect() };
    warn(section, &periods);
    Prices { periods }
}

/// What makes every figure of a report nothing, and is probably not meant.
fn warn(section: &Section<'_, PricesKeys>, periods: &[PricePeriod]) {
    let place = section.place();
    let today = place.reading.now.date_naive();
    if let Some(first) = periods.iter().map(|period| period.valid_from).min().filter(|first| *first > today) {
        place.warn(format!(
            "no price is in force yet: the first one is valid from {first}, until then there is no money"
        ));
    }
    for period in periods {
        let from = period.valid_from;
        if period.capacity_unit.is_zero() {
            place.warn(format!("`capacity_unit` from {from} on is 0: every avoided cost is 0"));
        }
        for (plan, _) in period.capacity_units_per_node_hour.iter().filter(|(_, units)| units.is_zero()) {
            place.warn(format!("`{}` costs 0 capacity units from {from} on: its avoided cost is 0", clip(plan)));
        }
    }
}

fn single(section: &Section<'_, PricesKeys>) -> Option<PricePeriod> {
    let currency = section.need(|k| k.currency);
    let capacity_unit = section.need(|k| k.capacity_unit);
    let source = section.need(|k| k.source);
    let valid_from = section.need(|k| k.valid_from);
    let plans = section.get(|k| k.capacity_units_per_node_hour);
    Some(PricePeriod {
        valid_from: valid_from?,
        currency: currency?,
        capacity_unit: capacity_unit?,
        source: source?.0.into(),
        capacity_units_per_node_hour: plans.unwrap_or_default(),
    })
}

fn several(section: &Section<'_, PricesKeys>) -> Vec<PricePeriod> {
    refuse_mixture(section);
    let shared = section.get(|k| k.currency);
    let mut days = BTreeSet::new();
    let mut periods = Vec::new();
    for period in section.sections(|k| k.period) {
        let own = period.get(|k| k.currency);
        if !period.has(|k| k.currency) && !section.has(|k| k.currency) {
            let hint = "write `currency = \"EUR\"` here or once in `[prices]`";
            period.place().fault(format!("no `currency` in {} nor in `[prices]`", period.title()), hint);
        }
        let capacity_unit = period.need(|k| k.capacity_unit);
        let source = period.need(|k| k.source);
        let valid_from = period.need(|k| k.valid_from);
        let plans = period.get(|k| k.capacity_units_per_node_hour).unwrap_or_default();
        if let Some(day) = valid_from.filter(|day| !days.insert(*day)) {
            let message = format!("two periods begin on {day}");
            period.place_of(|k| k.valid_from).fault(message, "each day has one price: remove one, or change its day");
        }
        let complete = (valid_from, own.or(shared), capacity_unit, source);
        if let (Some(valid_from), Some(currency), Some(capacity_unit), Some(Text(source))) = complete {
            let capacity_units_per_node_hour = plans;
            periods.push(PricePeriod {
                valid_from,
                currency,
                capacity_unit,
                source: source.into(),
                capacity_units_per_node_hour,
            });
        }
    }
    periods.sort_by_key(|period| period.valid_from);
    periods
}

/// Only `currency` may stand beside periods: anything else would have no period to belong to.
fn refuse_mixture(section: &Section<'_, PricesKeys>) {
    let refuse = |given: bool, key: &str, place: crate::config::reading::Place<'_>| {
        if given {
            let message = format!("`{key}` in `[prices]` belongs to no period, because there are `[[prices.period]]`");
            place.fault(message, "move it into a period; only `currency` may be outside of periods");
        }
    };
    refuse(section.has(|k| k.capacity_unit), "capacity_unit", section.place_of(|k| k.capacity_unit));
    refuse(section.has(|k| k.source), "source", section.place_of(|k| k.source));
    refuse(section.has(|k| k.valid_from), "valid_from", section.place_of(|k| k.valid_from));
    let plans = section.place_of(|k| k.capacity_units_per_node_hour);
    refuse(section.has(|k| k.capacity_units_per_node_hour), "capacity_units_per_node_hour", plans);
}

impl Typed for Decimal {
    const WHAT: &'static str = "a decimal in quotes";
    const EXAMPLE: &'static str = "\"0.90\"";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$" })
    }
}

impl Value for Decimal {
    fn read(node: Node<'_>) -> Option<Self> {
        if let DeValue::Float(_) | DeValue::Integer(_) = node.value {
            let message = format!("`{}` needs quotes: a number without quotes would be rounded", clip(node.key));
            return node.refuse(message);
        }
        let text = node.text(Self::WHAT)?;
        let shown = clip(text);
        let digits =
            |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if digits(whole, MOST_DIGITS.0)
            && digits(fraction, MOST_DIGITS.1)
            && let Ok(decimal) = Self::from_str_exact(text)
        {
            return Some(decimal);
        }
        let why = match text.to_lowercase() {
            _ if text.contains(',') => "the decimal sign is a point, not a comma",
            _ if text.starts_with('-') => "it is negative",
            lower if lower.contains("nan") || lower.contains("inf") => "it is not a finite number",
            lower if lower.contains('e') => "an exponent is not allowed",
            _ => "at most nine digits, and nine more after a point, are allowed",
        };
        node.refuse(format!("`{shown}` is not a valid decimal: {why}"))
    }
}

impl Typed for Currency {
    const WHAT: &'static str = "a currency's code in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Z]{3}$" })
    }
}

impl Value for Currency {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let upper = text.to_uppercase();
        match (Self::from_code(text), Self::from_code(&upper)) {
            (Some(currency), _) => Some(currency),
            (None, Some(_)) => node.refuse_with(
                format!("`{}` is not an ISO 4217 currency", clip(text)),
                format!("did you mean `{upper}`?"),
            ),
            (None, None) => node.refuse(format!("`{}` is not an ISO 4217 currency", clip(text))),
        }
    }
}
