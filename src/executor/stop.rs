//! Asking for stops: in bulk where the tenant can, one by one where not. Each request is written down before it is
//! sent, and none is repeated before a look at the deployment says that it is still needed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tracing::warn;

use crate::aicore::{Error, StopBatch};
use crate::domain::deployment::{Deployment, Status};
use crate::domain::id::DeploymentId;
use crate::domain::plan::Question;
use crate::domain::run::Outcome;
use crate::executor::progress::Step;
use crate::executor::task::{Interrupted, Task};
use crate::executor::ticket::{Fate, GroupTickets, Progress, Ticket};
use crate::ledger::LedgerError;

/// Single requests that are written down in one go. Small, so that a hold set meanwhile still comes in time.
const SINGLES_AT_ONCE: usize = 16;
/// Most requests for one deployment, where each but the last may or may not have arrived.
const MOST_REQUESTS: u32 = 3;
/// Most requests where AI Core refused and the deployment can be stopped all the same.
const MOST_REFUSALS: u32 = 2;
/// Pause before a request is repeated.
const PAUSE_BEFORE_REPEAT: Duration = Duration::from_secs(1);

/// What followed from asking once.
enum Answer {
    /// It was accepted, or may have been: AI Core's status will tell.
    Watch,
    /// It has come to an end without a stop of ours.
    Over(Fate),
}

impl Task {
    /// Asks for every stop of one group. Ends early when offhours is being stopped or the off window has ended.
    pub(super) async fn stop_group(&self, group: &mut GroupTickets) -> Result<(), Interrupted> {
        let to_stop = group.ids(&Progress::ToStop);
        let mut waiting = to_stop.as_slice();
        while !waiting.is_empty() {
            let bulk = self.can_stop_in_bulk().await;
            let size = if bulk { StopBatch::LIMIT } else { SINGLES_AT_ONCE };
            let (ids, rest) = waiting.split_at(size.min(waiting.len()));
            waiting = rest;
            if self.shutdown.is_cancelled() {
                return Err(Interrupted);
            }
            let ids = match self.write_down(group, ids).await {
                Ok(ids) => ids,
                Err(error) => {
                    // No request without a durable note of it.
                    let reason = format!("ledger: nothing was asked for, because {error}");
                    group.conclude_unasked(&Fate::new(Outcome::Failed, reason));
                    return Ok(());
                }
            };
            let answers = if bulk { self.ask_in_bulk(group, &ids).await } else { self.ask_singly(group, &ids).await };
            (self.observer)(&Step::Asked(answers.len()));
            for (id, answer) in answers {
                if let Answer::Over(fate) = answer {
                    group.conclude(&id, fate);
                }
            }
        }
        Ok(())
    }

    async fn can_stop_in_bulk(&self) -> bool {
        match self.tenant.stopper.can_stop_in_bulk().await {
            Ok(bulk) => bulk,
            Err(error) => {
                warn!(%error, "could not ask the tenant whether it stops in bulk; stopping one by one");
                false
            }
        }
    }

    /// The last look before a stop: the end of the window, the holds of this very moment. What passes is on the disk
    /// as asked for when this returns, and only then.
    async fn write_down(
        &self,
        group: &mut GroupTickets,
        ids: &[DeploymentId],
    ) -> Result<Vec<DeploymentId>, LedgerError> {
        let now = self.clock.now();
        if let Some(reason) = self.too_late(now) {
            ids.iter().for_each(|id| group.conclude(id, Fate::new(Outcome::Left, reason)));
            return Ok(Vec::new());
        }
        let tickets: Vec<Ticket> = ids.iter().filter_map(|id| group.tickets.get(id).cloned()).collect();
        let (rule, config, run, window) =
            (Arc::clone(&self.rule), Arc::clone(&self.config), self.open.id, self.window());
        let written = self.ledger.write(move |tx| {
            let holds = tx.holds(now)?;
            let question =
                Question { rule: &rule, protect: &config.protect, holds: &holds, scheduled: window.from, now };
            let tickets: Vec<Ticket> = tickets.into_iter().map(|ticket| hold_or_ask(ticket, &question)).collect();
            let asked = tickets.iter().filter(|ticket| ticket.progress == Progress::Asked);
            tx.request(run, &asked.map(|ticket| ticket.row(window)).collect::<Vec<_>>())?;
            Ok(tickets)
        });
        let mut asked = Vec::new();
        for ticket in written.await? {
            let id = ticket.deployment().id.clone();
            if ticket.progress == Progress::Asked {
                asked.push(id.clone());
            }
            group.tickets.insert(id, ticket);
        }
        Ok(asked)
    }

