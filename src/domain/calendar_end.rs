//! Calendars of `holidays` and `skip` that run out: after their last day nothing is an exception any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::id::RuleName;
use crate::domain::plural::noun;
use crate::domain::rule::Rule;

/// So long before its last day a calendar is named.
const NOTICE: TimeDelta = TimeDelta::days(30);
/// Fewer dates are an exception that somebody wrote down, not a calendar that somebody keeps.
const FEWEST: usize = 2;
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CalendarKind {
    /// Dates on which `until` does not occur.
    Holidays,
    /// Dates on which the rule does not stop.
    Skip,
}

impl CalendarKind {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Holidays => "holidays",
            Self::Skip => "skip",
        }
    }
}

/// A calendar that has run out, or will soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CalendarEnd {
    pub(crate) kind: CalendarKind,
    pub(crate) rules: Vec<RuleName>,
    pub(crate) last_day: NaiveDate,
    /// True where that date is over.
    pub(crate) is_past: bool,
}

/// The last day of `dates`, where they are a calendar that ends within the notice after `today`, or has ended. One of
/// yearly events goes on for decades.
pub(crate) fn last_day(dates: &BTreeSet<NaiveDate>, today: NaiveDate) -> Option<NaiveDate> {
    let last = *dates.last().filter(|_| dates.len() >= FEWEST)?;
    today.checked_add_signed(NOTICE).is_none_or(|limit| last < limit).then_some(last)
}

/// The calendars of `rules` that have run out at `now`, or will soon, each once.
pub(crate) fn calendar_ends<'a>(rules: impl IntoIterator<Item = &'a Rule>, now: DateTime<Utc>) -> Vec<CalendarEnd> {
    let mut found: BTreeMap<(CalendarKind, &BTreeSet<NaiveDate>), CalendarEnd> = BTreeMap::new();
    for rule in rules {
        let schedule = &rule.schedule;
        let today = schedule.zone.wall_clock(now).date();
        let holidays = schedule.until.as_ref().map(|_| (CalendarKind::Holidays, &schedule.holidays));
        for (kind, dates) in holidays.into_iter().chain([(CalendarKind::Skip, &schedule.skip)]) {
            let Some(last_day) = last_day(dates, today) else { continue };
            let none = CalendarEnd { kind, rules: Vec::new(), last_day, is_past: last_day < today };
            found.entry((kind, dates)).or_insert(none).rules.push(rule.name.clone());
        }
    }
    found.into_values().collect()
}

impl CalendarEnd {
    /// For a mail: with a capital letter and a full stop.
    pub(crate) fn sentence(&self) -> String {
        format!("T{}.", self.to_string().trim_start_matches('t'))
    }
}

impl fmt::Display for CalendarEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let Self { kind, rules, last_day, is_past } = self;
        let names: Vec<String> = rules.iter().take(SHOWN).map(|rule| format!("`{rule}`")).collect();
        let more = rules.len().checked_sub(SHOWN).filter(|more| *more > 0);
        let noun = noun(rules.len(), "rule");
        let ends = if *is_past { "ended" } else { "ends" };
        write!(f, "the calendar of `{}` of {noun} {}", kind.key(), names.join(", "))?;
        if let Some(more) = more {
            write!(f, " and {more} more")?;
        }
        write!(f, " {ends} on {last_day}: ")?;
        f.write_str(match kind {
            CalendarKind::Skip => "after that day the rule stops on every date; add the dates that follow",
            CalendarKind::Holidays => "after that day no date is a holiday; add the dates that follow",
        })
    }
}
