//! The money oracle: random weeks are lived through, and then everything that was avoided is worked out once more from the
//! tenant's own log, by a second hand that shares no line with offhours'. Ledger, CSV, JSON and report must come to the
//! same cent, and nothing may have been asked for that nobody may ask for.
//!
//! `SEED=n` repeats one week, `WEEKS=n` says how many are lived through.

mod log;
mod people;
mod reckoning;
mod verdict;
mod week;
mod witness;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use offhours::domain::period::Span;
use offhours::domain::run::Run;
use offhours::domain::visit::RunVisitor;
use offhours::report::{CsvWriter, JsonWriter};
use rust_decimal::Decimal;

use crate::scenario::books::every_form_shows_one_total;
use crate::scenario::builder::Scenario;
use crate::scenario::oracle::log::Log;
use crate::scenario::oracle::verdict::{Oracle, Tally};
use crate::scenario::oracle::week::{Week, pick};
use crate::scenario::oracle::witness::{Key, Silence, Witness};
use crate::scenario::year::life;

fn lives_through_a_week(seed: u64) -> Tally {
    println!("SEED={seed}");
    // Pauses between offhours' own attempts are drawn on this thread.
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let week = Week::new(&mut random);
    let mut scenario = Scenario::new().fleet(week.fleet.clone()).prices(&week.prices.toml());
    scenario = scenario.main("[protect]\nresource_groups = [\"prod*\"]\n");
    for rule in &week.rules {
        scenario = scenario.rule(&rule.toml);
    }
    scenario.begins = Some(week.from);
    scenario.at = week.from + TimeDelta::minutes(1);
    let mut stage = scenario.start();
    let silence = [
        Silence::Nobodys,
        Silence::Half,
        Silence::Nonsense("2020-01-01T00:00:00Z"),
        Silence::Nonsense("2099-01-01T00:00:00Z"),
    ];
    let silence = if random.bool() { Silence::Nobodys } else { pick(&mut random, &silence) };
    let witness = Witness::new(stage.clock.clone(), silence);
    for fault in people::faults(&mut random, &witness) {
        stage.simulator.inject(fault);
    }
    witness.ears().for_each(|fault| stage.simulator.inject(fault));
    let mut events = people::events(&mut random, &week, &witness);
    let between_rounds = TimeDelta::minutes(random.i64(20..90));
    let lived = life::live(&mut stage, &mut events, between_rounds, week.to);

    let (runs, journal, notes) = (stage.history(), stage.simulator.journal(), witness.notes());
    let log = Log::new(&week, &lived, &runs, &notes, &journal);
    log.is_as_promised();
    let (amounts, tally) = Oracle { log: &log, silence }.judge();
    every_row_shows_its_amount(&runs, &amounts);
    let dates = [week.from, week.to].map(|at| at.format("%Y-%m-%d").to_string()).join("..");
    let span: Span = dates.parse().unwrap();
    assert_eq!(every_form_shows_one_total(&stage, span), Decimal::from_i128_with_scale(tally.cents, 2));
    println!(
        "{} rules, {} runs, {} requests, {} stops asked for, {} processes; {tally:?}",
        week.rules.len(),
        runs.len(),
        journal.len(),
        log.asked.len(),
        lived.processes
    );
    tally
}

fn tell(runs: &[Run], visitor: &mut impl RunVisitor) {
    assert!(runs.iter().all(|run| run.tell(visitor).is_continue()));
}

/// What CSV and JSON say of each row is what the oracle came to.
fn every_row_shows_its_amount(runs: &[Run], amounts: &BTreeMap<(String, Key), i128>) {
    let text = |cents: &i128| Decimal::from_i128_with_scale(*cents, 2).to_string();
    let expected: BTreeMap<_, _> = amounts.iter().map(|(row, cents)| (row.clone(), text(cents))).collect();
    let mut in_json = BTreeMap::new();
    let mut json = Vec::new();
    let mut writer = JsonWriter::runs(&mut json);
    tell(runs, &mut writer);
    writer.finish().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for run in json.as_array().unwrap() {
        for row in run["deployments"].as_array().unwrap() {
            let word = |field: &str| row[field].as_str().unwrap().to_owned();
            if let Some(cost) = row["avoided"]["cost"].as_str() {
                let key = (word("resource_group"), word("id"));
                in_json.insert((run["firing"].as_str().unwrap().to_owned(), key), cost.to_owned());
            }
        }
    }
    assert_eq!(in_json, expected, "JSON");
    let mut table = Vec::new();
    let mut writer = CsvWriter::new(&mut table);
    tell(runs, &mut writer);
    writer.finish().unwrap();
    let mut reader = ::csv::Reader::from_reader(table.as_slice());
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|known| known == name).unwrap();
    let (firing, group, id, cost) =
        (column("firing"), column("resource_group"), column("deployment"), column("avoided_cost"));
    let rows = reader.records().map(|record| record.unwrap()).filter(|record| !record[cost].is_empty());
    let in_csv: BTreeMap<_, _> = rows
        .map(|row| ((row[firing].to_owned(), (row[group].to_owned(), row[id].to_owned())), row[cost].to_owned()))
        .collect();
    assert_eq!(in_csv, expected, "CSV");
}

fn live_through(weeks: u64) {
    let seed = std::env::var("SEED").ok().map(|text| text.parse().unwrap());
    let weeks = std::env::var("WEEKS").map_or(weeks, |text| text.parse().unwrap());
    let first = seed.unwrap_or_else(|| fastrand::u64(..u64::MAX - weeks));
    let mut counted = 0;
    for number in 0..if seed.is_some() { 1 } else { weeks } {
        counted += lives_through_a_week(first + number).counted;
    }
    assert!(seed.is_some() || counted > 0, "{weeks} weeks in which nothing was avoided prove nothing");
}

#[test]
fn p61_random_weeks_worked_out_again_from_the_tenants_log_agree_to_the_cent() {
    live_through(2);
}

#[test]
#[ignore = "minutes"]
fn many_random_weeks_agree_to_the_cent() {
    live_through(200);
}
