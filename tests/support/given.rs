//! What tests begin with: an evening, a deployment, a rule, a configuration. Each then changes what it is about.

#![allow(dead_code, reason = "each test takes its own part")]

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::deployment::{Deployment, Nodes, Status};
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::rule::{MailWhen, Mode, Rule};
use offhours::domain::schedule::Schedule;
use offhours::domain::selection::{Exclusion, Selection};

/// The beginning of `offhours.toml`: one tenant.
pub const TENANT: &str = r#"
timezone = "Europe/Berlin"
schedules = "schedules"
state_dir = "state"

[connection.dev]
service_key = "dev.json"
"#;

/// What a node hour consumes, and what that costs.
pub const PRICES: &str = r#"
[prices]
currency = "EUR"
capacity_unit = "0.95"
source = "order form 4711"
valid_from = 2026-01-01
[prices.capacity_units_per_node_hour]
"infer.s" = "0.90"
"infer.m" = "1.552"
"#;

/// Mails to two readers, as files.
const MAIL: &str = r#"
[mail]
directory = "mails"
from = "offhours <offhours@example.com>"
to = ["finops@example.com", "ops@example.com"]
"#;

/// A whole `offhours.toml`.
pub fn main_file() -> String {
    [TENANT, PRICES, MAIL].concat()
}

/// Monday, 19:00 in Berlin.
pub fn evening() -> DateTime<Utc> {
    "2026-11-23T18:00:00Z".parse().unwrap()
}

/// One that has been running for days.
pub fn deployment() -> Deployment {
    Deployment {
        id: DeploymentId::new("d001").unwrap(),
        resource_group: ResourceGroup::new("dev-a").unwrap(),
        configuration_id: "c-1".to_owned(),
        configuration_name: Some("forecast".to_owned()),
        scenario_id: Some("sales".to_owned()),
        executable_id: Some("serve".to_owned()),
        status: Status::Running,
        target_status: Some("RUNNING".to_owned()),
        created_at: Some(evening() - TimeDelta::days(3)),
        modified_at: None,
        completed_at: None,
        ttl: None,
        nodes: vec![Nodes { plan: "infer.s".to_owned(), count: 2 }],
    }
}

/// A rule as its defaults make it, over everything.
pub fn rule(name: &str, schedule: Schedule) -> Rule {
    Rule {
        name: RuleName::new(name).unwrap(),
        description: None,
        connection: ConnectionName::new("dev").unwrap(),
        schedule,
        mode: Mode::Enforce,
        max_stops: 50,
        min_age: TimeDelta::minutes(30),
        verify_timeout: TimeDelta::minutes(15),
        notice: None,
        mail: MailWhen::Always,
        to: Vec::new(),
        select: Selection::default(),
        exclude: Exclusion::default(),
    }
}
