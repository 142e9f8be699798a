//! Ledgers of earlier forms, kept and read for ever: each was written once, by the program of its time, and a later version
//! must read out of it what the snapshot says.
//!
//! - `ledger-v1.sqlite3`: something of everything, as this test filled it at version 1.
//! - `ledger-v4.sqlite3`: a rehearsal of five days, and then a daemon that was killed and interrupted while AI Core answered
//!   503, 403 and 401, or spoilt its lists. The last form with sentences for reasons.
//! - `ledger-v5.sqlite3`: something of everything and every reason, as this test fills it.
//!
//! Until version 5 of the ledger is released its form may change, and then the last one is written anew:
//! `GOLDEN=write INSTA_UPDATE=always cargo test --test suite ledger_golden`. After that a new form, and a new reason, get a file of
//! their own.

#[path = "golden/reasons.rs"]
mod reasons;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::deployment::Nodes;
use offhours::domain::failure::FailureCode;
use offhours::domain::hold::HoldTarget;
use offhours::domain::id::{ConnectionName, DeploymentId, ResourceGroup, RuleName};
use offhours::domain::instant::rfc3339;
use offhours::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
use offhours::domain::reason::{Reason, ReasonCode};
use offhours::domain::rule::Mode;
use offhours::domain::run::{
    DeploymentResult, EndedBy, Firing, Leak, Outcome, Run, RunResult, Settlement, Trigger, Try,
};
use offhours::domain::run_reason::RunReason;
use offhours::domain::schedule::OffWindow;
use offhours::ledger::announced::Announcement;
use offhours::ledger::backup::backup;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::lock::DaemonLock;
use offhours::ledger::outbox::{Letter, NewMail};
use offhours::ledger::runs::{Claim, NewRun, RunFilter, RunId};
use offhours::ledger::verify::verify;
use offhours::ledger::{FILE, Ledger, LedgerError, Tx};
use offhours::report::JsonWriter;

/// The form that this version writes.
const CURRENT: u32 = 5;
/// The rule whose run has every reason.
const EVERY_REASON: &str = "every-reason";

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/ledger-v{version}.sqlite3"))
}

/// A directory with a copy of the golden ledger of `version`.
fn copied(version: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(golden(version), directory.path().join(FILE)).unwrap();
    directory
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

/// Something of everything.
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
    fill_reasons(tx)
}

/// A run with every reason, in its deployments, in its counts, in its tries and of itself.
fn fill_reasons(tx: &Tx<'_>) -> Result<(), LedgerError> {
    let new = claim(EVERY_REASON, 1, Trigger::Schedule, Mode::Enforce);
    let Claim::Taken(id) = tx.claim(&new)? else { panic!("it is claimed once") };
    let held = tx.holds(evening())?.remove(0);
    let rows = reasons::of_deployments(evening(), &held).into_iter().enumerate().map(|(index, (outcome, reason))| {
        let is_selected = !matches!(reason, Reason::NotSelected(_));
        DeploymentResult { is_selected, reason: Some(reason), ..row(&new, 100 + index, outcome, priced()) }
    });
    let of_run = reasons::of_runs(evening());
    let tries = of_run.iter().cloned().map(|reason| Try { at: evening(), reason }).collect();
    let run = new.ended(RunResult::Partial, of_run, new.started_at + TimeDelta::minutes(1));
    let run = Run { deployments: rows.collect(), left_out: reasons::counts(), tries, ..run };
    tx.finish(id, &run)?;
    tx.put_tries(id, &run.tries)
}

