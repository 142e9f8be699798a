//! What happens by chance, all from one seed: mishaps of the process, holds, and faults between client and tenant.

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::hold::HoldTarget;
use offhours::simulator::{Fault, Simulator};

use crate::scenario::year::tenant::{self, Rule, ZONES};

/// A firing that a sleep lies over in every run: lunch in Berlin on a Thursday, until half past one.
pub const SLEPT_OVER: &str = "2026-03-12T11:00:00Z";

/// Something that happens at an instant.
#[derive(Debug)]
pub enum Event {
    /// It is stopped in order and started anew.
    Restarted,
    /// It dies after so many points at which its runs could go on, and is started anew.
    Killed(usize),
    /// It dies, and is not there for so long.
    Down(TimeDelta),
    /// The machine sleeps for so long, and it goes on where it was.
    Asleep(TimeDelta),
    /// Somebody says "not tonight" for so long.
    Held(HoldTarget, TimeDelta),
    /// Somebody lifts the oldest hold that is in force.
    Lifted,
    /// Somebody does something at the tenant, past offhours.
    AtTenant(Act),
}

/// What somebody does there.
pub struct Act(pub Box<dyn FnOnce(&Simulator)>);

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Act")
    }
}

/// What happens from `from` to `to`, in order. The last day is quiet, so that everything can come to its end.
pub fn events(random: &mut fastrand::Rng, rules: &[Rule], from: DateTime<Utc>, to: DateTime<Utc>) -> Events {
    let firings: Vec<DateTime<Utc>> = rules.iter().flat_map(|rule| rule.diary.firings(from, to)).collect();
    let last = to - TimeDelta::days(1);
    let mut events = Vec::new();
    let mut day = from;
    while day < last {
        let hour = |random: &mut fastrand::Rng| day + TimeDelta::seconds(random.i64(0..86_400));
        for _ in 0..random.usize(0..3) {
            events.push((hour(random), Event::Held(target(random, rules), TimeDelta::minutes(random.i64(20..3_000)))));
        }
        if random.bool() {
            events.push((hour(random), Event::Lifted));
        }
        if random.u8(..3) > 0 {
            // In the middle of a run, or some time or other.
            let run = firings[random.usize(..firings.len())] + TimeDelta::seconds(random.i64(0..15));
            let at = if random.bool() { run } else { hour(random) };
            events.push((at, mishap(random)));
        }
        if let Some(held) = just_in_time(random, rules, day) {
            events.push(held);
        }
        day += TimeDelta::days(1);
    }
    let slept_over: DateTime<Utc> = SLEPT_OVER.parse().unwrap();
    // Nothing else may wake it.
    events.retain(|(at, event)| {
        let wakes = !matches!(event, Event::Held(..) | Event::Lifted);
        *at < last && !(wakes && (*at - slept_over).abs() < TimeDelta::days(1))
    });
    events.push((slept_over - TimeDelta::minutes(30), Event::Asleep(TimeDelta::hours(5))));
    events.extend(every_wednesday(from, last));
    Events::new(events)
}

/// What has not happened yet.
#[derive(Debug)]
pub struct Events {
    left: std::collections::VecDeque<(DateTime<Utc>, Event)>,
}

impl Events {
    /// These, in the order of their instants.
    pub fn new(mut events: Vec<(DateTime<Utc>, Event)>) -> Self {
        events.sort_by_key(|(at, _)| *at);
        Self { left: events.into_iter().collect() }
    }

    /// When the next one happens.
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        self.left.front().map(|(at, _)| *at)
    }

    /// Takes the next one, where its time has come.
    pub fn take_due(&mut self, now: DateTime<Utc>) -> Option<Event> {
        self.next_at().filter(|at| *at <= now)?;
        self.left.pop_front().map(|(_, event)| event)
    }
}

fn mishap(random: &mut fastrand::Rng) -> Event {
    let time = TimeDelta::minutes(random.i64(5..14 * 60));
    match random.u8(..4) {
        0 => Event::Restarted,
        1 => Event::Killed(random.usize(..60)),
        2 => Event::Down(time),
        _ => Event::Asleep(time),
    }
}

/// A hold that is set in the seconds around a firing of the day.
fn just_in_time(random: &mut fastrand::Rng, rules: &[Rule], day: DateTime<Utc>) -> Option<(DateTime<Utc>, Event)> {
    let rule = random.choice(rules)?;
    let firing = rule.diary.firings(day, day + TimeDelta::days(1)).pop_first()?;
    let at = firing + TimeDelta::seconds(random.i64(-5..5));
    Some((at, Event::Held(rule_or_group(random, rule), TimeDelta::hours(5))))
}

fn target(random: &mut fastrand::Rng, rules: &[Rule]) -> HoldTarget {
    let rule = &rules[random.usize(..rules.len())];
    match random.u8(..3) {
        0 => HoldTarget::Configuration(tenant::configuration(random.usize(..ZONES.len()), random.usize(..5))),
        _ => rule_or_group(random, rule),
    }
}

fn rule_or_group(random: &mut fastrand::Rng, rule: &Rule) -> HoldTarget {
    if random.bool() {
        HoldTarget::Rule(rule.name.parse().unwrap())
    } else {
        HoldTarget::ResourceGroup(rule.groups[0].parse().unwrap())
    }
}

/// Over one group, so that some holds are honoured whatever the seed.
fn every_wednesday(from: DateTime<Utc>, to: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, Event)> {
    let days =
        std::iter::successors(Some(from), |day| Some(*day + TimeDelta::days(1))).take_while(move |day| *day < to);
    days.filter(|day| day.format("%a").to_string() == "Wed").map(|day| {
        let target = HoldTarget::ResourceGroup(tenant::evenings().groups[0].parse().unwrap());
        (day, Event::Held(target, TimeDelta::days(1)))
    })
}

/// About one request in a hundred meets one of these.
pub fn faults(random: &mut fastrand::Rng) -> Vec<Fault> {
    let nothing_done = r#"{"deployments":[]}"#;
    let of_any = [
        Fault::on("*", "").answers(503),
        Fault::on("*", "").answers(401),
        Fault::on("*", "").answers(429).header("Retry-After", "20"),
        Fault::on("*", "").drops(),
        Fault::on("*", "").hangs(),
        Fault::on("*", "").answers_with(200, "text/html", "<html>log in</html>"),
        Fault::on("GET", "").truncates(),
        Fault::on("GET", "").answers_with(200, "application/json", "null"),
    ];
    let of_stops = [
        Fault::on("PATCH", "").does_but_drops(),
        Fault::on("PATCH", "").does_but_answers(504),
        Fault::on("PATCH", "").does_but_hangs(),
        Fault::on("PATCH", "").answers_with(202, "application/json", nothing_done),
        Fault::on("PATCH", "").answers(412),
    ];
    let mut faults: Vec<Fault> = of_any.map(|fault| fault.by_chance(800, random.u64(..))).into();
    faults.extend(of_stops.map(|fault| fault.by_chance(250, random.u64(..))));
    // One more, which strikes whatever the seed.
    faults.push(Fault::on("GET", "/lm/deployments").skip(100).answers(500));
    faults
}
