//! What can go wrong between us and AI Core, as one sentence each: which call, which resource group, which status,
//! AI Core's own request id. No token, no secret and no query of a URL ever gets in here.

use std::fmt;
use std::time::Duration;

use crate::aicore::key_source::{KeyError, KeySource};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::id::ResourceGroup;

/// A call, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallName {
    /// `GET` or `PATCH`.
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The resource group, where the call has one.
    pub(crate) group: Option<ResourceGroup>,
}

/// What AI Core answered with, where that was not what we wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorResponse {
    /// HTTP status; 0 for one entry of a bulk answer, which has none of its own.
    pub(crate) status: u16,
    /// AI Core's id of the request: what SAP's support asks for.
    pub(crate) request_id: Option<String>,
    /// AI Core's error code, such as `01010076`.
    pub(crate) code: Option<String>,
    /// AI Core's message, cleaned and cut.
    pub(crate) message: Option<String>,
    /// True where it was JSON, as all of AI Core's own answers are; a gateway's page proves nothing.
    pub(crate) is_json: bool,
    /// How long the server wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there was no answer to speak of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No connection: nothing was sent.
    #[error("{0}")]
    NotConnected(NoConnection),
    /// The connection broke after something may have been sent.
    #[error("the connection broke ({0})")]
    Lost(String),
    /// The whole call took too long.
    #[error("no complete answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The answer broke off.
    #[error("the answer broke off")]
    Truncated,
    /// The answer was larger than any that is expected; the limit in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The server had trouble of its own.
    #[error("it answered {0}")]
    Status(ErrorResponse),
    /// Not what this endpoint should answer.
    #[error("the answer is {0}")]
    Odd(&'static str),
}

/// A connection that did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoConnection {
    /// `host:port`.
    pub(crate) to: Option<String>,
    /// `host:port` of the proxy in between, as the environment names it.
    pub(crate) proxy: Option<String>,
    pub(crate) cause: String,
    /// True where it was a certificate that this machine does not trust.
    pub(crate) is_distrust: bool,
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection")?;
        self.to.iter().try_for_each(|to| write!(f, " to {to}"))?;
        self.proxy.iter().try_for_each(|proxy| write!(f, " by way of the proxy {proxy} (`HTTPS_PROXY`)"))?;
        write!(f, " ({})", self.cause)?;
        if self.is_distrust {
            f.write_str(
                ": a company's own CA must be in this machine's store (`update-ca-certificates`), or in the file that \
                 `SSL_CERT_FILE` names",
            )?;
        }
        Ok(())
    }
}

/// Who refused the credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{host}` answered {status}{}", word.map(|word| format!(" {word}")).unwrap_or_default())]
    Endpoint { host: String, status: u16, word: Option<&'static str> },
    /// AI Core, for a token that was new.
    #[error("{asked} was answered 401 with a new token{}", answer.request_id_clause())]
    Api { asked: CallName, answer: ErrorResponse },
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no usable service key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The credentials were rejected. No token is asked for in the next minute, unless the key changes.
    #[error(
        "AI Core rejected the credentials: {refusal}; check that the service key from {place} still exists and has not \
         expired, then put a new one in its place"
    )]
    Auth { place: Box<KeySource>, refusal: Box<Refusal> },
    /// No token, for a reason that is not the credentials'.
    #[error("no token from `{host}` in {attempts} attempts: {trouble}")]
    Token {
        host: String,
        /// How often it was asked.
        attempts: u32,
        /// What came of the last one.
        trouble: Box<NoAnswer>,
    },
    /// 403.
    #[error("{asked} was answered {answer}: the service key may not do that")]
    Forbidden { asked: Box<CallName>, answer: Box<ErrorResponse> },
    /// 404.
    #[error("{asked} was answered {answer}: there is no such thing")]
    NotFound { asked: Box<CallName>, answer: Box<ErrorResponse> },
    /// 400, 409 or 412 to a change, or one entry of a bulk answer: the deployment is not in a state for it.
    #[error("{asked} was answered {answer}: it cannot be changed now")]
    Precondition { asked: Box<CallName>, answer: Box<ErrorResponse> },
    /// AI Core does not list a resource group that is named in full, and one of its labels could protect it.
    #[error("AI Core does not list it, so that its labels are unknown, and one of them could protect it")]
    UnknownLabels,
    /// Nobody wanted it any more when its turn came: it was not sent, or not once more after it was surely refused.
    #[error("{asked} was taken back before it was sent")]
    Withdrawn {
        asked: Box<CallName>,
        /// True where it had been sent, and was refused.
        was_refused: bool,
    },
    /// 429, or a pause that is longer than we wait.
    #[error("{asked} was put off{}: AI Core asks for fewer requests{}", answer_clause(.answer.as_deref()), pause_clause(*.pause))]
    RateLimited {
        asked: Box<CallName>,
        /// The answer, where the call was sent at all.
        answer: Option<Box<ErrorResponse>>,
        /// How long AI Core wants us to wait, where it says so.
        pause: Option<Duration>,
    },
    /// No answer, or only 5xx.
    #[error("{asked} failed: {trouble}")]
    Unreachable { asked: Box<CallName>, trouble: Box<NoAnswer> },
    /// The answer broke off; none of it was used.
    #[error("{asked} failed: the answer broke off, and none of it was used")]
    Truncated { asked: Box<CallName>, status: u16 },
    /// Neither success nor a refusal we know.
    #[error("{asked} was answered {answer}: {found}; is `AI_API_URL` right, or a proxy or login page in between")]
    UnexpectedResponse {
        asked: Box<CallName>,
        answer: Box<ErrorResponse>,
        /// What it is, and what was expected.
        found: &'static str,
    },
    /// A body beyond the cap.
    #[error("{asked} failed: the answer is larger than {limit} bytes, and none of it was used")]
    TooLarge { asked: Box<CallName>, limit: usize },
    /// A list beyond the cap.
    #[error("{asked} failed: it lists more than {limit} deployments, which no resource group has")]
    TooMany { asked: Box<CallName>, limit: usize },
    /// This tenant does no bulk changes after all. Nothing was changed; single stops work.
    #[error("{asked} was answered {answer}: this tenant takes no bulk changes")]
    BulkRefused { asked: Box<CallName>, answer: Box<ErrorResponse> },
}