/// A line for each reason: of a run, of its deployments, of its counts and of its tries.
fn read_reasons(tx: &Tx<'_>, filter: &RunFilter) -> Result<String, LedgerError> {
    let mut text = String::new();
    for run in tx.history(filter)? {
        let _ = writeln!(
            text,
            "{} {} {}{}",
            run.firing,
            run.trigger,
            run.result,
            if run.resumed { ", resumed" } else { "" }
        );
        for reason in &run.reasons {
            let _ = writeln!(text, "  {}: {reason}", reason.code());
        }
        for one in &run.tries {
            let _ = writeln!(text, "  try at {}: {}: {}", rfc3339(one.at), one.reason.code(), one.reason);
        }
        for row in &run.deployments {
            let _ = write!(text, "  {} {}", row.id, row.outcome);
            if let Some(reason) = &row.reason {
                let hold = row.hold().map_or_else(String::new, |hold| format!(" hold {hold}"));
                let unselected = if row.is_selected { "" } else { " unselected" };
                let _ = write!(text, " {}{hold}{unselected}: {reason}", reason.kind().code());
            }
            text.push('\n');
        }
        for (kind, count) in &run.left_out {
            let unselected = if kind.is_selected { "" } else { " unselected" };
            let _ = writeln!(text, "  {count} {}{unselected}: {}", kind.reason.code(), kind.reason);
        }
    }
    Ok(text)
}

/// All of it, in the forms that people and programs see.
fn read(tx: &Tx<'_>) -> Result<String, LedgerError> {
    let mut text = String::new();
    for run in tx.history(&RunFilter::default())?.iter().filter(|run| run.firing.rule.as_str() != EVERY_REASON) {
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
    let directory = copied(1);
    let ledger = Ledger::open(directory.path()).unwrap();
    insta::assert_snapshot!("golden_ledger_v1", ledger.read(read).await.unwrap());
    drop(ledger);
    assert!(verify(&directory.path().join(FILE)).unwrap().is_whole());
}

/// What the program of version 4 wrote as sentences is said in the same words, and no longer only in words.
#[tokio::test]
async fn the_sentences_of_version_four_are_understood_and_said_as_they_were() {
    let directory = copied(4);
    let written = sentences(&directory.path().join(FILE));
    let ledger = Ledger::open_to_read(directory.path()).unwrap().unwrap();
    insta::assert_snapshot!(
        "golden_ledger_v4",
        ledger.read(|tx| read_reasons(tx, &RunFilter::default())).await.unwrap()
    );
    let said = ledger.read(said).await.unwrap();
    assert!(said.len() > 200, "{}", said.len());
    assert_eq!(said, written);
    drop(ledger);
    assert!(verify(&directory.path().join(FILE)).unwrap().is_whole());
}

/// The sentences of a ledger of version 4, each with what it was said of.
fn sentences(file: &Path) -> BTreeMap<String, String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT rule || ' ' || scheduled_at, reason FROM run WHERE result IS NOT NULL
             UNION ALL SELECT rule || ' ' || scheduled_at || ' ' || d.resource_group || ' ' || d.id, d.reason
             FROM deployment d JOIN run r ON r.id = d.run WHERE r.result IS NOT NULL
             UNION ALL SELECT 'try ' || run || ' ' || number, reason FROM try",
        )
        .unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

/// The same of what was read into reasons, none of which is only a sentence.
fn said(tx: &Tx<'_>) -> Result<BTreeMap<String, String>, LedgerError> {
    let mut said = BTreeMap::new();
    for run in tx.history(&RunFilter::default())? {
        let firing = format!("{} {}", run.firing.rule, run.firing.at.timestamp_millis());
        for row in &run.deployments {
            assert!(!matches!(row.reason, Some(Reason::Sentence(_))), "{}", row.sentence());
            said.insert(format!("{firing} {} {}", row.resource_group, row.id), row.sentence());
        }
        assert!(!run.reasons.iter().any(|reason| matches!(reason, RunReason::Sentence(_))), "{:?}", run.reasons);
        said.insert(firing, run.why(&rfc3339));
    }
    // Of runs under way too, which no history shows.
    for run in 1..=100 {
        for (number, one) in (1..).zip(tx.tries(RunId(run))?) {
            assert!(!matches!(one.reason, RunReason::Sentence(_)), "{}", one.reason);
            said.insert(format!("try {run} {number}"), one.reason.to_string());
        }
    }
    Ok(said)
}

