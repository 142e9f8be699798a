//! How instants are written: RFC 3339, in UTC, to the second.

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-11-23T18:00:00Z`
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How an instant is written.
pub(crate) type SayInstant<'a> = &'a dyn Fn(DateTime<Utc>) -> String;
