//! What a schedule says and its author probably did not mean. For `check`.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use crate::domain::cron::Cron;
use crate::domain::schedule::{OffWindow, Schedule};

/// A rule that fires more often in a day is probably a mistake.
pub(crate) const OFTEN: usize = 4;
/// Occurrences of one day are counted so far.
pub(crate) const MOST_COUNTED: usize = 1_500;
/// A shorter off window avoids next to nothing.
const SHORTEST: TimeDelta = TimeDelta::minutes(30);
/// A longer one may cover working hours.
const LONG: TimeDelta = TimeDelta::hours(20);
/// Off windows that are looked at.
const WINDOWS: usize = 30;
/// Occurrences that are looked through for a day with too many.
const OCCURRENCES: usize = 200;
/// Days of one off window that are looked at.
const DAYS: usize = 14;
/// Working hours, as far as they matter here.
const WORK: (u32, u32) = (9, 17);

/// `stop` or `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// When the rule fires.
    Stop,
    /// When its off windows end.
    Until,
}

impl Side {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Until => "until",
        }
    }
}

/// Something odd about a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It occurs many times on one day.
    Often {
        side: Side,
        /// How often; at most [`MOST_COUNTED`].
        times: usize,
        /// The first such day.
        on: NaiveDate,
        /// The same without seconds, where six fields look like five and a year.
        instead: Option<String>,
    },
    /// Day and weekday are both given, so that either is enough.
    EitherDay {
        side: Side,
        day: String,
        weekday: String,
        /// What both together are, where that can be said.
        instead: Option<String>,
    },
    Short(OffWindow),
    /// An off window over the working hours of a day.
    OverWork {
        window: OffWindow,
        day: NaiveDate,
    },
}

/// All that is odd about `schedule` after `from`, each kind once.
pub(crate) fn oddities(schedule: &Schedule, from: DateTime<Utc>) -> Vec<Oddity> {
    let sides = [(Side::Stop, Some(&schedule.stop)), (Side::Until, schedule.until.as_ref())];
    let sides = || sides.into_iter().filter_map(|(side, cron)| Some((side, cron?)));
    let mut found: Vec<Oddity> = sides().filter_map(|(side, cron)| often(side, cron, schedule, from)).collect();
    let is_often = !found.is_empty();
    found.extend(sides().filter_map(|(side, cron)| either_day(side, cron)));
    // The windows of a rule that fires each minute are odd for that reason.
    if is_often {
        return found;
    }
    let windows: Vec<OffWindow> = schedule.firings(from).take(WINDOWS).map(|at| schedule.off_window(at)).collect();
    let short = windows.iter().find(|window| window.to - window.from < SHORTEST);
    found.extend(short.map(|window| Oddity::Short(*window)));
    found.extend(windows.iter().find_map(|window| {
        let day = work_within(schedule, *window)?;
        Some(Oddity::OverWork { window: *window, day })
    }));
    found
}

fn often(side: Side, cron: &Cron, schedule: &Schedule, from: DateTime<Utc>) -> Option<Oddity> {
    if most_a_day(cron).is_some_and(|most| most <= OFTEN) {
        return None;
    }
    let zone = &schedule.zone;
    let date = |at: &DateTime<Utc>| zone.wall_clock(*at).date();
    // Today is a part of a day only.
    let midnight = date(&from).succ_opt()?.and_time(NaiveTime::MIN);
    let from = zone.resolve(midnight).first() - TimeDelta::seconds(1);
    let mut day = (NaiveDate::MIN, 0);
    let on = cron.instants(from, zone).take(OCCURRENCES).find_map(|at| {
        day = if date(&at) == day.0 { (day.0, day.1 + 1) } else { (date(&at), 1) };
        (day.1 > OFTEN).then_some(day.0)
    })?;
    let start = zone.resolve(on.and_time(NaiveTime::MIN)).first() - TimeDelta::seconds(1);
    let times = cron.instants(start, zone).take(MOST_COUNTED).take_while(|at| date(at) == on).count();
    Some(Oddity::Often { side, times, on, instead: without_year(cron) })
}

/// How often a fixed-time expression can occur in a day: most rules need no look at their occurrences.
fn most_a_day(cron: &Cron) -> Option<usize> {
    let fields: Vec<&str> = cron.as_str().split_whitespace().collect();
    let [times @ .., _, _, _] = &fields[..] else { return None };
    let are_numbers = times.iter().all(|field| field.bytes().all(|b| b.is_ascii_digit() || b == b','));
    are_numbers.then(|| times.iter().map(|field| field.split(',').count()).product())
}

/// `0 19 * * * *` looks like five fields and a year, and is second 0 of minute 19 of each hour.
fn without_year(cron: &Cron) -> Option<String> {
    let fields: Vec<&str> = cron.as_str().split_whitespace().collect();
    let [minute, hour, day, month, weekday, "*"] = fields[..] else { return None };
    let instead = [minute, hour, day, month, weekday].join(" ");
    let is_plain = |field: &str| field.bytes().all(|b| b.is_ascii_digit());
    (is_plain(minute) && is_plain(hour) && Cron::parse(&instead).is_ok()).then_some(instead)
}

