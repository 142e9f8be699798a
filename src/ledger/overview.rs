//! How things stand, for `status` and metrics: a few rows by index, however long the history has grown.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, Row as Columns, params};

use crate::domain::id::RuleName;
use crate::domain::rule::Mode;
use crate::domain::run::{Firing, RunResult, Trigger};
use crate::domain::run_reason::RunReason;
use crate::ledger::error::LedgerError;
use crate::ledger::runs::{mode, run_reasons};
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, instant, optional_instant, parsed, to_ms};

/// Mails that were given up longer ago, and problems that are older, are history.
pub(crate) const RECENT: TimeDelta = TimeDelta::days(7);

/// No mail is tried for longer than this (five days, and the last pause).
const LONGEST_ATTEMPTS: TimeDelta = TimeDelta::days(7);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunHead {
    pub(crate) firing: Firing,
    /// Whether it was allowed to stop anything.
    pub(crate) mode: Mode,
    pub(crate) trigger: Trigger,
    /// How it ended; none while it is going on.
    pub(crate) result: Option<RunResult>,
    /// Why it did not end `done`, or what it waits for.
    pub(crate) reasons: Vec<RunReason>,
    /// When its result was known.
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MailCounts {
    /// Waiting for their next attempt.
    pub(crate) waiting: u32,
    /// Given up within [`RECENT`].
    pub(crate) given_up: u32,
    /// What the last attempt for one that waits came to.
    pub(crate) last_error: Option<String>,
}

/// What the runs of a rule saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matches {
    /// Runs that looked at all that the rule means.
    pub(crate) runs: u32,
    /// Whether any of them met a deployment that the rule selects.
    pub(crate) any: bool,
}

impl Matches {
    /// True where the rule looked and has met nothing that it selects.
    pub fn are_none(self) -> bool {
        self.runs > 0 && !self.any
    }
}

/// How a rule that met nothing in so many runs is told of.
pub(crate) fn unmatched(runs: u32) -> String {
    let runs = if runs == 1 { "its one run".to_owned() } else { format!("all its {runs} runs") };
    format!("matched no deployment in {runs}")
}

