//! What the ledger promises: a firing is claimed once for ever, a run and its mails come out whole, and what was
//! written is read back as it was.

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::deployment::Nodes;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
use offhours::domain::reason::{ReasonCode, ReasonKind};
use offhours::domain::rule::Mode;
use offhours::domain::run::{
    DeploymentResult, EndedBy, Firing, LeftKind, Outcome, Run, RunResult, Settlement, Trigger,
};
use offhours::domain::schedule::OffWindow;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::outbox::{Letter, MailState, NewMail};
use offhours::ledger::runs::{Claim, NewRun, RunFilter};
use offhours::ledger::verify::verify;
use offhours::ledger::{FILE, Ledger, LedgerError};

fn kind(code: ReasonCode) -> LeftKind {
    LeftKind { reason: ReasonKind::Plain(code), is_selected: code != ReasonCode::NotSelected }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn firing() -> NewRun {
    let from = utc("2026-11-23T18:00:00Z");
    NewRun {
        firing: Firing { rule: RuleName::new("dev-evenings").unwrap(), at: from },
        connection: ConnectionName::new("dev").unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        off_window: OffWindow { from, to: utc("2026-11-24T06:00:00Z") },
        started_at: utc("2026-11-23T18:00:00.250Z"),
        executor: "daemon".to_owned(),
    }
}

fn row(run: &NewRun) -> DeploymentResult {
    let price = CapacityUnitPrice {
        amount: "0.95".parse().unwrap(),
        currency: Currency::from_code("EUR").unwrap(),
        source: "order form 4711".into(),
        valid_from: "2026-01-01".parse().unwrap(),
    };
    let rate =
        HourlyRate { nodes: 2, charge: Charge::Metered { capacity_units: "1.8".parse().unwrap(), price: Some(price) } };
    let confirmed_at = utc("2026-11-23T18:00:42.125Z");
    DeploymentResult {
        resource_group: ResourceGroup::new("dev-a").unwrap(),
        id: DeploymentId::new("d001").unwrap(),
        configuration_id: "c1".to_owned(),
        configuration_name: Some("chat".to_owned()),
        scenario_id: None,
        is_selected: true,
        outcome: Outcome::Stopped,
        reason: None,
        requested_at: Some(utc("2026-11-23T18:00:01Z")),
        confirmed_at: Some(confirmed_at),
        expires_at: None,
        nodes: vec![Nodes { plan: "infer.s".to_owned(), count: 2 }],
        projected: Avoided::count(&rate, run.off_window, confirmed_at, run.off_window.to, Basis::Projected),
        rate,
        settlement: None,
    }
}

fn finished(new: &NewRun) -> Run {
    let finished_at = new.started_at + TimeDelta::minutes(1);
    Run { deployments: vec![row(new)], ..new.ended(RunResult::Done, Vec::new(), finished_at) }
}

fn mail(n: u32) -> NewMail {
    NewMail {
        subject: format!("subject {n}"),
        recipient: "a@example.com".to_owned(),
        message_id: format!("<{n}@offhours>"),
        head: format!("To: {n}\r\n").into_bytes(),
        letter: Letter { id: n.to_string(), bytes: b"From: x\r\n"[..].into() },
        useless_from: None,
    }
}

async fn claim(ledger: &Ledger, new: &NewRun) -> Claim {
    let new = new.clone();
    ledger.write(move |tx| tx.claim(&new)).await.unwrap()
}

async fn history(ledger: &Ledger) -> Vec<Run> {
    ledger.read(|tx| tx.history(&RunFilter::default())).await.unwrap()
}

#[tokio::test]
async fn t06_a_firing_is_claimed_once_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let Claim::Taken(id) = claim(&ledger, &firing()).await else { panic!("not taken") };
    let run = finished(&firing());
    ledger.write(move |tx| tx.finish(id, &run)).await.unwrap();
    drop(ledger);

    let reopened = Ledger::open(directory.path()).unwrap();
    assert_eq!(claim(&reopened, &firing()).await, Claim::Duplicate);
    assert_eq!(history(&reopened).await, [finished(&firing())], "read back as it was written");
}

