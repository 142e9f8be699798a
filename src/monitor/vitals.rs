//! What the daemon knows of itself: when its heart last beat, whether it can fire, what its runs came to. One value,
//! written by the daemon's tasks and read by the page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::domain::id::RuleName;
use crate::domain::run::{Outcome, Run, RunResult};
use crate::domain::words::words;
use crate::monitor::ledger_gauges::LedgerGauges;
use crate::monitor::ping::PingStatus;

/// A heart that has not beaten for so long stands still. It beats once a second.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(10);

/// A handle on the vitals; clones share them.
#[derive(Debug, Clone)]
pub struct Vitals(Arc<Mutex<VitalSigns>>);
#[derive(Debug, Clone, Default)]
pub(super) struct VitalSigns {
    /// Measured by a clock that nobody sets.
    beat: Option<Instant>,
    /// The same beat by the clock on the wall.
    pub(super) beat_at: Option<DateTime<Utc>>,
    /// Why rules cannot fire, while they cannot.
    trouble: Option<String>,
    pub(super) runs: BTreeMap<(RuleName, RunResult), u64>,
    pub(super) deployments: BTreeMap<Outcome, u64>,
    pub(super) last_runs: BTreeMap<RuleName, DateTime<Utc>>,
    pub(super) next_firing: Option<DateTime<Utc>>,
    pub(super) ledger: Option<LedgerGauges>,
    pub(super) reloads: BTreeMap<Reload, u64>,
}

words! {
    /// What came of reading the configuration again.
    pub Reload {
        Accepted = "accepted",
        /// The old one stays in force.
        Rejected = "rejected",
    }
}

/// Why offhours is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ailment {
    /// The heart has not beaten yet.
    NotStarted,
    /// It has not beaten for this long.
    Standstill(Duration),
    /// It beats, and rules cannot fire.
    CannotFire(String),
}

impl Default for Vitals {
    fn default() -> Self {
        // A counter that does not exist before its first event hides that event from `rate()`.
        let state = VitalSigns {
            reloads: Reload::ALL.iter().map(|reload| (*reload, 0)).collect(),
            deployments: Outcome::ALL.iter().map(|outcome| (*outcome, 0)).collect(),
            ..VitalSigns::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Vitals {
    /// The heart has beaten.
    pub fn beat(&self, now: DateTime<Utc>) {
        let mut state = self.state();
        state.beat = Some(Instant::now());
        state.beat_at = Some(now);
    }

    /// Rules can fire. True where that is news.
    pub fn can_fire(&self) -> bool {
        self.state().trouble.take().is_some()
    }

    /// Rules cannot fire: the claim cannot be written, the clock is wrong. True where that is news.
    pub fn cannot_fire(&self, why: impl Into<String>) -> bool {
        self.state().trouble.replace(why.into()).is_none()
    }

    /// A run has ended.
    pub fn run_ended(&self, run: &Run) {
        let mut state = self.state();
        *state.runs.entry((run.firing.rule.clone(), run.result)).or_default() += 1;
        for row in &run.deployments {
            *state.deployments.entry(row.outcome).or_default() += 1;
        }
        *state.deployments.entry(Outcome::Left).or_default() += run.without_row() as u64;
        let last = state.last_runs.entry(run.firing.rule.clone()).or_default();
        *last = (*last).max(run.finished_at);
    }

    /// A firing was recorded and not carried out: `missed`, `skipped`.
    pub fn recorded(&self, rule: &RuleName, result: RunResult) {
        *self.state().runs.entry((rule.clone(), result)).or_default() += 1;
    }

    /// When the last run of each rule ended, as the ledger knows it; of no other rule anything is known any more.
    pub(crate) fn last_runs(&self, ends: BTreeMap<RuleName, DateTime<Utc>>) {
        self.state().last_runs = ends;
    }

    /// The next firing of all rules.
    pub fn next_firing(&self, at: Option<DateTime<Utc>>) {
        self.state().next_firing = at;
    }

    /// What the ledger says; none where it cannot be read.
    pub fn ledger(&self, gauges: Option<LedgerGauges>) {
        self.state().ledger = gauges;
    }

    /// The configuration was read again.
    pub fn reloaded(&self, reload: Reload) {
        *self.state().reloads.entry(reload).or_default() += 1;
    }

    /// Whether all is well: the heart beats, and rules can fire.
    pub fn health(&self) -> Result<(), Ailment> {
        let state = self.state();
        let silence = state.beat.ok_or(Ailment::NotStarted)?.elapsed();
        if silence >= STANDSTILL {
            return Err(Ailment::Standstill(silence));
        }
        state.trouble.clone().map_or(Ok(()), |why| Err(Ailment::CannotFire(why)))
    }

    pub(crate) fn sign(&self) -> PingStatus {
        if self.health().is_ok() { PingStatus::Well } else { PingStatus::Unwell }
    }
    pub(super) fn snapshot(&self) -> VitalSigns {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, VitalSigns> {
        // Each change is complete in itself; a panic elsewhere spoils none of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("there was no heartbeat yet"),
            Self::Standstill(silence) => write!(f, "there was no heartbeat for {} seconds", silence.as_secs()),
            Self::CannotFire(why) => write!(f, "rules cannot fire: {why}"),
        }
    }
}
