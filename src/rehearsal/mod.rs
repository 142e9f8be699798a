//! Floor 4: a rehearsal. The user's own rules, the real executor and the real client against the simulator, through
//! days of virtual time in seconds.
//!
//! Nothing is imitated but AI Core and the passing of time: the clock stands still while anybody works and jumps ahead
//! when all wait. What a rehearsal writes lies in a directory of its own, never in the real ledger.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accounting::period::reserved_nodes;
use crate::accounting::{reports, settle};
use crate::aicore::{KeySource, Options};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::hold::Hold;
use crate::domain::id::ConnectionName;
use crate::domain::run::Run;
use crate::executor::Executor;
use crate::executor::beat::BeatError;
use crate::executor::progress::silent;
use crate::executor::tenants::Tenants;
use crate::ledger::lock::ExecutorLock;
use crate::ledger::{Ledger, LedgerError};
use crate::mail::settings::Delivery;
use crate::mailer::Mailer;
use crate::private_file;
use crate::simulator::{Fleet, Simulator};

pub mod demo;

/// Name of the directory for mails in a rehearsal's output.
const MAILS: &str = "mails";
/// In an off window the tenant is looked at this often: as a daemon does, only less.
const BETWEEN_ROUNDS: TimeDelta = TimeDelta::hours(4);
/// And never more often than this, even where something cannot be settled.
const SHORTEST_ROUND: TimeDelta = TimeDelta::minutes(5);
/// Name of the directory for its ledger.
const STATE: &str = "state";

/// What is rehearsed.
pub struct Rehearsal {
    pub config: Config,
    /// What each connection's tenant looks like at the start.
    pub fleets: BTreeMap<ConnectionName, Fleet>,
    /// Holds, each from its own instant on.
    pub holds: Vec<Hold>,
    /// When virtual time starts.
    pub from: DateTime<Utc>,
    /// Firings after this instant are not rehearsed.
    pub to: DateTime<Utc>,
    /// Where everything is written.
    pub output: PathBuf,
}

/// A rehearsal that has ended.
pub struct Rehearsed {
    pub ledger: Ledger,
    pub(crate) config: Arc<Config>,
    pub(crate) ended_at: DateTime<Utc>,
    /// How many mails were written.
    pub(crate) mails: usize,
    /// What the report should mention about the tenants.
    pub(crate) notes: Vec<String>,
}

/// Why a rehearsal could not be held.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Beat(#[from] BeatError),
    #[error("{what}")]
    Io { what: String, source: std::io::Error },
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> RehearsalError {
    let what = what.into();
    move |source| RehearsalError::Io { what, source }
}

impl Rehearsal {
    /// Holds the rehearsal and tells each run as it ends. Must be called on a current-thread runtime, whose clock it
    /// takes over.
    pub async fn hold(self, mut on_run: impl FnMut(&Run)) -> Result<Rehearsed, RehearsalError> {
        let clock = Clock::start_virtual(self.from);
        let (config, simulators) = self.simulate(&clock).await?;
        let (holds, to, output) = (self.holds, self.to, self.output);
        let ledger = Ledger::open(&output.join(STATE))?;
        ledger.write(move |tx| holds.iter().try_for_each(|hold| tx.put_hold(hold))).await?;
        let lock = ExecutorLock::take(ledger.directory())?;
        let executor = Executor {
            config: Arc::new(config),
            ledger: ledger.clone(),
            clock: clock.clone(),
            tenants: Arc::new(Tenants::new(Options { clock: clock.clone(), ..Options::default() })),
            shutdown: CancellationToken::new(),
            name: lock.name().into(),
            // Virtual time may lie before the program was built.
            built: DateTime::UNIX_EPOCH,
            slots: crate::executor::slots(),
        };
        let stage = Stage { executor, clock, to };
        stage.play(&mut on_run).await?;
        if let Some(settings) = &stage.executor.config.mail {
            let (ledger, clock) = (ledger.clone(), stage.clock.clone());
            let mailer = Mailer { ledger, clock, shutdown: CancellationToken::new() };
            mailer.deliver_due(settings).await?;
        }
        let notes = reserved_nodes(&stage.executor.config, &stage.executor.tenants).await;
        for simulator in simulators {
            simulator.shutdown().await;
        }
        let mails = fs::read_dir(output.join(MAILS)).map_or(0, Iterator::count);
        Ok(Rehearsed { ledger, config: stage.executor.config, ended_at: stage.clock.now(), mails, notes })
    }

