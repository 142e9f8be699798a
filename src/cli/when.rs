//! Instants as people write them on the command line: pure functions of a text, a zone and now.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc, Weekday};

use crate::cli::exit::CommandError;
use crate::domain::duration::read_duration;
use crate::domain::instant::read_rfc3339;
use crate::domain::zone::{Local, Zone};

/// Forms of a local date and time.
const DATE_TIMES: [&str; 4] = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
/// What to write where a text means nothing.
const HINT: &str = "write it as `2026-11-24T09:00:00Z`, as local time: `2026-11-24 09:00`, `19:00`, `tomorrow`, \
                    `monday 9:00`, or as a span: `12h`, `2d`";

/// On which side of now a text without a date lies: `19:00`, `monday`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The last such time: what has been.
    Past,
    /// The next such time: what will be.
    Future,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Instant(DateTime<Utc>),
    Local(NaiveDateTime),
    Day(NaiveDate),
}

/// Reads an instant. A day means its beginning.
pub(crate) fn instant(
    text: &str,
    zone: Option<&Zone>,
    now: DateTime<Utc>,
    direction: Direction,
) -> Result<DateTime<Utc>, CommandError> {
    Ok(match read(text, zone, now, direction)? {
        (Named::Instant(at), _) => at,
        (Named::Local(wall), zone) => zone.resolve(wall).first(),
        (Named::Day(day), zone) => zone.resolve(day.and_time(NaiveTime::MIN)).first(),
    })
}

/// Reads when a hold ends. A doubt resolves to not stopping: a day means its end, and of a local time that comes twice
/// the second is meant.
pub(crate) fn end_of_hold(text: &str, zone: Option<&Zone>, now: DateTime<Utc>) -> Result<DateTime<Utc>, CommandError> {
    let (named, zone) = read(text, zone, now, Direction::Future)?;
    let resolve = |wall: NaiveDateTime| Local::last(zone.resolve(wall));
    match named {
        Named::Instant(at) => Ok(at),
        Named::Local(wall) => Ok(resolve(wall)),
        Named::Day(day) => {
            let next = day.checked_add_days(Days::new(1)).ok_or_else(|| no_instant(text))?;
            Ok(resolve(next.and_time(NaiveTime::MIN)))
        }
    }
}

fn read(
    text: &str,
    zone: Option<&Zone>,
    now: DateTime<Utc>,
    direction: Direction,
) -> Result<(Named, Zone), CommandError> {
    let text = text.trim();
    if let Some(at) = absolute(text, now, direction) {
        return Ok((Named::Instant(at), zone.cloned().unwrap_or_else(Zone::utc)));
    }
    let reading = |zone: &Zone| local(text, zone.wall_clock(now), direction);
    match (zone, reading(zone.unwrap_or(&Zone::utc()))) {
        (Some(zone), Some(named)) => Ok((named, zone.clone())),
        (None, Some(_)) => Err(CommandError::Usage {
            message: format!("`{text}` names no time zone, and none is configured"),
            hint: Some("write it as `2026-11-24T09:00:00Z`".to_owned()),
        }),
        (_, None) => Err(no_instant(text)),
    }
}

fn no_instant(text: &str) -> CommandError {
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    CommandError::Usage { message: format!("`{shown}` is not an instant"), hint: Some(HINT.to_owned()) }
}

/// RFC 3339, `now`, and spans: `2d`, `2d ago`, `in 2d`, `+2d`.
fn absolute(text: &str, now: DateTime<Utc>, direction: Direction) -> Option<DateTime<Utc>> {
    if let Some(at) = read_rfc3339(text) {
        return Some(at);
    }
    if text == "now" {
        return Some(now);
    }
    let (span, direction) = match (text.strip_suffix(" ago"), text.strip_prefix("in "), text.strip_prefix('+')) {
        (Some(span), ..) => (span, Direction::Past),
        (None, Some(span), _) | (None, None, Some(span)) => (span, Direction::Future),
        (None, None, None) => (text, direction),
    };
    let span = read_duration(span)?;
    match direction {
        Direction::Past => now.checked_sub_signed(span),
        Direction::Future => now.checked_add_signed(span),
    }
}

/// What a text means to somebody whose wall clock shows `now`.
fn local(text: &str, now: NaiveDateTime, direction: Direction) -> Option<Named> {
    if let Some(at) = DATE_TIMES.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return Some(Named::Local(at));
    }
    if let Some(time) = clock(text) {
        let today = now.date().and_time(time);
        return Some(Named::Local(match direction {
            Direction::Past if today > now => today.checked_sub_days(Days::new(1))?,
            Direction::Future if today <= now => today.checked_add_days(Days::new(1))?,
            _ => today,
        }));
    }
    let text = text.to_ascii_lowercase();
    let (day, time) = match text.split_once(' ') {
        Some((day, time)) => (day, Some(clock(time.trim().trim_start_matches("at "))?)),
        None => (text.as_str(), None),
    };
    let day = match day {
        "today" => now.date(),
        "yesterday" => now.date().pred_opt()?,
        "tomorrow" => now.date().succ_opt()?,
        day => match day.parse::<Weekday>() {
            Ok(weekday) => on_weekday(weekday, time, now, direction)?,
            Err(_) => day.parse().ok()?,
        },
    };
    Some(time.map_or(Named::Day(day), |time| Named::Local(day.and_time(time))))
}

/// `19:00`, `9:00`, `19:00:30`.
fn clock(text: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())
}

