//! One try of a run: survey, plan, stop, verify, as far as AI Core and the ledger can be reached.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::sync::{Mutex, Semaphore};

use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::failure::FailureCode;
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::reason::{Blocked, NotWatched, Reason};
use crate::domain::rule::Mode;
use crate::domain::run::{DeploymentResult, LeftKind, Outcome};
use crate::executor::account::{Account, Setback};
use crate::executor::clearance::Clearance;
use crate::executor::ended::Interrupted;
use crate::executor::progress::RunStep;
use crate::executor::survey::{Gaps, Labels, Surveyed, Surveyor};
use crate::executor::task::Task;
use crate::executor::ticket::{Fate, GroupTickets, Progress, Ticket};

/// How long a try may list, and then go on asking for stops.
const ASKING_LIMIT: TimeDelta = TimeDelta::minutes(15);
/// Requests for a stop that are prepared at once. More would only grow old while they wait at the client's gate.
const ASKED_AT_ONCE: usize = 32;
/// What went off this long before a firing or later is still worth a row.
const RECENTLY: TimeDelta = TimeDelta::hours(12);

/// One try under way.
pub(super) struct Attempt<'a> {
    pub task: &'a Task,
    pub clearance: Clearance,
    pub asking: Semaphore,
    /// The labels of the tenant's resource groups, as they were last read for an old list.
    pub labels: Mutex<Option<(DateTime<Utc>, Option<Labels>)>>,
    account: &'a mut Account,
}

/// What is to be done, as far as the survey has come.
#[derive(Default)]
struct Found {
    groups: Vec<GroupTickets>,
    /// Deployments to stop that are beyond `max_stops`: the run stops nothing, so that they need no ticket.
    surplus: BTreeMap<ResourceGroup, usize>,
    to_stop: usize,
    /// Deployments that hang on a hold and would have been stopped without it.
    held: usize,
}

impl<'a> Attempt<'a> {
    pub fn new(task: &'a Task, account: &'a mut Account) -> Self {
        let clearance = Clearance {
            ledger: task.ledger.clone(),
            clock: task.clock.clone(),
            shutdown: task.shutdown.clone(),
            rule: task.rule.clone(),
            window: task.window(),
            deadline: task.clock.now() + ASKING_LIMIT,
            run: task.open.id,
            executor: task.executor.clone(),
        };
        let asking = Semaphore::new(ASKED_AT_ONCE);
        Self { task, clearance, asking, labels: Mutex::new(None), account }
    }

    /// Carries the try out; what it comes to is in the account.
    pub async fn carry_out(mut self) -> Result<(), Interrupted> {
        let now = self.task.clock.now();
        let holds = match self.task.ledger.read(move |tx| tx.holds(now)).await {
            Ok(holds) => holds,
            Err(error) => {
                let message = format!("nothing more was asked for, because {error}");
                self.account.fail(Setback::to_try_again(FailureCode::Ledger, message));
                return Ok(());
            }
        };
        let question = DecisionContext { holds: &holds, ..self.question(now) };
        // Lists can be put off again and again; the rule's next firing must not have to wait for them.
        let limit = ASKING_LIMIT.to_std().unwrap_or_default();
        let shutdown = self.task.shutdown.clone();
        let mut found = Found::default();
        let survey = tokio::time::timeout(limit, self.survey(question, &mut found));
        let surveyed = shutdown.run_until_cancelled(survey).await;
        match surveyed {
            None => return Err(Interrupted),
            Some(Ok(true)) => {}
            Some(Ok(false)) => return Ok(()),
            Some(Err(_)) => {
                found.give_back(self.account);
                let minutes = ASKING_LIMIT.num_minutes();
                let message = format!("AI Core did not list everything within {minutes} minutes");
                self.account.fail(Setback::to_try_again(FailureCode::Deadline, message));
                return Ok(());
            }
        }
        self.look_for_unlisted(&mut found).await;
        self.guard(&mut found);
        let Found { mut groups, .. } = found;
        // Also where nothing is left to ask for: what was asked for earlier is watched to its end.
        let this = &self;
        let work = groups.iter_mut().map(|group| async {
            this.stop_group(group).await?;
            this.verify_group(group).await
        });
        join_all(work).await.into_iter().collect::<Result<Vec<()>, Interrupted>>()?;
        self.name_askers(&mut groups).await;
        let window = self.task.window();
        for group in groups {
            self.account.take(group, window);
        }
        Ok(())
    }

