//! A deployment's row, read from its columns.

use crate::domain::id::DeploymentId;
use crate::domain::run::{DeploymentResult, EndedBy, Leak, Outcome, Settlement};
use crate::ledger::columns::NamedColumns;
use crate::ledger::error::LedgerError;
use crate::ledger::reasons::reason;
use crate::ledger::values::{LEAK, PROJECTED, SETTLED, avoided, instant, optional_instant, parsed, rate, wrong};

/// The columns from which [`settlement`] is read, of a table `s`.
pub(super) const SETTLEMENT: &str = "s.settled_at, s.ended_by, s.replacement, s.avoided_from AS s_from,
     s.avoided_to AS s_to, s.node_hours AS s_node_hours, s.capacity_units AS s_capacity_units, s.cost AS s_cost,
     s.state AS s_state, s.leak_from, s.leak_to, s.leak_node_hours, s.leak_capacity_units, s.leak_cost, s.leak_state";

pub(super) fn row(columns: &impl NamedColumns) -> Result<DeploymentResult, LedgerError> {
    let outcome: Option<String> = columns.get("outcome")?;
    let nodes: String = columns.get("nodes")?;
    Ok(DeploymentResult {
        resource_group: parsed(columns, "resource_group", "a resource group", str::parse)?,
        id: parsed(columns, "id", "a deployment id", str::parse)?,
        configuration_id: columns.get("configuration_id")?,
        configuration_name: columns.get("configuration_name")?,
        scenario_id: columns.get("scenario_id")?,
        is_selected: columns.get("selected")?,
        outcome: match outcome {
            Some(word) => word.parse().map_err(|_| wrong(word, "an outcome"))?,
            None => Outcome::Unconfirmed,
        },
        reason: reason(columns)?,
        requested_at: optional_instant(columns, "requested_at")?,
        confirmed_at: optional_instant(columns, "confirmed_at")?,
        expires_at: optional_instant(columns, "expires_at")?,
        nodes: serde_json::from_str(&nodes).map_err(|_| wrong(nodes, "nodes"))?,
        rate: rate(columns)?,
        projected: avoided(columns, &PROJECTED)?,
        settlement: settlement(columns)?,
    })
}

/// The settlement in a row that joins `deployment` and `settlement`.
pub(super) fn settlement(columns: &impl NamedColumns) -> Result<Option<Settlement>, LedgerError> {
    let Some(word) = columns.get::<Option<String>>("ended_by")? else { return Ok(None) };
    let replacement: Option<String> = columns.get("replacement")?;
    let replacement =
        replacement.map(|id| DeploymentId::new(id.as_str()).map_err(|_| wrong(id, "a deployment id"))).transpose()?;
    let ended_by = match (word.as_str(), &replacement) {
        ("window-end", _) => EndedBy::WindowEnd,
        ("replacement", Some(id)) => EndedBy::Replacement(id.clone()),
        ("deletion", _) => EndedBy::Deletion,
        ("ttl", _) => EndedBy::Ttl,
        ("never-confirmed", _) => EndedBy::NeverConfirmed,
        ("counted-elsewhere", _) => EndedBy::CountedElsewhere,
        _ => return Err(wrong(word, "what ended an avoided cost")),
    };
    let leak = match replacement {
        Some(id) if columns.get::<Option<String>>("leak_state")?.is_some() => {
            Some(Leak { id, cost: avoided(columns, &LEAK)? })
        }
        _ => None,
    };
    Ok(Some(Settlement { at: instant(columns, "settled_at")?, ended_by, avoided: avoided(columns, &SETTLED)?, leak }))
}
