//! Sections that several reports have: bars, tables of deployments, what was left and why.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::avoided::{Avoided, Money, State};
use crate::domain::money::Charge;
use crate::domain::run::{Outcome, Row, Run};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, plural};
use crate::report::page::{Bar, Body, Cell, Section, Table};
use crate::report::sum::Sum;

/// More bars than these are put together as "others".
const MOST_BARS: usize = 10;
/// More kinds of reasons than these are counted only.
const MOST_REASONS: usize = 20;
/// A label beside a bar.
const LONGEST_LABEL: usize = 60;

/// One deployment in one run.
pub(super) type Entry<'a> = (&'a Run, &'a Row);

/// `EUR 10.00 and USD 5.00`; node hours where nothing has a price.
pub(super) fn amount(sum: &Sum, form: &Form<'_>) -> String {
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
pub(super) fn avoided_cell(row: &Row, avoided: &Avoided, form: &Form<'_>) -> Cell {
    let hours = || format!("{} node hours", form.quantity(avoided.node_hours));
    match (avoided.state, avoided.cost, &row.rate.charge) {
        (_, Some(money), _) => Cell::new(form.money(money), hours()),
        (State::Unpriced, None, _) => Cell::new(hours(), "unpriced"),
        (State::TokenBilled, ..) | (_, _, Charge::TokenBilled) => Cell::new("nothing", "token-billed"),
        (_, _, Charge::Nothing { reason }) => Cell::new("nothing", *reason),
        _ => Cell::new("nothing", ""),
    }
}

/// A deployment as people know it, with where it is.
pub(super) fn deployment_cell(row: &Row) -> Cell {
    Cell::new(clean(row.configuration()), format!("{} · {}", row.resource_group, row.id))
}

/// `2 × infer.s + 1 × train.l`.
pub(super) fn nodes(row: &Row) -> String {
    let parts: Vec<String> = row.nodes.iter().map(|n| format!("{} × {}", n.count, shorten(&n.plan, 40))).collect();
    clean(&parts.join(" + "))
}

/// The plans of a row as one name: a deployment with several plans has one figure, which is not taken apart.
pub(super) fn plans(row: &Row) -> String {
    let mut plans: Vec<&str> = row.nodes.iter().filter(|n| n.count > 0).map(|n| n.plan.as_str()).collect();
    plans.sort_unstable();
    plans.dedup();
    if plans.is_empty() { "no running nodes".to_owned() } else { plans.join(" + ") }
}

/// Bars of what was avoided, by whatever `key` says; none where nothing was.
pub(super) fn bars<'a>(
    heading: &str,
    entries: &[Entry<'a>],
    form: &Form<'_>,
    avoided: impl Fn(Entry<'a>) -> Avoided,
    key: impl Fn(Entry<'a>) -> String,
) -> Option<Section> {
    let mut groups: BTreeMap<String, Sum> = BTreeMap::new();
    for &entry in entries {
        let figure = avoided(entry);
        if figure.node_hours.is_zero() && figure.cost.is_none() {
            continue;
        }
        groups.entry(key(entry)).or_default().add(&figure);
    }
    let total = Sum::total(groups.values());
    // Money where there is one currency; else node hours, which can be compared.
    let by_money = total.only_money().is_some();
    let size = |sum: &Sum| {
        if by_money { sum.only_money().map_or(Decimal::ZERO, |money| money.amount) } else { sum.node_hours }
    };
    let mut ordered: Vec<(String, Sum)> = groups.into_iter().collect();
    ordered.sort_by(|a, b| size(&b.1).cmp(&size(&a.1)).then_with(|| a.0.cmp(&b.0)));
    let others = ordered.split_off(ordered.len().min(MOST_BARS));
    if !others.is_empty() {
        let rest = Sum::total(others.iter().map(|(_, sum)| sum));
        ordered.push((format!("{} others", form.count(others.len())), rest));
    }
    let longest = ordered.iter().map(|(_, sum)| size(sum)).max().filter(|size| !size.is_zero())?;
    let bars = ordered.iter().map(|(label, sum)| Bar {
        label: shorten(label, LONGEST_LABEL),
        value: amount(sum, form),
        percent: percent(size(sum), longest),
    });
    Some(Section::new(heading, Body::Bars { bars: bars.collect() }))
}

/// A share of `whole` in percent; what is not nothing is at least one.
pub(super) fn percent(part: Decimal, whole: Decimal) -> u32 {
    if whole.is_zero() || part <= Decimal::ZERO {
        return 0;
    }
    (part * Decimal::ONE_HUNDRED / whole).round().to_u32().unwrap_or(100).clamp(1, 100)
}

/// A table of at most `most` of `rows`, with how many more there are.
pub(super) fn table(heads: Vec<&'static str>, rows: impl ExactSizeIterator<Item = Vec<Cell>>, most: usize) -> Table {
    let left_out = rows.len().saturating_sub(most);
    let more = (left_out > 0).then(|| format!("{left_out} more; the CSV has them all."));
    Table { heads, rows: rows.take(most).collect(), total: None, more }
}

/// What was left on, grouped by the keyword of its reason.
pub(super) fn left<'a>(rows: impl Iterator<Item = &'a Row>, form: &Form<'_>) -> Option<Section> {
    let mut groups: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for row in rows.filter(|row| row.outcome == Outcome::Left && !row.would_stop()) {
        let (keyword, detail) = row.reason.split_once(':').unwrap_or((row.reason.as_str(), ""));
        let group = groups.entry(shorten(keyword, LONGEST_LABEL)).or_insert_with(|| (0, clean(detail)));
        group.0 += 1;
    }
    if groups.is_empty() {
        return None;
    }
    let mut ordered: Vec<(String, (usize, String))> = groups.into_iter().collect();
    ordered.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    let all: usize = ordered.iter().map(|(_, (count, _))| count).sum();
    let rows = ordered.into_iter().map(|(keyword, (count, example))| {
        let example = if count > 1 && !example.is_empty() { format!("for instance: {example}") } else { example };
        vec![Cell::new(keyword, example), Cell::new(form.count(count), "")]
    });
    let mut table = table(vec!["Reason", "Deployments"], rows, MOST_REASONS);
    table.total = Some(("Left on".to_owned(), form.count(all)));
    Some(Section::new("Left on, and why", Body::Table(table)))
}

/// What has no price, and what is billed by tokens: shown, never as an amount of nothing.
pub(super) fn without_price(rows: &[(&Row, Avoided)], form: &Form<'_>) -> Option<Section> {
    let mut plans_unpriced: BTreeMap<String, (usize, Decimal)> = BTreeMap::new();
    let mut tokens = 0_usize;
    for (row, avoided) in rows {
        match avoided.state {
            State::Unpriced => {
                let plan = match &row.rate.charge {
                    Charge::Unpriced { plan } => clean(plan),
                    _ => clean(&plans(row)),
                };
                let group = plans_unpriced.entry(plan).or_default();
                *group = (group.0 + 1, group.1 + avoided.node_hours);
            }
            State::TokenBilled => tokens += 1,
            State::Projected | State::Settled | State::None => {}
        }
    }
    let mut items: Vec<String> = plans_unpriced
        .iter()
        .take(MOST_REASONS)
        .map(|(plan, (count, hours))| {
            let deployments = plural(*count, &form.count(*count), "deployment");
            format!("{plan}: {} node hours of {deployments}", form.quantity(*hours))
        })
        .collect();
    let left_out = plans_unpriced.len().saturating_sub(MOST_REASONS);
    if left_out > 0 {
        items.push(format!("{left_out} more plans; the CSV has them all."));
    }
    if tokens > 0 {
        let deployments = plural(tokens, &form.count(tokens), "deployment");
        items.push(format!("token-billed: {deployments}; SAP bills tokens, so that a stop avoids no compute cost"));
    }
    if items.is_empty() {
        return None;
    }
    Some(Section::new("Without a price", Body::List { items }).intro("These are in no amount above."))
}
