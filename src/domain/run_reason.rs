//! Why a run did not end `done`, and what a try of it ran into: values, like the reasons of its deployments.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::failure::Failure;
use crate::domain::id::ResourceGroup;
use crate::domain::instant::{SayInstant, rfc3339};
use crate::domain::reason::{Blocked, Reason};

/// One of them; a run can have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
pub enum RunReason {
    /// It stopped nothing, or nothing more.
    Blocked(Blocked),
    /// Nothing could be looked at or asked for.
    Failure(Failure),
    /// Resource groups that could not be listed.
    NotListed { count: usize, groups: usize, group: ResourceGroup, failure: Failure },
    /// So many deployments were left because the off window was over.
    TooLate(usize),
    /// Deployments that should be off.
    NotOff { failed: usize, unconfirmed: usize },
    /// Something in a resource group that a later try may do.
    Unfinished {
        reason: Box<Reason>,
        group: ResourceGroup,
        /// In so many more.
        others: usize,
    },
    /// So many deployments that were asked to stop could not be looked at again.
    NotSeen(usize),
    /// It waits for its next try.
    TryingAgain(Box<RunReason>),
    /// It came due too late.
    Missed {
        noticed: DateTime<Utc>,
        /// Together with so many earlier firings.
        earlier: usize,
    },
    /// The rule's previous run was still going.
    Skipped,
    /// It was cut short.
    Interrupted(Interruption),
    /// What a person should know about what was looked at.
    Note(String),
    /// As an older version wrote it.
    Sentence(String),
}

/// What cut a run short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// offhours was stopped.
    Stopped,
    /// The rule was taken out of the configuration.
    RuleIsGone,
    /// This connection was taken out of the configuration.
    ConnectionIsGone(String),
    /// The ledger was restored from a backup that showed the run under way.
    Restored,
}

impl RunReason {
    /// The code in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            Self::Failure(failure) | Self::NotListed { failure, .. } => failure.code.as_str(),
            Self::TooLate(_) => "window_ended",
            Self::NotOff { .. } => "not_off",
            Self::Unfinished { reason, .. } => reason.kind().code(),
            Self::NotSeen(_) => "unreachable",
            Self::TryingAgain(_) => "trying_again",
            Self::Missed { .. } => "missed",
            Self::Skipped => "skipped",
            Self::Interrupted(_) => "interrupted",
            Self::Note(_) => "note",
            Self::Sentence(_) => "sentence",
        }
    }

    /// The failure that it is about, where there is one.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failure(failure) | Self::NotListed { failure, .. } => Some(failure),
            _ => None,
        }
    }

    pub(crate) fn say(&self, instant: SayInstant<'_>) -> String {
        match self {
            Self::Blocked(blocked) => format!("blocked: {blocked}"),
            Self::Failure(failure) => failure.to_string(),
            Self::NotListed { count, groups, group, failure: Failure { code, message } } => {
                format!("{code}: {count} of {groups} resource groups could not be listed; `{group}`: {message}")
            }
            Self::TooLate(count) => {
                format!("{count} deployments were left: the off window was over before they could be asked to stop")
            }
            Self::NotOff { failed, unconfirmed: 0 } => format!("{failed} failed"),
            Self::NotOff { failed: 0, unconfirmed } => format!("{unconfirmed} unconfirmed"),
            Self::NotOff { failed, unconfirmed } => format!("{failed} failed, {unconfirmed} unconfirmed"),
            Self::Unfinished { reason, group, others } => {
                let more = if *others == 0 { String::new() } else { format!(" and {others} more") };
                format!("{} (resource group `{group}`{more})", reason.say(instant))
            }
            Self::NotSeen(count) => {
                format!("unreachable: {count} deployments that were asked to stop could not be looked at again")
            }
            Self::TryingAgain(reason) => format!("trying again: {}", reason.say(instant)),
            Self::Missed { noticed, earlier } => {
                let more = match earlier {
                    0 => String::new(),
                    earlier => format!(", together with {earlier} earlier firings"),
                };
                format!("missed: noticed at {}, when its time had passed{more}", instant(*noticed))
            }
            Self::Skipped => "skipped: the rule's previous run is still going".to_owned(),
            Self::Interrupted(Interruption::Stopped) => {
                "interrupted: offhours was stopped; its next start looks at what was asked for, and goes on with the rest"
                    .to_owned()
            }
            Self::Interrupted(Interruption::RuleIsGone) => {
                "interrupted: the rule is no longer configured, so nothing more was asked for".to_owned()
            }
            Self::Interrupted(Interruption::ConnectionIsGone(name)) => {
                format!("interrupted: the connection `{name}` is no longer configured")
            }
            Self::Interrupted(Interruption::Restored) => {
                "interrupted: the ledger was restored from a backup that does not know how this run ended".to_owned()
            }
            Self::Note(sentence) | Self::Sentence(sentence) => sentence.clone(),
        }
    }
}

/// With instants as the ledger, JSON and logs have them.
impl fmt::Display for RunReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(&rfc3339))
    }
}

/// All of them in one line; empty where there are none.
pub(crate) fn say_all(reasons: &[RunReason], instant: SayInstant<'_>) -> String {
    reasons.iter().map(|reason| reason.say(instant)).collect::<Vec<_>>().join("; ")
}
