//! What costs money although it should not: deployments not confirmed stopped, replacements that ran in an off window,
//! and what holds kept on.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;

use crate::domain::avoided::{Avoided, Money};
use crate::domain::hold::{Hold, Target};
use crate::domain::run::{EndedBy, Outcome, Row};
use crate::report::clean::{clean, shorten};
use crate::report::form::{Form, plural};
use crate::report::once::Once;
use crate::report::page::{Body, Cell, Section};
use crate::report::parts::{Entry, amount, amounts, deployment_cell, table};
use crate::report::sum::{Sum, cost_per_hour};

/// More holds than these are counted only.
const MOST_HOLDS: usize = 20;
const LONGEST_REASON: usize = 120;

/// What an hour of all `rows` costs: the sum of the rounded costs of each.
pub(super) fn hourly<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Money> {
    let mut sum = Sum::default();
    for row in rows {
        if let Some(cost) = cost_per_hour(row) {
            sum.add(&Avoided { cost: Some(cost), ..Avoided::nothing() });
        }
    }
    sum.money()
}

/// The deployments that are still on, with what each costs in an hour.
pub(super) fn section(rows: &[&Row], form: &Form<'_>, most: usize) -> Option<Section> {
    if rows.is_empty() {
        return None;
    }
    let mut ordered = rows.to_vec();
    ordered.sort_by(|a, b| {
        let cost = |row: &Row| cost_per_hour(row).map(|money| money.amount);
        cost(b).cmp(&cost(a)).then_with(|| a.id.cmp(&b.id))
    });
    let cells = ordered.iter().map(|row| {
        let cost = cost_per_hour(row).map_or_else(|| "no price".to_owned(), |money| form.money(money));
        vec![
            deployment_cell(row),
            Cell::new(row.outcome.as_str(), shorten(row.why(), LONGEST_REASON)),
            Cell::new(cost, "an hour"),
        ]
    });
    let mut table = table(vec!["Deployment", "What happened", "Costs"], cells, most);
    let total = hourly(rows.iter().copied());
    if !total.is_empty() {
        table.total = Some(("All of them, an hour".to_owned(), amounts(&total, form)));
    }
    let section = Section::new("Still on, as far as anybody knows", Body::Table(table));
    Some(section.intro("Asked to stop, or to be asked, and not seen STOPPED by AI Core. Nothing is counted for them."))
}

