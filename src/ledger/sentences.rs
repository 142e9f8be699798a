//! Ledgers up to version 4 kept the reasons of deployments, runs and tries as sentences. The only place that reads facts
//! out of sentences: once, when such a ledger is brought to version 5. What no earlier version wrote stays a sentence.

use chrono::{DateTime, Utc};
use rusqlite::{Row, Transaction, named_params, params};

use crate::domain::deployment::Status;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::hold::{Hold, HoldTarget, OffWord, OptOut};
use crate::domain::id::{ResourceGroup, RuleName};
use crate::domain::reason::{AskedBy, Blocked, HeldBy, NotWatched, Reason, ReasonCode, ReasonKind};
use crate::domain::run::LeftKind;
use crate::domain::run_reason::{Interruption, RunReason};
use crate::ledger::error::LedgerError;
use crate::ledger::holds::every_hold;
use crate::ledger::reasons;
use crate::ledger::values::from_ms;

#[cfg(test)]
mod tests;

/// Between the reasons of a run.
const AND: &str = "; ";
/// The end of the first half of one of them.
const NOT_LISTED: &str = " resource groups could not be listed";
const FAILED: &str = " failed";
const UNCONFIRMED: &str = " unconfirmed";

/// What a sentence was said of.
#[derive(Debug, Clone)]
struct Of {
    group: String,
    id: String,
    configuration_id: String,
    configuration_name: Option<String>,
    rule: String,
    /// When the run was under way.
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Of {
    fn read(columns: &Row<'_>) -> Result<Self, LedgerError> {
        let started_at: i64 = columns.get("started_at")?;
        let finished_at: Option<i64> = columns.get("finished_at")?;
        Ok(Self {
            group: columns.get("resource_group")?,
            id: columns.get("id")?,
            configuration_id: columns.get("configuration_id")?,
            configuration_name: columns.get("configuration_name")?,
            rule: columns.get("rule")?,
            from: from_ms(started_at)?,
            to: finished_at.map_or(Ok(DateTime::<Utc>::MAX_UTC), from_ms)?,
        })
    }
}

/// Reads the sentences of all deployments, counts, runs and tries into the columns of version 5.
pub(super) fn read_into_reasons(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    deployments(tx)?;
    counts(tx)?;
    runs(tx)?;
    tries(tx)
}

fn runs(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let mut runs = tx.prepare("SELECT id, reason FROM run WHERE reason <> ''")?;
    let mut found = runs.query([])?;
    while let Some(columns) = found.next()? {
        let (id, sentence): (i64, String) = (columns.get(0)?, columns.get(1)?);
        let reasons = reasons::to_json(&run_reasons(&sentence))?;
        tx.prepare_cached("UPDATE run SET reasons = ?2 WHERE id = ?1")?.execute(params![id, reasons])?;
    }
    Ok(())
}

fn tries(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let mut tries = tx.prepare("SELECT run, number, reason FROM try")?;
    let mut found = tries.query([])?;
    while let Some(columns) = found.next()? {
        let (run, number, sentence): (i64, i64, String) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
        let cause = reasons::to_json(&run_reason(&sentence))?;
        tx.prepare_cached("UPDATE try SET cause = ?3 WHERE run = ?1 AND number = ?2")?
            .execute(params![run, number, cause])?;
    }
    Ok(())
}

fn deployments(tx: &Transaction<'_>) -> Result<(), LedgerError> {
    let holds = every_hold(tx)?;
    let mut rows = tx.prepare(
        "SELECT d.run, d.resource_group, d.id, d.configuration_id, d.configuration_name, d.reason, r.rule, r.started_at,
                r.finished_at
         FROM deployment d JOIN run r ON r.id = d.run WHERE d.reason <> ''",
    )?;
    let mut update = tx.prepare(
        "UPDATE deployment SET reason_code = :code, reason_detail = :detail, selected = :selected
         WHERE run = :run AND resource_group = :group AND id = :id",
    )?;
    let mut found = rows.query([])?;
    while let Some(columns) = found.next()? {
        let (run, sentence): (i64, String) = (columns.get("run")?, columns.get("reason")?);
        let of = Of::read(columns)?;
        let reason = reason(&sentence, &of, &holds);
        let (code, detail) = reasons::columns(Some(&reason))?;
        let is_selected = !matches!(reason, Reason::NotSelected(_));
        update.execute(named_params! {
            ":code": code, ":detail": detail, ":selected": is_selected, ":run": run, ":group": of.group, ":id": of.id,
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

fn reason(sentence: &str, of: &Of, holds: &[Hold]) -> Reason {
    let (keyword, detail) = sentence.split_once(": ").unwrap_or((sentence, ""));
    understood(keyword, detail, of, holds)
        // What it would say now must be what it said then.
        .filter(|reason| reason.to_string() == sentence)
        .unwrap_or_else(|| Reason::Sentence(sentence.to_owned()))
}

fn understood(keyword: &str, detail: &str, of: &Of, holds: &[Hold]) -> Option<Reason> {
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
        "blocked" => Reason::Blocked(blocked(detail)?),
        "window ended" => Reason::WindowEnded,
        "changed" => Reason::Changed,
        "deleted by somebody else" => Reason::Deleted,
        "dead" => Reason::Dead,
        "came_back" => came_back(detail)?,
        "unconfirmed" => unconfirmed(detail)?,
        _ => return in_status(keyword, detail).or_else(|| failure(keyword, detail)),
    })
}

fn blocked(detail: &str) -> Option<Blocked> {
    let rest = detail.strip_prefix("it would have stopped ")?;
    let (would_stop, max_stops) = rest.split_once(" deployments, more than max_stops = ")?;
    Some(Blocked { would_stop: would_stop.parse().ok()?, max_stops: max_stops.parse().ok()? })
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

/// The hold is looked for by what the sentence says of it, by what it covers and by when it was in force: two people can
/// say the same of two deployments, and one person the same twice. Of several the newest decided.
fn held(detail: &str, of: &Of, holds: &[Hold]) -> Option<HeldBy> {
    let detail = detail.strip_prefix("by ")?;
    // Who and why may hold the same words as the sentence around them.
    let said = detail.match_indices(" until ").find_map(|(at, word)| {
        let (until, why) = detail.get(at + word.len()..)?.split_once("Z: ")?;
        let until: DateTime<Utc> = format!("{until}Z").parse().ok()?;
        Some(HeldBy { hold: None, by: detail.get(..at)?.to_owned(), until, why: why.to_owned() })
    })?;
    // The sentence gives whole seconds.
    let says = |hold: &&Hold| {
        hold.by == said.by && hold.until.timestamp() == said.until.timestamp() && hold.reason == said.why
    };
    let is_in_force = |hold: &&Hold| hold.created_at <= of.to && hold.removed_at.is_none_or(|at| at >= of.from);
    let covers = |hold: &&Hold| match &hold.target {
        HoldTarget::Deployment(id) => id.as_str() == of.id,
        HoldTarget::ResourceGroup(group) => group.as_str() == of.group,
        HoldTarget::Configuration(name) => Some(name) == of.configuration_name.as_ref() || *name == of.configuration_id,
        HoldTarget::Rule(rule) => rule.as_str() == of.rule,
    };
    let hold = holds.iter().filter(says).filter(is_in_force).rfind(covers);
    Some(hold.map_or(said, HeldBy::from))
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

/// What the sentence of a run says. Several reasons were joined by `; `, which stands in the words of failures too: what
/// begins none of the reasons that can follow another belongs to the one before.
fn run_reasons(sentence: &str) -> Vec<RunReason> {
    let mut parts: Vec<String> = Vec::new();
    for part in sentence.split(AND) {
        match parts.last_mut() {
            Some(last) if !begins_a_reason(part) => *last = [last, part].join(AND),
            _ => parts.push(part.to_owned()),
        }
    }
    parts.iter().map(|part| run_reason(part)).collect()
}

fn begins_a_reason(part: &str) -> bool {
    part.ends_with(NOT_LISTED) || not_off(part).is_some() || note(part).is_some()
}

fn run_reason(sentence: &str) -> RunReason {
    understood_of_run(sentence)
        // What it would say now must be what it said then.
        .filter(|reason| reason.to_string() == sentence)
        .unwrap_or_else(|| RunReason::Sentence(sentence.to_owned()))
}

fn understood_of_run(sentence: &str) -> Option<RunReason> {
    let whole = [
        RunReason::Skipped,
        RunReason::Interrupted(Interruption::Stopped),
        RunReason::Interrupted(Interruption::RuleIsGone),
        RunReason::Interrupted(Interruption::Restored),
    ];
    // In this order, because what is not known better is a failure.
    let known = whole.into_iter().find(|reason| reason.to_string() == sentence);
    known
        .or_else(|| Some(RunReason::TryingAgain(Box::new(run_reason(sentence.strip_prefix("trying again: ")?)))))
        .or_else(|| connection_is_gone(sentence))
        .or_else(|| missed(sentence))
        .or_else(|| counted(sentence))
        .or_else(|| not_off(sentence))
        .or_else(|| not_listed(sentence))
        .or_else(|| unfinished(sentence))
        .or_else(|| note(sentence))
        .or_else(|| blocked_or_failed(sentence))
}

fn connection_is_gone(sentence: &str) -> Option<RunReason> {
    let name = sentence.strip_prefix("interrupted: the connection `")?.strip_suffix("` is no longer configured")?;
    Some(RunReason::Interrupted(Interruption::ConnectionIsGone(name.to_owned())))
}

fn missed(sentence: &str) -> Option<RunReason> {
    let (noticed, rest) = sentence.strip_prefix("missed: noticed at ")?.split_once(", when its time had passed")?;
    let earlier = match rest.strip_prefix(", together with ") {
        Some(rest) => rest.strip_suffix(" earlier firings")?.parse().ok()?,
        None => 0,
    };
    Some(RunReason::Missed { noticed: noticed.parse().ok()?, earlier })
}

/// A number of deployments, and what became of all of them.
fn counted(sentence: &str) -> Option<RunReason> {
    let (count, what) = sentence.strip_prefix("unreachable: ").unwrap_or(sentence).split_once(' ')?;
    let count = count.parse().ok()?;
    match what {
        "deployments that were asked to stop could not be looked at again" => Some(RunReason::NotSeen(count)),
        "deployments were left: the off window was over before they could be asked to stop" => {
            Some(RunReason::TooLate(count))
        }
        _ => None,
    }
}

/// `1 failed, 2 unconfirmed`, or one of the two.
fn not_off(sentence: &str) -> Option<RunReason> {
    let number = |part: &str, word| part.strip_suffix(word)?.parse().ok();
    let (failed, unconfirmed) = match sentence.split_once(", ") {
        Some((failed, unconfirmed)) => (number(failed, FAILED)?, number(unconfirmed, UNCONFIRMED)?),
        None => match number(sentence, FAILED) {
            Some(failed) => (failed, 0),
            None => (0, number(sentence, UNCONFIRMED)?),
        },
    };
    Some(RunReason::NotOff { failed, unconfirmed })
}

fn not_listed(sentence: &str) -> Option<RunReason> {
    let (head, rest) = sentence.split_once(&[NOT_LISTED, AND, "`"].concat())?;
    let (code, counts) = head.split_once(": ")?;
    let (count, groups) = counts.split_once(" of ")?;
    let (group, message) = rest.split_once("`: ")?;
    Some(RunReason::NotListed {
        count: count.parse().ok()?,
        groups: groups.parse().ok()?,
        group: ResourceGroup::new(group).ok()?,
        failure: Failure::new(code.parse().ok()?, message),
    })
}

/// What was in the way in a resource group, and in how many more. Only failures pass, so that only they are tried again.
fn unfinished(sentence: &str) -> Option<RunReason> {
    let (reason, place) = sentence.strip_suffix(')')?.rsplit_once(" (resource group `")?;
    let (group, others) = place.split_once('`')?;
    let others = match others.strip_prefix(" and ") {
        Some(others) => others.strip_suffix(" more")?.parse().ok()?,
        None => 0,
    };
    let (code, message) = reason.split_once(": ")?;
    Some(RunReason::Unfinished {
        reason: Box::new(failure(code, message)?),
        group: ResourceGroup::new(group).ok()?,
        others,
    })
}

/// What a person should know about what was looked at.
fn note(sentence: &str) -> Option<RunReason> {
    let starts = |beginning| sentence.starts_with(beginning);
    let is_note = sentence == "labels of resource groups could not be read: this key may not list them"
        || starts("instance types could not be read: ")
        || (starts("list_inconsistent: the list of `") && sentence.ends_with("` changed while it was read"))
        || sentence.ends_with("` have malformed ids and were left");
    is_note.then(|| RunReason::Note(sentence.to_owned()))
}

fn blocked_or_failed(sentence: &str) -> Option<RunReason> {
    let (keyword, detail) = sentence.split_once(": ")?;
    match keyword {
        "blocked" => Some(RunReason::Blocked(blocked(detail)?)),
        _ => Some(RunReason::Failure(Failure::new(keyword.parse().ok()?, detail))),
    }
}
