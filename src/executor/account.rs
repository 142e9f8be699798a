//! What a run has come to so far, over all its tries: per resource group what is settled and what is still to be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::aicore::Error;
use crate::domain::deployment::Group;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::reason::{Blocked, NotWatched, Reason};
use crate::domain::run::{DeploymentResult, LeftKind, LeftOut, Outcome, RunResult, Try, result_of};
use crate::domain::run_reason::RunReason;
use crate::domain::schedule::OffWindow;
use crate::executor::ended::Ended;
use crate::executor::stop_attempt::{GroupAttempts, StopProgress};
use crate::executor::survey::Gaps;

/// Of the deployments that are left for one reason so many have a row; the others are counted.
const MOST_LEFT_ROWS: usize = 100;

/// A deployment's place in a tenant.
type Place = (ResourceGroup, DeploymentId);
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What was asked for before this try, by an earlier executor or an earlier try, and has not been seen since.
    pub(crate) earlier: BTreeMap<Place, DeploymentResult>,
    groups: BTreeMap<ResourceGroup, GroupEnd>,
    /// Rows of what was asked for earlier and is in no list any more.
    unlisted: Vec<DeploymentResult>,
    /// Why nothing could be looked at.
    failed: Option<Setback>,
    /// Why the whole run stopped nothing more.
    pub(crate) blocked: Option<Blocked>,
    /// Tries that did not come to an end.
    pub(crate) tries: Vec<Try>,
    notes: BTreeSet<String>,
    /// Rows that were kept of what was left, by their kind.
    sample: LeftOut,
}

/// Why something could not be done.
#[derive(Debug, Clone)]
pub(super) struct Setback {
    pub(crate) failure: Failure,
    /// True where a later try may go better.
    pub(crate) again: bool,
}

impl Setback {
    pub(crate) fn of(error: &Error) -> Self {
        Self { failure: error.failure(), again: error.may_pass() }
    }

    pub(crate) fn to_try_again(code: FailureCode, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(code, message), again: true }
    }
}
#[derive(Debug, Default)]
struct GroupEnd {
    rows: BTreeMap<DeploymentId, DeploymentResult>,
    left_out: LeftOut,
    /// Why it could not be listed.
    unlisted: Option<Setback>,
    /// Why something in it was not asked for, where a later try may go better.
    unasked: Option<Reason>,
    /// True where nothing is left to do in it.
    is_done: bool,
}

impl GroupEnd {
    fn unfinished(&self) -> Option<Reason> {
        let unlisted = self.unlisted.as_ref().filter(|setback| setback.again);
        unlisted.map(|setback| Reason::Failure(setback.failure.clone())).or_else(|| self.unasked.clone())
    }
}

impl Account {
    /// Nothing could be looked at.
    pub(crate) fn fail(&mut self, setback: Setback) {
        self.failed = Some(setback);
    }

    /// The tenant answers: what was said of earlier tries is no longer true. Of groups that come again only what was asked
    /// for and seen to its end stays.
    pub(crate) fn begin_try(&mut self) {
        self.failed = None;
        self.notes.clear();
        for group in self.groups.values_mut().filter(|group| !group.is_done) {
            group.rows.retain(|_, row| {
                let stays = row.requested_at.is_some();
                // Who goes makes room in the sample.
                if !stays
                    && row.outcome == Outcome::Left
                    && let Some(kept) = kind_of(row).and_then(|kind| self.sample.get_mut(&kind))
                {
                    *kept = kept.saturating_sub(1);
                }
                stays
            });
            group.left_out.clear();
            (group.unlisted, group.unasked) = (None, None);
        }
    }

    /// True where nothing is left to do in a group.
    pub(crate) fn is_finished(&self, group: &ResourceGroup) -> bool {
        self.groups.get(group).is_some_and(|end| end.is_done)
    }

    /// True where an earlier try has seen a deployment to its end.
    pub(crate) fn has_settled(&self, group: &ResourceGroup, id: &DeploymentId) -> bool {
        self.groups.get(group).is_some_and(|end| end.rows.contains_key(id))
    }

