//! The ledger as files: who may read them, what a damaged one comes to, what happens when several processes open it at
//! once, and copies of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use offhours::domain::id::{ConnectionName, RuleName};
use offhours::domain::rule::Mode;
use offhours::domain::run::{Firing, Run, RunResult, Trigger};
use offhours::domain::schedule::OffWindow;
use offhours::ledger::backup::backup;
use offhours::ledger::lock::{DaemonLock, ExecutorLock, OutboxLock};
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::runs::{Claim, NewRun, RunFilter, RunId};
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
    new.ended(RunResult::Done, Vec::new(), new.started_at)
}

fn mail() -> NewMail {
    NewMail {
        subject: "s".to_owned(),
        recipient: "a@example.com".to_owned(),
        message_id: "<1@offhours>".to_owned(),
        head: Vec::new(),
        letter: Letter { id: "1".to_owned(), bytes: vec![b'x'; 10_000].into() },
        useless_from: None,
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
        let seen = reader.read(|tx| tx.history(&RunFilter::default())).await.unwrap();
        assert_eq!(i64::try_from(seen.len()).unwrap(), hour + 1);
    }
    let refused = reader.write(|tx| tx.enqueue(&[mail()], utc("2026-11-23T18:00:00Z"))).await;
    assert!(refused.is_err(), "a reader writes nothing");
}

/// A thousand groups may ask at once, and a process may have a thousand files open.
#[tokio::test]
async fn however_many_read_at_once_a_few_connections_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let file = directory.path().join(FILE);
    let is_open = move |entry: std::io::Result<fs::DirEntry>| {
        fs::read_link(entry.unwrap().path()).is_ok_and(|target| target == file)
    };
    let reads = (0..1_000).map(|_| {
        let is_open = is_open.clone();
        ledger.read(move |tx| {
            tx.open_runs()?;
            Ok(fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| is_open(entry).then_some(())).count())
        })
    });
    let most = join_all(reads).await.into_iter().map(Result::unwrap).max().unwrap();
    assert!(most <= 5, "{most}: one that writes and four that read");
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
            let read = ledger.read(|tx| tx.history(&RunFilter::default())).await;
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
    assert!(matches!(nowhere, Err(LedgerError::Missing(_))), "{nowhere:?}");
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

/// What a person is told.
fn told<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn p41_a_state_directory_of_somebody_else_is_refused_and_nothing_is_written_there() {
    const NOBODY: u32 = 65534;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("state");
    drop(Ledger::open(&directory).unwrap());
    if chown(&directory, Some(NOBODY), None).is_err() {
        eprintln!("skipped: only root can give a directory away");
        return;
    }
    let before = names(&directory);
    let whose = format!("belongs to user {NOBODY}");
    for refused in [
        told(Ledger::open(&directory)),
        told(Ledger::open_to_read(&directory)),
        told(DaemonLock::take(&directory)),
        told(ExecutorLock::take(&directory)),
        told(backup(&directory, &home.path().join("copy"))),
    ] {
        assert!(refused.contains(&whose), "{refused}");
    }
    assert_eq!(names(&directory), before);
    // A link to a directory of one's own is what systemd makes of `StateDirectory=` for a user that it made up.
    chown(&directory, Some(0), None).unwrap();
    let link = home.path().join("link");
    symlink(&directory, &link).unwrap();
    drop(Ledger::open(&link).unwrap());
    lchown(&link, Some(NOBODY), None).unwrap();
    assert!(Ledger::open_to_read(&link).unwrap().is_some());
}

/// Puts something that is about the first file where the second should be.
type Plant = fn(&Path, &Path);

#[test]
fn p42_no_lock_is_taken_through_a_link_and_nothing_that_is_not_ours_is_emptied() {
    const PRECIOUS: &str = "a file that somebody needs";
    let home = tempfile::tempdir().unwrap();
    let precious = home.path().join("precious");
    let plants: [(&str, Plant); 5] = [
        ("a link", |victim, lock| symlink(victim, lock).unwrap()),
        ("a link to nowhere", |victim, lock| symlink(victim.with_extension("new"), lock).unwrap()),
        ("a second name", |victim, lock| fs::hard_link(victim, lock).unwrap()),
        ("another kind of file", |victim, lock| assert!(fs::copy(victim, lock).unwrap() > 0)),
        ("a pipe", |_, lock| assert!(Command::new("mkfifo").arg(lock).status().unwrap().success())),
    ];
    for (plant, planted) in plants {
        for lock in ["daemon.lock", "outbox.lock"] {
            let directory = tempfile::tempdir_in(home.path()).unwrap();
            fs::write(&precious, PRECIOUS).unwrap();
            planted(&precious, &directory.path().join(lock));
            let refused = match lock {
                "daemon.lock" => told(DaemonLock::take(directory.path())),
                _ => told(OutboxLock::take(directory.path())),
            };
            assert!(refused.contains(lock), "{plant}: {refused}");
            assert_eq!(fs::read_to_string(&precious).unwrap(), PRECIOUS, "{plant}");
            assert!(!precious.with_extension("new").exists(), "{plant}");
        }
    }
}

