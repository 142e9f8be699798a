//! Tries of a run that did not come to an end, and whether the run is still this executor's to go on with.

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::domain::run::Try;
use crate::ledger::Tx;
use crate::ledger::error::LedgerError;
use crate::ledger::runs::RunId;
use crate::ledger::values::{instant, to_ms};

impl Tx<'_> {
    /// Notes that a try of `run` could not list or ask everything.
    pub fn note_try(&self, run: RunId, at: DateTime<Utc>, reason: &str) -> Result<(), LedgerError> {
        self.0
            .prepare_cached(
                "INSERT INTO try (run, number, at, reason)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM try WHERE run = ?1",
            )?
            .execute(params![run.0, to_ms(at), reason])?;
        Ok(())
    }

    /// The tries of `run` that did not come to an end, oldest first.
    pub fn tries(&self, run: RunId) -> Result<Vec<Try>, LedgerError> {
        let mut statement = self.0.prepare_cached("SELECT at, reason FROM try WHERE run = ?1 ORDER BY number")?;
        let mut found = statement.query([run.0])?;
        let mut tries = Vec::new();
        while let Some(columns) = found.next()? {
            tries.push(Try { at: instant(columns, "at")?, reason: columns.get("reason")? });
        }
        Ok(tries)
    }

    /// True where `run` is under way and `executor` has it: nobody has taken it over or concluded it.
    pub fn is_held_by(&self, run: RunId, executor: &str) -> Result<bool, LedgerError> {
        let query = "SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1 AND executor = ?2 AND open)";
        Ok(self.0.prepare_cached(query)?.query_row(params![run.0, executor], |columns| columns.get(0))?)
    }
}
