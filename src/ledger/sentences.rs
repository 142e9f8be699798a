//! Ledgers up to version 4 kept the reason of each deployment as a sentence. The only place that reads facts out of
//! sentences: once, when such a ledger is brought to version 5.

use rusqlite::{Transaction, named_params, params};

use crate::domain::deployment::Status;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::hold::{Hold, HoldTarget, OffWord, OptOut};
use crate::domain::id::RuleName;
use crate::domain::reason::{AskedBy, Blocked, HeldBy, NotWatched, Reason, ReasonCode, ReasonKind};
use crate::domain::run::LeftKind;
use crate::domain::run_reason::RunReason;
use crate::ledger::error::LedgerError;
use crate::ledger::holds::every_hold;
use crate::ledger::reasons;

/// What a sentence was said of.
#[derive(Debug, Clone, Copy)]
struct Of<'a> {
    group: &'a str,
    id: &'a str,
    configuration_id: &'a str,
    configuration_name: Option<&'a str>,
    rule: &'a str,
}

/// Reads the sentences of all deployments, counts, runs and tries into the columns of version 5.
pub(super) fn read_into_reasons(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    deployments(tx)?;
    counts(tx)?;
    let mut runs = tx.prepare("SELECT id, reason FROM run WHERE reason <> ''")?;
    let mut found = runs.query([])?;
    while let Some(columns) = found.next()? {
        let (id, sentence): (i64, String) = (columns.get(0)?, columns.get(1)?);
        let reasons = reasons::to_json(&[RunReason::Sentence(sentence)])?;
        tx.prepare_cached("UPDATE run SET reasons = ?2 WHERE id = ?1")?.execute(params![id, reasons])?;
    }
    let mut tries = tx.prepare("SELECT run, number, reason FROM try")?;
    let mut found = tries.query([])?;
    while let Some(columns) = found.next()? {
        let (run, number, sentence): (i64, i64, String) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
        let cause = reasons::to_json(&RunReason::Sentence(sentence))?;
        tx.prepare_cached("UPDATE try SET cause = ?3 WHERE run = ?1 AND number = ?2")?
            .execute(params![run, number, cause])?;
    }
    Ok(())
}

fn deployments(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let holds = every_hold(tx)?;
    let mut rows = tx.prepare(
        "SELECT d.run, d.resource_group, d.id, d.configuration_id, d.configuration_name, d.reason, r.rule
         FROM deployment d JOIN run r ON r.id = d.run WHERE d.reason <> ''",
    )?;
    let mut update = tx.prepare(
        "UPDATE deployment SET reason_code = :code, reason_detail = :detail, selected = :selected
         WHERE run = :run AND resource_group = :group AND id = :id",
    )?;
    let mut found = rows.query([])?;
    while let Some(columns) = found.next()? {
        let (run, group, id): (i64, String, String) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
        let (configuration_id, configuration_name): (String, Option<String>) = (columns.get(3)?, columns.get(4)?);
        let (sentence, rule): (String, String) = (columns.get(5)?, columns.get(6)?);
        let of = Of {
            group: &group,
            id: &id,
            configuration_id: &configuration_id,
            configuration_name: configuration_name.as_deref(),
            rule: &rule,
        };
        let reason = reason(&sentence, &of, &holds);
        let (code, detail) = reasons::columns(Some(&reason))?;
        let is_selected = !matches!(reason, Reason::NotSelected(_));
        update.execute(named_params! {
            ":code": code, ":detail": detail, ":selected": is_selected, ":run": run, ":group": group, ":id": id,
        })?;
    }
    Ok(())
}

