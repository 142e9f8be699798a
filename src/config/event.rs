//! One event of an iCalendar file (RFC 5545): whole days, a meeting of some hours, or a doubt, which is a fault.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use rrule::{RRule, RRuleSet, Tz, Unvalidated};

use crate::config::content_line::{BadLine, ContentLine, refuse};
use crate::config::reading::clip;

/// Repeated events are written out for these years.
const YEARS: RangeInclusive<i32> = 2024..=2045;
/// The longest event, in days.
const LONGEST_EVENT: i64 = 366;
/// Whole days that are written as times often end so much before midnight, or less.
const SHORT_OF_MIDNIGHT: TimeDelta = TimeDelta::minutes(1);
/// What a rule of whole days can consist of.
const PARTS: [&str; 10] =
    ["FREQ", "INTERVAL", "COUNT", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"];

#[derive(Default)]
pub(super) struct CalendarEvent {
    line: usize,
    lines: Vec<ContentLine>,
}

pub(super) enum Found {
    Spell(Spell),
    /// Some hours, which take no day.
    Meeting,
}

/// Whole days, once or repeatedly.
pub(super) struct Spell {
    pub(super) uid: Option<String>,
    /// The day of the event of the same `uid` that it takes the place of.
    pub(super) instead_of: Option<NaiveDate>,
    /// The first day of each; none where it was cancelled.
    pub(super) starts: Vec<NaiveDate>,
    /// How many days each lasts.
    pub(super) days: usize,
    pub(super) name: String,
}

/// A date, or a time of the clock in whatever zone.
struct Moment {
    at: NaiveDateTime,
    is_date: bool,
    is_utc: bool,
}

impl CalendarEvent {
    /// An event that begins at `line`.
    pub(super) fn at(line: usize) -> Self {
        Self { line, lines: Vec::new() }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn take(&mut self, line: ContentLine) {
        self.lines.push(line);
    }

    pub(super) fn find(&self) -> Result<Found, BadLine> {
        let Some(days) = self.days()? else { return Ok(Found::Meeting) };
        if let Some(line) = self.get("EXRULE") {
            return Err(refuse(line.number, "`EXRULE` is not understood here", "write the event's dates one by one"));
        }
        let uid = self.get("UID").map(|line| line.value.clone());
        let instead_of = self.get("RECURRENCE-ID").map(date).transpose()?;
        if let Some(line) = self.get("RECURRENCE-ID")
            && (uid.is_none() || line.parameters.contains("RANGE"))
        {
            let message = "`RECURRENCE-ID` without `UID`, or of more than one day";
            return Err(refuse(line.number, message, "write the event's dates one by one"));
        }
        let name = self.get("SUMMARY").map(|line| unescaped(&line.value)).unwrap_or_default();
        let is_cancelled = self.get("STATUS").is_some_and(|line| line.value.eq_ignore_ascii_case("CANCELLED"));
        let starts = if is_cancelled { Vec::new() } else { self.starts()? };
        Ok(Found::Spell(Spell { uid, instead_of, starts, days, name }))
    }

    fn get(&self, name: &str) -> Option<&ContentLine> {
        self.lines.iter().find(|line| line.name == name)
    }

    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a ContentLine> {
        self.lines.iter().filter(move |line| line.name == name)
    }

    fn start(&self) -> Result<(&ContentLine, Moment), BadLine> {
        let line = self.get("DTSTART").ok_or_else(|| {
            refuse(self.line, "an event without `DTSTART`", "for example `DTSTART;VALUE=DATE:20261225`")
        })?;
        Ok((line, moment(line)?))
    }

    /// How many whole days it lasts; none where it is a meeting.
    fn days(&self) -> Result<Option<usize>, BadLine> {
        let (line, start) = self.start()?;
        let length = self.length(&start)?;
        let days = if start.is_date {
            // An end equal to the start is common and means one day.
            length.num_days().max(i64::from(length.is_zero()))
        } else {
            let days = (length + SHORT_OF_MIDNIGHT).num_days();
            let is_midnight = start.at.time() == NaiveTime::MIN;
            let short = TimeDelta::days(days) - length;
            let is_whole = is_midnight && (TimeDelta::zero()..=SHORT_OF_MIDNIGHT).contains(&short);
            if length < TimeDelta::zero() {
                return Err(self.too_long());
            }
            if days == 0 && !(length.is_zero() && is_midnight) {
                return Ok(None);
            }
            if !is_whole || days == 0 {
                let message = "an event with times, of which it is not clear which days it means";
                return Err(refuse(line.number, message, "write it as whole days: `DTSTART;VALUE=DATE:20261225`"));
            }
            days
        };
        if !(1..=LONGEST_EVENT).contains(&days) {
            return Err(self.too_long());
        }
        Ok(usize::try_from(days).ok())
    }

    fn too_long(&self) -> BadLine {
        let message = "an event ends before it begins, or lasts over a year";
        refuse(self.line, message, "`DTEND` is the first day after the event")
    }

    fn length(&self, start: &Moment) -> Result<TimeDelta, BadLine> {
        if let Some(line) = self.get("DTEND") {
            let end = moment(line)?;
            if (end.is_date, end.is_utc) != (start.is_date, start.is_utc) {
                let message = "`DTEND` is written in another way than `DTSTART`";
                return Err(refuse(line.number, message, "write both as dates: `DTEND;VALUE=DATE:20261226`"));
            }
            return Ok(end.at - start.at);
        }
        match self.get("DURATION") {
            Some(line) => duration(line, start.is_date),
            None if start.is_date => Ok(TimeDelta::days(1)),
            None => Ok(TimeDelta::zero()),
        }
    }

    /// The days on which it begins.
    fn starts(&self) -> Result<Vec<NaiveDate>, BadLine> {
        let start = self.start()?.1.at.date();
        let rules: Vec<&ContentLine> = self.all("RRULE").collect();
        let mut starts: BTreeSet<NaiveDate> = match rules.as_slice() {
            [] => BTreeSet::from([start]),
            [rule] => self.repeated(start, rule)?.into_iter().collect(),
            [_, second, ..] => {
                return Err(refuse(second.number, "a second `RRULE`", "write the event's dates one by one"));
            }
        };
        for line in self.all("RDATE") {
            starts.extend(dates(line)?);
        }
        for line in self.all("EXDATE") {
            let without: BTreeSet<NaiveDate> = dates(line)?.into_iter().collect();
            starts.retain(|start| !without.contains(start));
        }
        Ok(starts.into_iter().collect())
    }

    /// The days on which an event begins that first began on `start` and is repeated.
    fn repeated(&self, start: NaiveDate, line: &ContentLine) -> Result<Vec<NaiveDate>, BadLine> {
        let (rule, until) = rule(line)?;
        let last = NaiveDate::from_ymd_opt(*YEARS.end(), 12, 31).unwrap_or(NaiveDate::MAX);
        let last = until.map_or(last, |until| until.min(last));
        if start > last {
            return Ok(Vec::new());
        }
        let first = at_midnight(start);
        let rule = rule.until(at_midnight(last)).validate(first).map_err(|_| not_understood(line, &line.value))?;
        let found = RRuleSet::new(first).rrule(rule).all(u16::MAX);
        // What such an event means on its own first day, nobody has written down.
        if found.limited || found.dates.first() != Some(&first) {
            let message = "an event repeats on another day than its own";
            return Err(refuse(self.line, message, "write its dates one by one"));
        }
        let days = found.dates.iter().map(|date| date.date_naive());
        Ok(days.filter(|day| YEARS.contains(&day.year())).collect())
    }
}

/// Reads a date, or a time: `20261225`, `20261225T000000`, `20261224T230000Z`.
fn moment(line: &ContentLine) -> Result<Moment, BadLine> {
    let (time, is_utc) = line.value.strip_suffix('Z').map_or((line.value.as_str(), false), |time| (time, true));
    let date = |text: &str| {
        let exact = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|_| exact)
    };
    let read = match time.split_once('T') {
        None if !is_utc => date(time).map(|date| (date.and_time(NaiveTime::MIN), true)),
        None => None,
        Some((day, clock)) => {
            let exact = clock.len() == 6 && clock.bytes().all(|byte| byte.is_ascii_digit());
            let clock = NaiveTime::parse_from_str(clock, "%H%M%S").ok().filter(|_| exact);
            date(day).zip(clock).map(|(date, clock)| (date.and_time(clock), false))
        }
    };
    let refusal = || {
        let message = format!("`{}` is neither a date nor a time", line.name);
        refuse(line.number, message, "for example `DTSTART;VALUE=DATE:20261225`")
    };
    read.map(|(at, is_date)| Moment { at, is_date, is_utc }).ok_or_else(refusal)
}

/// Reads a whole day, also where it is written as its midnight.
fn date(line: &ContentLine) -> Result<NaiveDate, BadLine> {
    let moment = moment(line)?;
    if moment.at.time() != NaiveTime::MIN {
        let message = format!("`{}` is not a whole day", line.name);
        return Err(refuse(line.number, message, "for example `EXDATE;VALUE=DATE:20261225`"));
    }
    Ok(moment.at.date())
}

fn dates(line: &ContentLine) -> Result<Vec<NaiveDate>, BadLine> {
    let one = |value: &str| {
        let (name, parameters) = (line.name.clone(), line.parameters.clone());
        date(&ContentLine { number: line.number, name, parameters, value: value.trim().to_owned() })
    };
    line.value.split(',').map(one).collect()
}

/// Reads a duration: `P1D`, `P2W`, `PT24H`.
fn duration(line: &ContentLine, in_days: bool) -> Result<TimeDelta, BadLine> {
    let read = || {
        let span: jiff::Span = line.value.parse().ok()?;
        let parts = [
            TimeDelta::try_weeks(span.get_weeks().into())?,
            TimeDelta::try_days(span.get_days().into())?,
            TimeDelta::try_hours(span.get_hours().into())?,
            TimeDelta::try_minutes(span.get_minutes())?,
            TimeDelta::try_seconds(span.get_seconds())?,
        ];
        let length = parts.iter().try_fold(TimeDelta::zero(), |sum, part| sum.checked_add(part))?;
        let is_whole = length == TimeDelta::days(length.num_days());
        (span.get_years() == 0 && span.get_months() == 0 && (is_whole || !in_days)).then_some(length)
    };
    read()
        .ok_or_else(|| refuse(line.number, "`DURATION` is not a number of days or weeks", "for example `DURATION:P1D`"))
}

/// Reads a rule of repetition, and the last day on which it holds.
fn rule(line: &ContentLine) -> Result<(RRule<Unvalidated>, Option<NaiveDate>), BadLine> {
    let mut until = None;
    let mut parts = Vec::new();
    for part in line.value.split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_uppercase().as_str() {
            "FREQ" if !["YEARLY", "MONTHLY", "WEEKLY", "DAILY"].contains(&value.to_uppercase().as_str()) => {
                return Err(not_understood(line, "FREQ"));
            }
            "UNTIL" => {
                let (name, parameters) = ("UNTIL".to_owned(), String::new());
                let value = value.get(..8).unwrap_or(value).to_owned();
                until = Some(date(&ContentLine { number: line.number, name, parameters, value })?);
            }
            key if PARTS.contains(&key) => parts.push(part.to_uppercase()),
            other => return Err(not_understood(line, other)),
        }
    }
    let rule = parts.join(";").parse().map_err(|_| not_understood(line, &line.value))?;
    Ok((rule, until))
}

fn not_understood(line: &ContentLine, part: &str) -> BadLine {
    let message = format!("`{}` of `RRULE` is not understood", clip(part));
    refuse(line.number, message, "for example `RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH`, or write the dates one by one")
}

fn at_midnight(day: NaiveDate) -> chrono::DateTime<Tz> {
    day.and_time(NaiveTime::MIN).and_utc().with_timezone(&Tz::UTC)
}

/// A text without the backslashes that iCalendar puts before commas, semicolons and ends of lines.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next().map(|next| if matches!(next, 'n' | 'N') { ' ' } else { next })),
            letter => plain.push(letter),
        }
    }
    plain
}
