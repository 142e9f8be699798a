//! Which configuration the daemon goes by, for commands beside it that see the files only.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InForce {
    /// The digest of the files' text.
    pub(crate) fingerprint: String,
    pub(crate) read_at: DateTime<Utc>,
}

impl Tx<'_> {
    /// Notes what the daemon goes by from now on.
    pub(crate) fn put_in_force(&self, in_force: &InForce) -> Result<(), LedgerError> {
        self.0.execute(
            "INSERT INTO in_force (id, fingerprint, read_at) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, read_at = excluded.read_at",
            params![in_force.fingerprint, to_ms(in_force.read_at)],
        )?;
        Ok(())
    }

    /// What the last daemon went by; none where none of this version has run.
    pub(crate) fn in_force(&self) -> Result<Option<InForce>, LedgerError> {
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = self.0.query_row("SELECT fingerprint, read_at FROM in_force", [], columns).optional()?;
        found.map(|(fingerprint, read_at)| Ok(InForce { fingerprint, read_at: from_ms(read_at)? })).transpose()
    }
}
