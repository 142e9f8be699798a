//! A firing carried out: what was decided, what happened to each deployment, and the sums.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::avoided::{Avoided, Basis};
use crate::domain::deployment::{Nodes, Status};
use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use crate::domain::instant::{SayInstant, rfc3339};
use crate::domain::money::HourlyRate;
use crate::domain::reason::{Reason, ReasonKind};
use crate::domain::rule::Mode;
use crate::domain::run_reason::{RunReason, say_all};
use crate::domain::schedule::OffWindow;
use crate::domain::words::words;

/// A rule and one scheduled instant: the identity of a run, in the ledger only once for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Firing {
    pub rule: RuleName,
    /// The scheduled instant, in whole seconds.
    pub at: DateTime<Utc>,
}

impl fmt::Display for Firing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.rule, rfc3339(self.at))
    }
}

words! {
    /// What set a run off.
    pub Trigger {
        /// Its time had come.
        Schedule = "schedule",
        /// Its time had come, and was noticed late.
        CatchUp = "catch-up",
        Manual = "manual",
    }
}

words! {
    /// How a run ended.
    pub RunResult {
        /// Everything that was to be stopped is stopped.
        Done = "done",
        /// Some of it is not.
        Partial = "partial",
        /// Nothing could be done.
        Failed = "failed",
        /// It came due too late.
        Missed = "missed",
        /// The rule's previous run was still going.
        Skipped = "skipped",
        /// It would have stopped more than `max_stops`.
        Blocked = "blocked",
        /// It was ended by a stop of the daemon.
        Interrupted = "interrupted",
    }
}

words! {
    /// What became of one deployment.
    pub Outcome {
        /// Asked to stop, and confirmed STOPPED by AI Core.
        Stopped = "stopped",
        /// Off before it was asked.
        AlreadyOff = "already-off",
        /// Deleted by somebody else.
        Gone = "gone",
        Left = "left",
        /// Should have stopped and did not.
        Failed = "failed",
        /// Asked to stop, and not seen STOPPED in time.
        Unconfirmed = "unconfirmed",
    }
}

/// One firing carried out, or the record of why it was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub firing: Firing,
    pub connection: ConnectionName,
    /// Whether it was allowed to stop anything.
    pub mode: Mode,
    pub trigger: Trigger,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When its result was known.
    pub finished_at: DateTime<Utc>,
    pub result: RunResult,
    /// Why it did not end `done`, and what else a person should know.
    pub reasons: Vec<RunReason>,
    /// The time in which its deployments should not run.
    pub off_window: OffWindow,
    /// True where a restart finished what another process began.
    pub resumed: bool,
    /// What became of each deployment; of those that were left, a sample.
    pub deployments: Vec<DeploymentResult>,
    /// How many deployments were left without a row of their own, by kind: in a large tenant they are most of it, and one
    /// line says as much as a hundred thousand.
    pub left_out: LeftOut,
    /// Tries that did not come to an end, oldest first: AI Core or the ledger was away, and the run went on later.
    pub tries: Vec<Try>,
}

/// A try of a run that could not list or ask everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// When it was given up.
    pub at: DateTime<Utc>,
    pub reason: RunReason,
}

/// What deployments without a row are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftKind {
    /// Why they were left.
    pub reason: ReasonKind,
    /// True where the rule selects them.
    pub is_selected: bool,
}

/// Counts of left deployments.
pub type LeftOut = BTreeMap<LeftKind, usize>;

/// One deployment in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentResult {
    pub resource_group: ResourceGroup,
    pub id: DeploymentId,
    /// The configuration it was made from.
    pub configuration_id: String,
    pub configuration_name: Option<String>,
    pub scenario_id: Option<String>,
    /// True where the rule selects it, whatever left it.
    pub is_selected: bool,
    pub outcome: Outcome,
    /// Why; none where the outcome says it all.
    pub reason: Option<Reason>,
    /// When the stop was first asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// Since when it is off, as far as AI Core says.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When the platform itself would have ended it (`createdAt + ttl`).
    pub expires_at: Option<DateTime<Utc>>,
    /// Running replicas at the decision.
    pub nodes: Vec<Nodes>,
    /// What an hour of it consumes and costs, as of the decision.
    pub rate: HourlyRate,
    /// What its stop avoids, if nothing cuts the off window short.
    pub projected: Avoided,
    /// What it avoided in the end, once the window is over and the tenant was looked at again.
    pub settlement: Option<Settlement>,
}

impl DeploymentResult {
    /// The figure that counts: the settled one where there is one.
    pub fn avoided(&self) -> &Avoided {
        self.settlement.as_ref().map_or(&self.projected, |settlement| &settlement.avoided)
    }

    /// The reason's sentence; empty where there is none.
    pub fn sentence(&self) -> String {
        self.reason.as_ref().map_or_else(String::new, Reason::to_string)
    }

    /// The reason beside the outcome's word, which is not said again.
    pub(crate) fn why(&self, instant: SayInstant<'_>) -> String {
        self.reason.as_ref().map_or_else(String::new, |reason| reason.beside_outcome(instant))
    }