    /// What is decided by, but for the holds.
    pub fn question(&self, now: DateTime<Utc>) -> DecisionContext<'a> {
        let Task { rule, config, .. } = self.task;
        DecisionContext { rule, protect: &config.protect, holds: &[], scheduled: self.task.window().from, now }
    }

    /// Decides for everything that can be listed; false where nothing can.
    async fn survey(&mut self, question: DecisionContext<'_>, found: &mut Found) -> bool {
        let (task, account) = (self.task, &mut *self.account);
        let reader = &task.tenant.reader;
        let surveyor = Surveyor { reader, clock: &task.clock, prices: &task.config.prices, question };
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
    async fn look_for_unlisted(&mut self, found: &mut Found) {
        let unlisted = |(group, _): &(ResourceGroup, DeploymentId)| !self.account.is_unlisted(group);
        let places: Vec<_> = self.account.earlier.keys().filter(|place| unlisted(place)).cloned().collect();
        let looks = places.into_iter().map(|(group, id)| async {
            let seen = self.task.tenant.reader.deployment(&group, &id).await;
            ((group, id), seen)
        });
        for (place, seen) in join_all(looks).await {
            let Some(row) = self.account.earlier.remove(&place) else { continue };
            match seen {
                Ok(Some(deployment)) => found.watch_too(deployment, row, self.task.clock.now()),
                Ok(None) => {
                    let reason = Some(Reason::Deleted);
                    self.account.take_unlisted(DeploymentResult { outcome: Outcome::Gone, reason, ..row });
                }
                Err(error) if error.may_pass() => drop(self.account.earlier.insert(place, row)),
                Err(error) => {
                    let reason = Some(Reason::NotWatched(NotWatched::Refused(error.to_string())));
                    self.account.take_unlisted(DeploymentResult { outcome: Outcome::Unconfirmed, reason, ..row });
                }
            }
        }
    }

    /// True where the run asks for nothing: its rule observes, or did when it was claimed.
    pub(super) fn observes(&self) -> bool {
        self.task.open.claim.mode == Mode::Observe || self.task.rule.mode == Mode::Observe
    }

    /// The guards over a whole run: `max_stops`, then observe mode. An observing rule is blocked as it would be in earnest:
    /// what it would not stop it would not avoid either. What the run has asked for before counts as well.
    fn guard(&mut self, found: &mut Found) {
        let count = |progress| found.groups.iter().map(|group| group.ids(&progress).len()).sum::<usize>();
        let (to_stop, watched) =
            (count(Progress::ToStop) + found.surplus.values().sum::<usize>(), count(Progress::Asked));
        let asked = watched + self.account.asked();
        (self.task.observer)(&RunStep::Decided { stop: to_stop + watched, leave: self.account.left() + found.held });
        if watched > 0 {
            (self.task.observer)(&RunStep::Asked(watched));
        }
        let max_stops = self.task.rule.max_stops;
        let is_over = to_stop + asked > usize::try_from(max_stops).unwrap_or(usize::MAX);
        // Blocked once, a run stops nothing in its later tries either: what it blocked for is not asked for again.
        if to_stop > 0 && (is_over || self.account.blocked.is_some()) {
            let over = Blocked { would_stop: to_stop + asked, max_stops };
            let reason = Reason::Blocked(*self.account.blocked.get_or_insert(over));
            found.leave(&reason);
            let kind = LeftKind { reason: reason.kind(), is_selected: true };
            for (group, count) in &found.surplus {
                self.account.leave_out(group, kind.clone(), *count);
            }
        } else if self.observes() {
            found.leave(&Reason::Observed);
        }
    }
}

impl Found {
    /// Takes a group as it was listed and decided on.
    fn take(&mut self, surveyed: Surveyed, task: &Task, account: &mut Account) {
        let Surveyed { group, listed_at, planned } = surveyed;
        let most = usize::try_from(task.rule.max_stops).unwrap_or(usize::MAX);
        let mut tickets = BTreeMap::new();
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
            let ticket = Ticket::new(planned, earlier.map(Box::new));
            match &ticket.progress {
                // Who asked for what was asked to stop before is looked up later.
                Progress::Over(fate) if fate.outcome == Outcome::Left && fate.found.is_none() && !counts => {
                    account.take_left(ticket.into_row(task.window()));
                }
                _ => drop(tickets.insert(id, ticket)),
            }
        }
        self.groups.push(GroupTickets { group, listed_at, tickets });
    }

    /// Adds a deployment that the run asked for earlier and that no list shows. It is watched, and not asked again.
    fn watch_too(&mut self, deployment: Deployment, earlier: DeploymentResult, seen_at: DateTime<Utc>) {
        let id = deployment.id.clone();
        let group = Group { id: deployment.resource_group.clone(), labels: BTreeMap::new() };
        let decision = Decision::Leave(Reason::NotSelected("it is no longer listed".to_owned()));
        let planned = Planned { is_selected: earlier.is_selected, decision, rate: earlier.rate.clone(), deployment };
        let ticket = Ticket::new(planned, Some(Box::new(earlier)));
        match self.groups.iter_mut().find(|known| known.group.id == group.id) {
            Some(known) => drop(known.tickets.insert(id, ticket)),
            None => self.groups.push(GroupTickets { group, listed_at: seen_at, tickets: [(id, ticket)].into() }),
        }
    }

    /// Gives back what was asked for earlier, for the next try.
    fn give_back(self, account: &mut Account) {
        let tickets = self.groups.into_iter().flat_map(|group| group.tickets.into_values());
        for row in tickets.filter_map(|ticket| ticket.earlier) {
            account.earlier.insert((row.resource_group.clone(), row.id.clone()), *row);
        }
    }

    /// Leaves what is not asked for yet.
    fn leave(&mut self, reason: &Reason) {
        let fate = Fate::left(reason.clone());
        self.groups.iter_mut().for_each(|group| group.conclude_unasked(&fate));
    }
}

/// True for what is left over from earlier: STOPPED or DEAD long before the firing, or at a time that nobody knows. No
/// one expects a word about it, and a tenant that is never tidied up would fill the history with it.
fn was_off_long_before(deployment: &Deployment, scheduled: DateTime<Utc>) -> bool {
    matches!(deployment.status, Status::Stopped | Status::Dead)
        && deployment.completed_at.or(deployment.modified_at).is_none_or(|at| at < scheduled - RECENTLY)
}
