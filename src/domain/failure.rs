//! What went wrong: its kind, and the words of whoever said so.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::words::words;

words! {
    /// What kind of failure it was.
    pub FailureCode {
        /// There is no usable service key.
        Key = "key",
        /// The credentials were rejected.
        Auth = "auth",
        /// No token, for a reason that is not the credentials'.
        Token = "token",
        /// 403.
        Forbidden = "forbidden",
        /// 404.
        NotFound = "not_found",
        /// 400, 409 or 412 to a change.
        Precondition = "precondition",
        /// The request was not needed any more when its turn came.
        Withdrawn = "withdrawn",
        /// The labels of a resource group could not be read.
        UnknownLabels = "unknown_labels",
        /// 429.
        RateLimited = "rate_limited",
        /// No answer, or only 5xx.
        Unreachable = "unreachable",
        /// The answer broke off.
        Truncated = "truncated",
        /// Neither success nor a known refusal.
        UnexpectedResponse = "unexpected_response",
        /// An answer or a list beyond the limit.
        TooLarge = "too_large",
        /// The tenant does no bulk changes.
        BulkRefused = "bulk_refused",
        /// The ledger could not be read or written.
        Ledger = "ledger",
        /// This machine's clock shows an impossible time.
        Clock = "clock",
        /// It took too long.
        Deadline = "deadline",
        /// A fault of offhours itself.
        Panic = "panic",
    }
}

/// What went wrong: its kind, and the words of whoever said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub(crate) code: FailureCode,
    pub(crate) message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
