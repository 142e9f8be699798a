//! Cells and tables that several sections have: amounts, deployments and their nodes.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::avoided::{Avoided, AvoidedState, Money};
use crate::domain::money::Charge;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::run::DeploymentResult;
use crate::report::form::Form;
use crate::report::page::{Cell, Table};
use crate::report::sum::Sum;

/// `EUR 10.00 and USD 5.00`; node hours where nothing has a price.
pub fn amount(sum: &Sum, form: &Form<'_>) -> String {
    let money = sum.money();
    if money.is_empty() {
        return unpriced_amount(sum.node_hours, form);
    }
    amounts(&money, form)
}

/// Amounts of several currencies, side by side.
pub(super) fn amounts(money: &[Money], form: &Form<'_>) -> String {
    money.iter().map(|money| form.money(*money)).collect::<Vec<_>>().join(" and ")
}

fn unpriced_amount(node_hours: Decimal, form: &Form<'_>) -> String {
    if node_hours.is_zero() { "nothing".to_owned() } else { format!("{} node hours", form.quantity(node_hours)) }
}

/// `216.5 node hours · 193.95 capacity units`.
pub(super) fn quantities(sum: &Sum, form: &Form<'_>) -> String {
    let hours = format!("{} node hours", form.quantity(sum.node_hours));
    if sum.capacity_units.is_zero() {
        return hours;
    }
    format!("{hours} · {} capacity units", form.quantity(sum.capacity_units))
}

/// What one row avoided, in a few words; the reason where it is nothing.
pub(super) fn avoided_cell(row: &DeploymentResult, avoided: &Avoided, form: &Form<'_>) -> Cell {
    let hours = || format!("{} node hours", form.quantity(avoided.node_hours));
    match (avoided.state, avoided.cost, &row.rate.charge) {
        (_, Some(money), _) => Cell::new(form.money(money), hours()),
        (AvoidedState::Unpriced, None, _) => Cell::new(hours(), "unpriced"),
        (AvoidedState::TokenBilled, ..) | (_, _, Charge::TokenBilled) => Cell::new("nothing", "token-billed"),
        (_, _, Charge::Nothing { reason }) => Cell::new("nothing", *reason),
        _ => Cell::new("nothing", ""),
    }
}

/// A deployment as people know it, with where it is.
pub(super) fn deployment_cell(row: &DeploymentResult) -> Cell {
    Cell::new(clean(row.configuration()), format!("{} · {}", row.resource_group, row.id))
}

/// `2 × infer.s + 1 × train.l`.
pub(super) fn nodes(row: &DeploymentResult) -> String {
    let parts: Vec<String> = row.nodes.iter().map(|n| format!("{} × {}", n.count, shorten(&n.plan, 40))).collect();
    clean(&parts.join(" + "))
}

/// The plans of a row as one name: a deployment with several plans has one figure, which is not taken apart.
pub(super) fn plans(row: &DeploymentResult) -> String {
    let mut plans: Vec<&str> = row.nodes.iter().filter(|n| n.count > 0).map(|n| n.plan.as_str()).collect();
    plans.sort_unstable();
    plans.dedup();
    if plans.is_empty() { "no running nodes".to_owned() } else { plans.join(" + ") }
}

/// A share of `whole` in percent; what is not nothing is at least one.
pub(super) fn percent(part: Decimal, whole: Decimal) -> u32 {
    if whole.is_zero() || part <= Decimal::ZERO {
        return 0;
    }
    (part * Decimal::ONE_HUNDRED / whole).round().to_u32().unwrap_or(100).clamp(1, 100)
}

/// A table of at most `most` rows, with how many more of `all` there are. `rows` are the first of them, [`MOST_ROWS`](crate::report::content::MOST_ROWS) at
/// least where there are so many.
pub(super) fn table(heads: Vec<&'static str>, rows: impl Iterator<Item = Vec<Cell>>, all: usize, most: usize) -> Table {
    let left_out = all.saturating_sub(most);
    let more = (left_out > 0).then(|| format!("{left_out} more; the CSV has them all."));
    Table { heads, rows: rows.take(most).collect(), rest: None, total: None, more }
}

impl Table {
    /// With a row for what the rows that are left out come to.
    pub(super) fn with_rest(mut self, rest: &Sum, form: &Form<'_>) -> Self {
        self.rest = self.more.is_some().then(|| ("All others".to_owned(), amount(rest, form)));
        self
    }
}
