//! The books of whole months and of random fleets: nothing is counted twice or too early, and every form of the
//! report, and plain SQL over the ledger's observations, come to the same cent.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use offhours::accounting::period::Books;
use offhours::clock;
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::cron::Cron;
use offhours::domain::period::Span;
use offhours::domain::rule::Mode;
use offhours::domain::run::{Row, Run};
use offhours::report::form::Form;
use offhours::report::{Context, csv, json_period, period_report};
use offhours::simulator::{Behaviour, Fault, Fleet, Moment, Redeployed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rust_decimal::Decimal;

use crate::scenario::{EVENINGS, Scenario, instant};
use crate::stage::Stage;

/// A rule that begins later and overlaps the evenings, one for the weekend, and one that only looks.
const OTHERS: [&str; 3] = [
    r#"
[[rule]]
name = "nights"
stop = "30 21 * * *"
until = "0 8 * * MON-FRI"
[rule.select]
resource_groups = ["*"]
[rule.exclude]
resource_groups = ["prod"]
"#,
    r#"
[[rule]]
name = "twins"
stop = "0 19 * * *"
until = "30 6 * * *"
[rule.select]
resource_groups = ["dev-a"]
"#,
    r#"
[[rule]]
name = "watch"
mode = "observe"
stop = "0 20 * * *"
until = "0 7 * * *"
[rule.select]
resource_groups = ["*"]
"#,
];

fn every_morning(cron: &str) -> Redeployed {
    Redeployed { cron: Cron::parse(cron).unwrap(), zone: clock::zone("Europe/Berlin").unwrap() }
}

/// The sum of a month by plain SQL, from what was observed: when each stop was confirmed, what an hour cost then, and
/// what ended the counting. In whole thousandths and milliseconds, so that SQLite rounds nothing on the way; the last
/// step rounds half to even.
const RECALCULATION: &str = r"
WITH observed AS (
  SELECT max(d.confirmed_at, r.window_from) AS counted_from,
         CASE s.ended_by WHEN 'window-end' THEN r.window_to WHEN 'ttl' THEN d.expires_at
                         WHEN 'never-confirmed' THEN NULL ELSE s.avoided_to END AS counted_to,
         r.window_to AS window_to,
         CAST(round(d.capacity_units_per_hour * 1000) AS INTEGER) * CAST(round(d.price * 1000) AS INTEGER) AS per_hour,
         d.node_count AS nodes
  FROM deployment d JOIN run r ON r.id = d.run
  JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
  WHERE r.mode = 'enforce' AND r.scheduled_at >= ?1 AND r.scheduled_at < ?2 AND d.confirmed_at IS NOT NULL
    AND d.charge = 'metered'
), milliseconds AS (
  SELECT per_hour, nodes, max(min(counted_to, window_to) - counted_from, 0) AS ms FROM observed
), cents AS (
  -- per_hour is in millionths of the currency; an hour has 3600000 milliseconds, a unit of it 100 cents.
  SELECT per_hour * ms / 36000000000 AS whole, per_hour * ms % 36000000000 AS rest FROM milliseconds WHERE ms IS NOT NULL
)
SELECT count(*), coalesce(sum(whole + (rest * 2 > 36000000000 OR (rest * 2 = 36000000000 AND whole % 2 = 1))), 0) FROM cents
";

fn recalculated(stage: &Stage, from: DateTime<Utc>, to: DateTime<Utc>) -> (i64, Decimal) {
    let (rows, cents): (i64, i64) = stage
        .database()
        .query_row(RECALCULATION, [from.timestamp_millis(), to.timestamp_millis()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    (rows, Decimal::new(cents, 2))
}

fn books(stage: &Stage, span: Span) -> Books {
    let zone = stage.config.zone.clone().unwrap();
    let (executor, now) = (stage.executor(), stage.now());
    stage.block_on(Books::open(Some(&executor.ledger), &stage.config, span, &zone, now, Vec::new())).unwrap()
}

fn real_rows(runs: &[Run]) -> impl Iterator<Item = (&Run, &Row)> {
    let enforced = runs.iter().filter(|run| run.mode == Mode::Enforce);
    enforced.flat_map(|run| run.deployments.iter().map(move |row| (run, row)))
}

/// Text, HTML, CSV and JSON show the sum of the rows, to the cent. Gives that sum.
fn every_form_shows_one_total(stage: &Stage, span: Span) -> Decimal {
    let books = books(stage, span);
    let total: Decimal =
        real_rows(books.runs()).filter_map(|(_, row)| row.avoided().cost).map(|cost| cost.amount).sum();
    let currency = real_rows(books.runs()).find_map(|(_, row)| row.avoided().cost).map(|cost| cost.currency);
    let zone = stage.config.zone.clone().unwrap();
    let context = Context::new(stage.config.locale(), &zone, stage.now());
    let content = period_report(&books.report(), &context);
    if let Some(currency) = currency {
        let money = offhours::domain::avoided::Money { amount: total, currency };
        let shown = Form { locale: stage.config.locale(), zone: &zone }.money(money);
        assert!(content.text.contains(&shown), "{shown} is not in\n{}", content.text);
        assert!(
            content.html.replace("&nbsp;", " ").replace('\u{a0}', " ").contains(&shown),
            "{shown} is not in the HTML"
        );
    }
    let json = json_period(&books.report());
    let in_json = json["totals"]["cost"]["EUR"].as_str().map_or(Decimal::ZERO, |text| text.parse().unwrap());
    assert_eq!(in_json, total, "JSON");
    let table = csv(books.runs());
    let mut reader = ::csv::Reader::from_reader(table.as_slice());
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|known| known == name).unwrap();
    let (mode, cost) = (column("mode"), column("avoided_cost"));
    let in_csv: Decimal = reader
        .records()
        .map(|record| record.unwrap())
        .filter(|record| !record[cost].is_empty())
        .inspect(|record| assert_eq!(&record[mode], "enforce", "an observed figure in the column of real ones"))
        .map(|record| record[cost].parse::<Decimal>().unwrap())
        .sum();
    assert_eq!(in_csv, total, "CSV");
    total
}

#[test]
fn a_month_recalculated_by_sql_agrees_to_the_cent() {
    let morning = every_morning("0 8 * * MON-FRI");
    let leaking = every_morning("7 23 * * WED");
    let fleet = Fleet::new()
        .group("dev-a")
        .running_many("da", 4, "infer.s")
        .redeployed(&morning)
        .running("db", "infer.m")
        .replicas(1, 3, 3)
        .stop_after(TimeDelta::milliseconds(123_457))
        .redeployed(&morning)
        .running("dbig", "infer.m")
        .component("router", "infer.s", 2)
        .redeployed(&leaking)
        .group("dev-b")
        .running("dttl", "infer.s")
        .ttl("5d")
        .running("slow", "infer.s")
        .behaviour(Behaviour::Slow)
        .running("stuck", "infer.s")
        .behaviour(Behaviour::Stuck)
        .running("unpriced", "gpu.xl")
        .group("prod")
        .running("keep-1", "infer.l");
    let mut scenario = Scenario::evenings().fleet(fleet).at("2026-11-02T19:00:00+01:00");
    for rule in OTHERS {
        scenario = scenario.rule(rule);
    }
    let mut stage = scenario.start();
    stage.play_until(instant("2026-12-02T12:00:00+01:00"));
    let month = Span::Month(NaiveDate::from_ymd_opt(2026, 11, 1).unwrap());
    let total = every_form_shows_one_total(&stage, month);
    let (from, to) = (instant("2026-11-01T00:00:00+01:00"), instant("2026-12-01T00:00:00+01:00"));
    let (rows, by_sql) = recalculated(&stage, from, to);
    assert!(rows > 50, "{rows} rows");
    assert_eq!(by_sql, total);
    assert!(total > Decimal::from(500), "{total}");
    nothing_is_counted_that_must_not_be(&stage);
}

/// From when to when a deployment's time was counted.
type Counted = (DateTime<Utc>, DateTime<Utc>);

/// What never holds for a real figure, whatever happened.
fn nothing_is_counted_that_must_not_be(stage: &Stage) {
    let runs = stage.history();
    let journal = stage.simulator.journal();
    let there = stage.block_on(async { stage.simulator.statuses() });
    let mut counted: BTreeMap<(String, String), Vec<Counted>> = BTreeMap::new();
    for (run, row) in real_rows(&runs) {
        let (window, avoided) = (run.off_window, row.avoided());
        if let Some(settlement) = &row.settlement
            && row.projected.from.is_some()
        {
            assert!(
                settlement.avoided.node_hours <= row.projected.node_hours,
                "settled above its projection: {row:#?}"
            );
        }
        let (Some(from), Some(to)) = (avoided.from, avoided.to) else {
            assert!(avoided.node_hours.is_zero() && avoided.cost.is_none());
            continue;
        };
        let full = Avoided::count(&row.rate, window, window.from, window.to, Basis::Settled);
        assert!(avoided.cost.map(|cost| cost.amount) <= full.cost.map(|cost| cost.amount), "above the window's price");
        if from == to {
            continue;
        }
        assert!(from >= window.from && to <= window.to, "outside the window: {row:#?}");
        // AI Core's own times are whole seconds, and nothing of this fleet stops within forty.
        let accepted =
            journal.iter().filter(|entry| entry.resource_group.as_deref() == Some(row.resource_group.as_str()));
        let accepted = accepted
            .filter(|entry| entry.effects.iter().any(|one| one.id == row.id.as_str() && one.refused.is_none()))
            .map(|entry| entry.at)
            .max()
            .expect("counted without an accepted stop");
        assert!(from >= accepted + TimeDelta::seconds(39), "{} counts before it was off", row.id);
        for (group, id, _) in
            there.iter().filter(|(group, id, _)| *group == row.resource_group.as_str() && *id != row.id.as_str())
        {
            let other = stage.block_on(async { stage.simulator.deployment(group, id) }).unwrap();
            let made_at: DateTime<Utc> = other.json["createdAt"].as_str().unwrap().parse().unwrap();
            let replaces =
                other.configuration_id == row.configuration_id && made_at > window.from && made_at < window.to;
            assert!(!replaces || to <= made_at.max(from), "{} counts after {id} had replaced it: {row:#?}", row.id);
        }
        counted.entry((row.resource_group.to_string(), row.id.to_string())).or_default().push((from, to));
    }
    for (id, mut spans) in counted {
        spans.sort();
        assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "{id:?} is counted twice: {spans:?}");
    }
}

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
