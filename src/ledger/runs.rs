//! Firings, claimed once for ever, and the runs they became.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row as Columns, named_params, params};

use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::rule::Mode;
use crate::domain::run::{Firing, LeftOut, Run, RunResult, Trigger};
use crate::domain::run_reason::{Interruption, RunReason};
use crate::domain::schedule::OffWindow;
use crate::ledger::error::LedgerError;
use crate::ledger::reasons::{from_json, to_json};
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, parsed, to_ms};

/// A run's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

/// A firing about to be claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    pub firing: Firing,
    pub connection: ConnectionName,
    /// Whether it may stop anything.
    pub mode: Mode,
    pub trigger: Trigger,
    /// The time in which its deployments should not run.
    pub off_window: OffWindow,
    pub started_at: DateTime<Utc>,
    /// Name of the lock of the process that carries it out.
    pub executor: String,
}

impl NewRun {
    /// The run that this firing becomes where it ends at `finished_at` and met no deployment. Whoever met some adds them.
    pub fn ended(&self, result: RunResult, reasons: Vec<RunReason>, finished_at: DateTime<Utc>) -> Run {
        Run {
            firing: self.firing.clone(),
            connection: self.connection.clone(),
            mode: self.mode,
            trigger: self.trigger,
            started_at: self.started_at,
            finished_at,
            result,
            reasons,
            off_window: self.off_window,
            resumed: false,
            deployments: Vec::new(),
            left_out: LeftOut::new(),
            tries: Vec::new(),
        }
    }
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is ours to carry out.
    Taken(RunId),
    /// The rule's previous run is still open: recorded as skipped.
    Skipped,
    /// It was claimed before; nothing is to be done.
    Duplicate,
}

/// A run that was claimed and has not been concluded.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRun {
    pub id: RunId,
    pub claim: NewRun,
}

/// Which runs of the history are wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunFilter {
    /// Scheduled at or after this instant.
    pub since: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
    pub rule: Option<RuleName>,
}

