//! Five years of a busy installation: 200 deployments stopped every night, in ten runs, with two mails each. Every
//! question that is asked each second or minute has to be answered at once.
//! `cargo bench --bench ledger`; it writes 900 MB below target/.

#![allow(missing_docs, clippy::unwrap_used, reason = "what goes wrong ends the measurement")]

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::rule::Mode;
use offhours::domain::run::{Firing, Trigger};
use offhours::domain::schedule::OffWindow;
use offhours::ledger::runs::{NewRun, RunFilter, RunId};
use offhours::ledger::{FILE, Ledger, LedgerError, Tx};

/// One night after the other, all settled but the last.
const FILL: &str = "
    WITH RECURSIVE night(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM night WHERE n < 1824),
                   rule(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM rule WHERE k < 9)
    INSERT INTO run (rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, finished_at,
                     result, open, executor)
    SELECT 'rule-' || k, ?1 + n * 86400000, 'dev', 'enforce', 'schedule', ?1 + n * 86400000,
           ?1 + n * 86400000 + 43200000, ?1 + n * 86400000, ?1 + n * 86400000 + 60000, 'done', 0, 'executor-x'
    FROM night, rule;
    ";
const FILL_ROWS: &str = "
    WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < 20)
    INSERT INTO deployment (run, resource_group, id, configuration_id, outcome, requested_at, confirmed_at, nodes,
                            node_count, charge, capacity_units_per_hour, state, node_hours)
    SELECT run.id, 'dev-a', printf('d%04d', (run.id % 10) * 20 + i), 'c1', 'stopped', scheduled_at, scheduled_at + 40000,
           '[{\"plan\":\"infer.s\",\"count\":1}]', 1, 'metered', '0.9', 'projected', '11.98'
    FROM run, number;
    ";
const SETTLE: &str = "
    INSERT INTO settlement (run, resource_group, id, settled_at, ended_by, avoided_from, avoided_to, node_hours, state)
    SELECT run, resource_group, d.id, window_to, 'window-end', confirmed_at, window_to, '11.98', 'settled'
    FROM deployment d JOIN run ON run.id = run WHERE window_to < ?1;
    ";
/// As the conclusion of the last night's runs leaves it.
const LIST: &str = "
    INSERT INTO unsettled (run, resource_group, id, connection, window_to)
    SELECT run, resource_group, d.id, connection, window_to
    FROM deployment d JOIN run ON run.id = run WHERE window_to >= ?1;
    ";
const FILL_MAILS: &str = "
    WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < 2)
    INSERT INTO mail (subject, recipient, message_id, created_at, state, attempts, next_attempt_at, done_at, bytes)
    SELECT 's', 'a@example.com', '<' || run.id || '-' || i || '@offhours>', finished_at, 'sent', 1, finished_at,
           finished_at, zeroblob(20000)
    FROM run, number;
    ";

fn evening() -> DateTime<Utc> {
    "2026-11-23T18:00:00Z".parse().unwrap()
}

/// A directory with five years of it.
fn five_years() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    drop(Ledger::open(directory.path()).unwrap());
    let first = evening() - TimeDelta::days(1824);
    let raw = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    raw.execute(FILL, [first.timestamp_millis()]).unwrap();
    raw.execute(FILL_ROWS, []).unwrap();
    raw.execute(SETTLE, [evening().timestamp_millis()]).unwrap();
    raw.execute(LIST, [evening().timestamp_millis()]).unwrap();
    raw.execute(FILL_MAILS, []).unwrap();
    directory
}

struct Bench<'a> {
    criterion: &'a mut Criterion,
    runtime: tokio::runtime::Runtime,
    ledger: Ledger,
}

impl Bench<'_> {
    fn read<T: Send + 'static>(
        &mut self,
        what: &str,
        work: impl Fn(&Tx<'_>) -> Result<T, LedgerError> + Send + Sync + Copy + 'static,
    ) {
        let (runtime, ledger) = (&self.runtime, &self.ledger);
        self.criterion.bench_function(what, |bencher| bencher.iter(|| runtime.block_on(ledger.read(work)).unwrap()));
    }

    /// A claim, its sync included.
    fn claim(&mut self) {
        let (runtime, ledger) = (&self.runtime, &self.ledger);
        let mut at = evening() + TimeDelta::days(1);
        let mut number = 0;
        self.criterion.bench_function("claim", |bencher| {
            bencher.iter(|| {
                (at, number) = (at + TimeDelta::seconds(1), number + 1);
                let new = NewRun {
                    firing: Firing { rule: RuleName::new(format!("new-{number}")).unwrap(), at },
                    connection: ConnectionName::new("dev").unwrap(),
                    mode: Mode::Enforce,
                    trigger: Trigger::Schedule,
                    off_window: OffWindow { from: at, to: at + TimeDelta::hours(12) },
                    started_at: at,
                    executor: "executor-x".to_owned(),
                };
                runtime.block_on(ledger.write(move |tx| tx.claim(&new))).unwrap()
            });
        });
    }
}

fn ledger(criterion: &mut Criterion) {
    let directory = five_years();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let mut bench = Bench { criterion, runtime, ledger };
    let (now, week) = (evening() + TimeDelta::hours(1), evening() - TimeDelta::days(7));
    // Each second or minute.
    bench.read("open runs", |tx| tx.open_runs());
    bench.read("newest instant", |tx| tx.newest_instant());
    bench.read("due mail", move |tx| tx.due_mail(now));
    bench.read("next mail", |tx| tx.next_mail_at());
    bench.read("next settlement", move |tx| tx.next_settlement_at(now));
    bench.read("holds", move |tx| tx.holds(now));
    // In each run.
    bench.read("asked by others", move |tx| tx.asked_by_others(RunId(1), &ResourceGroup::new("dev-a").unwrap(), now));
    bench.read("unsettled, 200", move |tx| {
        let group = tx.unsettled_groups(now)?.remove(0);
        tx.unsettled(&group, 0, 200, now)
    });
    // When a person asks.
    bench.read("history of a rule, a week", move |tx| {
        tx.history(&RunFilter { rule: Some(RuleName::new("rule-3").unwrap()), since: Some(week), before: None })
    });
    bench
        .read("history of all, a week", move |tx| tx.history(&RunFilter { since: Some(week), ..RunFilter::default() }));
    bench.read("history of an unknown rule, all", |tx| {
        tx.history(&RunFilter { rule: Some(RuleName::new("nobody").unwrap()), ..RunFilter::default() })
    });
    bench.read("avoided in a month", move |tx| tx.avoided_between(now - TimeDelta::days(30), now, None));
    bench.read("traces of a deployment", move |tx| tx.traces(&DeploymentId::new("d0123").unwrap(), now, 10));
    bench.read("outbox of a week", move |tx| tx.outbox(week));
    bench.read("mails given up", move |tx| tx.mails_given_up(week));
    bench.claim();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
