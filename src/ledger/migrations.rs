//! Formats of the ledger: one script a version.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::ledger::error::LedgerError;
use crate::ledger::file::opening_failed;
use crate::ledger::sentences;

/// One script a version, never changed once released.
pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// The version whose script is followed by a reading of the sentences of earlier ones.
const REASONS: usize = 5;

pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, LedgerError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|source| opening_failed(path, source))
}

pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |source| opening_failed(path, source);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    bring_up_to_date(&tx, path)?;
    tx.commit().map_err(failed)
}

/// Runs the scripts of the versions that came after the one that wrote the ledger.
pub(super) fn bring_up_to_date(tx: &Transaction<'_>, path: &Path) -> Result<(), LedgerError> {
    let failed = |source| opening_failed(path, source);
    let found = version(tx, path)?;
    let missing = usize::try_from(found).ok().and_then(|done| MIGRATIONS.get(done..));
    let Some(missing) = missing else {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known: known_version() });
    };
    for (version, script) in (1..).zip(MIGRATIONS).skip(MIGRATIONS.len() - missing.len()) {
        tx.execute_batch(script).map_err(failed)?;
        if version == REASONS {
            sentences::read_into_reasons(tx)?;
        }
    }
    if !missing.is_empty() {
        tx.pragma_update(None, "user_version", known_version()).map_err(failed)?;
    }
    Ok(())
}
