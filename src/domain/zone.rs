//! A time zone: what the wall clock shows at an instant, and which instant a wall-clock time is.
//!
//! The rules come from the system's time zone data (see [`the clock module`]); this type only asks them.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// An IANA time zone.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// What a wall-clock time means in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// It is shown at one instant.
    Once(DateTime<Utc>),
    /// Clocks are put forward over it; this is the first instant after the gap.
    Gap(DateTime<Utc>),
    /// Clocks are put back over it, so it is shown at two instants.
    Twice(DateTime<Utc>, DateTime<Utc>),
}

impl Local {
    /// The instant at which something planned for this wall-clock time happens once: after the gap, or the first time.
    pub fn first(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Gap(at) | Self::Twice(at, _) => at,
        }
    }

    /// The instant after which the wall clock does not show this time again.
    pub(crate) fn last(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Gap(at) | Self::Twice(_, at) => at,
        }
    }
}

impl Zone {
    /// A zone called `name` with these rules.
    pub fn new(name: impl Into<String>, rules: TimeZone) -> Self {
        Self { name: name.into(), rules }
    }

    /// UTC, which never changes.
    pub(crate) fn utc() -> Self {
        Self::new("UTC", TimeZone::UTC)
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds east of UTC at `at`.
    pub(crate) fn offset(&self, at: DateTime<Utc>) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.rules.to_offset(timestamp(at)).seconds()))
    }

    /// What the wall clock shows at `at`.
    pub fn wall_clock(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.offset(at)
    }

    /// The abbreviation in force at `at`, such as `CEST`; for people only.
    pub(crate) fn abbreviation(&self, at: DateTime<Utc>) -> String {
        self.rules.to_offset_info(timestamp(at)).abbreviation().to_owned()
    }

    /// The first instant after `after` from which another UTC offset holds.
    pub(crate) fn next_change(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut offset = self.rules.to_offset(timestamp(after));
        // The data also knows changes of name or of law that leave the offset as it is.
        self.rules.following(timestamp(after)).find_map(|change| {
            let changed = change.offset() != offset;
            offset = change.offset();
            if changed { instant(change.timestamp()) } else { None }
        })
    }

    /// The instant or instants at which the wall clock shows `wall`.
    pub fn resolve(&self, wall: NaiveDateTime) -> Local {
        let at = |offset: Offset| wall.and_utc() - TimeDelta::seconds(i64::from(offset.seconds()));
        match self.rules.to_ambiguous_timestamp(civil(wall)).offset() {
            AmbiguousOffset::Unambiguous { offset } => Local::Once(at(offset)),
            AmbiguousOffset::Fold { before, after } => Local::Twice(at(before), at(after)),
            AmbiguousOffset::Gap { before, after } => {
                // Read with the offset that held before, a time in the gap lies at most the gap's length after the change.
                let late = at(before);
                let length = TimeDelta::seconds(i64::from(after.seconds() - before.seconds()));
                Local::Gap(self.next_change(late - length).filter(|change| *change <= late).unwrap_or(late))
            }
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn timestamp(at: DateTime<Utc>) -> jiff::Timestamp {
    // Out of range (years beyond ±9999) clamps to the end: no zone changes there.
    jiff::Timestamp::from_second(at.timestamp()).unwrap_or(if at.timestamp() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

fn instant(at: jiff::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.as_second(), 0)
}

fn civil(wall: NaiveDateTime) -> jiff::civil::DateTime {
    use chrono::Datelike;
    let part = |n: u32| i8::try_from(n).unwrap_or(1);
    jiff::civil::DateTime::new(
        i16::try_from(wall.year()).unwrap_or(i16::MAX),
        part(wall.month()),
        part(wall.day()),
        part(wall.hour()),
        part(wall.minute()),
        part(wall.second()),
        0,
    )
    .unwrap_or(jiff::civil::DateTime::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime, Utc};

    use super::{Local, Zone};

    fn zone(name: &str) -> Zone {
        Zone::new(name, jiff::tz::TimeZone::get(name).unwrap())
    }

    fn wall(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_in_the_gap_is_the_first_instant_after_it() {
        let cases = [
            ("Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T02:59:59", "2026-03-29T01:00:00Z"),
            ("America/Santiago", "2026-09-06T00:30:00", "2026-09-06T04:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00Z"),
            // Samoa left out a whole day.
            ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00Z"),
        ];
        for (name, local, expected) in cases {
            assert_eq!(zone(name).resolve(wall(local)), Local::Gap(utc(expected)), "{name} {local}");
        }
    }

    #[test]
    fn a_repeated_time_is_two_instants() {
        assert_eq!(
            zone("Europe/Berlin").resolve(wall("2026-10-25T02:30:00")),
            Local::Twice(utc("2026-10-25T00:30:00Z"), utc("2026-10-25T01:30:00Z"))
        );
    }

    #[test]
    fn the_next_change_is_the_first_instant_with_another_offset() {
        let berlin = zone("Europe/Berlin");
        assert_eq!(berlin.next_change(utc("2026-01-01T00:00:00Z")), Some(utc("2026-03-29T01:00:00Z")));
        assert_eq!(berlin.next_change(utc("2026-03-29T01:00:00Z")), Some(utc("2026-10-25T01:00:00Z")));
        assert_eq!(zone("UTC").next_change(utc("2026-01-01T00:00:00Z")), None);
    }
}
