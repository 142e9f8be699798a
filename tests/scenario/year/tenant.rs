//! Fifty rules over ten zones, as a user writes them and as a diary says them, and the tenant they act on.

use chrono::{DateTime, TimeDelta, Utc};
use jiff::civil::Date;
use offhours::clock;
use offhours::domain::cron::Cron;
use offhours::simulator::{Behaviour, Fleet, Redeployed};

use crate::scenario::year::almanac::{DAYS, Diary, Times};

/// On both sides of the equator, on both sides of Greenwich, with and without clock changes: by an hour at night, by an
/// hour at midnight, by half an hour, around Ramadan, and with a summer time that is called winter's.
pub const ZONES: [&str; 10] = [
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Tokyo",
    "Africa/Cairo",
];

/// `until` does not occur on them: two Fridays and a Monday, and a Thursday in March.
const HOLIDAYS: [&str; 5] = ["2026-03-19", "2026-04-03", "2026-05-01", "2026-12-25", "2026-12-28"];
/// The rule does not stop on them.
const SKIP: [&str; 4] = ["2026-03-17", "2026-04-04", "2026-07-14", "2026-12-31"];

const ALL_DAYS: [usize; 7] = [0, 1, 2, 3, 4, 5, 6];
const WEEKDAYS: [usize; 5] = [0, 1, 2, 3, 4];

/// A rule in both forms.
#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub toml: String,
    pub diary: Diary,
    pub groups: Vec<String>,
}

/// The kinds of rules that each zone has.
const KINDS: [&str; 5] = ["evenings", "small-hours", "weekend", "nightly", "short"];

/// All fifty.
pub fn rules() -> Vec<Rule> {
    ZONES.iter().flat_map(|zone| (0..KINDS.len()).map(|kind| rule(zone, kind))).collect()
}

/// The rule that a fixed sleep makes miss a firing for certain: its off windows are shorter than the sleep.
pub fn lunch() -> Rule {
    rule(ZONES[0], 4)
}

/// The rule over whose group a fixed hold lies every week.
pub fn evenings() -> Rule {
    rule(ZONES[0], 0)
}

fn rule(zone: &'static str, kind: usize) -> Rule {
    let times = |minutes: &[i8], hours: &[i8], days: &[usize]| Times {
        zone,
        minutes: minutes.to_vec(),
        hours: hours.to_vec(),
        days: days.to_vec(),
        not_on: Vec::new(),
        fixed: true,
    };
    let at = |hour: i8, minute: i8, days: &[usize]| times(&[minute], &[hour], days);
    let (stop, until, written) = match kind {
        0 => (at(19, 0, &WEEKDAYS), Some(at(7, 0, &WEEKDAYS)), "0 19 * * MON-FRI"),
        // Where clocks change, this lies before, in and after the gap or the repeated hour.
        1 => (times(&[10, 40], &[0, 1, 2], &[4, 6]), Some(at(6, 0, &ALL_DAYS)), "10,40 0,1,2 * * FRI,SUN"),
        2 => (at(18, 0, &[4]), Some(at(8, 0, &[0])), "0 18 * * FRI"),
        3 => (at(22, 5, &ALL_DAYS), None, "5 22 * * *"),
        _ if is_at_lunch(zone) => (at(12, 0, &WEEKDAYS), Some(at(13, 30, &ALL_DAYS)), "0 12 * * MON-FRI"),
        _ => {
            let shown = Times { fixed: false, ..times(&[0, 30], &[1, 2], &[6]) };
            (shown, Some(at(7, 0, &ALL_DAYS)), "*/30 1-2 * * SUN")
        }
    };
    let (name, group) = (name(zone, kind), group(zone, kind));
    let mut groups = vec![group];
    // A weekend over what the evenings stop too, and somebody who means what is protected.
    match kind {
        2 => groups.push(self::group(zone, 0)),
        3 => groups.push("prod".to_owned()),
        _ => {}
    }
    let mut rule = Rule { name, toml: String::new(), diary: Diary { stop, until }, groups };
    if kind == 0 {
        rule.diary.until.as_mut().unwrap().not_on = dates(&HOLIDAYS);
    } else if kind == 3 {
        rule.diary.stop.not_on = dates(&SKIP);
    }
    rule.toml = toml(&rule, zone, written, kind);
    rule
}

