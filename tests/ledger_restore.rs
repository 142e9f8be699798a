//! A backup in the ledger's place: after a crash, beside a process that lives, cut short, and what it means that it is
//! older than what happened.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock;
use offhours::domain::agenda::{Agenda, fires_by};
use offhours::domain::cron::Cron;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::ConnectionName;
use offhours::domain::id::RuleName;
use offhours::domain::rule::{Mode, Rule};
use offhours::domain::run::{Firing, Outcome, RunResult, Trigger};
use offhours::domain::schedule::{OffWindow, Schedule};
use offhours::ledger::backup::backup;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::lock::DaemonLock;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::restore::{Restored, restore};
use offhours::ledger::runs::{Claim, NewRun, RunFilter};
use offhours::ledger::verify::verify;
use offhours::ledger::{FILE, Ledger, LedgerError, Tx};

use crate::support::given;

use crate::support::given::evening;

/// The next noon.
fn noon() -> DateTime<Utc> {
    evening() + TimeDelta::hours(17)
}

fn put_back(directory: &Path, copy: &Path) -> Result<Restored, LedgerError> {
    restore(directory, copy, noon(), DateTime::UNIX_EPOCH)
}

fn rule() -> Rule {
    let schedule = Schedule {
        stop: Cron::parse("0 * * * *").unwrap(),
        until: Some(Cron::parse("59 23 31 12 *").unwrap()),
        zone: clock::zone("Europe/Berlin").unwrap(),
        holidays: [].into(),
        skip: [].into(),
    };
    given::rule("hourly", schedule)
}

fn claim(at: DateTime<Utc>) -> NewRun {
    NewRun {
        firing: Firing { rule: RuleName::new("hourly").unwrap(), at },
        connection: ConnectionName::new("dev").unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        off_window: OffWindow { from: at, to: at + TimeDelta::hours(12) },
        started_at: at,
        executor: "executor-x".to_owned(),
    }
}

/// Fires once, as a run that found nothing.
fn fire(tx: &Tx<'_>, at: DateTime<Utc>) -> Result<(), LedgerError> {
    let new = claim(at);
    let Claim::Taken(id) = tx.claim(&new)? else { panic!("not taken") };
    tx.finish(id, &new.ended(RunResult::Done, Vec::new(), at))?;
    tx.move_cursor(&RuleName::new("hourly").unwrap(), &Cursor { schedule: fires_by(&rule()), after: at })
}

fn hold(tx: &Tx<'_>, reason: &str, at: DateTime<Utc>) -> Result<i64, LedgerError> {
    let target = HoldTarget::Rule(RuleName::new("hourly").unwrap());
    tx.add_hold(&target, evening() + TimeDelta::days(9), reason, "ada", at)
}

async fn firings(directory: &Path) -> usize {
    let ledger = Ledger::open_to_read(directory).unwrap().unwrap();
    ledger.read(|tx| tx.history(&RunFilter::default())).await.unwrap().len()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A home with a backup of one firing; after it five more, and a power cut that leaves a log beside the ledger.
struct AfterCrash {
    _home: tempfile::TempDir,
    state: PathBuf,
    copy: PathBuf,
}

impl AfterCrash {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (before, state) = (home.path().join("before"), home.path().join("state"));
        let copy = home.path().join("copy.sqlite3");
        let ledger = Ledger::open(&before).unwrap();
        ledger.write(|tx| fire(tx, evening())).await.unwrap();
        ledger.write(|tx| hold(tx, "in both", evening())).await.unwrap();
        backup(&before, &copy).unwrap();
        for hour in 1..6 {
            ledger.write(move |tx| fire(tx, evening() + TimeDelta::hours(hour))).await.unwrap();
        }
        ledger.write(|tx| hold(tx, "since the backup", evening() + TimeDelta::hours(1))).await.unwrap();
        // What is on the disk while it is open is what a power cut leaves.
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::metadata(&before).unwrap().permissions()).unwrap();
        for name in [FILE.to_owned(), format!("{FILE}-wal")] {
            fs::copy(before.join(&name), state.join(&name)).unwrap();
        }
        Self { _home: home, state, copy }
    }
}

/// `cp` of a backup over the ledger had the old log written into it at the next start.
#[tokio::test]
async fn p45_the_log_that_a_crash_left_does_not_destroy_the_backup_that_is_restored() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    let restored = put_back(&state, &copy).unwrap();
    assert_eq!(firings(&state).await, 1, "what the backup holds, and nothing of the log");
    assert!(verify(&state.join(FILE)).unwrap().is_whole() && restored.verdict.is_whole());
    assert_eq!(restored.verdict.runs, 1);

    // The other one is kept with its log, and still is what it was.
    let kept = restored.kept.unwrap();
    assert_eq!(kept.file_name().unwrap().to_str().unwrap(), format!("{FILE}.2026-11-24T110000Z"));
    let elsewhere = tempfile::tempdir().unwrap();
    for companion in ["", "-wal"] {
        let from = format!("{}{companion}", kept.display());
        fs::copy(from, elsewhere.path().join(format!("{FILE}{companion}"))).unwrap();
    }
    assert_eq!(firings(elsewhere.path()).await, 6);
    // And so it can be put back in its turn, log and all, without losing the other.
    let undone = put_back(&state, &kept).unwrap();
    assert_eq!(firings(&state).await, 6);
    assert_ne!(undone.kept.unwrap(), kept);
}

