//! Hours that several firings would count are counted once: what observing rules would have avoided, and what holds kept
//! on costing.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::avoided::Avoided;
use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup};
use crate::domain::run::{DeploymentResult, Run};

/// Fewer entries than these are not worth a look at which of them are over.
const FEW: usize = 1_000;

/// Up to when each deployment's hours are counted already.
#[derive(Debug, Default)]
pub(super) struct CountedHours {
    counted: HashMap<(ConnectionName, ResourceGroup, DeploymentId), DateTime<Utc>>,
    /// How many entries there may be before those that are over are looked for.
    room: usize,
}

impl CountedHours {
    /// The hours of `row` to the end of its window that no earlier window has. Runs must come oldest first.
    pub(super) fn count(&mut self, run: &Run, row: &DeploymentResult) -> Avoided {
        self.forget_what_is_over(run);
        let key = (run.connection.clone(), row.resource_group.clone(), row.id.clone());
        let counted = self.counted.entry(key).or_insert(run.started_at);
        let from = run.started_at.max(*counted);
        *counted = run.off_window.to.max(*counted);
        row.count_from(run, from)
    }

    /// A window that ended before this run was due says nothing about it, nor about any that comes after it.
    fn forget_what_is_over(&mut self, run: &Run) {
        if self.counted.len() > self.room.max(FEW) {
            let still_counts = |until: &DateTime<Utc>| *until > run.firing.at.min(run.started_at);
            self.counted.retain(|_, until| still_counts(until));
            self.room = self.counted.len() * 2;
        }
    }
}