/// Replacements that ran inside an off window, and what that cost.
pub(super) fn leaks(entries: &[Entry<'_>], form: &Form<'_>, most: usize) -> Option<Section> {
    let mut sum = Sum::default();
    let mut rows = Vec::new();
    for (_, row) in entries {
        let Some(leak) = row.settlement.as_ref().and_then(|settlement| settlement.leak.as_ref()) else { continue };
        sum.add(&leak.cost);
        let since = leak.cost.from.map_or_else(String::new, |from| format!("since {}", form.instant(from)));
        rows.push(vec![
            deployment_cell(row),
            Cell::new(format!("replaced by {}", leak.id), since),
            Cell::new(
                leak.cost.cost.map_or_else(|| "no price".to_owned(), |money| form.money(money)),
                format!("{} node hours", form.quantity(leak.cost.node_hours)),
            ),
        ]);
    }
    if rows.is_empty() {
        return None;
    }
    let mut table = table(vec!["Deployment", "Ran again", "Cost"], rows.into_iter(), most);
    table.total = Some(("Leaked".to_owned(), amount(&sum, form)));
    let section = Section::new("Leaks: ran again inside the off window", Body::Table(table));
    Some(section.intro("Their hours are in no avoided cost: it ends where a replacement begins."))
}

/// Figures that were cut short by the second look at the tenant.
pub(super) fn cut_short(entries: &[Entry<'_>], form: &Form<'_>) -> Option<Section> {
    let mut groups: BTreeMap<&'static str, (usize, Sum, Sum)> = BTreeMap::new();
    for (_, row) in entries {
        let Some(settlement) = &row.settlement else { continue };
        if settlement.ended_by == EndedBy::WindowEnd {
            continue;
        }
        let group = groups.entry(settlement.ended_by.as_str()).or_default();
        group.0 += 1;
        group.1.add(&row.projected);
        group.2.add(&settlement.avoided);
    }
    let items: Vec<String> = groups
        .into_iter()
        .map(|(word, (count, projected, settled))| {
            let deployments = plural(count, &form.count(count), "deployment");
            let was = format!("projected {}, settled {}", amount(&projected, form), amount(&settled, form));
            format!("{}: {deployments}; {was}", sentence(word))
        })
        .collect();
    (!items.is_empty()).then(|| Section::new("Cut short when settled", Body::List { items }))
}

fn sentence(ended_by: &str) -> &'static str {
    match ended_by {
        "replacement" => "replaced by a new deployment",
        "deletion" => "deleted by somebody",
        "ttl" => "would have expired (ttl)",
        "counted-elsewhere" => "off after all, counted in the run that asked again",
        _ => "never confirmed",
    }
}

/// Holds: who wanted them, why, and what they kept on costing. `holds` adds those that no run of the report met.
pub(super) fn holds(entries: &[Entry<'_>], holds: &[Hold], form: &Form<'_>) -> Option<Section> {
    let mut met: BTreeMap<String, (usize, Sum)> = BTreeMap::new();
    let mut once = Once::default();
    for (run, row) in entries {
        let Some(held) = row.reason.strip_prefix("held: ").filter(|_| row.outcome == Outcome::Left) else { continue };
        let group = met.entry(held.to_owned()).or_default();
        group.0 += 1;
        // From the decision to the window's end: a hold that ends before does not bring the stop back.
        group.1.add(&once.count(run, row));
    }
    let total = Sum::total(met.values().map(|(_, sum)| sum));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for hold in holds {
        let until = hold.until.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (count, sum) = met.remove(&format!("by {} until {until}: {}", hold.by, hold.reason)).unwrap_or_default();
        let until = form.instant(hold.until);
        let who = format!("{} until {until}: {}", shorten(&hold.by, 60), shorten(&hold.reason, LONGEST_REASON));
        rows.push(vec![Cell::new(target(&hold.target), who), price_cell(count, &sum, form)]);
    }
    let known = rows.len();
    for (held, (count, sum)) in met {
        rows.insert(rows.len() - known, vec![held_cell(&held, form), price_cell(count, &sum, form)]);
    }
    if rows.is_empty() {
        return None;
    }
    let mut table = table(vec!["Hold", "Kept on costing"], rows.into_iter(), MOST_HOLDS);
    if total.node_hours > Decimal::ZERO {
        table.total = Some(("All holds (estimate)".to_owned(), amount(&total, form)));
    }
    let section = Section::new("Holds", Body::Table(table));
    Some(section.intro("What the off windows would have avoided without them, to the windows' ends."))
}

/// A hold as a run met it: `by Mara until 2026-11-24T07:00:00Z: load test`.
fn held_cell(held: &str, form: &Form<'_>) -> Cell {
    let taken_apart = held.strip_prefix("by ").and_then(|rest| {
        let (by, rest) = rest.split_once(" until ")?;
        let (until, why) = rest.split_once("Z: ")?;
        let until: DateTime<Utc> = format!("{until}Z").parse().ok()?;
        Some((by, until, why))
    });
    match taken_apart {
        Some((by, until, why)) => {
            let until = format!("until {}: {}", form.instant(until), shorten(why, LONGEST_REASON));
            Cell::new(shorten(by, 60), until)
        }
        None => Cell::new(shorten(held, LONGEST_REASON), ""),
    }
}

fn target(target: &Target) -> String {
    format!("{} {}", target.kind(), clean(target.name()))
}

fn price_cell(count: usize, sum: &Sum, form: &Form<'_>) -> Cell {
    if count == 0 {
        return Cell::new("nothing", "met no run");
    }
    Cell::new(amount(sum, form), plural(count, &form.count(count), "deployment"))
}
