//! One claimed firing on its way to a [`Run`]: survey, plan, stop, verify. It writes requests into the ledger and
//! nothing else; concluding is [`super::conclude`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::aicore::Tenant;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::plan::{Decision, Planned, Question, Reason};
use crate::domain::rule::{Mode, Rule};
use crate::domain::run::{LeftOut, OBSERVED, Outcome, Row, Run, RunResult, result_of};
use crate::domain::schedule::OffWindow;
use crate::executor::progress::{Observer, Step};
use crate::executor::stop::WINDOW_ENDED;
use crate::executor::survey::{Gaps, Survey, survey};
use crate::executor::ticket::{Fate, GroupTickets, Progress, Ticket};
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::runs::OpenRun;

/// How long a run may go on asking for stops.
pub const ASKING_LIMIT: TimeDelta = TimeDelta::minutes(15);

/// What went off this long before a firing or later is still worth a row.
const RECENTLY: TimeDelta = TimeDelta::hours(12);

/// offhours is being stopped; the run stays open and the next start resumes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interrupted;

/// Everything one run needs. The rule and the configuration are those of its start, whatever is reloaded meanwhile.
pub(super) struct Task {
    pub config: Arc<Config>,
    pub rule: Arc<Rule>,
    pub open: OpenRun,
    pub tenant: Arc<Tenant>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub shutdown: CancellationToken,
    pub observer: Observer,
    pub deadline: DateTime<Utc>,
}

/// What a task came to, before it is written down.
pub(super) struct Ended {
    pub result: RunResult,
    pub reason: String,
    pub rows: Vec<Row>,
}

impl Ended {
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { result: RunResult::Failed, reason: reason.into(), rows: Vec::new() }
    }

    /// With the rows of what was asked for and never watched to its end.
    pub fn with_unconfirmed(mut self, rows: Vec<Row>, why: &str) -> Self {
        let unconfirmed = |row: Row| match row.reason.as_str() {
            "" if row.outcome == Outcome::Unconfirmed => Row { reason: format!("unconfirmed: {why}"), ..row },
            _ => row,
        };
        self.rows = rows.into_iter().map(unconfirmed).collect();
        self
    }

    /// The run that this end makes of `open`.
    pub fn into_run(self, open: &OpenRun, resumed: bool, finished_at: DateTime<Utc>) -> Run {
        let claim = &open.claim;
        Run {
            firing: claim.firing.clone(),
            connection: claim.connection.clone(),
            mode: claim.mode,
            trigger: claim.trigger,
            started_at: claim.started_at,
            finished_at,
            result: self.result,
            reason: self.reason,
            off_window: claim.off_window,
            resumed,
            deployments: self.rows,
            left_out: LeftOut::new(),
        }
    }
}

impl Task {
    pub(super) fn window(&self) -> OffWindow {
        self.open.claim.off_window
    }