impl Error {
    /// What kind of failure it is.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Key(_) => FailureCode::Key,
            Self::Auth { .. } => FailureCode::Auth,
            Self::Token { .. } => FailureCode::Token,
            Self::Forbidden { .. } => FailureCode::Forbidden,
            Self::NotFound { .. } => FailureCode::NotFound,
            Self::Precondition { .. } => FailureCode::Precondition,
            Self::Withdrawn { .. } => FailureCode::Withdrawn,
            Self::UnknownLabels => FailureCode::UnknownLabels,
            Self::RateLimited { .. } => FailureCode::RateLimited,
            Self::Unreachable { .. } => FailureCode::Unreachable,
            Self::Truncated { .. } => FailureCode::Truncated,
            Self::UnexpectedResponse { .. } => FailureCode::UnexpectedResponse,
            Self::TooLarge { .. } | Self::TooMany { .. } => FailureCode::TooLarge,
            Self::BulkRefused { .. } => FailureCode::BulkRefused,
        }
    }

    /// The failure as runs and deployments keep it.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(self.code(), self.to_string())
    }

    /// The failure for a narrow place, such as a row of a mail: AI Core's own words come first, where it used any, and
    /// which call it was is left to what stands around it. Without such words, the whole sentence.
    pub(crate) fn short(&self) -> String {
        let answer = match self {
            Self::Forbidden { answer, .. } | Self::NotFound { answer, .. } | Self::Precondition { answer, .. } => {
                Some(answer)
            }
            Self::RateLimited { answer, .. } => answer.as_ref(),
            _ => None,
        };
        answer.and_then(|answer| answer.in_its_own_words()).unwrap_or_else(|| self.to_string())
    }

    /// True where a change may have been carried out although it failed: look before anything is repeated. Always
    /// false for a reading call.
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Unreachable { asked, trouble } => {
                asked.is_change() && !matches!(**trouble, NoAnswer::NotConnected(_))
            }
            Self::Truncated { asked, .. } | Self::TooLarge { asked, .. } => asked.is_change(),
            // A 4xx is a refusal. Anything else that is not 202 says nothing about the change.
            Self::UnexpectedResponse { asked, answer, .. } => asked.is_change() && !(400..500).contains(&answer.status),
            Self::Key(_)
            | Self::Auth { .. }
            | Self::Token { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Precondition { .. }
            | Self::Withdrawn { .. }
            | Self::UnknownLabels
            | Self::RateLimited { .. }
            | Self::TooMany { .. }
            | Self::BulkRefused { .. } => false,
        }
    }

    /// The same of a call that was sent and refused before.
    pub(super) fn after_refusals(self, were_any: bool) -> Self {
        match self {
            Self::Withdrawn { asked, was_refused } => Self::Withdrawn { asked, was_refused: was_refused || were_any },
            error => error,
        }
    }

    /// True where nothing has to be put right by a person: the same call may go well in a minute.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Token { .. }
            | Self::RateLimited { .. }
            | Self::Unreachable { .. }
            | Self::Truncated { .. }
            // A gateway's page, of a maintenance for instance.
            | Self::UnexpectedResponse { .. } => true,
            Self::Key(_)
            | Self::Auth { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Precondition { .. }
            | Self::Withdrawn { .. }
            | Self::UnknownLabels
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::BulkRefused { .. } => false,
        }
    }
}

impl CallName {
    /// True for a call that changes something.
    pub(crate) fn is_change(&self) -> bool {
        self.method != "GET"
    }
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, " in resource group `{group}`"))
    }
}

impl ErrorResponse {
    /// AI Core's message, then the figures that SAP's support asks for. None where it gave no message.
    fn in_its_own_words(&self) -> Option<String> {
        let message = self.message.as_ref()?;
        let status = (self.status != 0).then(|| self.status.to_string());
        let code = self.code.as_ref().map(|code| format!("code {code}"));
        let request = self.request_id.as_ref().map(|id| format!("request {id}"));
        let figures: Vec<String> = [status, code, request].into_iter().flatten().collect();
        let clause = if figures.is_empty() { String::new() } else { format!(" ({})", figures.join(", ")) };
        Some(format!("\"{message}\"{clause}"))
    }

    fn request_id_clause(&self) -> String {
        self.request_id.as_ref().map(|id| format!(", request id {id}")).unwrap_or_default()
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status == 0 {
            f.write_str("an error")?;
        } else {
            write!(f, "{}", self.status)?;
        }
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " (\"{message}\")")?;
        }
        f.write_str(&self.request_id_clause())
    }
}

fn answer_clause(answer: Option<&ErrorResponse>) -> String {
    answer.map(|answer| format!(" with {answer}")).unwrap_or_default()
}

fn pause_clause(pause: Option<Duration>) -> String {
    pause.map(|pause| format!(", and a pause of {} s", pause.as_secs())).unwrap_or_default()
}
