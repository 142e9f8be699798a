//! One try of a run: survey, plan, stop, verify, as far as AI Core and the ledger can be reached.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::failure::FailureCode;
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::reason::{Blocked, NotWatched, Reason};
use crate::domain::run::{DeploymentResult, LeftKind, Outcome};
use crate::executor::account::{Account, Setback};
use crate::executor::asker::name_askers;
use crate::executor::ended::Interrupted;
use crate::executor::progress::RunStep;
use crate::executor::stop::stop_group;
use crate::executor::stop_attempt::{GroupAttempts, StopAttempt, StopEnd, StopProgress};
use crate::executor::stop_context::{ASKING_LIMIT, StopContext};
use crate::executor::survey::{Gaps, Surveyed, Surveyor};
use crate::executor::task::Task;
use crate::executor::verify::verify_group;

/// What went off this long before a firing or later is still worth a row.
const RECENTLY: TimeDelta = TimeDelta::hours(12);

/// What is to be done, as far as the survey has come.
#[derive(Default)]
struct Found {
    groups: Vec<GroupAttempts>,
    /// Deployments to stop that are beyond `max_stops`: the run stops nothing, so that they need no attempt.
    surplus: BTreeMap<ResourceGroup, usize>,
    to_stop: usize,
    /// Deployments that hang on a hold and would have been stopped without it.
    held: usize,
}

/// Carries the try out; what it comes to is in the account.
pub(super) async fn try_once(task: &Task, account: &mut Account) -> Result<(), Interrupted> {
    let context = &StopContext::new(task);
    let now = task.clock.now();
    let holds = match task.ledger.read(move |tx| tx.holds(now)).await {
        Ok(holds) => holds,
        Err(error) => {
            let message = format!("nothing more was asked for, because {error}");
            account.fail(Setback::to_try_again(FailureCode::Ledger, message));
            return Ok(());
        }
    };
    let decisions = DecisionContext { holds: &holds, ..task.decision_context(now) };
    // Lists can be put off again and again; the rule's next firing must not have to wait for them.
    let limit = ASKING_LIMIT.to_std().unwrap_or_default();
    let shutdown = task.shutdown.clone();
    let mut found = Found::default();
    let survey = tokio::time::timeout(limit, survey(task, account, decisions, &mut found));
    let surveyed = shutdown.run_until_cancelled(survey).await;
    match surveyed {
        None => return Err(Interrupted),
        Some(Ok(true)) => {}
        Some(Ok(false)) => return Ok(()),
        Some(Err(_)) => {
            found.give_back(account);
            let minutes = ASKING_LIMIT.num_minutes();
            let message = format!("AI Core did not list everything within {minutes} minutes");
            account.fail(Setback::to_try_again(FailureCode::Deadline, message));
            return Ok(());
        }
    }
    look_for_unlisted(task, account, &mut found).await;
    guard(task, account, &mut found);
    let Found { mut groups, .. } = found;
    // Also where nothing is left to ask for: what was asked for earlier is watched to its end.
    let work = groups.iter_mut().map(|group| async {
        stop_group(context, group).await?;
        verify_group(task, group).await
    });
    join_all(work).await.into_iter().collect::<Result<Vec<()>, Interrupted>>()?;
    name_askers(task, &mut groups).await;
    let window = task.window();
    for group in groups {
        account.take(group, window);
    }
    Ok(())
}

/// Decides for everything that can be listed; false where nothing can.
async fn survey(task: &Task, account: &mut Account, decisions: DecisionContext<'_>, found: &mut Found) -> bool {
    let reader = &task.tenant.reader;
    let surveyor = Surveyor { reader, clock: &task.clock, prices: &task.config.prices, decisions };
    let mut gaps = Gaps::default();
    let groups = match surveyor.groups(&mut gaps).await {
        Ok(groups) => groups,
        Err(error) => {
            account.fail(Setback::of(&error));
            return false;
        }
    };
    let groups = groups.into_iter().filter(|group| !account.is_finished(&group.id)).collect();
    account.begin_try();
    surveyor.list(groups, &mut gaps, |surveyed| found.take(surveyed, task, account)).await;
    account.take_gaps(gaps);
    true
}

/// What was asked for earlier and is not listed any more is looked at by itself.
async fn look_for_unlisted(task: &Task, account: &mut Account, found: &mut Found) {
    let unlisted = |(group, _): &(ResourceGroup, DeploymentId)| !account.is_unlisted(group);
    let places: Vec<_> = account.earlier.keys().filter(|place| unlisted(place)).cloned().collect();
    let looks = places.into_iter().map(|(group, id)| async {
        let seen = task.tenant.reader.deployment(&group, &id).await;
        ((group, id), seen)
    });
    for (place, seen) in join_all(looks).await {
        let Some(row) = account.earlier.remove(&place) else { continue };
        match seen {
            Ok(Some(deployment)) => found.watch_too(deployment, row, task.clock.now()),
            Ok(None) => {
                let reason = Some(Reason::Deleted);
                account.take_unlisted(DeploymentResult { outcome: Outcome::Gone, reason, ..row });
            }
            Err(error) if error.may_pass() => drop(account.earlier.insert(place, row)),
            Err(error) => {
                let reason = Some(Reason::NotWatched(NotWatched::Refused(error.to_string())));
                account.take_unlisted(DeploymentResult { outcome: Outcome::Unconfirmed, reason, ..row });
            }
        }
    }
}

