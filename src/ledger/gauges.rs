//! What metrics tell of the ledger at one moment.

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms};

impl Tx<'_> {
    /// How many deployments should be off at `now` and were not seen STOPPED, by the newest run that asked for each.
    pub(crate) fn still_on(&self, now: DateTime<Utc>) -> Result<u32, LedgerError> {
        let count = self
            .0
            .prepare_cached(
                "SELECT count(DISTINCT r.connection || ' ' || d.resource_group || ' ' || d.id)
                 FROM run r JOIN deployment d ON d.run = r.id
                 WHERE NOT r.open AND r.mode = 'enforce' AND r.window_to > ?1 AND r.window_from <= ?1
                   AND d.outcome IN ('failed', 'unconfirmed')
                   AND NOT EXISTS (SELECT 1 FROM settlement s WHERE s.run = d.run AND s.resource_group = d.resource_group
                                   AND s.id = d.id AND s.avoided_from IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM deployment o WHERE o.id = d.id AND o.resource_group = d.resource_group
                                   AND o.run > d.run AND o.outcome IN ('stopped', 'already-off', 'gone'))",
            )?
            .query_row([to_ms(now)], |row| row.get(0))?;
        Ok(count)
    }

    /// When the oldest mail that waits was put into the outbox.
    pub(crate) fn oldest_waiting_mail(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let oldest: Option<i64> = self
            .0
            .prepare_cached("SELECT min(created_at) FROM mail WHERE state = ?1")?
            .query_row(params!["queued"], |row| row.get(0))?;
        oldest.map(from_ms).transpose()
    }
}
