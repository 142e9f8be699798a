//! Who asked for the stop of what a run finds off, or on its way off: offhours itself, or somebody else.

use tracing::warn;

use crate::domain::deployment::Status;
use crate::domain::earlier::EarlierStop;
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::reason::{AskedBy, Reason};
use crate::domain::run::Outcome;
use crate::executor::stop_attempt::{GroupAttempts, StopAttempt, StopEnd, StopProgress};
use crate::executor::task::Task;

/// Says of each deployment that was asked to stop before, by whom. What an earlier run asked for and AI Core still does
/// not call STOPPED is not off: it is unconfirmed again.
pub(super) async fn name_askers(task: &Task, groups: &mut [GroupAttempts]) {
    let found_off =
        |attempt: &&mut StopAttempt| matches!(&attempt.progress, StopProgress::Over(end) if end.found.is_some());
    let attempts = groups.iter_mut().flat_map(|group| group.attempts.values_mut()).filter(found_off);
    let attempts: Vec<&mut StopAttempt> = attempts.collect();
    let places: Vec<(ResourceGroup, DeploymentId)> = attempts
        .iter()
        .map(|attempt| (attempt.deployment().resource_group.clone(), attempt.deployment().id.clone()))
        .collect();
    if places.is_empty() {
        return;
    }
    let run = task.open.id;
    let asked = task
        .ledger
        .read(move |tx| places.iter().map(|(group, id)| tx.last_asked(run, group, id)).collect::<Result<Vec<_>, _>>());
    match asked.await {
        Ok(asked) => {
            let observes = task.observes();
            attempts.into_iter().zip(asked).for_each(|(attempt, asked)| name(attempt, asked, observes));
        }
        // The reason stays what it is: not asked for by this run.
        Err(error) => warn!(error = &error as &dyn std::error::Error, "who asked for earlier stops cannot be read"),
    }
}

/// A rule that observes has asked for nothing, and what is not confirmed is told by the rule that asked.
fn name(attempt: &mut StopAttempt, asked: Option<EarlierStop>, observes: bool) {
    let StopProgress::Over(end) = &mut attempt.progress else { return };
    let (Some(status), Some(asked)) = (&end.found, asked) else { return };
    let (status, asked_by) = (status.clone(), AskedBy { rule: asked.rule.clone(), at: asked.at() });
    if asked.is_watched || observes || status == Status::Stopped {
        end.reason = Some(Reason::AlreadyOff { status, asked: Some(asked_by) });
        return;
    }
    let reason = Reason::StillStopping { status: status.clone(), asked: asked_by };
    *end = StopEnd { found: Some(status), ..StopEnd::new(Outcome::Unconfirmed, reason) };
    // What is on its way off may not say any more what it runs on.
    attempt.planned.rate = asked.row.rate;
    attempt.planned.deployment.nodes = asked.row.nodes;
}
