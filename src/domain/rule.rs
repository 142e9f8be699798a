//! A rule: what to stop, when, and with which guards.

use chrono::TimeDelta;

use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::schedule::Schedule;
use crate::domain::selection::{Exclusion, Selection};

/// `max_stops` where a rule gives none.
pub const DEFAULT_MAX_STOPS: u32 = 50;
/// `min_age` where a rule gives none.
pub const DEFAULT_MIN_AGE: TimeDelta = TimeDelta::minutes(30);
/// `verify_timeout` where a rule gives none.
pub const DEFAULT_VERIFY_TIMEOUT: TimeDelta = TimeDelta::minutes(15);

/// A rule as it is meant, with every default filled in.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique over all files.
    pub name: RuleName,
    /// For people.
    pub description: Option<String>,
    /// The tenant it acts on.
    pub connection: ConnectionName,
    /// When it fires, and until when the deployments should stay off.
    pub schedule: Schedule,
    /// Whether it may send stops.
    pub mode: Mode,
    /// A run that would stop more is blocked whole.
    pub max_stops: u32,
    /// Younger deployments are left.
    pub min_age: TimeDelta,
    /// How long a run waits for STOPPED.
    pub verify_timeout: TimeDelta,
    /// How long before a firing its recipients are told, where they want to be.
    pub notice: Option<TimeDelta>,
    /// Which runs are mailed.
    pub mail: MailWhen,
    /// Recipients in addition to `[mail].to`.
    pub to: Vec<String>,
    pub select: Selection,
    /// What it leaves all the same.
    pub exclude: Exclusion,
}

/// Whether a rule acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// It decides and reports, and never sends a stop.
    Observe,
}

impl Mode {
    /// The word in TOML, ledger and JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// Which runs of a rule are mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailWhen {
    Always,
    /// Runs that need a person, or did something else than the rule's run before.
    Changes,
    /// Runs that did not end `done`.
    Problems,
    Never,
}
