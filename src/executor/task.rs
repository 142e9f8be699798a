//! What one run needs, from its claim to its end.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::aicore::Tenant;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::plan::DecisionContext;
use crate::domain::rule::{Mode, Rule};
use crate::domain::schedule::OffWindow;
use crate::executor::progress::Observer;
use crate::ledger::Ledger;
use crate::ledger::runs::OpenRun;

/// Everything one run needs. The rule and the configuration are those of its start, whatever is reloaded meanwhile.
pub(super) struct Task {
    pub(crate) config: Arc<Config>,
    pub(crate) rule: Arc<Rule>,
    pub(crate) open: OpenRun,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Clock,
    pub(crate) shutdown: CancellationToken,
    pub(crate) observer: Observer,
    /// The name with which this process has signed the run.
    pub(crate) executor: Arc<str>,
    /// How many runs may be at work; one that waits for its next try takes no place.
    pub(crate) slots: Arc<Semaphore>,
    /// When this process took the run up.
    pub(crate) begun: DateTime<Utc>,
}

impl Task {
    pub(super) fn window(&self) -> OffWindow {
        self.open.claim.off_window
    }

    /// What is decided by, but for the holds.
    pub(crate) fn decision_context(&self, now: DateTime<Utc>) -> DecisionContext<'_> {
        let Self { rule, config, .. } = self;
        DecisionContext { rule, protect: &config.protect, holds: &[], scheduled: self.window().from, now }
    }

    /// True where the run asks for nothing: its rule observes, or did when it was claimed.
    pub(crate) fn observes(&self) -> bool {
        self.open.claim.mode == Mode::Observe || self.rule.mode == Mode::Observe
    }
}
