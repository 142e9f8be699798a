//! "Not tonight": an exemption with an owner, a reason and an end.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};
use crate::domain::instant::{SayInstant, read_rfc3339};
use crate::domain::words::words;

/// The label by which a resource group opts out for good: `off` or `keep`.
pub const OPT_OUT_LABEL: &str = "ext.ai.sap.com/offhours";
/// The label by which a resource group opts out until an instant (RFC 3339).
pub const HOLD_UNTIL_LABEL: &str = "ext.ai.sap.com/offhours-hold-until";

/// What is kept on for longer is asked for in so many words.
pub(crate) const LONG: TimeDelta = TimeDelta::days(30);

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldTarget {
    Deployment(DeploymentId),
    /// All deployments of one resource group.
    ResourceGroup(ResourceGroup),
    /// All deployments made from configurations of this name (or id).
    Configuration(String),
    /// Everything one rule would stop.
    Rule(RuleName),
}

impl HoldTarget {
    /// The word that stands for the kind, in the ledger, the CLI and JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Deployment(_) => "deployment",
            Self::ResourceGroup(_) => "resource-group",
            Self::Configuration(_) => "configuration",
            Self::Rule(_) => "rule",
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Deployment(id) => id.as_str(),
            Self::ResourceGroup(group) => group.as_str(),
            Self::Configuration(name) => name,
            Self::Rule(rule) => rule.as_str(),
        }
    }
}

impl fmt::Display for HoldTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name())
    }
}

/// One hold. It ends by itself at `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: i64,
    pub target: HoldTarget,
    /// From when it held.
    pub created_at: DateTime<Utc>,
    /// When it ends; a hold without an end cannot be made.
    pub until: DateTime<Utc>,
    pub reason: String,
    pub by: String,
    /// When somebody ended it before its time.
    pub removed_at: Option<DateTime<Utc>>,
}

impl Hold {
    /// True where this hold keeps `rule` from stopping `deployment` at `now`.
    pub(crate) fn covers(&self, rule: &RuleName, deployment: &Deployment, now: DateTime<Utc>) -> bool {
        now < self.until
            && match &self.target {
                HoldTarget::Deployment(id) => *id == deployment.id,
                HoldTarget::ResourceGroup(group) => *group == deployment.resource_group,
                HoldTarget::Configuration(name) => {
                    name == deployment.configuration() || *name == deployment.configuration_id
                }
                HoldTarget::Rule(held) => held == rule,
            }
    }
}

words! {
    /// Values of [`OPT_OUT_LABEL`] that leave the group.
    pub OffWord {
        /// The opposite of `on`.
        Off = "off",
        /// Because people think of what stays.
        Keep = "keep",
    }
}

/// What a resource group's own labels say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptOut {
    /// `ext.ai.sap.com/offhours` is one of these words.
    ForGood(OffWord),
    /// Its value is a word that is not known, shown as it is safe to show; the doubt counts as `off`.
    UnknownWord(String),
    Until(DateTime<Utc>),
    /// The instant could not be read; the doubt counts as a hold.
    Unreadable(String),
    /// A key that looks like one of the two and is neither, whatever its value; the doubt counts as `off`.
    UnknownKey(String),
}

impl OptOut {
    pub(crate) fn say(&self, instant: SayInstant<'_>) -> String {
        match self {
            Self::ForGood(word) => format!("`offhours` = `{word}`"),
            Self::UnknownWord(text) => format!(
                "`offhours` = `{text}` is not understood, which counts as `off` (write `off` or `keep`, or `on` for \
                 as usual)"
            ),
            Self::Until(until) => format!("until {}", instant(*until)),
            Self::Unreadable(text) => {
                format!("`offhours-hold-until` = `{text}` is no RFC 3339 instant, which counts as a hold")
            }
            Self::UnknownKey(key) => format!(
                "`{key}` is not understood, which counts as `off` (the keys are `{OPT_OUT_LABEL}` and \
                 `{HOLD_UNTIL_LABEL}`)"
            ),
        }
    }

    /// True where a label was not understood.
    pub(crate) fn is_doubt(&self) -> bool {
        matches!(self, Self::UnknownWord(_) | Self::Unreadable(_) | Self::UnknownKey(_))
    }
}

/// Values of [`OPT_OUT_LABEL`] that mean the same as no label.
pub(crate) const AS_USUAL_WORDS: [&str; 3] = ["on", "true", "yes"];

/// Reads the two labels of `group` at `now`. Keys and words are read in any case; a value that is not understood, and a
/// key that only looks like one of the two, leave the group.
pub(crate) fn opt_out(group: &Group, now: DateTime<Utc>) -> Option<OptOut> {
    let said = values(group, OPT_OUT_LABEL).find_map(word);
    said.or_else(|| values(group, HOLD_UNTIL_LABEL).find_map(|text| until(text, now)))
        .or_else(|| group.labels.keys().find(|key| is_mistaken(key)).map(|key| OptOut::UnknownKey(shown(key))))
}

fn is_mistaken(key: &str) -> bool {
    let letters: String = key.chars().filter(char::is_ascii_alphabetic).collect();
    let looks_alike = letters.to_lowercase().contains("offhour");
    looks_alike && ![OPT_OUT_LABEL, HOLD_UNTIL_LABEL].iter().any(|known| is_key(key, known))
}

fn is_key(key: &str, known: &str) -> bool {
    key.trim().eq_ignore_ascii_case(known)
}

fn values<'a>(group: &'a Group, label: &'static str) -> impl Iterator<Item = &'a str> {
    group.labels.iter().filter(move |(key, _)| is_key(key, label)).map(|(_, value)| value.as_str())
}

fn word(text: &str) -> Option<OptOut> {
    let is = |word: &&str| text.trim().eq_ignore_ascii_case(word);
    match OffWord::ALL.iter().find(|off| is(&off.as_str())) {
        Some(off) => Some(OptOut::ForGood(*off)),
        None => (!AS_USUAL_WORDS.iter().any(is)).then(|| OptOut::UnknownWord(shown(text))),
    }
}

fn until(text: &str, now: DateTime<Utc>) -> Option<OptOut> {
    match read_rfc3339(text.trim()) {
        Some(until) => (now < until).then_some(OptOut::Until(until)),
        None => Some(OptOut::Unreadable(shown(text))),
    }
}

/// A label's value as a message may show it: short, on one line, and without what acts on a terminal.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown = String::new();
    for c in text.chars().take(MOST) {
        let is_plain = matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1;
        if is_plain { shown.push(c) } else { shown.extend(c.escape_debug()) }
    }
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
