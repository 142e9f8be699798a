//! Asking for stops: in bulk where the tenant can, one by one where not. Each request is written down before it is
//! sent, and none is repeated before a look at the deployment says that it is still needed.

use std::slice;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tracing::warn;

use crate::aicore::{Error, StopBatch, Stopper};
use crate::domain::deployment::Deployment;
use crate::domain::id::DeploymentId;
use crate::domain::plan::{Planned, Question, Reason};
use crate::domain::run::Outcome;
use crate::executor::look::{changed, was_changed};
use crate::executor::progress::Step;
use crate::executor::task::{Interrupted, Task};
use crate::executor::ticket::{Fate, GroupTickets, Progress, Ticket};
use crate::ledger::LedgerError;

/// A list that is older is read again before the next stop: somebody may have changed a deployment meanwhile.
const LIST_IS_OLD: TimeDelta = TimeDelta::seconds(60);
/// Why a deployment is left whose off window ended before it was asked to stop.
pub(super) const WINDOW_ENDED: &str = "window ended: the off window was over before it could be asked to stop";

/// What followed from asking once.
pub(super) enum Answer {
    /// It was accepted, or may have been: AI Core's status will tell.
    Watch,
    /// It has come to an end without a stop of ours.
    Over(Fate),
    /// It was surely not done, and should be asked for in another way.
    Again,
    /// offhours is being stopped, so that nobody knows: the next start looks.
    Interrupted,
}

impl Task {
    /// Asks for every stop of one group. Ends early when offhours is being stopped or the off window has ended.
    pub(super) async fn stop_group(&self, group: &mut GroupTickets) -> Result<(), Interrupted> {
        let mut bulk_was_refused = false;
        while !group.ids(&Progress::ToStop).is_empty() {
            let bulk = !bulk_was_refused && self.can_stop_in_bulk().await;
            self.renew_an_old_list(group).await;
            let ids: Vec<DeploymentId> = group.ids(&Progress::ToStop).into_iter().take(StopBatch::LIMIT).collect();
            if self.shutdown.is_cancelled() {
                return Err(Interrupted);
            }
            let ids = match self.write_down(group, &ids).await {
                Ok(ids) => ids,
                Err(error) => {
                    // No request without a durable note of it.
                    let reason = format!("ledger: nothing was asked for, because {error}");
                    group.conclude_unasked(&Fate::new(Outcome::Failed, reason));
                    return Ok(());
                }
            };
            let answers = if bulk { self.ask_in_bulk(group, &ids).await } else { self.ask_singly(group, &ids).await };
            let mut asked = 0;
            for (id, answer) in answers {
                match answer {
                    Answer::Watch => asked += 1,
                    Answer::Over(fate) => {
                        asked += 1;
                        group.conclude(&id, fate);
                    }
                    Answer::Again => {
                        bulk_was_refused = true;
                        group.reopen(&id);
                    }
                    Answer::Interrupted => return Err(Interrupted),
                }
            }
            (self.observer)(&Step::Asked(asked));
        }
        Ok(())
    }

