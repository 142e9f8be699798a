//! The tables of a fleet file as TOML gives them, with the places of what can only be judged together.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error as _};
use toml::Spanned;

use crate::domain::duration::read_duration;
use crate::domain::instant::read_rfc3339;
use crate::simulator::fleet::Bulk;
use crate::simulator::spec::{Behaviour, DetailsSpelling, Moment};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFleet {
    #[serde(default)]
    pub(super) tenant: RawTenant,
    #[serde(default)]
    pub(super) group: Vec<RawGroup>,
    #[serde(default)]
    pub(super) deployment: Vec<RawDeployment>,
}

#[derive(serde::Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTenant {
    pub(super) bulk: Option<RawBulk>,
    pub(super) bulk_refusal: Option<Spanned<u16>>,
    pub(super) meta: Option<bool>,
    pub(super) token_lifetime: Option<RawSpan>,
    pub(super) latency: Option<RawSpan>,
    pub(super) timezone: Option<Spanned<String>>,
    pub(super) instance_types: BTreeMap<String, RawInstanceType>,
    pub(super) tidied_after: Option<RawSpan>,
    pub(super) reserved_nodes: BTreeMap<String, u32>,
}

pub(super) struct RawBulk(pub(super) Bulk);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInstanceType {
    pub(super) billable_units_per_hour: Decimal,
    pub(super) memory: Option<String>,
    pub(super) cpu: Option<u32>,
    pub(super) gpu: Option<u32>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) accessible: Option<bool>,
    pub(super) status: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeployment {
    pub(super) group: Option<Spanned<String>>,
    pub(super) id: Spanned<String>,
    pub(super) count: Option<Spanned<usize>>,
    pub(super) configuration: Option<String>,
    pub(super) configuration_id: Option<String>,
    pub(super) scenario: Option<String>,
    pub(super) executable: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) replicas: Option<RawReplicas>,
    #[serde(default)]
    pub(super) components: BTreeMap<String, RawComponent>,
    pub(super) model: Option<String>,
    pub(super) model_version: Option<String>,
    pub(super) status: Option<String>,
    pub(super) created: Option<Created>,
    pub(super) ttl: Option<Spanned<String>>,
    pub(super) behaviour: Option<Behaviour>,
    pub(super) stop_after: Option<RawSpan>,
    pub(super) start_after: Option<RawSpan>,
    pub(super) appears_at: Option<Later>,
    pub(super) deleted_at: Option<Later>,
    pub(super) redeployed: Option<Spanned<String>>,
    pub(super) details: Option<DetailsSpelling>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    pub(super) plan: String,
    pub(super) replicas: Option<RawReplicas>,
}

#[derive(serde::Deserialize, Clone, Copy)]
#[serde(untagged, expecting = "expected a number of replicas, or `{ min = 0, max = 2, running = 1 }`")]
pub(super) enum RawReplicas {
    Fixed(u32),
    Scaled { min: u32, max: u32, running: u32 },
}

pub(super) struct RawSpan(pub(super) Duration);
pub(super) struct Created(pub(super) Moment);
pub(super) struct Later(pub(super) Moment);

impl<'de> Deserialize<'de> for RawBulk {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "expected true, false or \"refuses\"")]
        enum Either {
            Plain(bool),
            Word(String),
        }
        match Either::deserialize(from)? {
            Either::Plain(true) => Ok(Self(Bulk::Yes)),
            Either::Plain(false) => Ok(Self(Bulk::No)),
            Either::Word(word) if word == "refuses" => Ok(Self(Bulk::Refuses)),
            Either::Word(word) => Err(D::Error::custom(format!("`{word}` is not true, false or \"refuses\""))),
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let duration = read_duration(text).and_then(|duration| duration.to_std().ok());
    duration.ok_or_else(|| format!("`{text}` is not a valid duration such as `40s` or `3d`"))
}

impl<'de> Deserialize<'de> for RawSpan {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        span(&String::deserialize(from)?).map(RawSpan).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Created {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let moment = match read_rfc3339(&text) {
            Some(at) => Moment::At(at),
            None => Moment::Before(delta(span(&text).map_err(D::Error::custom)?)),
        };
        Ok(Self(moment))
    }
}

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let moment = match read_rfc3339(&text) {
            Some(at) => Moment::At(at),
            None => Moment::After(delta(span(&text).map_err(D::Error::custom)?)),
        };
        Ok(Self(moment))
    }
}

/// As a signed length of time; what is too long is as long as can be.
pub(super) fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}
