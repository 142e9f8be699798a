//! Avoided costs whose second look is due, and what it came to.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{named_params, params};

use crate::domain::id::{ConnectionName, DeploymentId};
use crate::domain::run::{EndedBy, Leak, Row, Settlement};
use crate::domain::schedule::OffWindow;
use crate::ledger::Tx;
use crate::ledger::error::LedgerError;
use crate::ledger::named::Named;
use crate::ledger::rows::row;
use crate::ledger::runs::RunId;
use crate::ledger::values::{LEAK, SETTLED, avoided, from_ms, instant, optional_instant, parsed, to_ms, wrong};

/// Windows that ended longer ago are not looked at any more: what their tenant looks like now tells nothing.
const OLDEST: TimeDelta = TimeDelta::days(30);

/// The columns from which [`settlement`] is read, of a table `s`.
pub(super) const SETTLEMENT: &str = "s.settled_at, s.ended_by, s.replacement, s.avoided_from AS s_from,
     s.avoided_to AS s_to, s.node_hours AS s_node_hours, s.capacity_units AS s_capacity_units, s.cost AS s_cost,
     s.state AS s_state, s.leak_from, s.leak_to, s.leak_node_hours, s.leak_capacity_units, s.leak_cost, s.leak_state";
/// What is true of a run `r` and a deployment `d` whose figure still has to be looked at: it is not settled, or a
/// replacement was seen before the window's end and may go off in its turn.
const OPEN: &str = "r.window_to >= ?1 AND NOT r.open AND r.mode = 'enforce' AND d.outcome IN ('stopped', 'unconfirmed')
     AND NOT EXISTS (SELECT 1 FROM settlement s WHERE s.run = d.run AND s.resource_group = d.resource_group
                     AND s.id = d.id AND NOT (s.leak_state IS NOT NULL AND s.settled_at < r.window_to))";

/// An avoided cost that is not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsettled {
    /// Its run.
    pub run: RunId,
    /// The run's tenant.
    pub connection: ConnectionName,
    /// The run's off window.
    pub off_window: OffWindow,
    /// When the deployment was last seen.
    pub seen_at: Option<DateTime<Utc>>,
    /// The deployment.
    pub row: Row,
}

/// Whether another run counts the stop of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// None does.
    Not,
    /// One is still watching it.
    Undecided,
    /// One does.
    Counted,
}

