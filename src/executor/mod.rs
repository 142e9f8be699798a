//! Floor 3: one firing becomes one run. Claim, survey, decide, stop, verify, conclude; and after a crash, finish.
//!
//! - [`Executor::beat`] claims what is due, [`Executor::fire`] what a person wants now.
//! - [`Executor::carry_out`] does the work of a claimed firing, [`Executor::orphans`] finds those whose executor died.
//! - [`survey`] is the reading half, shared with `plan`; only a run holds the half of the client that can stop.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::{Config, OnDisk, on_disk};
use crate::domain::earlier::Precedents;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::reason::NotWatched;
use crate::domain::rule::{MailWhen, Mode, Rule};
use crate::domain::run::{DeploymentResult, Firing, Run, RunResult, Trigger};
use crate::domain::run_reason::{Interruption, RunReason};
use crate::executor::ended::{Ended, Interrupted};
use crate::executor::pattern::RunPattern;
use crate::executor::progress::Observer;
use crate::executor::run_mails::Told;
use crate::executor::task::Task;
use crate::executor::tenants::Tenants;
use crate::ledger::in_force::InForce;
use crate::ledger::runs::{Claim, OpenRun, RunFilter, RunId};
use crate::ledger::{Ledger, LedgerError, lock};
use crate::report::{self, Observed};

mod account;
mod asker;
pub mod beat;
mod clearance;
mod ended;
mod look;
mod notice;
mod pattern;
pub mod progress;
mod retries;
pub mod run_mails;
mod stop;
mod stop_answer;
mod stop_attempt;
mod stop_context;
pub mod survey;
mod task;
pub mod tenants;
mod try_once;
mod verify;

/// Runs at work together; others wait, claimed.
const RUNS_AT_ONCE: usize = 4;
/// Pause before a result that could not be written is written again.
const PAUSE_BEFORE_REWRITE: Duration = Duration::from_secs(10);

/// Carries out firings. Clones share everything; a reload makes one with another configuration.
#[derive(Debug, Clone)]
pub struct Executor {
    pub config: Arc<Config>,
    pub ledger: Ledger,
    pub clock: Clock,
    pub tenants: Arc<Tenants>,
    /// Cancelled when offhours is being stopped: from then on no stop is asked for.
    pub shutdown: CancellationToken,
    /// The name with which runs are signed: that of the process's lock.
    pub name: Arc<str>,
    /// When the program was built; no clock shows less.
    pub built: DateTime<Utc>,
    /// How many runs may be at work together.
    pub slots: Arc<Semaphore>,
}

/// Why a rule could not be fired by hand.
#[derive(Debug, thiserror::Error)]
pub enum FireError {
    /// The previous run is still going.
    #[error("a run of rule `{0}` is already under way: wait for its end; `offhours status` shows how it stands")]
    Running(crate::domain::id::RuleName),
    /// Fired twice in one second.
    #[error("rule `{0}` was already fired in this second")]
    Twice(crate::domain::id::RuleName),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The places for runs at work.
pub fn slots() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(RUNS_AT_ONCE))
}

impl Executor {
    /// Claims a firing of `rule` at this very second and carries it out. A run of the rule that was cut off by a crash is
    /// finished first: where no daemon runs, nobody else would do it.
    pub async fn fire(&self, rule: &Arc<Rule>, observer: Observer) -> Result<Run, FireError> {
        let mut finished = None;
        let is_cut_off = |open: &OpenRun| open.claim.firing.rule == rule.name && open.claim.executor != *self.name;
        for orphan in self.adopt(is_cut_off).await? {
            finished = Some(self.carry_out(orphan, Arc::clone(&observer)).await);
        }
        let now = self.clock.now();
        let at = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
        let claim = self.claim_of(rule, at, Trigger::Manual, now);
        let written = claim.clone();
        match self.ledger.write(move |tx| tx.claim(&written)).await? {
            Claim::Taken(id) => Ok(self.carry_out(OpenRun { id, claim }, observer).await),
            Claim::Skipped => Err(FireError::Running(rule.name.clone())),
            // What was cut off in this very second and is finished now is what was wanted.
            Claim::Duplicate => {
                finished.filter(|run| run.firing.at == at).ok_or_else(|| FireError::Twice(rule.name.clone()))
            }
        }
    }

