//! Instants and off windows near clock changes, for random expressions in many zones.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use offhours::domain::cron::Cron;
use offhours::domain::schedule::Schedule;
use proptest::prelude::*;

use crate::schedule::reference::{CHANGES, Spec, ZONES, place, spec, wall, zone};

fn schedule(stop: &Spec, until: Option<&Spec>, place: &str, skip: &BTreeSet<NaiveDate>) -> Schedule {
    let cron = |spec: &Spec| Cron::parse(&spec.text).unwrap();
    Schedule {
        stop: cron(stop),
        until: until.map(cron),
        zone: zone(place),
        holidays: BTreeSet::new(),
        skip: skip.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn instants_are_those_that_the_clock_on_the_wall_shows((name, from) in place(), spec in spec()) {
        let to = from + TimeDelta::hours(40);
        let cron = Cron::parse(&spec.text).unwrap();
        prop_assert_eq!(cron.is_fixed_time(), spec.fixed);
        let zone = zone(name);
        let seen: Vec<_> = cron.instants(from, &zone).take_while(|at| *at <= to).collect();
        prop_assert!(seen.is_sorted_by(|a, b| a < b));
        let expected: Vec<_> = spec.instants(from, to, name, &BTreeSet::new()).into_iter().collect();
        prop_assert_eq!(seen, expected, "{} in {} after {}", spec.text, name, from);
    }

    #[test]
    fn nothing_fires_on_a_skipped_date((name, from) in place(), spec in spec(), days in prop::collection::btree_set(0..3_i64, 1..3)) {
        let to = from + TimeDelta::hours(40);
        let today = wall(from, &jiff::tz::TimeZone::get(name).unwrap()).date();
        let skip: BTreeSet<_> = days.iter().map(|n| today + TimeDelta::days(*n)).collect();
        let schedule = schedule(&spec, None, name, &skip);
        let seen: Vec<_> = schedule.firings(from).take_while(|at| *at <= to).collect();
        let expected: Vec<_> = spec.instants(from, to, name, &skip).into_iter().collect();
        prop_assert_eq!(seen, expected, "{} in {} after {}, without {:?}", spec.text, name, from, skip);
    }

    #[test]
    fn an_off_window_ends_at_the_first_until_after_it_begins((name, from) in place(), stop in spec(), until in spec()) {
        let schedule = schedule(&stop, Some(&until), name, &BTreeSet::new());
        let Some(at) = schedule.next_firing(from) else { return Ok(()) };
        let window = schedule.off_window(at);
        prop_assert_eq!(window.from, at);
        prop_assert!(window.to > at, "{:?}", window);
        let to = at + TimeDelta::hours(60);
        if let Some(first) = until.instants(at, to, name, &BTreeSet::new()).first() {
            prop_assert_eq!(window.to, *first);
        } else {
            prop_assert!(window.to > to);
        }
    }
}

#[test]
fn t03_a_fixed_time_happens_once_for_every_local_day_of_every_zone() {
    for (name, changes) in ZONES.iter().zip(CHANGES.iter()) {
        let zone = zone(name);
        for text in ["0 0 * * *", "30 0 * * *", "15 1 * * *", "30 2 * * *", "0 3 * * *", "45 23 * * *", "0 19 * * *"] {
            let cron = Cron::parse(text).unwrap();
            for change in changes {
                let from = *change - TimeDelta::days(3);
                let first = cron.next_wall_after(from, &zone);
                let fired = std::iter::successors(first, |(at, _)| cron.next_wall_after(*at, &zone)).take(5);
                // In a gap at the end of a day (Pyongyang, 2018) the time is the next day's, the date is not.
                let seen: Vec<_> = fired.map(|(_, written)| written.date()).collect();
                let mut expected: Vec<_> = seen[0].iter_days().take(5).collect();
                if (*name, text, change.timestamp()) == ("Pacific/Apia", "0 0 * * *", 1_325_239_200) {
                    // Samoa left out 30 December 2011, so its midnight and that of the 31st are one instant.
                    expected.remove(3);
                    expected.extend(expected.last().and_then(|day| day.succ_opt()));
                }
                assert_eq!(seen, expected, "{text} in {name} around {change}");
            }
        }
    }
}
