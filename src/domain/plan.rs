//! What to do with each deployment, and why. Every doubt resolves to leaving it alone.

use chrono::{DateTime, Utc};

use crate::domain::deployment::{Deployment, Group};
use crate::domain::hold::{Hold, opt_out};
use crate::domain::id::RuleName;
use crate::domain::money::HourlyRate;
use crate::domain::reason::{HeldBy, Reason};
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;

/// `stop`, or `leave` with the first reason that applies, in the order in which [`DecisionContext::decide`] asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Stop,
    Leave(Reason),
}

impl Decision {
    /// `stop` or `leave`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Leave(_) => "leave",
        }
    }

    /// Why it is left; none where it is not.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Stop => None,
            Self::Leave(reason) => Some(reason),
        }
    }
}

/// One line of a plan: a deployment that a rule looked at, and what is to be done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The deployment as it was listed.
    pub deployment: Deployment,
    /// True where the rule's `[rule.select]` matches it, whatever leaves it.
    pub is_selected: bool,
    pub decision: Decision,
    /// What an hour of it consumes and costs.
    pub rate: HourlyRate,
}

/// What a decision is made from, besides the deployment and its group.
#[derive(Debug, Clone, Copy)]
pub struct DecisionContext<'a> {
    pub rule: &'a Rule,
    /// `[protect]`.
    pub protect: &'a Exclusion,
    pub holds: &'a [Hold],
    pub scheduled: DateTime<Utc>,
    pub now: DateTime<Utc>,
}

impl DecisionContext<'_> {
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
            return Some(Reason::CannotStop(deployment.status.clone()));
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
            return Some(Reason::TooYoung { age: age.num_minutes(), min_age: rule.min_age.num_minutes() });
        }
        (deployment.is_token_billed() && !rule.select.include_token_billed).then_some(Reason::TokenBilled)
    }

    /// True where the rule's `[rule.select]` matches `deployment`, whatever leaves it.
    pub(crate) fn selects(&self, group: &Group, deployment: &Deployment) -> bool {
        self.rule.select.mismatch(group, deployment).is_none()
    }

    /// The hold that keeps `deployment` on, if there is one.
    pub(crate) fn held(&self, deployment: &Deployment) -> Option<Reason> {
        held(self.holds, &self.rule.name, deployment, self.now)
    }
}

/// The hold that keeps `deployment` on for `rule` at `now`, if there is one. Asked once more right before each stop.
pub(crate) fn held(holds: &[Hold], rule: &RuleName, deployment: &Deployment, now: DateTime<Utc>) -> Option<Reason> {
    // Of several the one that lasts longest says until when.
    let hold = holds.iter().filter(|hold| hold.covers(rule, deployment, now)).max_by_key(|hold| hold.until)?;
    Some(Reason::Held(HeldBy::from(hold)))
}
