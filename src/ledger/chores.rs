//! Chores that are under way. A note is written before one is begun and taken away at its end, so that a note that is
//! found at the next beginning means: this has ended the process.

use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use crate::domain::instant::rfc3339;
use crate::domain::words::words;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{instant, parsed, to_ms};

/// So often a chore may end the process; then it is not tried again.
pub(crate) const MOST_DEATHS: u32 = 2;

words! {
    pub(crate) ChoreKind {
        /// A report of the calendar, at its instant.
        Report = "report",
        /// The notice before a firing of a rule, at the firing's instant.
        Notice = "notice",
        /// Settling avoided costs, of one day.
        Settling = "settling",
    }
}

/// Something that is done beside the runs, for one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chore {
    pub(crate) kind: ChoreKind,
    /// Of what: a report, a rule; empty where there is only one of the kind.
    pub(crate) name: String,
    pub(crate) at: DateTime<Utc>,
    /// The command that does it by hand.
    pub(crate) by_hand: String,
}

impl fmt::Display for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.name.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{} of {}", self.kind.as_str(), self.name, rfc3339(self.at))
    }
}

/// Whether a chore may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is written down as begun.
    Yes,
    /// It has ended the process too often and was put aside just now.
    PutAside,
    /// It was put aside before.
    Aside,
}

impl Tx<'_> {
    /// Writes down that a chore is about to be begun; must be on the disk before it is.
    pub(crate) fn begin_chore(&self, chore: &Chore, now: DateTime<Utc>) -> Result<Begun, LedgerError> {
        let key = params![chore.kind.as_str(), chore.name, to_ms(chore.at)];
        let found: Option<(u32, bool)> = self
            .0
            .prepare_cached("SELECT begun, aside FROM chore WHERE kind = ?1 AND name = ?2 AND at = ?3")?
            .query_row(key, |columns| Ok((columns.get(0)?, columns.get(1)?)))
            .optional()?;
        let (begun, aside) = found.unwrap_or_default();
        if aside {
            return Ok(Begun::Aside);
        }
        if begun >= MOST_DEATHS {
            self.0
                .prepare_cached("UPDATE chore SET aside = 1 WHERE kind = ?1 AND name = ?2 AND at = ?3")?
                .execute(key)?;
            return Ok(Begun::PutAside);
        }
        self.0
            .prepare_cached(
                "INSERT INTO chore (kind, name, at, begun, begun_at, by_hand) VALUES (?1, ?2, ?3, 1, ?4, ?5)
                 ON CONFLICT DO UPDATE SET begun = begun + 1, begun_at = excluded.begun_at",
            )?
            .execute(params![chore.kind.as_str(), chore.name, to_ms(chore.at), to_ms(now), chore.by_hand])?;
        Ok(Begun::Yes)
    }

    /// The process has outlived the chore, whatever came of it.
    pub(crate) fn end_chore(&self, chore: &Chore) -> Result<(), LedgerError> {
        self.0
            .prepare_cached("DELETE FROM chore WHERE kind = ?1 AND name = ?2 AND at = ?3 AND NOT aside")?
            .execute(params![chore.kind.as_str(), chore.name, to_ms(chore.at)])?;
        Ok(())
    }

    /// What was put aside and last begun since `since`, oldest first.
    pub(crate) fn chores_put_aside(&self, since: DateTime<Utc>) -> Result<Vec<Chore>, LedgerError> {
        let mut statement =
            self.0.prepare_cached("SELECT * FROM chore WHERE aside AND begun_at >= ?1 ORDER BY at, kind, name")?;
        let mut found = statement.query([to_ms(since)])?;
        let mut chores = Vec::new();
        while let Some(columns) = found.next()? {
            chores.push(Chore {
                kind: parsed(columns, "kind", "a chore", str::parse)?,
                name: columns.get("name")?,
                at: instant(columns, "at")?,
                by_hand: columns.get("by_hand")?,
            });
        }
        Ok(chores)
    }
}
