//! Faults of time: what the clock does, and what then fires.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;
use offhours::aicore::Options;
use offhours::clock::Clock;
use offhours::config;
use offhours::domain::agenda::{Agenda, fires_by};
use offhours::domain::cron::Cron;
use offhours::domain::plausible::Implausible;
use offhours::domain::run::RunResult;
use offhours::domain::schedule::{MOST_MISSED, Schedule};
use offhours::executor::Executor;
use offhours::executor::beat::BeatError;
use offhours::executor::tenants::Tenants;
use offhours::ledger::Ledger;
use offhours::ledger::runs::{OpenRun, RunFilter};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::schedule::reference::{utc, wall, zone};
use crate::support::given::rule;

fn schedule(stop: &str, until: Option<&str>, place: &str) -> Schedule {
    Schedule {
        stop: Cron::parse(stop).unwrap(),
        until: until.map(|text| Cron::parse(text).unwrap()),
        zone: zone(place),
        holidays: BTreeSet::new(),
        skip: BTreeSet::new(),
    }
}

fn evenings() -> Schedule {
    schedule("0 19 * * MON-FRI", Some("0 7 * * MON-FRI"), "Europe/Berlin")
}

fn berlin(text: &str) -> DateTime<Utc> {
    zone("Europe/Berlin").resolve(text.parse().unwrap()).first()
}

#[test]
fn t01_seven_in_the_evening_is_seven_across_both_clock_changes() {
    // tokio-cron-scheduler alone is an hour off from the change on (its issue 107).
    let daily = schedule("0 19 * * *", None, "Europe/Berlin");
    let rules = TimeZone::get("Europe/Berlin").unwrap();
    for start in ["2026-03-20T12:00:00Z", "2026-10-18T12:00:00Z"] {
        let fired: Vec<_> = daily.firings(utc(start)).take(14).map(|at| wall(at, &rules)).collect();
        assert!(fired.iter().all(|wall| wall.time().to_string() == "19:00:00"), "{fired:?}");
        assert!(fired.windows(2).all(|days| days[1] - days[0] == TimeDelta::days(1)), "{fired:?}");
    }
}

