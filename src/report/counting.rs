//! How the figures are counted: said under every report, so that each can be checked.

use crate::domain::money::{CapacityUnitPrice, Charge};
use crate::domain::plain_text::clean;
use crate::domain::run::DeploymentResult;
use crate::report::form::Form;
use crate::report::left::Left;
use crate::report::page::{Figure, ReportSection, SectionBody};
use crate::report::parts::{amounts, quantities};
use crate::report::sum::Sum;

/// What the figure is called, everywhere.
pub(super) const CAPTION: &str = "avoided cost (estimate)";

pub(super) const DEFINITION: &str = "Avoided cost is an estimate of what the off window would have cost: node hours from \
     the confirmed stop to the end of the off window, times capacity units per node hour, times the price of a capacity \
     unit.";

const FROM_CONFIRMATION: &str = "Counting starts when AI Core reports STOPPED, never at the request; what is not \
     confirmed counts nothing.";
const ENDS: &str =
    "It ends early at a replacement from the same configuration, at a deletion, or at the deployment's ttl.";
const NOT_COUNTED: &str = "No baseline, storage or reserved nodes are counted.";
const ROUNDING: &str =
    "Each deployment is rounded to the cent, half to even; every total is the sum of these rounded rows.";
/// Under the report of a run, which carries its rows.
pub(super) const ATTACHED: &str = "The attached CSV has one row per deployment and off window.";
/// Under the report of a period, which carries them where that was asked for.
pub(super) const ON_REQUEST: &str =
    "As CSV (attached, or `offhours report --format csv`) there is one row per deployment and off window.";

/// More prices than these are counted only.
const MOST_PRICES: usize = 6;
/// No contract has had more.
const MOST_KNOWN_PRICES: usize = 1_000;

/// The big figure of a report; none where nothing was avoided at all.
pub(super) fn figure(sum: &Sum, caption: &str, form: &Form<'_>) -> Option<Figure> {
    let money = sum.money();
    if money.is_empty() && sum.node_hours.is_zero() {
        return None;
    }
    let mut details = Vec::new();
    let amounts: Vec<String> = if money.is_empty() {
        details.push("There is no price for these node hours, so there is no money here.".to_owned());
        vec![format!("{} node hours", form.quantity(sum.node_hours))]
    } else {
        details.push(quantities(sum, form));
        money.iter().map(|money| form.money(*money)).collect()
    };
    if !money.is_empty() && !sum.unpriced_hours.is_zero() {
        details.push(format!(
            "{} of the node hours have no price and are not in the amount.",
            form.quantity(sum.unpriced_hours)
        ));
    }
    Some(Figure { amounts, caption: caption.to_owned(), details })
}

/// Which part is settled and which is projected.
pub(super) fn standing(sum: &Sum, form: &Form<'_>) -> Option<String> {
    let (settled, projected) = (sum.settled(), sum.projected());
    match (settled.is_empty(), projected.is_empty()) {
        (true, true) => None,
        (true, false) => {
            Some("Projected: the off window's end and a second look at the tenant will settle it.".to_owned())
        }
        (false, true) => Some("Settled: each was looked at again, and what ended it is known.".to_owned()),
        (false, false) => {
            Some(format!("{} settled, {} projected.", amounts(&settled, form), amounts(&projected, form)))
        }
    }
}

/// Where the rows are, and that they are a sample where `left` counts deployments that have none.
pub(super) fn with_sample(rows: &str, left: &Left, form: &Form<'_>) -> String {
    match left.without_row() {
        0 => rows.to_owned(),
        count => format!("{rows} Of what was left on it has a sample; {} more are only counted.", form.count(count)),
    }
}

/// The prices behind a report's figures, each once.
#[derive(Debug, Default)]
pub(super) struct PricesUsed(Vec<CapacityUnitPrice>);

impl PricesUsed {
    /// Takes note of the price of a row. There are as many as the contract had, so that looking through them is quick.
    pub(super) fn add(&mut self, row: &DeploymentResult) {
        if let Charge::Metered { price: Some(price), .. } = &row.rate.charge
            && self.0.len() < MOST_KNOWN_PRICES
            && !self.0.contains(price)
        {
            self.0.push(price.clone());
        }
    }

    /// How the figures are counted, with these prices. `rows` says where each row can be found.
    pub(super) fn section(&self, rows: String, form: &Form<'_>) -> ReportSection {
        let mut prices: Vec<&CapacityUnitPrice> = self.0.iter().collect();
        prices.sort_by(|a, b| (a.valid_from, &a.source).cmp(&(b.valid_from, &b.source)));
        let mut items = vec![DEFINITION.to_owned()];
        items.extend(prices.iter().take(MOST_PRICES).map(|price| {
            format!(
                "Price in force at the stop: {} {} per capacity unit, source {}, valid from {}.",
                price.currency.code(),
                form.decimal(price.amount),
                clean(&price.source),
                form.day(price.valid_from)
            )
        }));
        if prices.len() > MOST_PRICES {
            items.push(format!("{} more prices; the CSV has them all.", prices.len() - MOST_PRICES));
        }
        items.extend([FROM_CONFIRMATION, ENDS, NOT_COUNTED, ROUNDING].map(str::to_owned));
        items.push(rows);
        ReportSection::new("How this is counted", SectionBody::List { items })
    }
}
