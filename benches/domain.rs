//! What the domain does for each rule and each deployment. `cargo bench --bench domain`

#![allow(missing_docs, clippy::unwrap_used, reason = "what goes wrong ends the measurement")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;

use chrono::{NaiveDate, TimeDelta};
use criterion::{Criterion, criterion_group, criterion_main};
use offhours::clock;
use offhours::config::Config;
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::cron::Cron;
use offhours::domain::deployment::Group;
use offhours::domain::id::ResourceGroup;
use offhours::domain::money::HourlyRate;
use offhours::domain::plan::DecisionContext;

#[path = "../tests/support/given.rs"]
mod given;

use given::{PRICES, TENANT, deployment, evening};

const PROTECT: &str = r#"
[protect]
resource_groups = ["prod-*"]
configurations = ["*-live"]
"#;
const RULE: &str = r#"
[[rule]]
name = "dev-evenings"
stop = "0 19 * * MON-FRI"
until = "0 7 * * MON-FRI"
[rule.select]
resource_groups = ["dev-*"]
[rule.exclude]
configurations = ["chat-*"]
"#;

fn config() -> Config {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("schedules")).unwrap();
    std::fs::write(directory.path().join("offhours.toml"), [TENANT, PROTECT, PRICES].concat()).unwrap();
    std::fs::write(directory.path().join("schedules/rules.toml"), RULE).unwrap();
    let key = r#"{"clientid":"c","clientsecret":"s","url":"https://auth.example.com","serviceurls":{"AI_API_URL":"https://api.example.com"}}"#;
    let path = directory.path().join("dev.json");
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (config, _) = offhours::config::load_at(&directory.path().join("offhours.toml"), evening()).unwrap();
    config
}

fn schedules(criterion: &mut Criterion) {
    let zone = clock::zone("Europe/Berlin").unwrap();
    let before_the_change = NaiveDate::from_ymd_opt(2026, 3, 28).unwrap().and_hms_opt(20, 0, 0).unwrap().and_utc();
    for (name, text) in [
        ("next of an evening", "0 19 * * MON-FRI"),
        ("next of every minute", "* * * * *"),
        ("next of a last Friday", "0 19 * * FRIL"),
        ("next of a leap day", "0 19 29 2 *"),
    ] {
        let cron = Cron::parse(text).unwrap();
        criterion.bench_function(name, |bencher| bencher.iter(|| cron.next_after(black_box(before_the_change), &zone)));
    }
    criterion
        .bench_function("parse an expression", |bencher| bencher.iter(|| Cron::parse(black_box("0 19 * * MON-FRI"))));
}

fn decisions(criterion: &mut Criterion) {
    let config = config();
    let rule = config.rules.first().unwrap();
    let question = DecisionContext {
        rule,
        protect: &config.protect,
        holds: &[],
        scheduled: evening(),
        now: evening() + TimeDelta::seconds(1),
    };
    let group = Group { id: ResourceGroup::new("dev-a").unwrap(), labels: BTreeMap::new() };
    let deployment = deployment();
    criterion.bench_function("decide", |bencher| {
        bencher.iter(|| question.decide(black_box(&group), black_box(&deployment)));
    });
    let window = rule.schedule.off_window(evening());
    criterion.bench_function("off window", |bencher| bencher.iter(|| rule.schedule.off_window(black_box(evening()))));
    let rate = HourlyRate::of(&deployment, &config.prices, &BTreeMap::new(), evening());
    criterion.bench_function("hourly rate", |bencher| {
        bencher.iter(|| HourlyRate::of(black_box(&deployment), &config.prices, &BTreeMap::new(), evening()));
    });
    let from = evening() + TimeDelta::seconds(41);
    criterion.bench_function("avoided cost", |bencher| {
        bencher.iter(|| Avoided::count(black_box(&rate), window, from, window.to, Basis::Projected));
    });
}

criterion_group!(benches, schedules, decisions);
criterion_main!(benches);
