//! A second reading of schedules: a walk from day to day, by nothing but the calendar and jiff. It shares no line with
//! `domain::cron` and `domain::schedule`, whose answers it judges.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use jiff::civil::{Date, DateTime as Wall};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// Days, by their English abbreviations, from Monday on.
pub const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/// Local times on days of the week, as a person would write them into a diary.
#[derive(Debug, Clone)]
pub struct Times {
    pub zone: &'static str,
    pub minutes: Vec<i8>,
    pub hours: Vec<i8>,
    /// Positions in [`DAYS`].
    pub days: Vec<usize>,
    /// Dates on which there are none.
    pub not_on: Vec<Date>,
    /// True: each of them once a day, whatever the clocks do. False: whenever the wall clock shows them.
    pub fixed: bool,
}

impl Times {
    /// All instants in (from, to].
    pub fn instants(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        let zone = TimeZone::get(self.zone).unwrap();
        let day = |at: DateTime<Utc>| zone.to_datetime(Timestamp::from_second(at.timestamp()).unwrap()).date();
        let mut date = day(from).yesterday().unwrap();
        let last = day(to).tomorrow().unwrap();
        let mut found = BTreeSet::new();
        while date <= last {
            if self.is_on(date) {
                for (hour, minute) in self.hours.iter().flat_map(|h| self.minutes.iter().map(move |m| (*h, *m))) {
                    found.extend(self.at(date.at(hour, minute, 0, 0), &zone));
                }
            }
            date = date.checked_add(1.day()).unwrap();
        }
        found.retain(|at| *at > from && *at <= to);
        found
    }

    fn is_on(&self, date: Date) -> bool {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap();
        self.days.contains(&day) && !self.not_on.contains(&date)
    }

    fn at(&self, wall: Wall, zone: &TimeZone) -> Vec<DateTime<Utc>> {
        let ambiguous = zone.to_ambiguous_timestamp(wall);
        let instants = match (ambiguous.offset(), self.fixed) {
            (AmbiguousOffset::Unambiguous { .. }, _) => vec![ambiguous.unambiguous().unwrap()],
            // Such a time is never shown; who wants it every day gets the first that is.
            (AmbiguousOffset::Gap { .. }, false) => Vec::new(),
            (AmbiguousOffset::Gap { .. }, true) => return self.at(wall.checked_add(1.minute()).unwrap(), zone),
            (AmbiguousOffset::Fold { .. }, true) => vec![ambiguous.earlier().unwrap()],
            (AmbiguousOffset::Fold { .. }, false) => {
                vec![ambiguous.earlier().unwrap(), ambiguous.later().unwrap()]
            }
        };
        instants.into_iter().map(|at| DateTime::from_timestamp(at.as_second(), 0).unwrap()).collect()
    }
}

/// A rule's diary: when it stops, and when what it stopped is wanted again.
#[derive(Debug, Clone)]
pub struct Diary {
    pub stop: Times,
    /// None: an off window lasts until the next stop.
    pub until: Option<Times>,
}

impl Diary {
    /// The firings in (from, to].
    pub fn firings(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> BTreeSet<DateTime<Utc>> {
        self.stop.instants(from, to)
    }

    /// True where `at` lies in an off window.
    pub fn is_off(&self, at: DateTime<Utc>) -> bool {
        const LONGEST: chrono::TimeDelta = chrono::TimeDelta::days(9);
        let Some(stopped) = self.firings(at - LONGEST, at).pop_last() else { return false };
        let Some(until) = &self.until else { return true };
        until.instants(stopped, at).is_empty()
    }
}