    fn too_late(&self, now: DateTime<Utc>) -> Option<&'static str> {
        if now >= self.window().to {
            Some("window ended: the off window is over")
        } else if now >= self.deadline {
            Some("deadline: the run took too long")
        } else {
            None
        }
    }

    async fn ask_in_bulk(&self, group: &GroupTickets, ids: &[DeploymentId]) -> Vec<(DeploymentId, Answer)> {
        let mut answers = Vec::new();
        for batch in StopBatch::split(ids.iter().cloned()) {
            let (mut accepted, mut open) = (Vec::new(), Vec::new());
            match self.tenant.stopper.stop_in_bulk(&group.group.id, &batch).await {
                Ok(mut answer) => {
                    for id in batch.ids() {
                        match answer.answers.remove(id) {
                            Some(Ok(())) => accepted.push((id.clone(), Answer::Watch)),
                            Some(Err(error)) => open.push((id.clone(), Some(error))),
                            // Not mentioned: nobody knows, so the deployment is looked at.
                            None => open.push((id.clone(), None)),
                        }
                    }
                }
                Err(error) if error.keyword() == "bulk_refused" => {
                    warn!(%error, "the tenant refused a bulk stop; stopping one by one from now on");
                    answers.extend(self.ask_singly(group, batch.ids()).await);
                }
                Err(error) => open.extend(batch.ids().iter().map(|id| (id.clone(), Some(error.clone())))),
            }
            let looks = open.into_iter().map(|(id, error)| async move {
                let answer = self.look_and_repeat(group, &id, error, 1).await;
                (id, answer)
            });
            answers.extend(accepted);
            answers.extend(join_all(looks).await);
        }
        answers
    }

    async fn ask_singly(&self, group: &GroupTickets, ids: &[DeploymentId]) -> Vec<(DeploymentId, Answer)> {
        let requests = ids.iter().map(|id| async move {
            let answer = match self.tenant.stopper.stop(&group.group.id, id).await {
                Ok(()) => Answer::Watch,
                Err(error) => self.look_and_repeat(group, id, Some(error), 1).await,
            };
            (id.clone(), answer)
        });
        join_all(requests).await
    }

    /// After a request that was not plainly accepted: looks at the deployment, and asks again only where it still can
    /// and should be stopped. `error` is none where AI Core did not mention the deployment.
    async fn look_and_repeat(
        &self,
        group: &GroupTickets,
        id: &DeploymentId,
        error: Option<Error>,
        requests: u32,
    ) -> Answer {
        let (mut error, mut requests) = (error, requests);
        loop {
            match self.look(group, id, error.as_ref(), requests).await {
                Some(answer) => return answer,
                None if self.shutdown.is_cancelled() => {
                    let left = Fate::new(Outcome::Left, "interrupted: offhours was stopped before it could ask again");
                    return Answer::Over(left);
                }
                None => self.clock.pause(PAUSE_BEFORE_REPEAT * requests).await,
            }
            requests += 1;
            match self.tenant.stopper.stop(&group.group.id, id).await {
                Ok(()) => return Answer::Watch,
                Err(next) => error = Some(next),
            }
        }
    }

    /// Decides from a fresh look; none means that the request should be repeated.
    async fn look(
        &self,
        group: &GroupTickets,
        id: &DeploymentId,
        error: Option<&Error>,
        requests: u32,
    ) -> Option<Answer> {
        let may_have_arrived = error.is_none_or(Error::outcome_is_unknown);
        let failed = |error: &Error| Answer::Over(Fate::new(Outcome::Failed, format!("{}: {error}", error.keyword())));
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
                    let reason = "changed: somebody updated it after it was listed";
                    return Some(Answer::Over(Fate::new(Outcome::Left, reason)));
                }
                let most = if may_have_arrived { MOST_REQUESTS } else { MOST_REFUSALS };
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

fn was_changed(planned: &Deployment, seen: &Deployment) -> bool {
    planned.configuration_id != seen.configuration_id || planned.modified_at != seen.modified_at
}

fn hold_or_ask(mut ticket: Ticket, question: &Question<'_>) -> Ticket {
    match question.held(ticket.deployment()) {
        Some(held) => ticket.progress = Progress::Over(Fate::left(&held)),
        None => {
            ticket.progress = Progress::Asked;
            ticket.requested_at.get_or_insert(question.now);
        }
    }
    ticket
}
