//! Rule files. One that is taken keeps every limit; one that is refused is refused at a place that exists, in words
//! that act on no terminal; and a secret that stands where none belongs is never shown.
#![no_main]

use std::collections::BTreeSet;

use chrono::TimeDelta;
use libfuzzer_sys::fuzz_target;
use offhours::config::Config;

#[path = "../files.rs"]
mod files;

fuzz_target!(|data: &[u8]| {
    match files::load("rules.toml", data) {
        Ok(config) => keeps_its_limits(&config),
        Err(faults) => files::stand_in(&faults, "rules.toml", data),
    }
    files::show_no_secret("rules.toml", data);
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
