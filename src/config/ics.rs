//! All-day events of an iCalendar file (RFC 5545), as dates. A holiday calendar is small and plain, and a date that is
//! misread stops somebody's work: so this reads exactly what it is sure of, and refuses the rest by line.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};

use crate::config::calendar::BadLine;
use crate::config::reading::clip;

/// Yearly events are written out for these years.
const YEARS: std::ops::RangeInclusive<i32> = 2024..=2045;
/// The longest event, in days.
const LONGEST_EVENT: i64 = 366;

/// One event as far as it has been read.
#[derive(Default)]
struct Event {
    line: usize,
    start: Option<NaiveDate>,
    /// Not included.
    end: Option<NaiveDate>,
    days: Option<i64>,
    repeat: Option<Repeat>,
    without: BTreeSet<NaiveDate>,
    cancelled: bool,
    /// True where one of its lines was refused.
    damaged: bool,
}

/// `RRULE:FREQ=YEARLY`.
#[derive(Clone, Copy)]
struct Repeat {
    interval: i32,
    count: Option<usize>,
    /// Included.
    until: Option<NaiveDate>,
    /// `BYMONTH`; must be the event's own.
    month: Option<u32>,
    /// `BYMONTHDAY`; must be the event's own.
    day: Option<u32>,
}

/// A content line without its folds.
struct Line {
    number: usize,
    name: String,
    value: String,
}

/// Reads the dates of all events, and what could not be read.
pub(super) fn read(text: &str) -> (BTreeSet<NaiveDate>, Vec<BadLine>) {
    let mut dates = BTreeSet::new();
    let mut bad = Vec::new();
    let lines = unfold(text);
    if !lines.first().is_some_and(|line| line.name == "BEGIN" && line.value.eq_ignore_ascii_case("VCALENDAR")) {
        bad.push(refuse(1, "this is no iCalendar file", "it begins with `BEGIN:VCALENDAR`"));
        return (dates, bad);
    }
    // Components inside an event (alarms) and beside it (time zones) have lines of the same names.
    let mut open: Vec<String> = Vec::new();
    let mut event = Event::default();
    let mut events = 0;
    for line in lines {
        match line.name.as_str() {
            "BEGIN" => {
                open.push(line.value.to_uppercase());
                if in_event(&open) {
                    event = Event { line: line.number, ..Event::default() };
                }
            }
            "END" => {
                let ends_event = in_event(&open);
                if open.pop().is_none_or(|name| name != line.value.to_uppercase()) {
                    bad.push(refuse(line.number, "this `END` closes nothing", "the file is damaged: fetch it again"));
                    return (dates, bad);
                }
                if ends_event {
                    events += 1;
                    std::mem::take(&mut event).write_out(&mut dates).unwrap_or_else(|fault| bad.push(fault));
                }
            }
            _ if in_event(&open) => {
                if let Err(fault) = event.take(&line) {
                    event.damaged = true;
                    bad.push(fault);
                }
            }
            _ => {}
        }
    }
    if !open.is_empty() {
        bad.push(refuse(text.lines().count().max(1), "this calendar has no end", "it is cut short: fetch it again"));
    } else if events == 0 {
        bad.push(refuse(1, "no event in this calendar", "it holds no `VEVENT`: fetch it again"));
    }
    (dates, bad)
}

fn in_event(open: &[String]) -> bool {
    open.len() == 2 && open.last().is_some_and(|name| name == "VEVENT")
}

fn refuse(line: usize, message: impl Into<String>, hint: &'static str) -> BadLine {
    BadLine { line, message: message.into(), hint }
}

/// Joins folded lines, which go on after a space or tab, and splits each at its first colon outside quotes.
fn unfold(text: &str) -> Vec<Line> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix([' ', '\t']), joined.last_mut()) {
            (Some(rest), Some((_, last))) => last.push_str(rest),
            _ if line.trim().is_empty() => {}
            _ => joined.push((at + 1, line.to_owned())),
        }
    }
    let split = |(number, line): (usize, String)| {
        let mut quoted = false;
        let colon = line.find(|c| {
            quoted ^= c == '"';
            c == ':' && !quoted
        });
        let (head, value) = line.split_at(colon.unwrap_or(line.len()));
        let name = head.split(';').next().unwrap_or("").trim().to_uppercase();
        Line { number, name, value: value.trim_start_matches(':').trim().to_owned() }
    };
    joined.into_iter().map(split).collect()
}

