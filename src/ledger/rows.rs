//! The deployments of a run: what was asked for, what became of them, and what that avoided.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{named_params, params};

use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::run::{DeploymentResult, Outcome};
use crate::ledger::columns::ColumnIndex;
use crate::ledger::error::LedgerError;
use crate::ledger::reasons;
use crate::ledger::row_columns::{SETTLEMENT, row};
use crate::ledger::runs::RunId;
use crate::ledger::tx::Tx;
use crate::ledger::values::{charge_columns, parsed, price_of, to_ms, wrong};

/// No run goes on for so long after the end of its off window.
const LONGEST_WATCH: TimeDelta = TimeDelta::days(1);

impl Tx<'_> {
    /// Writes down that stops are about to be asked for; must be on the disk before the first request is sent.
    pub fn request(&self, run: RunId, rows: &[DeploymentResult]) -> Result<(), LedgerError> {
        rows.iter().try_for_each(|row| self.put_row(run, row, None))
    }

    /// The deployments of a resource group that another run has asked to stop, or was about to: its watch says what
    /// becomes of them, and one stop is counted once. A run that is over counts where its end came after `listed_at`,
    /// because a list of that time still shows what it has stopped as RUNNING. So does one that knows the tenant by another
    /// name: an id is given out only once.
    pub fn asked_by_others(
        &self,
        run: RunId,
        group: &ResourceGroup,
        listed_at: DateTime<Utc>,
    ) -> Result<BTreeSet<DeploymentId>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            // CROSS keeps the order: the few open runs first. Left to itself, SQLite begins with all deployments. Of the
            // runs that are over, only those can have ended just now whose window was open until lately.
            "SELECT d.id FROM run r INDEXED BY run_open CROSS JOIN deployment d ON d.run = r.id
             WHERE r.open AND r.id <> ?1 AND d.resource_group = ?2
               AND d.requested_at IS NOT NULL AND d.outcome IS NULL
             UNION
             SELECT d.id FROM run r INDEXED BY run_by_window CROSS JOIN deployment d ON d.run = r.id
             WHERE NOT r.open AND r.mode = 'enforce' AND r.window_to >= ?4 AND r.finished_at >= ?3
               AND r.id <> ?1 AND d.resource_group = ?2
               AND d.requested_at IS NOT NULL AND d.outcome IN ('stopped', 'unconfirmed')",
        )?;
        let lately = to_ms(listed_at - LONGEST_WATCH);
        let values = params![run.0, group.as_str(), to_ms(listed_at), lately];
        let mut found = statement.query(values)?;
        let mut ids = BTreeSet::new();
        while let Some(columns) = found.next()? {
            ids.insert(parsed(columns, "id", "a deployment id", str::parse)?);
        }
        Ok(ids)
    }

    pub(super) fn put_row(
        &self,
        run: RunId,
        row: &DeploymentResult,
        outcome: Option<Outcome>,
    ) -> Result<(), LedgerError> {
        let (charge, charge_note, per_hour) = charge_columns(&row.rate.charge);
        let price = price_of(&row.rate.charge);
        let (reason_code, reason_detail) = reasons::columns(row.reason.as_ref())?;
        let nodes = serde_json::to_string(&row.nodes).map_err(|e| wrong(e, "nodes"))?;
        self.0
            .prepare_cached(
                "INSERT OR REPLACE INTO deployment
                 (run, resource_group, id, configuration_id, configuration_name, scenario_id, outcome, reason_code,
                  reason_detail, selected,
                  requested_at, confirmed_at, expires_at, nodes, node_count, charge, charge_note,
                  capacity_units_per_hour, price, currency, price_source, price_valid_from, avoided_from, avoided_to,
                  node_hours, capacity_units, cost, state, seen_at)
                 VALUES
                 (:run, :resource_group, :id, :configuration_id, :configuration_name, :scenario_id, :outcome, :reason_code,
                  :reason_detail, :selected,
                  :requested_at, :confirmed_at, :expires_at, :nodes, :node_count, :charge, :charge_note, :per_hour,
                  :price, :currency, :price_source, :price_valid_from, :avoided_from, :avoided_to, :node_hours,
                  :capacity_units, :cost, :state, :confirmed_at)",
            )?
            .execute(named_params! {
                ":run": run.0,
                ":resource_group": row.resource_group.as_str(),
                ":id": row.id.as_str(),
                ":configuration_id": row.configuration_id,
                ":configuration_name": row.configuration_name,
                ":scenario_id": row.scenario_id,
                ":outcome": outcome.map(Outcome::as_str),
                ":reason_code": reason_code,
                ":reason_detail": reason_detail,
                ":selected": row.is_selected,
                ":requested_at": row.requested_at.map(to_ms),
                ":confirmed_at": row.confirmed_at.map(to_ms),
                ":expires_at": row.expires_at.map(to_ms),
                ":nodes": nodes,
                ":node_count": row.rate.nodes,
                ":charge": charge,
                ":charge_note": charge_note,
                ":per_hour": per_hour,
                ":price": price.map(|p| p.amount.to_string()),
                ":currency": price.map(|p| p.currency.code()),
                ":price_source": price.map(|p| &*p.source),
                ":price_valid_from": price.map(|p| p.valid_from.to_string()),
                ":avoided_from": row.projected.from.map(to_ms),
                ":avoided_to": row.projected.to.map(to_ms),
                ":node_hours": row.projected.node_hours.to_string(),
                ":capacity_units": row.projected.capacity_units.map(|n| n.to_string()),
                ":cost": row.projected.cost.map(|money| money.amount.to_string()),
                ":state": row.projected.state.as_str(),
            })?;
        Ok(())
    }

    /// The rows of a run, ordered by group and id. One that was asked for and never concluded is unconfirmed.
    pub(crate) fn rows(&self, run: RunId) -> Result<Vec<DeploymentResult>, LedgerError> {
        let mut rows = Vec::new();
        let _ = self.each_row(run, |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// The same, one at a time, until `tell` breaks off.
    pub(super) fn each_row(
        &self,
        run: RunId,
        mut tell: impl FnMut(DeploymentResult) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LedgerError> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT d.*, {SETTLEMENT} FROM deployment d LEFT JOIN settlement s USING (run, resource_group, id)
             WHERE d.run = ?1 ORDER BY d.resource_group, d.id"
        ))?;
        let index = ColumnIndex::of(&statement);
        let mut found = statement.query([run.0])?;
        while let Some(columns) = found.next()? {
            if tell(row(&index.on(columns))?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
