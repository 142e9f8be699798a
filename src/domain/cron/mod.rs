//! A cron expression and the instants it means in a zone, over every clock change.
//!
//! croner answers one question only: which *wall-clock* times match. It never sees a zone. Which instants those times
//! are is decided here, by Debian cron's rule:
//!
//! - A *fixed-time* expression (minute and hour are numbers or lists of numbers) happens once for each listed local
//!   time of each day: at the first instant after a gap, and the first time only where the hour is repeated.
//! - Every other expression follows the wall clock: not at all in a gap, twice in a repeated hour.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use croner::parser::{CronParser, Seconds, Year};

pub use crate::domain::cron::bad_cron::BadCron;
use crate::domain::cron::field::FIELDS;
use crate::domain::zone::Zone;

mod bad_cron;
mod dialect;
mod field;

/// No zone has ever moved its clocks by more than a day (Samoa, 2011).
const LARGEST_CHANGE: TimeDelta = TimeDelta::hours(25);
/// How many changes of offset a search crosses before it gives up: two a year over croner's own limit of years.
const MOST_CHANGES: usize = 10_000;

/// A cron expression of five fields, or of six with seconds first.
#[derive(Clone)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
    fixed_time: bool,
}

impl Cron {
    /// Reads an expression. One that never occurs (`0 18 30 2 *`) is refused here, not waited for.
    pub fn parse(text: &str) -> Result<Self, BadCron> {
        Self::read(text).map_err(|bad| match dialect::recognize(text).filter(|_| bad != BadCron::Never) {
            Some((dialect, instead)) => {
                BadCron::Foreign { dialect, instead: instead.filter(|cron| Self::read(cron).is_ok()) }
            }
            None => bad,
        })
    }

