//! "Not tonight": an exemption with an owner, a reason and an end.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};

/// The label by which a resource group opts out for good: `off`.
pub const OPT_OUT_LABEL: &str = "ext.ai.sap.com/offhours";
/// The label by which a resource group opts out until an instant (RFC 3339).
pub const HOLD_UNTIL_LABEL: &str = "ext.ai.sap.com/offhours-hold-until";

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One deployment.
    Deployment(DeploymentId),
    /// All deployments of one resource group.
    ResourceGroup(ResourceGroup),
    /// All deployments made from configurations of this name (or id).
    Configuration(String),
    /// Everything one rule would stop.
    Rule(RuleName),
}

impl Target {
    /// The word that stands for the kind, in the ledger, the CLI and JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deployment(_) => "deployment",
            Self::ResourceGroup(_) => "resource-group",
            Self::Configuration(_) => "configuration",
            Self::Rule(_) => "rule",
        }
    }

    /// The name that is held.
    pub fn name(&self) -> &str {
        match self {
            Self::Deployment(id) => id.as_str(),
            Self::ResourceGroup(group) => group.as_str(),
            Self::Configuration(name) => name,
            Self::Rule(rule) => rule.as_str(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name())
    }
}

/// One hold. It ends by itself at `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number in the ledger.
    pub id: i64,
    /// What it covers.
    pub target: Target,
    /// From when it held.
    pub created_at: DateTime<Utc>,
    /// When it ends; a hold without an end cannot be made.
    pub until: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub by: String,
}

impl Hold {
    /// True where this hold keeps `rule` from stopping `deployment` at `now`.
    pub fn covers(&self, rule: &RuleName, deployment: &Deployment, now: DateTime<Utc>) -> bool {
        now < self.until
            && match &self.target {
                Target::Deployment(id) => *id == deployment.id,
                Target::ResourceGroup(group) => *group == deployment.resource_group,
                Target::Configuration(name) => {
                    name == deployment.configuration() || *name == deployment.configuration_id
                }
                Target::Rule(held) => held == rule,
            }
    }
}

/// What a resource group's own labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptOut {
    /// `ext.ai.sap.com/offhours = "off"`.
    ForGood,
    /// Held until this instant.
    Until(DateTime<Utc>),
    /// The instant could not be read; the doubt counts as a hold.
    Unreadable(String),
}

/// Reads the two labels of `group` at `now`.
pub fn opt_out(group: &Group, now: DateTime<Utc>) -> Option<OptOut> {
    if group.labels.get(OPT_OUT_LABEL).is_some_and(|value| value.trim().eq_ignore_ascii_case("off")) {
        return Some(OptOut::ForGood);
    }
    let text = group.labels.get(HOLD_UNTIL_LABEL)?;
    match DateTime::parse_from_rfc3339(text.trim()) {
        Ok(until) => (now < until).then(|| OptOut::Until(until.to_utc())),
        Err(_) => Some(OptOut::Unreadable(text.chars().take(40).collect())),
    }
}
