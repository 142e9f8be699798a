//! Settling what a large night has stopped: in small steps, and each with little work. The ledger as everybody else finds
//! it meanwhile.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::poll;
use offhours::accounting::settle::{AT_ONCE, settle_group};
use offhours::domain::deployment::{Deployment, Status};
use offhours::domain::id::{DeploymentId, RuleName};
use offhours::domain::run::EndedBy;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::runs::RunFilter;
use offhours::ledger::{FILE, Ledger};
use rusqlite::Connection;

use crate::support::given::{deployment, evening};

/// Deployments of one configuration.
const SIBLINGS: usize = 20;

/// A run that stopped so many of one group, concluded and not settled: `d000000` and so on, twenty of a configuration.
const STOPPED: &str = "
    INSERT INTO run (id, rule, scheduled_at, connection, mode, trigger, window_from, window_to, started_at, finished_at,
                     result, open, executor)
    VALUES (1, 'nights', :from, 'dev', 'enforce', 'schedule', :from, :to, :from, :from + 60000, 'done', 0, 'executor-x');";
const ROWS: &str = "
    WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ?2 - 1)
    INSERT INTO deployment (run, resource_group, id, configuration_id, outcome, requested_at, confirmed_at, nodes, node_count,
                            charge, capacity_units_per_hour, state, node_hours)
    SELECT 1, 'dev-a', printf('d%06d', n), 'c' || (n / 20), 'stopped', ?1 + 1000, ?1 + 40000, '[]', 1, 'metered', '0.9',
           'projected', '11.98'
    FROM number;";
const LIST: &str = "
    INSERT INTO unsettled (run, resource_group, id, connection, window_to)
    SELECT run, resource_group, id, 'dev', ?1 FROM deployment;";

fn window_to() -> DateTime<Utc> {
    evening() + TimeDelta::hours(12)
}

fn with_stopped(directory: &Path, rows: usize) -> Ledger {
    let ledger = Ledger::open(directory).unwrap();
    let raw = Connection::open(directory.join(FILE)).unwrap();
    let (from, to) = (evening().timestamp_millis(), window_to().timestamp_millis());
    raw.execute(STOPPED, &[(":from", &from), (":to", &to)]).unwrap();
    raw.execute(ROWS, (from, i64::try_from(rows).unwrap())).unwrap();
    raw.execute(LIST, [to]).unwrap();
    ledger
}

/// The group as it is listed later: the stopped ones, and as many more as make `all`. Of every tenth configuration
/// somebody has made another one at midnight.
fn listed(rows: usize, all: usize) -> Vec<Deployment> {
    let midnight = evening() + TimeDelta::hours(5);
    (0..all)
        .map(|n| {
            let back = (all - 1 - n) * 10;
            let replaces = n >= rows && back < rows / SIBLINGS;
            let configuration = if replaces { back } else { n / SIBLINGS };
            Deployment {
                id: DeploymentId::new(format!("d{n:06}")).unwrap(),
                configuration_id: format!("c{configuration}"),
                status: if n < rows { Status::Stopped } else { Status::Running },
                created_at: Some(if replaces { midnight } else { evening() - TimeDelta::days(3) }),
                ..deployment()
            }
        })
        .collect()
}

/// Something to write.
fn cursor() -> Cursor {
    Cursor { schedule: "0 19 * * *".to_owned(), after: evening() }
}

