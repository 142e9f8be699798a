//! What the ledger knows of one deployment, for `explain`.

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::domain::id::DeploymentId;
use crate::domain::run::{DeploymentResult, Firing, RunResult};
use crate::ledger::error::LedgerError;
use crate::ledger::row_columns::row;
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, parsed, to_ms};

/// A deployment in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub(crate) firing: Firing,
    pub(crate) result: RunResult,
    pub(crate) row: DeploymentResult,
}

impl Tx<'_> {
    /// The deployments with this id, or of a configuration with this name, that runs up to `at` saw: the newest first.
    pub(crate) fn ids_of(&self, wanted: &str, at: DateTime<Utc>, most: u32) -> Result<Vec<DeploymentId>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT d.id FROM deployment d JOIN run r ON r.id = d.run
             WHERE (d.id = ?1 OR d.configuration_name = ?1) AND r.scheduled_at <= ?2
             GROUP BY d.id ORDER BY max(r.scheduled_at) DESC, d.id LIMIT ?3",
        )?;
        let mut found = statement.query(params![wanted, to_ms(at), most])?;
        let mut ids = Vec::new();
        while let Some(columns) = found.next()? {
            ids.push(parsed(columns, "id", "a deployment id", str::parse)?);
        }
        Ok(ids)
    }

    /// The last `most` runs scheduled at or before `at` that saw the deployment, newest first.
    pub fn traces(&self, id: &DeploymentId, at: DateTime<Utc>, most: u32) -> Result<Vec<Trace>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT d.*, r.rule, r.scheduled_at, r.result, NULL AS ended_by
             FROM run r JOIN deployment d ON d.run = r.id
             WHERE d.id = ?1 AND r.scheduled_at <= ?2 AND r.result IS NOT NULL
             ORDER BY r.scheduled_at DESC LIMIT ?3",
        )?;
        let mut found = statement.query(params![id.as_str(), to_ms(at), most])?;
        let mut traces = Vec::new();
        while let Some(columns) = found.next()? {
            traces.push(Trace {
                firing: Firing {
                    rule: parsed(columns, "rule", "a rule name", str::parse)?,
                    at: instant(columns, "scheduled_at")?,
                },
                result: parsed(columns, "result", "a result", str::parse)?,
                row: row(columns)?,
            });
        }
        Ok(traces)
    }
}
