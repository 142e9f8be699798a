//! Where a scenario is played: a runtime on virtual time, the simulator, and offhours as one process after another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use offhours::accounting::settle::{self, Round};
use offhours::aicore::Options;
use offhours::clock::Clock;
use offhours::config::{self, Config};
use offhours::domain::agenda::Agenda;
use offhours::domain::hold::HoldTarget;
use offhours::domain::plan::{Decision, DecisionContext};
use offhours::domain::run::Run;
use offhours::executor::progress::silent;
use offhours::executor::survey::Surveyor;
use offhours::executor::tenants::Tenants;
use offhours::executor::{Executor, FireError};
use offhours::ledger::lock::ExecutorLock;
use offhours::ledger::runs::{OpenRun, RunFilter};
use offhours::ledger::{self, Ledger};
use offhours::mailer::Mailer;
use offhours::simulator::{Entry, Fault, Simulator};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::scenario::builder::{LEAD, Scenario};
use crate::scenario::fired::Fired;
use crate::scenario::invariants;

/// Where a scenario is played.
pub struct Stage {
    pub config: Arc<Config>,
    pub simulator: Simulator,
    pub clock: Clock,
    /// Puts the wall clock ahead or back, for offhours and its tenant alike; no timer notices.
    ahead: Arc<AtomicI64>,
    pub from: DateTime<Utc>,
    pub at: DateTime<Utc>,
    /// What must never be seen anywhere: the client's secret, and every token that was given.
    pub secrets: Arc<Mutex<Vec<String>>>,
    pub directory: TempDir,
    pub process: Option<Process>,
    runtime: Runtime,
}

/// offhours as one process.
pub struct Process {
    pub executor: Executor,
    pub agenda: Agenda,
    _lock: ExecutorLock,
}

impl Stage {
    pub fn new(scenario: Scenario) -> Self {
        let directory = scratch();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let from = scenario.begins.unwrap_or(scenario.at - LEAD);
        let (clock, ahead, simulator) = runtime.block_on(async {
            let (clock, ahead) = Clock::start_virtual(from).stepped();
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let simulator = Simulator::start(scenario.fleet.clone(), clock.clone(), listen).await.unwrap();
            (clock, ahead, simulator)
        });
        let key = simulator.service_key();
        scenario.write_files(directory.path(), &key);
        let secret: serde_json::Value = serde_json::from_str(&key).unwrap();
        let secrets = Arc::new(Mutex::new(vec![secret["clientsecret"].as_str().unwrap().to_owned()]));
        scenario.faults.into_iter().for_each(|fault| simulator.inject(fault));
        let spied = Arc::clone(&secrets);
        simulator.inject(Fault::on("POST", "/oauth/token").always().rewrites(move |answer| {
            let token = answer["access_token"].as_str().map(str::to_owned);
            spied.lock().unwrap_or_else(PoisonError::into_inner).extend(token);
        }));
        let (config, _) = config::load_at(&directory.path().join("offhours.toml"), from)
            .unwrap_or_else(|faults| panic!("the scenario's own files have faults:\n{faults}"));
        let mut stage = Self {
            config: Arc::new(config),
            simulator,
            clock,
            ahead,
            from,
            at: scenario.at,
            secrets,
            directory,
            process: None,
            runtime,
        };
        stage.start_process();
        stage
    }

    /// A new process of offhours on the same state directory.
    pub fn start_process(&mut self) {
        assert!(self.process.is_none(), "there is a process already");
        let ledger = Ledger::open(&self.config.state_dir).unwrap();
        let lock = ExecutorLock::take(ledger.directory()).unwrap();
        let options = Options { clock: self.clock.clone(), ..Options::default() };
        let executor = Executor {
            config: Arc::clone(&self.config),
            ledger,
            clock: self.clock.clone(),
            tenants: Arc::new(Tenants::new(options)),
            shutdown: CancellationToken::new(),
            name: lock.name().into(),
            built: DateTime::UNIX_EPOCH,
            slots: offhours::executor::slots(),
        };
        let agenda = self.runtime.block_on(executor.agenda()).unwrap();
        self.process = Some(Process { executor, agenda, _lock: lock });
    }

