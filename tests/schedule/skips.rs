//! Weeks of `skip` and `holidays`: what counts is days, however often a rule would fire in one of them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use offhours::domain::cron::Cron;
use offhours::domain::schedule::{MOST_MISSED, Schedule};

use crate::schedule::reference::{utc, zone};

/// All dates from `first` to `last`, both included.
fn dates(first: &str, last: &str) -> BTreeSet<NaiveDate> {
    let (first, last): (NaiveDate, NaiveDate) = (first.parse().unwrap(), last.parse().unwrap());
    first.iter_days().take_while(|day| *day <= last).collect()
}

fn schedule(stop: &str, until: Option<&str>) -> Schedule {
    Schedule {
        stop: Cron::parse(stop).unwrap(),
        until: until.map(|text| Cron::parse(text).unwrap()),
        zone: zone("Europe/Berlin"),
        holidays: BTreeSet::new(),
        skip: BTreeSet::new(),
    }
}

fn berlin(text: &str) -> DateTime<Utc> {
    zone("Europe/Berlin").resolve(text.parse().unwrap()).first()
}

#[test]
fn t23_a_rule_that_fires_all_night_fires_again_after_any_number_of_skipped_days() {
    let spans = [
        ("two weeks", dates("2026-12-21", "2027-01-03"), "2027-01-04"),
        ("three months over a clock change", dates("2026-12-21", "2027-03-31"), "2027-04-01"),
        ("twelve years", dates("2026-12-21", "2038-12-31"), "2039-01-01"),
    ];
    for (name, skip, day) in spans {
        for (stop, time) in [
            ("* 22-23,0-5 * * *", "00:00:00"),
            ("* * * * *", "00:00:00"),
            ("* * * * * *", "00:00:00"),
            ("*/10 30 19 * * *", "19:30:00"),
            ("0,15,30,45 19,20,21 * * *", "19:00:00"),
        ] {
            let rule = Schedule { skip: skip.clone(), ..schedule(stop, Some("0 7 * * *")) };
            let last = rule.next_firing(berlin("2026-12-20T12:00:00"));
            assert!(last.is_some_and(|at| at < berlin("2026-12-21T00:00:00")), "`{stop}`, {name}: {last:?}");
            let next = rule.next_firing(berlin("2026-12-20T23:59:59"));
            assert_eq!(next, Some(berlin(&format!("{day}T{time}"))), "`{stop}` after {name}");
        }
    }
}

#[test]
fn t23_what_never_comes_is_still_found() {
    assert_eq!(Cron::parse("0 0 31 2 *").unwrap_err().to_string(), "it never occurs: no date matches");
    // Every leap day that there will be.
    let leap_days = (2028..=9_999).filter_map(|year| NaiveDate::from_ymd_opt(year, 2, 29)).collect();
    let rule = Schedule { skip: leap_days, ..schedule("* * 29 2 *", None) };
    assert_eq!(rule.next_firing(berlin("2026-11-23T12:00:00")), None);
}

#[test]
fn t23_a_midnight_in_a_gap_is_not_lost_with_the_skipped_day_before_it() {
    // Samoa left out 30 December 2011: its midnight and that of the 31st are one instant.
    let rule =
        Schedule { zone: zone("Pacific/Apia"), skip: dates("2011-12-30", "2011-12-30"), ..schedule("0 0 * * *", None) };
    assert_eq!(rule.next_firing(utc("2011-12-29T12:00:00Z")), Some(utc("2011-12-30T10:00:00Z")));
}

#[test]
fn t24_an_off_window_goes_on_over_any_number_of_holidays() {
    for until in ["* 7-18 * * *", "* * * * * *", "0 7 * * *"] {
        for (holidays, end) in [
            (dates("2026-12-24", "2026-12-24"), "2026-12-25"),
            (dates("2026-12-24", "2027-01-06"), "2027-01-07"),
            (dates("2026-12-24", "2036-12-31"), "2037-01-01"),
        ] {
            let rule = Schedule { holidays, ..schedule("0 19 * * *", Some(until)) };
            let from = berlin("2026-12-23T23:59:59");
            let time = if until == "* * * * * *" { "00:00:00" } else { "07:00:00" };
            assert_eq!(rule.off_window(from).to, berlin(&format!("{end}T{time}")), "`{until}` after the holidays");
        }
    }
}

#[test]
fn t23_t05_months_of_skipped_seconds_are_not_walked_through() {
    let rule = Schedule { skip: dates("2026-09-01", "2026-11-22"), ..schedule("* * * * * *", None) };
    let now = berlin("2026-11-22T12:00:00");
    let began = Instant::now();
    let due = rule.due(now - TimeDelta::days(3_650), now);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(due.run, None, "the last firing was months ago");
    assert_eq!(due.missed.len(), MOST_MISSED);
    assert_eq!(due.missed.last(), Some(&berlin("2026-08-31T23:59:59")));
    assert!(due.missed.windows(2).all(|two| two[1] - two[0] == TimeDelta::seconds(1)));
}
