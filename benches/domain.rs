//! What the domain does for each rule and each deployment. `cargo bench --bench domain`

#![allow(missing_docs, clippy::unwrap_used, reason = "what goes wrong ends the measurement")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use offhours::clock;
use offhours::config::Config;
use offhours::domain::avoided::{Avoided, Basis};
use offhours::domain::cron::Cron;
use offhours::domain::deployment::{Deployment, Group, Nodes, Status};
use offhours::domain::id::{DeploymentId, ResourceGroup};
use offhours::domain::money::HourlyRate;
use offhours::domain::plan::Question;

const CONFIG: &str = r#"
timezone = "Europe/Berlin"
schedules = "schedules"
state_dir = "state"
[connection.dev]
service_key = "key.json"
[protect]
resource_groups = ["prod-*"]
configurations = ["*-live"]
[prices]
currency = "EUR"
capacity_unit = "0.95"
source = "order form"
valid_from = 2020-01-01
[prices.capacity_units_per_node_hour]
"infer.s" = "0.90"
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

fn evening() -> DateTime<Utc> {
    "2026-11-23T18:00:00Z".parse().unwrap()
}

fn config() -> Config {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("schedules")).unwrap();
    std::fs::write(directory.path().join("offhours.toml"), CONFIG).unwrap();
    std::fs::write(directory.path().join("schedules/rules.toml"), RULE).unwrap();
    let key = r#"{"clientid":"c","clientsecret":"s","url":"https://auth.example.com","serviceurls":{"AI_API_URL":"https://api.example.com"}}"#;
    let path = directory.path().join("key.json");
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (config, _) = offhours::config::load_at(&directory.path().join("offhours.toml"), evening()).unwrap();
    config
}

fn deployment() -> Deployment {
    Deployment {
        id: DeploymentId::new("d0123456789abcde").unwrap(),
        resource_group: ResourceGroup::new("dev-a").unwrap(),
        configuration_id: "0f1d".to_owned(),
        configuration_name: Some("forecast".to_owned()),
        scenario_id: Some("forecasting".to_owned()),
        executable_id: Some("serve".to_owned()),
        status: Status::Running,
        target_status: Some("RUNNING".to_owned()),
        created_at: Some(evening() - TimeDelta::days(3)),
        modified_at: None,
        completed_at: None,
        ttl: None,
        nodes: vec![Nodes { plan: "infer.s".to_owned(), count: 1 }],
    }
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
    let question = Question {
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
