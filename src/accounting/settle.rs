//! Looking at tenants again: each unsettled avoided cost is settled as soon as it is known what ended it.
//!
//! One group after the other, and of each group so many at a time: whoever else wants to write to the ledger, the
//! heartbeat above all, comes in between.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::avoided::Avoided;
use crate::domain::deployment::Deployment;
use crate::domain::listed::Listed;
use crate::domain::run::{EndedBy, Outcome, Settlement};
use crate::domain::settlement::{Evidence, came_true, settle};
use crate::executor::tenants::Tenants;
use crate::ledger::settlements::{Elsewhere, Unsettled, UnsettledGroup};
use crate::ledger::{Ledger, LedgerError, Tx};

/// Avoided costs that are settled in one transaction: a few milliseconds' work.
pub const AT_ONCE: usize = 200;

/// What one round came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Avoided costs that were settled.
    pub settled: usize,
    /// Avoided costs whose window has ended and that could not be settled, because their group could not be listed.
    pub overdue: u32,
}

/// Looks once at every resource group that holds something unsettled.
pub async fn round(ledger: &Ledger, config: &Config, tenants: &Tenants, clock: &Clock) -> Result<Round, LedgerError> {
    let started = clock.now();
    let mut round = Round::default();
    for group in ledger.read(move |tx| tx.unsettled_groups(started)).await? {
        match list(config, tenants, &group).await {
            Some(listed) => round.settled += settle_group(ledger, group, listed, clock.now()).await?,
            None => round.overdue += group.overdue,
        }
    }
    if round.settled > 0 {
        info!("settled {} avoided costs", round.settled);
    }
    Ok(round)
}

async fn list(config: &Config, tenants: &Tenants, group: &UnsettledGroup) -> Option<Vec<Deployment>> {
    let connection = config.connections.get(&group.connection)?;
    let listing = match tenants.tenant(connection) {
        Ok(tenant) => tenant.reader.deployments(&group.resource_group, None).await,
        Err(error) => Err(error),
    };
    match listing {
        // What an inconsistent list lacks may be there all the same.
        Ok(listing) if listing.consistent => Some(listing.deployments),
        Ok(_) => None,
        Err(error) => {
            let group = &group.resource_group;
            warn!(resource_group = %group, %error, "avoided costs in {group} could not be settled; trying again later");
            None
        }
    }
}

/// Settles what can be settled in `group`, by a list of it that was whole at `now`. Gives how many that were.
pub async fn settle_group(
    ledger: &Ledger,
    group: UnsettledGroup,
    listed: Vec<Deployment>,
    now: DateTime<Utc>,
) -> Result<usize, LedgerError> {
    let look = Arc::new((group, Listed::new(listed)));
    let (mut settled, mut last) = (0, Some(0));
    while let Some(after) = last {
        let look = Arc::clone(&look);
        let batch = ledger.write(move |tx| {
            let (group, listed) = &*look;
            let batch = tx.unsettled(group, after, AT_ONCE, now)?;
            let full = batch.len() == AT_ONCE;
            Ok((write_down(tx, &batch, listed, now)?, batch.last().map(|one| one.number).filter(|_| full)))
        });
        let newly_settled;
        (newly_settled, last) = batch.await?;
        settled += newly_settled;
    }
    Ok(settled)
}

fn write_down(tx: &Tx<'_>, batch: &[Unsettled], listed: &Listed, now: DateTime<Utc>) -> Result<usize, LedgerError> {
    let mut settled = 0;
    for one in batch {
        let evidence = Evidence { listed, now, seen_at: one.seen_at };
        match only_once(tx, one, settle(&one.row, one.off_window, evidence))? {
            Some(settlement) => {
                let settlement = leaks_once(tx, one, settlement)?;
                note_late_stop(tx, one, evidence)?;
                tx.settle(one.run, &one.row, &settlement)?;
                settled += usize::from(one.row.settlement.is_none());
            }
            None if listed.get(&one.row.id).is_some() => {
                note_late_stop(tx, one, evidence)?;
                tx.saw(one, now)?;
            }
            None => {}
        }
    }
    Ok(settled)
}

/// The first look that sees a late stop is the one that counts: it is noted at once, because AI Core may not say when it
/// was, and the deployment may be deleted before the window ends.
fn note_late_stop(tx: &Tx<'_>, one: &Unsettled, evidence: Evidence<'_>) -> Result<(), LedgerError> {
    match came_true(&one.row, one.off_window, evidence) {
        Some(since) if tx.counted_elsewhere(one)? == Elsewhere::Not => tx.came_true(one, since),
        _ => Ok(()),
    }
}

/// One replacement of several siblings ends the counting of each, and its own cost is reported with the first.
fn leaks_once(tx: &Tx<'_>, one: &Unsettled, settlement: Settlement) -> Result<Settlement, LedgerError> {
    let leak = match settlement.leak {
        Some(leak) if tx.leak_is_counted(one, &leak.id)? => None,
        leak => leak,
    };
    Ok(Settlement { leak, ..settlement })
}

/// A stop that came true late may be that of a later run, which asked again: it is counted there and not here.
fn only_once(tx: &Tx<'_>, one: &Unsettled, settlement: Option<Settlement>) -> Result<Option<Settlement>, LedgerError> {
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
