//! The outputs that papers show of a tenant are what the program prints, but for instants, amounts and numbers.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock::Clock;
use tempfile::TempDir;

use super::blocks::blocks_in;
use super::tenant::{Process, rule, tenant};
use super::{arguments, offhours, printed};

const FLEET: &str = r#"
[[group]]
id = "dev-vision"
[[group]]
id = "dev-language"
[[deployment]]
group = "dev-vision"
id = "d11invoice"
configuration = "invoice-ocr"
scenario = "vision"
plan = "infer.s"
replicas = 3
[[deployment]]
group = "dev-language"
id = "d24eval"
configuration = "evaluation-keep"
scenario = "language"
plan = "basic"
"#;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ZONES: [&str; 3] = ["CET", "CEST", "UTC"];

/// The words of each line, without what depends on the hour at which the test runs.
fn masked(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ':', ')']);
        let is_number = bare.chars().all(|c| c.is_ascii_digit() || ".,:".contains(c));
        let is_of_time = [&DAYS[..], &MONTHS[..], &ZONES[..]].concat().contains(&bare);
        if is_number || is_of_time { "#".to_owned() } else { word.to_owned() }
    };
    text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")).collect()
}

/// A rule that fires in an hour, and then not for a year.
fn in_an_hour() -> String {
    let stop = Clock::System.now() + TimeDelta::hours(1);
    let until = stop + TimeDelta::hours(12);
    let cron = |at: DateTime<Utc>| at.format("%-M %-H %-d %-m *").to_string();
    let keys = format!("stop = \"{}\"\nuntil = \"{}\"\n", cron(stop), cron(until));
    rule("dev-evenings", &keys, "dev-*") + "[rule.exclude]\nconfigurations = [\"*-keep\"]\n"
}

#[test]
fn the_plan_and_the_hold_that_are_shown_are_what_is_printed() {
    let directory = TempDir::new().unwrap();
    let home = directory.path();
    fs::write(home.join("fleet.toml"), FLEET).unwrap();
    let _tenant = tenant(home, &["--fleet", "fleet.toml"], &in_an_hour());

    let plan = printed(offhours().arg("plan").current_dir(home));
    let shown = blocks_in("text").into_iter().find(|text| text.starts_with("dev-evenings (enforce)")).unwrap();
    assert_eq!(masked(&plan), masked(&shown), "{plan}");

    let mut daemon = offhours();
    daemon.arg("run").current_dir(home).stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Process(daemon.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    let runs = || {
        let status = offhours().arg("status").current_dir(home).output().unwrap();
        String::from_utf8_lossy(&status.stdout).starts_with("the daemon runs")
    };
    while !runs() {
        assert!(Instant::now() < until, "the daemon does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let block = blocks_in("console").into_iter().find(|text| text.starts_with("$ offhours hold add")).unwrap();
    let example = block.split("$ ").nth(1).unwrap();
    let (command, shown) = example.split_once('\n').unwrap();
    let answer = printed(offhours().args(&arguments(command)[1..]).current_dir(home));
    assert_eq!(masked(&answer), masked(shown), "{answer}");
}
