//! Asking for stops: in bulk where the tenant can, one by one where not. Each request is written down before it is
//! sent, none is sent that something has overtaken, and none is repeated before a look at the deployment says that it is
//! still needed.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::SemaphorePermit;
use tracing::warn;

use crate::aicore::{Error, StopBatch};
use crate::domain::id::DeploymentId;
use crate::domain::plan::{DecisionContext, Planned};
use crate::domain::reason::Reason;
use crate::executor::clearance::Obstacle;
use crate::executor::ended::Interrupted;
use crate::executor::look::{Known, Requests, changed, is_going_off, judge, look_again, not_looked_at, was_changed};
use crate::executor::progress::RunStep;
use crate::executor::stop_answer::{Sent, StopAnswer};
use crate::executor::stop_attempt::{GroupAttempts, StopAttempt, StopEnd, StopProgress};
use crate::executor::stop_context::StopContext;
use crate::ledger::LedgerError;

/// Pause before a request that was not sent, or may not have arrived, is prepared once more.
const PAUSE_BEFORE_REPEAT: Duration = Duration::from_secs(1);

/// It grows with each, up to so many times.
const LONGEST_REPEAT: u32 = 5;

/// Asks for every stop of one group. Ends early when offhours is being stopped or the off window has ended.
pub(super) async fn stop_group(context: &StopContext<'_>, group: &mut GroupAttempts) -> Result<(), Interrupted> {
    let mut bulk_was_refused = false;
    while !group.ids(&StopProgress::ToStop).is_empty() {
        let bulk = !bulk_was_refused && can_stop_in_bulk(context).await;
        let mut turn = if bulk { context.asking.acquire().await.ok() } else { None };
        if context.clearance.is_old(group.listed_at) {
            list_again(context, group).await;
        }
        if context.clearance.is_old(group.listed_at) {
            // A list that takes so long is old before it is there; one deployment is looked at sooner.
            turn = None;
        }
        let ids: Vec<DeploymentId> = group.ids(&StopProgress::ToStop).into_iter().take(StopBatch::LIMIT).collect();
        let ids = match write_down(context, group, &ids).await {
            Ok(ids) => ids,
            Err(obstacle) => match obstacle.end() {
                None => return Err(Interrupted),
                Some(end) => {
                    group.conclude_unasked(&end);
                    return Ok(());
                }
            },
        };
        let answers = match turn {
            Some(turn) => ask_in_bulk(context, group, &ids, turn).await,
            None => ask_singly(context, group, &ids).await,
        };
        let (mut asked, mut is_held_up) = (0, false);
        for (id, answer) in answers {
            asked += usize::from(matches!(answer, StopAnswer::Watch | StopAnswer::Over(_) | StopAnswer::Unsent(_)));
            match answer {
                StopAnswer::Watch => {}
                StopAnswer::Over(end) => group.conclude(&id, end),
                StopAnswer::Unsent(end) => {
                    group.reopen(&id, true);
                    group.conclude(&id, end);
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
        (context.task.observer)(&RunStep::Asked(asked));
        if is_held_up {
            context.task.clock.pause(PAUSE_BEFORE_REPEAT).await;
        }
    }
    Ok(())
}

/// A list is a picture of a moment. Where much time has passed since, the group is listed again with its labels, and
/// what was changed or came to something else meanwhile is left.
async fn list_again(context: &StopContext<'_>, group: &mut GroupAttempts) {
    let seen_at = context.task.clock.now();
    let to_stop = group.ids(&StopProgress::ToStop).into_iter().collect();
    let looks = async {
        let labelled = context.labelled_now(&group.group).await?;
        Ok::<_, Error>((labelled, context.task.tenant.reader.look_for(&group.group.id, &to_stop).await?))
    };
    let (labelled, listed) = match context.in_time(looks).await {
        Some(Ok(seen)) => seen,
        // It is too late, or offhours is being stopped: what comes next says which.
        None => return,
        Some(Err(error)) => {
            group.conclude_unasked(&not_looked_at(&error));
            return;
        }
    };
    (group.listed_at, group.group) = (seen_at, labelled);
    let decisions = context.task.decision_context(context.task.clock.now());
    // What left the list is answered with 404 when it is asked to stop.
    for seen in listed.deployments {
        let Some(attempt) = group.attempts.get_mut(&seen.id).filter(|attempt| attempt.progress == StopProgress::ToStop)
        else {
            continue;
        };
        // What was asked for earlier may have taken effect, which changes it too.
        let is_ours = attempt.earlier.is_some() && is_going_off(&seen);
        if !is_ours && seen.status.can_be_stopped() && was_changed(attempt.deployment(), &seen) {
            attempt.progress = StopProgress::Over(changed());
            continue;
        }
        let decision = decisions.decide(&group.group, &seen);
        let is_selected = decisions.selects(&group.group, &seen);
        let planned = Planned { is_selected, decision, rate: attempt.planned.rate.clone(), deployment: seen };
        let (requested_at, was_refused, earlier) = (attempt.requested_at, attempt.was_refused, attempt.earlier.take());
        *attempt = StopAttempt { was_refused, ..StopAttempt::new(planned, earlier) };
        attempt.requested_at = attempt.requested_at.or(requested_at);
    }
}

async fn can_stop_in_bulk(context: &StopContext<'_>) -> bool {
    match context.task.tenant.stopper.can_stop_in_bulk().await {
        Ok(bulk) => bulk,
        Err(error) => {
            warn!(%error, "could not ask the tenant whether it stops in bulk; stopping one by one");
            false
        }
    }
}

/// The look before a stop: the end of the window, what other runs have asked for, the holds of this very moment. What
/// passes is on the disk as asked for when this returns, and only then.
async fn write_down(
    context: &StopContext<'_>,
    group: &mut GroupAttempts,
    ids: &[DeploymentId],
) -> Result<Vec<DeploymentId>, Obstacle> {
    let (task, now) = (context.task, context.task.clock.now());
    if let Some(obstacle) = context.clearance.obstacle_of_time(now) {
        return Err(obstacle);
    }
    let attempts: Vec<StopAttempt> = ids.iter().filter_map(|id| group.attempts.get(id).cloned()).collect();
    let (rule, config, run, window) = (Arc::clone(&task.rule), Arc::clone(&task.config), task.open.id, task.window());
    let (group_id, listed_at) = (group.group.id.clone(), group.listed_at);
    let executor = Arc::clone(&task.executor);
    let written = task.ledger.write(move |tx| -> Result<_, LedgerError> {
        if !tx.is_held_by(run, &executor)? {
            return Ok(None);
        }
        let holds = tx.holds(now)?;
        let decisions =
            DecisionContext { rule: &rule, protect: &config.protect, holds: &holds, scheduled: window.from, now };
        let elsewhere = tx.asked_by_others(run, &group_id, listed_at)?;
        let decide = |attempt: StopAttempt| {
            if elsewhere.contains(&attempt.deployment().id) {
                return StopAttempt { progress: StopProgress::Over(StopEnd::left(Reason::AlreadyAsked)), ..attempt };
            }
            hold_or_ask(attempt, &decisions)
        };
        let attempts: Vec<StopAttempt> = attempts.into_iter().map(decide).collect();
        let asked = attempts.iter().filter(|attempt| attempt.progress == StopProgress::Asked);
        tx.request(run, &asked.map(|attempt| attempt.row(window)).collect::<Vec<_>>())?;
        Ok(Some(attempts))
    });
    let mut asked = Vec::new();
    // No request without a durable note of it.
    for attempt in written.await.map_err(Obstacle::Ledger)?.ok_or(Obstacle::Interrupted)? {
        let id = attempt.deployment().id.clone();
        if attempt.progress == StopProgress::Asked {
            asked.push(id.clone());
        }
        group.attempts.insert(id, attempt);
    }
    Ok(asked)
}

/// Asks for at most one batch. `turn` is given back before anything is looked at.
async fn ask_in_bulk(
    context: &StopContext<'_>,
    group: &GroupAttempts,
    ids: &[DeploymentId],
    turn: SemaphorePermit<'_>,
) -> Vec<(DeploymentId, StopAnswer)> {
    let mut answers = Vec::new();
    if let Some(batch) = StopBatch::split(ids.iter().cloned()).into_iter().next() {
        let attempts = batch.ids().iter().filter_map(|id| group.attempts.get(id));
        let stopper =
            context.stopper_of(attempts.map(|attempt| attempt.deployment().clone()).collect(), group.listed_at);
        let mut open = Vec::new();
        let sent = context.in_time(stopper.stop_in_bulk(&group.group.id, &batch)).await;
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
            let answer = pursue(context, group, &id, Requests::one(error)).await;
            (id, answer)
        });
        answers.extend(join_all(pursuits).await);
    }
    answers
}

async fn ask_singly(
    context: &StopContext<'_>,
    group: &GroupAttempts,
    ids: &[DeploymentId],
) -> Vec<(DeploymentId, StopAnswer)> {
    let pursuits =
        ids.iter().map(|id| async move { (id.clone(), pursue(context, group, id, Requests::default()).await) });
    join_all(pursuits).await
}

/// Asks for one stop until its answer is plain or something has come in between. After a request that was not plainly
/// accepted a look decides whether there is another one.
async fn pursue(
    context: &StopContext<'_>,
    group: &GroupAttempts,
    id: &DeploymentId,
    mut requests: Requests,
) -> StopAnswer {
    let Some(attempt) = group.attempts.get(id) else { return StopAnswer::Interrupted };
    let mut known = Known::of(attempt.deployment(), &group.group, group.listed_at);
    loop {
        if requests.is_open
            && let Some(answer) = judge(context, &known, &requests).await
        {
            return answer;
        }
        if requests.prepared > 0 {
            context.task.clock.pause(PAUSE_BEFORE_REPEAT * requests.prepared.min(LONGEST_REPEAT)).await;
        }
        let turn = context.asking.acquire().await;
        if let Some(obstacle) = context.clearance.obstacle(slice::from_ref(&known.deployment)).await {
            return obstacle.end().map_or(StopAnswer::Interrupted, |end| requests.end(end));
        }
        if context.clearance.is_old(known.seen_at) {
            known = match look_again(context, known, &requests).await {
                Ok(seen) => seen,
                Err(answer) => return answer,
            };
        }
        let sent = ask_once(context, &known).await;
        drop(turn);
        if matches!(sent, Sent::Accepted) {
            return StopAnswer::Watch;
        }
        requests.count(sent);
    }
}

async fn ask_once(context: &StopContext<'_>, known: &Known) -> Sent {
    let Known { deployment, group, seen_at } = known;
    let stopper = context.stopper_of(vec![deployment.clone()], *seen_at);
    match context.in_time(stopper.stop(&group.id, &deployment.id)).await {
        Some(Ok(())) => Sent::Accepted,
        Some(Err(Error::Withdrawn { was_refused, .. })) => Sent::TakenBack { was_refused },
        Some(Err(error)) => Sent::Open(Some(error)),
        None => Sent::Open(None),
    }
}

fn hold_or_ask(mut attempt: StopAttempt, decisions: &DecisionContext<'_>) -> StopAttempt {
    if let Some(held) = decisions.held(attempt.deployment()) {
        attempt.progress = StopProgress::Over(StopEnd::left(held));
    } else {
        attempt.progress = StopProgress::Asked;
        attempt.requested_at.get_or_insert(decisions.now);
    }
    attempt
}
