//! Why a deployment has its outcome. A reason is a value from the decision to the ledger and to the report; the sentence
//! that people read is made here, and nobody ever reads a fact back out of a sentence.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::deployment::Status;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::hold::{Hold, OptOut};
use crate::domain::id::RuleName;
use crate::domain::instant::{SayInstant, rfc3339};
use crate::domain::words::words;

words! {
    /// The kinds of reasons. The word is the code in the ledger and in JSON.
    pub ReasonCode {
        /// `[protect]` covers it.
        Protected = "protected",
        /// The rule's `[rule.exclude]` covers it.
        Excluded = "excluded",
        /// A hold keeps it on.
        Held = "held",
        /// Its resource group's labels say no.
        OptedOut = "opted_out",
        /// The rule's `[rule.select]` does not match it.
        NotSelected = "not_selected",
        /// Its status cannot be stopped.
        CannotStop = "cannot_stop",
        /// It was asked to stop before.
        AlreadyAsked = "already_asked",
        /// It was created after the scheduled instant.
        CreatedAfter = "created_after",
        /// Nobody knows when it was created.
        CreatedUnknown = "created_unknown",
        /// It is younger than `min_age`.
        TooYoung = "too_young",
        TokenBilled = "token_billed",
        /// The rule only observes.
        Observed = "observed",
        /// The run would have stopped more than `max_stops`.
        Blocked = "blocked",
        /// The off window was over.
        WindowEnded = "window_ended",
        /// Somebody changed it after it was listed.
        Changed = "changed",
        /// It was off, or on its way off, before this run asked.
        AlreadyOff = "already_off",
        /// Somebody deleted it.
        Deleted = "deleted",
        CameBack = "came_back",
        Dead = "dead",
        /// It was not seen STOPPED in time.
        NotConfirmed = "not_confirmed",
        /// An earlier run asked for it, and it is still not STOPPED.
        StillStopping = "still_stopping",
        /// Nobody could look at it any more.
        NotWatched = "not_watched",
        /// A sentence of an older version, which is not understood.
        Sentence = "sentence",
    }
}

/// What reasons are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasonKind {
    Plain(ReasonCode),
    /// Told apart by the deployment's status too.
    InStatus(ReasonCode, Status),
    Failure(FailureCode),
}

impl ReasonKind {
    /// The code in the ledger and in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Plain(code) | Self::InStatus(code, _) => code.as_str(),
            Self::Failure(code) => code.as_str(),
        }
    }
}

/// The words with which a sentence about it begins.
impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InStatus(ReasonCode::CannotStop, status) => write!(f, "status {status}"),
            Self::InStatus(ReasonCode::StillStopping, status) => write!(f, "still {status}"),
            Self::InStatus(_, status) => write!(f, "already {status}"),
            Self::Failure(code) => f.write_str(code.as_str()),
            Self::Plain(code) => f.write_str(match code {
                ReasonCode::OptedOut => "opted out by label",
                ReasonCode::NotSelected => "not selected",
                ReasonCode::CannotStop => "status",
                ReasonCode::AlreadyAsked => "already asked to stop",
                ReasonCode::CreatedAfter => "created after the instant",
                ReasonCode::CreatedUnknown => "created at an unknown time",
                ReasonCode::TooYoung => "younger than min_age",
                ReasonCode::TokenBilled => "token-billed",
                ReasonCode::Observed => "observe",
                ReasonCode::WindowEnded => "window ended",
                ReasonCode::AlreadyOff => "already off",
                ReasonCode::Deleted => "deleted by somebody else",
                ReasonCode::NotConfirmed | ReasonCode::NotWatched => "unconfirmed",
                ReasonCode::Sentence => "other reasons",
                plain => plain.as_str(),
            }),
        }
    }
}