    /// The number of the hold that kept it on.
    pub fn hold(&self) -> Option<i64> {
        self.reason.as_ref().and_then(Reason::hold)
    }

    /// True where it was on its way off, by a stop that was not this run's: not off yet.
    pub(crate) fn was_stopping(&self) -> bool {
        self.outcome == Outcome::AlreadyOff
            && matches!(self.reason, Some(Reason::AlreadyOff { status: Status::Stopping, .. }))
    }

    /// True where it should be off and nobody knows that it is. A settlement may have found it off later.
    pub(crate) fn is_still_on(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Unconfirmed)
            && self.confirmed_at.is_none()
            && !self.is_counted_elsewhere()
    }

    /// True where it came off after all, by the stop of another run.
    pub(crate) fn is_counted_elsewhere(&self) -> bool {
        self.settlement.as_ref().is_some_and(|settlement| settlement.ended_by == EndedBy::CountedElsewhere)
    }

    /// The name people know it by: its configuration's, else its configuration's id.
    pub(crate) fn configuration(&self) -> &str {
        self.configuration_name.as_deref().unwrap_or(&self.configuration_id)
    }

    /// True where a rule in observe mode would have stopped it. The row itself decides, never its run's mode: that is the
    /// mode of the claim, and a rule that is set to observe between a crash and the restart leaves what it had not asked for.
    pub fn would_stop(&self) -> bool {
        self.outcome == Outcome::Left && self.reason == Some(Reason::Observed)
    }

    /// What would have been avoided, had an observing rule stopped it at once. Never part of any real total.
    pub(crate) fn would_avoid(&self, run: &Run) -> Avoided {
        if !self.would_stop() {
            return Avoided::nothing();
        }
        self.count_from(run, run.started_at)
    }

    /// What its hours from `from` to the end of the run's window come to, were it off in them.
    pub fn count_from(&self, run: &Run, from: DateTime<Utc>) -> Avoided {
        Avoided::count(&self.rate, run.off_window, from, run.off_window.to, Basis::Projected)
    }
}

/// The second look at an avoided cost, after its window has ended. The projected figure is kept beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// When the tenant was looked at again.
    pub at: DateTime<Utc>,
    pub ended_by: EndedBy,
    pub avoided: Avoided,
    /// What ran again inside the off window.
    pub leak: Option<Leak>,
}

/// What ended the counting of an avoided cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedBy {
    /// The off window's end, as planned.
    WindowEnd,
    /// Another deployment from the same configuration in the same group.
    Replacement(DeploymentId),
    /// Somebody deleted the deployment.
    Deletion,
    /// The platform would have ended it at `createdAt + ttl`.
    Ttl,
    /// It was never seen STOPPED: nothing is counted.
    NeverConfirmed,
    /// It came off after all, and a later run that asked again counts it: nothing is counted here.
    CountedElsewhere,
}

impl EndedBy {
    /// The word in ledger, JSON and reports.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::WindowEnd => "window-end",
            Self::Replacement(_) => "replacement",
            Self::Deletion => "deletion",
            Self::Ttl => "ttl",
            Self::NeverConfirmed => "never-confirmed",
            Self::CountedElsewhere => "counted-elsewhere",
        }
    }
}

/// A replacement that ran inside the off window: from its creation to the window's end, at the replaced one's rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    pub id: DeploymentId,
    /// What it consumed and cost in the rest of the window.
    pub cost: Avoided,
}

impl Run {
    /// Its reasons in one line, as JSON and logs have them.
    pub fn sentence(&self) -> String {
        self.why(&rfc3339)
    }

    /// Its reasons in one line; empty where there are none.
    pub fn why(&self, instant: SayInstant<'_>) -> String {
        say_all(&self.reasons, instant)
    }

    /// How many deployments it left without a row of their own.
    pub(crate) fn without_row(&self) -> usize {
        self.left_out.values().sum()
    }

    /// True where it met no deployment at all.
    pub(crate) fn met_nothing(&self) -> bool {
        self.deployments.is_empty() && self.left_out.is_empty()
    }

    /// True where a person has to look: what should be off may be on.
    pub(crate) fn needs_action(&self) -> bool {
        self.result.needs_a_person()
    }
}

impl RunResult {
    /// True where a person has to look: what should be off may be on.
    pub(crate) fn needs_a_person(self) -> bool {
        !matches!(self, Self::Done | Self::Skipped)
    }
}

/// The result that follows from what became of each deployment, where the run itself went well.
pub(crate) fn result_of<'a>(
    rows: impl IntoIterator<Item = &'a DeploymentResult>,
    groups_failed: usize,
    groups: usize,
) -> RunResult {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for row in rows {
        match row.outcome {
            Outcome::Failed | Outcome::Unconfirmed => bad += 1,
            Outcome::Stopped | Outcome::AlreadyOff | Outcome::Gone => good += 1,
            Outcome::Left => {}
        }
    }
    match (bad, groups_failed) {
        (0, 0) => RunResult::Done,
        (_, failed) if failed > 0 && failed == groups => RunResult::Failed,
        (bad, 0) if bad > 0 && good == 0 => RunResult::Failed,
        _ => RunResult::Partial,
    }
}