#[tokio::test]
async fn the_ledger_of_version_five_is_read_for_ever() {
    if std::env::var_os("GOLDEN").is_some_and(|wish| wish == "write") {
        let directory = tempfile::tempdir().unwrap();
        Ledger::open(directory.path()).unwrap().write(fill).await.unwrap();
        let written = golden(CURRENT).with_extension("new");
        backup(directory.path(), &written).unwrap();
        std::fs::rename(written, golden(CURRENT)).unwrap();
    }
    let directory = copied(CURRENT);
    let ledger = Ledger::open(directory.path()).unwrap();
    let every_reason = RunFilter { rule: Some(RuleName::new(EVERY_REASON).unwrap()), ..RunFilter::default() };
    insta::assert_snapshot!("golden_ledger_v5", ledger.read(read).await.unwrap());
    let filter = every_reason.clone();
    insta::assert_snapshot!(
        "golden_ledger_v5_reasons",
        ledger.read(move |tx| read_reasons(tx, &filter)).await.unwrap()
    );
    let run = ledger.read(move |tx| tx.history(&every_reason)).await.unwrap().remove(0);
    assert_has_every_reason(&run);
    drop(ledger);
    assert!(verify(&directory.path().join(FILE)).unwrap().is_whole());
}

/// A new reason asks for a decision: the golden ledger written anew while its version is not released, else another one.
fn assert_has_every_reason(run: &Run) {
    let reasons: Vec<&Reason> = run.deployments.iter().filter_map(|row| row.reason.as_ref()).collect();
    let failures = FailureCode::ALL.iter().map(|code| code.as_str());
    let codes: BTreeSet<&str> = ReasonCode::ALL.iter().map(|code| code.as_str()).chain(failures).collect();
    assert_eq!(reasons.iter().map(|reason| reason.kind().code()).collect::<BTreeSet<_>>(), codes);
    assert_eq!(run.left_out.keys().map(|kind| kind.reason.code()).collect::<BTreeSet<_>>(), codes);
    assert_complete(run.reasons.iter().map(reasons::of_run_reason));
    assert_complete(run.tries.iter().map(|one| reasons::of_run_reason(&one.reason)));
    assert_complete(run.reasons.iter().filter_map(|reason| match reason {
        RunReason::Interrupted(why) => Some(reasons::of_interruption(why)),
        _ => None,
    }));
    assert_complete(reasons.iter().filter_map(|reason| match reason {
        Reason::OptedOut(label) => Some(reasons::of_label(label)),
        _ => None,
    }));
    assert_complete(reasons.iter().filter_map(|reason| match reason {
        Reason::NotWatched(why) => Some(reasons::of_not_watched(why)),
        _ => None,
    }));
}

/// Each variant was met.
fn assert_complete(met: impl Iterator<Item = (&'static str, &'static [&'static str])>) {
    let (met, all): (BTreeSet<_>, Vec<_>) = met.unzip();
    assert_eq!(met, all.concat().into_iter().collect());
}

/// A command of the new version must not change the format under a daemon that goes on writing the old one.
#[test]
fn the_ledger_of_an_earlier_version_is_left_alone_while_its_daemon_runs() {
    let directory = copied(1);
    let file = directory.path().join(FILE);
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

#[test]
fn brought_up_to_date_they_have_the_form_of_a_new_one() {
    let form = |directory: &Path| {
        drop(Ledger::open(directory).unwrap());
        let connection = rusqlite::Connection::open(directory.join(FILE)).unwrap();
        let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let form = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)));
        form.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let new = form(tempfile::tempdir().unwrap().path());
    for version in [1, 4, CURRENT] {
        assert_eq!(form(copied(version).path()), new, "of version {version}; the head of this file says what to do");
    }
}
