//! Floor 4: the daemon. One loop that hears the heartbeat, signals and the ends of runs.
//!
//! A beat asks what is due and claims it; runs go on in tasks of their own, a few at a time; the outbox worker
//! (`post_office`), the `chores`, the `pings` and the `status_page` are tasks beside it. A reload swaps the configuration
//! for what comes next. On SIGTERM nothing more is
//! asked of AI Core; what is under way is written down and resumed by the next start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config;
use crate::daemon::clock_watch::{ClockWatch, Pace};
use crate::domain::agenda::Agenda;
use crate::domain::instant::rfc3339;
use crate::domain::plausible::Implausible;
use crate::domain::run::{Run, RunResult};
use crate::domain::steady::{Gait, SETTLED_AFTER};
use crate::executor::Executor;
use crate::executor::beat::Claimed;
use crate::executor::progress::silent;
use crate::heartbeat::{Heartbeat, HeartbeatError};
use crate::host::signals::{Signals, Wish};
use crate::host::systemd;
use crate::ledger::LedgerError;
use crate::ledger::runs::{OpenRun, RunId};
use crate::monitor::ping::PingStatus;
use crate::monitor::vitals::{Reload, Vitals};

mod attempt;
mod chores;
mod clock_watch;
mod gauges;
mod pings;
mod post_office;
mod status_page;

/// How long the ends of runs and mails are waited for after SIGTERM.
const GRACE: Duration = Duration::from_secs(15);
/// Pause after a beat that could not claim what is due.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// How often orphaned runs are looked for.
const ROUNDS: Duration = Duration::from_secs(60);

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Heartbeat(#[from] HeartbeatError),
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to")]
    Signals(#[from] std::io::Error),
}

struct Daemon {
    config_path: PathBuf,
    executor: Executor,
    agenda: Agenda,
    runs: JoinSet<Run>,
    /// Which run each task carries out.
    in_hand: BTreeMap<task::Id, RunId>,
    /// The executor for all tasks; a change is also the news that mails may wait.
    news: watch::Sender<Executor>,
    shutdown: CancellationToken,
    /// What is known of it outside.
    vitals: Vitals,
    signs: mpsc::Sender<PingStatus>,
    pace: Pace,
    clock: ClockWatch,
    /// No claims are tried before this instant.
    rests_until: Option<Instant>,
    next_round: Instant,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(config_path: PathBuf, executor: Executor) -> Result<(), DaemonError> {
    let pace = Pace::new(&executor.clock);
    let mut signals = Signals::listen()?;
    let agenda = executor.agenda().await?;
    let mut heartbeat = Heartbeat::start().await?;
    let (news, executors) = watch::channel(executor.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(post_office::work(executors.clone()));
    let vitals = Vitals::default();
    let (signs, heard) = mpsc::channel(pings::MOST_WAITING);
    tasks.spawn(chores::work(news.clone(), vitals.clone()));
    tasks.spawn(pings::work(executors.clone(), heard, vitals.clone()));
    tasks.spawn(status_page::work(executors, vitals.clone()));
    let mut daemon = Daemon {
        config_path,
        agenda,
        runs: JoinSet::new(),
        in_hand: BTreeMap::new(),
        news,
        shutdown: executor.shutdown.clone(),
        vitals,
        signs,
        executor,
        pace,
        clock: ClockWatch::default(),
        rests_until: None,
        next_round: Instant::now(),
    };
    daemon.executor.note_in_force().await?;
    info!("offhours is ready: {} rules", daemon.executor.config.rules.len());
    systemd::ready(&daemon.status());

    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => break,
                Wish::Reload => daemon.reload().await,
            },
            () = heartbeat.next() => daemon.beat().await,
            Some(ended) = daemon.runs.join_next_with_id() => daemon.run_ended(ended),
        }
    }
    let deadline = Instant::now() + GRACE;
    daemon.drain(deadline).await;
    if tokio::time::timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        warn!("a mail was under way and is sent again by the next start");
    }
    Ok(())
}

impl Daemon {
    async fn beat(&mut self) {
        systemd::alive();
        self.vitals.beat(self.executor.clock.now());
        if !self.is_steady() || self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.rests_until = None;
        if Instant::now() >= self.next_round {
            self.next_round = Instant::now() + ROUNDS;
            self.watch_clock().await;
            self.adopt_orphans().await;
        }
        match self.executor.beat(&mut self.agenda).await {
            Ok(claimed) => {
                if self.clock.fault().is_none() && self.vitals.can_fire() {
                    self.tell(PingStatus::Well);
                    systemd::status(&self.status());
                }
                let silent = self.clock.fault().is_some_and(Implausible::silences_all);
                self.vitals.next_firing(self.agenda.next().filter(|_| !silent));
                if claimed != Claimed::default() {
                    self.take_up(claimed);
                    systemd::status(&self.status());
                }
            }
            Err(failure) => {
                error!(
                    error = &failure as &dyn std::error::Error,
                    "nothing is stopped; trying again in {} seconds",
                    PAUSE_AFTER_FAILURE.as_secs()
                );
                systemd::status(&format!("nothing is stopped: {failure}"));
                if self.vitals.cannot_fire(failure.to_string()) {
                    self.tell(PingStatus::Unwell);
                }
                self.rests_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
            }
        }
    }

