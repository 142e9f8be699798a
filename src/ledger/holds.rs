//! "Not tonight": holds, added and removed by people beside a running daemon.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Rows, Transaction, params};

use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms, wrong};

impl Tx<'_> {
    /// Adds a hold and gives its number.
    pub fn add_hold(
        &self,
        target: &HoldTarget,
        until: DateTime<Utc>,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<i64, LedgerError> {
        self.0.execute(
            "INSERT INTO hold (kind, name, created_at, until, reason, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![target.kind(), target.name(), to_ms(now), to_ms(until), reason, by],
        )?;
        Ok(self.0.last_insert_rowid())
    }

    /// Puts a whole hold into a ledger that has none of its number: another ledger's, for a rehearsal.
    pub(crate) fn put_hold(&self, hold: &Hold) -> Result<(), LedgerError> {
        self.0.execute(
            "INSERT INTO hold (id, kind, name, created_at, until, reason, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                hold.id,
                hold.target.kind(),
                hold.target.name(),
                to_ms(hold.created_at),
                to_ms(hold.until),
                hold.reason,
                hold.by
            ],
        )?;
        Ok(())
    }

    /// Ends a hold early. False where there is none of this number in force.
    pub fn remove_hold(&self, id: i64, now: DateTime<Utc>) -> Result<bool, LedgerError> {
        let removed = self.0.execute(
            "UPDATE hold SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL AND until > ?2",
            params![id, to_ms(now)],
        )?;
        Ok(removed == 1)
    }

    /// Names of the same kind as `target`'s that runs have met since `since`, and its own where any run has met it.
    pub(crate) fn names_like(
        &self,
        target: &HoldTarget,
        since: DateTime<Utc>,
    ) -> Result<BTreeSet<String>, LedgerError> {
        let columns: &[&str] = match target {
            HoldTarget::Deployment(_) => &["d.id"],
            HoldTarget::ResourceGroup(_) => &["d.resource_group"],
            HoldTarget::Configuration(_) => &["d.configuration_name", "d.configuration_id"],
            HoldTarget::Rule(_) => &["r.rule"],
        };
        let mut names = BTreeSet::new();
        for column in columns {
            let sql = format!(
                "SELECT DISTINCT {column} FROM run r LEFT JOIN deployment d ON d.run = r.id
                 WHERE {column} IS NOT NULL AND (r.scheduled_at >= ?1 OR {column} = ?2)"
            );
            let mut statement = self.0.prepare_cached(&sql)?;
            let found = statement.query_map(params![to_ms(since), target.name()], |row| row.get::<_, String>(0))?;
            for name in found {
                names.insert(name?);
            }
        }
        Ok(names)
    }

    /// The holds in force at `at`: made before, not yet ended, not removed by then.
    pub fn holds(&self, at: DateTime<Utc>) -> Result<Vec<Hold>, LedgerError> {
        self.holds_in(at, at)
    }

    /// The holds that were in force at any time from `from` to `to`.
    pub fn holds_in(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Hold>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT id, kind, name, created_at, until, reason, by, removed_at FROM hold
             WHERE created_at <= ?2 AND until > ?1 AND (removed_at IS NULL OR removed_at > ?1) ORDER BY id",
        )?;
        all(statement.query(params![to_ms(from), to_ms(to)])?)
    }
}

/// Every hold that was ever made.
pub(super) fn every_hold(tx: &Transaction<'_>) -> Result<Vec<Hold>, LedgerError> {
    all(tx
        .prepare("SELECT id, kind, name, created_at, until, reason, by, removed_at FROM hold ORDER BY id")?
        .query([])?)
}

fn all(mut found: Rows<'_>) -> Result<Vec<Hold>, LedgerError> {
    let mut holds = Vec::new();
    while let Some(columns) = found.next()? {
        let (kind, name): (String, String) = (columns.get(1)?, columns.get(2)?);
        holds.push(Hold {
            id: columns.get(0)?,
            target: target(&kind, name)?,
            created_at: from_ms(columns.get(3)?)?,
            until: from_ms(columns.get(4)?)?,
            reason: columns.get(5)?,
            by: columns.get(6)?,
            removed_at: columns.get::<_, Option<i64>>(7)?.map(from_ms).transpose()?,
        });
    }
    Ok(holds)
}

fn target(kind: &str, name: String) -> Result<HoldTarget, LedgerError> {
    let bad = |_| wrong(kind, "a hold's target");
    Ok(match kind {
        "deployment" => HoldTarget::Deployment(DeploymentId::new(name).map_err(bad)?),
        "resource-group" => HoldTarget::ResourceGroup(ResourceGroup::new(name).map_err(bad)?),
        "configuration" => HoldTarget::Configuration(name),
        "rule" => HoldTarget::Rule(RuleName::new(name).map_err(bad)?),
        other => return Err(wrong(other, "a hold's target")),
    })
}
