//! Rule files. One that is taken keeps every limit; one that is refused is refused at a place that exists, in words
//! that act on no terminal; and a secret that stands where none belongs is never shown.
#![no_main]

use std::collections::BTreeSet;

use chrono::TimeDelta;
use libfuzzer_sys::fuzz_target;
use offhours::config::{Config, Faults};

#[path = "../files.rs"]
mod files;

const SECRET: &str = "SECRET7F3A9B";

fuzz_target!(|data: &[u8]| {
    match files::load("rules.toml", data) {
        Ok(config) => keeps_its_limits(&config),
        Err(faults) => stands_somewhere(&faults, data),
    }
    let with_secret = [data, b"\napi_token = \"", SECRET.as_bytes(), b"\"\n"].concat();
    if let Err(faults) = files::load("rules.toml", &with_secret) {
        assert!(!faults.to_string().contains(SECRET), "{faults}");
    }
});

fn keeps_its_limits(config: &Config) {
    let year = TimeDelta::days(366);
    let mut names = BTreeSet::new();
    assert!(config.rules.len() + config.disabled.len() <= 1_000);
    for rule in &config.rules {
        assert!(names.insert(rule.name.clone()), "{} twice", rule.name);
        assert!((1..=10_000).contains(&rule.max_stops), "{}", rule.max_stops);
        for span in [rule.min_age, rule.verify_timeout] {
            assert!(span > TimeDelta::zero() && span <= year, "{span}");
        }
        let mut last = files::now();
        for at in rule.schedule.firings(last).take(3) {
            assert!(at > last, "{at} after {last}");
            assert!(rule.schedule.off_window(at).to >= at);
            last = at;
        }
    }
}

fn stands_somewhere(faults: &Faults, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for fault in faults.iter().filter(|fault| fault.path.ends_with("rules.toml")) {
        let line = text.split('\n').nth(fault.line - 1);
        let columns = line.map(|line| line.chars().count() + 2);
        let exists = columns.is_some_and(|columns| (1..=columns).contains(&fault.column));
        assert!(exists, "{}:{} is not in the file: {}", fault.line, fault.column, fault.message);
    }
    let said = faults.to_string();
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
}