    /// False in the minute after the clock has gone ahead at once. Where it is wrong for seconds only, nothing has happened;
    /// where the host was asleep, what is due comes a minute later.
    fn is_steady(&mut self) -> bool {
        let gait = self.pace.look(&self.executor.clock);
        if let Gait::Jumped(by) = gait {
            warn!(
                "the clock went ahead by {} minutes at once: nothing fires before it has gone on steadily for {} seconds",
                by.num_minutes(),
                SETTLED_AFTER.num_seconds()
            );
        }
        gait == Gait::Steady
    }

    /// Says to all who listen that rules do not fire because of the clock, while it is so.
    async fn watch_clock(&mut self) {
        match self.clock.look(&self.executor, &mut self.agenda).await {
            // A mail about it waits in the outbox.
            Ok(true) => self.news.send_modify(|_| {}),
            Ok(false) => {}
            Err(failure) => {
                error!(error = &failure as &dyn std::error::Error, "the clock could not be compared with the ledger");
            }
        }
        if let Some(fault) = self.clock.fault() {
            if self.vitals.cannot_fire(fault.to_string()) {
                self.tell(PingStatus::Unwell);
            }
            systemd::status(&self.status());
        }
    }

    fn take_up(&mut self, Claimed { runs, recorded }: Claimed) {
        if !recorded.is_empty() {
            // A firing that was missed has left its mails in the outbox.
            self.news.send_modify(|_| {});
        }
        for (rule, result) in recorded {
            self.vitals.recorded(&rule, result);
            if result == RunResult::Missed {
                self.tell(PingStatus::Unwell);
            }
        }
        for run in runs {
            self.spawn(run);
        }
    }

    /// Leaves a sign for the pinger, unless so many wait that one more says nothing new.
    fn tell(&self, sign: PingStatus) {
        let _ = self.signs.try_send(sign);
    }

    async fn adopt_orphans(&mut self) {
        let in_hand = self.in_hand.values().copied().collect();
        match self.executor.orphans(&in_hand).await {
            Ok(runs) => runs.into_iter().for_each(|run| self.spawn(run)),
            Err(failure) => {
                error!(error = &failure as &dyn std::error::Error, "unfinished runs could not be looked for");
            }
        }
    }

    fn spawn(&mut self, run: OpenRun) {
        let (executor, id) = (self.executor.clone(), run.id);
        let task = self.runs.spawn(async move { executor.carry_out(run, silent()).await });
        self.in_hand.insert(task.id(), id);
    }

    fn run_ended(&mut self, ended: Result<(task::Id, Run), JoinError>) {
        self.in_hand.remove(&ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id));
        match ended {
            Ok((_, run)) => {
                self.vitals.run_ended(&run);
                self.tell(if run.needs_action() { PingStatus::Unwell } else { PingStatus::Well });
            }
            Err(failure) => {
                self.tell(PingStatus::Unwell);
                error!(
                    error = &failure as &dyn std::error::Error,
                    "the task of a run was lost; its run is taken up again within a minute"
                );
            }
        }
        // The run has left mails in the outbox.
        self.news.send_modify(|_| {});
        systemd::status(&self.status());
    }

    /// Reads the configuration again. A bad one leaves the old in force; runs under way keep theirs.
    async fn reload(&mut self) {
        systemd::reloading();
        match config::load(&self.config_path) {
            Ok((config, warnings)) => {
                for warning in &warnings {
                    warn!("{warning}");
                }
                if config.state_dir != self.executor.config.state_dir {
                    warn!("state_dir changed: the new one is used from the next start on");
                }
                let executor = Executor { config: Arc::new(config), ..self.executor.clone() };
                match executor.agenda().await {
                    Ok(agenda) => {
                        self.agenda = agenda;
                        self.news.send_replace(executor.clone());
                        let old = std::mem::replace(&mut self.executor, executor);
                        if old.config.monitoring.heartbeat != self.executor.config.monitoring.heartbeat {
                            self.tell(self.vitals.sign());
                        }
                        if let Err(failure) = self.executor.note_in_force().await {
                            error!(error = &failure as &dyn std::error::Error, "the reload could not be written down");
                        }
                        self.vitals.reloaded(Reload::Accepted);
                        info!("configuration reloaded: {} rules", self.executor.config.rules.len());
                        systemd::ready(&self.status());
                    }
                    Err(failure) => {
                        error!(
                            error = &failure as &dyn std::error::Error,
                            "the configuration was not reloaded; the old one stays in force"
                        );
                        systemd::ready("configuration not reloaded, the old one is in force");
                        self.vitals.reloaded(Reload::Rejected);
                    }
                }
            }
            Err(faults) => {
                error!("configuration rejected, the old one stays in force:\n{faults}");
                systemd::ready("configuration rejected, the old one is in force: see the journal");
                self.vitals.reloaded(Reload::Rejected);
            }
        }
    }

    fn status(&self) -> String {
        let running = self.runs.len();
        let next = self
            .agenda
            .next()
            .map_or_else(|| "nothing is scheduled".to_owned(), |at| format!("next firing {}", rfc3339(at)));
        let next = self.clock.fault().map_or(next, ToString::to_string);
        format!("{} rules, {running} runs under way, {next}", self.agenda.cursors().count())
    }

    async fn drain(&mut self, deadline: Instant) {
        info!("stopping: nothing more is asked of AI Core");
        systemd::stopping();
        self.shutdown.cancel();
        let ends = async { while self.runs.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ends).await.is_err() {
            warn!("{} runs did not end in time; the next start resumes them", self.runs.len());
            self.runs.shutdown().await;
        }
    }
}
