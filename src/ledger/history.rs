//! What was: runs read back, told one after the other and row by row.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row as Columns, named_params, params};

use crate::domain::id::RuleName;
use crate::domain::run::Run;
use crate::domain::visit::{Kept, RunVisitor};
use crate::ledger::error::LedgerError;
use crate::ledger::runs::{RunFilter, RunId, firing, mode, off_window, run_reasons};
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, optional_instant, parsed, to_ms};

impl Tx<'_> {
    /// Tells the concluded and interrupted runs that `filter` asks for, oldest first. One row is in memory at a time.
    pub(crate) fn each_run(&self, filter: &RunFilter, visitor: &mut impl RunVisitor) -> Result<(), LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT * FROM run
             WHERE result IS NOT NULL AND scheduled_at >= :since AND scheduled_at < :before ORDER BY scheduled_at, id",
        )?;
        // A statement of its own, because SQLite decides on an index before it knows whether there is a rule.
        let mut of_rule = self.0.prepare_cached(
            "SELECT * FROM run
             WHERE rule = :rule AND result IS NOT NULL AND scheduled_at >= :since AND scheduled_at < :before
             ORDER BY scheduled_at",
        )?;
        let (since, before) = (filter.since.map_or(i64::MIN, to_ms), filter.before.map_or(i64::MAX, to_ms));
        let mut found = match &filter.rule {
            Some(rule) => {
                of_rule.query(named_params! { ":rule": rule.as_str(), ":since": since, ":before": before })?
            }
            None => statement.query(named_params! { ":since": since, ":before": before })?,
        };
        while let Some(columns) = found.next()? {
            let (id, run) = self.head(columns)?;
            if self.tell(id, &run, visitor)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The same runs as values, for where they are known to be few.
    pub fn history(&self, filter: &RunFilter) -> Result<Vec<Run>, LedgerError> {
        let mut kept = Kept::default();
        self.each_run(filter, &mut kept)?;
        Ok(kept.runs)
    }

    /// Tells the newest firing of `rule` scheduled at or before `at`. False where there is none.
    pub(crate) fn run_before(
        &self,
        rule: &RuleName,
        at: DateTime<Utc>,
        visitor: &mut impl RunVisitor,
    ) -> Result<bool, LedgerError> {
        let found = self
            .0
            .prepare_cached(
                "SELECT * FROM run
                 WHERE rule = ?1 AND scheduled_at <= ?2 AND result IS NOT NULL ORDER BY scheduled_at DESC LIMIT 1",
            )?
            .query_row(params![rule.as_str(), to_ms(at)], |columns| Ok(self.head(columns)))
            .optional()?
            .transpose()?;
        let Some((id, run)) = found else { return Ok(false) };
        // Whether it broke off is the visitor's own affair.
        let _ = self.tell(id, &run, visitor)?;
        Ok(true)
    }

    fn tell(&self, id: RunId, run: &Run, visitor: &mut impl RunVisitor) -> Result<ControlFlow<()>, LedgerError> {
        if visitor.begin(run).is_break() || self.each_row(id, |row| visitor.row(run, &row))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(visitor.end(run))
    }

    fn head(&self, columns: &Columns<'_>) -> Result<(RunId, Run), LedgerError> {
        let id = RunId(columns.get("id")?);
        let run = Run {
            firing: firing(columns)?,
            connection: parsed(columns, "connection", "a connection", str::parse)?,
            mode: mode(columns)?,
            trigger: parsed(columns, "trigger", "a trigger", str::parse)?,
            started_at: instant(columns, "started_at")?,
            finished_at: optional_instant(columns, "finished_at")?
                .map_or_else(|| instant(columns, "started_at"), Ok)?,
            result: parsed(columns, "result", "a result", str::parse)?,
            reasons: run_reasons(columns)?,
            off_window: off_window(columns)?,
            resumed: columns.get("resumed")?,
            deployments: Vec::new(),
            left_out: self.left_out(id)?,
            tries: self.tries(id)?,
        };
        Ok((id, run))
    }
}
