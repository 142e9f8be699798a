//! What earlier runs say about the deployments of a run: who asked for a stop, and what fails evening after evening.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};
use crate::domain::run::DeploymentResult;

/// The newest stop that offhours asked for, of one deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EarlierStop {
    /// The rule whose run asked.
    pub(crate) rule: RuleName,
    /// True while that run goes on: it still waits for STOPPED.
    pub(crate) is_watched: bool,
    /// What that run wrote down, with nodes and rate of a deployment that ran.
    pub(crate) row: DeploymentResult,
}

impl EarlierStop {
    /// When it was asked for.
    pub(crate) fn at(&self) -> Option<DateTime<Utc>> {
        self.row.requested_at
    }
}
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Precedent {
    /// Who asked for its stop, where that was not the run itself.
    pub(crate) asked: Option<EarlierStop>,
    /// In how many runs of the rule in a row it did not come off, this one included.
    pub(crate) times: u32,
}

/// What earlier runs say about a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Precedents {
    /// How many runs of the rule in a row did not end well, this one included.
    pub(crate) bad_runs: u32,
    /// Of those of its deployments that were off before, or did not come off.
    pub(crate) deployments: BTreeMap<(ResourceGroup, DeploymentId), Precedent>,
}

impl Precedents {
    /// What is known of the deployment of `row`.
    pub(crate) fn of(&self, row: &DeploymentResult) -> Option<&Precedent> {
        self.deployments.get(&(row.resource_group.clone(), row.id.clone()))
    }
}
