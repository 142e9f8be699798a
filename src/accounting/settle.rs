//! Looking at tenants again: each unsettled avoided cost is settled as soon as it is known what ended it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::avoided::Avoided;
use crate::domain::deployment::Deployment;
use crate::domain::id::{ConnectionName, ResourceGroup};
use crate::domain::run::{EndedBy, Outcome, Settlement};
use crate::domain::settlement::{Evidence, settle};
use crate::executor::tenants::Tenants;
use crate::ledger::settlements::{Elsewhere, Unsettled};
use crate::ledger::{Ledger, LedgerError};

/// What one round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Avoided costs that were settled.
    pub settled: usize,
    /// Avoided costs whose window has ended and that could not be settled, because their group could not be listed.
    pub overdue: usize,
}

/// Looks once at every resource group that holds something unsettled.
pub async fn round(ledger: &Ledger, config: &Config, tenants: &Tenants, clock: &Clock) -> Result<Round, LedgerError> {
    let started = clock.now();
    let mut groups: BTreeMap<(ConnectionName, ResourceGroup), Vec<Unsettled>> = BTreeMap::new();
    for unsettled in ledger.read(move |tx| tx.unsettled(started)).await? {
        let key = (unsettled.connection.clone(), unsettled.row.resource_group.clone());
        groups.entry(key).or_default().push(unsettled);
    }
    let mut round = Round::default();
    for ((connection, group), unsettled) in groups {
        let Some(listed) = list(config, tenants, &connection, &group).await else {
            round.overdue += unsettled.iter().filter(|one| one.off_window.to <= started).count();
            continue;
        };
        let now = clock.now();
        round.settled += ledger.write(move |tx| write_down(tx, &unsettled, &listed, now)).await?;
    }
    if round.settled > 0 {
        info!("settled {} avoided costs", round.settled);
    }
    Ok(round)
}

async fn list(
    config: &Config,
    tenants: &Tenants,
    connection: &ConnectionName,
    group: &ResourceGroup,
) -> Option<Vec<Deployment>> {
    let connection = config.connections.get(connection)?;
    let listing = match tenants.tenant(connection) {
        Ok(tenant) => tenant.reader.deployments(group, None).await,
        Err(error) => Err(error),
    };
    match listing {
        // What an inconsistent list lacks may be there all the same.
        Ok(listing) if listing.consistent => Some(listing.deployments),
        Ok(_) => None,
        Err(error) => {
            warn!(resource_group = %group, %error, "avoided costs in {group} could not be settled; trying again later");
            None
        }
    }
}

fn write_down(
    tx: &crate::ledger::Tx<'_>,
    unsettled: &[Unsettled],
    listed: &[Deployment],
    now: DateTime<Utc>,
) -> Result<usize, LedgerError> {
    let mut settled = 0;
    for one in unsettled {
        let settlement: Option<Settlement> =
            settle(&one.row, one.off_window, Evidence { listed, now, seen_at: one.seen_at });
        match only_once(tx, one, settlement)? {
            Some(settlement) => {
                let settlement = leaks_once(tx, one, settlement)?;
                tx.settle(one.run, &one.row, &settlement)?;
                settled += usize::from(one.row.settlement.is_none());
            }
            None if listed.iter().any(|deployment| deployment.id == one.row.id) => tx.saw(one, now)?,
            None => {}
        }
    }
    Ok(settled)
}

/// One replacement of several siblings ends the counting of each, and its own cost is reported with the first.
fn leaks_once(tx: &crate::ledger::Tx<'_>, one: &Unsettled, settlement: Settlement) -> Result<Settlement, LedgerError> {
    let leak = match settlement.leak {
        Some(leak) if tx.leak_is_counted(one, &leak.id)? => None,
        leak => leak,
    };
    Ok(Settlement { leak, ..settlement })
}

/// A stop that came true late may be that of a later run, which asked again: it is counted there and not here.
fn only_once(
    tx: &crate::ledger::Tx<'_>,
    one: &Unsettled,
    settlement: Option<Settlement>,
) -> Result<Option<Settlement>, LedgerError> {
    let Some(settlement) = settlement else { return Ok(None) };
    if one.row.outcome == Outcome::Stopped || settlement.avoided.from.is_none() {
        return Ok(Some(settlement));
    }
    Ok(match tx.counted_elsewhere(one)? {
        Elsewhere::Not => Some(settlement),
        Elsewhere::Undecided => None,
        Elsewhere::Counted => Some(Settlement {
            ended_by: EndedBy::CountedElsewhere,
            avoided: Avoided::nothing(),
            leak: None,
            ..settlement
        }),
    })
}