    /// Carries the firing out. `earlier` are the rows that an earlier executor of the same run wrote down.
    pub(super) async fn carry_out(&self, earlier: Vec<Row>) -> Result<Ended, Interrupted> {
        // The lists are as of now, however long the slowest of them takes.
        let listed_at = self.clock.now();
        let Config { protect, prices, .. } = &*self.config;
        let survey = survey(&self.tenant.reader, &self.rule, protect, prices, self.window().from);
        // Lists can be put off again and again; the rule's next firing must not have to wait for them.
        let left = (self.deadline - listed_at).to_std().unwrap_or_default();
        let survey = match self.shutdown.run_until_cancelled(tokio::time::timeout(left, survey)).await {
            None => return Err(Interrupted),
            Some(Ok(Ok(survey))) => survey,
            Some(unlisted) => {
                let failed = Ended::failed(match unlisted {
                    Ok(Err(error)) => format!("{}: {error}", error.keyword()),
                    _ => format!("deadline: AI Core did not list everything within {} minutes", left.as_secs() / 60),
                });
                return Ok(failed.with_unconfirmed(earlier, "AI Core could not be asked again"));
            }
        };
        let (mut groups, gone, gaps) = match self.tickets(survey, listed_at, earlier.clone()).await {
            Ok(tickets) => tickets,
            Err(error) => {
                let failed = Ended::failed(format!("ledger: nothing more was asked for, because {error}"));
                return Ok(failed.with_unconfirmed(earlier, "the holds could not be read"));
            }
        };
        let count = |progress| groups.iter().map(|group| group.ids(&progress).len()).sum::<usize>();
        // Asked by an earlier executor of this run.
        let (to_stop, asked) = (count(Progress::ToStop), count(Progress::Asked));
        let all: usize = groups.iter().map(|group| group.tickets.len()).sum();
        (self.observer)(&Step::Decided { stop: to_stop + asked, leave: all - to_stop - asked });
        if asked > 0 {
            (self.observer)(&Step::Asked(asked));
        }

        let blocked = self.guard(&mut groups, to_stop, asked);
        // Also where nothing is left to ask for: what an earlier executor asked for is watched to its end.
        let work = groups.iter_mut().map(|group| async {
            self.stop_group(group).await?;
            self.verify_group(group).await
        });
        join_all(work).await.into_iter().collect::<Result<Vec<()>, Interrupted>>()?;
        let window = self.window();
        let listed = groups.len();
        let tickets = groups.into_iter().flat_map(|group| group.tickets.into_values());
        let rows: Vec<Row> = tickets.map(|ticket| ticket.into_row(window)).chain(gone).collect();
        Ok(match blocked {
            Some(reason) => Ended { result: RunResult::Blocked, reason, rows },
            None => ended(listed, &gaps, rows),
        })
    }

    /// Decides for everything that was listed. What was asked for earlier and is not listed any more is looked at by itself.
    async fn tickets(
        &self,
        survey: Survey,
        listed_at: DateTime<Utc>,
        earlier: Vec<Row>,
    ) -> Result<(Vec<GroupTickets>, Vec<Row>, Gaps), LedgerError> {
        let now = self.clock.now();
        let holds = self.ledger.read(move |tx| tx.holds(now)).await?;
        let question = Question {
            rule: &self.rule,
            protect: &self.config.protect,
            holds: &holds,
            scheduled: self.window().from,
            now,
        };
        let mut earlier: BTreeMap<(ResourceGroup, DeploymentId), Row> = earlier
            .into_iter()
            .filter(|row| row.requested_at.is_some())
            .map(|row| ((row.resource_group.clone(), row.id.clone()), row))
            .collect();
        let mut groups = Vec::new();
        let (planned, gaps) = survey.plan(&question, &self.config.prices);
        for (group, planned) in planned {
            let scheduled = self.window().from;
            let tickets = planned.into_iter().filter_map(|planned| {
                let id = planned.deployment.id.clone();
                let earlier = earlier.remove(&(group.id.clone(), id.clone()));
                let is_news = earlier.is_some() || !was_off_long_before(&planned.deployment, scheduled);
                is_news.then(|| (id, Ticket::new(planned, earlier.map(Box::new))))
            });
            let tickets = tickets.collect();
            groups.push(GroupTickets { group, listed_at, tickets });
        }
        let mut lost = Vec::new();
        let looks = earlier.into_values().map(|row| async {
            if gaps.failed.iter().any(|(group, _)| group.id == row.resource_group) {
                return (row, None);
            }
            let seen = self.tenant.reader.deployment(&row.resource_group, &row.id).await;
            (row, Some(seen))
        });
        for (row, seen) in join_all(looks).await {
            let Some(seen) = seen else {
                let reason = "unconfirmed: its resource group could not be listed again".to_owned();
                lost.push(Row { outcome: Outcome::Unconfirmed, reason, ..row });
                continue;
            };
            match seen {
                Ok(Some(deployment)) => watch_too(&mut groups, deployment, row, listed_at),
                Ok(None) => {
                    lost.push(Row { outcome: Outcome::Gone, reason: "deleted by somebody else".to_owned(), ..row });
                }
                Err(error) => {
                    let reason = format!("unconfirmed: it could not be looked at again: {error}");
                    lost.push(Row { outcome: Outcome::Unconfirmed, reason, ..row });
                }
            }
        }
        Ok((groups, lost, gaps))
    }

