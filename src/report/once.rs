//! Hours that several firings would count are counted once: what observing rules would have avoided, and what holds kept
//! on costing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::avoided::Avoided;
use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup};
use crate::domain::rule::Mode;
use crate::domain::run::{Row, Run};
use crate::report::sum::Sum;

/// Up to when each deployment's hours are counted already.
#[derive(Debug, Default)]
pub(super) struct Once<'a> {
    counted: BTreeMap<(&'a ConnectionName, &'a ResourceGroup, &'a DeploymentId), DateTime<Utc>>,
}

impl<'a> Once<'a> {
    /// The hours of `row` to the end of its window that no earlier window has. Runs must come oldest first.
    pub(super) fn count(&mut self, run: &'a Run, row: &'a Row) -> Avoided {
        let counted = self.counted.entry((&run.connection, &row.resource_group, &row.id)).or_insert(run.started_at);
        let from = run.started_at.max(*counted);
        *counted = run.off_window.to.max(*counted);
        row.count_from(run, from)
    }

    /// What `run` would have avoided, where it observed; never part of a real total.
    pub(super) fn observed(&mut self, run: &'a Run) -> Sum {
        let mut sum = Sum::default();
        if run.mode == Mode::Observe {
            run.deployments.iter().filter(|row| row.would_stop()).for_each(|row| sum.add(&self.count(run, row)));
        }
        sum
    }
}