impl Tx<'_> {
    /// Everything that is not settled for good, oldest window first.
    pub fn unsettled(&self, now: DateTime<Utc>) -> Result<Vec<Unsettled>, LedgerError> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT d.*, r.connection, r.window_from, r.window_to, {SETTLEMENT}
             FROM run r JOIN deployment d ON d.run = r.id
             LEFT JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
             WHERE {OPEN} ORDER BY r.window_to, r.id"
        ))?;
        let mut found = statement.query([to_ms(now - OLDEST)])?;
        let mut unsettled = Vec::new();
        while let Some(columns) = found.next()? {
            unsettled.push(Unsettled {
                run: RunId(columns.get("run")?),
                connection: parsed(columns, "connection", "a connection", str::parse)?,
                off_window: OffWindow { from: instant(columns, "window_from")?, to: instant(columns, "window_to")? },
                seen_at: optional_instant(columns, "seen_at")?,
                row: row(columns)?,
            });
        }
        Ok(unsettled)
    }

    /// The earliest end of an off window that holds anything unsettled.
    pub fn next_settlement_at(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let next: Option<i64> = self.0.query_row(
            &format!("SELECT min(r.window_to) FROM run r JOIN deployment d ON d.run = r.id WHERE {OPEN}"),
            [to_ms(now - OLDEST)],
            |columns| columns.get(0),
        )?;
        next.map(from_ms).transpose()
    }

    /// What other runs on the same tenant make of a deployment's stop.
    pub fn counted_elsewhere(&self, unsettled: &Unsettled) -> Result<Elsewhere, LedgerError> {
        let (counted, open): (bool, bool) = self
            .0
            .prepare_cached(
                "SELECT coalesce(max(d.outcome = 'stopped' OR s.avoided_from IS NOT NULL), 0),
                        coalesce(max(r.open AND d.requested_at IS NOT NULL), 0)
                 FROM deployment d JOIN run r ON r.id = d.run
                 LEFT JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
                 WHERE d.run <> ?1 AND r.connection = ?2 AND d.resource_group = ?3 AND d.id = ?4",
            )?
            .query_row(
                params![
                    unsettled.run.0,
                    unsettled.connection.as_str(),
                    unsettled.row.resource_group.as_str(),
                    unsettled.row.id.as_str()
                ],
                |columns| Ok((columns.get(0)?, columns.get(1)?)),
            )?;
        Ok(match (counted, open) {
            (true, _) => Elsewhere::Counted,
            (false, true) => Elsewhere::Undecided,
            (false, false) => Elsewhere::Not,
        })
    }

    /// True where what `replacement` went on costing is counted already, for a sibling that it may have replaced as well.
    pub fn leak_is_counted(&self, unsettled: &Unsettled, replacement: &DeploymentId) -> Result<bool, LedgerError> {
        Ok(self
            .0
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM run r JOIN settlement s ON s.run = r.id
                                WHERE r.window_to >= ?1 AND NOT r.open AND r.mode = 'enforce' AND r.connection = ?2
                                  AND s.resource_group = ?3 AND s.replacement = ?4 AND s.leak_state IS NOT NULL
                                  AND NOT (s.run = ?5 AND s.id = ?6))",
            )?
            .query_row(
                params![
                    to_ms(unsettled.off_window.from),
                    unsettled.connection.as_str(),
                    unsettled.row.resource_group.as_str(),
                    replacement.as_str(),
                    unsettled.run.0,
                    unsettled.row.id.as_str()
                ],
                |columns| columns.get(0),
            )?)
    }

    /// Notes that a deployment was there at `at`.
    pub fn saw(&self, unsettled: &Unsettled, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0
            .prepare_cached("UPDATE deployment SET seen_at = ?4 WHERE run = ?1 AND resource_group = ?2 AND id = ?3")?
            .execute(params![
                unsettled.run.0,
                unsettled.row.resource_group.as_str(),
                unsettled.row.id.as_str(),
                to_ms(at)
            ])?;
        Ok(())
    }

    /// Writes the second look at a deployment's avoided cost.
    pub fn settle(&self, run: RunId, row: &Row, settlement: &Settlement) -> Result<(), LedgerError> {
        let leak = settlement.leak.as_ref();
        let replacement = match &settlement.ended_by {
            EndedBy::Replacement(id) => Some(id.as_str()),
            _ => leak.map(|leak| leak.id.as_str()),
        };
        let amount = |n: &rust_decimal::Decimal| n.to_string();
        self.0
            .prepare_cached(
                "INSERT OR REPLACE INTO settlement
                 (run, resource_group, id, settled_at, ended_by, avoided_from, avoided_to, node_hours, capacity_units,
                  cost, state, replacement, leak_from, leak_to, leak_node_hours, leak_capacity_units, leak_cost,
                  leak_state)
                 VALUES
                 (:run, :resource_group, :id, :settled_at, :ended_by, :avoided_from, :avoided_to, :node_hours,
                  :capacity_units, :cost, :state, :replacement, :leak_from, :leak_to, :leak_node_hours,
                  :leak_capacity_units, :leak_cost, :leak_state)",
            )?
            .execute(named_params! {
                ":run": run.0,
                ":resource_group": row.resource_group.as_str(),
                ":id": row.id.as_str(),
                ":settled_at": to_ms(settlement.at),
                ":ended_by": settlement.ended_by.as_str(),
                ":avoided_from": settlement.avoided.from.map(to_ms),
                ":avoided_to": settlement.avoided.to.map(to_ms),
                ":node_hours": settlement.avoided.node_hours.to_string(),
                ":capacity_units": settlement.avoided.capacity_units.as_ref().map(amount),
                ":cost": settlement.avoided.cost.map(|money| money.amount.to_string()),
                ":state": settlement.avoided.state.as_str(),
                ":replacement": replacement,
                ":leak_from": leak.and_then(|leak| leak.cost.from).map(to_ms),
                ":leak_to": leak.and_then(|leak| leak.cost.to).map(to_ms),
                ":leak_node_hours": leak.map(|leak| leak.cost.node_hours.to_string()),
                ":leak_capacity_units": leak.and_then(|leak| leak.cost.capacity_units.as_ref().map(amount)),
                ":leak_cost": leak.and_then(|leak| leak.cost.cost).map(|money| money.amount.to_string()),
                ":leak_state": leak.map(|leak| leak.cost.state.as_str()),
            })?;
        // A stop that was not seen in time has come true after all.
        self.0
            .prepare_cached(
                "UPDATE deployment SET confirmed_at = ?4
                 WHERE run = ?1 AND resource_group = ?2 AND id = ?3 AND confirmed_at IS NULL AND ?4 IS NOT NULL",
            )?
            .execute(params![
                run.0,
                row.resource_group.as_str(),
                row.id.as_str(),
                settlement.avoided.from.map(to_ms)
            ])?;
        Ok(())
    }
}

/// The settlement in a row that joins `deployment` and `settlement`.
pub(super) fn settlement(columns: &impl Named) -> Result<Option<Settlement>, LedgerError> {
    let Some(word) = columns.get::<Option<String>>("ended_by")? else { return Ok(None) };
    let replacement: Option<String> = columns.get("replacement")?;
    let replacement =
        replacement.map(|id| DeploymentId::new(id.as_str()).map_err(|_| wrong(id, "a deployment id"))).transpose()?;
    let ended_by = match (word.as_str(), &replacement) {
        ("window-end", _) => EndedBy::WindowEnd,
        ("replacement", Some(id)) => EndedBy::Replacement(id.clone()),
        ("deletion", _) => EndedBy::Deletion,
        ("ttl", _) => EndedBy::Ttl,
        ("never-confirmed", _) => EndedBy::NeverConfirmed,
        ("counted-elsewhere", _) => EndedBy::CountedElsewhere,
        _ => return Err(wrong(word, "what ended an avoided cost")),
    };
    let leak = match replacement {
        Some(id) if columns.get::<Option<String>>("leak_state")?.is_some() => {
            Some(Leak { id, cost: avoided(columns, &LEAK)? })
        }
        _ => None,
    };
    Ok(Some(Settlement { at: instant(columns, "settled_at")?, ended_by, avoided: avoided(columns, &SETTLED)?, leak }))
}
