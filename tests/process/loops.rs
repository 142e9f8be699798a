//! kill -9 again and again: at random, at each write, sync and send in turn, and after the disk has failed; also while
//! AI Core is away, and offhours tries again and again to list and to ask. Run by `tests/kill.sh`.
//!
//! A rule fires every few seconds, deployments keep appearing, and the daemon is killed in the midst of it. In the end
//! it is left alone, and then the books must agree: each firing once, each stop once, each mail once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use offhours::domain::deployment::Status;
use offhours::domain::run::RunResult;
use offhours::ledger::{FILE, verify::verify};
use offhours::simulator::{Entry, Fault, Fleet, Spec};

use crate::process::bench::{Bench, PASSWORD, mail_to, rule, waits_until};
use crate::support::smtp::Sink;

/// Kills where `KILLS` does not say otherwise.
const KILLS: usize = 150;
/// Benches at work together; they mostly wait.
const WORKERS: usize = 6;
/// The longest life of a daemon that is killed at random.
const LONGEST_LIFE: Duration = Duration::from_millis(4_500);
/// Calls at which the daemon is killed in turn.
const CALLS: [&str; 3] = ["pwrite64", "fsync,fdatasync", "sendto,writev"];
/// Stopped deployments are tidied away after so many kills.
const KEPT: usize = 12;

/// What came of one bench, or of all.
#[derive(Debug, Default)]
struct Count {
    random: usize,
    ill: usize,
    swept: BTreeMap<&'static str, usize>,
    survived: usize,
    outages: usize,
    unanswered: usize,
    firings: usize,
    resumed: usize,
    stops: usize,
    mails: usize,
    doubled_firings: usize,
    repeated_stops: usize,
    lost_stops: usize,
    lost_mails: usize,
    doubled_mails: usize,
    changed_mails: usize,
    faults: Vec<String>,
}

impl Count {
    fn kills(&self) -> usize {
        self.random + self.ill + self.swept.values().sum::<usize>()
    }

    fn add(&mut self, other: Self) {
        self.random += other.random;
        self.ill += other.ill;
        other.swept.into_iter().for_each(|(call, kills)| *self.swept.entry(call).or_default() += kills);
        for (sum, more) in [
            (&mut self.survived, other.survived),
            (&mut self.outages, other.outages),
            (&mut self.unanswered, other.unanswered),
            (&mut self.firings, other.firings),
            (&mut self.resumed, other.resumed),
            (&mut self.stops, other.stops),
            (&mut self.mails, other.mails),
            (&mut self.doubled_firings, other.doubled_firings),
            (&mut self.repeated_stops, other.repeated_stops),
            (&mut self.lost_stops, other.lost_stops),
            (&mut self.lost_mails, other.lost_mails),
            (&mut self.doubled_mails, other.doubled_mails),
            (&mut self.changed_mails, other.changed_mails),
        ] {
            *sum += more;
        }
        self.faults.extend(other.faults);
    }
}

#[test]
#[ignore = "minutes; tests/kill.sh runs it"]
fn a_daemon_that_is_killed_all_the_time_does_everything_once() {
    let kills = std::env::var("KILLS").ok().map_or(KILLS, |text| text.parse().unwrap());
    let seed = std::env::var("SEED").ok().map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("SEED={seed}");
    let started = Instant::now();
    let workers = WORKERS.min(kills);
    let share = |worker: usize| kills / workers + usize::from(worker < kills % workers);
    let mut all = Count::default();
    thread::scope(|scope| {
        let counts: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || work(worker, share(worker), fastrand::Rng::with_seed(seed + worker as u64)))
            })
            .collect();
        for count in counts {
            all.add(count.join().unwrap());
        }
    });
    let bound = 3.0 / f64::from(u32::try_from(all.kills()).unwrap());
    println!("{all:#?}");
    println!(
        "{} kills in {} s: {} doubled firings, {} repeated stops, {} lost stops, {} lost mails, {} mails twice\n\
         (none in n kills bounds the chance of one per kill to 3/n = {bound:.1e}, at 95 %)",
        all.kills(),
        started.elapsed().as_secs(),
        all.doubled_firings,
        all.repeated_stops,
        all.lost_stops,
        all.lost_mails,
        all.doubled_mails
    );
    assert_eq!(
        (all.doubled_firings, all.repeated_stops, all.lost_stops, all.lost_mails, all.changed_mails),
        (0, 0, 0, 0, 0)
    );
    assert!(all.doubled_mails <= all.kills(), "at most one mail twice per kill");
    assert_eq!(all.faults, Vec::<String>::new());
}

