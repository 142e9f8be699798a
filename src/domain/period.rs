//! Spans of days that a report covers, read from words and turned into instants of a zone.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc, Weekday};

use crate::domain::zone::Zone;

/// Most days between the two dates of a span.
const LONGEST: i64 = 3660;

/// What a report covers, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Today,
    /// The day before.
    Yesterday,
    /// Monday to Sunday of the week before.
    LastWeek,
    LastMonth,
    /// A calendar month, named by its first day.
    Month(NaiveDate),
    /// Monday to Sunday of this week.
    ThisWeek,
    ThisMonth,
    /// Three months: January to March, and so on.
    ThisQuarter,
    /// The quarter before.
    LastQuarter,
    ThisYear,
    LastYear,
    /// Whole months, from their first day on: a quarter, a year.
    Months(NaiveDate, u32),
    /// From one day to another, both included.
    Days(NaiveDate, NaiveDate),
}

/// Words for spans, and forms of others, for whoever has to choose one.
pub(crate) const SPANS: [&str; 16] = [
    "today",
    "yesterday",
    "this-week",
    "last-week",
    "this-month",
    "last-month",
    "this-quarter",
    "last-quarter",
    "this-year",
    "last-year",
    "2026",
    "2026-11",
    "2026-Q4",
    "2026-W47",
    "2026-11-24",
    "2026-11-01..2026-11-15",
];

/// Why a text is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a period", .0.chars().take(40).flat_map(char::escape_debug).collect::<String>())]
pub struct BadSpan(String);

/// A span as dates: `from` included, `to` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    pub(crate) from: NaiveDate,
    /// The day after the last.
    pub(crate) to: NaiveDate,
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
            "this-week" => return Ok(Self::ThisWeek),
            "this-month" => return Ok(Self::ThisMonth),
            "this-quarter" => return Ok(Self::ThisQuarter),
            "last-quarter" => return Ok(Self::LastQuarter),
            "this-year" => return Ok(Self::ThisYear),
            "last-year" => return Ok(Self::LastYear),
            _ => {}
        }
        if let Some(span) = named(text) {
            return Ok(span);
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

/// A year, a quarter or a week of ISO 8601: `2026`, `2026-Q4`, `2026-W47`.
fn named(text: &str) -> Option<Span> {
    let (year, rest) = text.split_at_checked("2026".len())?;
    // Plain digits only: `parse` alone takes a sign.
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let year = i32::try_from(number(year)?).ok()?;
    if rest.is_empty() {
        return Some(Span::Months(NaiveDate::from_ymd_opt(year, 1, 1)?, 12));
    }
    let (kind, count) = rest.strip_prefix('-')?.split_at_checked(1)?;
    let count = number(count)?;
    match kind {
        "Q" | "q" if (1..=4).contains(&count) => {
            Some(Span::Months(NaiveDate::from_ymd_opt(year, count * 3 - 2, 1)?, 3))
        }
        "W" | "w" => {
            let monday = NaiveDate::from_isoywd_opt(year, count, Weekday::Mon)?;
            Some(Span::Days(monday, monday.checked_add_days(Days::new(6))?))
        }
        _ => None,
    }
}

impl Span {
    /// The dates it means on `today`.
    pub fn dates(self, today: NaiveDate) -> DateRange {
        let monday = today.week(Weekday::Mon).first_day();
        let first_of_month = today.with_day(1).unwrap_or(today);
        let first_of_quarter = first_of_month - Months::new(first_of_month.month0() % 3);
        let first_of_year = first_of_month - Months::new(first_of_month.month0());
        let (from, to) = match self {
            Self::ThisWeek => (monday, monday + Days::new(7)),
            Self::ThisMonth => (first_of_month, first_of_month + Months::new(1)),
            Self::ThisQuarter => (first_of_quarter, first_of_quarter + Months::new(3)),
            Self::LastQuarter => (first_of_quarter - Months::new(3), first_of_quarter),
            Self::ThisYear => (first_of_year, first_of_year + Months::new(12)),
            Self::LastYear => (first_of_year - Months::new(12), first_of_year),
            Self::Months(first, count) => (first, first + Months::new(count)),
            Self::Today => (today, today + Days::new(1)),
            Self::Yesterday => (today - Days::new(1), today),
            Self::LastWeek => (monday - Days::new(7), monday),
            Self::LastMonth => (first_of_month - Months::new(1), first_of_month),
            Self::Month(first) => (first, first + Months::new(1)),
            Self::Days(first, last) => (first, last + Days::new(1)),
        };
        DateRange { from, to }
    }
}

impl DateRange {
    /// True where they are one calendar month.
    pub(crate) fn is_month(self) -> bool {
        self.from.day() == 1 && self.from + Months::new(1) == self.to
    }

    /// How many calendar months they are; none where they are not whole ones.
    fn months(self) -> Option<u32> {
        let months = |day: NaiveDate| day.year() * 12 + day.month0().cast_signed();
        let is_whole = self.from.day() == 1 && self.to.day() == 1;
        u32::try_from(months(self.to) - months(self.from)).ok().filter(|count| is_whole && *count > 0)
    }

    /// True where they are Monday to Sunday.
    pub(crate) fn is_week(self) -> bool {
        self.from.weekday() == Weekday::Mon && self.from + Days::new(7) == self.to
    }

    /// The same days as people say them: `2026-11-01..2026-11-15`, the last one included.
    pub(crate) fn span(self) -> String {
        format!("{}..{}", self.from, self.to.pred_opt().unwrap_or(self.from))
    }

    /// The equally long span right before: as many months before whole months, else as many days.
    #[must_use]
    pub(crate) fn before(self) -> Self {
        let from = match self.months() {
            Some(months) => self.from - Months::new(months),
            None => self.from - Days::new((self.to - self.from).num_days().unsigned_abs()),
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
    use super::{SPANS, Span};

    #[test]
    fn every_span_that_is_offered_is_one() {
        assert!(SPANS.iter().all(|text| text.parse::<Span>().is_ok()));
    }

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
            ("this-week", "2026-11-23", "2026-11-30"),
            ("this-month", "2026-11-01", "2026-12-01"),
            ("this-quarter", "2026-10-01", "2027-01-01"),
            ("last-quarter", "2026-07-01", "2026-10-01"),
            ("this-year", "2026-01-01", "2027-01-01"),
            ("last-year", "2025-01-01", "2026-01-01"),
            ("2026", "2026-01-01", "2027-01-01"),
            ("2026-Q4", "2026-10-01", "2027-01-01"),
            ("2026-q1", "2026-01-01", "2026-04-01"),
            ("2026-W47", "2026-11-16", "2026-11-23"),
            ("2026-W53", "2026-12-28", "2027-01-04"),
        ];
        for (text, from, to) in cases {
            let dates = text.parse::<Span>().unwrap().dates(today);
            assert_eq!((dates.from.to_string(), dates.to.to_string()), (from.to_owned(), to.to_owned()), "{text}");
        }
        for text in
            ["", "tomorrow", "2026-13", "2026-11-15..2026-11-01", "2026-11-31", "2026-Q5", "2025-W53", "+202", "20é"]
        {
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
        assert_eq!(before("2026-Q1"), "2025-10-01..2026-01-01");
        assert_eq!(before("2026"), "2025-01-01..2026-01-01");
    }
}