#[test]
fn t02_half_past_two_happens_once_on_either_day() {
    let nightly = schedule("30 2 * * *", None, "Europe/Berlin");
    let fired = |from: &str| nightly.firings(utc(from)).take(3).map(|at| at.to_rfc3339()).collect::<Vec<_>>();
    assert_eq!(
        fired("2026-03-28T00:00:00Z"),
        ["2026-03-28T01:30:00+00:00", "2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]
    );
    assert_eq!(
        fired("2026-10-24T00:00:00Z"),
        ["2026-10-24T00:30:00+00:00", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]
    );
}

#[test]
fn t03_midnight_happens_once_a_day_where_it_is_skipped() {
    let zones = ["America/Santiago", "Africa/Cairo", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe"];
    for name in zones {
        let rules = TimeZone::get(name).unwrap();
        let midnights = schedule("0 0 * * *", None, name);
        let fired: Vec<_> = midnights.firings(utc("2024-01-01T12:00:00Z")).take(366 * 4).collect();
        let days: Vec<_> = fired.iter().map(|at| wall(*at, &rules).date()).collect();
        assert!(days.windows(2).all(|two| two[1] == two[0].succ_opt().unwrap()), "{name}: a day twice or never");
        for at in fired {
            let before = wall(at - TimeDelta::seconds(1), &rules);
            let shown = wall(at, &rules);
            let skipped = shown - before > TimeDelta::seconds(1);
            assert!(shown.time() == chrono::NaiveTime::MIN || skipped, "{name}: fired at {shown}");
        }
    }
}

#[test]
fn t04_a_weekend_slept_through_stops_nothing_on_monday() {
    let due = evenings().due(berlin("2026-11-20T18:59:00"), berlin("2026-11-23T08:00:00"));
    assert_eq!(due.run, None);
    assert_eq!(due.missed, [berlin("2026-11-20T19:00:00")]);
}

#[test]
fn t05_what_is_late_runs_once_and_the_rest_is_missed() {
    let due = |after: &str, now: &str| evenings().due(berlin(after), berlin(now));
    let jumped = due("2026-11-23T18:59:00", "2026-11-23T19:05:00");
    assert_eq!(jumped.run.map(|firing| (firing.at, firing.on_time)), Some((berlin("2026-11-23T19:00:00"), false)));
    assert!(jumped.missed.is_empty());

    let down_for_days = due("2026-11-18T12:00:00", "2026-11-23T21:00:00");
    assert_eq!(down_for_days.run.map(|firing| firing.at), Some(berlin("2026-11-23T19:00:00")));
    assert_eq!(down_for_days.missed.len(), 3, "Wednesday, Thursday, Friday");

    // Whether or not the newest may still run.
    for (until, runs) in [("0 7 * * *", true), ("59 23 * * *", true), ("* * * * * *", false)] {
        let busy = schedule("*/5 * * * * *", Some(until), "UTC");
        let due = busy.due(utc("2016-11-23T12:00:00Z"), utc("2026-11-23T12:00:03Z"));
        assert_eq!((due.run.is_some(), due.missed.len()), (runs, MOST_MISSED), "{until}");
    }
}

#[test]
fn a_rule_whose_stop_time_was_edited_starts_afresh_and_another_goes_on() {
    let rule_at = |stop: &str| Arc::new(rule("evenings", schedule(stop, Some("0 7 * * *"), "Europe/Berlin")));
    let (was, is) = (rule_at("0 19 * * *"), rule_at("0 18 * * *"));
    let cursors = BTreeMap::from([(was.name.clone(), (fires_by(&was), berlin("2026-11-22T19:00:00")))]);
    let due = |rule: &Arc<_>, now| Agenda::new(std::slice::from_ref(rule), &cursors, now).due(now).len();
    let now = berlin("2026-11-23T18:30:00");
    assert_eq!(due(&is, now), 0, "the new time of this day is over already");
    assert_eq!(Agenda::new(&[is], &cursors, now).next(), Some(berlin("2026-11-24T18:00:00")));
    assert_eq!(due(&was, berlin("2026-11-23T20:00:00")), 1, "nobody touched it, and it is an hour late");
}

#[test]
fn t06_a_clock_that_steps_back_fires_nothing_twice() {
    let rules = [Arc::new(rule("evenings", evenings()))];
    let mut agenda = Agenda::new(&rules, &BTreeMap::new(), berlin("2026-11-23T12:00:00"));
    let mut fired = Vec::new();
    for now in [
        "2026-11-23T19:00:00",
        // An hour back, and 19:00 again.
        "2026-11-23T18:00:00",
        "2026-11-23T19:00:00",
        // A day back.
        "2026-11-22T18:00:00",
        "2026-11-23T19:00:01",
        "2026-11-24T19:00:00",
    ] {
        for (rule, due) in agenda.due(berlin(now)) {
            let at = due.run.unwrap().at;
            fired.push(at);
            agenda.advance(&[(rule.name.clone(), at)].into());
        }
    }
    assert_eq!(fired, [berlin("2026-11-23T19:00:00"), berlin("2026-11-24T19:00:00")]);
}

/// An executor, with the ledger of `directory`, whose clock shows `now` and goes on from there.
fn executor(directory: &Path, rules: &str, now: DateTime<Utc>) -> Executor {
    let key = r#"{"clientid": "c", "clientsecret": "s", "url": "https://auth.example.com", "serviceurls": {"AI_API_URL": "https://api.example.com"}}"#;
    fs::create_dir_all(directory.join("schedules")).unwrap();
    fs::write(directory.join("key.json"), key).unwrap();
    fs::set_permissions(directory.join("key.json"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(directory.join("schedules/rules.toml"), rules).unwrap();
    let main = "timezone = \"Europe/Berlin\"\nstate_dir = \"state\"\n[connection.dev]\nservice_key = \"key.json\"\n";
    fs::write(directory.join("offhours.toml"), main).unwrap();
    let (config, _) =
        config::load_at(&directory.join("offhours.toml"), now).unwrap_or_else(|faults| panic!("{faults}"));
    Executor {
        ledger: Ledger::open(&config.state_dir).unwrap(),
        config: Arc::new(config),
        clock: Clock::Virtual { start: now, origin: tokio::time::Instant::now() },
        tenants: Arc::new(Tenants::new(Options::default())),
        shutdown: CancellationToken::new(),
        name: "test".into(),
        built: utc("2026-11-01T00:00:00Z"),
        slots: offhours::executor::slots(),
    }
}

const EVENINGS: &str = r#"
[[rule]]
name = "evenings"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"
select = { resource_groups = ["dev"] }
"#;

fn at(executor: &Executor, now: DateTime<Utc>) -> Executor {
    Executor { clock: Clock::Virtual { start: now, origin: tokio::time::Instant::now() }, ..executor.clone() }
}

async fn history(executor: &Executor) -> Vec<(String, RunResult)> {
    let filter = RunFilter { since: None, before: None, rule: None };
    let runs = executor.ledger.read(move |tx| tx.history(&filter)).await.unwrap();
    runs.iter().map(|run| (run.firing.to_string(), run.result)).collect()
}

fn names(runs: &[OpenRun]) -> Vec<String> {
    runs.iter().map(|run| run.claim.firing.to_string()).collect()
}

#[tokio::test]
async fn t07_a_clock_of_1970_fires_nothing_and_leaves_nothing_to_catch_up() {
    let directory = TempDir::new().unwrap();
    let boot = executor(directory.path(), EVENINGS, DateTime::UNIX_EPOCH);
    let mut agenda = boot.agenda().await.unwrap();
    let failure = boot.beat(&mut agenda).await.unwrap_err();
    assert!(matches!(failure, BeatError::Clock(Implausible::BeforeBuild { .. })), "{failure}");
    // The time comes from the network at 20:00: the rule is new and begins now. Nothing of fifty years was missed.
    let right = at(&boot, berlin("2026-11-23T20:00:00"));
    assert!(right.beat(&mut agenda).await.unwrap().runs.is_empty());
    assert!(history(&right).await.is_empty());
    let next = at(&boot, berlin("2026-11-24T19:00:00")).beat(&mut agenda).await.unwrap().runs;
    assert_eq!(names(&next), ["evenings@2026-11-24T18:00:00Z"]);
}

#[tokio::test]
async fn t07_a_clock_days_behind_or_years_ahead_of_the_ledger_fires_nothing() {
    let directory = TempDir::new().unwrap();
    let monday = executor(directory.path(), EVENINGS, berlin("2026-11-23T18:00:00"));
    let mut agenda = monday.agenda().await.unwrap();
    assert!(monday.beat(&mut agenda).await.unwrap().runs.is_empty());
    for (now, restarted) in
        [("2026-11-20T19:00:00", true), ("2028-11-27T19:00:00", true), ("2028-11-27T19:00:00", false)]
    {
        let wrong = at(&monday, berlin(now));
        let mut its_own = if restarted { wrong.agenda().await.unwrap() } else { agenda.clone() };
        let failure = wrong.beat(&mut its_own).await.unwrap_err();
        assert!(matches!(failure, BeatError::Clock(_)), "{now}: {failure}");
    }
    assert!(history(&monday).await.is_empty());
    let right = at(&monday, berlin("2026-11-23T19:00:00"));
    assert_eq!(names(&right.beat(&mut agenda).await.unwrap().runs), ["evenings@2026-11-23T18:00:00Z"]);
}

#[tokio::test]
async fn t07_a_rule_added_under_a_clock_days_behind_begins_when_the_clock_is_right() {
    let directory = TempDir::new().unwrap();
    let first = executor(directory.path(), EVENINGS, berlin("2026-11-23T18:00:00"));
    first.agenda().await.unwrap();
    let two = format!("{EVENINGS}{}", EVENINGS.replace("evenings", "more").replace("19", "18"));
    let behind = executor(directory.path(), &two, berlin("2026-11-10T12:00:00"));
    let mut agenda = behind.agenda().await.unwrap();
    assert!(behind.beat(&mut agenda).await.is_err());
    let right = at(&behind, berlin("2026-11-23T19:00:00"));
    assert_eq!(names(&right.beat(&mut agenda).await.unwrap().runs), ["evenings@2026-11-23T18:00:00Z"]);
    assert_eq!(history(&right).await.len(), 0, "nothing was missed");
}

/// Why nothing fires, as `status`, the page and the heartbeat say it.
async fn fault(executor: &Executor, agenda: &mut Agenda) -> Option<Implausible> {
    match executor.check_clock(agenda).await {
        Ok(()) => None,
        Err(BeatError::Clock(fault)) => Some(fault),
        Err(BeatError::Ledger(failure) | BeatError::TakenAway(failure)) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn t21_a_clock_that_was_ahead_for_a_moment_is_told_and_ended_by_a_person() {
    let directory = TempDir::new().unwrap();
    let noon = executor(directory.path(), EVENINGS, berlin("2026-11-23T12:00:00"));
    let mut agenda = noon.agenda().await.unwrap();
    assert_eq!(fault(&noon, &mut agenda).await, None);
    let ahead = at(&noon, berlin("2027-06-09T12:00:00"));
    assert_eq!(ahead.beat(&mut agenda).await.unwrap().recorded.len(), MOST_MISSED);

    let back = at(&noon, berlin("2026-11-23T18:00:00"));
    assert!(matches!(fault(&back, &mut agenda).await, Some(Implausible::BeforeLedger { .. })));
    let evening = at(&noon, berlin("2026-11-23T19:00:00"));
    assert!(evening.beat(&mut agenda).await.unwrap().runs.is_empty(), "nothing is due for 199 days");
    // A start makes no difference.
    let mut restarted = evening.agenda().await.unwrap();
    assert!(matches!(fault(&evening, &mut restarted).await, Some(Implausible::BeforeLedger { .. })));

    let trusted = berlin("2026-11-23T20:00:00");
    noon.ledger.write(move |tx| tx.trust_clock(trusted)).await.unwrap();
    for mut agenda in [agenda, restarted] {
        let night = at(&noon, trusted + TimeDelta::seconds(60));
        assert_eq!(fault(&night, &mut agenda).await, None);
        assert!(night.beat(&mut agenda).await.unwrap().runs.is_empty(), "nothing is caught up");
        assert_eq!(agenda.next(), Some(berlin("2026-11-24T19:00:00")));
    }
    let mut agenda = evening.agenda().await.unwrap();
    let tuesday = at(&noon, berlin("2026-11-24T19:00:00")).beat(&mut agenda).await.unwrap().runs;
    assert_eq!(names(&tuesday), ["evenings@2026-11-24T18:00:00Z"]);
    let june = at(&noon, berlin("2027-06-08T19:00:00")).beat(&mut agenda).await.unwrap();
    assert_eq!(june.recorded.len(), MOST_MISSED + 1, "recorded as missed before they had come, and skipped now");
}

#[tokio::test]
async fn t21_a_clock_that_was_ahead_for_hours_keeps_only_its_rules_from_firing_and_is_told_too() {
    let directory = TempDir::new().unwrap();
    let two = format!("{EVENINGS}{}", EVENINGS.replace("evenings", "mornings").replace("0 19", "0 6"));
    let noon = executor(directory.path(), &two, berlin("2026-11-23T12:00:00"));
    let mut agenda = noon.agenda().await.unwrap();
    let seven = berlin("2026-11-23T19:00:00");
    assert_eq!(names(&at(&noon, seven).beat(&mut agenda).await.unwrap().runs), ["evenings@2026-11-23T18:00:00Z"]);
    let back = |minutes| at(&noon, seven - TimeDelta::minutes(minutes));
    assert_eq!(fault(&back(10), &mut agenda).await, None, "clocks are put right by minutes");
    let rules = vec!["evenings".parse().unwrap()];
    let now = seven - TimeDelta::hours(6);
    let expected = Implausible::BehindRules { now, until: seven, rules };
    assert!(!expected.silences_all());
    assert_eq!(fault(&back(360), &mut agenda).await, Some(expected));
    let until = agenda.next_firings(now).map(|(rule, next)| (rule.name.to_string(), next.unwrap()));
    let expected = [("evenings", "2026-11-24T19:00:00"), ("mornings", "2026-11-24T06:00:00")];
    assert_eq!(until.collect::<Vec<_>>(), expected.map(|(rule, next)| (rule.to_owned(), berlin(next))));
    noon.ledger.write(move |tx| tx.trust_clock(now)).await.unwrap();
    assert_eq!(fault(&back(360), &mut agenda).await, None);
    let another = Executor { name: "another".into(), ..at(&noon, seven) };
    assert!(another.beat(&mut agenda).await.unwrap().runs.is_empty(), "it was claimed, and is no second time");
}

#[tokio::test]
async fn t08_a_firing_while_the_rule_is_running_is_skipped_once() {
    let directory = TempDir::new().unwrap();
    let noon = executor(directory.path(), EVENINGS, berlin("2026-11-23T12:00:00"));
    let mut agenda = noon.agenda().await.unwrap();
    let monday = at(&noon, berlin("2026-11-23T19:00:00")).beat(&mut agenda).await.unwrap().runs;
    assert_eq!(monday.len(), 1);
    let tuesday = at(&noon, berlin("2026-11-24T19:00:00"));
    for _ in 0..3 {
        assert!(tuesday.beat(&mut agenda).await.unwrap().runs.is_empty());
    }
    assert_eq!(history(&noon).await, [("evenings@2026-11-24T18:00:00Z".to_owned(), RunResult::Skipped)]);
}

#[tokio::test]
async fn t09_a_thousand_rules_of_one_second_are_claimed_at_once() {
    let directory = TempDir::new().unwrap();
    let rules: String = (0..1_000).map(|n| EVENINGS.replace("evenings", &format!("rule-{n}"))).collect();
    let noon = executor(directory.path(), &rules, berlin("2026-11-23T12:00:00"));
    let mut agenda = noon.agenda().await.unwrap();
    let began = Instant::now();
    let runs = at(&noon, berlin("2026-11-23T19:00:00")).beat(&mut agenda).await.unwrap().runs;
    assert_eq!(runs.len(), 1_000);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_beat_of_ten_thousand_rules_costs_next_to_nothing() {
    let rules: Vec<_> = (0..10_000)
        .map(|n| {
            let stop = format!("{} {} * * MON-FRI", n % 60, n % 24);
            Arc::new(rule(&format!("r{n}"), schedule(&stop, Some("0 7 * * MON-FRI"), "Europe/Berlin")))
        })
        .collect();
    let began = Instant::now();
    let agenda = Agenda::new(&rules, &BTreeMap::new(), utc("2026-11-23T12:00:00Z"));
    let made = began.elapsed();
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(agenda.due(utc("2026-11-23T12:00:00Z")).is_empty());
    }
    let looked = began.elapsed() / 1_000;
    println!("an agenda of 10,000 rules: {made:?}; a beat without a firing: {looked:?}");
    assert!(made < Duration::from_secs(2), "{made:?}");
    assert!(looked < Duration::from_millis(1), "{looked:?}");
}
