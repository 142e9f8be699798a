//! May a stop still be sent? One question for everything that can come in between, asked by the wall clock right before
//! each request: a wait in between can be long, and a host that slept, or whose clock was set, notices it by no timer.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::deployment::Deployment;
use crate::domain::failure::FailureCode;
use crate::domain::plan::held;
use crate::domain::reason::Reason;
use crate::domain::rule::Rule;
use crate::domain::schedule::OffWindow;
use crate::executor::stop_attempt::StopEnd;
use crate::ledger::runs::RunId;
use crate::ledger::{Ledger, LedgerError};

/// What was seen this long ago is looked at again before a stop: somebody may have changed or labelled it meanwhile.
pub(super) const LOOK_IS_OLD: TimeDelta = TimeDelta::seconds(30);

/// The leave that a run has to ask for stops.
#[derive(Debug, Clone)]
pub(super) struct Clearance {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    /// Cancelled when offhours is being stopped.
    pub(crate) shutdown: CancellationToken,
    pub(crate) rule: Arc<Rule>,
    pub(crate) window: OffWindow,
    /// A try asks for nothing after it.
    pub(crate) deadline: DateTime<Utc>,
    pub(crate) run: RunId,
    /// The name with which this process has signed the run.
    pub(crate) executor: Arc<str>,
}

#[derive(Debug)]
pub(super) enum Obstacle {
    /// offhours is being stopped, or another executor has taken the run over: nobody here may say what becomes of it.
    Interrupted,
    /// The off window is over.
    WindowOver,
    /// The clock was put back to a time before the off window.
    BeforeWindow,
    /// This try has taken too long.
    Deadline,
    /// Somebody said "not tonight".
    Held(Reason),
    /// The holds cannot be read, so that nobody knows.
    Ledger(LedgerError),
}

impl Clearance {
    /// What keeps a stop of any of `deployments` from being asked for at this moment.
    pub(crate) async fn obstacle(&self, deployments: &[Deployment]) -> Option<Obstacle> {
        let now = self.clock.now();
        if let Some(obstacle) = self.obstacle_of_time(now) {
            return Some(obstacle);
        }
        let (run, executor) = (self.run, Arc::clone(&self.executor));
        let read = self.ledger.read(move |tx| Ok((tx.is_held_by(run, &executor)?, tx.holds(now)?)));
        match read.await {
            Err(error) => Some(Obstacle::Ledger(error)),
            Ok((false, _)) => Some(Obstacle::Interrupted),
            Ok((true, holds)) => {
                let held = deployments.iter().find_map(|one| held(&holds, &self.rule.name, one, now));
                held.map(Obstacle::Held)
            }
        }
    }

    /// The part of it that a clock tells.
    pub(crate) fn obstacle_of_time(&self, now: DateTime<Utc>) -> Option<Obstacle> {
        if self.shutdown.is_cancelled() {
            Some(Obstacle::Interrupted)
        } else if now >= self.window.to {
            Some(Obstacle::WindowOver)
        } else if now < self.window.from {
            Some(Obstacle::BeforeWindow)
        } else if now >= self.deadline {
            Some(Obstacle::Deadline)
        } else {
            None
        }
    }

    /// True where what was seen at `seen_at` has to be looked at again; also where the clock was put back since.
    pub(crate) fn is_old(&self, seen_at: DateTime<Utc>) -> bool {
        (self.clock.now() - seen_at).abs() >= LOOK_IS_OLD
    }
}

impl Obstacle {
    /// What becomes of a deployment that meets it; none where that is not ours to say.
    pub(crate) fn end(&self) -> Option<StopEnd> {
        match self {
            Self::Interrupted => None,
            Self::WindowOver => Some(StopEnd::left(Reason::WindowEnded)),
            Self::BeforeWindow => {
                Some(StopEnd::to_try_again(FailureCode::Clock, "it shows a time before the off window"))
            }
            Self::Deadline => {
                Some(StopEnd::to_try_again(FailureCode::Deadline, "the run took too long to ask for its stop"))
            }
            Self::Held(reason) => Some(StopEnd::left(reason.clone())),
            Self::Ledger(error) => {
                Some(StopEnd::to_try_again(FailureCode::Ledger, format!("not asked, because {error}")))
            }
        }
    }
}
