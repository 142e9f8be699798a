//! A ledger of every released form, kept and read for ever. `tests/golden/ledger-v1.sqlite3` was written once, by
//! `GOLDEN=write INSTA_UPDATE=always cargo test --test suite ledger_golden`; a later version must read out of it what the snapshot says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::deployment::Nodes;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
use offhours::domain::reason::Reason;
use offhours::domain::rule::Mode;
use offhours::domain::run::{DeploymentResult, EndedBy, Firing, Leak, Outcome, Run, RunResult, Settlement, Trigger};
use offhours::domain::run_reason::RunReason;
use offhours::domain::schedule::OffWindow;
use offhours::ledger::announced::Announcement;
use offhours::ledger::backup::backup;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::lock::DaemonLock;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::runs::{Claim, NewRun, RunFilter};
use offhours::ledger::verify::verify;
use offhours::ledger::{FILE, Ledger, LedgerError, Tx};
use offhours::report::JsonWriter;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger-v1.sqlite3")
}

fn evening() -> DateTime<Utc> {
    "2026-11-23T18:00:00Z".parse().unwrap()
}

fn claim(rule: &str, night: i64, trigger: Trigger, mode: Mode) -> NewRun {
    let from = evening() + TimeDelta::days(night);
    NewRun {
        firing: Firing { rule: RuleName::new(rule).unwrap(), at: from },
        connection: ConnectionName::new("dev").unwrap(),
        mode,
        trigger,
        off_window: OffWindow { from, to: from + TimeDelta::hours(12) },
        started_at: from + TimeDelta::milliseconds(250),
        executor: "executor-golden".to_owned(),
    }
}

fn priced() -> HourlyRate {
    let price = CapacityUnitPrice {
        amount: "0.95".parse().unwrap(),
        currency: Currency::from_code("EUR").unwrap(),
        source: "order form 4711".into(),
        valid_from: "2026-01-01".parse().unwrap(),
    };
    HourlyRate { nodes: 2, charge: Charge::Metered { capacity_units: "1.8".parse().unwrap(), price: Some(price) } }
}

fn row(new: &NewRun, number: usize, outcome: Outcome, rate: HourlyRate) -> DeploymentResult {
    let at = new.off_window.from;
    let stopped = outcome == Outcome::Stopped;
    let confirmed_at = stopped.then(|| at + TimeDelta::milliseconds(42_125));
    let projected = confirmed_at.map_or_else(Avoided::nothing, |confirmed| {
        Avoided::count(&rate, new.off_window, confirmed, new.off_window.to, Basis::Projected)
    });
    DeploymentResult {
        resource_group: ResourceGroup::new("dev-a").unwrap(),
        id: DeploymentId::new(format!("d{number:03}")).unwrap(),
        configuration_id: format!("c{number}"),
        configuration_name: number.is_multiple_of(2).then(|| format!("ünïcode {number}")),
        scenario_id: number.is_multiple_of(3).then(|| "scenario".to_owned()),
        is_selected: true,
        outcome,
        reason: (!stopped).then(|| Reason::Sentence(format!("{outcome}: for a reason"))),
        requested_at: (outcome != Outcome::Left).then(|| at + TimeDelta::seconds(1)),
        confirmed_at,
        expires_at: (number == 1).then(|| at + TimeDelta::days(3)),
        nodes: vec![Nodes { plan: "infer.s".to_owned(), count: rate.nodes }],
        rate,
        projected,
        settlement: None,
    }
}

fn run(new: &NewRun, result: RunResult, deployments: Vec<DeploymentResult>) -> Run {
    let reasons = match result {
        RunResult::Done => Vec::new(),
        result => vec![RunReason::Sentence(format!("{result}: for a reason"))],
    };
    Run { deployments, ..new.ended(result, reasons, new.started_at + TimeDelta::minutes(1)) }
}

