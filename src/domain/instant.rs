//! How instants are written and read: RFC 3339, written in UTC.

use chrono::{DateTime, SecondsFormat, Utc};

/// `2026-11-23T18:00:00Z`
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The same with as many digits of a second as it has: what other programs reckon with.
pub(crate) fn rfc3339_exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// An instant in any zone's offset; none where `text` is not RFC 3339.
pub(crate) fn read_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

pub(crate) type SayInstant<'a> = &'a dyn Fn(DateTime<Utc>) -> String;
