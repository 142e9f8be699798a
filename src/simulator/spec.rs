//! What a fleet says about one deployment: what it is, and how it will behave. Nothing here changes; see
//! [`live`](super::live) for what becomes of it.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::cron::Cron;
use crate::domain::deployment::Status;
use crate::domain::zone::Zone;

/// How long a deployment stays STOPPING, unless its fleet says otherwise.
pub(crate) const STOP_AFTER: TimeDelta = TimeDelta::seconds(40);
/// How long a slow one does.
pub(crate) const SLOW_STOP_AFTER: TimeDelta = TimeDelta::minutes(20);
/// How long a new deployment takes from UNKNOWN to RUNNING.
pub(crate) const START_AFTER: TimeDelta = TimeDelta::minutes(2);

/// One deployment as its fleet describes it. Texts are not checked: a test may want hostile ones.
#[derive(Debug, Clone)]
pub struct Spec {
    pub group: String,
    pub id: String,
    pub configuration_id: String,
    pub configuration_name: Option<String>,
    pub scenario_id: Option<String>,
    pub executable_id: Option<String>,
    pub components: Vec<Component>,
    /// The model it serves, where it is a generative-AI deployment.
    pub model: Option<Model>,
    /// What it is when the simulation starts.
    pub status: Status,
    pub created: Moment,
    /// Time to live, as the API writes it.
    pub ttl: Option<String>,
    /// How it takes a stop.
    pub behaviour: Behaviour,
    /// How long it stays STOPPING.
    pub stop_after: TimeDelta,
    /// How long it takes to run once it was created during the simulation.
    pub start_after: TimeDelta,
    /// It is not there before; somebody creates it then.
    pub appears_at: Option<Moment>,
    /// Somebody deletes it then.
    pub deleted_at: Option<Moment>,
    /// When people deploy the same configuration again, after this one was stopped: at the first instant of any.
    pub redeployed: Vec<Redeployed>,
    /// How its `details` are spelt.
    pub details: DetailsSpelling,
}

/// One component of a deployment, such as `predictor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    pub name: String,
    /// Resource plan or instance type.
    pub plan: String,
    pub min: u32,
    pub max: u32,
    pub running: u32,
}

/// A generative-AI model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Such as `gpt-4o`.
    pub name: String,
    /// Such as `latest`.
    pub version: String,
}

/// An instant, or one told from the start of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    At(DateTime<Utc>),
    /// So long before the start.
    Before(TimeDelta),
    /// So long after the start.
    After(TimeDelta),
}

impl Moment {
    /// The instant, for a simulation that started at `start`.
    pub(crate) fn from(self, start: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Before(age) => start - age,
            Self::After(wait) => start + wait,
        }
    }
}

/// How a deployment takes a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    #[default]
    Normal,
    /// The same, but slowly.
    Slow,
    /// Answers 412 although it runs.
    Refuses,
    /// Answers 403.
    Forbidden,
    /// Stays STOPPING for ever.
    Stuck,
    Dies,
    /// STOPPING, then not there any more.
    Vanishes,
    /// STOPPING, then RUNNING again.
    ComesBack,
}

/// The spelling of `backendDetails`; both are seen in SAP's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetailsSpelling {
    /// `backendDetails`
    Camel,
    /// `backend_details`
    Snake,
    /// Both, the same in each.
    Both,
    /// Both, but only one of them filled: `backendDetails` of `scaling`, `backend_details` of `resources`.
    HalfFilled,
    /// No `details` at all.
    Absent,
}

/// When people deploy again what was stopped.
#[derive(Debug, Clone)]
pub struct Redeployed {
    /// The instants at which they do.
    pub(crate) cron: Cron,
    pub(crate) zone: Zone,
    /// Local dates on which they do not.
    pub(crate) except: BTreeSet<NaiveDate>,
}

impl Redeployed {
    /// Again at each of these instants.
    pub fn new(cron: Cron, zone: Zone) -> Self {
        Self { cron, zone, except: BTreeSet::new() }
    }

    /// The first instant after `at`.
    pub(super) fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.next_after_except(at, &self.zone, &self.except)
    }
}

impl Spec {
    /// A deployment that has been RUNNING one replica on `plan` for three days.
    pub fn running(group: &str, id: &str, plan: &str) -> Self {
        Self {
            group: group.to_owned(),
            id: id.to_owned(),
            configuration_id: format!("configuration-of-{id}").chars().take(64).collect(),
            configuration_name: None,
            scenario_id: Some("scenario".to_owned()),
            executable_id: Some("executable".to_owned()),
            components: vec![Component::predictor(plan, 1)],
            model: None,
            status: Status::Running,
            created: Moment::Before(TimeDelta::days(3)),
            ttl: None,
            behaviour: Behaviour::Normal,
            stop_after: STOP_AFTER,
            start_after: START_AFTER,
            appears_at: None,
            deleted_at: None,
            redeployed: Vec::new(),
            details: DetailsSpelling::Camel,
        }
    }
}

impl Component {
    /// A `predictor` that keeps `replicas` on `plan`.
    pub fn predictor(plan: &str, replicas: u32) -> Self {
        Self { name: "predictor".to_owned(), plan: plan.to_owned(), min: replicas, max: replicas, running: replicas }
    }
}