    /// The process is gone, as after `kill -9`; its locks with it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn executor(&self) -> Executor {
        self.process.as_ref().expect("offhours is not running").executor.clone()
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Does something that looks for the runtime, though it does not wait.
    pub fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.enter();
        work()
    }

    /// Virtual time exists only inside the runtime.
    pub fn now(&self) -> DateTime<Utc> {
        let _inside = self.runtime.enter();
        self.clock.now()
    }

    /// The hand that puts the wall clock ahead or back.
    pub fn hand(&self) -> impl Fn(TimeDelta) + Send + Sync + 'static {
        let ahead = Arc::clone(&self.ahead);
        move |step| {
            ahead.fetch_add(step.num_milliseconds(), Ordering::AcqRel);
        }
    }

    /// By how much the wall clock was put back, all in all: by it, what came later can have the earlier time.
    pub fn put_back(&self) -> TimeDelta {
        TimeDelta::milliseconds(-self.ahead.load(Ordering::Acquire)).max(TimeDelta::zero())
    }

    pub fn wait_until(&self, at: DateTime<Utc>) {
        self.block_on(wait_until(&self.clock, at));
    }

    pub fn wait(&self, time: TimeDelta) {
        self.wait_until(self.now() + time);
    }

    /// The instant comes; gives the runs that are claimed then.
    pub fn claim(&mut self) -> Vec<OpenRun> {
        self.wait_until(self.at);
        let runtime = &self.runtime;
        let Process { executor, agenda, .. } = self.process.as_mut().expect("offhours is not running");
        runtime.block_on(executor.beat(agenda)).unwrap().runs
    }

    /// Carries out claimed runs together.
    pub fn carry_out(&self, runs: Vec<OpenRun>) -> Vec<Run> {
        let executor = self.executor();
        let runs = runs.into_iter().map(|run| executor.carry_out(run, silent()));
        self.block_on(join_all(runs))
    }

    /// The scenario's instant comes, and what is due is carried out.
    pub fn fire(mut self) -> Fired {
        let claimed = self.claim();
        let runs = self.carry_out(claimed);
        Fired { stage: self, runs }
    }

    /// Carries out what is due, and dies as soon as `dead` says so. Gives the runs, where it did not come to that.
    pub fn die_when(&mut self, mut dead: impl FnMut(&Simulator) -> bool) -> Option<Vec<Run>> {
        let claimed = self.claim();
        let executor = self.executor();
        let ended = {
            let simulator = &self.simulator;
            // What dies is dropped where it lived: a connection that is put back looks for its runtime.
            let _runtime = self.runtime.enter();
            let work = join_all(claimed.into_iter().map(|run| executor.carry_out(run, silent())));
            self.block_on(Mortal { work: pin!(work), dead: || dead(simulator) })
        };
        drop(executor);
        self.kill();
        ended
    }

    /// A new process finishes what the earlier one left open.
    pub fn resume(&mut self) -> Vec<Run> {
        self.start_process();
        let executor = self.executor();
        let orphans = self.block_on(executor.orphans(&BTreeSet::new())).unwrap();
        self.carry_out(orphans)
    }

    /// A person fires a rule.
    pub fn fire_by_hand(&self, rule: &str) -> Result<Run, FireError> {
        let executor = self.executor();
        let rule = executor.config.rules.iter().find(|known| known.name.as_str() == rule).unwrap().clone();
        self.block_on(executor.fire(&rule, silent()))
    }

    /// Plays the daemon until `to`: fires what comes due, settles at the end of every window.
    pub fn play_until(&mut self, to: DateTime<Utc>) -> Vec<Run> {
        let runtime = &self.runtime;
        let Process { executor, agenda, .. } = self.process.as_mut().expect("offhours is not running");
        runtime.block_on(play(executor, agenda, to))
    }

    /// The same, but it dies after so many points at which it could go on; at `to` at the latest.
    pub fn play_and_die(&mut self, points: usize, to: DateTime<Utc>) {
        let _inside = self.runtime.enter();
        let Process { executor, agenda, .. } = self.process.as_mut().expect("offhours is not running");
        let mut polls = 0;
        let dead = || {
            polls += 1;
            polls > points
        };
        self.runtime.block_on(Mortal { work: pin!(play(executor, agenda, to)), dead });
    }

    /// Looks at the tenant again.
    pub fn settle(&self) -> Round {
        let executor = self.executor();
        self.block_on(settle::round(&executor.ledger, &executor.config, &executor.tenants, &executor.clock)).unwrap()
    }

    /// Somebody says "not tonight", now.
    pub fn hold(&self, target: &HoldTarget, until: DateTime<Utc>) {
        let (target, now, ledger) = (target.clone(), self.now(), self.executor().ledger);
        self.block_on(ledger.write(move |tx| tx.add_hold(&target, until, "training", "ada", now))).unwrap();
    }

    /// What `plan` says about each deployment at `at`: `stop`, or the reason why not.
    pub fn plan(&self, rule: &str, at: DateTime<Utc>) -> BTreeMap<String, String> {
        let executor = self.executor();
        let config = &executor.config;
        let rule = config.rules.iter().find(|known| known.name.as_str() == rule).unwrap();
        self.block_on(async {
            let tenant = executor.tenants.tenant(&config.connections[&rule.connection]).unwrap();
            let holds = executor.ledger.read(move |tx| tx.holds(at)).await.unwrap();
            let decisions = DecisionContext { rule, protect: &config.protect, holds: &holds, scheduled: at, now: at };
            let (reader, clock, prices) = (&tenant.reader, &executor.clock, &config.prices);
            let mut planned = Vec::new();
            let surveyor = Surveyor { reader, clock, prices, decisions };
            surveyor.survey(|group| planned.extend(group.planned)).await.unwrap();
            let word = |decision: &Decision| match decision {
                Decision::Stop => "stop".to_owned(),
                Decision::Leave(reason) => reason.to_string(),
            };
            planned.iter().map(|one| (one.deployment.id.to_string(), word(&one.decision))).collect()
        })
    }

    /// What the ledger says.
    pub fn history(&self) -> Vec<Run> {
        let ledger = Ledger::open(&self.config.state_dir).unwrap();
        self.block_on(ledger.read(|tx| tx.history(&RunFilter::default()))).unwrap()
    }

    /// The ledger's own tables.
    pub fn database(&self) -> Connection {
        Connection::open(self.config.state_dir.join(ledger::FILE)).unwrap()
    }

    /// Writes the mails that are due into their directory, and says how many there are.
    pub fn deliver(&self) -> usize {
        let ledger = Ledger::open(&self.config.state_dir).unwrap();
        let mailer = Mailer { ledger, clock: self.clock.clone(), shutdown: tokio_util::sync::CancellationToken::new() };
        self.block_on(mailer.deliver_due(self.config.mail.as_ref().unwrap())).unwrap();
        std::fs::read_dir(self.mails()).map_or(0, Iterator::count)
    }

    pub fn mails(&self) -> std::path::PathBuf {
        self.directory.path().join("mails")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Every PATCH that the tenant received of offhours.
    pub fn patches(&self) -> Vec<Entry> {
        let journal = self.simulator.journal().into_iter();
        journal.filter(|entry| entry.is_patch() && !is_a_persons(entry)).collect()
    }

    /// The ids that it was asked to change, as often as it was asked.
    pub fn patched_ids(&self) -> Vec<String> {
        self.patches().iter().flat_map(Entry::patched_ids).collect()
    }

    /// Requests of a kind.
    pub fn count(&self, method: &str, path_suffix: &str) -> usize {
        let path = |entry: &Entry| entry.target.split('?').next().unwrap_or("").to_owned();
        let journal = self.simulator.journal();
        journal.iter().filter(|one| one.method == method && path(one).ends_with(path_suffix)).count()
    }
}

