//! A firing carried out: what was decided, what happened to each deployment, and the sums.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;

use crate::domain::avoided::{Avoided, Basis, Money};
use crate::domain::deployment::Nodes;
use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use crate::domain::money::HourlyRate;
use crate::domain::rule::Mode;
use crate::domain::schedule::OffWindow;

/// A rule and one scheduled instant: the identity of a run, in the ledger only once for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Firing {
    /// The rule.
    pub rule: RuleName,
    /// The scheduled instant, in whole seconds.
    pub at: DateTime<Utc>,
}

impl fmt::Display for Firing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.rule, self.at.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// Declares an enum whose variants have one spelling in ledger, JSON, mail and terminal.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in ledger, JSON, mail and terminal.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
            }
        }
    };
}

/// A word that is not one of the vocabulary's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of the known words")]
pub struct UnknownWord(String);

words! {
    /// What set a run off.
    Trigger {
        /// Its time had come.
        Schedule = "schedule",
        /// Its time had come, and was noticed late.
        CatchUp = "catch-up",
        /// A person.
        Manual = "manual",
    }
}

words! {
    /// How a run ended.
    RunResult {
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
    Outcome {
        /// Asked to stop, and confirmed STOPPED by AI Core.
        Stopped = "stopped",
        /// Off before it was asked.
        AlreadyOff = "already-off",
        /// Deleted by somebody else.
        Gone = "gone",
        /// Left as it was.
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
    /// Its identity.
    pub firing: Firing,
    /// The tenant.
    pub connection: ConnectionName,
    /// Whether it was allowed to stop anything.
    pub mode: Mode,
    /// What set it off.
    pub trigger: Trigger,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When its result was known.
    pub finished_at: DateTime<Utc>,
    /// How it ended.
    pub result: RunResult,
    /// Why it did not end `done`; empty where it did.
    pub reason: String,
    /// The time in which its deployments should not run.
    pub off_window: OffWindow,
    /// True where a restart finished what another process began.
    pub resumed: bool,
    /// What became of each deployment; of those that were left, a sample.
    pub deployments: Vec<Row>,
    /// How many deployments were left without a row of their own, by the keyword of their reason: in a large tenant they
    /// are most of it, and one line says as much as a hundred thousand.
    pub left_out: LeftOut,
    /// Tries that did not come to an end, oldest first: AI Core or the ledger was away, and the run went on later.
    pub tries: Vec<Try>,
}

/// A try of a run that could not list or ask everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// When it was given up.
    pub at: DateTime<Utc>,
    /// What was in the way; a keyword and a sentence.
    pub reason: String,
}

/// Counts of left deployments by the keyword of their reason.
pub type LeftOut = BTreeMap<String, usize>;

/// One deployment in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its resource group.
    pub resource_group: ResourceGroup,
    /// Its id.
    pub id: DeploymentId,
    /// The configuration it was made from.
    pub configuration_id: String,
    /// That configuration's name.
    pub configuration_name: Option<String>,
    /// Its scenario.
    pub scenario_id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why; a keyword and a sentence.
    pub reason: String,
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

/// The reason of a deployment that a rule in observe mode would have stopped.
pub const OBSERVED: &str = "observe: would have been stopped";

impl Row {
    /// The figure that counts: the settled one where there is one.
    pub fn avoided(&self) -> &Avoided {
        self.settlement.as_ref().map_or(&self.projected, |settlement| &settlement.avoided)
    }

    /// The reason, without the outcome's word said again.
    pub fn why(&self) -> &str {
        self.reason.strip_prefix(self.outcome.as_str()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&self.reason)
    }

    /// What kind of reason it is: `held`, `not selected`. Counts of what was left go by it.
    pub fn keyword(&self) -> &str {
        keyword(&self.reason)
    }

    /// True where it was on its way off, by a stop that was not this run's: not off yet.
    pub fn was_stopping(&self) -> bool {
        self.outcome == Outcome::AlreadyOff && self.reason.starts_with("already STOPPING")
    }

    /// The name people know it by: its configuration's, else its configuration's id.
    pub fn configuration(&self) -> &str {
        self.configuration_name.as_deref().unwrap_or(&self.configuration_id)
    }

    /// True where a rule in observe mode would have stopped it. The row itself decides, never its run's mode: that is the
    /// mode of the claim, and a rule that is set to observe between a crash and the restart leaves what it had not asked for.
    pub fn would_stop(&self) -> bool {
        self.outcome == Outcome::Left && self.reason == OBSERVED
    }

    /// What would have been avoided, had an observing rule stopped it at once. Never part of any real total.
    pub fn would_avoid(&self, run: &Run) -> Avoided {
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

/// The word before a reason's sentence, by which reasons are counted.
pub fn keyword(reason: &str) -> &str {
    keyword_and_detail(reason).0
}

/// The same, and the sentence after it. The one place that takes a reason apart.
pub fn keyword_and_detail(reason: &str) -> (&str, &str) {
    reason.split_once(':').unwrap_or((reason, ""))
}

/// The second look at an avoided cost, after its window has ended. The projected figure is kept beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// When the tenant was looked at again.
    pub at: DateTime<Utc>,
    /// What ended the counting.
    pub ended_by: EndedBy,
    /// The settled figure.
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
    pub fn as_str(&self) -> &'static str {
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
    /// The replacement.
    pub id: DeploymentId,
    /// What it consumed and cost in the rest of the window.
    pub cost: Avoided,
}

/// Sums of a run's rows; money is the sum of the rounded rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    /// Confirmed stops.
    pub stopped: usize,
    /// Off before they were asked.
    pub already_off: usize,
    /// Deleted meanwhile.
    pub gone: usize,
    /// Left as they were.
    pub left: usize,
    /// Not stopped although they should.
    pub failed: usize,
    /// Not seen STOPPED in time.
    pub unconfirmed: usize,
    /// Node hours, priced or not.
    pub node_hours: Decimal,
    /// Capacity units.
    pub capacity_units: Decimal,
    /// Money, where anything has a price.
    pub cost: Option<Money>,
}

impl Totals {
    /// Sums `rows`. A run has one currency, so that the first one found is that of all.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut totals = Self::default();
        rows.into_iter().for_each(|row| totals.add(row));
        totals
    }

    /// Adds one row.
    pub fn add(&mut self, row: &Row) {
        *match row.outcome {
            Outcome::Stopped => &mut self.stopped,
            Outcome::AlreadyOff => &mut self.already_off,
            Outcome::Gone => &mut self.gone,
            Outcome::Left => &mut self.left,
            Outcome::Failed => &mut self.failed,
            Outcome::Unconfirmed => &mut self.unconfirmed,
        } += 1;
        let avoided = row.avoided();
        self.node_hours += avoided.node_hours;
        self.capacity_units += avoided.capacity_units.unwrap_or_default();
        if let Some(money) = avoided.cost {
            let so_far = self.cost.map_or(Decimal::ZERO, |cost| cost.amount);
            self.cost = Some(Money { amount: so_far + money.amount, currency: money.currency });
        }
    }
}

impl Run {
    /// The sums of its rows, and of what has none.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::of(&self.deployments);
        totals.left += self.without_row();
        totals
    }

    /// How many deployments it left without a row of their own.
    pub fn without_row(&self) -> usize {
        self.left_out.values().sum()
    }

    /// True where it met no deployment at all.
    pub fn met_nothing(&self) -> bool {
        self.deployments.is_empty() && self.left_out.is_empty()
    }

    /// True where a person has to look: what should be off may be on.
    pub fn needs_action(&self) -> bool {
        self.result.needs_a_person()
    }
}

impl RunResult {
    /// True where a person has to look: what should be off may be on.
    pub fn needs_a_person(self) -> bool {
        !matches!(self, Self::Done | Self::Skipped)
    }
}

/// The result that follows from what became of each deployment, where the run itself went well.
pub fn result_of<'a>(rows: impl IntoIterator<Item = &'a Row>, groups_failed: usize, groups: usize) -> RunResult {
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