/// The last or the next such day; today, where its time is on the right side of now, or where no time is said and the
/// past is meant.
fn on_weekday(
    weekday: Weekday,
    time: Option<NaiveTime>,
    now: NaiveDateTime,
    direction: Direction,
) -> Option<NaiveDate> {
    let today = now.date();
    let is_today = today.weekday() == weekday;
    match direction {
        Direction::Past => {
            let days = today.weekday().days_since(weekday);
            let is_over = time.is_none_or(|time| time <= now.time());
            today.checked_sub_days(Days::new(if is_today && !is_over { 7 } else { days.into() }))
        }
        Direction::Future => {
            let days = weekday.days_since(today.weekday());
            let comes = time.is_some_and(|time| time > now.time());
            today.checked_add_days(Days::new(if is_today && !comes { 7 } else { days.into() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{CommandError, Direction, end_of_hold, instant};
    use crate::domain::zone::Zone;

    /// Tuesday, 10:30 in Berlin.
    fn now() -> DateTime<Utc> {
        "2026-11-24T09:30:00Z".parse().unwrap()
    }

    fn berlin() -> Zone {
        crate::clock::zone("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let read = |text, direction| {
            let at = instant(text, Some(&berlin()), now(), direction).unwrap_or_else(|e| panic!("{text}: {e}"));
            at.format("%m-%dT%H:%M:%S").to_string()
        };
        // As it was written, before now, and after now.
        for (text, past, future) in [
            ("2026-11-24T07:00:00Z", "11-24T07:00:00", "11-24T07:00:00"),
            ("2026-11-24T09:00:00+01:00", "11-24T08:00:00", "11-24T08:00:00"),
            ("2026-11-24T09:00", "11-24T08:00:00", "11-24T08:00:00"),
            ("2026-11-24 09:00:30", "11-24T08:00:30", "11-24T08:00:30"),
            ("2026-11-24", "11-23T23:00:00", "11-23T23:00:00"),
            ("now", "11-24T09:30:00", "11-24T09:30:00"),
            ("today", "11-23T23:00:00", "11-23T23:00:00"),
            ("yesterday", "11-22T23:00:00", "11-22T23:00:00"),
            ("Tomorrow", "11-24T23:00:00", "11-24T23:00:00"),
            ("tomorrow 9:00", "11-25T08:00:00", "11-25T08:00:00"),
            ("yesterday at 19:00", "11-23T18:00:00", "11-23T18:00:00"),
            ("19:00", "11-23T18:00:00", "11-24T18:00:00"),
            ("9:00", "11-24T08:00:00", "11-25T08:00:00"),
            ("10:30", "11-24T09:30:00", "11-25T09:30:00"),
            ("2d", "11-22T09:30:00", "11-26T09:30:00"),
            ("90m", "11-24T08:00:00", "11-24T11:00:00"),
            ("2d ago", "11-22T09:30:00", "11-22T09:30:00"),
            ("in 1h 30m", "11-24T11:00:00", "11-24T11:00:00"),
            ("+12h", "11-24T21:30:00", "11-24T21:30:00"),
            ("monday", "11-22T23:00:00", "11-29T23:00:00"),
            ("tuesday", "11-23T23:00:00", "11-30T23:00:00"),
            ("Mon 9:00", "11-23T08:00:00", "11-30T08:00:00"),
            ("tue 9:00", "11-24T08:00:00", "12-01T08:00:00"),
            ("tue 19:00", "11-17T18:00:00", "11-24T18:00:00"),
            ("friday 18:00", "11-20T17:00:00", "11-27T17:00:00"),
        ] {
            let both = (read(text, Direction::Past), read(text, Direction::Future));
            assert_eq!(both, (past.to_owned(), future.to_owned()), "{text}");
        }
        for text in ["", "someday", "30M", "25:00", "monday 25:00", "2026-13-01", "9", "-2d", "last", "9999999999999d"]
        {
            let refused = instant(text, Some(&berlin()), now(), Direction::Past);
            assert!(matches!(refused, Err(CommandError::Usage { hint: Some(_), .. })), "{text}");
        }
        assert!(instant("19:00", None, now(), Direction::Past).is_err(), "whose nineteen hours?");
        assert!(instant("2d", None, now(), Direction::Past).is_ok());
    }

    #[test]
    fn a_hold_until_a_day_lasts_to_the_end_of_that_day() {
        let read = |text| end_of_hold(text, Some(&berlin()), now()).unwrap().to_rfc3339();
        assert_eq!(read("2026-11-24"), "2026-11-24T23:00:00+00:00");
        assert_eq!(read("today"), "2026-11-24T23:00:00+00:00");
        assert_eq!(read("tomorrow"), "2026-11-25T23:00:00+00:00");
        assert_eq!(read("monday"), "2026-11-30T23:00:00+00:00");
        assert_eq!(read("monday 9:00"), "2026-11-30T08:00:00+00:00");
        assert_eq!(read("19:00"), "2026-11-24T18:00:00+00:00");
        assert_eq!(read("12h"), "2026-11-24T21:30:00+00:00");
        assert_eq!(read("2026-10-25T02:30"), "2026-10-25T01:30:00+00:00", "the second time");
        assert_eq!(read("2027-03-27"), "2027-03-27T23:00:00+00:00", "the night of a clock change");
        let refused = end_of_hold("30M", Some(&berlin()), now());
        assert!(matches!(refused, Err(CommandError::Usage { hint: Some(hint), .. }) if hint.contains("`12h`")));
    }
}