    /// How many deployments were asked for before this try and are not among what it has found.
    pub(crate) fn asked(&self) -> usize {
        let rows = self.groups.values().flat_map(|group| group.rows.values());
        rows.filter(|row| row.requested_at.is_some()).count() + self.earlier.len() + self.unlisted.len()
    }

    /// Takes one that is left and hangs on no figure: the first ones with a row, the others as a count.
    pub(crate) fn take_left(&mut self, row: DeploymentResult) {
        let Some(kind) = kind_of(&row) else { return };
        let kept = self.sample.entry(kind.clone()).or_default();
        // What was asked for before has a row in the ledger, and what became of it belongs there.
        if row.requested_at.is_some() || *kept < MOST_LEFT_ROWS {
            *kept += usize::from(row.requested_at.is_none());
            self.groups.entry(row.resource_group.clone()).or_default().rows.insert(row.id.clone(), row);
        } else {
            self.leave_out(&row.resource_group, kind, 1);
        }
    }

    /// Counts some that are left without a row.
    pub(crate) fn leave_out(&mut self, group: &ResourceGroup, kind: LeftKind, count: usize) {
        let end = self.groups.entry(group.clone()).or_default();
        *end.left_out.entry(kind).or_default() += count;
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        let left = |group: &GroupEnd| {
            let rows = group.rows.values().filter(|row| row.outcome == Outcome::Left);
            rows.count() + group.left_out.values().sum::<usize>()
        };
        self.groups.values().map(left).sum()
    }

    /// Takes what a survey could not see.
    pub(crate) fn take_gaps(&mut self, gaps: Gaps) {
        for (Group { id, .. }, error) in gaps.failed {
            self.groups.entry(id).or_default().unlisted = Some(Setback::of(&error));
        }
        self.notes.extend(gaps.notes);
    }

    /// True where a group could not be listed in this try.
    pub(crate) fn is_unlisted(&self, group: &ResourceGroup) -> bool {
        self.groups.get(group).is_some_and(|end| end.unlisted.is_some())
    }

    /// Takes a group as it stands at the end of a try. What may still come off at a later one was asked for earlier then.
    pub(crate) fn take(&mut self, group: GroupAttempts, window: OffWindow) {
        let GroupAttempts { group: Group { id: name, .. }, attempts, .. } = group;
        for (id, attempt) in attempts {
            let again = matches!(&attempt.progress, StopProgress::Over(end) if end.again);
            let was_asked_before = matches!(&attempt.progress, StopProgress::Over(end) if end.found.is_some());
            let row = attempt.into_row(window);
            let is_only_counted = was_asked_before && row.outcome == Outcome::Left;
            if is_only_counted || matches!(row.reason, Some(Reason::Blocked(_))) {
                self.take_left(row);
                continue;
            }
            let end = self.groups.entry(name.clone()).or_default();
            if again {
                end.unasked = end.unasked.take().or_else(|| row.reason.clone());
            }
            if again && row.requested_at.is_some() {
                self.earlier.insert((name.clone(), id), row);
            } else {
                end.rows.insert(id, row);
            }
        }
        let end = self.groups.entry(name).or_default();
        end.is_done = end.unfinished().is_none();
    }

    /// True where something that was asked for has not been seen since.
    pub(crate) fn is_watching(&self) -> bool {
        self.earlier.values().any(|row| row.outcome == Outcome::Unconfirmed)
    }

    /// Takes what became of a deployment that was asked for earlier and is in no list any more.
    pub(crate) fn take_unlisted(&mut self, row: DeploymentResult) {
        self.unlisted.push(row);
    }

