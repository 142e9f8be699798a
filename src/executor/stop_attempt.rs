//! One deployment on its way through a run, from the plan to its outcome.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::aicore::Error;
use crate::domain::avoided::{Avoided, Basis};
use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::id::DeploymentId;
use crate::domain::plan::{Decision, Planned};
use crate::domain::reason::Reason;
use crate::domain::run::{DeploymentResult, Outcome};
use crate::domain::schedule::OffWindow;
use crate::domain::verification::PLAUSIBLE_SKEW;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StopEnd {
    pub(crate) outcome: Outcome,
    /// Why; none where the outcome says it all.
    pub(crate) reason: Option<Reason>,
    /// Since when it is off.
    pub(crate) confirmed_at: Option<DateTime<Utc>>,
    /// True where a later try may go better: what was in the way passes by itself.
    pub(crate) again: bool,
    /// The status of what was asked to stop before, by whomever.
    pub(crate) found: Option<Status>,
}

impl StopEnd {
    /// An outcome without a confirmed stop.
    pub(crate) fn new(outcome: Outcome, reason: Reason) -> Self {
        Self { outcome, reason: Some(reason), confirmed_at: None, again: false, found: None }
    }

    /// Failed by something that may have passed at a later try.
    pub(crate) fn to_try_again(code: FailureCode, message: impl Into<String>) -> Self {
        Self { again: true, ..Self::new(Outcome::Failed, Reason::Failure(Failure::new(code, message))) }
    }

    /// Failed by what AI Core answered, or did not.
    pub(crate) fn failed(error: &Error) -> Self {
        Self::failed_saying(error, error.short())
    }

    /// The same, in other words than AI Core's.
    pub(crate) fn failed_saying(error: &Error, message: String) -> Self {
        let reason = Reason::Failure(Failure::new(error.code(), message));
        Self { again: error.may_pass(), ..Self::new(Outcome::Failed, reason) }
    }

    /// Confirmed STOPPED, asked for by us.
    pub(crate) fn stopped(confirmed_at: DateTime<Utc>) -> Self {
        let confirmed_at = Some(confirmed_at);
        Self { outcome: Outcome::Stopped, reason: None, confirmed_at, again: false, found: None }
    }

    /// Off without our doing.
    pub(crate) fn already_off(deployment: &Deployment) -> Self {
        let status = deployment.status.clone();
        let reason = Reason::AlreadyOff { status: status.clone(), asked: None };
        Self { found: Some(status), ..Self::new(Outcome::AlreadyOff, reason) }
    }

    /// Deleted by somebody else.
    pub(crate) fn gone() -> Self {
        Self::new(Outcome::Gone, Reason::Deleted)
    }

    pub(crate) fn left(reason: Reason) -> Self {
        Self::new(Outcome::Left, reason)
    }
}

/// A planned deployment and how far it has come.
#[derive(Debug, Clone)]
pub(crate) struct StopAttempt {
    pub(crate) planned: Planned,
    /// How far it has come.
    pub(crate) progress: StopProgress,
    /// When a stop was first asked for, also by the run's earlier executor.
    pub(crate) requested_at: Option<DateTime<Utc>>,
    /// True where a request for its stop was sent and refused: when that was stays, whatever comes of later ones.
    pub(crate) was_refused: bool,
    /// What an earlier executor of the same run wrote down when it asked: rate and nodes of a deployment that ran.
    pub(crate) earlier: Option<Box<DeploymentResult>>,
}

/// How far a deployment has come in a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StopProgress {
    /// Its stop has not been asked for yet.
    ToStop,
    /// Its stop was asked for, or may have been.
    Asked,
    Over(StopEnd),
}

