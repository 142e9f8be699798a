//! What holds after every scenario, whatever it was about. Judged by the journal of the other side and by the ledger's
//! bytes, not by what offhours says of itself.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use offhours::domain::rule::MailWhen;
use rusqlite::Connection;

use crate::scenario::stage::{Stage, is_a_persons};

/// Deployments whose ids begin like this must never be asked to stop.
pub const KEEP: &str = "keep";

pub fn check(stage: &Stage) {
    nothing_was_asked_that_nobody_should_ask(stage);
    every_request_was_written_down_before_and_inside_its_window(stage);
    every_firing_is_in_the_ledger_once(stage);
    one_mail_for_each_recipient_and_run(stage);
    every_deployment_of_a_run_that_is_over_has_an_outcome(stage);
    no_secret_was_written_anywhere(stage);
}

fn nothing_was_asked_that_nobody_should_ask(stage: &Stage) {
    let journal = stage.simulator.journal();
    let asked = journal.iter().filter(|entry| !is_a_persons(entry) && !entry.violations.is_empty());
    let violations: Vec<_> = asked.map(|entry| (entry.at, &entry.target, &entry.violations)).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

fn every_request_was_written_down_before_and_inside_its_window(stage: &Stage) {
    let database = stage.database();
    for patch in stage.patches() {
        let noted_by = patch.at + stage.put_back();
        for id in patch.patched_ids() {
            assert!(!id.starts_with(KEEP), "{id} was asked to stop at {}", patch.at);
            let written: i64 = database
                .query_row(
                    "SELECT count(*) FROM deployment d JOIN run r ON d.run = r.id
                     WHERE d.id = ?1 AND d.resource_group = ?2 AND d.requested_at <= ?4
                       AND r.window_from <= ?3 AND r.window_to > ?3 AND r.started_at <= ?3 AND r.mode = 'enforce'",
                    (&id, &patch.resource_group, patch.at.timestamp_millis(), noted_by.timestamp_millis()),
                    |row| row.get(0),
                )
                .unwrap();
            assert!(written > 0, "{id} was asked to stop at {} without a note of it, or outside a window", patch.at);
        }
    }
}

fn every_firing_is_in_the_ledger_once(stage: &Stage) {
    let database = stage.database();
    for rule in &stage.config.rules {
        let name = rule.name.as_str();
        let dealt_with: i64 =
            database.query_row("SELECT after FROM cursor WHERE rule = ?1", [name], |row| row.get(0)).unwrap();
        let dealt_with = DateTime::<Utc>::from_timestamp_millis(dealt_with).unwrap();
        for at in rule.schedule.firings(stage.from).take_while(|at| *at <= dealt_with) {
            let entries: i64 = database
                .query_row(
                    "SELECT count(*) FROM run WHERE rule = ?1 AND scheduled_at = ?2",
                    (name, at.timestamp_millis()),
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(entries, 1, "entries for {name} at {at}");
        }
    }
}

fn every_deployment_of_a_run_that_is_over_has_an_outcome(stage: &Stage) {
    let without = "SELECT count(*) FROM deployment d JOIN run r ON d.run = r.id WHERE NOT r.open AND d.outcome IS NULL";
    let without: i64 = stage.database().query_row(without, [], |row| row.get(0)).unwrap();
    assert_eq!(without, 0, "a ledger with such rows is refused by `ledger verify` and `ledger restore`");
}

fn one_mail_for_each_recipient_and_run(stage: &Stage) {
    let database = stage.database();
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    let all = |wanted| stage.config.rules.iter().all(|rule| rule.mail == wanted);
    if all(MailWhen::Changes) {
        return;
    }
    assert!(all(MailWhen::Always) || all(MailWhen::Never), "not thought of yet");
    // Firings that were missed together are told together; one that a person fired in vain is told at the terminal.
    let told = count(
        "SELECT count(*) FROM run WHERE NOT open AND result <> 'missed' AND NOT (result = 'skipped' AND trigger = 'manual')",
    ) + count("SELECT count(*) FROM (SELECT DISTINCT rule, started_at FROM run WHERE result = 'missed' AND trigger = 'catch-up'
                AND finished_at = started_at)")
        + count("SELECT count(*) FROM run WHERE result = 'missed' AND finished_at <> started_at");
    let told = if all(MailWhen::Never) { 0 } else { told };
    for recipient in &stage.config.mail.as_ref().unwrap().to {
        let mails: i64 = database
            .query_row(
                "SELECT count(*) FROM mail WHERE recipient = ?1 AND useless_from IS NULL",
                [recipient.as_str()],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(mails, told, "mails to {}", recipient.as_str());
    }
}

fn no_secret_was_written_anywhere(stage: &Stage) {
    stage.deliver();
    // What is in the write-ahead log belongs to the ledger too; both are read as bytes.
    checkpoint(&stage.database());
    let secrets = stage.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut texts = vec![("the history's Debug".to_owned(), format!("{:?}", stage.history()).into_bytes())];
    if let Some(process) = &stage.process {
        texts.push(("the executor's Debug".to_owned(), format!("{:?}", process.executor).into_bytes()));
    }
    read_all(&stage.config.state_dir, &mut texts);
    read_all(&stage.mails(), &mut texts);
    let search = Search::new(secrets.iter().map(|secret| secret.as_bytes()));
    for (name, bytes) in &texts {
        assert!(!search.finds_any_in(bytes), "a secret stands in {name}");
    }
}

fn checkpoint(database: &Connection) {
    database.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).unwrap();
}

fn read_all(directory: &Path, texts: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_file() {
            texts.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// Looks for many secrets in one pass: a year of mails is long, and every token of the year is a secret.
struct Search<'a> {
    /// By two bytes, whether a secret begins with them. Most of a text is passed over by this alone.
    begins: Vec<bool>,
    by_beginning: HashMap<&'a [u8], Vec<&'a [u8]>>,
}

impl<'a> Search<'a> {
    /// Secrets are longer.
    const BEGINNING: usize = 8;

    fn new(secrets: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut search = Self { begins: vec![false; 1 << 16], by_beginning: HashMap::new() };
        for secret in secrets {
            search.begins[pair(secret[0], secret[1])] = true;
            search.by_beginning.entry(&secret[..Self::BEGINNING]).or_default().push(secret);
        }
        search
    }

    fn finds_any_in(&self, bytes: &[u8]) -> bool {
        let mut first = 0;
        for (at, second) in bytes.iter().enumerate() {
            if self.begins[pair(first, *second)] && at > 0 && self.is_at(&bytes[at - 1..]) {
                return true;
            }
            first = *second;
        }
        false
    }

    fn is_at(&self, rest: &[u8]) -> bool {
        let secrets = rest.get(..Self::BEGINNING).and_then(|beginning| self.by_beginning.get(beginning));
        secrets.is_some_and(|secrets| secrets.iter().any(|secret| rest.starts_with(secret)))
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let search = Search::new([&b"abcdefgh1"[..], b"abcdefgh2", b"xy-z-xy-z"].into_iter());
    for text in ["abcdefgh1", "aabcdefgh2..", "..xy-z-xy-z", "xy-xy-z-xy-z."] {
        assert!(search.finds_any_in(text.as_bytes()), "{text}");
    }
    for text in ["", "a", "abcdefgh", "abcdefgh3", "bcdefgh1", "ab cdefgh1", "xy-z-xy-"] {
        assert!(!search.finds_any_in(text.as_bytes()), "{text}");
    }
}
