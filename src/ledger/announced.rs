//! What was sent once and must not be sent again: notices before a stop, reports over a period.

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::domain::words::words;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms};

words! {
    /// What can be announced.
    pub Announcement {
        /// The notice before a firing of a rule.
        Notice = "notice",
        /// A report that is sent by the calendar, at its instant.
        Report = "report",
        /// The figures of a period, by its dates, at the moment of sending.
        Period = "period",
        /// That rules do not fire because of the clock, by the instant that speaks against it.
        Clock = "clock",
    }
}

impl Tx<'_> {
    /// Notes an announcement about `name` at `at`. False where it had been made before.
    pub fn announce(&self, what: Announcement, name: &str, at: DateTime<Utc>) -> Result<bool, LedgerError> {
        let inserted = self.0.execute(
            "INSERT INTO announced (kind, name, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![what.as_str(), name, to_ms(at)],
        )?;
        Ok(inserted == 1)
    }

    /// The newest announcement about `name`.
    pub fn newest_announcement(&self, what: Announcement, name: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let newest: Option<i64> = self.0.query_row(
            "SELECT max(at) FROM announced WHERE kind = ?1 AND name = ?2",
            params![what.as_str(), name],
            |row| row.get(0),
        )?;
        newest.map(from_ms).transpose()
    }
}