fn work(worker: usize, kills: usize, mut random: fastrand::Rng) -> Count {
    let bench = Bench::new(Fleet::new().group("dev-a"), &rule("evening", "*/4 * * * * *"));
    let sink = bench.runtime.block_on(Sink::start(|_, _| None));
    bench.secret_file("smtp-password", PASSWORD);
    bench.configure(&mail_to(sink.port));
    let mut count = Count::default();
    // Each bench begins its sweep with another call.
    let (mut call, mut when) = (worker % CALLS.len(), 1);
    let mut placed = 0;
    while count.kills() < kills {
        for _ in 0..random.usize(0..3) {
            placed += 1;
            let spec = Spec::running("dev-a", &format!("d{placed:05}"), "infer.s");
            bench.simulator.place(Spec { stop_after: TimeDelta::milliseconds(random.i64(0..3_000)), ..spec });
        }
        tidy(&bench);
        count.outages += usize::from(goes_away(&bench, &mut random));
        let fate = random.u8(0..5);
        if fate == 0 {
            ill(&bench, &mut random);
            count.ill += 1;
            continue;
        }
        if fate < 3 {
            let daemon = bench.daemon_as(bench.command(&["run"]));
            thread::sleep(LONGEST_LIFE.mul_f64(random.f64()));
            daemon.kill();
            count.random += 1;
            continue;
        }
        let inject = format!("inject={}:signal=SIGKILL:when={when}", CALLS[call]);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-D", "-qq", "-o", "/dev/null", "-e", &format!("trace={}", CALLS[call]), "-e", &inject]);
        let mut daemon = bench.daemon_within(&mut strace);
        let born = Instant::now();
        while daemon.is_up() && born.elapsed() < LONGEST_LIFE {
            thread::sleep(Duration::from_millis(5));
        }
        if daemon.is_up() {
            // It does not call this so often in a life: on to the next.
            daemon.kill();
            (call, when) = ((call + 1) % CALLS.len(), 1);
            count.survived += 1;
        } else {
            *count.swept.entry(CALLS[call]).or_default() += 1;
            when += 1 + usize::from(when > 40) * random.usize(0..20);
        }
    }
    settle(&bench, &mut count, &sink);
    count
}

/// Now and then AI Core is away for so many requests, whoever asks: one daemon after the other, between their kills.
/// True where it goes.
fn goes_away(bench: &Bench, random: &mut fastrand::Rng) -> bool {
    let away = Fault::on(["GET", "PATCH", "*"][random.usize(..3)], "").times(random.usize(4..40));
    let away = match random.u8(..15) {
        0 | 1 => away.answers(503),
        2 => away.drops(),
        // Done, and never heard of again.
        3 => Fault::on("PATCH", "").times(random.usize(1..4)).does_but_drops(),
        _ => return false,
    };
    bench.simulator.inject(away);
    true
}

/// A daemon whose disk fails for a while, at a random write or sync, before it is killed.
fn ill(bench: &Bench, random: &mut fastrand::Rng) {
    let (calls, error) = if random.bool() { ("fsync,fdatasync", "EIO") } else { ("pwrite64", "ENOSPC") };
    let (from, calls_long) = (random.usize(1..60), random.usize(0..6));
    let inject = format!("inject={calls}:error={error}:when={from}..{}", from + calls_long);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-D", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject]);
    let daemon = bench.daemon_within(&mut strace);
    thread::sleep(LONGEST_LIFE.mul_f64(0.3 + random.f64()));
    daemon.kill();
}

