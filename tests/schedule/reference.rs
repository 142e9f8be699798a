//! The rule as a child would apply it: look at the clock on the wall once a minute. Of the code under test only the
//! zone data is shared.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use jiff::tz::TimeZone;
use offhours::domain::zone::Zone;
use proptest::prelude::*;

/// Zones with gaps at midnight, changes of half an hour, negative DST, changes of law, and a day left out.
pub const ZONES: [&str; 34] = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Europe/Volgograd",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Africa/Juba",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "America/Asuncion",
    "America/Caracas",
    "America/Havana",
    "America/New_York",
    "America/Nuuk",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "America/Santiago",
    "America/Vancouver",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Norfolk",
];

pub fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn zone(name: &str) -> Zone {
    Zone::new(name, TimeZone::get(name).unwrap())
}

/// What the clock on the wall shows.
pub fn wall(at: DateTime<Utc>, rules: &TimeZone) -> NaiveDateTime {
    let offset = rules.to_offset(jiff::Timestamp::from_second(at.timestamp()).unwrap()).seconds();
    at.naive_utc() + TimeDelta::seconds(i64::from(offset))
}

/// The changes of each zone from 2005 to 2040, to the minute.
pub static CHANGES: LazyLock<Vec<Vec<DateTime<Utc>>>> = LazyLock::new(|| {
    let changes = |name: &&str| {
        let rules = TimeZone::get(name).unwrap();
        let shift = |at: DateTime<Utc>| wall(at, &rules) - at.naive_utc();
        let hours = (0..36 * 366 * 24).map(|n| utc("2005-01-01T00:00:00Z") + TimeDelta::hours(n));
        let changing = hours.filter(|at| shift(*at) != shift(*at + TimeDelta::hours(1)));
        let minute = |at: DateTime<Utc>| {
            (1..=60).map(|n| at + TimeDelta::minutes(n)).find(|later| shift(*later) != shift(at)).unwrap()
        };
        changing.map(minute).collect()
    };
    ZONES.iter().map(changes).collect()
});

/// A cron expression of which the meaning is known without reading it.
#[derive(Debug, Clone)]
pub struct Spec {
    pub text: String,
    pub minutes: BTreeSet<u32>,
    pub hours: BTreeSet<u32>,
    /// Sunday is 0.
    pub weekdays: BTreeSet<u32>,
    pub days: BTreeSet<u32>,
    pub fixed: bool,
}

impl Spec {
    fn matches(&self, wall: NaiveDateTime) -> bool {
        self.minutes.contains(&wall.minute())
            && self.hours.contains(&wall.hour())
            && self.weekdays.contains(&wall.weekday().num_days_from_sunday())
            && self.days.contains(&wall.day())
    }

    /// All instants in `(from, to]`, except for dates that are skipped.
    pub fn instants(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        zone: &str,
        skip: &BTreeSet<NaiveDate>,
    ) -> BTreeSet<DateTime<Utc>> {
        let rules = TimeZone::get(zone).unwrap();
        // Enough to see whether a time was shown before.
        let start = from - TimeDelta::hours(50);
        let start = start - TimeDelta::seconds(start.timestamp().rem_euclid(60));
        let minutes = (to - start).num_minutes();
        let shown: Vec<(DateTime<Utc>, NaiveDateTime)> =
            (0..=minutes).map(|n| start + TimeDelta::minutes(n)).map(|at| (at, wall(at, &rules))).collect();
        let wanted = |wall: &NaiveDateTime| self.matches(*wall) && !skip.contains(&wall.date());
        let mut found = BTreeSet::new();
        if self.fixed {
            // Each time of each day once: when the clock first shows it, or else when it first shows something later.
            // The last look may be one at the repeated hour, which shows less than the ones before.
            let (first, last) = (shown[0].1, shown.iter().map(|(_, wall)| *wall).max().unwrap());
            let mut next = 0;
            let mut time = first;
            while time <= last {
                while next < shown.len() && shown[next].1 < time {
                    next += 1;
                }
                if wanted(&time) && next < shown.len() {
                    found.insert(shown[next].0);
                }
                time += TimeDelta::minutes(1);
            }
        } else {
            found.extend(shown.iter().filter(|(_, wall)| wanted(wall)).map(|(at, _)| *at));
        }
        found.into_iter().filter(|at| *at > from && *at <= to).collect()
    }
}

fn listed(numbers: &BTreeSet<u32>) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Minutes or hours: the numbers, their text, and whether they are numbers or a list of them.
fn clock_field(below: u32) -> impl Strategy<Value = (BTreeSet<u32>, String, bool)> {
    // Most changes are in the small hours.
    let number = prop_oneof![3 => 0..4_u32, 2 => 0..below];
    let list = prop::collection::btree_set(number, 1..4).prop_map(|set| (set.clone(), listed(&set), true));
    let step = (1..below).prop_map(move |n| ((0..below).step_by(n as usize).collect(), format!("*/{n}"), false));
    let range = (0..below, 0..below).prop_map(|(a, b)| {
        let (a, b) = (a.min(b), a.max(b));
        ((a..=b).collect(), format!("{a}-{b}"), false)
    });
    prop_oneof![6 => list, 2 => step, 1 => range, 1 => Just(((0..below).collect(), "*".to_owned(), false))]
}

pub fn spec() -> impl Strategy<Value = Spec> {
    let subset = |from: u32, to: u32| {
        let every = Just(((from..=to).collect::<BTreeSet<_>>(), "*".to_owned()));
        let some = prop::collection::btree_set(from..=to, 1..6).prop_map(|set| (set.clone(), listed(&set)));
        prop_oneof![3 => every, 1 => some]
    };
    (clock_field(60), clock_field(24), subset(0, 6), subset(1, 31)).prop_map(
        |((minutes, minute, one), (hours, hour, other), (weekdays, weekday), (days, day))| {
            // With both day fields given, cron takes either: that is not what this is about.
            let (days, day) = if weekday == "*" { (days, day) } else { ((1..=31).collect(), "*".to_owned()) };
            let text = format!("{minute} {hour} {day} * {weekday}");
            Spec { text, minutes, hours, weekdays, days, fixed: one && other }
        },
    )
}

/// A zone and an instant, mostly near one of its changes.
pub fn place() -> impl Strategy<Value = (&'static str, DateTime<Utc>)> {
    let near = prop_oneof![-4 * 3600..4 * 3600_i64, -30 * 3600..30 * 3600_i64];
    (0..ZONES.len(), any::<prop::sample::Index>(), near).prop_map(|(n, index, seconds)| {
        let changes = &CHANGES[n];
        let change = if changes.is_empty() { utc("2026-11-24T00:00:00Z") } else { changes[index.index(changes.len())] };
        (ZONES[n], change + TimeDelta::seconds(seconds))
    })
}