/// Something of everything that version 1 writes.
fn fill(tx: &Tx<'_>) -> Result<(), LedgerError> {
    let take = |new: &NewRun| match tx.claim(new)? {
        Claim::Taken(id) => Ok::<_, LedgerError>(id),
        other => panic!("{other:?}"),
    };
    let charges = [
        Charge::Unpriced { plan: "mystery.xl".to_owned() },
        Charge::TokenBilled,
        Charge::Nothing { reason: "nothing was running" },
    ];
    let first = claim("evenings", 0, Trigger::Schedule, Mode::Enforce);
    let id = take(&first)?;
    let mut rows: Vec<DeploymentResult> =
        Outcome::ALL.iter().enumerate().map(|(n, &o)| row(&first, n + 1, o, priced())).collect();
    rows.extend(
        charges
            .into_iter()
            .enumerate()
            .map(|(n, charge)| row(&first, n + 11, Outcome::Stopped, HourlyRate { nodes: 1, charge })),
    );
    tx.request(id, &rows[..1])?;
    tx.finish(id, &run(&first, RunResult::Partial, rows.clone()))?;
    let replaced = DeploymentId::new("d901").unwrap();
    let (cut, to) = (first.off_window.from + TimeDelta::hours(3), first.off_window.to);
    let settlement = Settlement {
        at: to + TimeDelta::seconds(5),
        ended_by: EndedBy::Replacement(replaced.clone()),
        avoided: Avoided::count(&priced(), first.off_window, rows[0].confirmed_at.unwrap(), cut, Basis::Settled),
        leak: Some(Leak { id: replaced, cost: Avoided::count(&priced(), first.off_window, cut, to, Basis::Settled) }),
    };
    tx.settle(id, &rows[0], &settlement)?;
    tx.settle(id, &rows[6], &Settlement { ended_by: EndedBy::WindowEnd, leak: None, ..settlement })?;

    let observed = claim("watch", 0, Trigger::Manual, Mode::Observe);
    let left = DeploymentResult { reason: Some(Reason::Observed), ..row(&observed, 1, Outcome::Left, priced()) };
    let id = take(&observed)?;
    tx.finish(id, &run(&observed, RunResult::Done, vec![left]))?;
    for (night, result) in [(1, RunResult::Failed), (2, RunResult::Blocked)] {
        let new = claim("evenings", night, Trigger::CatchUp, Mode::Enforce);
        let id = take(&new)?;
        tx.finish(id, &run(&new, result, Vec::new()))?;
    }
    let missed = [RunReason::Sentence("missed: for a reason".to_owned())];
    tx.record(&claim("evenings", 3, Trigger::CatchUp, Mode::Enforce), RunResult::Missed, &missed)?;
    let interrupted = claim("evenings", 4, Trigger::Schedule, Mode::Enforce);
    let id = take(&interrupted)?;
    tx.request(id, &[row(&interrupted, 1, Outcome::Unconfirmed, priced())])?;
    tx.interrupt(id, &interrupted.executor, interrupted.started_at + TimeDelta::seconds(3))?;
    assert_eq!(tx.claim(&claim("evenings", 5, Trigger::Schedule, Mode::Enforce))?, Claim::Skipped);
    take(&claim("weekends", 4, Trigger::Schedule, Mode::Enforce))?;

    let mails: Vec<NewMail> = (1..=3)
        .map(|n| NewMail {
            subject: format!("subject {n}"),
            recipient: "Ada <ada@example.com>".to_owned(),
            message_id: format!("<{n}@offhours.invalid>"),
            head: format!("Subject: {n}\r\n").into_bytes(),
            letter: Letter { id: n.to_string(), bytes: b"\r\nbody\r\n"[..].into() },
            useless_from: None,
        })
        .collect();
    tx.enqueue(&mails, evening())?;
    tx.mail_sent(1, evening() + TimeDelta::seconds(2))?;
    tx.mail_failed(2, "451 later", Some(evening() + TimeDelta::minutes(5)), evening())?;
    tx.mail_failed(3, "550 no such user", None, evening())?;

    let targets = [
        HoldTarget::Deployment(DeploymentId::new("d001").unwrap()),
        HoldTarget::ResourceGroup(ResourceGroup::new("dev-a").unwrap()),
        HoldTarget::Configuration("chat".to_owned()),
        HoldTarget::Rule(RuleName::new("evenings").unwrap()),
    ];
    for target in &targets {
        tx.add_hold(target, evening() + TimeDelta::days(9), "a training", "ada", evening())?;
    }
    tx.remove_hold(2, evening() + TimeDelta::hours(1))?;
    let cursor = Cursor { schedule: "0 18 * * * UTC".to_owned(), after: evening() + TimeDelta::days(5) };
    tx.move_cursor(&RuleName::new("evenings").unwrap(), &cursor)?;
    tx.announce(Announcement::Report, "weekly", evening())?;
    Ok(())
}

