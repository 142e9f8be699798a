//! What was avoided by whom: bars, the longest first.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::domain::avoided::Avoided;
use crate::domain::plain_text::shorten;
use crate::report::form::Form;
use crate::report::page::{Bar, ReportSection, SectionBody};
use crate::report::parts::{amount, percent};
use crate::report::sum::Sum;

/// More bars than these are put together as "others".
const MOST_BARS: usize = 10;
/// More names than these are not told apart: who may name things could fill the memory with them.
const MOST_NAMES: usize = 5_000;
/// A label beside a bar.
const LONGEST_LABEL: usize = 60;

/// Sums by name: of a rule, a resource group, a plan.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_name: BTreeMap<String, Sum>,
    /// Of names that came when there were too many.
    nameless: Sum,
}

impl Shares {
    /// Adds a figure to what `name` has; none that is nothing.
    pub(super) fn add(&mut self, name: &str, figure: &Avoided) {
        if figure.node_hours.is_zero() && figure.cost.is_none() {
            return;
        }
        if let Some(sum) = self.by_name.get_mut(name) {
            sum.add(figure);
        } else if self.by_name.len() < MOST_NAMES {
            self.by_name.entry(name.to_owned()).or_default().add(figure);
        } else {
            self.nameless.add(figure);
        }
    }

    /// The bars; none where nothing was avoided.
    pub(super) fn section(&self, heading: &str, form: &Form<'_>) -> Option<ReportSection> {
        let total = Sum::total(self.by_name.values().chain([&self.nameless]));
        // Money where there is one currency; else node hours, which can be compared.
        let by_money = total.only_money().is_some();
        let size = |sum: &Sum| {
            if by_money { sum.only_money().map_or(Decimal::ZERO, |money| money.amount) } else { sum.node_hours }
        };
        let mut ordered: Vec<(&str, &Sum)> = self.by_name.iter().map(|(name, sum)| (name.as_str(), sum)).collect();
        ordered.sort_by(|a, b| size(b.1).cmp(&size(a.1)).then_with(|| a.0.cmp(b.0)));
        let others = ordered.split_off(ordered.len().min(MOST_BARS));
        let rest = Sum::total(others.iter().map(|(_, sum)| *sum).chain([&self.nameless]));
        let label = if self.nameless.rows == 0 { form.count(others.len()) } else { "all".to_owned() } + " others";
        if rest.rows > 0 {
            ordered.push((&label, &rest));
        }
        let longest = ordered.iter().map(|(_, sum)| size(sum)).max().filter(|size| !size.is_zero())?;
        let bars = ordered.iter().map(|(label, sum)| Bar {
            label: shorten(label, LONGEST_LABEL),
            value: amount(sum, form),
            percent: percent(size(sum), longest),
        });
        Some(ReportSection::new(heading, SectionBody::Bars { bars: bars.collect() }))
    }
}