    /// A list is a picture of a moment. Where much time has passed since, the group is listed again, and what was changed
    /// or came to something else meanwhile is left.
    async fn renew_an_old_list(&self, group: &mut GroupTickets) {
        let now = self.clock.now();
        if now - group.listed_at < LIST_IS_OLD {
            return;
        }
        let listed = match self.in_time(self.tenant.reader.deployments(&group.group.id, None)).await {
            Some(Ok(listing)) => listing.deployments,
            // It is too late, or offhours is being stopped: what comes next says which.
            None => return,
            Some(Err(error)) => {
                let reason = format!("{}: not asked, because its list was old: {error}", error.keyword());
                group.conclude_unasked(&Fate::new(Outcome::Failed, reason));
                return;
            }
        };
        group.listed_at = now;
        let question = Question {
            rule: &self.rule,
            protect: &self.config.protect,
            holds: &[],
            scheduled: self.window().from,
            now: self.clock.now(),
        };
        // What left the list is answered with 404 when it is asked to stop.
        for seen in listed {
            let Some(ticket) = group.tickets.get_mut(&seen.id).filter(|ticket| ticket.progress == Progress::ToStop)
            else {
                continue;
            };
            if seen.status.can_be_stopped() && was_changed(ticket.deployment(), &seen) {
                ticket.progress = Progress::Over(changed());
                continue;
            }
            let decision = question.decide(&group.group, &seen);
            let planned = Planned { decision, rate: ticket.planned.rate.clone(), deployment: seen };
            let (requested_at, earlier) = (ticket.requested_at, ticket.earlier.take());
            *ticket = Ticket::new(planned, earlier);
            ticket.requested_at = ticket.requested_at.or(requested_at);
        }
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

    /// The last look before a stop: the end of the window, what other runs have asked for, the holds of this very moment.
    /// What passes is on the disk as asked for when this returns, and only then.
    async fn write_down(
        &self,
        group: &mut GroupTickets,
        ids: &[DeploymentId],
    ) -> Result<Vec<DeploymentId>, LedgerError> {
        let now = self.clock.now();
        if let Some(fate) = self.too_late(now) {
            group.conclude_unasked(&fate);
            return Ok(Vec::new());
        }
        let tickets: Vec<Ticket> = ids.iter().filter_map(|id| group.tickets.get(id).cloned()).collect();
        let (rule, config, run, window) =
            (Arc::clone(&self.rule), Arc::clone(&self.config), self.open.id, self.window());
        let (group_id, listed_at) = (group.group.id.clone(), group.listed_at);
        let written = self.ledger.write(move |tx| {
            let holds = tx.holds(now)?;
            let question =
                Question { rule: &rule, protect: &config.protect, holds: &holds, scheduled: window.from, now };
            let elsewhere = tx.asked_by_others(run, &group_id, listed_at)?;
            let decide = |ticket: Ticket| {
                if elsewhere.contains(&ticket.deployment().id) {
                    return Ticket { progress: Progress::Over(Fate::left(&Reason::AlreadyAsked)), ..ticket };
                }
                hold_or_ask(ticket, &question)
            };
            let tickets: Vec<Ticket> = tickets.into_iter().map(decide).collect();
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

    pub(super) fn too_late(&self, now: DateTime<Utc>) -> Option<Fate> {
        if now >= self.window().to {
            Some(Fate::new(Outcome::Left, WINDOW_ENDED))
        } else if now >= self.deadline {
            Some(Fate::new(Outcome::Failed, "deadline: the run took too long to ask for its stop"))
        } else {
            None
        }
    }

    /// Waits for `request`, but not into the time in which nothing may be asked for: a request can stand long at the
    /// client's gate. None where it was given up or taken back, and may or may not have been sent.
    pub(super) async fn in_time<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
        let end = self.window().to.min(self.deadline);
        let left = (end - self.clock.now()).to_std().ok().filter(|left| !left.is_zero())?;
        let limited = tokio::time::timeout(left, request);
        let answer = self.shutdown.run_until_cancelled(limited).await?.ok()?;
        Some(answer).filter(|answer| !matches!(answer, Err(Error::Withdrawn { .. })))
    }

    /// A stopper whose requests are sent only as long as no hold covers one of `ids`, up to the moment of sending.
    pub(super) fn stopper_of(&self, group: &GroupTickets, ids: &[DeploymentId]) -> Stopper {
        let tickets = ids.iter().filter_map(|id| group.tickets.get(id));
        let deployments: Arc<[Deployment]> = tickets.map(|ticket| ticket.deployment().clone()).collect();
        let (ledger, clock, rule) = (self.ledger.clone(), self.clock.clone(), Arc::clone(&self.rule));
        self.tenant.stopper.while_wanted(Arc::new(move || {
            let (ledger, now) = (ledger.clone(), clock.now());
            let (rule, deployments) = (Arc::clone(&rule), Arc::clone(&deployments));
            let is_free = async move {
                // Where the holds cannot be read, nobody knows.
                let Ok(holds) = ledger.read(move |tx| tx.holds(now)).await else { return false };
                !deployments.iter().any(|one| holds.iter().any(|hold| hold.covers(&rule.name, one, now)))
            };
            is_free.boxed()
        }))
    }

    async fn ask_in_bulk(&self, group: &GroupTickets, ids: &[DeploymentId]) -> Vec<(DeploymentId, Answer)> {
        let mut answers = Vec::new();
        for batch in StopBatch::split(ids.iter().cloned()) {
            let (mut accepted, mut open) = (Vec::new(), Vec::new());
            let stopper = self.stopper_of(group, batch.ids());
            match self.in_time(stopper.stop_in_bulk(&group.group.id, &batch)).await {
                None => open.extend(batch.ids().iter().map(|id| (id.clone(), None))),
                Some(Ok(mut answer)) => {
                    for id in batch.ids() {
                        match answer.answers.remove(id) {
                            Some(Ok(())) => accepted.push((id.clone(), Answer::Watch)),
                            Some(Err(error)) => open.push((id.clone(), Some(error))),
                            // Not mentioned: nobody knows, so the deployment is looked at.
                            None => open.push((id.clone(), None)),
                        }
                    }
                }
                Some(Err(error)) if error.keyword() == "bulk_refused" => {
                    warn!(%error, "the tenant refused a bulk stop; stopping one by one from now on");
                    answers.extend(batch.ids().iter().map(|id| (id.clone(), Answer::Again)));
                }
                Some(Err(error)) => open.extend(batch.ids().iter().map(|id| (id.clone(), Some(error.clone())))),
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
            let stopper = self.stopper_of(group, slice::from_ref(id));
            let answer = match self.in_time(stopper.stop(&group.group.id, id)).await {
                Some(Ok(())) => Answer::Watch,
                Some(Err(error)) => self.look_and_repeat(group, id, Some(error), 1).await,
                None => self.look_and_repeat(group, id, None, 1).await,
            };
            (id.clone(), answer)
        });
        join_all(requests).await
    }
}

fn hold_or_ask(mut ticket: Ticket, question: &Question<'_>) -> Ticket {
    if let Some(held) = question.held(ticket.deployment()) {
        ticket.progress = Progress::Over(Fate::left(&held));
    } else {
        ticket.progress = Progress::Asked;
        ticket.requested_at.get_or_insert(question.now);
    }
    ticket
}
