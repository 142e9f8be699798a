//! Looks at single deployments while stops are asked for: before a request whose list is old, and after one that was not
//! plainly accepted.

use chrono::{DateTime, Utc};

use crate::aicore::Error;
use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::plan::Decision;
use crate::domain::reason::Reason;
use crate::domain::run::Outcome;
use crate::executor::stop_answer::{Sent, StopAnswer};
use crate::executor::stop_attempt::StopEnd;
use crate::executor::stop_context::StopContext;

/// Most requests for one deployment in a try, where each but the last may or may not have arrived.
const MOST_REQUESTS: u32 = 3;
/// Most requests where AI Core refused and the deployment can be stopped all the same.
const MOST_REFUSALS: u32 = 2;

/// A deployment as it was last seen.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(crate) deployment: Deployment,
    pub(crate) group: Group,
    /// Not later than it was seen.
    pub(crate) seen_at: DateTime<Utc>,
}

/// The requests for one stop in one try.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Those that were prepared, sent or not.
    pub(crate) prepared: u32,
    /// Those that were sent, or may have been, and not plainly accepted or refused.
    sent: u32,
    /// True where only a look can tell what came of the last one.
    pub(crate) is_open: bool,
    /// True where any was sent, or may have been.
    was_sent: bool,
    /// What came of the last one that was sent; none where AI Core did not mention the deployment.
    error: Option<Error>,
    /// One of several requests is enough: it can take effect while a later one is refused.
    may_have_arrived: bool,
}

impl Known {
    pub(crate) fn of(deployment: &Deployment, group: &Group, seen_at: DateTime<Utc>) -> Self {
        Self { deployment: deployment.clone(), group: group.clone(), seen_at }
    }
}

impl Requests {
    /// One request that was not plainly accepted.
    pub(crate) fn one(error: Option<Error>) -> Self {
        let mut requests = Self::default();
        requests.count(Sent::Open(error));
        requests
    }

    pub(crate) fn count(&mut self, sent: Sent) {
        self.prepared += 1;
        self.is_open = matches!(sent, Sent::Open(_));
        match sent {
            Sent::Accepted => self.was_sent = true,
            Sent::TakenBack { was_refused } => self.was_sent |= was_refused,
            Sent::Open(error) => {
                self.was_sent = true;
                self.sent += 1;
                self.may_have_arrived |= error.as_ref().is_none_or(Error::outcome_is_unknown);
                self.error = error;
            }
        }
    }

    /// The end of a deployment that meets this end now.
    pub(crate) fn end(&self, end: StopEnd) -> StopAnswer {
        if self.was_sent { StopAnswer::Over(end) } else { StopAnswer::Unsent(end) }
    }
}

/// A look before a request whose list is old: what was changed, came to something else or was labelled meanwhile is
/// left.
pub(super) async fn look_again(
    context: &StopContext<'_>,
    known: Known,
    requests: &Requests,
) -> Result<Known, StopAnswer> {
    let seen_at = context.task.clock.now();
    let looks = async {
        let group = context.labelled_now(&known.group).await?;
        Ok::<_, Error>((context.task.tenant.reader.deployment(&group.id, &known.deployment.id).await?, group))
    };
    let (seen, group) = match context.in_time(looks).await {
        Some(Ok((Some(seen), group))) => (seen, group),
        Some(Ok((None, _))) => return Err(requests.end(StopEnd::gone())),
        Some(Err(error)) => {
            return Err(requests.end(not_looked_at(&error)));
        }
        // It is too late, or offhours is being stopped: an old look keeps the request from being sent.
        None => return Ok(known),
    };
    if requests.may_have_arrived && is_going_off(&seen) {
        return Err(StopAnswer::Watch);
    }
    if seen.status.can_be_stopped() && was_changed(&known.deployment, &seen) {
        return Err(requests.end(changed()));
    }
    match context.task.decision_context(context.task.clock.now()).decide(&group, &seen) {
        Decision::Stop => Ok(Known { deployment: seen, group, seen_at }),
        Decision::Leave(Reason::CannotStop(status)) if status.is_off() => {
            Err(requests.end(StopEnd::already_off(&seen)))
        }
        Decision::Leave(reason) => Err(requests.end(StopEnd::left(reason))),
    }
}

/// Decides from a fresh look what became of the requests so far; none means that another one should be sent.
pub(super) async fn judge(context: &StopContext<'_>, known: &Known, requests: &Requests) -> Option<StopAnswer> {
    let Requests { error, may_have_arrived, .. } = requests;
    if context.task.shutdown.is_cancelled() {
        return Some(StopAnswer::Interrupted);
    }
    match error {
        Some(Error::NotFound { .. }) => return Some(StopAnswer::Over(StopEnd::gone())),
        Some(error) if !may_have_arrived && !matches!(error, Error::Precondition { .. }) => {
            return Some(StopAnswer::Over(refused(error)));
        }
        _ => {}
    }
    let seen = match context.task.tenant.reader.deployment(&known.group.id, &known.deployment.id).await {
        Ok(Some(seen)) => seen,
        Ok(None) => return Some(StopAnswer::Over(StopEnd::gone())),
        Err(_) if *may_have_arrived => return Some(StopAnswer::Watch),
        Err(error) => return Some(StopAnswer::Over(StopEnd::failed(&error))),
    };
    match &seen.status {
        _ if *may_have_arrived && is_going_off(&seen) => Some(StopAnswer::Watch),
        Status::Stopped | Status::Stopping => Some(StopAnswer::Over(StopEnd::already_off(&seen))),
        Status::Running | Status::Pending if was_changed(&known.deployment, &seen) => Some(StopAnswer::Over(changed())),
        Status::Running | Status::Pending => requests.too_many().map(StopAnswer::Over),
        other => Some(StopAnswer::Over(StopEnd::left(Reason::CannotStop(other.clone())))),
    }
}

impl Requests {
    /// The end of a deployment that was asked often enough in this try and still runs.
    fn too_many(&self) -> Option<StopEnd> {
        let most = match &self.error {
            Some(Error::Precondition { .. }) => MOST_REFUSALS,
            Some(error) if !error.outcome_is_unknown() => 0,
            _ => MOST_REQUESTS,
        };
        if self.sent < most {
            return None;
        }
        let never = || {
            let failure = Failure::new(FailureCode::UnexpectedResponse, "AI Core never answered for it");
            StopEnd::new(Outcome::Failed, Reason::Failure(failure))
        };
        Some(self.error.as_ref().map_or_else(never, refused))
    }
}

/// The end of what was asked and not stopped. An answer that nobody understands is no outage: asked again and again, it
/// would be the same.
fn refused(error: &Error) -> StopEnd {
    let again = error.may_pass() && !matches!(error, Error::UnexpectedResponse { .. });
    StopEnd { again, ..StopEnd::failed(error) }
}

/// True for what a stop has reached.
pub(super) fn is_going_off(seen: &Deployment) -> bool {
    matches!(seen.status, Status::Stopped | Status::Stopping)
        || (seen.status.can_be_stopped() && seen.is_asked_to_stop())
}

/// The end of what could not be looked at again before it was asked for.
pub(super) fn not_looked_at(error: &Error) -> StopEnd {
    StopEnd::failed_saying(error, format!("not asked, because its list was old: {error}"))
}
pub(super) fn changed() -> StopEnd {
    StopEnd::left(Reason::Changed)
}

/// True where somebody gave it another configuration, or touched it in any way, since it was listed.
pub(super) fn was_changed(planned: &Deployment, seen: &Deployment) -> bool {
    planned.configuration_id != seen.configuration_id || planned.modified_at != seen.modified_at
}
