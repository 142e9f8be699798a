//! Runs and periods as JSON: the fields of the design, for programs. Times are RFC 3339 UTC, amounts decimals in
//! strings. Names stand as they are: JSON has its own escaping.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use crate::domain::avoided::{Avoided, Money};
use crate::domain::hold::Hold;
use crate::domain::instant::{rfc3339, rfc3339_exact};
use crate::domain::money::Currency;
use crate::domain::run::{DeploymentResult, EndedBy, Run, Settlement};
use crate::domain::run_reason::RunReason;
use crate::domain::tally::{Tally, Totals};
use crate::domain::visit::RunVisitor;
use crate::report::counted_hours::CountedHours;
use crate::report::json_stream::JsonStream;
use crate::report::period::PeriodReport;
use crate::report::sum::Sum;
use std::collections::BTreeMap;

/// Writes the runs that it is told as JSON, each row when its turn comes. Keys are in the order of the alphabet.
pub struct JsonWriter<W> {
    json: JsonStream<W>,
    ending: Ending,
    once: CountedHours,
    tally: Tally,
    totals: Totals,
    /// What an observing run would have stopped and avoided.
    would: Sum,
    failure: Option<io::Error>,
}

/// What still has to be written when all runs are.
#[derive(Debug)]
enum Ending {
    /// Nothing: the one run was the document.
    Alone,
    List,
    /// The end of the list, and these fields of the period that it is part of.
    Period([(&'static str, Value); 3]),
}

impl<W: Write> JsonWriter<W> {
    /// One run, as `fire --json` prints it.
    pub fn run(out: W) -> Self {
        Self::begun(out, Ending::Alone, |_| Ok(()))
    }

    /// A list of runs, as `history --json` prints it.
    pub fn runs(out: W) -> Self {
        Self::begun(out, Ending::List, JsonStream::list)
    }

    /// A period's report, with all its runs.
    pub fn period(report: &PeriodReport<'_>, out: W) -> Self {
        let points = report.trend.points.iter();
        let points: Vec<Value> = points
            .map(|point| json!({ "label": point.label, "amount": point.amount.map(|amount| amount.to_string()) }))
            .collect();
        let ending = Ending::Period([
            ("totals", json_sum(report.digest.avoided())),
            ("trend", json!({ "currency": report.trend.currency.map(Currency::code), "points": points })),
            ("would_have_avoided", json_sum(report.digest.would_have_avoided())),
        ]);
        let period = json!({
            "label": report.period.label,
            "from": rfc3339_exact(report.period.from),
            "to": rfc3339_exact(report.period.to),
        });
        Self::begun(out, ending, |json| {
            json.object()?;
            json.field("holds", &report.holds.iter().map(json_hold).collect::<Vec<_>>())?;
            json.field("notes", &report.notes)?;
            json.field("period", &period)?;
            json.field("restates", &report.restates.map(rfc3339_exact))?;
            json.key("runs")?;
            json.list()
        })
    }

    fn begun(out: W, ending: Ending, begin: impl FnOnce(&mut JsonStream<W>) -> io::Result<()>) -> Self {
        let mut json = JsonStream::new(out);
        let failure = begin(&mut json).err();
        Self {
            json,
            ending,
            once: CountedHours::default(),
            tally: Tally::default(),
            totals: Totals::default(),
            would: Sum::default(),
            failure,
        }
    }

    /// The document is complete, unless something could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)?;
        match self.ending {
            Ending::Alone => {}
            Ending::List => self.json.close()?,
            Ending::Period(fields) => {
                self.json.close()?;
                fields.iter().try_for_each(|(name, value)| self.json.field(name, value))?;
                self.json.close()?;
            }
        }
        self.json.finish()
    }

    fn noted(&mut self, written: io::Result<()>) -> ControlFlow<()> {
        match written {
            Ok(()) if self.failure.is_none() => ControlFlow::Continue(()),
            Ok(()) => ControlFlow::Break(()),
            Err(error) => {
                self.failure.get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }

    fn end_of_run(&mut self, run: &Run) -> io::Result<()> {
        let mut tally = std::mem::take(&mut self.tally);
        tally.left += run.without_row();
        let totals = std::mem::take(&mut self.totals);
        self.json.close()?;
        self.json.field("finished_at", &rfc3339_exact(run.finished_at))?;
        self.json.field("firing", &run.firing.to_string())?;
        self.json.field("left_out", &left_out(run))?;
        self.json.field("mode", &run.mode.as_str())?;
        let window = run.off_window;
        self.json
            .field("off_window", &json!({ "from": rfc3339_exact(window.from), "to": rfc3339_exact(window.to) }))?;
        self.json.field("reason", &run.why(&rfc3339))?;
        self.json.field("reason_code", &run.reasons.first().map(RunReason::code))?;
        self.json.field("result", &run.result.as_str())?;
        self.json.field("resumed", &run.resumed)?;
        self.json.field("rule", &run.firing.rule.as_str())?;
        self.json.field("scheduled_for", &rfc3339_exact(run.firing.at))?;
        self.json.field("started_at", &rfc3339_exact(run.started_at))?;
        let would = std::mem::take(&mut self.would);
        self.json.field("totals", &json_totals(tally, &totals, &would))?;
        let tries = run.tries.iter().map(
            |one| json!({ "at": rfc3339_exact(one.at), "reason": one.reason.to_string(), "reason_code": one.reason.code() }),
        );
        self.json.field("tries", &tries.collect::<Vec<_>>())?;
        self.json.field("trigger", &run.trigger.as_str())?;
        self.json.close()
    }
}

impl<W: Write> RunVisitor for JsonWriter<W> {
    fn begin(&mut self, run: &Run) -> ControlFlow<()> {
        let written = self.json.object().and_then(|()| {
            self.json.field("connection", &run.connection.as_str())?;
            self.json.key("deployments")?;
            self.json.list()
        });
        self.noted(written)
    }

    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        self.tally.add(row);
        self.totals.add(row);
        let would = row.would_stop().then(|| self.once.count(run, row));
        if let Some(would) = &would {
            self.would.add(would);
        }
        let written = self.json.value(&json_row(row, would.as_ref()));
        self.noted(written)
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        let written = self.end_of_run(run);
        self.noted(written)
    }
}

/// Counts by the words that a reason begins with.
fn left_out(run: &Run) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (kind, count) in &run.left_out {
        *counts.entry(kind.reason.to_string()).or_default() += count;
    }
    counts
}

fn json_totals(tally: Tally, totals: &Totals, would: &Sum) -> Value {
    json!({
        "stopped": tally.stopped,
        "already_off": tally.already_off,
        "gone": tally.gone,
        "left": tally.left,
        "failed": tally.failed,
        "unconfirmed": tally.unconfirmed,
        "node_hours": totals.node_hours.to_string(),
        "capacity_units": totals.capacity_units.to_string(),
        "cost": totals.cost.map(|money| money.amount.to_string()),
        "currency": totals.cost.map(|money| money.currency.code()),
        "would_stop": would.rows,
        "would_avoid": {
            "node_hours": would.node_hours.to_string(),
            "capacity_units": would.capacity_units.to_string(),
            "cost": would.only_money().map(|money| money.amount.to_string()),
            "currency": would.only_money().map(|money| money.currency.code()),
        },
    })
}

/// `would` is what would have been avoided, had an observing rule stopped it.
fn json_row(row: &DeploymentResult, would: Option<&Avoided>) -> Value {
    let nodes: Vec<Value> = row.nodes.iter().map(|n| json!({ "plan": n.plan, "count": n.count })).collect();
    let mut value = json!({
        "resource_group": row.resource_group.as_str(),
        "id": row.id.as_str(),
        "configuration_id": row.configuration_id,
        "configuration_name": row.configuration_name,
        "scenario_id": row.scenario_id,
        "outcome": row.outcome.as_str(),
        "reason": row.sentence(),
        "reason_code": row.reason.as_ref().map(|reason| reason.kind().code()),
        "hold": row.hold(),
        "selected": row.is_selected,
        "requested_at": row.requested_at.map(rfc3339_exact),
        "confirmed_at": row.confirmed_at.map(rfc3339_exact),
        "nodes": nodes,
        "avoided": json_avoided(row.avoided()),
        "settlement": row.settlement.as_ref().map(|settlement| json_settlement(row, settlement)),
    });
    if let (Some(would), Value::Object(fields)) = (would, &mut value) {
        fields.insert("would_avoid".to_owned(), json_avoided(would));
    }
    value
}

fn json_avoided(avoided: &Avoided) -> Value {
    json!({
        "from": avoided.from.map(rfc3339_exact),
        "to": avoided.to.map(rfc3339_exact),
        "node_hours": avoided.node_hours.to_string(),
        "capacity_units": avoided.capacity_units.map(|units| units.to_string()),
        "cost": avoided.cost.map(|money| money.amount.to_string()),
        "currency": avoided.cost.map(|money| money.currency.code()),
        "state": avoided.state.as_str(),
    })
}

fn json_settlement(row: &DeploymentResult, settlement: &Settlement) -> Value {
    let replacement = match &settlement.ended_by {
        EndedBy::Replacement(id) => Some(id.as_str()),
        _ => None,
    };
    json!({
        "at": rfc3339_exact(settlement.at),
        "ended_by": settlement.ended_by.as_str(),
        "replacement": replacement,
        "projected": json_avoided(&row.projected),
        "leak": settlement.leak.as_ref().map(|leak| json!({ "id": leak.id.as_str(), "cost": json_avoided(&leak.cost) })),
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
        "created_at": rfc3339_exact(hold.created_at),
        "until": rfc3339_exact(hold.until),
        "reason": hold.reason,
        "by": hold.by,
        "removed_at": hold.removed_at.map(rfc3339_exact),
    })
}
