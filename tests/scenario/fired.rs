//! What came of a firing, as assertions that read as sentences.

use std::collections::BTreeSet;

use offhours::domain::run::{DeploymentResult, Outcome, Run};

use crate::scenario::stage::Stage;

/// A stage after its firing, and the runs that it became.
pub struct Fired {
    pub stage: Stage,
    pub runs: Vec<Run>,
}

impl Fired {
    /// The one run.
    pub fn run(&self) -> &Run {
        assert_eq!(self.runs.len(), 1, "one run");
        &self.runs[0]
    }

    /// The run of a rule.
    pub fn run_of(&self, rule: &str) -> &Run {
        self.runs.iter().find(|run| run.firing.rule.as_str() == rule).unwrap()
    }

    /// How it ended.
    pub fn result(&self, word: &str) -> &Self {
        let run = self.run();
        assert_eq!(run.result.as_str(), word, "{}: {:#?}", run.sentence(), words(run));
        self
    }

    /// What its reason says.
    pub fn because(&self, part: &str) -> &Self {
        let reason = self.run().sentence();
        assert!(reason.contains(part), "{reason:?} lacks {part:?}");
        self
    }

    /// Exactly these were stopped.
    pub fn stopped<const N: usize>(&self, ids: [&str; N]) -> &Self {
        let stopped = self.run().deployments.iter().filter(|row| row.outcome == Outcome::Stopped);
        let stopped: BTreeSet<&str> = stopped.map(|row| row.id.as_str()).collect();
        assert_eq!(stopped, ids.into_iter().collect(), "{:#?}", words(self.run()));
        self
    }

    /// What became of one deployment, and a part of why.
    pub fn outcome(&self, id: &str, word: &str, part: &str) -> &Self {
        let row = row(self.run(), id);
        assert_eq!(row.outcome.as_str(), word, "{id}: {}", row.sentence());
        assert!(row.sentence().contains(part), "{id}: {:?} lacks {part:?}", row.sentence());
        self
    }

    /// How many PATCH requests there were.
    pub fn patches(&self, count: usize) -> &Self {
        let patches = self.stage.patches();
        assert_eq!(patches.len(), count, "{:#?}", patches.iter().map(|one| &one.target).collect::<Vec<_>>());
        self
    }

    /// How often a deployment was asked to stop.
    pub fn asked(&self, id: &str, times: usize) -> &Self {
        let asked = self.stage.patched_ids().iter().filter(|asked| *asked == id).count();
        assert_eq!(asked, times, "requests for {id}");
        self
    }

    /// How many tokens were asked for.
    pub fn token_calls(&self, count: usize) -> &Self {
        assert_eq!(self.stage.count("POST", "/oauth/token"), count, "token calls");
        self
    }

    /// Nothing is counted for it.
    pub fn avoids_nothing(&self) -> &Self {
        let run = self.run();
        assert!(run.totals().node_hours.is_zero(), "{:?}", run.totals());
        self
    }
}

/// The row of a deployment.
pub fn row<'a>(run: &'a Run, id: &str) -> &'a DeploymentResult {
    let found = run.deployments.iter().find(|row| row.id.as_str() == id);
    found.unwrap_or_else(|| panic!("no row for {id}: {:#?}", words(run)))
}

/// A run's rows in short.
pub fn words(run: &Run) -> Vec<String> {
    run.deployments.iter().map(|row| format!("{} {} {}", row.id, row.outcome, row.sentence())).collect()
}