#[tokio::test]
async fn p45_a_ledger_that_anybody_uses_is_not_replaced() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    let held = |what: &str| match put_back(&state, &copy) {
        Err(LedgerError::Held { holder, .. }) => holder,
        other => panic!("{what}: {other:?}"),
    };
    let daemon = DaemonLock::take(&state).unwrap();
    assert_eq!(held("a daemon"), format!("pid {}", std::process::id()));
    drop(daemon);
    let writer = Ledger::open(&state).unwrap();
    held("a command that writes");
    drop(writer);
    let reader = Ledger::open_to_read(&state).unwrap().unwrap();
    held("a command that reads");
    assert_eq!(reader.read(|tx| tx.history(&RunFilter::default())).await.unwrap().len(), 6, "nothing was changed");
    drop(reader);
    put_back(&state, &copy).unwrap();
}

#[tokio::test]
async fn p45_what_is_no_whole_ledger_is_not_restored_and_nothing_is_changed() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    drop(DaemonLock::take(&state).unwrap());
    let before = names(&state);
    let whole = fs::read(&copy).unwrap();
    let cases: [(&str, Vec<u8>); 4] = [
        ("nothing", Vec::new()),
        ("no ledger", b"this is no database, whatever its name says".repeat(100)),
        ("half a ledger", whole[..whole.len() / 2].to_owned()),
        ("a ledger that contradicts itself", {
            let connection = rusqlite::Connection::open(&copy).unwrap();
            connection.execute("UPDATE run SET window_to = window_from - 1", []).unwrap();
            drop(connection);
            fs::read(&copy).unwrap()
        }),
    ];
    for (what, bytes) in cases {
        fs::write(&copy, bytes).unwrap();
        let refused = put_back(&state, &copy);
        assert!(
            matches!(refused, Err(LedgerError::Unsound { .. } | LedgerError::Damaged { .. })),
            "{what}: {refused:?}"
        );
        assert_eq!(names(&state), before, "{what}");
    }
    assert!(matches!(put_back(&state, &copy.join("nowhere")), Err(LedgerError::Restore { .. })));
    assert_eq!(firings(&state).await, 6);
}

/// Cut short, a restore has taken the old ledger away. A daemon that made a new one would know of no firing and no hold.
#[tokio::test]
async fn p45_a_restore_that_was_cut_short_is_finished_by_another_and_by_nothing_else() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    let part = state.join("ledger.sqlite3.restoring");
    fs::copy(&copy, &part).unwrap();
    for old in ["", "-wal"] {
        fs::rename(state.join(format!("{FILE}{old}")), state.join(format!("{FILE}.aside{old}"))).unwrap();
    }
    assert!(matches!(Ledger::open(&state), Err(LedgerError::CutShort(_))));
    assert!(matches!(Ledger::open_to_read(&state), Err(LedgerError::CutShort(_))));
    assert!(!state.join(FILE).exists(), "no new ledger was made");
    put_back(&state, &copy).unwrap();
    assert_eq!(firings(&state).await, 1);
    assert!(!part.exists());
}

#[tokio::test]
async fn p45_a_backup_of_an_earlier_version_is_brought_up_to_date_and_stays_as_it_is() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger-v1.sqlite3");
    let home = tempfile::tempdir().unwrap();
    let (state, copy) = (home.path().join("state"), home.path().join("copy"));
    fs::copy(&golden, &copy).unwrap();
    assert!(verify(&copy).unwrap().is_whole());
    let restored = restore(&state, &copy, noon() + TimeDelta::days(30), DateTime::UNIX_EPOCH).unwrap();
    assert_eq!((restored.kept, restored.changes.holds), (None, Some(0)), "there was none");
    assert_eq!(restored.changes.interrupted, 2);
    assert_eq!(restored.changes.waiting_mails, 1);
    assert!(Ledger::open_to_read(&state).unwrap().is_some());
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&golden).unwrap(), "the backup itself is not touched");
    assert_eq!(names(home.path()), ["copy", "state"]);
}

/// Five firings came due since, each of them with an off window that still lasts: a daemon that was down would catch up.
#[tokio::test]
async fn p46_no_rule_catches_up_what_came_due_before_the_restore() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    put_back(&state, &copy).unwrap();
    let ledger = Ledger::open(&state).unwrap();
    let cursors = ledger.read(|tx| tx.cursors()).await.unwrap();
    let known: BTreeMap<_, _> = cursors.into_iter().map(|(rule, at)| (rule, (at.schedule, at.after))).collect();
    let due = |now| Agenda::new(&[Arc::new(rule())], &known, now).due(now);
    assert!(due(noon() + TimeDelta::minutes(59)).is_empty());
    let next = due(noon() + TimeDelta::hours(1)).remove(0).1;
    assert_eq!((next.run.unwrap().at, next.missed.len()), (noon() + TimeDelta::hours(1), 0));
    // What it knows is what the clock is measured against.
    assert_eq!(ledger.read(|tx| tx.newest_instant()).await.unwrap(), Some(noon()));
}