/// Commits that the write-ahead log holds: each ends with a frame that says how large the database is then.
fn commits(log: &Path) -> usize {
    const HEAD: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = fs::read(log).unwrap();
    let frames = log.get(HEAD..).unwrap().chunks_exact(FRAME);
    // The salt changes when the log begins anew; what is left of its earlier life does not count.
    frames.filter(|frame| frame[8..16] == log[16..24] && frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn p44_twenty_thousand_of_a_hundred_thousand_are_settled_in_steps_of_two_hundred() {
    const STOPPED: usize = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let ledger = with_stopped(directory.path(), STOPPED);
    let list = listed(STOPPED, 100_000);
    let now = window_to() + TimeDelta::minutes(1);
    let group = ledger.read(move |tx| tx.unsettled_groups(now)).await.unwrap().remove(0);
    assert_eq!(usize::try_from(group.overdue).unwrap(), STOPPED);
    // As long as somebody looks at a state that is in the log, the log keeps all that comes after it.
    ledger.write(|tx| tx.move_cursor(&RuleName::new("r").unwrap(), &cursor())).await.unwrap();
    let mut onlooker = Connection::open(directory.path().join(FILE)).unwrap();
    let old = onlooker.transaction().unwrap();
    let _: i64 = old.query_row("SELECT count(*) FROM settlement", [], |row| row.get(0)).unwrap();
    let log = directory.path().join(format!("{FILE}-wal"));
    let before = commits(&log);

    let started = std::time::Instant::now();
    assert_eq!(settle_group(&ledger, group, list, now).await.unwrap(), STOPPED);
    println!("settled {STOPPED} in {:?}", started.elapsed());
    assert_eq!(commits(&log) - before, STOPPED / AT_ONCE, "each a full step");
    drop(old);

    assert_eq!(ledger.read(move |tx| tx.count_unsettled(now)).await.unwrap(), 0);
    let run = ledger.read(|tx| tx.history(&RunFilter::default())).await.unwrap().remove(0);
    let settlements: Vec<_> = run.deployments.iter().map(|row| row.settlement.as_ref().unwrap()).collect();
    let replaced = settlements.iter().filter(|one| matches!(one.ended_by, EndedBy::Replacement(_))).count();
    let leaks = settlements.iter().filter(|one| one.leak.is_some()).count();
    let configurations = STOPPED / SIBLINGS / 10;
    assert_eq!((replaced, leaks), (configurations * SIBLINGS, configurations), "one leak for each that came back");
    let next = ledger.read(move |tx| tx.next_settlement_at(now)).await.unwrap();
    assert_eq!(next, None, "nothing is looked at a third time");
}

/// What was stopped after the list was read is not in it, and was deleted by nobody.
#[tokio::test]
async fn p44_a_list_is_no_evidence_of_what_came_up_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = with_stopped(directory.path(), 1);
    let now = evening() + TimeDelta::hours(2);
    let group = ledger.read(move |tx| tx.unsettled_groups(now)).await.unwrap().remove(0);
    let raw = Connection::open(directory.path().join(FILE)).unwrap();
    raw.execute_batch(
        "CREATE TEMP TABLE copy AS SELECT * FROM deployment;
         UPDATE copy SET id = 'd999999';
         INSERT INTO deployment SELECT * FROM copy;
         INSERT INTO unsettled (run, resource_group, id, connection, window_to)
         SELECT run, resource_group, 'd999999', connection, window_to FROM unsettled;",
    )
    .unwrap();
    assert_eq!(settle_group(&ledger, group, Vec::new(), now).await.unwrap(), 1, "the one that the list lacks");
    assert_eq!(
        ledger.read(move |tx| tx.count_unsettled(now)).await.unwrap(),
        1,
        "the newer one waits for another list"
    );
}

/// The heartbeat is the one that waits.
#[tokio::test]
async fn p44_whoever_waits_to_write_comes_before_the_next_step_of_who_writes_now() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let write = |name: &'static str, until: Option<mpsc::Receiver<()>>| {
        let (ledger, order) = (ledger.clone(), Arc::clone(&order));
        async move {
            let work = ledger.write(move |tx| {
                order.lock().unwrap().push(name);
                if let Some(until) = until {
                    until.recv().unwrap();
                }
                tx.move_cursor(&RuleName::new("r").unwrap(), &cursor())
            });
            work.await.unwrap();
        }
    };
    let (go_on, until) = mpsc::channel();
    let (mut step, mut beat, mut next) =
        (pin!(write("step", Some(until))), pin!(write("beat", None)), pin!(write("next step", None)));
    for waiting in [poll!(&mut step), poll!(&mut beat), poll!(&mut next)] {
        assert!(waiting.is_pending());
    }
    // Whoever only reads waits for nobody.
    assert!(ledger.read(|tx| tx.cursors()).await.unwrap().is_empty());
    go_on.send(()).unwrap();
    tokio::join!(next, beat, step);
    assert_eq!(*order.lock().unwrap(), ["step", "beat", "next step"]);
}

/// A report over years, or whatever else reads for long, keeps nobody from claiming.
#[tokio::test]
async fn p44_a_long_read_keeps_nobody_from_writing_or_reading() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let (go_on, until) = mpsc::channel();
    let mut long = pin!(ledger.read(move |tx| {
        let before = tx.cursors()?.len();
        until.recv().unwrap();
        Ok((before, tx.cursors()?.len()))
    }));
    assert!(poll!(&mut long).is_pending());
    ledger.write(|tx| tx.move_cursor(&RuleName::new("r").unwrap(), &cursor())).await.unwrap();
    assert_eq!(ledger.read(|tx| tx.cursors()).await.unwrap().len(), 1, "what is written is read at once");
    go_on.send(()).unwrap();
    let (before, after) = long.await.unwrap();
    assert_eq!(before, after, "and it reads one state");
}
