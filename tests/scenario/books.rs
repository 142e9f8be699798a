//! The books of a whole month: nothing is counted twice or too early, and every form of the report, and plain SQL over
//! the ledger's observations, come to the same cent.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use offhours::accounting::period::{Books, Request};
use offhours::clock;
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::cron::Cron;
use offhours::domain::period::Span;
use offhours::domain::rule::Mode;
use offhours::domain::run::{DeploymentResult, Run};
use offhours::domain::visit::RunVisitor;
use offhours::ledger::LedgerError;
use offhours::report::form::Form;
use offhours::report::{CsvForm, ReportContext, period_report};
use offhours::simulator::{Behaviour, Fleet, Redeployed};
use rust_decimal::Decimal;

use crate::scenario::builder::{Scenario, instant};
use crate::scenario::stage::Stage;

/// A rule that begins later and overlaps the evenings, one for the weekend, and one that only looks.
pub const OTHERS: [&str; 3] = [
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

pub fn every_morning(cron: &str) -> Redeployed {
    Redeployed::new(Cron::parse(cron).unwrap(), clock::zone("Europe/Berlin").unwrap())
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

/// Draws up the books of `span` and looks into them.
pub fn with_books<T: Send + 'static>(
    stage: &Stage,
    span: Span,
    look: impl FnOnce(Books<'_>) -> T + Send + 'static,
) -> T {
    let (executor, now, zone) = (stage.executor(), stage.now(), stage.config.zone.clone().unwrap());
    let request = Request { span, zone, now, notes: Vec::new() };
    let look = |books: Books<'_>| Ok::<_, LedgerError>(look(books));
    stage.block_on(Books::with(Some(&executor.ledger), Arc::clone(&stage.config), request, look)).unwrap()
}

pub fn runs_of(books: &Books<'_>) -> Vec<Run> {
    #[derive(Default)]
    struct Runs(Vec<Run>);
    impl RunVisitor for Runs {
        fn begin(&mut self, run: &Run) -> ControlFlow<()> {
            self.0.push(run.clone());
            ControlFlow::Continue(())
        }
        fn row(&mut self, _: &Run, row: &DeploymentResult) -> ControlFlow<()> {
            self.0.last_mut().unwrap().deployments.push(row.clone());
            ControlFlow::Continue(())
        }
    }
    let mut runs = Runs::default();
    books.tell(&mut runs).unwrap();
    runs.0
}

fn real_rows(runs: &[Run]) -> impl Iterator<Item = (&Run, &DeploymentResult)> {
    let enforced = runs.iter().filter(|run| run.mode == Mode::Enforce);
    enforced.flat_map(|run| run.deployments.iter().map(move |row| (run, row)))
}

/// Text, HTML, CSV and JSON show the sum of the rows, to the cent. Gives that sum.
pub fn every_form_shows_one_total(stage: &Stage, span: Span) -> Decimal {
    let zone = stage.config.zone.clone().unwrap();
    let (locale, now, shown_in) = (stage.config.locale(), stage.now(), zone.clone());
    let (content, json, table, runs) = with_books(stage, span, move |books| {
        let content = period_report(&books.report(), &ReportContext::new(locale, &shown_in, now));
        let (mut json, mut table) = (Vec::new(), Vec::new());
        books.write_json(&mut json).unwrap();
        books.write_csv(&mut table, CsvForm::Exact).unwrap();
        (content, json, table, runs_of(&books))
    });
    let total: Decimal = real_rows(&runs).filter_map(|(_, row)| row.avoided().cost).map(|cost| cost.amount).sum();
    let currency = real_rows(&runs).find_map(|(_, row)| row.avoided().cost).map(|cost| cost.currency);
    if let Some(currency) = currency {
        let money = offhours::domain::avoided::Money { amount: total, currency };
        let shown = Form { locale: stage.config.locale(), zone: &zone }.money(money);
        assert!(content.text.contains(&shown), "{shown} is not in\n{}", content.text);
        assert!(
            content.html.replace("&nbsp;", " ").replace('\u{a0}', " ").contains(&shown),
            "{shown} is not in the HTML"
        );
    }
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let in_json = json["totals"]["cost"]["EUR"].as_str().map_or(Decimal::ZERO, |text| text.parse().unwrap());
    assert_eq!(in_json, total, "JSON");
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
    let (from, to) = span.dates(zone.wall_clock(stage.now()).date()).instants(&zone);
    let in_trends = |currency| {
        let executor = stage.executor();
        stage.block_on(executor.ledger.read(move |tx| tx.avoided_between(from, to, currency))).unwrap()
    };
    assert_eq!(currency.map_or(total, |currency| in_trends(Some(currency))), total, "the trends of later reports");
    let hours: Decimal = real_rows(&runs).map(|(_, row)| row.avoided().node_hours).sum();
    assert_eq!(in_trends(None), hours, "the trends where there is no price");
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
pub fn nothing_is_counted_that_must_not_be(stage: &Stage) {
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
