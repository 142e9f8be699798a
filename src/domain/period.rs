//! Spans of days that a report covers, read from words and turned into instants of a zone.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc, Weekday};

use crate::domain::zone::Zone;

/// Most days between the two dates of a span.
const LONGEST: i64 = 3660;

/// What a report covers, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// From midnight on.
    Today,
    /// The day before.
    Yesterday,
    /// Monday to Sunday of the week before.
    LastWeek,
    /// The calendar month before.
    LastMonth,
    /// A calendar month, named by its first day.
    Month(NaiveDate),
    /// From one day to another, both included.
    Days(NaiveDate, NaiveDate),
}

/// Why a text is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no period", .0.chars().take(40).flat_map(char::escape_debug).collect::<String>())]
pub struct BadSpan(String);

/// A span as dates: `from` included, `to` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// First day.
    pub from: NaiveDate,
    /// The day after the last.
    pub to: NaiveDate,
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(text.to_owned());
        match text {
            "today" => return Ok(Self::Today),
            "yesterday" => return Ok(Self::Yesterday),
            "last-week" => return Ok(Self::LastWeek),
            "last-month" => return Ok(Self::LastMonth),
            _ => {}
        }
        if let Some((first, last)) = text.split_once("..") {
            let (first, last): (NaiveDate, NaiveDate) =
                (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
            let days = (last - first).num_days();
            return if (0..LONGEST).contains(&days) { Ok(Self::Days(first, last)) } else { Err(bad()) };
        }
        if text.len() == "2026-11".len() {
            return format!("{text}-01").parse().map(Self::Month).map_err(|_| bad());
        }
        text.parse().map(|day| Self::Days(day, day)).map_err(|_| bad())
    }
}

impl Span {
    /// The dates it means on `today`.
    pub fn dates(self, today: NaiveDate) -> Dates {
        let monday = today.week(Weekday::Mon).first_day();
        let first_of_month = today.with_day(1).unwrap_or(today);
        let (from, to) = match self {
            Self::Today => (today, today + Days::new(1)),
            Self::Yesterday => (today - Days::new(1), today),
            Self::LastWeek => (monday - Days::new(7), monday),
            Self::LastMonth => (first_of_month - Months::new(1), first_of_month),
            Self::Month(first) => (first, first + Months::new(1)),
            Self::Days(first, last) => (first, last + Days::new(1)),
        };
        Dates { from, to }
    }
}

impl Dates {
    /// True where they are one calendar month.
    pub fn is_month(self) -> bool {
        self.from.day() == 1 && self.from + Months::new(1) == self.to
    }

    /// True where they are Monday to Sunday.
    pub fn is_week(self) -> bool {
        self.from.weekday() == Weekday::Mon && self.from + Days::new(7) == self.to
    }

    /// The same days as people say them: `2026-11-01..2026-11-15`, the last one included.
    pub fn span(self) -> String {
        format!("{}..{}", self.from, self.to.pred_opt().unwrap_or(self.from))
    }

    /// The equally long span right before: a month before a month, else as many days.
    #[must_use]
    pub fn before(self) -> Self {
        let from = if self.is_month() {
            self.from - Months::new(1)
        } else {
            self.from - Days::new((self.to - self.from).num_days().unsigned_abs())
        };
        Self { from, to: self.from }
    }

    /// The instants at which the first day begins and the last one ends, in `zone`.
    pub fn instants(self, zone: &Zone) -> (DateTime<Utc>, DateTime<Utc>) {
        let midnight = |day: NaiveDate| zone.resolve(day.and_time(chrono::NaiveTime::MIN)).first();
        (midnight(self.from), midnight(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_mean_whole_days() {
        let today = "2026-11-24".parse().unwrap();
        let cases = [
            ("today", "2026-11-24", "2026-11-25"),
            ("yesterday", "2026-11-23", "2026-11-24"),
            ("last-week", "2026-11-16", "2026-11-23"),
            ("last-month", "2026-10-01", "2026-11-01"),
            ("2026-02", "2026-02-01", "2026-03-01"),
            ("2026-11-01..2026-11-15", "2026-11-01", "2026-11-16"),
            ("2026-11-01", "2026-11-01", "2026-11-02"),
        ];
        for (text, from, to) in cases {
            let dates = text.parse::<Span>().unwrap().dates(today);
            assert_eq!((dates.from.to_string(), dates.to.to_string()), (from.to_owned(), to.to_owned()), "{text}");
        }
        for text in ["", "tomorrow", "2026-13", "2026-11-15..2026-11-01", "2026-11-31"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn before_a_month_comes_a_month_and_before_a_week_a_week() {
        let today = "2026-11-24".parse().unwrap();
        let before = |text: &str| {
            let dates = text.parse::<Span>().unwrap().dates(today).before();
            format!("{}..{}", dates.from, dates.to)
        };
        assert_eq!(before("2026-03"), "2026-02-01..2026-03-01");
        assert_eq!(before("last-week"), "2026-11-09..2026-11-16");
    }
}
