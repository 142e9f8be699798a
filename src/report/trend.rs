//! What was avoided in the periods up to a report's own, as a small chart.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::avoided::Money;
use crate::domain::money::Currency;
use crate::domain::plain_text::shorten;
use crate::report::form::Form;
use crate::report::page::{Column, ReportSection, SectionBody};
use crate::report::parts;
use crate::report::sum::Sum;

/// A chart with more columns cannot be read on a phone.
const MOST_COLUMNS: usize = 8;
/// Above this, cents would not fit under a column.
const WHOLE_FROM: Decimal = Decimal::ONE_HUNDRED;

/// What was avoided in the periods up to this one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trend {
    /// The amounts' currency; where there is none they are node hours.
    pub currency: Option<Currency>,
    /// Oldest first; the last one is the report's own period.
    pub points: Vec<TrendPoint>,
    /// The month so far, to the period's end; none where the period is no part of a month.
    pub month: Option<TrendPoint>,
}

/// One period of a trend.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendPoint {
    /// Short: `W47`, `Nov`.
    pub label: String,
    /// None where nothing is known of that time.
    pub amount: Option<Decimal>,
}

impl TrendPoint {
    /// A point that has been added up before.
    pub fn known(label: impl Into<String>, amount: Option<Decimal>) -> Self {
        Self { label: label.into(), amount }
    }

    /// The point of a period's sum, in `currency` where there is one.
    pub(crate) fn of(label: impl Into<String>, sum: &Sum, currency: Option<Currency>) -> Self {
        let amount = match currency {
            None => sum.node_hours,
            Some(currency) => {
                let of_currency = |money: &&Money| money.currency == currency;
                sum.money().iter().find(of_currency).map_or(Decimal::ZERO, |money| money.amount)
            }
        };
        Self { label: label.into(), amount: Some(amount) }
    }
}

/// What the period comes to against the one before it, and the month so far.
pub(super) fn compared(trend: &Trend, form: &Form<'_>) -> Vec<String> {
    let Some(currency) = trend.currency else { return Vec::new() };
    let money = |amount: Decimal| form.money(Money { amount: currency.round(amount), currency });
    let mut said = Vec::new();
    if let [.., before, this] = trend.points.as_slice()
        && let (Some(before), Some(this)) = (before.amount, this.amount)
    {
        said.push(match this - before {
            change if change.is_zero() => format!("As much as in the period before: {}.", money(before)),
            change if change > Decimal::ZERO => {
                format!("{} more than in the period before ({}).", money(change), money(before))
            }
            change => format!("{} less than in the period before ({}).", money(-change), money(before)),
        });
    }
    if let Some(TrendPoint { label, amount: Some(amount) }) = &trend.month {
        said.push(format!("{label} so far: {}.", money(*amount)));
    }
    said
}

/// The trend as columns; none where there is nothing to compare with.
pub(super) fn section(trend: &Trend, form: &Form<'_>) -> Option<ReportSection> {
    let points = trend.points.get(trend.points.len().saturating_sub(MOST_COLUMNS)..)?;
    let longest = points.iter().filter_map(|point| point.amount).max().filter(|most| *most > Decimal::ZERO)?;
    if points.len() < 2 {
        return None;
    }
    let whole = longest >= WHOLE_FROM;
    let shown = |amount: Decimal| {
        let places = if whole { 0 } else { amount.scale() };
        form.decimal(amount.round_dp_with_strategy(places, RoundingStrategy::MidpointNearestEven))
    };
    let columns = points.iter().enumerate().map(|(index, point)| Column {
        label: shorten(&point.label, 12),
        value: point.amount.map_or_else(|| "–".to_owned(), shown),
        percent: point.amount.map(|amount| parts::percent(amount, longest)),
        current: index + 1 == points.len(),
    });
    let unit = trend.currency.map_or("node hours", Currency::code);
    let unit = if whole { format!("rounded to whole {unit}") } else { format!("in {unit}") };
    let section = ReportSection::new("Trend", SectionBody::Chart { columns: columns.collect() });
    Some(section.intro(format!("Avoided cost (estimate) by period, {unit}.")))
}
