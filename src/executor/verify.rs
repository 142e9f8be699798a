//! Waiting until AI Core itself says STOPPED: one list per resource group and look, with growing pauses.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::aicore::Error;
use crate::domain::id::DeploymentId;
use crate::domain::instant::rfc3339;
use crate::domain::reason::Reason;
use crate::domain::run::Outcome;
use crate::domain::verification::{Observation, StopVerdict, Watch, pause_before};
use crate::executor::ended::Interrupted;
use crate::executor::progress::RunStep;
use crate::executor::stop_attempt::{GroupAttempts, StopEnd, StopProgress};
use crate::executor::task::Task;

/// The look at the end of the rule's time may take so long.
const LAST_LOOK: Duration = Duration::from_secs(60);

/// Watches every stop of one group that was asked for, until each is confirmed or the rule's time is up.
pub(super) async fn verify_group(task: &Task, group: &mut GroupAttempts) -> Result<(), Interrupted> {
    let mut watch = Watch::default();
    for (id, attempt) in group.attempts.iter().filter(|(_, attempt)| attempt.progress == StopProgress::Asked) {
        if let Some(requested_at) = attempt.requested_at {
            watch.add(id.clone(), requested_at);
        }
    }
    // By the clock that stands still while a host sleeps: what could not be looked at was not waited for.
    let deadline = Instant::now() + task.rule.verify_timeout.to_std().unwrap_or_default();
    let mut is_blind = false;
    for round in 0.. {
        let left = deadline.saturating_duration_since(Instant::now());
        if watch.is_empty() || left.is_zero() {
            break;
        }
        let pause = task.clock.pause(pause_before(round).min(left));
        if task.shutdown.run_until_cancelled(pause).await.is_none() {
            return Err(Interrupted);
        }
        // A list can be put off far beyond the rule's time.
        let left = deadline.saturating_duration_since(Instant::now());
        let look = tokio::time::timeout(left.max(LAST_LOOK), look_at_group(task, group, &mut watch));
        let Some(look) = task.shutdown.run_until_cancelled(look).await else { return Err(Interrupted) };
        let Ok(look) = look else { break };
        let ends = match look {
            Ok(ends) => {
                if is_blind {
                    info!(resource_group = %group.group.id, "the deployments of {} can be seen again", group.group.id);
                }
                is_blind = false;
                ends
            }
            Err(error) => {
                // Said once, not with every look of an outage.
                if !is_blind {
                    let until = rfc3339(task.clock.now() + left);
                    warn!(resource_group = %group.group.id, %error, "could not look whether the deployments of {} stopped; looking again until {until}", group.group.id);
                }
                is_blind = true;
                continue;
            }
        };
        (task.observer)(&RunStep::Confirmed(ends.len()));
        for (id, end) in ends {
            group.conclude(&id, end);
        }
    }
    let waited = task.rule.verify_timeout.num_seconds();
    for (id, status) in watch.into_unconfirmed() {
        let reason = Reason::NotConfirmed { status, waited };
        group.conclude(&id, StopEnd::new(Outcome::Unconfirmed, reason));
    }
    Ok(())
}

async fn look_at_group(
    task: &Task,
    group: &GroupAttempts,
    watch: &mut Watch,
) -> Result<Vec<(DeploymentId, StopEnd)>, Error> {
    let listed = task.tenant.reader.look_for(&group.group.id, &watch.ids()).await?.deployments;
    let Observation { verdicts, missing } = watch.observe(&listed, task.clock.now());
    let mut ends: Vec<_> = verdicts.into_iter().map(|(id, verdict)| (id, end(verdict))).collect();
    for id in missing {
        ends.extend(look_for_missing(task, group, id, watch).await);
    }
    Ok(ends)
}

/// A deployment that left the list is asked for by itself: only a 404 makes it gone.
async fn look_for_missing(
    task: &Task,
    group: &GroupAttempts,
    id: DeploymentId,
    watch: &mut Watch,
) -> Option<(DeploymentId, StopEnd)> {
    match task.tenant.reader.deployment(&group.group.id, &id).await {
        Ok(None) => {
            watch.forget(&id);
            Some((id, StopEnd::gone()))
        }
        Ok(Some(deployment)) => watch.observe_one(&deployment, task.clock.now()).map(|verdict| (id, end(verdict))),
        // The next look will tell.
        Err(_) => None,
    }
}

fn end(verdict: StopVerdict) -> StopEnd {
    match verdict {
        StopVerdict::Stopped(confirmed_at) => StopEnd::stopped(confirmed_at),
        StopVerdict::Dead => StopEnd::new(Outcome::Failed, Reason::Dead),
        StopVerdict::CameBack(status) => {
            StopEnd::new(Outcome::Failed, Reason::CameBack { status, asked_before: false })
        }
    }
}