/// The guards over a whole run: `max_stops`, then observe mode. An observing rule is blocked as it would be in earnest:
/// what it would not stop it would not avoid either. What the run has asked for before counts as well.
fn guard(task: &Task, account: &mut Account, found: &mut Found) {
    let count = |progress| found.groups.iter().map(|group| group.ids(&progress).len()).sum::<usize>();
    let (to_stop, watched) =
        (count(StopProgress::ToStop) + found.surplus.values().sum::<usize>(), count(StopProgress::Asked));
    let asked = watched + account.asked();
    (task.observer)(&RunStep::Decided { stop: to_stop + watched, leave: account.left() + found.held });
    if watched > 0 {
        (task.observer)(&RunStep::Asked(watched));
    }
    let max_stops = task.rule.max_stops;
    let is_over = to_stop + asked > usize::try_from(max_stops).unwrap_or(usize::MAX);
    // Blocked once, a run stops nothing in its later tries either: what it blocked for is not asked for again.
    if to_stop > 0 && (is_over || account.blocked.is_some()) {
        let over = Blocked { would_stop: to_stop + asked, max_stops };
        let reason = Reason::Blocked(*account.blocked.get_or_insert(over));
        found.leave(&reason);
        let kind = LeftKind { reason: reason.kind(), is_selected: true };
        for (group, count) in &found.surplus {
            account.leave_out(group, kind.clone(), *count);
        }
    } else if task.observes() {
        found.leave(&Reason::Observed);
    }
}

impl Found {
    /// Takes a group as it was listed and decided on.
    fn take(&mut self, surveyed: Surveyed, task: &Task, account: &mut Account) {
        let Surveyed { group, listed_at, planned } = surveyed;
        let most = usize::try_from(task.rule.max_stops).unwrap_or(usize::MAX);
        let mut attempts = BTreeMap::new();
        for planned in planned {
            let id = planned.deployment.id.clone();
            if account.has_settled(&group.id, &id) {
                continue;
            }
            let earlier = account.earlier.remove(&(group.id.clone(), id.clone()));
            if earlier.is_none() && was_off_long_before(&planned.deployment, task.window().from) {
                continue;
            }
            if earlier.is_none() && planned.decision == Decision::Stop {
                self.to_stop += 1;
                if self.to_stop > most {
                    *self.surplus.entry(group.id.clone()).or_default() += 1;
                    continue;
                }
            }
            // What a hold costs is counted by its rows; more than `max_stops` would not have been stopped without it.
            let is_held = matches!(planned.decision, Decision::Leave(Reason::Held(_))) && planned.rate.nodes > 0;
            self.held += usize::from(is_held);
            let counts = is_held && self.held <= most;
            let attempt = StopAttempt::new(planned, earlier.map(Box::new));
            match &attempt.progress {
                // Who asked for what was asked to stop before is looked up later.
                StopProgress::Over(end) if end.outcome == Outcome::Left && end.found.is_none() && !counts => {
                    account.take_left(attempt.into_row(task.window()));
                }
                _ => drop(attempts.insert(id, attempt)),
            }
        }
        self.groups.push(GroupAttempts { group, listed_at, attempts });
    }

    /// Adds a deployment that the run asked for earlier and that no list shows. It is watched, and not asked again.
    fn watch_too(&mut self, deployment: Deployment, earlier: DeploymentResult, seen_at: DateTime<Utc>) {
        let id = deployment.id.clone();
        let group = Group { id: deployment.resource_group.clone(), labels: BTreeMap::new() };
        let decision = Decision::Leave(Reason::NotSelected("it is no longer listed".to_owned()));
        let planned = Planned { is_selected: earlier.is_selected, decision, rate: earlier.rate.clone(), deployment };
        let attempt = StopAttempt::new(planned, Some(Box::new(earlier)));
        match self.groups.iter_mut().find(|known| known.group.id == group.id) {
            Some(known) => drop(known.attempts.insert(id, attempt)),
            None => self.groups.push(GroupAttempts { group, listed_at: seen_at, attempts: [(id, attempt)].into() }),
        }
    }

    /// Gives back what was asked for earlier, for the next try.
    fn give_back(self, account: &mut Account) {
        let attempts = self.groups.into_iter().flat_map(|group| group.attempts.into_values());
        for row in attempts.filter_map(|attempt| attempt.earlier) {
            account.earlier.insert((row.resource_group.clone(), row.id.clone()), *row);
        }
    }

    /// Leaves what is not asked for yet.
    fn leave(&mut self, reason: &Reason) {
        let end = StopEnd::left(reason.clone());
        self.groups.iter_mut().for_each(|group| group.conclude_unasked(&end));
    }
}

/// True for what is left over from earlier: STOPPED or DEAD long before the firing, or at a time that nobody knows. No
/// one expects a word about it, and a tenant that is never tidied up would fill the history with it.
fn was_off_long_before(deployment: &Deployment, scheduled: DateTime<Utc>) -> bool {
    matches!(deployment.status, Status::Stopped | Status::Dead)
        && deployment.completed_at.or(deployment.modified_at).is_none_or(|at| at < scheduled - RECENTLY)
}
