//! Asking for stops: in bulk where the tenant can, one by one where not. Each request is written down before it is
//! sent, none is sent that something has overtaken, and none is repeated before a look at the deployment says that it is
//! still needed.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::SemaphorePermit;
use tracing::warn;

use crate::aicore::{Error, StopBatch, Stopper};
use crate::domain::deployment::Deployment;
use crate::domain::id::DeploymentId;
use crate::domain::plan::{DecisionContext, Planned};
use crate::domain::reason::Reason;
use crate::executor::attempt::Attempt;
use crate::executor::clearance::Obstacle;
use crate::executor::ended::Interrupted;
use crate::executor::look::{Known, Requests, changed, is_going_off, not_looked_at, was_changed};
use crate::executor::progress::RunStep;
use crate::executor::ticket::{Fate, GroupTickets, Progress, Ticket};
use crate::ledger::LedgerError;

/// Pause before a request that was not sent, or may not have arrived, is prepared once more.
const PAUSE_BEFORE_REPEAT: Duration = Duration::from_secs(1);

/// It grows with each, up to so many times.
const LONGEST_REPEAT: u32 = 5;

/// What followed from asking once.
pub(super) enum StopAnswer {
    /// It was accepted, or may have been: AI Core's status will tell.
    Watch,
    /// It has come to an end without a stop of ours.
    Over(Fate),
    /// The same, and no request was sent.
    Unsent(Fate),
    /// It was surely not done, and should be asked for singly.
    Singly,
    /// It was taken back: something has come in between for one of its batch.
    TakenBack {
        /// True where it had been sent, and was refused.
        was_refused: bool,
    },
    /// The run is no longer ours to go on with, so that nobody here knows.
    Interrupted,
}

/// What came of sending one request.
pub(super) enum Sent {
    /// AI Core has accepted it.
    Accepted,
    /// It was taken back: it was not sent, or not once more after it was refused.
    TakenBack {
        /// True where it had been sent.
        was_refused: bool,
    },
    /// It failed, or nobody knows: it was given up while it was under way.
    Open(Option<Error>),
}