fn toml(rule: &Rule, zone: &str, stop: &str, kind: usize) -> String {
    let name = &rule.name;
    let until = rule.diary.until.as_ref().map_or_else(String::new, |until| {
        format!("until = \"{} {} * * {}\"", until.minutes[0], until.hours[0], days(&until.days))
    });
    let dates = match kind {
        0 => format!("holidays = {HOLIDAYS:?}"),
        3 => format!("skip = {SKIP:?}"),
        _ => String::new(),
    };
    format!(
        "[[rule]]\nname = \"{name}\"\ntimezone = \"{zone}\"\nstop = \"{stop}\"\n{until}\n{dates}\n\
         [rule.select]\nresource_groups = {:?}\n",
        rule.groups
    )
}

fn is_at_lunch(zone: &str) -> bool {
    ZONES.iter().position(|known| *known == zone).is_some_and(|index| index % 2 == 0)
}

fn days(days: &[usize]) -> String {
    days.iter().map(|day| DAYS[*day]).collect::<Vec<_>>().join(",")
}

fn dates(texts: &[&str]) -> Vec<Date> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn name(zone: &str, kind: usize) -> String {
    group(zone, kind).trim_start_matches("dev-").to_owned()
}

/// Each rule has a group of its own.
fn group(zone: &str, kind: usize) -> String {
    let place = zone.rsplit('/').next().unwrap().to_lowercase().replace('_', "-");
    format!("dev-{place}-{}", KINDS[kind])
}

/// One or two deployments in each group. Most are well behaved; people deploy them again when they are wanted.
pub fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    fleet.tenant.tidied_after = Some(TimeDelta::days(2).to_std().unwrap());
    for (index, zone) in ZONES.iter().enumerate() {
        for kind in 0..KINDS.len() {
            let again = match kind {
                0 => "10 7 * * MON-FRI",
                1 => "10 6 * * *",
                2 => "10 8 * * MON",
                3 => "30 8 * * *",
                _ => "10 14 * * *",
            };
            let again = Redeployed::new(Cron::parse(again).unwrap(), clock::zone(zone).unwrap());
            let count = if kind == 0 { 2 } else { 1 };
            fleet = fleet
                .group(&group(zone, kind))
                .running_many(&format!("d{index}{kind}"), count, "infer.s")
                .stop_after(TimeDelta::seconds(9))
                .redeployed(&again)
                .configuration(&configuration(index, kind))
                .behaviour(behaviour(index, kind));
        }
    }
    fleet.group("prod").running("keep-1", "infer.s")
}

/// What the deployments of a group are made from.
pub fn configuration(zone: usize, kind: usize) -> String {
    format!("model-{zone}-{kind}")
}

/// Some take a stop badly. None stays STOPPING for ever: a year of such would fill the tenant.
fn behaviour(zone: usize, kind: usize) -> Behaviour {
    match (zone, kind) {
        (3 | 7, 3) => Behaviour::Slow,
        (2, 3) | (5, 0) => Behaviour::ComesBack,
        (4, 3) | (6, 0) => Behaviour::Refuses,
        (5, 3) => Behaviour::Dies,
        (6, 3) | (8, 0) => Behaviour::Vanishes,
        (9, 3) => Behaviour::Forbidden,
        _ => Behaviour::Normal,
    }
}

/// True for groups whose deployments may be asked more than once in their lives.
pub fn is_asked_again(group: &str) -> bool {
    let places = ZONES.iter().enumerate().flat_map(|(zone, name)| (0..KINDS.len()).map(move |kind| (zone, name, kind)));
    let known = places.filter(|(_, name, kind)| self::group(name, *kind) == group);
    let stubborn = |behaviour| matches!(behaviour, Behaviour::ComesBack | Behaviour::Refuses | Behaviour::Forbidden);
    known.into_iter().any(|(zone, _, kind)| stubborn(behaviour(zone, kind)))
}

/// When a span of the test begins or ends: a moment at which nobody's rule fires.
pub fn quiet(date: &str) -> DateTime<Utc> {
    format!("{date}T12:47:30Z").parse().unwrap()
}
