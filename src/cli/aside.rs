//! What `status` says of chores that were put aside.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::instant::rfc3339;
use crate::ledger::chores::{Chore, MOST_DEATHS};
use crate::ledger::overview::RECENT;
use crate::ledger::{LedgerError, Tx};

/// Chores that ended the process too often, of late.
pub(crate) fn put_aside(tx: &Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Chore>, LedgerError> {
    tx.chores_put_aside(now - RECENT)
}
pub(crate) fn lines(chores: &[Chore]) -> impl Iterator<Item = String> {
    chores.iter().map(|chore| {
        format!(
            "not tried again: {chore} made offhours crash {MOST_DEATHS} times; run it by hand with `{}`",
            chore.by_hand
        )
    })
}

pub(crate) fn json(chores: &[Chore]) -> Vec<Value> {
    let one = |chore: &Chore| {
        json!({
            "kind": chore.kind.as_str(),
            "name": chore.name,
            "at": rfc3339(chore.at),
            "by_hand": chore.by_hand,
        })
    };
    chores.iter().map(one).collect()
}