impl Attempt<'_> {
    /// Asks for every stop of one group. Ends early when offhours is being stopped or the off window has ended.
    pub(super) async fn stop_group(&self, group: &mut GroupTickets) -> Result<(), Interrupted> {
        let mut bulk_was_refused = false;
        while !group.ids(&Progress::ToStop).is_empty() {
            let bulk = !bulk_was_refused && self.can_stop_in_bulk().await;
            let mut turn = if bulk { self.asking.acquire().await.ok() } else { None };
            if self.clearance.is_old(group.listed_at) {
                self.list_again(group).await;
            }
            if self.clearance.is_old(group.listed_at) {
                // A list that takes so long is old before it is there; one deployment is looked at sooner.
                turn = None;
            }
            let ids: Vec<DeploymentId> = group.ids(&Progress::ToStop).into_iter().take(StopBatch::LIMIT).collect();
            let ids = match self.write_down(group, &ids).await {
                Ok(ids) => ids,
                Err(obstacle) => match obstacle.fate() {
                    None => return Err(Interrupted),
                    Some(fate) => {
                        group.conclude_unasked(&fate);
                        return Ok(());
                    }
                },
            };
            let answers = match turn {
                Some(turn) => self.ask_in_bulk(group, &ids, turn).await,
                None => self.ask_singly(group, &ids).await,
            };
            let (mut asked, mut is_held_up) = (0, false);
            for (id, answer) in answers {
                asked += usize::from(matches!(answer, StopAnswer::Watch | StopAnswer::Over(_) | StopAnswer::Unsent(_)));
                match answer {
                    StopAnswer::Watch => {}
                    StopAnswer::Over(fate) => group.conclude(&id, fate),
                    StopAnswer::Unsent(fate) => {
                        group.reopen(&id, true);
                        group.conclude(&id, fate);
                    }
                    StopAnswer::Singly => {
                        bulk_was_refused = true;
                        group.reopen(&id, false);
                    }
                    StopAnswer::TakenBack { was_refused } => {
                        is_held_up = true;
                        group.reopen(&id, !was_refused);
                    }
                    StopAnswer::Interrupted => return Err(Interrupted),
                }
            }
            (self.task.observer)(&RunStep::Asked(asked));
            if is_held_up {
                self.task.clock.pause(PAUSE_BEFORE_REPEAT).await;
            }
        }
        Ok(())
    }

    /// A list is a picture of a moment. Where much time has passed since, the group is listed again with its labels, and
    /// what was changed or came to something else meanwhile is left.
    async fn list_again(&self, group: &mut GroupTickets) {
        let seen_at = self.task.clock.now();
        let to_stop = group.ids(&Progress::ToStop).into_iter().collect();
        let looks = async {
            let labelled = self.labelled_now(&group.group).await?;
            Ok::<_, Error>((labelled, self.task.tenant.reader.look_for(&group.group.id, &to_stop).await?))
        };
        let (labelled, listed) = match self.in_time(looks).await {
            Some(Ok(seen)) => seen,
            // It is too late, or offhours is being stopped: what comes next says which.
            None => return,
            Some(Err(error)) => {
                group.conclude_unasked(&not_looked_at(&error));
                return;
            }
        };
        (group.listed_at, group.group) = (seen_at, labelled);
        let question = self.question(self.task.clock.now());
        // What left the list is answered with 404 when it is asked to stop.
        for seen in listed.deployments {
            let Some(ticket) = group.tickets.get_mut(&seen.id).filter(|ticket| ticket.progress == Progress::ToStop)
            else {
                continue;
            };
            // What was asked for earlier may have taken effect, which changes it too.
            let is_ours = ticket.earlier.is_some() && is_going_off(&seen);
            if !is_ours && seen.status.can_be_stopped() && was_changed(ticket.deployment(), &seen) {
                ticket.progress = Progress::Over(changed());
                continue;
            }
            let decision = question.decide(&group.group, &seen);
            let is_selected = question.selects(&group.group, &seen);
            let planned = Planned { is_selected, decision, rate: ticket.planned.rate.clone(), deployment: seen };
            let (requested_at, was_refused, earlier) = (ticket.requested_at, ticket.was_refused, ticket.earlier.take());
            *ticket = Ticket { was_refused, ..Ticket::new(planned, earlier) };
            ticket.requested_at = ticket.requested_at.or(requested_at);
        }
    }

    async fn can_stop_in_bulk(&self) -> bool {
        match self.task.tenant.stopper.can_stop_in_bulk().await {
            Ok(bulk) => bulk,
            Err(error) => {
                warn!(%error, "could not ask the tenant whether it stops in bulk; stopping one by one");
                false
            }
        }
    }

    /// The look before a stop: the end of the window, what other runs have asked for, the holds of this very moment. What
    /// passes is on the disk as asked for when this returns, and only then.
    async fn write_down(&self, group: &mut GroupTickets, ids: &[DeploymentId]) -> Result<Vec<DeploymentId>, Obstacle> {
        let (task, now) = (self.task, self.task.clock.now());
        if let Some(obstacle) = self.clearance.obstacle_of_time(now) {
            return Err(obstacle);
        }
        let tickets: Vec<Ticket> = ids.iter().filter_map(|id| group.tickets.get(id).cloned()).collect();
        let (rule, config, run, window) =
            (Arc::clone(&task.rule), Arc::clone(&task.config), task.open.id, task.window());
        let (group_id, listed_at) = (group.group.id.clone(), group.listed_at);
        let executor = Arc::clone(&task.executor);
        let written = task.ledger.write(move |tx| -> Result<_, LedgerError> {
            if !tx.is_held_by(run, &executor)? {
                return Ok(None);
            }
            let holds = tx.holds(now)?;
            let question =
                DecisionContext { rule: &rule, protect: &config.protect, holds: &holds, scheduled: window.from, now };
            let elsewhere = tx.asked_by_others(run, &group_id, listed_at)?;
            let decide = |ticket: Ticket| {
                if elsewhere.contains(&ticket.deployment().id) {
                    return Ticket { progress: Progress::Over(Fate::left(Reason::AlreadyAsked)), ..ticket };
                }
                hold_or_ask(ticket, &question)
            };
            let tickets: Vec<Ticket> = tickets.into_iter().map(decide).collect();
            let asked = tickets.iter().filter(|ticket| ticket.progress == Progress::Asked);
            tx.request(run, &asked.map(|ticket| ticket.row(window)).collect::<Vec<_>>())?;
            Ok(Some(tickets))
        });
        let mut asked = Vec::new();
        // No request without a durable note of it.
        for ticket in written.await.map_err(Obstacle::Ledger)?.ok_or(Obstacle::Interrupted)? {
            let id = ticket.deployment().id.clone();
            if ticket.progress == Progress::Asked {
                asked.push(id.clone());
            }
            group.tickets.insert(id, ticket);
        }
        Ok(asked)
    }

    /// Waits for `request`, but not into the time in which nothing may be asked for: a request can stand long at the
    /// client's gate. None where it was given up, and may or may not have been sent.
    pub(super) async fn in_time<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        let end = self.task.window().to.min(self.clearance.deadline);
        let left = (end - self.task.clock.now()).to_std().ok().filter(|left| !left.is_zero())?;
        let limited = tokio::time::timeout(left, request);
        self.task.shutdown.run_until_cancelled(limited).await?.ok()
    }

    /// A stopper whose requests leave only where nothing stands in the way of `deployments`, as they were seen at `seen_at`.
    fn stopper_of(&self, deployments: Vec<Deployment>, seen_at: DateTime<Utc>) -> Stopper {
        let (clearance, deployments) = (self.clearance.clone(), Arc::<[Deployment]>::from(deployments));
        self.task.tenant.stopper.while_wanted(Arc::new(move || {
            let (clearance, deployments) = (clearance.clone(), Arc::clone(&deployments));
            async move { !clearance.is_old(seen_at) && clearance.obstacle(&deployments).await.is_none() }.boxed()
        }))
    }

    /// Asks for at most one batch. `turn` is given back before anything is looked at.
    async fn ask_in_bulk(
        &self,
        group: &GroupTickets,
        ids: &[DeploymentId],
        turn: SemaphorePermit<'_>,
    ) -> Vec<(DeploymentId, StopAnswer)> {
        let mut answers = Vec::new();
        if let Some(batch) = StopBatch::split(ids.iter().cloned()).into_iter().next() {
            let tickets = batch.ids().iter().filter_map(|id| group.tickets.get(id));
            let stopper = self.stopper_of(tickets.map(|ticket| ticket.deployment().clone()).collect(), group.listed_at);
            let mut open = Vec::new();
            let sent = self.in_time(stopper.stop_in_bulk(&group.group.id, &batch)).await;
            drop(turn);
            match sent {
                None => open.extend(batch.ids().iter().map(|id| (id.clone(), None))),
                Some(Ok(mut answer)) => {
                    for id in batch.ids() {
                        match answer.answers.remove(id) {
                            Some(Ok(())) => answers.push((id.clone(), StopAnswer::Watch)),
                            Some(Err(error)) => open.push((id.clone(), Some(error))),
                            // Not mentioned: nobody knows, so the deployment is looked at.
                            None => open.push((id.clone(), None)),
                        }
                    }
                }
                Some(Err(Error::Withdrawn { was_refused, .. })) => {
                    answers.extend(batch.ids().iter().map(|id| (id.clone(), StopAnswer::TakenBack { was_refused })));
                }
                Some(Err(error @ Error::BulkRefused { .. })) => {
                    warn!(%error, "the tenant refused a bulk stop; stopping one by one from now on");
                    answers.extend(batch.ids().iter().map(|id| (id.clone(), StopAnswer::Singly)));
                }
                Some(Err(error)) => open.extend(batch.ids().iter().map(|id| (id.clone(), Some(error.clone())))),
            }
            let pursuits = open.into_iter().map(|(id, error)| async move {
                let answer = self.pursue(group, &id, Requests::one(error)).await;
                (id, answer)
            });
            answers.extend(join_all(pursuits).await);
        }
        answers
    }

    async fn ask_singly(&self, group: &GroupTickets, ids: &[DeploymentId]) -> Vec<(DeploymentId, StopAnswer)> {
        let pursuits =
            ids.iter().map(|id| async move { (id.clone(), self.pursue(group, id, Requests::default()).await) });
        join_all(pursuits).await
    }

    /// Asks for one stop until its answer is plain or something has come in between. After a request that was not plainly
    /// accepted a look decides whether there is another one.
    async fn pursue(&self, group: &GroupTickets, id: &DeploymentId, mut requests: Requests) -> StopAnswer {
        let Some(ticket) = group.tickets.get(id) else { return StopAnswer::Interrupted };
        let mut known = Known::of(ticket.deployment(), &group.group, group.listed_at);
        loop {
            if requests.is_open
                && let Some(answer) = self.judge(&known, &requests).await
            {
                return answer;
            }
            if requests.prepared > 0 {
                self.task.clock.pause(PAUSE_BEFORE_REPEAT * requests.prepared.min(LONGEST_REPEAT)).await;
            }
            let turn = self.asking.acquire().await;
            if let Some(obstacle) = self.clearance.obstacle(slice::from_ref(&known.deployment)).await {
                return obstacle.fate().map_or(StopAnswer::Interrupted, |fate| requests.end(fate));
            }
            if self.clearance.is_old(known.seen_at) {
                known = match self.look_again(known, &requests).await {
                    Ok(seen) => seen,
                    Err(answer) => return answer,
                };
            }
            let sent = self.ask_once(&known).await;
            drop(turn);
            if matches!(sent, Sent::Accepted) {
                return StopAnswer::Watch;
            }
            requests.count(sent);
        }
    }

    async fn ask_once(&self, known: &Known) -> Sent {
        let Known { deployment, group, seen_at } = known;
        let stopper = self.stopper_of(vec![deployment.clone()], *seen_at);
        match self.in_time(stopper.stop(&group.id, &deployment.id)).await {
            Some(Ok(())) => Sent::Accepted,
            Some(Err(Error::Withdrawn { was_refused, .. })) => Sent::TakenBack { was_refused },
            Some(Err(error)) => Sent::Open(Some(error)),
            None => Sent::Open(None),
        }
    }
}

fn hold_or_ask(mut ticket: Ticket, question: &DecisionContext<'_>) -> Ticket {
    if let Some(held) = question.held(ticket.deployment()) {
        ticket.progress = Progress::Over(Fate::left(held));
    } else {
        ticket.progress = Progress::Asked;
        ticket.requested_at.get_or_insert(question.now);
    }
    ticket
}