#[tokio::test]
async fn p46_a_run_that_the_backup_shows_under_way_is_not_resumed_and_its_stops_are_looked_at_again() {
    let home = tempfile::tempdir().unwrap();
    let (state, copy) = (home.path().join("state"), home.path().join("copy"));
    let ledger = Ledger::open(&state).unwrap();
    let asked = asked();
    ledger
        .write(move |tx| {
            let Claim::Taken(id) = tx.claim(&claim(evening()))? else { panic!("not taken") };
            tx.request(id, &[asked])?;
            let mail = NewMail {
                subject: "s".to_owned(),
                recipient: "a@example.com".to_owned(),
                message_id: "<1@offhours>".to_owned(),
                head: Vec::new(),
                letter: Letter { id: "1".to_owned(), bytes: b"x".as_slice().into() },
                useless_from: None,
            };
            tx.enqueue(&[mail], evening())
        })
        .await
        .unwrap();
    backup(&state, &copy).unwrap();
    drop(ledger);
    let restored = put_back(&state, &copy).unwrap();
    assert_eq!((restored.changes.interrupted, restored.changes.waiting_mails), (1, 1));
    let ledger = Ledger::open(&state).unwrap();
    assert!(ledger.read(|tx| tx.open_runs()).await.unwrap().is_empty(), "nobody adopts it");
    let run = ledger.read(|tx| tx.history(&RunFilter::default())).await.unwrap().remove(0);
    assert_eq!((run.result, run.finished_at), (RunResult::Interrupted, noon()));
    let row = &run.deployments[0];
    assert!(row.outcome == Outcome::Unconfirmed && row.sentence().contains("restored"), "{row:?}");
    assert_eq!(
        ledger.read(|tx| tx.count_unsettled(noon())).await.unwrap(),
        1,
        "the tenant will say whether it came true"
    );
    assert!(matches!(ledger.write(|tx| tx.claim(&claim(evening()))).await, Ok(Claim::Duplicate)));
}

fn asked() -> offhours::domain::run::DeploymentResult {
    use offhours::domain::avoided::Avoided;
    use offhours::domain::money::HourlyRate;
    let deployment = given::deployment();
    offhours::domain::run::DeploymentResult {
        resource_group: deployment.resource_group,
        id: deployment.id,
        configuration_id: deployment.configuration_id,
        configuration_name: None,
        scenario_id: None,
        is_selected: true,
        outcome: Outcome::Unconfirmed,
        reason: None,
        requested_at: Some(evening()),
        confirmed_at: None,
        expires_at: None,
        nodes: Vec::new(),
        rate: HourlyRate::nothing("nothing was running"),
        projected: Avoided::nothing(),
        settlement: None,
    }
}

#[tokio::test]
async fn p46_holds_that_were_added_since_the_backup_still_hold() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    let restored = put_back(&state, &copy).unwrap();
    assert_eq!(restored.changes.holds, Some(1));
    let in_force = async |state: &Path| {
        let ledger = Ledger::open_to_read(state).unwrap().unwrap();
        let holds = ledger.read(|tx| tx.holds(noon())).await.unwrap();
        holds.into_iter().map(|hold| hold.reason).collect::<Vec<_>>()
    };
    assert_eq!(in_force(&state).await, ["in both", "since the backup"]);
    // Where the ledger that was there cannot be read, nobody knows, and that is said.
    fs::write(state.join(FILE), b"this is no database, whatever its name says".repeat(100)).unwrap();
    let _ = fs::remove_file(state.join(format!("{FILE}-wal")));
    let restored = put_back(&state, &copy).unwrap();
    assert_eq!(restored.changes.holds, None);
    assert_eq!(in_force(&state).await, ["in both"]);
}

/// Where rules begin anew is where they would be silent until then.
#[tokio::test]
async fn p46_a_clock_that_cannot_be_right_restores_nothing() {
    let AfterCrash { _home, state, copy } = AfterCrash::new().await;
    let early = restore(&state, &copy, evening() - TimeDelta::days(2), DateTime::UNIX_EPOCH);
    assert!(matches!(early, Err(LedgerError::Clock(_))), "{early:?}");
    let unbuilt = restore(&state, &copy, noon(), noon() + TimeDelta::days(1));
    assert!(matches!(unbuilt, Err(LedgerError::Clock(_))), "{unbuilt:?}");
    assert_eq!(firings(&state).await, 6);
    assert_eq!(names(&state).iter().filter(|name| name.contains("copying") || name.contains("restoring")).count(), 0);
}