#[test]
fn p42_no_ledger_is_opened_or_written_through_a_link() {
    let home = tempfile::tempdir().unwrap();
    let (own, other) = (home.path().join("own"), home.path().join("other"));
    for directory in [&own, &other] {
        drop(Ledger::open(directory).unwrap());
    }
    fs::remove_file(own.join(FILE)).unwrap();
    symlink(other.join(FILE), own.join(FILE)).unwrap();
    for refused in [told(Ledger::open(&own)), told(Ledger::open_to_read(&own)), told(verify(&own.join(FILE)))] {
        assert!(refused.contains(FILE) && refused.contains("link"), "{refused}");
    }
    let copy = home.path().join("copy");
    assert!(backup(&own, &copy).is_err() && !copy.exists());
    // Nor is a copy written through one.
    symlink(home.path().join("elsewhere"), home.path().join("copy.part")).unwrap();
    backup(&other, &copy).unwrap();
    assert!(!home.path().join("elsewhere").exists());
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn enqueue(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.write(|tx| tx.enqueue(&[mail()], utc("2026-11-23T18:00:00Z"))).await
}

#[tokio::test]
async fn p47_a_ledger_that_was_moved_away_is_noticed_and_not_written_on() {
    let home = tempfile::tempdir().unwrap();
    let (directory, away) = (home.path().join("state"), home.path().join("away"));
    let ledger = Ledger::open(&directory).unwrap();
    take(&ledger, firing("x")).await;
    for (from, to) in [(directory.join(FILE), away.clone()), (directory.clone(), away.clone())] {
        fs::rename(&from, &to).unwrap();
        for is_replaced in [false, true] {
            // Where only the file was taken, its log is still there, and belongs to no new one.
            let another = is_replaced.then(|| Ledger::open(&directory));
            let is_ledger = |another: &Result<Ledger, LedgerError>| another.is_ok();
            assert_eq!(another.as_ref().is_some_and(is_ledger), is_replaced && from == directory, "{another:?}");
            let refused = told(enqueue(&ledger).await);
            assert!(refused.contains("moved, replaced or removed") && refused.contains("restart"), "{refused}");
            // What stands in it may be old: a hold in the new one would be overlooked.
            told(ledger.read(|tx| tx.holds(utc("2026-11-23T18:00:00Z"))).await);
            if let Some(Ok(another)) = another {
                assert!(
                    another.read(|tx| tx.open_runs()).await.unwrap().is_empty(),
                    "it is whole, and nothing got into it"
                );
            }
        }
        if from.is_dir() {
            fs::remove_dir_all(&from).unwrap();
        }
        fs::rename(&to, &from).unwrap();
        // Put back, it is the ledger that it was.
        assert_eq!(ledger.read(|tx| tx.open_runs()).await.unwrap().len(), 1);
    }
    enqueue(&ledger).await.unwrap();
}

/// Without its lock others take the process for dead, and carry out its runs a second time.
#[tokio::test]
async fn p47_a_process_whose_lock_was_taken_away_writes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let lock = DaemonLock::take(directory.path()).unwrap();
    ledger.depends_on(lock.anchor());
    enqueue(&ledger).await.unwrap();
    fs::remove_file(directory.path().join("daemon.lock")).unwrap();
    assert!(told(enqueue(&ledger).await).contains("daemon.lock"));
    let _second = DaemonLock::take(directory.path()).unwrap();
    assert!(told(enqueue(&ledger).await).contains("daemon.lock"), "also where there is another one by now");
    assert!(ledger.in_place().is_err());
}

/// "Move it away to begin a new one", and its log was forgotten: SQLite would delete it.
#[test]
fn p47_a_log_without_its_ledger_is_left_and_no_new_ledger_is_made_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join(format!("{FILE}-wal"));
    fs::write(&log, "commits").unwrap();
    let refused = told(Ledger::open(directory.path()));
    assert!(refused.contains("is the log of a ledger that was taken away"), "{refused}");
    assert!(Ledger::open_to_read(directory.path()).unwrap().is_none());
    assert_eq!(names(directory.path()), [format!("{FILE}-wal")]);
    assert_eq!(fs::read_to_string(&log).unwrap(), "commits");
}

#[test]
fn p07_a_directory_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Ledger::open(directory.path()), Err(LedgerError::Exposed(_))));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "and nothing was written there");
}
