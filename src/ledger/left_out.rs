//! What a run left without a row: counts by the kind of reason.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use crate::domain::run::{Firing, LeftKind, LeftOut};
use crate::ledger::error::LedgerError;
use crate::ledger::reasons::{kind, kind_columns};
use crate::ledger::runs::{RunId, firing};
use crate::ledger::tx::Tx;
use crate::ledger::values::{to_ms, wrong};

/// A run that counted what it left, instead of keeping a row of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    pub firing: Firing,
    pub left_out: LeftOut,
}

impl Tx<'_> {
    pub(super) fn put_left_out(&self, run: RunId, left_out: &LeftOut) -> Result<(), LedgerError> {
        let mut insert = self.0.prepare_cached(
            "INSERT INTO left_out (run, reason_code, status, selected, count) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (kind, count) in left_out.iter().filter(|(_, count)| **count > 0) {
            let count = i64::try_from(*count).map_err(|_| wrong(count, "a count"))?;
            let (code, status) = kind_columns(kind);
            insert.execute(params![run.0, code, status, kind.is_selected, count])?;
        }
        Ok(())
    }

    /// What a run left without a row of its own.
    pub(crate) fn left_out(&self, run: RunId) -> Result<LeftOut, LedgerError> {
        let mut statement =
            self.0.prepare_cached("SELECT reason_code, status, selected, count FROM left_out WHERE run = ?1")?;
        let mut found = statement.query([run.0])?;
        let mut left_out = LeftOut::new();
        while let Some(columns) = found.next()? {
            let (code, status): (String, String) = (columns.get(0)?, columns.get(1)?);
            let kind = LeftKind { reason: kind(&code, &status)?, is_selected: columns.get(2)? };
            let count: i64 = columns.get(3)?;
            left_out.insert(kind, usize::try_from(count).map_err(|_| wrong(count, "a count"))?);
        }
        Ok(left_out)
    }

    /// The newest run scheduled at or before `at` that left deployments without a row.
    pub fn newest_counted(&self, at: DateTime<Utc>) -> Result<Option<Counted>, LedgerError> {
        let found = self
            .0
            .prepare_cached(
                "SELECT id, rule, scheduled_at FROM run INDEXED BY run_by_start
                 WHERE scheduled_at <= ?1 AND result IS NOT NULL
                   AND EXISTS (SELECT 1 FROM left_out WHERE run = run.id)
                 ORDER BY scheduled_at DESC, id DESC LIMIT 1",
            )?
            .query_row([to_ms(at)], |columns| Ok((RunId(columns.get("id")?), firing(columns))))
            .optional()?;
        let Some((id, firing)) = found else { return Ok(None) };
        Ok(Some(Counted { firing: firing?, left_out: self.left_out(id)? }))
    }
}