/// Why a deployment has its outcome. [`ReasonCode`] has one word for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", content = "detail", rename_all = "snake_case")]
pub enum Reason {
    /// By which key of `[protect]`.
    Protected(String),
    /// By which key of `[rule.exclude]`.
    Excluded(String),
    Held(HeldBy),
    OptedOut(OptOut),
    /// Which key of `[rule.select]` does not match.
    NotSelected(String),
    /// Only RUNNING and PENDING can be stopped.
    CannotStop(Status),
    /// By somebody: who, is looked up later.
    AlreadyAsked,
    CreatedAfter(DateTime<Utc>),
    /// AI Core's `createdAt` could not be read: it may be new.
    CreatedUnknown,
    /// Both in minutes.
    TooYoung {
        age: i64,
        /// The rule's `min_age`.
        min_age: i64,
    },
    /// A stop avoids no compute cost.
    TokenBilled,
    /// It would have been stopped.
    Observed,
    /// The whole run stopped nothing.
    Blocked(Blocked),
    /// Before it could be asked to stop.
    WindowEnded,
    /// After it was listed.
    Changed,
    /// Off, or on its way off, without this run.
    AlreadyOff {
        /// Its status when it was looked at.
        status: Status,
        /// Which rule asked for it; none where it was somebody else.
        asked: Option<AskedBy>,
    },
    /// By somebody else.
    Deleted,
    /// It runs although it was asked to stop.
    CameBack {
        status: Status,
        /// True where an earlier executor of the run asked, so that it is not asked again.
        asked_before: bool,
    },
    /// It turned DEAD instead of STOPPED.
    Dead,
    /// What AI Core, the ledger or the clock had against it.
    Failure(Failure),
    /// The rule's `verify_timeout` was over.
    NotConfirmed {
        /// As what it was seen last; none where it was not seen again.
        status: Option<Status>,
        /// How long was waited, in seconds.
        waited: i64,
    },
    /// An earlier run's stop that has not come true.
    StillStopping {
        status: Status,
        asked: AskedBy,
    },
    /// It was asked to stop, and then nobody looked.
    NotWatched(NotWatched),
    /// As an older version wrote it.
    Sentence(String),
}

/// The hold that keeps a deployment on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldBy {
    /// Its number; none where an older version did not write it down.
    pub hold: Option<i64>,
    pub by: String,
    pub until: DateTime<Utc>,
    pub why: String,
}

impl From<&Hold> for HeldBy {
    fn from(hold: &Hold) -> Self {
        let Hold { id, by, until, reason, .. } = hold.clone();
        Self { hold: Some(id), by, until, why: reason }
    }
}

/// A run that would have stopped too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    pub would_stop: usize,
    /// The rule's `max_stops`.
    pub max_stops: u32,
}

/// Which rule asked for a stop before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedBy {
    pub rule: RuleName,
    pub at: Option<DateTime<Utc>>,
}

/// Why nobody looked whether a deployment came off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotWatched {
    /// AI Core could not be asked.
    Unreachable,
    /// AI Core refused to answer; its words.
    Refused(String),
    /// offhours failed.
    Panic,
    /// The rule was taken out of the configuration.
    RuleIsGone,
    /// The connection was taken out of the configuration.
    ConnectionIsGone,
    /// The ledger was restored from a backup that showed the run under way.
    Restored,
}

impl Reason {
    /// What it is counted by.
    pub fn kind(&self) -> ReasonKind {
        use ReasonKind::{InStatus, Plain};
        match self {
            Self::Protected(_) => Plain(ReasonCode::Protected),
            Self::Excluded(_) => Plain(ReasonCode::Excluded),
            Self::Held(_) => Plain(ReasonCode::Held),
            Self::OptedOut(_) => Plain(ReasonCode::OptedOut),
            Self::NotSelected(_) => Plain(ReasonCode::NotSelected),
            Self::CannotStop(status) => InStatus(ReasonCode::CannotStop, status.clone()),
            Self::AlreadyAsked => Plain(ReasonCode::AlreadyAsked),
            Self::CreatedAfter(_) => Plain(ReasonCode::CreatedAfter),
            Self::CreatedUnknown => Plain(ReasonCode::CreatedUnknown),
            Self::TooYoung { .. } => Plain(ReasonCode::TooYoung),
            Self::TokenBilled => Plain(ReasonCode::TokenBilled),
            Self::Observed => Plain(ReasonCode::Observed),
            Self::Blocked(_) => Plain(ReasonCode::Blocked),
            Self::WindowEnded => Plain(ReasonCode::WindowEnded),
            Self::Changed => Plain(ReasonCode::Changed),
            Self::AlreadyOff { status, .. } => InStatus(ReasonCode::AlreadyOff, status.clone()),
            Self::Deleted => Plain(ReasonCode::Deleted),
            Self::CameBack { .. } => Plain(ReasonCode::CameBack),
            Self::Dead => Plain(ReasonCode::Dead),
            Self::Failure(failure) => ReasonKind::Failure(failure.code),
            Self::NotConfirmed { .. } => Plain(ReasonCode::NotConfirmed),
            Self::StillStopping { status, .. } => InStatus(ReasonCode::StillStopping, status.clone()),
            Self::NotWatched(_) => Plain(ReasonCode::NotWatched),
            Self::Sentence(_) => Plain(ReasonCode::Sentence),
        }
    }