    /// Carries out a claimed firing to its end: result and mails are in the ledger when this returns. A panic inside
    /// ends the run, not the program.
    pub async fn carry_out(&self, open: OpenRun, observer: Observer) -> Run {
        let resumed = open.claim.executor != *self.name;
        let rule = self.config.rules.iter().find(|rule| rule.name == open.claim.firing.rule).cloned();
        info!(rule = %open.claim.firing.rule, run = open.id.0, "carrying out {}{}", open.claim.firing, if resumed { ", resumed" } else { "" });
        let attempt = AssertUnwindSafe(self.attempt(&open, rule.as_ref(), observer)).catch_unwind().await;
        let ended = match attempt {
            Ok(Ok(ended)) => ended,
            Ok(Err(Interrupted)) => return self.interrupt(&open, resumed).await,
            Err(_) => {
                error!(
                    run = open.id.0,
                    "the run of {} ended by a panic, which is a bug in offhours", open.claim.firing
                );
                let message = "the run ended by a bug in offhours; what it had asked for is unconfirmed";
                let reason = RunReason::Failure(Failure::new(FailureCode::Panic, message));
                let rows = self.earlier(&open).await;
                Ended::new(RunResult::Failed, reason).with_unconfirmed(rows, &NotWatched::Panic)
            }
        };
        let run = ended.into_run(&open, resumed, self.clock.now());
        self.conclude(&open, rule.as_deref(), &run).await;
        run
    }

    async fn attempt(
        &self,
        open: &OpenRun,
        rule: Option<&Arc<Rule>>,
        observer: Observer,
    ) -> Result<Ended, Interrupted> {
        let Some(rule) = rule else {
            let ended = Ended::new(RunResult::Interrupted, RunReason::Interrupted(Interruption::RuleIsGone));
            return Ok(ended.with_unconfirmed(self.earlier(open).await, &NotWatched::RuleIsGone));
        };
        let Some(connection) = self.config.connections.get(&open.claim.connection) else {
            let gone = Interruption::ConnectionIsGone(open.claim.connection.to_string());
            let ended = Ended::new(RunResult::Interrupted, RunReason::Interrupted(gone));
            return Ok(ended.with_unconfirmed(self.earlier(open).await, &NotWatched::ConnectionIsGone));
        };
        let tenant = match self.tenants.tenant(connection) {
            Ok(tenant) => tenant,
            Err(error) => {
                let failed = Ended::new(RunResult::Failed, RunReason::Failure(error.failure()));
                return Ok(failed.with_unconfirmed(self.earlier(open).await, &NotWatched::Unreachable));
            }
        };
        let task = Task {
            config: Arc::clone(&self.config),
            rule: Arc::clone(rule),
            open: open.clone(),
            tenant,
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            observer,
            executor: Arc::clone(&self.name),
            slots: Arc::clone(&self.slots),
            begun: self.clock.now(),
        };
        retries::carry_out(&task).await
    }

    /// What an earlier executor of the run wrote down; nothing where it cannot be read.
    async fn earlier(&self, open: &OpenRun) -> Vec<DeploymentResult> {
        let id = open.id;
        self.ledger.read(move |tx| tx.rows(id)).await.unwrap_or_default()
    }

    /// Writes result and mails in one transaction, again and again until it is on the disk or offhours is stopped.
    async fn conclude(&self, open: &OpenRun, rule: Option<&Rule>, run: &Run) {
        let on_disk = self.on_disk().await;
        let precedents = self.precedents(open.id, run).await;
        let observed = self.observed(run).await;
        let is_news = match rule.map(|rule| rule.mail) {
            Some(MailWhen::Changes) => self.is_news(run).await,
            _ => true,
        };
        let told = Told { run, precedents: &precedents, observed: observed.as_ref(), is_news, on_disk: &on_disk };
        let render = AssertUnwindSafe(|| run_mails::run_mails(&self.config, rule, told, self.clock.now()));
        let mails = std::panic::catch_unwind(render).unwrap_or_else(|_| {
            // The result must be written all the same: an open run would keep its rule from firing again.
            error!(run = open.id.0, "the mails of {} could not be made, which is a bug in offhours", open.claim.firing);
            Vec::new()
        });
        let id = open.id;
        loop {
            let (run, mails) = (run.clone(), mails.clone());
            let written = self.ledger.write(move |tx| {
                // Concluded before, by a commit that only seemed to fail: its mails are queued with it.
                if tx.finish(id, &run)? {
                    tx.put_tries(id, &run.tries)?;
                    tx.enqueue(&mails, run.finished_at)?;
                }
                Ok(())
            });
            match written.await {
                Ok(()) => break,
                Err(error) => error!(
                    error = &error as &dyn std::error::Error,
                    "the result of {} could not be written; it is kept and written again", open.claim.firing
                ),
            }
            if self.shutdown.run_until_cancelled(self.clock.pause(PAUSE_BEFORE_REWRITE)).await.is_none() {
                // The claim and the requests are on the disk: the next start finishes this run.
                return;
            }
        }
        let tally = run.tally();
        info!(
            rule = %run.firing.rule, run = id.0, result = %run.result,
            "{} ended {}: {} stopped, {} unconfirmed, {} failed, {} left", run.firing, run.result,
            tally.stopped, tally.unconfirmed, tally.failed, tally.left
        );
    }

