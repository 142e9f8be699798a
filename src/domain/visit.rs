//! Runs told piece by piece: a year of them, or one of a hundred thousand deployments, need never be in memory together.
//! What comes of them (a table, a file, sums) is a visitor.

use std::ops::ControlFlow;

use crate::domain::run::{DeploymentResult, Run};

/// Is told runs, oldest first, each deployment by deployment. After a break it is told nothing more.
pub trait RunVisitor {
    /// A run begins. Its deployments come one by one, whatever this value holds of them.
    fn begin(&mut self, run: &Run) -> ControlFlow<()> {
        let _ = run;
        ControlFlow::Continue(())
    }

    fn row(&mut self, run: &Run, row: &DeploymentResult) -> ControlFlow<()>;

    /// The run's deployments were all told.
    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        let _ = run;
        ControlFlow::Continue(())
    }
}

/// Keeps what it is told, for where that is known to be little.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The runs that were told whole, with their deployments.
    pub(crate) runs: Vec<Run>,
    rows: Vec<DeploymentResult>,
}

impl RunVisitor for Kept {
    fn row(&mut self, _: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        self.rows.push(row.clone());
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        self.runs.push(Run { deployments: std::mem::take(&mut self.rows), ..run.clone() });
        ControlFlow::Continue(())
    }
}

impl Run {
    /// Tells this run, whose deployments are in memory.
    pub fn tell(&self, visitor: &mut impl RunVisitor) -> ControlFlow<()> {
        visitor.begin(self)?;
        self.deployments.iter().try_for_each(|row| visitor.row(self, row))?;
        visitor.end(self)
    }
}
