//! A deployment as AI Core describes it, reduced to what a decision, a watch or a figure needs.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::plain_text::shorten;

/// Scenarios whose deployments are billed by tokens: SAP waives compute, storage and baseline for them.
const TOKEN_BILLED_SCENARIOS: [&str; 2] = ["foundation-models", "orchestration"];

/// One deployment in one resource group, as listed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id; a replacement has another.
    pub id: DeploymentId,
    /// The group it was listed in.
    pub resource_group: ResourceGroup,
    /// The configuration it was made from.
    pub configuration_id: String,
    /// The configuration's name, as people know it.
    pub configuration_name: Option<String>,
    pub scenario_id: Option<String>,
    /// The executable (AI Core may leave it out).
    pub executable_id: Option<String>,
    /// What AI Core says it is now.
    pub status: Status,
    /// What it was last asked to become, as AI Core spells it.
    pub target_status: Option<String>,
    /// When it was created; none where AI Core's time could not be read.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// When it became COMPLETED, DEAD or STOPPED.
    pub completed_at: Option<DateTime<Utc>>,
    /// The platform stops and deletes it this long after `created_at`.
    pub ttl: Option<TimeDelta>,
    /// Running replicas per component.
    pub nodes: Vec<Nodes>,
}

impl Deployment {
    /// True where SAP bills tokens, so that a stop avoids no compute cost.
    pub(crate) fn is_token_billed(&self) -> bool {
        self.scenario_id.as_deref().is_some_and(|scenario| TOKEN_BILLED_SCENARIOS.contains(&scenario))
    }

    /// The name people know it by: its configuration's, else its configuration's id.
    pub(crate) fn configuration(&self) -> &str {
        self.configuration_name.as_deref().unwrap_or(&self.configuration_id)
    }

    /// True after somebody asked for STOPPED or DELETED, although it still runs.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        matches!(self.target_status.as_deref(), Some("STOPPED" | "DELETED"))
    }

    /// The instant at which the platform itself ends it.
    pub(crate) fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.created_at?.checked_add_signed(self.ttl?)
    }
}

/// One component's machines: `count` running replicas on `plan` (a resource plan or an instance type).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nodes {
    /// Resource plan or instance type.
    pub plan: String,
    pub count: u32,
}

/// A deployment's status, spelt as the API spells it. New values appear over time; they are kept, and never stopped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    Unknown,
    /// Waiting for its machines.
    Pending,
    Running,
    /// On its way to STOPPED.
    Stopping,
    /// Off, for ever.
    Stopped,
    Dead,
    /// In the enum of the API; not seen for deployments.
    Completed,
    /// A word this version does not know.
    Other(String),
}

impl Status {
    /// Only RUNNING and PENDING may be asked to stop.
    pub fn can_be_stopped(&self) -> bool {
        matches!(self, Self::Running | Self::Pending)
    }

    /// STOPPING and STOPPED: off already, or on its way.
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Stopping | Self::Stopped)
    }

    /// The API's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Dead => "DEAD",
            Self::Completed => "COMPLETED",
            Self::Other(word) => word,
        }
    }
}

/// Characters that are kept of a status that we do not know.
const LONGEST_STATUS: usize = 40;

impl From<&str> for Status {
    fn from(word: &str) -> Self {
        match word {
            "UNKNOWN" => Self::Unknown,
            "PENDING" => Self::Pending,
            "RUNNING" => Self::Running,
            "STOPPING" => Self::Stopping,
            "STOPPED" => Self::Stopped,
            "DEAD" => Self::Dead,
            "COMPLETED" => Self::Completed,
            other => Self::Other(shorten(other, LONGEST_STATUS)),
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A `ttl` as the API writes it: `<n>m`, `<n>h` or `<n>d`, in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ttl(pub TimeDelta);

impl FromStr for Ttl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let unit = text.chars().next_back().ok_or(())?;
        let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| ())?;
        let delta = match unit.to_ascii_lowercase() {
            'm' => TimeDelta::try_minutes(number),
            'h' => TimeDelta::try_hours(number),
            'd' => TimeDelta::try_days(number),
            _ => None,
        };
        delta.filter(|d| *d > TimeDelta::zero()).map(Ttl).ok_or(())
    }
}

/// A resource group and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: ResourceGroup,
    /// Its labels, `ext.ai.sap.com/…` to value. Empty too where the tenant does not let us read them.
    pub labels: std::collections::BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{Status, Ttl};

    #[test]
    fn only_running_and_pending_can_be_stopped() {
        for word in ["UNKNOWN", "STOPPING", "STOPPED", "DEAD", "COMPLETED", "running", "HIBERNATING"] {
            assert!(!Status::from(word).can_be_stopped(), "{word}");
        }
        assert!(Status::from("RUNNING").can_be_stopped() && Status::from("PENDING").can_be_stopped());
    }

    #[test]
    fn ttl_is_read_as_the_api_writes_it() {
        assert_eq!("24H".parse(), Ok(Ttl(TimeDelta::hours(24))));
        assert_eq!("7d".parse(), Ok(Ttl(TimeDelta::days(7))));
        for text in ["", "h", "0h", "-1h", "1w", "99999999999999999d", "1é"] {
            assert_eq!(text.parse::<Ttl>(), Err(()), "{text:?}");
        }
    }
}
