//! The agenda under a clock that ticks, sleeps, steps back and is started anew: each firing once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::domain::agenda::{Agenda, fires_by};
use offhours::domain::cron::Cron;
use offhours::domain::rule::Rule;
use offhours::domain::schedule::{CATCH_UP_WITHOUT_UNTIL, MOST_MISSED, Schedule};
use proptest::prelude::*;

use crate::schedule::reference::{Spec, place, spec, zone};
use crate::support::given::rule;

/// What happens between two looks at the agenda.
#[derive(Debug, Clone)]
enum Step {
    /// Seconds pass.
    Tick(i64),
    /// The host sleeps for minutes, or the clock is put forward.
    Sleep(i64),
    /// The clock is put back by minutes.
    Back(i64),
    /// The program ends and is started after minutes.
    Restart(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..120_i64).prop_map(Step::Tick),
        4 => (1..180_i64).prop_map(Step::Sleep),
        1 => (180..6_000_i64).prop_map(Step::Sleep),
        2 => (1..150_i64).prop_map(Step::Back),
        1 => (150..3_000_i64).prop_map(Step::Back),
        1 => (0..600_i64).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug, Default)]
struct Seen {
    run: BTreeSet<DateTime<Utc>>,
    missed: BTreeSet<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    /// More were missed at once than are named.
    passed_over: bool,
}

impl Seen {
    fn record(&mut self, at: DateTime<Utc>) {
        assert!(self.newest.is_none_or(|newest| newest < at), "{at} after {:?}", self.newest);
        self.newest = Some(at);
    }
}

fn play(schedules: &[Schedule], start: DateTime<Utc>, steps: &[Step]) -> (Vec<Seen>, DateTime<Utc>) {
    let rules: Vec<Arc<Rule>> =
        schedules.iter().enumerate().map(|(n, schedule)| Arc::new(rule(&format!("r{n}"), schedule.clone()))).collect();
    let mut seen: Vec<Seen> = schedules.iter().map(|_| Seen::default()).collect();
    let mut agenda = Agenda::new(&rules, &BTreeMap::new(), start);
    let (mut now, mut furthest) = (start, start);
    for step in steps {
        now += match step {
            Step::Tick(seconds) => TimeDelta::seconds(*seconds),
            Step::Sleep(minutes) | Step::Restart(minutes) => TimeDelta::minutes(*minutes),
            Step::Back(minutes) => -TimeDelta::minutes(*minutes),
        };
        furthest = furthest.max(now);
        if let Step::Restart(_) = step {
            let cursors = agenda.cursors().map(|(rule, after)| (rule.name.clone(), (fires_by(rule), after))).collect();
            agenda = Agenda::new(&rules, &cursors, now);
        }
        let mut dealt_with = BTreeMap::new();
        for (rule, due) in agenda.due(now) {
            let seen = &mut seen[rule.name.as_str()[1..].parse::<usize>().unwrap()];
            assert!(due.missed.len() <= MOST_MISSED);
            seen.passed_over |= due.missed.len() == MOST_MISSED;
            for at in &due.missed {
                seen.record(*at);
                seen.missed.insert(*at);
            }
            if let Some(firing) = due.run {
                seen.record(firing.at);
                seen.run.insert(firing.at);
                assert!(firing.at <= now);
                assert_eq!(firing.on_time, now - firing.at <= TimeDelta::seconds(60));
                match rule.schedule.until {
                    Some(_) => assert!(now < rule.schedule.off_window(firing.at).to, "its off window is over"),
                    None => assert!(now - firing.at <= CATCH_UP_WITHOUT_UNTIL),
                }
            }
            dealt_with.extend(seen.newest.map(|at| (rule.name.clone(), at)));
        }
        agenda.advance(&dealt_with);
        assert!(agenda.due(now).is_empty(), "what was dealt with is due again");
    }
    (seen, furthest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_firing_runs_or_is_missed_once(
        (name, start) in place(),
        stops in prop::collection::vec((spec(), prop::option::of(spec())), 1..4),
        steps in steps(),
    ) {
        let cron = |spec: &Spec| Cron::parse(&spec.text).unwrap();
        let schedules: Vec<Schedule> = stops
            .iter()
            .map(|(stop, until)| Schedule {
                stop: cron(stop),
                until: until.as_ref().map(cron),
                zone: zone(name),
                holidays: BTreeSet::new(),
                skip: BTreeSet::new(),
            })
            .collect();
        let (seen, furthest) = play(&schedules, start, &steps);
        for ((stop, _), seen) in stops.iter().zip(seen) {
            let expected = stop.instants(start, furthest, name, &BTreeSet::new());
            let recorded: BTreeSet<_> = seen.run.union(&seen.missed).copied().collect();
            prop_assert!(seen.run.is_disjoint(&seen.missed));
            prop_assert!(recorded.is_subset(&expected));
            if !seen.passed_over {
                prop_assert_eq!(recorded, expected, "{} in {}", stop.text, name);
            }
        }
    }
}