    /// The guards over a whole run: `max_stops`, then observe mode. Gives the reason of a blocked run. An observing rule
    /// is blocked as it would be in earnest: what it would not stop it would not avoid either. What the run has `asked` for
    /// before a restart counts as well.
    fn guard(&self, groups: &mut [GroupTickets], to_stop: usize, asked: usize) -> Option<String> {
        let mut leave = |reason: &str| {
            let fate = Fate::new(Outcome::Left, reason);
            for group in groups.iter_mut() {
                group.conclude_unasked(&fate);
            }
        };
        if to_stop > 0 && to_stop + asked > usize::try_from(self.rule.max_stops).unwrap_or(usize::MAX) {
            let reason = format!(
                "blocked: it would have stopped {} deployments, more than max_stops = {}",
                to_stop + asked,
                self.rule.max_stops
            );
            leave(&reason);
            return Some(reason);
        }
        if self.open.claim.mode == Mode::Observe || self.rule.mode == Mode::Observe {
            leave(OBSERVED);
        }
        None
    }
}

/// Adds a deployment that the run asked for before a restart and that no list shows. It is watched, and not asked again.
fn watch_too(groups: &mut Vec<GroupTickets>, deployment: Deployment, earlier: Row, listed_at: DateTime<Utc>) {
    let id = deployment.id.clone();
    let group = Group { id: deployment.resource_group.clone(), labels: BTreeMap::new() };
    let decision = Decision::Leave(Reason::NotSelected("it is no longer listed".to_owned()));
    let planned = Planned { decision, rate: earlier.rate.clone(), deployment };
    let ticket = Ticket::new(planned, Some(Box::new(earlier)));
    match groups.iter_mut().find(|known| known.group.id == group.id) {
        Some(known) => drop(known.tickets.insert(id, ticket)),
        None => groups.push(GroupTickets { group, listed_at, tickets: [(id, ticket)].into() }),
    }
}

/// True for what is left over from earlier: STOPPED or DEAD long before the firing. Nobody expects a word about it, and
/// a tenant that is never tidied up would fill the history with it.
fn was_off_long_before(deployment: &Deployment, scheduled: DateTime<Utc>) -> bool {
    matches!(deployment.status, Status::Stopped | Status::Dead)
        && deployment.completed_at.is_some_and(|at| at < scheduled - RECENTLY)
}

fn ended(listed: usize, gaps: &Gaps, rows: Vec<Row>) -> Ended {
    let mut result = result_of(&rows, gaps.failed.len(), listed + gaps.failed.len());
    let mut reasons = Vec::new();
    let too_late = rows.iter().filter(|row| row.outcome == Outcome::Left && row.reason == WINDOW_ENDED).count();
    if too_late > 0 {
        reasons.push(format!(
            "{too_late} deployments were left: the off window was over before they could be asked to stop"
        ));
        let did_something = rows.iter().any(|row| row.outcome != Outcome::Left && row.requested_at.is_some());
        if result == RunResult::Done {
            result = if did_something { RunResult::Partial } else { RunResult::Missed };
        }
    }
    if let Some((group, error)) = gaps.failed.first() {
        let (failed, all) = (gaps.failed.len(), listed + gaps.failed.len());
        reasons.push(format!(
            "{}: {failed} of {all} resource groups could not be listed; `{}`: {error}",
            error.keyword(),
            group.id
        ));
    }
    let not_off: Vec<String> = [Outcome::Failed, Outcome::Unconfirmed]
        .into_iter()
        .map(|outcome| (rows.iter().filter(|row| row.outcome == outcome).count(), outcome))
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| format!("{count} {outcome}"))
        .collect();
    if !not_off.is_empty() {
        reasons.push(not_off.join(", "));
    }
    reasons.extend(gaps.notes.iter().cloned());
    Ended { result, reason: reasons.join("; "), rows }
}
