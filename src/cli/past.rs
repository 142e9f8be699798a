//! `plan --at` and `explain --at` for an instant that is over: not what would be, but what the ledger says was.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::exit::Failure;
use crate::cli::{Session, output};
use crate::config::Config;
use crate::domain::id::DeploymentId;
use crate::domain::instant::rfc3339;
use crate::domain::rule::Rule;
use crate::domain::run::Row;
use crate::ledger::Ledger;
use crate::ledger::traces::{PastRun, Trace};
use crate::report::clean::shorten;
use crate::report::form::Form;
use crate::report::table;

/// An instant this long ago is over; a shorter while ago still means now.
pub const OVER: TimeDelta = TimeDelta::minutes(1);
/// Runs shown of one deployment.
const TRACES: u32 = 10;

/// What each rule's newest firing at or before `at` did.
pub async fn plan(session: &Session, config: &Config, rules: &[Arc<Rule>], at: DateTime<Utc>) -> Result<(), Failure> {
    let mut plans: Vec<(&Rule, Option<PastRun>)> = Vec::new();
    let ledger = Ledger::open_to_read(&config.state_dir)?;
    for rule in rules {
        let name = rule.name.clone();
        let fired = match &ledger {
            Some(ledger) => ledger.read(move |tx| tx.run_before(&name, at)).await?,
            None => None,
        };
        plans.push((rule, fired));
    }
    if session.json {
        let rows = plans.iter().flat_map(|(rule, fired)| {
            let rows = fired.iter().flat_map(|run| &run.rows);
            rows.map(move |row| json_row(rule, row))
        });
        return output::print_json_list(rows);
    }
    let texts = plans.iter().map(|(rule, fired)| text(rule, fired.as_ref(), config));
    output::print(&texts.collect::<Vec<_>>().join("\n"))
}

fn decision(row: &Row) -> &'static str {
    if row.requested_at.is_some() { "stop" } else { "leave" }
}

fn json_row(rule: &Rule, row: &Row) -> Value {
    json!({
        "rule": rule.name.as_str(),
        "connection": rule.connection.as_str(),
        "resource_group": row.resource_group.as_str(),
        "id": row.id.as_str(),
        "configuration_id": row.configuration_id,
        "configuration_name": row.configuration_name,
        "scenario_id": row.scenario_id,
        "executable_id": null,
        "status": null,
        "decision": decision(row),
        "reason": row.reason,
        "nodes": row.nodes,
        "capacity_units_per_hour": row.rate.capacity_units().map(|units| units.normalize().to_string()),
    })
}

fn text(rule: &Rule, fired: Option<&PastRun>, config: &Config) -> String {
    let form = Form { locale: config.locale(), zone: &rule.schedule.zone };
    let Some(PastRun { at, result, rows }) = fired else {
        return format!("{}: the ledger knows no firing by then\n", rule.name);
    };
    let mut text = format!("{}: as it fired {} ({result})\n", rule.name, form.instant(*at));
    if !rows.is_empty() {
        let mut table = table::plain(&["DECISION", "GROUP", "DEPLOYMENT", "CONFIGURATION", "OUTCOME"]);
        for row in rows {
            let outcome = if row.reason.is_empty() { row.outcome.to_string() } else { row.reason.clone() };
            table.add_row([
                decision(row).to_owned(),
                shorten(row.resource_group.as_str(), 30),
                row.id.to_string(),
                shorten(row.configuration(), 30),
                shorten(&outcome, 80),
            ]);
        }
        table::keep_whole(&mut table, &[0, 1, 2]);
        text.push_str(&table::finished(&table));
    }
    text
}

/// What became of a deployment in the runs up to `at`.
pub async fn explain(session: &Session, config: &Config, id: &DeploymentId, at: DateTime<Utc>) -> Result<(), Failure> {
    let traces = traces(config, id, at).await?;
    if session.json {
        let rows = traces.iter().map(|trace| {
            json!({
                "rule": trace.firing.rule.as_str(),
                "id": id.as_str(),
                "firing": trace.firing.to_string(),
                "decision": decision(&trace.row),
                "outcome": trace.row.outcome.as_str(),
                "reason": trace.row.reason,
                "requested_at": trace.row.requested_at.map(rfc3339),
                "confirmed_at": trace.row.confirmed_at.map(rfc3339),
            })
        });
        return output::print_json_list(rows);
    }
    if traces.is_empty() {
        return output::print(&format!("no run up to {} saw a deployment `{id}`\n", rfc3339(at)));
    }
    output::print(&lines(&traces, config))
}

/// What the ledger knows of a deployment, newest first.
pub async fn traces(config: &Config, id: &DeploymentId, at: DateTime<Utc>) -> Result<Vec<Trace>, Failure> {
    let id = id.clone();
    match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => Ok(ledger.read(move |tx| tx.traces(&id, at, TRACES)).await?),
        None => Ok(Vec::new()),
    }
}

/// One line per run.
pub fn lines(traces: &[Trace], config: &Config) -> String {
    let zone = config.zone_or_utc();
    let form = Form { locale: config.locale(), zone: &zone };
    let mut text = String::new();
    for trace in traces {
        let row = &trace.row;
        let confirmed = row.confirmed_at.map_or_else(String::new, |at| format!(", off since {}", form.time(at)));
        let reason = if row.reason.is_empty() { String::new() } else { format!(": {}", shorten(&row.reason, 120)) };
        let _ = writeln!(
            text,
            "{}, {}: {}{confirmed}{reason}",
            form.instant(trace.firing.at),
            trace.firing.rule,
            row.outcome
        );
    }
    text
}
