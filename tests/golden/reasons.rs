//! One of each reason, for the golden ledger; and for each of their types the words of all its variants, so that the
//! compiler asks whoever adds one.

use chrono::{DateTime, Utc};
use offhours::domain::deployment::Status;
use offhours::domain::failure::{Failure, FailureCode};
use offhours::domain::hold::{Hold, OffWord, OptOut};
use offhours::domain::id::{ResourceGroup, RuleName};
use offhours::domain::reason::{AskedBy, Blocked, HeldBy, NotWatched, Reason, ReasonCode, ReasonKind};
use offhours::domain::run::{LeftKind, LeftOut, Outcome};
use offhours::domain::run_reason::{Interruption, RunReason};

/// A function that names the variant of a value, and all variants of its type.
macro_rules! variants {
    ($name:ident: $type:ty { $($pattern:pat => $word:literal),+ $(,)? }) => {
        pub fn $name(value: &$type) -> (&'static str, &'static [&'static str]) {
            (match value { $($pattern => $word),+ }, &[$($word),+])
        }
    };
}

variants!(of_run_reason: RunReason {
    RunReason::Blocked(_) => "blocked",
    RunReason::Failure(_) => "failure",
    RunReason::NotListed { .. } => "not listed",
    RunReason::TooLate(_) => "too late",
    RunReason::NotOff { .. } => "not off",
    RunReason::Unfinished { .. } => "unfinished",
    RunReason::NotSeen(_) => "not seen",
    RunReason::TryingAgain(_) => "trying again",
    RunReason::Missed { .. } => "missed",
    RunReason::Skipped => "skipped",
    RunReason::Interrupted(_) => "interrupted",
    RunReason::Note(_) => "note",
    RunReason::Sentence(_) => "sentence",
});

variants!(of_interruption: Interruption {
    Interruption::Stopped => "stopped",
    Interruption::RuleIsGone => "rule is gone",
    Interruption::ConnectionIsGone(_) => "connection is gone",
    Interruption::Restored => "restored",
});

variants!(of_not_watched: NotWatched {
    NotWatched::Unreachable => "unreachable",
    NotWatched::Refused(_) => "refused",
    NotWatched::Panic => "panic",
    NotWatched::RuleIsGone => "rule is gone",
    NotWatched::ConnectionIsGone => "connection is gone",
    NotWatched::Restored => "restored",
});

variants!(of_label: OptOut {
    OptOut::ForGood(OffWord::Off) => "off",
    OptOut::ForGood(OffWord::Keep) => "keep",
    OptOut::UnknownWord(_) => "unknown word",
    OptOut::Until(_) => "until",
    OptOut::Unreadable(_) => "unreadable",
    OptOut::UnknownKey(_) => "unknown key",
});

fn asked(at: Option<DateTime<Utc>>) -> AskedBy {
    AskedBy { rule: RuleName::new("nights").unwrap(), at }
}

fn group() -> ResourceGroup {
    ResourceGroup::new("dev-a").unwrap()
}

fn failure(code: FailureCode) -> Failure {
    Failure::new(code, format!("what AI Core, the ledger or the clock said: \"{code}\"; 3 failed"))
}

/// Every reason that a deployment can have, with its outcome. `hold` is one that the ledger knows.
pub fn of_deployments(at: DateTime<Utc>, hold: &Hold) -> Vec<(Outcome, Reason)> {
    let mut all: Vec<_> = left(at, hold).into_iter().map(|reason| (Outcome::Left, reason)).collect();
    let off = |status, asked| Reason::AlreadyOff { status, asked };
    all.extend([
        (Outcome::AlreadyOff, off(Status::Stopped, None)),
        (Outcome::AlreadyOff, off(Status::Stopping, Some(asked(Some(at))))),
        (Outcome::Left, off(Status::Running, Some(asked(None)))),
        (Outcome::Gone, Reason::Deleted),
        (Outcome::Failed, Reason::CameBack { status: Status::Running, asked_before: false }),
        (Outcome::Failed, Reason::CameBack { status: Status::Pending, asked_before: true }),
        (Outcome::Failed, Reason::Dead),
    ]);
    all.extend(FailureCode::ALL.iter().map(|code| (Outcome::Failed, Reason::Failure(failure(*code)))));
    let not_watched = [
        NotWatched::Unreachable,
        NotWatched::Refused("GET /v2/lm/deployments/d001 was answered 403".to_owned()),
        NotWatched::Panic,
        NotWatched::RuleIsGone,
        NotWatched::ConnectionIsGone,
        NotWatched::Restored,
    ];
    let unconfirmed = [
        Reason::NotConfirmed { status: Some(Status::Stopping), waited: 900 },
        Reason::NotConfirmed { status: None, waited: 90 },
        Reason::StillStopping { status: Status::Stopping, asked: asked(Some(at)) },
        Reason::StillStopping { status: Status::Stopping, asked: asked(None) },
    ];
    let unconfirmed = unconfirmed.into_iter().chain(not_watched.into_iter().map(Reason::NotWatched));
    all.extend(unconfirmed.map(|reason| (Outcome::Unconfirmed, reason)));
    all
}

fn left(at: DateTime<Utc>, hold: &Hold) -> Vec<Reason> {
    let labels = [
        OptOut::ForGood(OffWord::Off),
        OptOut::ForGood(OffWord::Keep),
        OptOut::UnknownWord("offf: `x`".to_owned()),
        OptOut::Until(at),
        OptOut::Unreadable("next week".to_owned()),
        OptOut::UnknownKey("off-hours".to_owned()),
    ];
    let mut left = vec![
        Reason::Protected("resource group `prod*`".to_owned()),
        Reason::Excluded("configuration `*-keep`".to_owned()),
        Reason::Held(HeldBy::from(hold)),
        Reason::Held(HeldBy { hold: None, ..HeldBy::from(hold) }),
        Reason::NotSelected("scenario `speech`".to_owned()),
        Reason::CannotStop(Status::Dead),
        Reason::CannotStop(Status::from("HIBERNATING")),
        Reason::AlreadyAsked,
        Reason::CreatedAfter(at),
        Reason::CreatedUnknown,
        Reason::TooYoung { age: 7, min_age: 30 },
        Reason::TokenBilled,
        Reason::Observed,
        Reason::Blocked(Blocked { would_stop: 51, max_stops: 50 }),
        Reason::WindowEnded,
        Reason::Changed,
        Reason::Sentence("left: as an older version said".to_owned()),
    ];
    left.extend(labels.map(Reason::OptedOut));
    left
}

/// Counts of deployments without a row, one for each kind and whether the rule selects them.
pub fn counts() -> LeftOut {
    let plain = ReasonCode::ALL.iter().map(|code| ReasonKind::Plain(*code));
    let in_status = [ReasonCode::CannotStop, ReasonCode::AlreadyOff, ReasonCode::StillStopping];
    let in_status = in_status.into_iter().map(|code| ReasonKind::InStatus(code, Status::from("HIBERNATING")));
    let failed = FailureCode::ALL.iter().map(|code| ReasonKind::Failure(*code));
    let kinds = plain.chain(in_status).chain(failed).enumerate();
    kinds
        .flat_map(|(index, reason)| {
            let of = |is_selected| LeftKind { reason: reason.clone(), is_selected };
            [(of(true), 1000 + index), (of(false), 2000 + index)]
        })
        .collect()
}

/// Every reason that a run can have.
pub fn of_runs(at: DateTime<Utc>) -> Vec<RunReason> {
    let interruptions = [
        Interruption::Stopped,
        Interruption::RuleIsGone,
        Interruption::ConnectionIsGone("dev".to_owned()),
        Interruption::Restored,
    ];
    let mut all = vec![
        RunReason::Blocked(Blocked { would_stop: 51, max_stops: 50 }),
        RunReason::NotListed { count: 2, groups: 5, group: group(), failure: failure(FailureCode::Forbidden) },
        RunReason::TooLate(3),
        RunReason::NotOff { failed: 1, unconfirmed: 2 },
        RunReason::NotSeen(2),
        RunReason::TryingAgain(Box::new(RunReason::Failure(failure(FailureCode::Token)))),
        RunReason::Missed { noticed: at, earlier: 4 },
        RunReason::Skipped,
        RunReason::Note("list_inconsistent: the list of `dev-a` changed while it was read".to_owned()),
        RunReason::Sentence("as an older version said".to_owned()),
    ];
    all.extend(FailureCode::ALL.iter().map(|code| RunReason::Failure(failure(*code))));
    all.extend(interruptions.map(RunReason::Interrupted));
    all.push(RunReason::Unfinished {
        reason: Box::new(Reason::Failure(failure(FailureCode::Unreachable))),
        group: group(),
        others: 2,
    });
    all
}