fn either_day(side: Side, cron: &Cron) -> Option<Oddity> {
    let (day, weekday) = cron.either_day()?;
    let week = ["1-7", "8-14", "15-21", "22-28"].iter().position(|days| *days == day);
    let is_one_day = weekday.bytes().all(|b| b.is_ascii_alphanumeric()) && !weekday.ends_with(['L', 'l']);
    let instead = week.filter(|_| is_one_day).map(|week| {
        let head = cron.as_str().split_whitespace();
        let mut fields: Vec<String> = head.map(str::to_owned).collect();
        let count = fields.len();
        "*".clone_into(&mut fields[count - 3]);
        fields[count - 1] = format!("{weekday}#{}", week + 1);
        fields.join(" ")
    });
    Some(Oddity::EitherDay { side, day: day.to_owned(), weekday: weekday.to_owned(), instead })
}

/// The first working day of whose hours all lie within a long window. A holiday is none.
fn work_within(schedule: &Schedule, window: OffWindow) -> Option<NaiveDate> {
    if window.to - window.from <= LONG {
        return None;
    }
    let at = |day: NaiveDate, hour| Some(schedule.zone.resolve(day.and_hms_opt(hour, 0, 0)?).first());
    let covered = |day: &NaiveDate| {
        !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
            && !schedule.holidays.contains(day)
            && at(*day, WORK.0).is_some_and(|start| window.from <= start)
            && at(*day, WORK.1).is_some_and(|end| end <= window.to)
    };
    schedule.zone.wall_clock(window.from).date().iter_days().take(DAYS).find(covered)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{Oddity, oddities};
    use crate::domain::cron::Cron;
    use crate::domain::schedule::Schedule;
    use crate::domain::zone::Zone;

    fn of(stop: &str, until: Option<&str>) -> Vec<String> {
        let schedule = Schedule {
            stop: Cron::parse(stop).unwrap(),
            until: until.map(|text| Cron::parse(text).unwrap()),
            zone: Zone::new("Europe/Berlin", jiff::tz::TimeZone::get("Europe/Berlin").unwrap()),
            holidays: ["2026-12-25"].iter().map(|d| d.parse().unwrap()).collect(),
            skip: [].into(),
        };
        let monday: DateTime<Utc> = "2026-11-23T11:00:00Z".parse().unwrap();
        let name = |oddity| match oddity {
            Oddity::Often { side, times, on, instead } => format!("{} {times} times on {on} {instead:?}", side.key()),
            Oddity::EitherDay { side, instead, .. } => format!("{} either day {instead:?}", side.key()),
            Oddity::Short(window) => format!("short {}", (window.to - window.from).num_minutes()),
            Oddity::OverWork { day, .. } => format!("over {day}"),
        };
        oddities(&schedule, monday).into_iter().map(name).collect()
    }

    #[test]
    fn evenings_nights_and_weekends_are_not_odd() {
        let none: [String; 0] = [];
        assert_eq!(of("0 19 * * MON-FRI", Some("0 7 * * MON-FRI")), none);
        assert_eq!(of("0 20 * * FRI,SAT,SUN", Some("0 6 * * MON")), none);
        assert_eq!(of("0 18,20,22 * * *", Some("0 7 * * *")), none);
        // Christmas is a Friday, and `until` does not occur on it.
        assert_eq!(of("0 19 * * THU", Some("0 7 * * MON-FRI")), none);
    }

    #[test]
    fn c71_a_rule_that_fires_every_hour_is_named_with_what_was_meant() {
        assert_eq!(of("0 19 * * * *", Some("0 7 * * MON-FRI")), ["stop 24 times on 2026-11-24 Some(\"0 19 * * *\")"]);
        assert_eq!(of("*/30 20-23 * * *", Some("0 7 * * *")), ["stop 8 times on 2026-11-24 None"]);
        assert_eq!(of("* * * * * *", Some("0 7 * * *")), ["stop 1500 times on 2026-11-24 None"]);
        assert_eq!(of("0 19 * * *", Some("0 * * * *")), ["until 24 times on 2026-11-24 None"]);
    }

    #[test]
    fn c71_a_day_and_a_weekday_are_named_because_either_is_enough() {
        let first = "stop either day Some(\"0 19 * * MON#1\")";
        assert_eq!(of("0 19 1-7 * MON", Some("0 7 * * *")), [first]);
        assert_eq!(of("0 19 * * *", Some("0 7 13 * FRI")).first().unwrap(), "until either day None");
        let none: [String; 0] = [];
        assert_eq!(of("0 19 */2 * MON", Some("0 7 * * *")), none);
    }

    #[test]
    fn c71_a_window_of_minutes_or_over_a_working_day_is_named() {
        assert_eq!(of("0 7 * * MON-FRI", Some("5 7 * * MON-FRI")), ["short 5"]);
        assert_eq!(of("0 19 * * MON-THU", Some("0 20 * * MON-THU")).len(), 0);
        assert_eq!(of("0 19 * * MON-FRI", Some("30 18 * * MON-FRI")), ["over 2026-11-24"]);
        assert_eq!(of("0 7 * * MON-THU", Some("0 19 * * MON-THU")).len(), 0, "twelve hours may be meant");
        assert_eq!(of("0 19 * * MON-FRI", None), ["over 2026-11-24"]);
    }
}
