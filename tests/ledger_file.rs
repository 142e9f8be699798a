//! The ledger as files: who may read them, what a damaged one comes to, what happens when several processes open it at
//! once, and copies of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by where it failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::id::{ConnectionName, RuleName};
use offhours::domain::rule::Mode;
use offhours::domain::run::{Firing, Run, RunResult, Trigger};
use offhours::domain::schedule::OffWindow;
use offhours::ledger::backup::backup;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::runs::{Claim, Filter, NewRun, RunId};
use offhours::ledger::verify::verify;
use offhours::ledger::{FILE, Ledger, LedgerError};
use rusqlite::Connection;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn firing(executor: &str) -> NewRun {
    let from = utc("2026-11-23T18:00:00Z");
    NewRun {
        firing: Firing { rule: RuleName::new("evening").unwrap(), at: from },
        connection: ConnectionName::new("dev").unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        off_window: OffWindow { from, to: from + TimeDelta::hours(12) },
        started_at: from,
        executor: executor.to_owned(),
    }
}

fn concluded(new: &NewRun) -> Run {
    Run {
        firing: new.firing.clone(),
        connection: new.connection.clone(),
        mode: new.mode,
        trigger: new.trigger,
        started_at: new.started_at,
        finished_at: new.started_at,
        result: RunResult::Done,
        reason: String::new(),
        off_window: new.off_window,
        resumed: false,
        deployments: Vec::new(),
        left_out: offhours::domain::run::LeftOut::new(),
        tries: Vec::new(),
    }
}

fn mail() -> NewMail {
    NewMail {
        subject: "s".to_owned(),
        recipient: "a@example.com".to_owned(),
        message_id: "<1@offhours>".to_owned(),
        head: Vec::new(),
        letter: Letter { id: "1".to_owned(), bytes: vec![b'x'; 10_000].into() },
    }
}

async fn claim(ledger: &Ledger, new: NewRun) -> Claim {
    ledger.write(move |tx| tx.claim(&new)).await.unwrap()
}

async fn take(ledger: &Ledger, new: NewRun) -> RunId {
    match claim(ledger, new).await {
        Claim::Taken(id) => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_else_can_read_the_files_whatever_the_directory_allows() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let _lock = offhours::ledger::lock::ExecutorLock::take(directory.path()).unwrap();
    take(&ledger, firing("x")).await;
    let entries: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(entries.len() >= 4, "database, log, shared memory, lock");
    for entry in entries {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
}

#[test]
fn p10_many_may_make_the_same_new_ledger_at_once() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let start = Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    Ledger::open(directory.path()).unwrap();
                });
            }
            for _ in 0..2 {
                // A reader that comes before the ledger is made sees none.
                scope.spawn(|| {
                    start.wait();
                    Ledger::open_to_read(directory.path()).unwrap();
                });
            }
        });
        assert!(Ledger::open_to_read(directory.path()).unwrap().is_some());
    }
}

#[tokio::test]
async fn readers_see_whole_runs_while_a_daemon_writes() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let reader = Ledger::open_to_read(directory.path()).unwrap().unwrap();
    for hour in 0..50 {
        let mut new = firing("x");
        new.firing.at += TimeDelta::hours(hour);
        let run = concluded(&new);
        let id = take(&ledger, new).await;
        ledger.write(move |tx| tx.finish(id, &run)).await.unwrap();
        let seen = reader.read(|tx| tx.history(&Filter::default())).await.unwrap();
        assert_eq!(i64::try_from(seen.len()).unwrap(), hour + 1);
    }
    let refused = reader.write(|tx| tx.enqueue(&[mail()], utc("2026-11-23T18:00:00Z"))).await;
    assert!(refused.is_err(), "a reader writes nothing");
}

