//! Tries of a run that did not come to an end, and whether the run is still this executor's to go on with.

use rusqlite::params;

use crate::domain::run::Try;
use crate::domain::run_reason::RunReason;
use crate::ledger::error::LedgerError;
use crate::ledger::reasons::{from_json, to_json};
use crate::ledger::runs::RunId;
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, to_ms};

impl Tx<'_> {
    /// Keeps the tries of `run`, oldest first; those that are there already stay as they are. While it is under way, its
    /// reason says what it waits for.
    pub fn put_tries(&self, run: RunId, tries: &[Try]) -> Result<(), LedgerError> {
        let mut insert = self.0.prepare_cached(
            "INSERT INTO try (run, number, at, reason, cause) VALUES (?1, ?2, ?3, '', ?4) ON CONFLICT DO NOTHING",
        )?;
        for (number, one) in (1_i64..).zip(tries) {
            insert.execute(params![run.0, number, to_ms(one.at), to_json(&one.reason)?])?;
        }
        if let Some(last) = tries.last() {
            let reasons = [RunReason::TryingAgain(Box::new(last.reason.clone()))];
            self.0
                .prepare_cached("UPDATE run SET reasons = ?2 WHERE id = ?1 AND open")?
                .execute(params![run.0, to_json(&reasons)?])?;
        }
        Ok(())
    }

    /// The tries of `run` that did not come to an end, oldest first.
    pub fn tries(&self, run: RunId) -> Result<Vec<Try>, LedgerError> {
        let mut statement = self.0.prepare_cached("SELECT at, cause FROM try WHERE run = ?1 ORDER BY number")?;
        let mut found = statement.query([run.0])?;
        let mut tries = Vec::new();
        while let Some(columns) = found.next()? {
            tries.push(Try { at: instant(columns, "at")?, reason: from_json(&columns.get::<_, String>("cause")?)? });
        }
        Ok(tries)
    }

    /// True where `run` is under way and `executor` has it: nobody has taken it over or concluded it.
    pub(crate) fn is_held_by(&self, run: RunId, executor: &str) -> Result<bool, LedgerError> {
        let query = "SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1 AND executor = ?2 AND open)";
        Ok(self.0.prepare_cached(query)?.query_row(params![run.0, executor], |columns| columns.get(0))?)
    }
}