    /// Puts a simulator behind every connection, and a directory behind the mails.
    async fn simulate(&self, clock: &Clock) -> Result<(Config, Vec<Simulator>), RehearsalError> {
        let mut config = self.config.clone();
        private_file::make_directory(&self.output).map_err(io(format!("cannot make `{}`", self.output.display())))?;
        let mut simulators = Vec::new();
        for connection in config.connections.values_mut() {
            let fleet = self.fleets.get(&connection.name).cloned().unwrap_or_default();
            let simulator = Simulator::start(fleet, clock.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
                .await
                .map_err(io("cannot listen on 127.0.0.1"))?;
            let key = self.output.join(format!(".{}-service-key.json", connection.name));
            write(&key, &simulator.service_key())?;
            connection.key = KeySource::file(key);
            simulators.push(simulator);
        }
        config.state_dir = self.output.join(STATE);
        if let Some(mail) = &mut config.mail {
            mail.delivery = Delivery::Directory(self.output.join(MAILS));
        }
        Ok((config, simulators))
    }
}

/// What plays: the real executor, on virtual time.
struct Stage {
    executor: Executor,
    clock: Clock,
    to: DateTime<Utc>,
}

impl Stage {
    /// Fires what comes due, and looks at the tenant again until everything is settled.
    async fn play(&self, on_run: &mut impl FnMut(&Run)) -> Result<(), RehearsalError> {
        let mut agenda = self.executor.agenda().await?;
        let mut runs: JoinSet<Run> = JoinSet::new();
        let mut last_round = self.clock.now();
        self.send_reports().await?;
        loop {
            let firing = agenda.next().filter(|next| *next <= self.to);
            let round = self.next_round(last_round).await?;
            let report = self.next_report().filter(|report| *report <= self.to);
            let first = [firing, round, report].into_iter().flatten().min();
            match (firing, round) {
                _ if report.is_some() && report == first => {
                    wait_until(report.unwrap_or_default(), &self.clock).await;
                    self.send_reports().await?;
                }
                (Some(firing), round) if round.is_none_or(|round| firing <= round) => {
                    wait_until(firing, &self.clock).await;
                    for run in self.executor.beat(&mut agenda).await?.runs {
                        let executor = self.executor.clone();
                        runs.spawn(async move { executor.carry_out(run, silent()).await });
                    }
                }
                (_, Some(round)) => {
                    wait_until(round, &self.clock).await;
                    let Executor { ledger, config, tenants, .. } = &self.executor;
                    settle::round(ledger, config, tenants, &self.clock).await?;
                    last_round = self.clock.now();
                }
                // Nothing to wait for but the ends of runs.
                _ => match runs.join_next().await {
                    Some(Ok(run)) => on_run(&run),
                    Some(Err(_)) => {}
                    None => return Ok(()),
                },
            }
            while let Some(Ok(run)) = runs.try_join_next() {
                on_run(&run);
            }
        }
    }

    /// The next instant of a `[[report]]`.
    fn next_report(&self) -> Option<DateTime<Utc>> {
        let now = self.clock.now();
        let reports = &self.executor.config.reports;
        reports.iter().filter_map(|report| report.cron.next_after(now, &report.zone)).min()
    }

    /// Puts the reports that are due into the outbox. Each begins with its first instant after the start.
    async fn send_reports(&self) -> Result<(), LedgerError> {
        let Executor { ledger, config, tenants, .. } = &self.executor;
        let now = self.clock.now();
        for schedule in &config.reports {
            if let Some(at) = reports::due(ledger, schedule, now).await? {
                reports::send(ledger, config, tenants, schedule, at, now).await?;
            }
        }
        Ok(())
    }

    /// When the tenant is to be looked at again: at the end of the next off window, and a few times before.
    async fn next_round(&self, last: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let now = self.clock.now();
        let due = self.executor.ledger.read(move |tx| tx.next_settlement_at(now)).await?;
        Ok(due.map(|due| due.min(last + BETWEEN_ROUNDS).max(last + SHORTEST_ROUND)))
    }
}

async fn wait_until(at: DateTime<Utc>, clock: &Clock) {
    while let Ok(wait) = (at - clock.now()).to_std() {
        if wait.is_zero() {
            break;
        }
        clock.pause(wait).await;
    }
}

fn write(path: &Path, text: &str) -> Result<(), RehearsalError> {
    private_file::write(path, text.as_bytes()).map_err(io(format!("cannot write `{}`", path.display())))
}
