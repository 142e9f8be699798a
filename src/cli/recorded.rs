//! `plan --at` and `explain --at` for an instant that is over: not what would be, but what the ledger says was.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tracing::warn;

use crate::cli::exit::CommandError;
use crate::cli::json_list::JsonList;
use crate::cli::output;
use crate::cli::session::Session;
use crate::config::Config;
use crate::domain::id::DeploymentId;
use crate::domain::instant::rfc3339;
use crate::domain::locale::Locale;
use crate::domain::plain_text::{clean, shorten};
use crate::domain::rule::Rule;
use crate::domain::run::{DeploymentResult, Run};
use crate::domain::visit::RunVisitor;
use crate::ledger::left_out::Counted;
use crate::ledger::traces::Trace;
use crate::ledger::{Ledger, Tx};
use crate::report::form::Form;
use crate::report::grid::{Grid, GridCell, Tone};
use crate::report::table;

/// An instant this long ago is over; a shorter while ago still means now.
pub(crate) const OVER: TimeDelta = TimeDelta::minutes(1);
/// Runs shown of one deployment.
const TRACES: u32 = 10;
/// Rows shown of one run; a longer table is no longer read.
const MOST_ROWS: usize = 2_000;

/// What each rule's newest firing at or before `at` did.
pub(crate) async fn plan(
    session: &Session,
    config: &Config,
    rules: &[Arc<Rule>],
    at: DateTime<Utc>,
) -> Result<(), CommandError> {
    let (rules, locale, json) = (rules.to_vec(), config.locale(), session.json);
    let print = move |tx: Option<&Tx<'_>>| {
        if json { print_rows(tx, &rules, at) } else { print_tables(tx, &rules, at, locale) }
    };
    match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => ledger.read(move |tx| Ok(print(Some(tx)))).await?,
        None => print(None),
    }
}

fn print_rows(tx: Option<&Tx<'_>>, rules: &[Arc<Rule>], at: DateTime<Utc>) -> Result<(), CommandError> {
    let mut rows = Rows(JsonList::begin());
    for rule in rules {
        if let Some(tx) = tx {
            tx.run_before(&rule.name, at, &mut rows)?;
        }
    }
    rows.0.end()
}

fn print_tables(
    tx: Option<&Tx<'_>>,
    rules: &[Arc<Rule>],
    at: DateTime<Utc>,
    locale: Locale,
) -> Result<(), CommandError> {
    let mut texts = Vec::new();
    for rule in rules {
        let mut first = FirstRows::default();
        if let Some(tx) = tx {
            tx.run_before(&rule.name, at, &mut first)?;
        }
        texts.push(text(rule, &first, locale));
    }
    output::print(&texts.join("\n"))
}

/// Prints each row when it is told.
struct Rows(JsonList);

impl RunVisitor for Rows {
    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        self.0.push(&json_row(run, row));
        ControlFlow::Continue(())
    }
}

/// Keeps as many rows as are read.
#[derive(Default)]
struct FirstRows {
    run: Option<Run>,
    rows: Vec<DeploymentResult>,
    more: usize,
}

impl RunVisitor for FirstRows {
    fn begin(&mut self, run: &Run) -> ControlFlow<()> {
        self.run = Some(run.clone());
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        if self.rows.len() < MOST_ROWS {
            self.rows.push(row.clone());
        } else {
            self.more += 1;
        }
        ControlFlow::Continue(())
    }
}

fn decision(row: &DeploymentResult) -> &'static str {
    if row.requested_at.is_some() { "stop" } else { "leave" }
}

fn json_row(run: &Run, row: &DeploymentResult) -> Value {
    json!({
        "rule": run.firing.rule.as_str(),
        "connection": run.connection.as_str(),
        "resource_group": row.resource_group.as_str(),
        "id": row.id.as_str(),
        "configuration_id": row.configuration_id,
        "configuration_name": row.configuration_name,
        "scenario_id": row.scenario_id,
        "executable_id": null,
        "status": null,
        "decision": decision(row),
        "reason": row.sentence(),
        "reason_code": row.reason.as_ref().map(|reason| reason.kind().code()),
        "hold": row.hold(),
        "nodes": row.nodes,
        "capacity_units_per_hour": row.rate.capacity_units().map(|units| units.normalize().to_string()),
    })
}