    /// Why another try would be worth it, if it would.
    pub(crate) fn unfinished(&self) -> Option<RunReason> {
        let whole = self.failed.as_ref().filter(|setback| setback.again);
        let whole = whole.map(|setback| RunReason::Failure(setback.failure.clone()));
        let of_group = || {
            let mut groups =
                self.groups.iter().filter_map(|(name, group)| group.unfinished().map(|reason| (name, reason)));
            let (group, reason) = groups.next()?;
            Some(RunReason::Unfinished { reason: Box::new(reason), group: group.clone(), others: groups.count() })
        };
        let unseen = || {
            let listed = self.earlier.keys().filter(|(group, _)| !self.is_unlisted(group));
            let unseen = listed.count();
            (unseen > 0 && self.failed.is_none()).then_some(RunReason::NotSeen(unseen))
        };
        whole.or_else(of_group).or_else(unseen)
    }

    /// What the run has come to, once nothing more is tried.
    pub(crate) fn into_ended(self) -> Ended {
        let (mut rows, mut left_out) = (self.unlisted, LeftOut::new());
        let (mut failed, all) = (Vec::new(), self.groups.len());
        for (name, group) in self.groups {
            rows.extend(group.rows.into_values());
            group.left_out.into_iter().for_each(|(kind, count)| *left_out.entry(kind).or_default() += count);
            failed.extend(group.unlisted.map(|setback| (name, setback.failure)));
        }
        rows.extend(self.earlier.into_values().map(unseen));
        rows.sort_by(|a, b| (&a.resource_group, &a.id).cmp(&(&b.resource_group, &b.id)));
        let whole = Ended { result: RunResult::Done, reasons: Vec::new(), rows, left_out, tries: self.tries };
        if let Some(blocked) = self.blocked {
            // Blocked by what only a later try could list, it has stopped something.
            let did_something = whole.rows.iter().any(|row| row.outcome != Outcome::Left && row.requested_at.is_some());
            let result = if did_something { RunResult::Partial } else { RunResult::Blocked };
            return Ended { result, reasons: vec![RunReason::Blocked(blocked)], ..whole };
        }
        if let Some(setback) = self.failed {
            let did_something = whole.rows.iter().any(|row| row.confirmed_at.is_some());
            let result = if did_something { RunResult::Partial } else { RunResult::Failed };
            return Ended { result, reasons: vec![RunReason::Failure(setback.failure)], ..whole };
        }
        let result = result_of(&whole.rows, failed.len(), all);
        let (result, reasons) = summary(result, &whole.rows, failed, all, self.notes);
        Ended { result, reasons, ..whole }
    }
}

fn kind_of(row: &DeploymentResult) -> Option<LeftKind> {
    Some(LeftKind { reason: row.reason.as_ref()?.kind(), is_selected: row.is_selected })
}

/// A row that was asked for, and of which nobody knows what came of it. A failure that it has says more.
fn unseen(row: DeploymentResult) -> DeploymentResult {
    if row.outcome == Outcome::Failed {
        return row;
    }
    let reason = Some(Reason::NotWatched(NotWatched::Unreachable));
    DeploymentResult { outcome: Outcome::Unconfirmed, reason, ..row }
}

/// The result and the reasons of a run that looked at its tenant.
fn summary(
    mut result: RunResult,
    rows: &[DeploymentResult],
    failed: Vec<(ResourceGroup, Failure)>,
    groups: usize,
    notes: BTreeSet<String>,
) -> (RunResult, Vec<RunReason>) {
    let mut reasons = Vec::new();
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    let too_late = rows.iter().filter(|row| row.reason == Some(Reason::WindowEnded)).count();
    if too_late > 0 {
        reasons.push(RunReason::TooLate(too_late));
        let did_something = rows.iter().any(|row| row.outcome != Outcome::Left && row.requested_at.is_some());
        if result == RunResult::Done {
            result = if did_something { RunResult::Partial } else { RunResult::Missed };
        }
    }
    let count_failed = failed.len();
    if let Some((group, failure)) = failed.into_iter().next() {
        reasons.push(RunReason::NotListed { count: count_failed, groups, group, failure });
    }
    let (failed, unconfirmed) = (count(Outcome::Failed), count(Outcome::Unconfirmed));
    if failed + unconfirmed > 0 {
        reasons.push(RunReason::NotOff { failed, unconfirmed });
    }
    reasons.extend(notes.into_iter().map(RunReason::Note));
    (result, reasons)
}