impl Tx<'_> {
    /// The runs that are at work, oldest first.
    pub(crate) fn under_way(&self) -> Result<Vec<RunHead>, LedgerError> {
        let mut statement =
            self.0.prepare_cached("SELECT * FROM run WHERE open AND result IS NULL ORDER BY +scheduled_at, id")?;
        let mut found = statement.query([])?;
        let mut runs = Vec::new();
        while let Some(columns) = found.next()? {
            runs.push(head(columns)?);
        }
        Ok(runs)
    }

    /// The run of `rule` that is not over, or else the newest by its scheduled instant: what was skipped because of an open
    /// run says less than that run.
    pub(crate) fn last_run(&self, rule: &RuleName) -> Result<Option<RunHead>, LedgerError> {
        let open = self
            .0
            .prepare_cached("SELECT * FROM run WHERE open AND rule = ?1")?
            .query_row([rule.as_str()], |columns| Ok(head(columns)))
            .optional()?
            .transpose()?;
        if open.is_some() {
            return Ok(open);
        }
        self.0
            .prepare_cached("SELECT * FROM run WHERE rule = ?1 ORDER BY scheduled_at DESC LIMIT 1")?
            .query_row([rule.as_str()], |columns| Ok(head(columns)))
            .optional()?
            .transpose()
    }

    /// The newest run scheduled since `since` at which a person has to look.
    pub(crate) fn last_problem(&self, since: DateTime<Utc>) -> Result<Option<RunHead>, LedgerError> {
        self.0
            .prepare_cached(
                "SELECT * FROM run
                 WHERE scheduled_at >= ?1 AND result IN ('partial', 'failed', 'blocked', 'missed', 'interrupted')
                 ORDER BY scheduled_at DESC, id DESC LIMIT 1",
            )?
            .query_row([to_ms(since)], |columns| Ok(head(columns)))
            .optional()?
            .transpose()
    }

    /// What the runs of `rule` scheduled in [`from`, `to`) saw. A run that could not look everywhere proves nothing by
    /// what it did not meet.
    pub fn matches(&self, rule: &RuleName, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Matches, LedgerError> {
        let (runs, any) = self
            .0
            .prepare_cached(
                "SELECT coalesce(sum(result IN ('done', 'blocked')), 0), coalesce(max(
                          EXISTS (SELECT 1 FROM deployment d WHERE d.run = run.id AND d.selected)
                          OR EXISTS (SELECT 1 FROM left_out l WHERE l.run = run.id AND l.selected)), 0)
                 FROM run
                 WHERE rule = ?1 AND scheduled_at >= ?2 AND scheduled_at < ?3",
            )?
            .query_row(params![rule.as_str(), to_ms(from), to_ms(to)], |columns| {
                Ok((columns.get(0)?, columns.get(1)?))
            })?;
        Ok(Matches { runs, any })
    }

    /// True where a run of `rule` has come to its end, observing or enforcing.
    pub(crate) fn has_been_tried(&self, rule: &RuleName) -> Result<bool, LedgerError> {
        let mut query = self
            .0
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM run WHERE rule = ?1 AND result IN ('done', 'partial'))")?;
        Ok(query.query_row([rule.as_str()], |columns| columns.get(0))?)
    }

    /// When the newest run of `rule` that was carried out ended.
    pub(crate) fn last_end(&self, rule: &RuleName) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let ended: Option<i64> = self
            .0
            .prepare_cached(
                "SELECT finished_at FROM run
                 WHERE rule = ?1 AND finished_at IS NOT NULL AND result NOT IN ('missed', 'skipped')
                 ORDER BY scheduled_at DESC LIMIT 1",
            )?
            .query_row([rule.as_str()], |columns| columns.get(0))
            .optional()?;
        ended.map(from_ms).transpose()
    }

    /// The outbox in numbers, as of `now`.
    pub(crate) fn mail_counts(&self, now: DateTime<Utc>) -> Result<MailCounts, LedgerError> {
        let waiting = self.0.query_row("SELECT count(*) FROM mail WHERE state = 'queued'", [], |row| row.get(0))?;
        let last_error = self
            .0
            .query_row(
                "SELECT last_error FROM mail WHERE state = 'queued' AND last_error IS NOT NULL
                 ORDER BY next_attempt_at DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        Ok(MailCounts { waiting, given_up: self.recently_given_up(now)?, last_error })
    }

    /// Walks back from the newest mail to the oldest that can have been given up recently: years of mails lie behind.
    fn recently_given_up(&self, now: DateTime<Utc>) -> Result<u32, LedgerError> {
        let (since, oldest) = (to_ms(now - RECENT), to_ms(now - RECENT - LONGEST_ATTEMPTS));
        let mut statement = self.0.prepare_cached("SELECT state, created_at, done_at FROM mail ORDER BY id DESC")?;
        let mut found = statement.query([])?;
        let mut given_up = 0;
        while let Some(columns) = found.next()? {
            let (state, created_at, done_at): (String, i64, Option<i64>) =
                (columns.get(0)?, columns.get(1)?, columns.get(2)?);
            if created_at < oldest {
                break;
            }
            given_up += u32::from(state == "dead" && done_at.is_some_and(|at| at >= since));
        }
        Ok(given_up)
    }
}

fn head(columns: &Columns<'_>) -> Result<RunHead, LedgerError> {
    let result: Option<String> = columns.get("result")?;
    Ok(RunHead {
        firing: Firing {
            rule: parsed(columns, "rule", "a rule name", str::parse)?,
            at: instant(columns, "scheduled_at")?,
        },
        mode: mode(columns)?,
        trigger: parsed(columns, "trigger", "a trigger", str::parse)?,
        result: result.map(|_| parsed(columns, "result", "a result", str::parse)).transpose()?,
        reasons: run_reasons(columns)?,
        finished_at: optional_instant(columns, "finished_at")?,
    })
}
