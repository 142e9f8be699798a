//! A schedule as a calendar: what the clock changes of the coming months do to it, and which rules get in each other's
//! way. For `check`.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::domain::cron::Cron;
use crate::domain::rule::Rule;
use crate::domain::selection::Glob;
use crate::domain::zone::{Local, Zone};

/// How far ahead clock changes are looked for.
pub(crate) const HORIZON: TimeDelta = TimeDelta::days(366);
/// How far ahead off windows are compared.
const OVERLAP_HORIZON: TimeDelta = TimeDelta::days(14);
/// Most firings of one rule that are compared.
const MOST_COMPARED: usize = 200;
/// Clock changes are at most so long.
const AROUND_CHANGE: TimeDelta = TimeDelta::hours(25);

/// A wall-clock time that a clock change touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) wall: NaiveDateTime,
    pub(crate) effect: ClockChange,
}

/// What a clock change does to a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClockChange {
    /// It lies in the gap and happens right after it.
    Moved(DateTime<Utc>),
    /// It lies in the gap and does not happen, because the expression follows the wall clock.
    LeftOut,
    /// It is shown twice and happens the first time only.
    Once(DateTime<Utc>),
    /// It is shown twice and happens twice, because the expression follows the wall clock.
    Twice(DateTime<Utc>, DateTime<Utc>),
}

/// The times of `cron` that clock changes within [`HORIZON`] of `from` touch.
pub(crate) fn touched(cron: &Cron, zone: &Zone, from: DateTime<Utc>) -> Vec<Touched> {
    let changes = std::iter::successors(zone.next_change(from), |change| zone.next_change(*change));
    changes.take_while(|change| *change <= from + HORIZON).flat_map(|change| touched_by(cron, zone, change)).collect()
}

fn touched_by(cron: &Cron, zone: &Zone, change: DateTime<Utc>) -> Vec<Touched> {
    // Around a change, the times that the wall clock would show if it ran on as before.
    let before = zone.offset(change - TimeDelta::seconds(1));
    let start = (change - AROUND_CHANGE).naive_utc() + before;
    let end = (change + AROUND_CHANGE).naive_utc() + before;
    let walls = cron.wall_clock_times(start).take_while(|wall| *wall < end).take(MOST_COMPARED);
    let effect = |wall: NaiveDateTime| match (zone.resolve(wall), cron.is_fixed_time()) {
        (Local::Gap(at), true) => Some(ClockChange::Moved(at)),
        (Local::Gap(_), false) => Some(ClockChange::LeftOut),
        (Local::Twice(first, _), true) => Some(ClockChange::Once(first)),
        (Local::Twice(first, second), false) => Some(ClockChange::Twice(first, second)),
        (Local::Once(_), _) => None,
    };
    walls.filter_map(|wall| Some(Touched { wall, effect: effect(wall)? })).collect()
}

/// The first moment after `from` at which both rules want deployments off that both may select.
pub fn overlap(a: &Rule, b: &Rule, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if a.connection != b.connection || !may_select_the_same(a, b) {
        return None;
    }
    let windows = |rule: &Rule| -> Vec<_> {
        let firings = rule.schedule.firings(from).take_while(|at| *at <= from + OVERLAP_HORIZON).take(MOST_COMPARED);
        firings.map(|at| rule.schedule.off_window(at)).collect()
    };
    let others = windows(b);
    windows(a).into_iter().find_map(|one| {
        let other = others.iter().find(|other| one.from < other.to && other.from < one.to)?;
        Some(one.from.max(other.from))
    })
}

fn may_select_the_same(a: &Rule, b: &Rule) -> bool {
    let may = |a: &[Glob], b: &[Glob]| {
        a.is_empty() || b.is_empty() || a.iter().any(|one| b.iter().any(|other| may_match_the_same(one, other)))
    };
    may(&a.select.resource_groups, &b.select.resource_groups)
        && may(&a.select.scenarios, &b.select.scenarios)
        && may(&a.select.executables, &b.select.executables)
        && may(&a.select.configurations, &b.select.configurations)
}

/// True where one of two globs fits the other read as a name, or both have wildcards and their fixed beginnings agree.
fn may_match_the_same(a: &Glob, b: &Glob) -> bool {
    let fixed = |glob: &Glob| glob.as_str().split(['*', '?']).next().unwrap_or_default().to_owned();
    let (start_a, start_b) = (fixed(a), fixed(b));
    let both_wild = start_a != a.as_str() && start_b != b.as_str();
    a.matches(b.as_str())
        || b.matches(a.as_str())
        || (both_wild && (start_a.starts_with(&start_b) || start_b.starts_with(&start_a)))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{ClockChange, touched};
    use crate::domain::cron::Cron;
    use crate::domain::zone::Zone;

    fn effects(cron: &str) -> Vec<String> {
        let berlin = Zone::new("Europe/Berlin", jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        let from: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        touched(&Cron::parse(cron).unwrap(), &berlin, from)
            .into_iter()
            .map(|touched| {
                let effect = match touched.effect {
                    ClockChange::Moved(at) => format!("moved to {}", at.format("%H:%MZ")),
                    ClockChange::LeftOut => "left out".to_owned(),
                    ClockChange::Once(at) => format!("once at {}", at.format("%H:%MZ")),
                    ClockChange::Twice(..) => "twice".to_owned(),
                };
                format!("{} {effect}", touched.wall.format("%m-%d %H:%M"))
            })
            .collect()
    }

    #[test]
    fn times_that_a_clock_change_touches_are_named() {
        assert_eq!(effects("30 2 * * *"), ["03-29 02:30 moved to 01:00Z", "10-25 02:30 once at 00:30Z"]);
        assert_eq!(
            effects("*/30 2 * * SUN"),
            ["03-29 02:00 left out", "03-29 02:30 left out", "10-25 02:00 twice", "10-25 02:30 twice"]
        );
        assert!(effects("0 19 * * *").is_empty());
    }
}
