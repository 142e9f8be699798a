//! How far each rule has been dealt with, so that a restart knows what came due meanwhile.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::domain::id::RuleName;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms};

/// The last instant of a rule that has been dealt with, and the schedule it belonged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub schedule: String,
    /// Nothing at or before this instant is due any more.
    pub after: DateTime<Utc>,
}

impl Tx<'_> {
    /// All cursors.
    pub fn cursors(&self) -> Result<BTreeMap<RuleName, Cursor>, LedgerError> {
        let mut statement = self.0.prepare_cached("SELECT rule, schedule, after FROM cursor")?;
        let mut found = statement.query([])?;
        let mut cursors = BTreeMap::new();
        while let Some(columns) = found.next()? {
            let rule: String = columns.get(0)?;
            // A rule whose name is no name any more cannot be in the configuration either.
            if let Ok(rule) = RuleName::new(rule) {
                cursors.insert(rule, Cursor { schedule: columns.get(1)?, after: from_ms(columns.get(2)?)? });
            }
        }
        Ok(cursors)
    }

    /// Moves a rule's cursor.
    pub fn move_cursor(&self, rule: &RuleName, cursor: &Cursor) -> Result<(), LedgerError> {
        self.0
            .prepare_cached(
                "INSERT INTO cursor (rule, schedule, after) VALUES (?1, ?2, ?3)
                 ON CONFLICT (rule) DO UPDATE SET schedule = excluded.schedule, after = excluded.after",
            )?
            .execute(params![rule.as_str(), cursor.schedule, to_ms(cursor.after)])?;
        Ok(())
    }

    /// Forgets a rule that is no longer configured.
    pub(crate) fn drop_cursor(&self, rule: &RuleName) -> Result<(), LedgerError> {
        self.0.execute("DELETE FROM cursor WHERE rule = ?1", [rule.as_str()])?;
        Ok(())
    }
}
