//! What a run came to, before it is written down.

use chrono::{DateTime, Utc};

use crate::domain::reason::{NotWatched, Reason};
use crate::domain::run::{DeploymentResult, LeftOut, Outcome, Run, RunResult, Try};
use crate::domain::run_reason::RunReason;
use crate::ledger::runs::OpenRun;

/// offhours is being stopped, or the run is another executor's by now: it stays open, and whoever has it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interrupted;

#[derive(Debug)]
pub(super) struct Ended {
    pub(crate) result: RunResult,
    pub(crate) reasons: Vec<RunReason>,
    pub(crate) rows: Vec<DeploymentResult>,
    pub(crate) left_out: LeftOut,
    pub(crate) tries: Vec<Try>,
}

impl Ended {
    pub(crate) fn new(result: RunResult, reason: RunReason) -> Self {
        Self { result, reasons: vec![reason], rows: Vec::new(), left_out: LeftOut::new(), tries: Vec::new() }
    }

    /// With the rows of what was asked for and never watched to its end.
    pub(crate) fn with_unconfirmed(mut self, rows: Vec<DeploymentResult>, why: &NotWatched) -> Self {
        let unconfirmed = |row: DeploymentResult| match row.reason {
            None if row.outcome == Outcome::Unconfirmed => {
                DeploymentResult { reason: Some(Reason::NotWatched(why.clone())), ..row }
            }
            _ => row,
        };
        self.rows = rows.into_iter().map(unconfirmed).collect();
        self
    }

    /// The run that this end makes of `open`.
    pub(crate) fn into_run(self, open: &OpenRun, resumed: bool, finished_at: DateTime<Utc>) -> Run {
        let Self { result, reasons, rows, left_out, tries } = self;
        Run { resumed, deployments: rows, left_out, tries, ..open.claim.ended(result, reasons, finished_at) }
    }
}