impl Event {
    fn take(&mut self, line: &Line) -> Result<(), BadLine> {
        match line.name.as_str() {
            "DTSTART" => self.start = Some(day(line)?),
            "DTEND" => self.end = Some(day(line)?),
            "DURATION" => self.days = Some(days(line)?),
            "RRULE" => self.repeat = Some(repeat(line)?),
            "EXDATE" => {
                for value in line.value.split(',') {
                    self.without.insert(day(&Line { value: value.to_owned(), name: line.name.clone(), ..*line })?);
                }
            }
            "STATUS" => self.cancelled = line.value.eq_ignore_ascii_case("CANCELLED"),
            "RDATE" | "EXRULE" | "RECURRENCE-ID" => {
                let message = format!("`{}` is not understood here", line.name);
                return Err(refuse(line.number, message, "write the event's dates one by one"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the event's days to `dates`.
    fn write_out(self, dates: &mut BTreeSet<NaiveDate>) -> Result<(), BadLine> {
        if self.damaged {
            return Ok(());
        }
        let Some(start) = self.start else {
            return Err(refuse(self.line, "an event without `DTSTART`", "for example `DTSTART;VALUE=DATE:20261225`"));
        };
        let days = self.days.or_else(|| self.end.map(|end| (end - start).num_days())).unwrap_or(1);
        // An end equal to the start is common and means one day.
        let days = if days == 0 { 1 } else { days };
        if !(1..=LONGEST_EVENT).contains(&days) {
            let message = "an event ends before it begins, or lasts over a year";
            return Err(refuse(self.line, message, "`DTEND` is the first day after the event"));
        }
        if self.cancelled {
            return Ok(());
        }
        // Many calendars repeat the event's own month and day in its rule; anything else would be another day.
        let own = |repeat: Repeat| {
            repeat.month.is_none_or(|month| month == start.month()) && repeat.day.is_none_or(|day| day == start.day())
        };
        if !self.repeat.is_none_or(own) {
            let message = "an event repeats on another day than its own";
            return Err(refuse(self.line, message, "write its dates one by one"));
        }
        let starts = self.repeat.map_or_else(|| vec![start], |repeat| repeat.starts(start));
        for first in starts.into_iter().filter(|first| !self.without.contains(first)) {
            dates.extend(first.iter_days().take(usize::try_from(days).unwrap_or(1)));
        }
        Ok(())
    }
}

impl Repeat {
    /// The days on which a yearly event that first began on `start` begins; 29 February only in leap years.
    fn starts(self, start: NaiveDate) -> Vec<NaiveDate> {
        let step = usize::try_from(self.interval).unwrap_or(1).max(1);
        (start.year()..=*YEARS.end())
            .step_by(step)
            .filter_map(|year| start.with_year(year))
            .take(self.count.unwrap_or(usize::MAX))
            .take_while(|day| self.until.is_none_or(|until| *day <= until))
            .filter(|day| YEARS.contains(&day.year()))
            .collect()
    }
}

/// Reads a whole day: `20261225`.
fn day(line: &Line) -> Result<NaiveDate, BadLine> {
    let exact = line.value.len() == 8 && line.value.bytes().all(|b| b.is_ascii_digit());
    match NaiveDate::parse_from_str(&line.value, "%Y%m%d") {
        Ok(day) if exact => Ok(day),
        _ => Err(refuse(
            line.number,
            format!("`{}` is no whole day", line.name),
            "only all-day events make a calendar of dates: `DTSTART;VALUE=DATE:20261225`",
        )),
    }
}

/// Reads a duration in days or weeks: `P1D`, `P2W`.
fn days(line: &Line) -> Result<i64, BadLine> {
    let value = line.value.trim_start_matches('+');
    let number = |suffix: char| value.strip_prefix('P')?.strip_suffix(suffix)?.parse::<u16>().ok();
    number('D')
        .map(i64::from)
        .or_else(|| number('W').map(|weeks| i64::from(weeks) * 7))
        .ok_or_else(|| refuse(line.number, "`DURATION` is no number of days or weeks", "for example `DURATION:P1D`"))
}

/// Reads a yearly repetition that keeps to the event's own day.
fn repeat(line: &Line) -> Result<Repeat, BadLine> {
    const HINT: &str = "`RRULE:FREQ=YEARLY` with `INTERVAL`, `COUNT` or `UNTIL` is; write other dates one by one";
    let unknown = |part: &str| refuse(line.number, format!("`{part}` of `RRULE` is not understood"), HINT);
    let mut repeat = Repeat { interval: 1, count: None, until: None, month: None, day: None };
    let mut yearly = false;
    for part in line.value.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_uppercase().as_str() {
            "FREQ" => yearly = value.eq_ignore_ascii_case("YEARLY"),
            "INTERVAL" => repeat.interval = value.parse().ok().filter(|n| *n > 0).ok_or_else(|| unknown("INTERVAL"))?,
            "COUNT" => repeat.count = Some(value.parse().map_err(|_| unknown("COUNT"))?),
            "UNTIL" => {
                let date = value.get(..8).unwrap_or(value).to_owned();
                repeat.until = Some(day(&Line { number: line.number, name: "UNTIL".to_owned(), value: date })?);
            }
            "WKST" => {}
            "BYMONTH" => repeat.month = Some(value.parse().map_err(|_| unknown("BYMONTH"))?),
            "BYMONTHDAY" => repeat.day = Some(value.parse().map_err(|_| unknown("BYMONTHDAY"))?),
            other => return Err(unknown(&clip(other))),
        }
    }
    if yearly { Ok(repeat) } else { Err(unknown("FREQ")) }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn calendar(events: &[&str]) -> String {
        let events: Vec<String> = events.iter().map(|e| format!("BEGIN:VEVENT\r\n{e}\r\nEND:VEVENT\r\n")).collect();
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n", events.concat())
    }

    fn dates(events: &[&str]) -> Vec<String> {
        let (dates, bad) = read(&calendar(events));
        assert!(bad.is_empty(), "{:?}", bad.iter().map(|b| &b.message).collect::<Vec<_>>());
        dates.iter().map(ToString::to_string).collect()
    }

    fn refused(text: &str) -> Vec<(usize, String)> {
        read(text).1.into_iter().map(|bad| (bad.line, bad.message)).collect()
    }

    #[test]
    fn an_event_is_the_days_before_its_end() {
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225"]), ["2026-12-25"]);
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227"]), ["2026-12-25", "2026-12-26"]);
        assert_eq!(dates(&["DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225"]), ["2026-12-25"]);
        assert_eq!(dates(&["DTSTART:20261231\r\nDURATION:P2D"]), ["2026-12-31", "2027-01-01"]);
        assert_eq!(dates(&["DTSTART:20261231\r\nSTATUS:CANCELLED", "DTSTART:20260101"]), ["2026-01-01"]);
    }

    #[test]
    fn a_yearly_event_is_written_out() {
        let yearly = dates(&["DTSTART;VALUE=DATE:20100501\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1"]);
        assert_eq!((yearly.len(), yearly.first().unwrap().as_str()), (22, "2024-05-01"));
        assert_eq!(yearly.last().unwrap(), "2045-05-01");
        assert_eq!(
            dates(&["DTSTART:20240229\r\nRRULE:FREQ=YEARLY;UNTIL=20330101"]),
            ["2024-02-29", "2028-02-29", "2032-02-29"]
        );
        assert_eq!(dates(&["DTSTART:20250601\r\nRRULE:FREQ=YEARLY;INTERVAL=2;COUNT=2"]), ["2025-06-01", "2027-06-01"]);
        assert_eq!(
            dates(&["DTSTART:20250601\r\nRRULE:FREQ=YEARLY;COUNT=3\r\nEXDATE;VALUE=DATE:20260601"]),
            ["2025-06-01", "2027-06-01"]
        );
    }

    #[test]
    fn folds_alarms_and_time_zones_are_read_past() {
        let text = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Europe/Berlin\nBEGIN:DAYLIGHT\nDTSTART:19810329T020000\n\
                    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\nEND:VTIMEZONE\nBEGIN:VEVENT\n\
                    DTSTART;X-NOTE=\"a:b\";VALUE=DA\n TE:2026\n\t1225\nSUMMARY:Erster\n  Feiertag\nBEGIN:VALARM\n\
                    TRIGGER:-PT15M\nDURATION:PT5M\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
        let (dates, bad) = read(text);
        assert!(bad.is_empty(), "{:?}", refused(text));
        assert_eq!(dates.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-12-25"]);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_line() {
        let cases = [
            ("DTSTART:20261224T140000Z", 4, "`DTSTART` is no whole day"),
            ("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=WEEKLY", 5, "`FREQ` of `RRULE` is not understood"),
            ("DTSTART;VALUE=DATE:20261126\r\nRRULE:FREQ=YEARLY;BYDAY=4TH", 5, "`BYDAY` of `RRULE` is not understood"),
            (
                "DTSTART;VALUE=DATE:20261126\r\nRRULE:FREQ=YEARLY;BYMONTH=5",
                3,
                "an event repeats on another day than its own",
            ),
            ("SUMMARY:Nothing", 3, "an event without `DTSTART`"),
            ("DTSTART:20261225\r\nDTEND:20261224", 3, "an event ends before it begins, or lasts over a year"),
            ("DTSTART:20261225\r\nDURATION:PT5H", 5, "`DURATION` is no number of days or weeks"),
            ("DTSTART:20261225\r\nRDATE:20261231", 5, "`RDATE` is not understood here"),
        ];
        for (event, line, message) in cases {
            assert_eq!(refused(&calendar(&[event])), [(line, message.to_owned())]);
        }
    }

    #[test]
    fn a_damaged_calendar_is_refused() {
        assert_eq!(refused("<html>"), [(1, "this is no iCalendar file".to_owned())]);
        assert_eq!(refused(&calendar(&[])), [(1, "no event in this calendar".to_owned())]);
        let cut = calendar(&["DTSTART:20261225"]).replace("END:VCALENDAR\r\n", "");
        assert_eq!(refused(&cut), [(5, "this calendar has no end".to_owned())]);
        assert_eq!(refused("BEGIN:VCALENDAR\nEND:VEVENT\n"), [(2, "this `END` closes nothing".to_owned())]);
    }
}
