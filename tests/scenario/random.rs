//! Random tenants, rules, faults and restarts over a few days: what must hold for the books holds for all of them.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::TimeDelta;
use offhours::domain::period::Span;
use offhours::simulator::{Behaviour, Fault, Fleet, Moment};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::scenario::books::{OTHERS, every_form_shows_one_total, every_morning, nothing_is_counted_that_must_not_be};
use crate::scenario::builder::{EVENINGS, Scenario, instant};
use crate::scenario::stage::Stage;

/// One deployment of a random fleet.
#[derive(Debug, Clone)]
struct Wanted {
    group: usize,
    configuration: usize,
    plan: usize,
    behaviour: usize,
    replicas: u32,
    ttl_hours: Option<u32>,
    deleted_after_hours: Option<i64>,
    redeployed: Option<usize>,
}

/// What happens to offhours itself.
#[derive(Debug, Clone)]
enum Mishap {
    /// It is started anew.
    Restart,
    /// It dies after so many points at which it could go on, and is started anew.
    Killed(usize),
    /// It is not there for so many hours.
    Asleep(i64),
}

/// A few days of a random tenant.
#[derive(Debug, Clone)]
struct Days {
    fleet: Vec<Wanted>,
    bulk: bool,
    rules: Vec<bool>,
    faults: Vec<(usize, usize, usize)>,
    mishaps: Vec<(i64, Mishap)>,
}

fn days() -> impl Strategy<Value = Days> {
    let deployment = (
        (0..3_usize, 0..4_usize, 0..3_usize, 0..12_usize, 0..4_u32),
        proptest::option::weighted(0.2, 60..120_u32),
        proptest::option::weighted(0.2, 1..80_i64),
        proptest::option::weighted(0.5, 0..3_usize),
    );
    let deployment =
        deployment.prop_map(|((group, configuration, plan, behaviour, replicas), ttl, deleted, again)| Wanted {
            group,
            configuration,
            plan,
            behaviour,
            replicas,
            ttl_hours: ttl,
            deleted_after_hours: deleted,
            redeployed: again,
        });
    let mishap = prop_oneof![
        Just(Mishap::Restart),
        (1..400_usize).prop_map(Mishap::Killed),
        (1..20_i64).prop_map(Mishap::Asleep),
    ];
    (
        prop::collection::vec(deployment, 1..9),
        any::<bool>(),
        prop::collection::vec(any::<bool>(), OTHERS.len()),
        prop::collection::vec((0..10_usize, 0..60_usize, 1..4_usize), 0..5),
        prop::collection::vec((0..72_i64, mishap), 0..4),
    )
        .prop_map(|(fleet, bulk, rules, faults, mut mishaps)| {
            mishaps.sort_by_key(|(hour, _)| *hour);
            Days { fleet, bulk, rules, faults, mishaps }
        })
}

impl Days {
    fn stage(&self) -> Stage {
        let mut fleet = Fleet::new();
        for (index, one) in self.fleet.iter().enumerate() {
            fleet = one.added_to(fleet, index);
        }
        fleet = fleet.group("prod").running("keep-1", "infer.s");
        let fleet = if self.bulk { fleet } else { fleet.without_bulk() };
        // A Thursday, so that the clocks change in the middle.
        let mut scenario = Scenario::new().rule(EVENINGS).fleet(fleet).at("2026-03-26T19:00:00+01:00");
        for (rule, _) in OTHERS.iter().zip(&self.rules).filter(|(_, wanted)| **wanted) {
            scenario = scenario.rule(rule);
        }
        self.faults.iter().fold(scenario, |scenario, fault| scenario.fault(fault_of(*fault))).start()
    }
}

impl Wanted {
    fn added_to(&self, fleet: Fleet, index: usize) -> Fleet {
        let group = ["dev-a", "dev-b", "test"][self.group];
        let plan = ["infer.s", "infer.m", "gpu.xl"][self.plan];
        let behaviour = match self.behaviour {
            0 => Behaviour::Slow,
            1 => Behaviour::Refuses,
            2 => Behaviour::Forbidden,
            3 => Behaviour::Stuck,
            4 => Behaviour::Dies,
            5 => Behaviour::Vanishes,
            6 => Behaviour::ComesBack,
            _ => Behaviour::Normal,
        };
        let mut fleet = fleet
            .group(group)
            .running(&format!("d{index:03}"), plan)
            .configuration(&format!("configuration-{}", self.configuration))
            .replicas(0, 3, self.replicas)
            .behaviour(behaviour);
        if let Some(hours) = self.ttl_hours {
            fleet = fleet.aged(TimeDelta::hours(48)).ttl(&format!("{hours}h"));
        }
        if let Some(hours) = self.deleted_after_hours {
            fleet = fleet.deleted_at(Moment::After(TimeDelta::hours(hours)));
        }
        if let Some(again) = self.redeployed {
            fleet = fleet.redeployed(&every_morning(["0 8 * * *", "15 23 * * *", "0 12 * * SAT"][again]));
        }
        fleet
    }
}

fn fault_of((kind, skip, times): (usize, usize, usize)) -> Fault {
    let nothing_done = r#"{"deployments":[]}"#;
    let fault = match kind {
        0 => Fault::on("GET", "/lm/deployments").answers(503),
        1 => Fault::on("GET", "/lm/deployments").truncates(),
        2 => Fault::on("GET", "").drops(),
        3 => Fault::on("PATCH", "").answers(503),
        4 => Fault::on("PATCH", "").does_but_drops(),
        5 => Fault::on("PATCH", "").does_but_answers(504),
        6 => Fault::on("PATCH", "").answers_with(202, "application/json", nothing_done),
        7 => Fault::on("GET", "").answers(429).header("Retry-After", "20"),
        8 => Fault::on("*", "").answers(401),
        _ => Fault::on("PATCH", "").answers(412),
    };
    fault.skip(skip / if kind > 2 { 6 } else { 1 }).times(times)
}

fn live_through(days: &Days) {
    let mut stage = days.stage();
    let start = stage.from;
    for (hour, mishap) in &days.mishaps {
        let at = start + TimeDelta::hours(*hour);
        if at > stage.now() {
            stage.play_until(at);
        }
        match mishap {
            Mishap::Restart => {}
            Mishap::Killed(points) => stage.play_and_die(*points, at + TimeDelta::hours(10)),
            Mishap::Asleep(hours) => {
                stage.kill();
                stage.wait(TimeDelta::hours(*hours));
            }
        }
        stage.kill();
        stage.wait(TimeDelta::seconds(1));
        stage.resume();
    }
    stage.play_until(instant("2026-04-01T12:00:00+02:00"));
    nothing_is_counted_that_must_not_be(&stage);
    let span: Span = "2026-03-26..2026-04-01".parse().unwrap();
    every_form_shows_one_total(&stage, span);
}

/// `OFFHOURS_SEED` repeats a run of this test, `PROPTEST_CASES` says how many tenants are lived through.
#[test]
fn in_random_tenants_nothing_is_counted_twice_too_early_or_too_long() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed: u64 = std::env::var("OFFHOURS_SEED").map_or(now, |text| text.parse().unwrap());
    println!("OFFHOURS_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = std::env::var("PROPTEST_CASES").map_or(12, |text| text.parse().unwrap());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 80, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let lived = runner.run(&days(), |days| {
        live_through(&days);
        Ok(())
    });
    if let Err(failure) = lived {
        panic!("OFFHOURS_SEED={seed}: {failure}");
    }
}