impl StopAttempt {
    /// A attempt for a planned deployment; what the plan leaves is over at once.
    ///
    /// `earlier` is what the run's earlier executor wrote down before it asked: what is on its way off now is ours.
    pub(crate) fn new(planned: Planned, earlier: Option<Box<DeploymentResult>>) -> Self {
        let deployment = &planned.deployment;
        let runs_on = deployment.status.can_be_stopped() && !deployment.is_asked_to_stop();
        let progress = match &planned.decision {
            _ if earlier.is_some() && !runs_on => StopProgress::Asked,
            Decision::Stop if earlier.as_ref().is_some_and(|row| may_have_come_back(deployment, row)) => {
                let reason = Reason::CameBack { status: deployment.status.clone(), asked_before: true };
                StopProgress::Over(StopEnd::new(Outcome::Failed, reason))
            }
            Decision::Stop => StopProgress::ToStop,
            Decision::Leave(Reason::CannotStop(status)) if status.is_off() => {
                StopProgress::Over(StopEnd::already_off(deployment))
            }
            Decision::Leave(Reason::AlreadyAsked) => StopProgress::Over(StopEnd {
                found: Some(deployment.status.clone()),
                ..StopEnd::left(Reason::AlreadyAsked)
            }),
            Decision::Leave(reason) => StopProgress::Over(StopEnd::left(reason.clone())),
        };
        Self {
            requested_at: earlier.as_ref().and_then(|row| row.requested_at),
            planned,
            progress,
            was_refused: false,
            earlier,
        }
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.planned.deployment
    }

    /// The row for the ledger: final where its end is known, else what is known before the request.
    pub(crate) fn row(&self, window: OffWindow) -> DeploymentResult {
        self.clone().into_row(window)
    }

    /// The same, of an attempt that is at its end.
    pub(crate) fn into_row(self, window: OffWindow) -> DeploymentResult {
        let Planned { deployment, is_selected, rate, .. } = self.planned;
        let (outcome, reason, confirmed_at) = match self.progress {
            StopProgress::Over(end) => (end.outcome, end.reason, end.confirmed_at),
            StopProgress::ToStop | StopProgress::Asked => (Outcome::Unconfirmed, None, None),
        };
        let expires_at = deployment.expires_at();
        let end = expires_at.map_or(window.to, |expiry| expiry.min(window.to));
        let (rate, nodes) = match self.earlier {
            Some(row) => (row.rate, row.nodes),
            None => (rate, deployment.nodes),
        };
        let projected = match confirmed_at {
            Some(at) if outcome == Outcome::Stopped => Avoided::count(&rate, window, at, end, Basis::Projected),
            _ => Avoided::nothing(),
        };
        DeploymentResult {
            resource_group: deployment.resource_group,
            id: deployment.id,
            configuration_id: deployment.configuration_id,
            configuration_name: deployment.configuration_name,
            scenario_id: deployment.scenario_id,
            is_selected,
            outcome,
            reason,
            requested_at: self.requested_at,
            confirmed_at,
            expires_at,
            nodes,
            rate,
            projected,
            settlement: None,
        }
    }
}

/// True where a deployment that runs may have been STOPPING since an earlier executor asked: it was changed after that,
/// or nobody knows when it was changed. The clocks of AI Core and of this machine may differ a little.
fn may_have_come_back(deployment: &Deployment, earlier: &DeploymentResult) -> bool {
    match (deployment.modified_at, earlier.requested_at) {
        (Some(modified_at), Some(requested_at)) => modified_at >= requested_at - PLAUSIBLE_SKEW,
        _ => true,
    }
}

/// The deployments of one resource group in a run.
#[derive(Debug, Clone)]
pub(crate) struct GroupAttempts {
    pub(crate) group: Group,
    /// When it was listed; not later.
    pub(crate) listed_at: DateTime<Utc>,
    pub(crate) attempts: BTreeMap<DeploymentId, StopAttempt>,
}

impl GroupAttempts {
    /// Ids of the attempts whose progress is `progress`.
    pub(crate) fn ids(&self, progress: &StopProgress) -> Vec<DeploymentId> {
        self.attempts.iter().filter(|(_, attempt)| attempt.progress == *progress).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn conclude(&mut self, id: &DeploymentId, end: StopEnd) {
        if let Some(attempt) = self.attempts.get_mut(id) {
            attempt.progress = StopProgress::Over(end);
        }
    }

    /// Takes back that a stop was asked for: it was surely refused, or `never_sent`.
    pub(crate) fn reopen(&mut self, id: &DeploymentId, never_sent: bool) {
        if let Some(attempt) = self.attempts.get_mut(id) {
            attempt.progress = StopProgress::ToStop;
            attempt.was_refused |= !never_sent;
            attempt.requested_at = attempt.requested_at.filter(|_| attempt.was_refused || attempt.earlier.is_some());
        }
    }

    /// Ends every attempt whose stop has not been asked for.
    pub(crate) fn conclude_unasked(&mut self, end: &StopEnd) {
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.progress == StopProgress::ToStop) {
            attempt.progress = StopProgress::Over(end.clone());
        }
    }
}