// A commit whose last sync fails may be on the disk all the same. Asked again, the ledger must not call the executor's
// own claim a duplicate: nobody would carry it out.
#[tokio::test]
async fn p05_a_claim_whose_commit_only_seemed_to_fail_is_still_its_executors() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let id = take(&ledger, firing("daemon")).await;
    assert_eq!(claim(&ledger, firing("daemon")).await, Claim::Taken(id));
    assert_eq!(claim(&ledger, firing("other")).await, Claim::Duplicate);
    let run = concluded(&firing("daemon"));
    ledger.write(move |tx| tx.finish(id, &run)).await.unwrap();
    assert_eq!(claim(&ledger, firing("daemon")).await, Claim::Duplicate);
}

// The same with a run's end: written once more, it must neither fail for ever on the mail's unique id nor mail twice.
#[tokio::test]
async fn p06_a_run_that_is_concluded_again_changes_nothing_and_mails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let id = take(&ledger, firing("daemon")).await;
    for first in [true, false] {
        let run = concluded(&firing("daemon"));
        let concluded = ledger.write(move |tx| {
            let concluded = tx.finish(id, &run)?;
            tx.enqueue(&[mail()], run.finished_at)?;
            Ok(concluded)
        });
        assert_eq!(concluded.await.unwrap(), first);
    }
    assert_eq!(ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn p07_a_page_that_is_damaged_is_called_damage_and_verify_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    ledger.write(|tx| tx.enqueue(&[mail()], utc("2026-11-23T18:00:00Z"))).await.unwrap();
    drop(ledger);
    let file = directory.path().join(FILE);
    assert!(verify(&file).unwrap().is_whole());
    let whole = fs::read(&file).unwrap();
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..16].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&file, &damaged).unwrap();
        let opened = Ledger::open(directory.path());
        assert!(matches!(&opened, Ok(_) | Err(LedgerError::Damaged { .. })), "page {page}: {opened:?}");
        if let Ok(ledger) = opened {
            let read = ledger.read(|tx| tx.history(&Filter::default())).await;
            assert!(matches!(&read, Ok(_) | Err(LedgerError::Damaged { .. })), "page {page}: {read:?}");
        }
        let verdict = verify(&file);
        let found =
            matches!(&verdict, Err(LedgerError::Damaged { .. })) || verdict.as_ref().is_ok_and(|v| !v.is_whole());
        assert!(found, "page {page}: {verdict:?}");
        assert_eq!(fs::read(&file).unwrap(), damaged, "and nothing was repaired behind anybody's back");
    }
}

#[tokio::test]
async fn a_backup_beside_a_writer_is_whole_private_and_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    ledger.write(|tx| tx.enqueue(&[mail()], utc("2026-11-23T18:00:00Z"))).await.unwrap();
    take(&ledger, firing("x")).await;
    let copy = directory.path().join("copy.sqlite3");
    let verdict = backup(directory.path(), &copy).unwrap();
    assert_eq!((verdict.runs, verdict.mails, verdict.is_whole()), (1, 1, true));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verify(&copy).unwrap(), verdict);

    assert!(matches!(backup(directory.path(), &copy), Err(LedgerError::Backup { .. })), "never over an older one");
    let nowhere = backup(Path::new("/nonexistent"), &directory.path().join("other"));
    assert!(matches!(nowhere, Err(LedgerError::Directory { .. })), "{nowhere:?}");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("part") || name == "other"), "{left:?}");

    // Restored, it is a ledger like any other.
    let restored = tempfile::tempdir().unwrap();
    fs::copy(&copy, restored.path().join(FILE)).unwrap();
    let ledger = Ledger::open(restored.path()).unwrap();
    assert_eq!(claim(&ledger, firing("y")).await, Claim::Duplicate);
}

#[test]
fn p04_a_log_is_kept_and_every_commit_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    drop(Ledger::open(directory.path()).unwrap());
    let connection = Connection::open(directory.path().join(FILE)).unwrap();
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn p07_a_directory_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Ledger::open(directory.path()), Err(LedgerError::Exposed(_))));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "and nothing was written there");
}