/// What a person is called in the header `AI-Client-Type`, who asks the tenant past offhours.
pub const PERSON: &str = "person";

/// True for a request that a person sent past offhours.
pub fn is_a_persons(entry: &Entry) -> bool {
    entry.client_type.as_deref() == Some(PERSON)
}

/// A directory in memory where there is one: thousands of commits are synced to the disk, and a power cut is not what
/// is tested here.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            invariants::check(self);
        }
    }
}

/// What a daemon does until `to`.
async fn play(executor: &Executor, agenda: &mut Agenda, to: DateTime<Utc>) -> Vec<Run> {
    let (mut runs, clock) = (Vec::new(), executor.clock.clone());
    let mut earliest_round = clock.now();
    loop {
        let now = clock.now();
        let due = executor.ledger.read(move |tx| tx.next_settlement_at(now)).await.unwrap();
        let round = due.map(|due| due.max(earliest_round));
        let next = [agenda.next(), round].into_iter().flatten().min().filter(|next| *next <= to);
        let Some(next) = next else { break };
        wait_until(&clock, next).await;
        let claimed = executor.beat(agenda).await.unwrap().runs;
        let claimed = claimed.into_iter().map(|run| executor.carry_out(run, silent()));
        runs.extend(join_all(claimed).await);
        if round.is_some_and(|round| round <= clock.now()) {
            settle::round(&executor.ledger, &executor.config, &executor.tenants, &clock).await.unwrap();
            earliest_round = clock.now() + TimeDelta::minutes(30);
        }
    }
    wait_until(&clock, to).await;
    runs
}

pub async fn wait_until(clock: &Clock, at: DateTime<Utc>) {
    while let Ok(wait) = (at - clock.now()).to_std() {
        if wait.is_zero() {
            break;
        }
        clock.pause(wait.max(Duration::from_millis(1))).await;
    }
}

/// Work that ends for good as soon as `dead` says so; asked whenever it could go on.
pub struct Mortal<'a, F, D> {
    pub work: Pin<&'a mut F>,
    pub dead: D,
}

impl<F: Future, D: FnMut() -> bool + Unpin> Future for Mortal<'_, F, D> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if (self.dead)() {
            return Poll::Ready(None);
        }
        self.work.as_mut().poll(context).map(Some)
    }
}