/// Somebody deletes what has been stopped for a while, so that lists stay short.
fn tidy(bench: &Bench) {
    let stopped: Vec<_> =
        bench.simulator.statuses().into_iter().filter(|(_, _, status)| *status == Status::Stopped).collect();
    for (group, id, _) in stopped.iter().take(stopped.len().saturating_sub(KEPT)) {
        bench.simulator.delete(group, id);
    }
}

/// How often a deployment was asked to stop that had accepted its stop. Each of them does what it accepts.
fn asked_again(journal: &[Entry]) -> usize {
    let (mut accepted, mut again) = (BTreeSet::new(), 0);
    for entry in journal.iter().filter(|entry| entry.is_patch()) {
        again += entry.patched_ids().iter().filter(|id| accepted.contains(*id)).count();
        let done = entry.effects.iter().filter(|effect| effect.refused.is_none());
        accepted.extend(done.map(|effect| effect.id.clone()));
    }
    again
}

/// Leaves the daemon alone until everything is done, and compares the books.
fn settle(bench: &Bench, count: &mut Count, sink: &Sink) {
    bench.simulator.heal();
    let daemon = bench.daemon();
    let started = Instant::now();
    let is_done = || {
        let off = bench.simulator.statuses().iter().all(|(_, _, status)| status.is_off());
        off && bench.mails().iter().filter(|mail| mail.done_at.is_none()).count() <= 1
    };
    while !is_done() && started.elapsed() < Duration::from_secs(600) {
        thread::sleep(Duration::from_millis(500));
    }
    // Nothing more comes due, and what has begun comes to its end.
    bench.write("schedules/rules.toml", &rule("evening", "0 0 1 1 *"));
    daemon.signal("HUP");
    daemon.waits_for_log("configuration reloaded");
    waits_until("the end of the last run, and its mail", || {
        bench.open_runs() == 0 && bench.mails().iter().all(|mail| mail.done_at.is_some())
    });
    assert!(daemon.ends().success());

    let history = bench.history();
    count.firings = history.len();
    count.resumed = history.iter().filter(|run| run.resumed).count();
    count.doubled_firings = count.firings - history.iter().map(|run| run.firing.clone()).collect::<BTreeSet<_>>().len();
    count.stops = bench.asked().len();
    count.repeated_stops = bench.simulator.violations().len();
    count.lost_stops = bench.simulator.statuses().iter().filter(|(_, _, status)| !status.is_off()).count();
    count.faults = verify(&bench.state().join(FILE)).unwrap().faults;
    let journal = bench.simulator.journal();
    count.unanswered = journal.iter().filter(|entry| entry.status.is_none_or(|status| status >= 500)).count();
    count.repeated_stops += asked_again(&journal);

    // One mail for each run, and one for all firings that were found missed together.
    let missed: BTreeSet<_> =
        history.iter().filter(|run| run.result == RunResult::Missed).map(|run| run.started_at).collect();
    let runs = history.iter().filter(|run| run.result != RunResult::Missed).count();
    let mails = bench.mails();
    count.mails = mails.len();
    count.lost_mails = (runs + missed.len()).abs_diff(mails.len());
    if count.lost_mails > 0 {
        let runs: Vec<_> =
            history.iter().map(|run| (run.firing.at, run.result, run.started_at, run.finished_at)).collect();
        let mails: Vec<_> = mails.iter().map(|mail| (mail.created_at, &mail.subject)).collect();
        count.faults.push(format!("runs and mails do not fit: {runs:#?} {mails:#?}"));
    }
    let mut received: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (_, bytes) in sink.mails() {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned();
        received.entry(id).or_default().push(bytes);
    }
    count.lost_mails += mails.iter().filter(|mail| !received.contains_key(&mail.message_id)).count();
    count.doubled_mails = received.values().map(|copies| copies.len() - 1).sum();
    count.changed_mails = received.values().filter(|copies| copies.iter().any(|copy| copy != &copies[0])).count();
}