#[tokio::test]
async fn p36_what_was_left_without_a_row_is_read_back_as_it_was_counted() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let Claim::Taken(id) = claim(&ledger, &firing()).await else { panic!("not taken") };
    let left_out = [(kind(ReasonCode::NotSelected), 99_000), (kind(ReasonCode::TooYoung), 7)].into();
    let run = Run { left_out, ..finished(&firing()) };
    let written = run.clone();
    ledger.write(move |tx| tx.finish(id, &written)).await.unwrap();
    assert_eq!(history(&ledger).await, std::slice::from_ref(&run));
    assert_eq!(run.tally().left, 99_007);
    let newest = ledger.read(|tx| tx.newest_counted(firing().firing.at)).await.unwrap().unwrap();
    assert_eq!((newest.firing, newest.left_out), (firing().firing, run.left_out));
    let before = firing().firing.at - TimeDelta::seconds(1);
    assert_eq!(ledger.read(move |tx| tx.newest_counted(before)).await.unwrap(), None);
}

// A report over a year reads for seconds; a claim must not wait for it.
#[tokio::test]
async fn p38_a_long_read_keeps_nobody_waiting_and_sees_one_state_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let (begun, reads) = std::sync::mpsc::channel();
    let (written, ends) = std::sync::mpsc::channel();
    let reading = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            let read = ledger.read(move |tx| {
                let before = tx.history(&RunFilter::default())?.len();
                begun.send(()).unwrap();
                ends.recv_timeout(std::time::Duration::from_secs(60)).expect("the writer waits for the reader");
                Ok((before, tx.history(&RunFilter::default())?.len()))
            });
            read.await
        }
    });
    tokio::task::spawn_blocking(move || reads.recv()).await.unwrap().unwrap();
    let Claim::Taken(id) = claim(&ledger, &firing()).await else { panic!("not taken") };
    ledger.write(move |tx| tx.finish(id, &finished(&firing()))).await.unwrap();
    written.send(()).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), (0, 0));
    assert_eq!(history(&ledger).await.len(), 1);
}

#[tokio::test]
async fn t08_a_firing_during_the_previous_run_is_skipped_and_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    claim(&ledger, &firing()).await;
    let mut next = firing();
    next.firing.at += TimeDelta::hours(1);
    assert_eq!(claim(&ledger, &next).await, Claim::Skipped);
    assert_eq!(history(&ledger).await[0].result, RunResult::Skipped);
}

#[tokio::test]
async fn p02_an_interrupted_run_is_adopted_by_one_successor_only() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let Claim::Taken(id) = claim(&ledger, &firing()).await else { panic!("not taken") };
    let asked = vec![row(&firing())];
    ledger.write(move |tx| tx.request(id, &asked)).await.unwrap();
    ledger.write(move |tx| tx.interrupt(id, "daemon", utc("2026-11-23T18:01:00Z"))).await.unwrap();
    assert_eq!(history(&ledger).await[0].result, RunResult::Interrupted);
    assert_eq!(history(&ledger).await[0].deployments[0].outcome, Outcome::Unconfirmed, "asked for, not concluded");

    let open = ledger.read(|tx| tx.open_runs()).await.unwrap().remove(0);
    let (first, second) = (open.clone(), open);
    assert!(ledger.write(move |tx| tx.adopt(&first, "fire-1")).await.unwrap());
    assert!(!ledger.write(move |tx| tx.adopt(&second, "fire-2")).await.unwrap());
}

/// Written down, and then something came in between before its request was sent: nothing of it stays.
#[tokio::test]
async fn what_was_written_down_and_never_asked_for_leaves_no_row_without_an_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let new = firing();
    let Claim::Taken(id) = claim(&ledger, &new).await else { panic!("not taken") };
    let unsent = DeploymentResult { id: DeploymentId::new("d002").unwrap(), ..row(&new) };
    let run = finished(&new);
    let conclude = ledger.write(move |tx| {
        tx.request(id, &[unsent])?;
        tx.finish(id, &run)
    });
    assert!(conclude.await.unwrap());
    let rows = history(&ledger).await.remove(0).deployments;
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["d001"]);
    drop(ledger);
    assert!(verify(&directory.path().join(FILE)).unwrap().is_whole());
}

