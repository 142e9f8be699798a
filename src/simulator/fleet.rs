//! A tenant and its deployments, as they are when a simulation starts. Read from a file ([`Fleet::parse`]), made from
//! a real tenant's list ([`Fleet::from_deployments`]) or written in Rust, one sentence per deployment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::Decimal;

use crate::domain::deployment::{Deployment, Group};
use crate::simulator::spec::{Component, DetailsSpelling, Moment, Redeployed, Spec};

/// Lives so long, by default, as SAP's tokens do.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60 - 1);

/// A tenant and its deployments.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub tenant: TenantSpec,
    pub(crate) groups: Vec<FleetGroup>,
    pub deployments: Vec<Spec>,
    /// The deployments to which the sentences that follow apply.
    pub(super) last: Range<usize>,
}

/// What a tenant can do and has.
#[derive(Debug, Clone)]
pub struct TenantSpec {
    /// Whether many deployments can be changed by one request.
    pub(crate) bulk: Bulk,
    /// The status with which a bulk request is refused.
    pub(crate) bulk_refusal: u16,
    /// Whether there is a `/lm/meta`.
    pub(crate) meta: bool,
    /// How long a token is good.
    pub(crate) token_lifetime: Duration,
    /// How long each answer takes.
    pub(crate) latency: Duration,
    pub instance_types: BTreeMap<String, InstanceType>,
    /// People delete what has been off for so long; without it, what is off stays.
    pub tidied_after: Option<Duration>,
    pub reserved_nodes: BTreeMap<String, u32>,
}

/// Whether a tenant takes bulk requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// It says so and does.
    Yes,
    /// It says no and does not.
    No,
    /// It says yes and does not.
    Refuses,
}

/// A machine that a tenant offers.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    /// Such as `16Gi`.
    pub memory: String,
    pub cpu: u32,
    pub gpu: u32,
    pub billable_units_per_hour: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FleetGroup {
    pub(crate) id: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// False: every request for it is answered with 403.
    pub(crate) accessible: bool,
    /// PROVISIONED, PROVISIONING or ERROR.
    pub(crate) status: String,
}

impl FleetGroup {
    /// A group without labels.
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), labels: BTreeMap::new(), accessible: true, status: "PROVISIONED".to_owned() }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        let tenant = TenantSpec {
            bulk: Bulk::Yes,
            bulk_refusal: 400,
            meta: true,
            token_lifetime: TOKEN_LIFETIME,
            latency: Duration::ZERO,
            instance_types: BTreeMap::new(),
            tidied_after: None,
            reserved_nodes: BTreeMap::new(),
        };
        Self { tenant, groups: vec![FleetGroup::new("default")], deployments: Vec::new(), last: 0..0 }
    }
}

/// Where a fleet comes from.
impl Fleet {
    /// A tenant with bulk requests, the group `default` and no deployment.
    pub fn new() -> Self {
        Self::default()
    }

    /// People deploy the configuration of `id` again, after it was stopped, at the first instant of any `when`.
    pub(crate) fn redeploy(&mut self, group: &str, id: &str, when: &Redeployed) {
        let named = |spec: &&mut Spec| spec.group == group && spec.id == id;
        self.deployments.iter_mut().filter(named).for_each(|spec| spec.redeployed.push(when.clone()));
    }

    /// The deployments of a real tenant, as listed at one moment.
    pub fn from_deployments(groups: Vec<Group>, deployments: Vec<Deployment>) -> Self {
        let mut fleet = Self::new();
        for group in groups {
            fleet = fleet.group(group.id.as_str());
            if let Some(known) = fleet.groups.iter_mut().find(|known| known.id == group.id.as_str()) {
                known.labels = group.labels;
            }
        }
        for deployment in deployments {
            fleet = fleet.group(deployment.resource_group.as_str()).deployment(spec_of(deployment));
        }
        fleet
    }
}

/// SAP's answers use both spellings, and so do a fleet's deployments in turn.
pub(super) fn usual_spelling(index: usize) -> DetailsSpelling {
    if index.is_multiple_of(2) { DetailsSpelling::Camel } else { DetailsSpelling::Snake }
}

/// An id of a configuration called `name`.
pub(super) fn configuration_id(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("cfg-{}", name.chars().map(safe).take(60).collect::<String>())
}

fn spec_of(deployment: Deployment) -> Spec {
    let component = |(index, nodes): (usize, &crate::domain::deployment::Nodes)| Component {
        name: if index == 0 { "predictor".to_owned() } else { format!("component-{}", index + 1) },
        ..Component::predictor(&nodes.plan, nodes.count)
    };
    let components = deployment.nodes.iter().enumerate().map(component).collect();
    Spec {
        components,
        configuration_id: deployment.configuration_id,
        configuration_name: deployment.configuration_name,
        scenario_id: deployment.scenario_id,
        executable_id: deployment.executable_id,
        status: deployment.status,
        created: deployment.created_at.map_or(Moment::Before(TimeDelta::days(3)), Moment::At),
        ttl: deployment.ttl.map(|ttl| format!("{}m", ttl.num_minutes())),
        ..Spec::running(deployment.resource_group.as_str(), deployment.id.as_str(), "")
    }
}