fn counts(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let mut counts = tx.prepare("SELECT run, reason, count FROM left_out_4")?;
    let mut found = counts.query([])?;
    while let Some(columns) = found.next()? {
        let (run, keyword, count): (i64, String, i64) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
        let reason = kind(&keyword);
        let is_selected = reason != ReasonKind::Plain(ReasonCode::NotSelected);
        let kind = LeftKind { reason, is_selected };
        let (code, status) = reasons::kind_columns(&kind);
        tx.prepare_cached(
            "INSERT INTO left_out (run, reason_code, status, selected, count) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![run, code, status, is_selected, count])?;
    }
    drop(found);
    drop(counts);
    tx.execute_batch("DROP TABLE left_out_4")?;
    Ok(())
}

/// What was counted under a keyword.
fn kind(keyword: &str) -> ReasonKind {
    if let Some(status) = keyword.strip_prefix("status ") {
        return ReasonKind::InStatus(ReasonCode::CannotStop, Status::from(status));
    }
    if let Some(status) = keyword.strip_prefix("already ").filter(|word| *word == word.to_uppercase()) {
        return ReasonKind::InStatus(ReasonCode::AlreadyOff, Status::from(status));
    }
    let known = ReasonCode::ALL.iter().map(|code| ReasonKind::Plain(*code));
    known.into_iter().find(|kind| kind.to_string() == keyword).unwrap_or(ReasonKind::Plain(ReasonCode::Sentence))
}

fn reason(sentence: &str, of: &Of<'_>, holds: &[Hold]) -> Reason {
    let (keyword, detail) = sentence.split_once(": ").unwrap_or((sentence, ""));
    understood(keyword, detail, of, holds)
        // What it would say now must be what it said then.
        .filter(|reason| reason.to_string() == sentence)
        .unwrap_or_else(|| Reason::Sentence(sentence.to_owned()))
}

fn understood(keyword: &str, detail: &str, of: &Of<'_>, holds: &[Hold]) -> Option<Reason> {
    let owned = || detail.to_owned();
    Some(match keyword {
        "protected" => Reason::Protected(owned()),
        "excluded" => Reason::Excluded(owned()),
        "held" => Reason::Held(held(detail, of, holds)?),
        "opted out by label" => Reason::OptedOut(opted_out(detail)?),
        "not selected" => Reason::NotSelected(owned()),
        "already asked to stop" => Reason::AlreadyAsked,
        "created after the instant" => Reason::CreatedAfter(detail.strip_prefix("at ")?.parse().ok()?),
        "created at an unknown time" => Reason::CreatedUnknown,
        "younger than min_age" => {
            let (age, min_age) = detail.strip_suffix(" minutes")?.split_once(" of ")?;
            Reason::TooYoung { age: age.parse().ok()?, min_age: min_age.parse().ok()? }
        }
        "token-billed" => Reason::TokenBilled,
        "observe" => Reason::Observed,
        "blocked" => {
            let rest = detail.strip_prefix("it would have stopped ")?;
            let (would_stop, max_stops) = rest.split_once(" deployments, more than max_stops = ")?;
            Reason::Blocked(Blocked { would_stop: would_stop.parse().ok()?, max_stops: max_stops.parse().ok()? })
        }
        "window ended" => Reason::WindowEnded,
        "changed" => Reason::Changed,
        "deleted by somebody else" => Reason::Deleted,
        "dead" => Reason::Dead,
        "came_back" => came_back(detail)?,
        "unconfirmed" => unconfirmed(detail)?,
        _ => return in_status(keyword, detail).or_else(|| failure(keyword, detail)),
    })
}

/// `status DEAD`, `already STOPPED`, `still STOPPING since …`.
fn in_status(keyword: &str, detail: &str) -> Option<Reason> {
    if let Some(status) = keyword.strip_prefix("status ") {
        return Some(Reason::CannotStop(Status::from(status)));
    }
    if let Some(status) = keyword.strip_prefix("already ") {
        let asked = match detail.strip_prefix("rule `") {
            Some(rest) => {
                let (rule, at) = rest.split_once("` asked for it")?;
                Some(asked_by(rule, at.strip_prefix(" at "))?)
            }
            None => None,
        };
        return Some(Reason::AlreadyOff { status: Status::from(status), asked });
    }
    let status = keyword.strip_prefix("still ")?;
    let (status, at) = status.split_once(" since ").map_or((status, None), |(status, at)| (status, Some(at)));
    let rule = detail.strip_prefix("asked for by rule `")?.strip_suffix("`, not confirmed")?;
    Some(Reason::StillStopping { status: Status::from(status), asked: asked_by(rule, at)? })
}

fn asked_by(rule: &str, at: Option<&str>) -> Option<AskedBy> {
    let at = at.map(str::parse).transpose().ok()?;
    Some(AskedBy { rule: RuleName::new(rule).ok()?, at })
}

fn failure(keyword: &str, detail: &str) -> Option<Reason> {
    let code: FailureCode = keyword.parse().ok()?;
    Some(Reason::Failure(Failure::new(code, detail)))
}

fn came_back(detail: &str) -> Option<Reason> {
    if let Some(status) = detail.strip_prefix("it is ").and_then(|rest| rest.strip_suffix(" again")) {
        return Some(Reason::CameBack { status: Status::from(status), asked_before: false });
    }
    let rest = detail.strip_prefix("its stop was asked for earlier, it was changed since and is ")?;
    let (status, _) = rest.split_once(';')?;
    Some(Reason::CameBack { status: Status::from(status), asked_before: true })
}

fn unconfirmed(detail: &str) -> Option<Reason> {
    let known = [
        NotWatched::Unreachable,
        NotWatched::Panic,
        NotWatched::RuleIsGone,
        NotWatched::ConnectionIsGone,
        NotWatched::Restored,
    ];
    if let Some(known) = known.into_iter().find(|known| known.to_string() == detail) {
        return Some(Reason::NotWatched(known));
    }
    if let Some(words) = detail.strip_prefix("it could not be looked at again: ") {
        return Some(Reason::NotWatched(NotWatched::Refused(words.to_owned())));
    }
    let (seen, waited) = detail.rsplit_once(" after ")?;
    let (number, unit) = waited.split_once(' ')?;
    let number: i64 = number.parse().ok()?;
    let waited = if unit == "seconds" { number } else { number.checked_mul(60)? };
    let status = seen.strip_prefix("still ").map(Status::from);
    Some(Reason::NotConfirmed { status, waited })
}

/// The hold is looked for by what the sentence says of it and by what it covers: two people can say the same of two
/// deployments.
fn held(detail: &str, of: &Of<'_>, holds: &[Hold]) -> Option<HeldBy> {
    let (by, rest) = detail.strip_prefix("by ")?.split_once(" until ")?;
    let (until, why) = rest.split_once("Z: ")?;
    let until: chrono::DateTime<chrono::Utc> = format!("{until}Z").parse().ok()?;
    let says = |hold: &&Hold| hold.by == by && hold.until.timestamp() == until.timestamp() && hold.reason == why;
    let covers = |hold: &&Hold| match &hold.target {
        HoldTarget::Deployment(id) => id.as_str() == of.id,
        HoldTarget::ResourceGroup(group) => group.as_str() == of.group,
        HoldTarget::Configuration(name) => Some(name.as_str()) == of.configuration_name || name == of.configuration_id,
        HoldTarget::Rule(rule) => rule.as_str() == of.rule,
    };
    let hold = holds.iter().filter(says).find(covers).map(|hold| hold.id);
    Some(HeldBy { hold, by: by.to_owned(), until, why: why.to_owned() })
}

fn opted_out(detail: &str) -> Option<OptOut> {
    if let Some(until) = detail.strip_prefix("until ") {
        return Some(OptOut::Until(until.parse().ok()?));
    }
    if let Some(text) = detail.strip_prefix("`offhours-hold-until` = `") {
        let (text, _) = text.rsplit_once("` is no RFC 3339")?;
        return Some(OptOut::Unreadable(text.to_owned()));
    }
    let Some(text) = detail.strip_prefix("`offhours` = `") else {
        let (key, _) = detail.strip_prefix('`')?.rsplit_once("` is not understood")?;
        return Some(OptOut::UnknownKey(key.to_owned()));
    };
    match text.rsplit_once("` is not understood") {
        Some((text, _)) => Some(OptOut::UnknownWord(text.to_owned())),
        None => Some(OptOut::ForGood(text.strip_suffix('`')?.parse::<OffWord>().ok()?)),
    }
}