#[tokio::test]
async fn a_settlement_is_kept_beside_the_projection() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let Claim::Taken(id) = claim(&ledger, &firing()).await else { panic!("not taken") };
    let run = finished(&firing());
    let row = run.deployments[0].clone();
    let settlement = Settlement {
        at: utc("2026-11-24T06:00:05Z"),
        ended_by: EndedBy::Replacement(DeploymentId::new("d002").unwrap()),
        avoided: Avoided::nothing(),
        leak: None,
    };
    let written = settlement.clone();
    ledger
        .write(move |tx| {
            tx.finish(id, &run)?;
            tx.settle(id, &row, &written)
        })
        .await
        .unwrap();
    let read = history(&ledger).await.remove(0).deployments.remove(0);
    assert_eq!(read.settlement, Some(settlement));
    assert_eq!(read.projected, finished(&firing()).deployments[0].projected);
}

#[tokio::test]
async fn p03_what_a_transaction_did_not_finish_never_happened() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let failed: Result<(), LedgerError> = ledger
        .write(|tx| {
            tx.enqueue(&[mail(1)], utc("2026-11-23T18:00:00Z"))?;
            Err(LedgerError::Aborted)
        })
        .await;
    assert!(failed.is_err());
    assert!(ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_is_due_until_it_is_sent_or_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let now = utc("2026-11-23T18:00:00Z");
    let later = now + TimeDelta::minutes(5);
    ledger.write(move |tx| tx.enqueue(&[mail(1), mail(2)], now)).await.unwrap();
    let (first, bytes) = ledger.read(move |tx| tx.due_mail(now)).await.unwrap().unwrap();
    assert_eq!((first.id, bytes), (1, mail(1).message()));
    ledger.write(move |tx| tx.mail_failed(1, "451 later", Some(later), now)).await.unwrap();
    ledger.write(move |tx| tx.mail_failed(2, "550 no such user", None, now)).await.unwrap();
    assert_eq!(ledger.read(move |tx| tx.due_mail(now)).await.unwrap(), None);
    let (again, same) = ledger.read(move |tx| tx.due_mail(later)).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts, same), (1, 1, mail(1).message()), "identical bytes on every attempt");
    ledger.write(move |tx| tx.mail_sent(1, later)).await.unwrap();
    let outbox = ledger.read(move |tx| tx.outbox(later)).await.unwrap();
    assert_eq!(outbox.iter().map(|m| m.state).collect::<Vec<_>>(), [MailState::Sent, MailState::Dead]);
}

#[tokio::test]
async fn a_hold_holds_from_when_it_is_made_until_its_end_or_removal() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let (from, until) = (utc("2026-11-23T17:59:59Z"), utc("2026-11-24T07:00:00Z"));
    let target = HoldTarget::ResourceGroup(ResourceGroup::new("dev-a").unwrap());
    let made = target.clone();
    let id = ledger.write(move |tx| tx.add_hold(&made, until, "training", "ada", from)).await.unwrap();
    let held = |at| {
        let ledger = ledger.clone();
        async move { ledger.read(move |tx| tx.holds(at)).await.unwrap() }
    };
    assert_eq!(held(from).await[0].target, target);
    assert!(held(from - TimeDelta::seconds(1)).await.is_empty());
    assert!(held(until).await.is_empty());
    assert!(ledger.write(move |tx| tx.remove_hold(id, from)).await.unwrap());
    assert!(held(from).await.is_empty());
}

#[tokio::test]
async fn the_newest_instant_counts_cursors_too() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.read(|tx| tx.newest_instant()).await.unwrap(), None);
    let cursor = Cursor { schedule: "0 19 * * *".to_owned(), after: utc("2026-11-23T12:00:00Z") };
    let moved = cursor.clone();
    ledger.write(move |tx| tx.move_cursor(&RuleName::new("r").unwrap(), &moved)).await.unwrap();
    assert_eq!(ledger.read(|tx| tx.newest_instant()).await.unwrap(), Some(cursor.after));
    assert_eq!(ledger.read(|tx| tx.cursors()).await.unwrap().into_values().collect::<Vec<_>>(), [cursor]);
}

#[test]
fn p07_a_damaged_ledger_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(offhours::ledger::FILE);
    std::fs::write(&path, "this is no database, whatever its name says".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Ledger::open(directory.path()), Err(LedgerError::Damaged { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn p12_a_ledger_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Ledger::open(directory.path()).unwrap());
    let connection = rusqlite::Connection::open(directory.path().join(offhours::ledger::FILE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Ledger::open(directory.path()), Err(LedgerError::Newer { found: 99, .. })));
    assert!(matches!(Ledger::open_to_read(directory.path()), Err(LedgerError::Newer { found: 99, .. })));
}
