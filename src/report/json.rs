//! Runs and periods as JSON: the fields of the design, for programs. Times are RFC 3339 UTC, amounts decimals in
//! strings. Names stand as they are: JSON has its own escaping.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::domain::avoided::{Avoided, Money};
use crate::domain::hold::Hold;
use crate::domain::money::Currency;
use crate::domain::rule::Mode;
use crate::domain::run::{EndedBy, Row, Run, Settlement};
use crate::report::once::Once;
use crate::report::period::PeriodReport;
use crate::report::sum::Sum;

/// One run, as `history --json` and `fire --json` print it.
pub fn json_run(run: &Run) -> Value {
    json_run_once(run, &mut Once::default())
}

/// The same among other runs, so that hours that would be avoided by several are in the first only.
fn json_run_once<'a>(run: &'a Run, once: &mut Once<'a>) -> Value {
    let totals = run.totals();
    json!({
        "firing": run.firing.to_string(),
        "rule": run.firing.rule.as_str(),
        "connection": run.connection.as_str(),
        "mode": run.mode.as_str(),
        "scheduled_for": instant(run.firing.at),
        "trigger": run.trigger.as_str(),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "result": run.result.as_str(),
        "reason": run.reason,
        "resumed": run.resumed,
        "off_window": { "from": instant(run.off_window.from), "to": instant(run.off_window.to) },
        "deployments": run.deployments.iter().map(|row| json_row(run, row, once)).collect::<Vec<_>>(),
        "totals": {
            "stopped": totals.stopped,
            "already_off": totals.already_off,
            "gone": totals.gone,
            "left": totals.left,
            "failed": totals.failed,
            "unconfirmed": totals.unconfirmed,
            "node_hours": totals.node_hours.to_string(),
            "capacity_units": totals.capacity_units.to_string(),
            "cost": totals.cost.map(|money| money.amount.to_string()),
            "currency": totals.cost.map(|money| money.currency.code()),
        },
    })
}

fn json_row<'a>(run: &'a Run, row: &'a Row, once: &mut Once<'a>) -> Value {
    let nodes: Vec<Value> = row.nodes.iter().map(|n| json!({ "plan": n.plan, "count": n.count })).collect();
    let mut value = json!({
        "resource_group": row.resource_group.as_str(),
        "id": row.id.as_str(),
        "configuration_id": row.configuration_id,
        "configuration_name": row.configuration_name,
        "scenario_id": row.scenario_id,
        "outcome": row.outcome.as_str(),
        "reason": row.reason,
        "requested_at": row.requested_at.map(instant),
        "confirmed_at": row.confirmed_at.map(instant),
        "nodes": nodes,
        "avoided": json_avoided(row.avoided()),
        "settlement": row.settlement.as_ref().map(|settlement| json_settlement(row, settlement)),
    });
    if row.would_stop()
        && let Value::Object(fields) = &mut value
    {
        fields.insert("would_avoid".to_owned(), json_avoided(&once.count(run, row)));
    }
    value
}

fn json_avoided(avoided: &Avoided) -> Value {
    json!({
        "from": avoided.from.map(instant),
        "to": avoided.to.map(instant),
        "node_hours": avoided.node_hours.to_string(),
        "capacity_units": avoided.capacity_units.map(|units| units.to_string()),
        "cost": avoided.cost.map(|money| money.amount.to_string()),
        "currency": avoided.cost.map(|money| money.currency.code()),
        "state": avoided.state.as_str(),
    })
}

fn json_settlement(row: &Row, settlement: &Settlement) -> Value {
    let replacement = match &settlement.ended_by {
        EndedBy::Replacement(id) => Some(id.as_str()),
        _ => None,
    };
    json!({
        "at": instant(settlement.at),
        "ended_by": settlement.ended_by.as_str(),
        "replacement": replacement,
        "projected": json_avoided(&row.projected),
        "leak": settlement.leak.as_ref().map(|leak| json!({ "id": leak.id.as_str(), "cost": json_avoided(&leak.cost) })),
    })
}

/// A period's report, with all its runs.
pub fn json_period(report: &PeriodReport<'_>) -> Value {
    let enforced = || report.runs.iter().filter(|run| run.mode == Mode::Enforce);
    let sum = Sum::of(enforced().flat_map(|run| &run.deployments));
    let mut once = Once::default();
    let would = Sum::total(&report.runs.iter().map(|run| once.observed(run)).collect::<Vec<_>>());
    let mut once = Once::default();
    let points = report.trend.points.iter();
    let trend =
        points.map(|point| json!({ "label": point.label, "amount": point.amount.map(|amount| amount.to_string()) }));
    json!({
        "period": {
            "label": report.period.label,
            "from": instant(report.period.from),
            "to": instant(report.period.to),
        },
        "restates": report.restates.map(instant),
        "totals": json_sum(&sum),
        "would_have_avoided": json_sum(&would),
        "trend": { "currency": report.trend.currency.map(Currency::code), "points": trend.collect::<Vec<_>>() },
        "holds": report.holds.iter().map(json_hold).collect::<Vec<_>>(),
        "notes": report.notes,
        "runs": report.runs.iter().map(|run| json_run_once(run, &mut once)).collect::<Vec<_>>(),
    })
}

/// Sums with one entry for each currency: they are never added up.
fn json_sum(sum: &Sum) -> Value {
    let by_currency = |money: Vec<Money>| {
        let entries = money.iter().map(|money| (money.currency.code().to_owned(), json!(money.amount.to_string())));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    json!({
        "deployments": sum.rows,
        "node_hours": sum.node_hours.to_string(),
        "capacity_units": sum.capacity_units.to_string(),
        "unpriced_node_hours": sum.unpriced_hours.to_string(),
        "cost": by_currency(sum.money()),
        "settled": by_currency(sum.settled()),
        "projected": by_currency(sum.projected()),
    })
}

fn json_hold(hold: &Hold) -> Value {
    json!({
        "id": hold.id,
        "target": { "kind": hold.target.kind(), "name": hold.target.name() },
        "created_at": instant(hold.created_at),
        "until": instant(hold.until),
        "reason": hold.reason,
        "by": hold.by,
    })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
