//! A week of virtual time in one process, with a fault at every hundredth request: what it needs in memory after a day
//! is what it needs after a week. A target of its own, because memory is counted for the whole process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by where it failed")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use offhours::accounting::settle;
use offhours::aicore::Options;
use offhours::clock::{self, Clock};
use offhours::config;
use offhours::domain::agenda::Agenda;
use offhours::domain::cron::Cron;
use offhours::domain::run::Run;
use offhours::executor::Executor;
use offhours::executor::progress::silent;
use offhours::executor::tenants::Tenants;
use offhours::ledger::Ledger;
use offhours::ledger::lock::ExecutorLock;
use offhours::mailer::Mailer;
use offhours::simulator::{Fault, Fleet, Redeployed, Simulator};
use tokio_util::sync::CancellationToken;

#[path = "support/given.rs"]
mod given;

/// Each fires every two hours.
const RULES: usize = 10;
const DAYS: i64 = 7;
/// Resident memory may grow so much from the end of the first day to the end of the last. SQLite's cache of pages is
/// part of it, and has a limit of 2 MB.
const MOST_GROWTH_KIB: i64 = 5 * 1024;

/// The resident set of this process: offhours, its ledger's cache, and the simulator with the tenant as it is now. The
/// simulator's journal is taken out every hour, because only a test keeps such a thing.
fn resident_kib() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn fleet() -> Fleet {
    let again = Redeployed::new(Cron::parse("5 1-23/2 * * *").unwrap(), clock::zone("Europe/Berlin").unwrap());
    let mut fleet = Fleet::new();
    fleet.tenant.tidied_after = Some(Duration::from_secs(6 * 60 * 60));
    for number in 0..RULES {
        let group = format!("dev-{number}");
        fleet = fleet.group(&group).running_many(&format!("d{number}"), 2, "infer.s").redeployed(&again);
    }
    fleet
}

fn write_files(directory: &Path, service_key: &str) {
    fs::create_dir(directory.join("schedules")).unwrap();
    fs::write(directory.join("offhours.toml"), given::main_file()).unwrap();
    for number in 0..RULES {
        let rule = format!(
            "[[rule]]\nname = \"rule-{number}\"\nstop = \"{number} */2 * * *\"\nuntil = \"0 1-23/2 * * *\"\n\
             min_age = \"10m\"\n[rule.select]\nresource_groups = [\"dev-{number}\"]\n"
        );
        fs::write(directory.join(format!("schedules/{number}.toml")), rule).unwrap();
    }
    let key = directory.join("dev.json");
    fs::write(&key, service_key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

fn faults(seed: u64) -> impl Iterator<Item = Fault> {
    let mut random = fastrand::Rng::with_seed(seed);
    let faults = [
        Fault::on("*", "").answers(503),
        Fault::on("*", "").answers(401),
        Fault::on("*", "").drops(),
        Fault::on("*", "").hangs(),
        Fault::on("GET", "").truncates(),
        Fault::on("PATCH", "").does_but_drops(),
    ];
    faults.into_iter().map(move |fault| fault.by_chance(500, random.u64(..)))
}

/// A daemon's work, and what was seen of it.
struct Soak {
    executor: Executor,
    agenda: Agenda,
    simulator: Simulator,
    runs: usize,
    requests: usize,
    faulty: usize,
}

impl Soak {
    /// An hour: what comes due is carried out, then mails leave and avoided costs are settled.
    async fn hour(&mut self) {
        let Executor { ledger, config, tenants, clock, shutdown, .. } = self.executor.clone();
        let end = clock.now() + TimeDelta::hours(1);
        let mut runs = FuturesUnordered::new();
        while let Some(next) = self.agenda.next().filter(|next| *next <= end) {
            self.wait_until(next, &mut runs).await;
            for run in self.executor.beat(&mut self.agenda).await.unwrap().runs {
                let executor = self.executor.clone();
                runs.push(async move { executor.carry_out(run, silent()).await });
            }
        }
        self.wait_until(end, &mut runs).await;
        while runs.next().await.is_some() {
            self.runs += 1;
        }
        settle::round(&ledger, &config, &tenants, &clock).await.unwrap();
        let mailer = Mailer { ledger, clock, shutdown };
        mailer.deliver_due(config.mail.as_ref().unwrap()).await.unwrap();
        assert_eq!(self.simulator.violations(), []);
        let journal = self.simulator.take_journal();
        self.requests += journal.len();
        self.faulty += journal.iter().filter(|entry| entry.status.is_none_or(|status| status >= 400)).count();
    }

    async fn wait_until<F: Future<Output = Run>>(&mut self, at: DateTime<Utc>, runs: &mut FuturesUnordered<F>) {
        let clock = self.executor.clock.clone();
        while let Some(wait) = (at - clock.now()).to_std().ok().filter(|wait| !wait.is_zero()) {
            tokio::select! {
                () = clock.pause(wait.max(Duration::from_millis(1))) => {}
                Some(_) = runs.next() => self.runs += 1,
            }
        }
    }
}

/// `SEED=n` repeats a run.
#[test]
fn a_week_needs_no_more_memory_than_a_day() {
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("SEED={seed}");
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::start_virtual("2026-03-25T12:30:00Z".parse().unwrap());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(fleet(), clock.clone(), listen).await.unwrap();
        write_files(home.path(), &simulator.service_key());
        faults(seed).for_each(|fault| simulator.inject(fault));
        let (config, _) = config::load_at(&home.path().join("offhours.toml"), clock.now()).unwrap();
        let ledger = Ledger::open(&config.state_dir).unwrap();
        let lock = ExecutorLock::take(ledger.directory()).unwrap();
        let executor = Executor {
            config: Arc::new(config),
            ledger,
            tenants: Arc::new(Tenants::new(Options { clock: clock.clone(), ..Options::default() })),
            clock,
            shutdown: CancellationToken::new(),
            name: lock.name().into(),
            built: DateTime::UNIX_EPOCH,
            slots: offhours::executor::slots(),
        };
        let agenda = executor.agenda().await.unwrap();
        let mut soak = Soak { executor, agenda, simulator, runs: 0, requests: 0, faulty: 0 };
        let mut days = Vec::new();
        for _ in 0..DAYS {
            for _ in 0..24 {
                soak.hour().await;
            }
            days.push(resident_kib());
        }
        let Soak { runs, requests, faulty, .. } = soak;
        println!("{runs} runs, {requests} requests, {faulty} without a good answer; KiB after each day: {days:?}");
        assert!(runs > RULES * 11 * 7, "{runs} runs");
        assert!(faulty * 200 > requests, "{faulty} of {requests} requests met a fault");
        let growth = days.last().unwrap() - days.first().unwrap();
        assert!(growth <= MOST_GROWTH_KIB, "{growth} KiB more than after the first day: {days:?}");
    });
}