    fn read(text: &str) -> Result<Self, BadCron> {
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            n => return Err(BadCron::FieldCount(n)),
        }
        let numbers: Vec<String> =
            fields.iter().zip(&FIELDS).map(|(text, field)| field.read(text)).collect::<Result<_, _>>()?;
        // Debian cron asks for both day fields as soon as one of them begins with a star, `*/2` included.
        let both_days = fields[3].starts_with('*') || fields[5].starts_with('*');
        let pattern = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .dom_and_dow(both_days)
            .build()
            .parse(&numbers.join(" "))
            .map_err(|error| BadCron::Field(error.to_string()))?;
        let fixed_time = is_list_of_numbers(fields[1]) && is_list_of_numbers(fields[2]);
        let cron = Self { text: text.to_owned(), pattern, fixed_time };
        // Any year will do; 2000 is a leap year and the start of a whole cycle of weekdays.
        let start = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN);
        if cron.next_wall(start, true).is_none() { Err(BadCron::Never) } else { Ok(cron) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Day and weekday as written, where both are given, so that either is enough.
    pub(crate) fn either_day(&self) -> Option<(&str, &str)> {
        let fields: Vec<&str> = self.text.split_whitespace().collect();
        let [.., day, _, weekday] = fields[..] else { return None };
        (!day.starts_with('*') && !weekday.starts_with('*')).then_some((day, weekday))
    }

    /// True where each listed local time happens exactly once a day.
    pub fn is_fixed_time(&self) -> bool {
        self.fixed_time
    }

    /// The first instant after `after`, in whole seconds.
    pub fn next_after(&self, after: DateTime<Utc>, zone: &Zone) -> Option<DateTime<Utc>> {
        self.next_after_except(after, zone, &BTreeSet::new())
    }

    /// The same, where nothing happens on the local dates in `except`. Each of them is passed over at once, however often
    /// the expression occurs in it.
    pub(crate) fn next_after_except(
        &self,
        after: DateTime<Utc>,
        zone: &Zone,
        except: &BTreeSet<NaiveDate>,
    ) -> Option<DateTime<Utc>> {
        self.search(after, zone, except).map(|(at, _)| at)
    }

    /// The first instant after `after`, with the wall-clock time it was written for; the two differ in a gap.
    pub fn next_wall_after(&self, after: DateTime<Utc>, zone: &Zone) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        self.search(after, zone, &BTreeSet::new())
    }

    /// All instants after `after`, in order, each once.
    pub fn instants<'a>(&'a self, after: DateTime<Utc>, zone: &'a Zone) -> impl Iterator<Item = DateTime<Utc>> + 'a {
        std::iter::successors(self.next_after(after, zone), |at| self.next_after(*at, zone))
    }

    /// The wall-clock times after `after` that match, whatever clocks are changed.
    pub(crate) fn wall_clock_times(&self, after: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        std::iter::successors(self.next_wall(after, false), |wall| self.next_wall(*wall, false))
    }

    fn search(
        &self,
        after: DateTime<Utc>,
        zone: &Zone,
        except: &BTreeSet<NaiveDate>,
    ) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        // Instants are whole seconds, so that what lies after 12:00:00.5 is what lies after 12:00:00.
        let after = DateTime::from_timestamp(after.timestamp(), 0)?;
        if self.fixed_time {
            self.next_fixed(after, zone, except)
        } else {
            self.next_following_clock(after, zone, except)
        }
    }

    fn next_fixed(
        &self,
        after: DateTime<Utc>,
        zone: &Zone,
        except: &BTreeSet<NaiveDate>,
    ) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        // Later wall-clock times never happen earlier, so the first that happens after `after` is the answer. Only a
        // change within the last day can bring back a time that the clock showed before.
        let changed = zone.next_change(after - LARGEST_CHANGE).is_some_and(|change| change <= after);
        let mut wall = zone.wall_clock(after) - if changed { LARGEST_CHANGE } else { TimeDelta::zero() };
        loop {
            wall = self.next_wall_except(wall, false, except)?;
            let at = zone.resolve(wall).first();
            if at > after {
                return Some((at, wall));
            }
        }
    }

    fn next_following_clock(
        &self,
        after: DateTime<Utc>,
        zone: &Zone,
        except: &BTreeSet<NaiveDate>,
    ) -> Option<(DateTime<Utc>, NaiveDateTime)> {
        let (mut from, mut inclusive) = (after, false);
        for _ in 0..MOST_CHANGES {
            // Between two changes the wall clock runs evenly.
            let change = zone.next_change(from);
            let wall = self.next_wall_except(zone.wall_clock(from), inclusive, except)?;
            let at = (wall - zone.offset(from)).and_utc();
            match change {
                Some(change) if at >= change => (from, inclusive) = (change, true),
                _ => return Some((at, wall)),
            }
        }
        None
    }

    fn next_wall_except(
        &self,
        wall: NaiveDateTime,
        inclusive: bool,
        except: &BTreeSet<NaiveDate>,
    ) -> Option<NaiveDateTime> {
        let mut found = self.next_wall(wall, inclusive)?;
        // Each round leaves a date of the list behind, so there are no more rounds than dates.
        while except.contains(&found.date()) {
            found = self.next_wall(found.date().succ_opt()?.and_time(NaiveTime::MIN), true)?;
        }
        Some(found)
    }

    fn next_wall(&self, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        self.pattern.find_next_occurrence(&wall.with_nanosecond(0)?, inclusive).ok()
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn is_list_of_numbers(field: &str) -> bool {
    field.split(',').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::Cron;
    use crate::domain::zone::Zone;

    fn zone(name: &str) -> Zone {
        Zone::new(name, jiff::tz::TimeZone::get(name).unwrap())
    }

    fn instants(expression: &str, name: &str, after: &str, count: usize) -> Vec<String> {
        let after: DateTime<Utc> = after.parse().unwrap();
        let zone = zone(name);
        let cron = Cron::parse(expression).unwrap();
        let found = cron.instants(after, &zone).take(count);
        found.map(|at| at.format("%m-%dT%H:%M:%SZ").to_string()).collect()
    }

    #[test]
    fn t01_seven_in_the_evening_stays_seven_in_the_evening() {
        // tokio-cron-scheduler 0.15 freezes the offset here (its issue 107).
        assert_eq!(
            instants("0 19 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
            ["03-28T18:00:00Z", "03-29T17:00:00Z", "03-30T17:00:00Z"]
        );
        assert_eq!(
            instants("0 19 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3),
            ["10-24T17:00:00Z", "10-25T18:00:00Z", "10-26T18:00:00Z"]
        );
    }

    #[test]
    fn t02_a_fixed_time_in_the_gap_happens_right_after_it_and_only_once() {
        for expression in ["30 2 * * *", "0,15,30 2 * * *", "30 02 * * *"] {
            assert_eq!(
                instants(expression, "Europe/Berlin", "2026-03-29T00:59:59Z", 1),
                ["03-29T01:00:00Z"],
                "{expression}"
            );
        }
        // A list of hours, one of them in the gap: croner 4 alone skips it.
        assert_eq!(
            instants("30 2,7 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3),
            ["03-29T01:00:00Z", "03-29T05:30:00Z", "03-30T00:30:00Z"]
        );
        // One a minute after the gap's end keeps its own time.
        assert_eq!(
            instants("30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["03-29T01:00:00Z", "03-29T01:30:00Z"]
        );
    }

    #[test]
    fn t02_a_fixed_time_in_the_repeated_hour_happens_the_first_time_only() {
        assert_eq!(
            instants("30 1,2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", 4),
            ["10-24T23:30:00Z", "10-25T00:30:00Z", "10-26T00:30:00Z", "10-26T01:30:00Z"]
        );
    }

    #[test]
    fn other_expressions_follow_the_wall_clock() {
        assert_eq!(
            instants("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["03-30T00:00:00Z", "03-30T00:30:00Z"]
        );
        assert_eq!(
            instants("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 5),
            ["10-25T00:00:00Z", "10-25T00:30:00Z", "10-25T01:00:00Z", "10-25T01:30:00Z", "10-26T01:00:00Z"]
        );
    }

    #[test]
    fn t03_a_midnight_that_is_skipped_still_ends_the_day_once() {
        assert_eq!(
            instants("0 0 * * *", "America/Santiago", "2026-09-04T12:00:00Z", 3),
            ["09-05T04:00:00Z", "09-06T04:00:00Z", "09-07T03:00:00Z"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("0 25 * * MON-FRI", "hour 25 is out of range 0-23"),
            ("60 * * * *", "minute 60 is out of range 0-59"),
            ("0 0 0 * *", "day 0 is out of range 1-31"),
            ("0 0 * * 8", "weekday 8 is out of range 0-7"),
            ("99999999999 * * * *", "minute 99999999999 is out of range 0-59"),
            ("0 19 * *", "a cron expression has 5 fields, or 6 with seconds first, not 4"),
            ("0 18 30 2 *", "it never occurs: no date matches"),
            ("0 18 * * FRI-MON", "the range `FRI-MON` runs backwards: write both parts, as in `FRI-SAT,SUN-MON`"),
            ("0 18 * * MON-SUN", "the range `MON-SUN` runs backwards: write both parts, as in `MON-SAT,SUN`"),
            ("0 22-6 * * *", "the range `22-6` runs backwards: write both parts, as in `22-23,0-6`"),
            ("0 0 * NOV-FEB *", "the range `NOV-FEB` runs backwards: write both parts, as in `NOV-DEC,JAN-FEB`"),
            ("0/15 * * * *", "`0/15` is not a valid step: write `*/n` or `a-b/n`"),
            ("*/0 * * * *", "the step of `*/0` is 0: it must be at least 1"),
            ("*/90 * * * *", "the step of `*/90` is longer than the minute field, which ends at 59"),
            ("*/x * * * *", "the step of `*/x` is not a number"),
            ("@daily x x x x", "`@` in the minute field is from another cron dialect; `*` means every"),
            ("0 19 ? * *", "`?` in the day field is from another cron dialect; `*` means every"),
            ("H 19 * * *", "`H` is not a valid minute: 0 to 59"),
            ("0 7pm * * *", "`7pm` is not a valid hour: 0 to 23"),
            ("0 -1 * * *", "`-1` is not a valid hour: 0 to 23"),
            ("0 19 * * MONDAY", "`MONDAY` is not a valid weekday: SUN to SAT, or 0 to 7"),
            ("0 19 * Mai *", "`Mai` is not a valid month: JAN to DEC, or 1 to 12"),
            ("0 19 L-3 * *", "`L-3` is not a valid day: 1 to 31, `L` for the last, `LW` for the last weekday"),
            ("0 19 * * MON#9", "`MON#9` is not a weekday of a month: `FRI#1` to `FRI#5`, or `FRIL` for the last"),
            ("* * * * *,", "the list `*,` of the weekday field has an empty item"),
            ("*,5 * * * *", "`*` in `*,5` already means every minute: write it alone"),
            ("1- * * * *", "`1-` is not a valid minute: 0 to 59"),
            ("0 19 L,LW * *", "`L` and `LW` are mutually exclusive: choose one"),
            ("\u{1b}[2J 1 * * *", "`\\u{1b}[2J` is not a valid minute: 0 to 59"),
        ];
        for (text, message) in cases {
            assert_eq!(Cron::parse(text).map(|_| ()).unwrap_err().to_string(), message, "{text}");
        }
    }

    /// croner reads `SUN` at the end of a range as 7, so that `SUN-SUN` fired every day of the week.
    #[test]
    fn a_range_of_one_day_is_that_day() {
        for expression in ["0 2 * * SUN-SUN", "0 2-2/4 * * SUN", "0 2 * * 0-0/2"] {
            assert_eq!(
                instants(expression, "UTC", "2026-11-23T00:00:00Z", 2),
                ["11-29T02:00:00Z", "12-06T02:00:00Z"],
                "{expression}"
            );
        }
    }

    #[test]
    fn names_are_read_whatever_their_case() {
        let next = |text| instants(text, "UTC", "2026-11-23T12:00:00Z", 2);
        // croner alone takes `SUN-SUN` for every day.
        assert_eq!(next("0 0 * * sun-Sun"), ["11-29T00:00:00Z", "12-06T00:00:00Z"]);
        assert_eq!(next("0 0 * * FriL"), ["11-27T00:00:00Z", "12-25T00:00:00Z"]);
        assert_eq!(next("0 0 * * fri#L"), next("0 0 * * 5L"));
        assert_eq!(next("0 0 * * Mon#1,WED#2"), ["12-07T00:00:00Z", "12-09T00:00:00Z"]);
        assert_eq!(next("0 0 lw dec,JAN *"), ["12-31T00:00:00Z", "01-29T00:00:00Z"]);
        assert_eq!(next("0 0 * * 7"), next("0 0 * * 0"));
        assert_eq!(next("0 0 15w * *"), ["12-15T00:00:00Z", "01-15T00:00:00Z"]);
    }

    #[test]
    fn a_leap_day_is_waited_for() {
        assert_eq!(instants("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["02-29T00:00:00Z"]);
    }
}