    /// What earlier runs say about `run`; nothing where they cannot be read, because its mail must leave all the same.
    async fn precedents(&self, id: RunId, run: &Run) -> Precedents {
        let run = run.clone();
        self.ledger.read(move |tx| tx.precedents(id, &run)).await.unwrap_or_default()
    }

    /// True unless `run` did to each configuration what the rule's run before did. Replacements have new ids, so that those
    /// say nothing.
    async fn is_news(&self, run: &Run) -> bool {
        let (rule, at) = (run.firing.rule.clone(), run.firing.at - TimeDelta::seconds(1));
        let before = self.ledger.read(move |tx| {
            let mut before = RunPattern::default();
            Ok(tx.run_before(&rule, at, &mut before)?.then_some(before))
        });
        let mut this = RunPattern::default();
        // It never breaks off.
        let _ = run.tell(&mut this);
        before.await.ok().flatten() != Some(this)
    }

    /// The week of a rule that has observed for so long, this run included.
    async fn observed(&self, run: &Run) -> Option<Observed> {
        if run.mode != Mode::Observe || run.trigger == Trigger::Manual {
            return None;
        }
        let Firing { rule, at } = run.firing.clone();
        let week = self.ledger.read(move |tx| {
            if tx.observes_since(&rule, at)?.is_none_or(|since| at - since < report::LONG_ENOUGH) {
                return Ok(None);
            }
            let mut observed = Observed::default();
            let since = Some(at - report::LONG_ENOUGH);
            tx.each_run(&RunFilter { since, before: Some(at), rule: Some(rule) }, &mut observed)?;
            Ok(Some(observed))
        });
        let mut observed = week.await.ok().flatten()?;
        // It never breaks off.
        let _ = run.tell(&mut observed);
        Some(observed)
    }

    /// How the files compare with the configuration that this executor goes by.
    async fn on_disk(&self) -> OnDisk {
        let (config, now) = (Arc::clone(&self.config), self.clock.now());
        let compared = tokio::task::spawn_blocking(move || on_disk(&config, now)).await;
        compared.unwrap_or(OnDisk::Same)
    }

    /// Notes for commands beside this process which configuration it goes by.
    pub(crate) async fn note_in_force(&self) -> Result<(), LedgerError> {
        let in_force = InForce { fingerprint: self.config.fingerprint.to_string(), read_at: self.clock.now() };
        self.ledger.write(move |tx| tx.put_in_force(&in_force)).await
    }

    async fn interrupt(&self, open: &OpenRun, resumed: bool) -> Run {
        let (id, now) = (open.id, self.clock.now());
        let name = Arc::clone(&self.name);
        if let Err(error) = self.ledger.write(move |tx| tx.interrupt(id, &name, now)).await {
            error!(
                error = &error as &dyn std::error::Error,
                "the interruption of {} could not be written", open.claim.firing
            );
        }
        let rows = self.earlier(open).await;
        let reason = RunReason::Interrupted(Interruption::Stopped);
        info!(rule = %open.claim.firing.rule, run = id.0, "interrupted {}", open.claim.firing);
        Ended { rows, ..Ended::new(RunResult::Interrupted, reason) }.into_run(open, resumed, now)
    }

    /// Takes over the runs whose executor is no more, for [`Self::carry_out`] to finish; also those of this process that
    /// are not `in_hand`: their task was lost, or they were adopted by a commit that only seemed to fail.
    pub async fn orphans(&self, in_hand: &BTreeSet<RunId>) -> Result<Vec<OpenRun>, LedgerError> {
        self.adopt(|open| !in_hand.contains(&open.id)).await
    }

    async fn adopt(&self, wanted: impl Fn(&OpenRun) -> bool) -> Result<Vec<OpenRun>, LedgerError> {
        let mut open = self.ledger.read(|tx| tx.open_runs()).await?;
        open.retain(wanted);
        let directory = self.ledger.directory().to_owned();
        let mut adopted = Vec::new();
        for run in open {
            let is_ours = run.claim.executor == *self.name;
            if !is_ours && lock::is_alive(&directory, &run.claim.executor) {
                continue;
            }
            let (candidate, name) = (run.clone(), self.name.to_string());
            if self.ledger.write(move |tx| tx.adopt(&candidate, &name)).await? {
                adopted.push(run);
            }
        }
        Ok(adopted)
    }
}