impl Tx<'_> {
    /// Claims a firing. The unique key on rule and instant makes it happen once for ever.
    ///
    /// A commit that fails at the very end may be on the disk all the same, and come to light when the file is opened
    /// again. So a claim that the same executor made, and that nothing followed, is given to it once more: refused, it
    /// would be carried out by nobody.
    pub fn claim(&self, new: &NewRun) -> Result<Claim, LedgerError> {
        let busy: bool = self
            .0
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM run WHERE open AND rule = ?1 AND scheduled_at <> ?2)")?
            .query_row(params![new.firing.rule.as_str(), to_ms(new.firing.at)], |row| row.get(0))?;
        let skipped = busy.then_some(RunResult::Skipped);
        let reasons: &[RunReason] = if busy { &[RunReason::Skipped] } else { &[] };
        if !self.insert(new, skipped, reasons, busy.then_some(new.started_at))? {
            return Ok(self.untouched_claim(new)?.map_or(Claim::Duplicate, Claim::Taken));
        }
        Ok(if busy { Claim::Skipped } else { Claim::Taken(RunId(self.0.last_insert_rowid())) })
    }

    fn untouched_claim(&self, new: &NewRun) -> Result<Option<RunId>, LedgerError> {
        // Nobody tries a person's firing again by itself: a second one is a second one, and the first is under way.
        if new.trigger == Trigger::Manual {
            return Ok(None);
        }
        let id = self
            .0
            .prepare_cached(
                "SELECT id FROM run WHERE rule = ?1 AND scheduled_at = ?2 AND open AND executor = ?3 AND NOT resumed
                 AND NOT EXISTS (SELECT 1 FROM deployment WHERE run = run.id)",
            )?
            .query_row(params![new.firing.rule.as_str(), to_ms(new.firing.at), new.executor], |row| row.get(0))
            .optional()?;
        Ok(id.map(RunId))
    }

    /// Records a firing that is not carried out. False where it was in the ledger already.
    pub fn record(&self, new: &NewRun, result: RunResult, reasons: &[RunReason]) -> Result<bool, LedgerError> {
        self.insert(new, Some(result), reasons, Some(new.started_at))
    }

    fn insert(
        &self,
        new: &NewRun,
        result: Option<RunResult>,
        reasons: &[RunReason],
        finished_at: Option<DateTime<Utc>>,
    ) -> Result<bool, LedgerError> {
        let inserted = self
            .0
            .prepare_cached(
                "INSERT INTO run (rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at,
                                  finished_at, result, reasons, open, executor)
                 VALUES (:rule, :scheduled_at, :connection, :mode, :trigger, :window_from, :window_to, :started_at,
                         :finished_at, :result, :reasons, :open, :executor)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(named_params! {
                ":rule": new.firing.rule.as_str(),
                ":scheduled_at": to_ms(new.firing.at),
                ":connection": new.connection.as_str(),
                ":mode": new.mode.as_str(),
                ":trigger": new.trigger.as_str(),
                ":window_from": to_ms(new.off_window.from),
                ":window_to": to_ms(new.off_window.to),
                ":started_at": to_ms(new.started_at),
                ":finished_at": finished_at.map(to_ms),
                ":result": result.map(RunResult::as_str),
                ":reasons": to_json(reasons)?,
                ":open": result.is_none(),
                ":executor": new.executor,
            })?;
        Ok(inserted == 1)
    }

    /// Marks a run of `executor` as interrupted; it stays open and is resumed by the next start.
    pub fn interrupt(&self, id: RunId, executor: &str, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0.execute(
            "UPDATE run SET result = ?2, finished_at = ?3, reasons = ?5 WHERE id = ?1 AND executor = ?4 AND open",
            params![
                id.0,
                RunResult::Interrupted.as_str(),
                to_ms(at),
                executor,
                to_json(&[RunReason::Interrupted(Interruption::Stopped)])?
            ],
        )?;
        Ok(())
    }

    /// Takes over an open run from an executor that is no more. False where somebody else was faster.
    pub fn adopt(&self, run: &OpenRun, executor: &str) -> Result<bool, LedgerError> {
        let adopted = self.0.execute(
            "UPDATE run SET executor = ?3, resumed = 1, result = NULL, finished_at = NULL, reasons = '[]'
             WHERE id = ?1 AND executor = ?2 AND open",
            params![run.id.0, run.claim.executor, executor],
        )?;
        Ok(adopted == 1)
    }

    /// Concludes a run with its result and rows. False where it was concluded before, and nothing is written: whoever
    /// did that has queued its mails too.
    pub fn finish(&self, id: RunId, run: &Run) -> Result<bool, LedgerError> {
        let concluded = self
            .0
            .prepare_cached(
                "UPDATE run SET finished_at = ?2, result = ?3, reasons = ?4, open = 0 WHERE id = ?1 AND open",
            )?
            .execute(params![id.0, to_ms(run.finished_at), run.result.as_str(), to_json(&run.reasons)?])?;
        if concluded == 0 {
            return Ok(false);
        }
        for row in &run.deployments {
            self.put_row(id, row, Some(row.outcome))?;
        }
        // Written down and never sent, because something came in between, and not met again since.
        self.0.prepare_cached("DELETE FROM deployment WHERE run = ?1 AND outcome IS NULL")?.execute([id.0])?;
        self.put_left_out(id, &run.left_out)?;
        self.expect_settlement(id)?;
        Ok(true)
    }

    /// All runs that were claimed and not concluded, oldest first.
    pub fn open_runs(&self) -> Result<Vec<OpenRun>, LedgerError> {
        // The plus keeps SQLite from walking through all runs in order, where sorting the few open ones is cheaper.
        let mut statement = self.0.prepare_cached("SELECT * FROM run WHERE open ORDER BY +scheduled_at, id")?;
        let mut found = statement.query([])?;
        let mut runs = Vec::new();
        while let Some(columns) = found.next()? {
            let claim = NewRun {
                firing: firing(columns)?,
                connection: parsed(columns, "connection", "a connection", str::parse)?,
                mode: mode(columns)?,
                trigger: parsed(columns, "trigger", "a trigger", str::parse)?,
                off_window: off_window(columns)?,
                started_at: instant(columns, "started_at")?,
                executor: columns.get("executor")?,
            };
            runs.push(OpenRun { id: RunId(columns.get("id")?), claim });
        }
        Ok(runs)
    }
}

pub(super) fn run_reasons(columns: &Columns<'_>) -> Result<Vec<RunReason>, LedgerError> {
    from_json(&columns.get::<_, String>("reasons")?)
}

pub(super) fn firing(columns: &Columns<'_>) -> Result<Firing, LedgerError> {
    Ok(Firing { rule: parsed(columns, "rule", "a rule name", str::parse)?, at: instant(columns, "scheduled_at")? })
}

pub(super) fn mode(columns: &Columns<'_>) -> Result<Mode, LedgerError> {
    parsed(columns, "mode", "a mode", str::parse)
}

pub(super) fn off_window(columns: &Columns<'_>) -> Result<OffWindow, LedgerError> {
    Ok(OffWindow { from: instant(columns, "window_from")?, to: instant(columns, "window_to")? })
}
