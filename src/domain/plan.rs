//! What to do with each deployment, and why. Every doubt resolves to leaving it alone.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::hold::{Hold, OptOut, opt_out};
use crate::domain::id::RuleName;
use crate::domain::money::HourlyRate;
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;

/// `stop`, or `leave` with the first reason that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Ask for STOPPED.
    Stop,
    /// Leave it as it is.
    Leave(Reason),
}

/// One line of a plan: a deployment that a rule looked at, and what is to be done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The deployment as it was listed.
    pub deployment: Deployment,
    /// What to do with it.
    pub decision: Decision,
    /// What an hour of it consumes and costs.
    pub rate: HourlyRate,
}

/// Why a deployment is left. The order of the variants is the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `[protect]` covers it.
    Protected(String),
    /// The rule's `[rule.exclude]` covers it.
    Excluded(String),
    /// Somebody said "not tonight".
    Held {
        /// Who.
        by: String,
        /// Until when.
        until: DateTime<Utc>,
        /// Why.
        why: String,
    },
    /// Its resource group's labels say no.
    OptedOut(OptOut),
    /// The rule's `[rule.select]` does not mean it.
    NotSelected(String),
    /// Only RUNNING and PENDING can be stopped.
    Status(Status),
    /// Somebody asked for it already.
    AlreadyAsked,
    /// Made after the scheduled instant: somebody wants it.
    CreatedAfter(DateTime<Utc>),
    /// AI Core's `createdAt` could not be read, so that nobody knows whether it is new.
    CreatedUnknown,
    /// Younger than `min_age`.
    TooYoung {
        /// How old it is.
        age: TimeDelta,
        /// The rule's `min_age`.
        min_age: TimeDelta,
    },
    /// Billed by tokens: a stop avoids no cost.
    TokenBilled,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected(by) => write!(f, "protected: {by}"),
            Self::Excluded(by) => write!(f, "excluded: {by}"),
            Self::Held { by, until, why } => write!(f, "held: by {by} until {}: {why}", rfc3339(*until)),
            Self::OptedOut(label) => write!(f, "opted out by label: {label}"),
            Self::NotSelected(key) => write!(f, "not selected: {key}"),
            Self::Status(status) => write!(f, "status {status}: cannot be stopped"),
            Self::AlreadyAsked => f.write_str("already asked to stop"),
            Self::CreatedAfter(at) => write!(f, "created after the instant: at {}", rfc3339(*at)),
            Self::CreatedUnknown => f.write_str("created at an unknown time: it may be new"),
            Self::TooYoung { age, min_age } => {
                write!(f, "younger than min_age: {} of {} minutes", age.num_minutes(), min_age.num_minutes())
            }
            Self::TokenBilled => f.write_str("token-billed: a stop avoids no compute cost"),
        }
    }
}

/// What a decision is made from, besides the deployment and its group.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The rule that asks.
    pub rule: &'a Rule,
    /// `[protect]`.
    pub protect: &'a Exclusion,
    /// Holds in force.
    pub holds: &'a [Hold],
    /// The firing's scheduled instant.
    pub scheduled: DateTime<Utc>,
    /// The moment of deciding.
    pub now: DateTime<Utc>,
}

impl Question<'_> {
    /// Decides for one deployment. The first reason that applies wins.
    pub fn decide(&self, group: &Group, deployment: &Deployment) -> Decision {
        match self.reason_to_leave(group, deployment) {
            Some(reason) => Decision::Leave(reason),
            None => Decision::Stop,
        }
    }

    fn reason_to_leave(&self, group: &Group, deployment: &Deployment) -> Option<Reason> {
        let rule = self.rule;
        if let Some(by) = self.protect.hit(group, deployment) {
            return Some(Reason::Protected(by));
        }
        if let Some(by) = rule.exclude.hit(group, deployment) {
            return Some(Reason::Excluded(by));
        }
        if let Some(reason) = self.held(deployment) {
            return Some(reason);
        }
        if let Some(label) = opt_out(group, self.now) {
            return Some(Reason::OptedOut(label));
        }
        if let Some(key) = rule.select.mismatch(group, deployment) {
            return Some(Reason::NotSelected(key));
        }
        if !deployment.status.can_be_stopped() {
            return Some(Reason::Status(deployment.status.clone()));
        }
        if deployment.is_asked_to_stop() {
            return Some(Reason::AlreadyAsked);
        }
        let Some(created_at) = deployment.created_at else { return Some(Reason::CreatedUnknown) };
        if created_at > self.scheduled {
            return Some(Reason::CreatedAfter(created_at));
        }
        let age = self.now - created_at;
        if age < rule.min_age {
            return Some(Reason::TooYoung { age, min_age: rule.min_age });
        }
        (deployment.is_token_billed() && !rule.select.include_token_billed).then_some(Reason::TokenBilled)
    }

    /// The hold that keeps `deployment` on, if there is one.
    pub fn held(&self, deployment: &Deployment) -> Option<Reason> {
        held(self.holds, &self.rule.name, deployment, self.now)
    }
}

/// The hold that keeps `deployment` on for `rule` at `now`, if there is one. Asked once more right before each stop.
pub fn held(holds: &[Hold], rule: &RuleName, deployment: &Deployment, now: DateTime<Utc>) -> Option<Reason> {
    // Of several the one that lasts longest says until when.
    let hold = holds.iter().filter(|hold| hold.covers(rule, deployment, now)).max_by_key(|hold| hold.until)?;
    Some(Reason::Held { by: hold.by.clone(), until: hold.until, why: hold.reason.clone() })
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