fn text(rule: &Rule, first: &FirstRows, locale: Locale) -> String {
    let form = Form { locale, zone: &rule.schedule.zone };
    let FirstRows { run: Some(run), rows, more } = first else {
        return format!("{}: the ledger knows no firing by then\n", rule.name);
    };
    let mut text = format!("{}: as it fired {} ({})\n", rule.name, form.instant(run.firing.at), run.result);
    if !rows.is_empty() {
        let mut table = Grid::new(&["DECISION", "GROUP", "DEPLOYMENT", "CONFIGURATION", "OUTCOME"]);
        for row in rows {
            let said = row.reason.as_ref().map(|reason| reason.say(&form.instants()));
            let outcome = said.unwrap_or_else(|| row.outcome.to_string());
            table.add_row([
                GridCell::new(decision(row), if row.requested_at.is_some() { Tone::Change } else { Tone::Plain }),
                clean(row.resource_group.as_str()).into(),
                row.id.to_string().into(),
                clean(row.configuration()).into(),
                GridCell::new(clean(&outcome), table::outcome_tone(row.outcome)),
            ]);
        }
        table.keep_whole(&[0, 2]);
        text.push_str(&table.draw(output::screen()));
    }
    if *more > 0 {
        let _ = writeln!(text, "and {more} more, which `--json` lists");
    }
    if let Some(counts) = table::left_without_row(&run.left_out, &form) {
        let _ = writeln!(text, "{counts}");
    }
    text
}

/// What became of a deployment in the runs up to `at`.
pub(crate) async fn explain(
    session: &Session,
    config: &Config,
    id: &DeploymentId,
    at: DateTime<Utc>,
) -> Result<(), CommandError> {
    let (traces, counted) = traces(config, id, at).await?;
    if session.json {
        if let Some(counted) = counted {
            warn!("{}", may_be_among(&counted));
        }
        let rows = traces.iter().map(|trace| {
            json!({
                "rule": trace.firing.rule.as_str(),
                "id": id.as_str(),
                "firing": trace.firing.to_string(),
                "decision": decision(&trace.row),
                "outcome": trace.row.outcome.as_str(),
                "reason": trace.row.sentence(),
                "reason_code": trace.row.reason.as_ref().map(|reason| reason.kind().code()),
                "hold": trace.row.hold(),
                "requested_at": trace.row.requested_at.map(rfc3339),
                "confirmed_at": trace.row.confirmed_at.map(rfc3339),
            })
        });
        return output::print_json_list(rows);
    }
    let mut text = match traces.is_empty() {
        true if counted.is_some() => format!("no run up to {} kept a row of a deployment `{id}`\n", rfc3339(at)),
        true => format!("no run up to {} saw a deployment `{id}`\n", rfc3339(at)),
        false => lines(&traces, config),
    };
    if let Some(counted) = counted {
        let _ = writeln!(text, "{}", may_be_among(&counted));
    }
    output::print(&text)
}

/// Runs that counted what they left instead of keeping a row of each may have seen it too.
pub(crate) fn may_be_among(counted: &Counted) -> String {
    let left: usize = counted.left_out.values().sum();
    format!(
        "note: of a large tenant a run only counts most of what it leaves, and this may be among them: the newest such run \
         is {} ({left} counted)",
        counted.firing
    )
}

/// What the ledger knows of a deployment, newest first, and the newest run that may have seen it without a row.
pub(crate) async fn traces(
    config: &Config,
    id: &DeploymentId,
    at: DateTime<Utc>,
) -> Result<(Vec<Trace>, Option<Counted>), CommandError> {
    let id = id.clone();
    Ok(Ledger::read_where_it_is(&config.state_dir, move |tx| Ok((tx.traces(&id, at, TRACES)?, tx.newest_counted(at)?)))
        .await?)
}

/// One line per run.
pub(crate) fn lines(traces: &[Trace], config: &Config) -> String {
    let zone = config.zone_or_utc();
    let form = Form { locale: config.locale(), zone: &zone };
    let mut text = String::new();
    for trace in traces {
        let row = &trace.row;
        let confirmed = row.confirmed_at.map_or_else(String::new, |at| format!(", off since {}", form.time(at)));
        let reason = row
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {}", shorten(&reason.say(&form.instants()), 120)));
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
