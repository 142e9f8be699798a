//! A rule: what to stop, when, and with which guards.

use chrono::TimeDelta;

use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::schedule::Schedule;
use crate::domain::selection::{Exclusion, Selection};
use crate::domain::words::words;

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

words! {
    /// Whether a rule acts.
    pub Mode {
        Enforce = "enforce",
        /// It decides and reports, and never sends a stop.
        Observe = "observe",
    }
}

words! {
    /// Which runs of a rule are mailed.
    pub MailWhen {
        Always = "always",
        /// Runs that need a person, or did something else than the rule's run before.
        Changes = "changes",
        /// Runs that did not end `done`.
        Problems = "problems",
        Never = "never",
    }
}
