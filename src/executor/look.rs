//! After a request that was not plainly accepted: a look at the deployment decides, and nothing is asked again that a
//! hold, the window's end or a signal has overtaken.

use std::slice;
use std::time::Duration;

use crate::aicore::Error;
use crate::domain::deployment::{Deployment, Status};
use crate::domain::hold::Hold;
use crate::domain::id::DeploymentId;
use crate::domain::plan::Question;
use crate::domain::run::Outcome;
use crate::executor::stop::Answer;
use crate::executor::task::Task;
use crate::executor::ticket::{Fate, GroupTickets, Ticket};

/// Most requests for one deployment, where each but the last may or may not have arrived.
const MOST_REQUESTS: u32 = 3;
/// Most requests where AI Core refused and the deployment can be stopped all the same.
const MOST_REFUSALS: u32 = 2;
/// Pause before a request is repeated.
const PAUSE_BEFORE_REPEAT: Duration = Duration::from_secs(1);

impl Task {
    /// After a request that was not plainly accepted: looks at the deployment, and asks again only where it still can
    /// and should be stopped. `error` is none where AI Core did not mention the deployment.
    pub(super) async fn look_and_repeat(
        &self,
        group: &GroupTickets,
        id: &DeploymentId,
        error: Option<Error>,
        requests: u32,
    ) -> Answer {
        let (mut error, mut requests) = (error, requests);
        // One of several requests is enough: it can take effect while a later one is refused.
        let mut may_have_arrived = false;
        loop {
            may_have_arrived |= error.as_ref().is_none_or(Error::outcome_is_unknown);
            if self.shutdown.is_cancelled() {
                return Answer::Interrupted;
            }
            if let Some(answer) = self.look(group, id, error.as_ref(), may_have_arrived, requests).await {
                return answer;
            }
            self.clock.pause(PAUSE_BEFORE_REPEAT * requests).await;
            if self.shutdown.is_cancelled() {
                return Answer::Interrupted;
            }
            if let Some(fate) = self.obstacle(group, id).await {
                return Answer::Over(fate);
            }
            requests += 1;
            let stopper = self.stopper_of(group, slice::from_ref(id));
            error = match self.in_time(stopper.stop(&group.group.id, id)).await {
                Some(Ok(())) => return Answer::Watch,
                Some(Err(next)) => Some(next),
                None => None,
            };
        }
    }

    /// What has come in between a request and its repeat: the end of the window, or a hold.
    async fn obstacle(&self, group: &GroupTickets, id: &DeploymentId) -> Option<Fate> {
        let now = self.clock.now();
        if let Some(fate) = self.too_late(now) {
            return Some(fate);
        }
        let holds: Vec<Hold> = match self.ledger.read(move |tx| tx.holds(now)).await {
            Ok(holds) => holds,
            Err(error) => return Some(Fate::new(Outcome::Failed, format!("ledger: not asked again, because {error}"))),
        };
        let (protect, scheduled) = (&self.config.protect, self.window().from);
        let question = Question { rule: &self.rule, protect, holds: &holds, scheduled, now };
        let held = question.held(group.tickets.get(id)?.deployment())?;
        Some(Fate::left(&held))
    }

    /// Decides from a fresh look; none means that the request should be repeated.
    async fn look(
        &self,
        group: &GroupTickets,
        id: &DeploymentId,
        error: Option<&Error>,
        may_have_arrived: bool,
        requests: u32,
    ) -> Option<Answer> {
        let failed =
            |error: &Error| Answer::Over(Fate::new(Outcome::Failed, format!("{}: {}", error.keyword(), error.short())));
        if let Some(error) = error {
            match error.keyword() {
                "not_found" => return Some(Answer::Over(Fate::gone())),
                "precondition" => {}
                _ if may_have_arrived => {}
                _ => return Some(failed(error)),
            }
        }
        let seen = match self.tenant.reader.deployment(&group.group.id, id).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Some(Answer::Over(Fate::gone())),
            Err(_) if may_have_arrived => return Some(Answer::Watch),
            Err(look) => return Some(failed(&look)),
        };
        match &seen.status {
            Status::Stopped | Status::Stopping if may_have_arrived => Some(Answer::Watch),
            Status::Stopped | Status::Stopping => Some(Answer::Over(Fate::already_off(&seen))),
            Status::Running | Status::Pending if may_have_arrived && seen.is_asked_to_stop() => Some(Answer::Watch),
            Status::Running | Status::Pending => {
                let planned = group.tickets.get(id).map(Ticket::deployment);
                if planned.is_none_or(|planned| was_changed(planned, &seen)) {
                    return Some(Answer::Over(changed()));
                }
                let most = match error {
                    Some(error) if error.keyword() == "precondition" => MOST_REFUSALS,
                    Some(error) if !error.outcome_is_unknown() => 0,
                    _ => MOST_REQUESTS,
                };
                match error {
                    Some(error) if requests >= most => Some(failed(error)),
                    None if requests >= most => Some(Answer::Over(Fate::new(
                        Outcome::Failed,
                        "unexpected_response: AI Core never answered for it",
                    ))),
                    _ => None,
                }
            }
            other => Some(Answer::Over(Fate::new(Outcome::Left, format!("status {other}: cannot be stopped")))),
        }
    }
}

/// The fate of what somebody changed.
pub(super) fn changed() -> Fate {
    Fate::new(Outcome::Left, "changed: somebody updated it after it was listed")
}

/// True where somebody gave it another configuration, or touched it in any way, since it was listed.
pub(super) fn was_changed(planned: &Deployment, seen: &Deployment) -> bool {
    planned.configuration_id != seen.configuration_id || planned.modified_at != seen.modified_at
}