/// All of it, in the forms that people and programs see.
fn read(tx: &Tx<'_>) -> Result<String, LedgerError> {
    let mut text = String::new();
    for run in tx.history(&RunFilter::default())? {
        let mut bytes = Vec::new();
        let mut json = JsonWriter::run(&mut bytes);
        assert!(run.tell(&mut json).is_continue());
        json.finish().unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    for open in tx.open_runs()? {
        let _ = writeln!(text, "open: {} by {}", open.claim.firing, open.claim.executor);
    }
    for mail in tx.outbox(DateTime::UNIX_EPOCH)? {
        let _ = writeln!(
            text,
            "mail {}: {} {} {} {} after {} tries, next {}, done {:?}, {:?}",
            mail.id,
            mail.state.as_str(),
            mail.subject,
            mail.recipient,
            mail.message_id,
            mail.attempts,
            mail.next_attempt_at,
            mail.done_at,
            mail.last_error
        );
    }
    let later = evening() + TimeDelta::minutes(6);
    let due = tx.due_mail(later)?.unwrap();
    let _ = writeln!(text, "due: {} {:?}", due.0.id, String::from_utf8_lossy(&due.1));
    for hold in tx.holds_in(evening(), later + TimeDelta::hours(9))? {
        let _ =
            writeln!(text, "hold {}: {} until {} by {}: {}", hold.id, hold.target, hold.until, hold.by, hold.reason);
    }
    let _ = writeln!(text, "in force later: {}", tx.holds(later + TimeDelta::hours(9))?.len());
    for (rule, cursor) in tx.cursors()? {
        let _ = writeln!(text, "cursor {rule}: {} after {}", cursor.schedule, cursor.after);
    }
    let _ = writeln!(text, "announced: {:?}", tx.newest_announcement(Announcement::Report, "weekly")?);
    let _ = writeln!(text, "unsettled: {}", tx.count_unsettled(evening() + TimeDelta::days(1))?);
    let _ = writeln!(text, "newest: {:?}", tx.newest_instant()?);
    Ok(text)
}

#[tokio::test]
async fn the_ledger_of_version_one_is_read_for_ever() {
    if std::env::var_os("GOLDEN").is_some_and(|wish| wish == "write") {
        let directory = tempfile::tempdir().unwrap();
        Ledger::open(directory.path()).unwrap().write(fill).await.unwrap();
        let _ = std::fs::remove_file(golden());
        std::fs::create_dir_all(golden().parent().unwrap()).unwrap();
        backup(directory.path(), &golden()).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(golden(), directory.path().join(FILE)).unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    insta::assert_snapshot!("golden_ledger_v1", ledger.read(read).await.unwrap());
    drop(ledger);
    assert!(verify(&directory.path().join(FILE)).unwrap().is_whole());
}

/// A command of the new version must not change the format under a daemon that goes on writing the old one.
#[test]
fn the_ledger_of_an_earlier_version_is_left_alone_while_its_daemon_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    std::fs::copy(golden(), &file).unwrap();
    let version = |file: &Path| -> i64 {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let daemon = DaemonLock::take(directory.path()).unwrap();
    let (writes, reads) = (Ledger::open(directory.path()), Ledger::open_to_read(directory.path()));
    for refused in [writes.map(drop).unwrap_err(), reads.map(drop).unwrap_err()] {
        assert!(refused.to_string().contains("the daemon of that version still runs: restart it first"), "{refused}");
    }
    assert_eq!(version(&file), 1, "the format is left as it was");
    drop(daemon);
    assert!(Ledger::open(directory.path()).is_ok());
}

// Until version 1 is released its form may change, and then the file is written anew.
#[tokio::test]
async fn brought_up_to_date_it_has_the_form_of_a_new_one() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(golden(), old.path().join(FILE)).unwrap();
    let form = |directory: &Path| {
        drop(Ledger::open(directory).unwrap());
        let connection = rusqlite::Connection::open(directory.join(FILE)).unwrap();
        let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let form = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)));
        form.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    assert_eq!(
        form(old.path()),
        form(new.path()),
        "write it anew: GOLDEN=write INSTA_UPDATE=always cargo test --test suite ledger_golden"
    );
}