    /// The number of the hold that it is about.
    pub(crate) fn hold(&self) -> Option<i64> {
        match self {
            Self::Held(held) => held.hold,
            _ => None,
        }
    }

    /// What there is to say besides its kind; empty where the kind says it all.
    pub(crate) fn detail(&self, instant: SayInstant<'_>) -> String {
        match self {
            Self::Protected(key) | Self::Excluded(key) | Self::NotSelected(key) => key.clone(),
            Self::Held(HeldBy { by, until, why, .. }) => format!("by {by} until {}: {why}", instant(*until)),
            Self::OptedOut(label) => label.say(instant),
            Self::CannotStop(_) => "cannot be stopped".to_owned(),
            Self::AlreadyAsked | Self::Deleted => String::new(),
            Self::CreatedAfter(at) => format!("at {}", instant(*at)),
            Self::CreatedUnknown => "it may be new".to_owned(),
            Self::TooYoung { age, min_age } => format!("{age} of {min_age} minutes"),
            Self::TokenBilled => "a stop avoids no compute cost".to_owned(),
            Self::Observed => "would have been stopped".to_owned(),
            Self::Blocked(blocked) => blocked.to_string(),
            Self::WindowEnded => "the off window was over before it could be asked to stop".to_owned(),
            Self::Changed => "somebody updated it after it was listed".to_owned(),
            Self::AlreadyOff { asked: None, .. } => "not asked for by offhours".to_owned(),
            Self::AlreadyOff { asked: Some(AskedBy { rule, at }), .. } => {
                let at = at.map_or_else(String::new, |at| format!(" at {}", instant(at)));
                format!("rule `{rule}` asked for it{at}")
            }
            Self::CameBack { status, asked_before: true } => {
                format!("its stop was asked for earlier, it was changed since and is {status}; it is not asked again")
            }
            Self::CameBack { status, asked_before: false } => format!("it is {status} again"),
            Self::Dead => "it turned DEAD instead of STOPPED".to_owned(),
            Self::Failure(failure) => failure.message.clone(),
            Self::NotConfirmed { status, waited } => {
                let seen = status.as_ref().map_or_else(|| "not seen again".to_owned(), |seen| format!("still {seen}"));
                format!("{seen} after {}", spoken(*waited))
            }
            Self::StillStopping { asked, .. } => format!("asked for by rule `{}`, not confirmed", asked.rule),
            Self::NotWatched(why) => why.to_string(),
            Self::Sentence(sentence) => sentence.clone(),
        }
    }

    pub(crate) fn say(&self, instant: SayInstant<'_>) -> String {
        let (kind, detail) = (self.kind(), self.detail(instant));
        match self {
            Self::Sentence(_) => detail,
            Self::StillStopping { asked: AskedBy { at: Some(at), .. }, .. } => {
                format!("{kind} since {}: {detail}", instant(*at))
            }
            _ if detail.is_empty() => kind.to_string(),
            _ => format!("{kind}: {detail}"),
        }
    }
}

impl Reason {
    /// The sentence beside the word of the outcome, which is not said again.
    pub(crate) fn beside_outcome(&self, instant: SayInstant<'_>) -> String {
        match self {
            Self::NotConfirmed { .. } | Self::NotWatched(_) => self.detail(instant),
            _ => self.say(instant),
        }
    }
}

/// With instants as the ledger, JSON and logs have them.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(&rfc3339))
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { would_stop, max_stops } = self;
        write!(f, "it would have stopped {would_stop} deployments, more than max_stops = {max_stops}")
    }
}

impl fmt::Display for NotWatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("AI Core could not be asked again"),
            Self::Refused(error) => write!(f, "it could not be looked at again: {error}"),
            Self::Panic => f.write_str("offhours failed before it was confirmed"),
            Self::RuleIsGone => f.write_str("the rule is no longer configured"),
            Self::ConnectionIsGone => f.write_str("the connection is no longer configured"),
            Self::Restored => f.write_str("the ledger was restored from a backup, and nothing more was asked for"),
        }
    }
}

/// A number of seconds, as people say it.
fn spoken(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (1, 0) => "1 minute".to_owned(),
        (minutes, 0) => format!("{minutes} minutes"),
        _ => format!("{seconds} seconds"),
    }
}
