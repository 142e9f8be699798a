//! What a run did to each configuration, without the ids, times and amounts that differ every evening.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::id::ResourceGroup;
use crate::domain::reason::{Reason, ReasonKind};
use crate::domain::rule::Mode;
use crate::domain::run::{DeploymentResult, Outcome, Run, RunResult};
use crate::domain::visit::RunVisitor;

/// Two runs with equal patterns are one piece of news.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RunPattern {
    run: Option<(RunResult, Mode)>,
    deployments: BTreeSet<(ResourceGroup, String, Outcome, Option<ReasonKind>)>,
    left_out: BTreeSet<ReasonKind>,
}

impl RunVisitor for RunPattern {
    fn row(&mut self, _: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        let (group, configuration) = (row.resource_group.clone(), row.configuration_id.clone());
        self.deployments.insert((group, configuration, row.outcome, row.reason.as_ref().map(Reason::kind)));
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        self.run = Some((run.result, run.mode));
        self.left_out.extend(run.left_out.keys().map(|kind| kind.reason.clone()));
        ControlFlow::Continue(())
    }
}
