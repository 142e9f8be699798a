//! The configuration that papers show loads, and shows every key.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::cli::exit::Exit;
use offhours::config::{self, Config};
use offhours::domain::rule::{DEFAULT_MAX_STOPS, DEFAULT_MIN_AGE, DEFAULT_VERIFY_TIMEOUT};
use serde_json::Value;
use tempfile::TempDir;

use super::blocks::{blocks_in, table};
use super::keys::schema_of;
use super::{CONFIGURATION, offhours};

const SERVICE_KEY: &str = r#"{
  "clientid": "sb-1", "clientsecret": "s", "url": "https://auth.example.com",
  "serviceurls": { "AI_API_URL": "https://api.example.com" }
}"#;

pub(super) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The file that a block says it is: its first line is `# path`.
fn file_name(block: &str) -> &str {
    block.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_else(|| panic!("which file?\n{block}"))
}

/// Loads `main` with `rules`, each beside what it names.
fn load(main: &str, rules: &[String]) -> Config {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("schedules")).unwrap();
    for rule in rules {
        fs::write(at(file_name(rule)), rule).unwrap();
    }
    fs::write(at("offhours.toml"), main).unwrap();
    write_secret(&at("dev.json"), SERVICE_KEY);
    write_secret(&at("smtp-password"), "s");
    let now: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
    let (config, warnings) = config::load_at(&at("offhours.toml"), now).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(warnings.iter().all(|warning| warning.to_string().contains("no `[mail]`")), "{warnings:?}");
    config
}

#[test]
fn every_configuration_in_it_loads() {
    let (mains, rules): (Vec<_>, Vec<_>) =
        blocks_in("toml").into_iter().partition(|block| file_name(block) == "offhours.toml");
    assert_eq!((mains.len(), rules.len()), (2, 2));
    for main in &mains {
        assert_eq!(load(main, &rules).rules.len(), 2);
    }
    let full = load(mains.last().unwrap(), &rules);
    assert_eq!(full.prices.periods.len(), 2);
    assert_eq!(full.reports.len(), 1);
    assert!(full.mail.is_some());
}

fn toml_value(text: &str) -> Value {
    let table: BTreeMap<String, Value> = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_rule_with_every_key_has_every_key() {
    let block = blocks_in("toml").into_iter().find(|block| block.contains("enabled")).unwrap();
    let rule = &toml_value(&block)["rule"][0];
    // Its exclusion shows two of the keys that the selection shows already.
    for (section, shown) in [("[[rule]]", rule), ("[rule.select]", &rule["select"])] {
        for key in schema_of(section)["properties"].as_object().unwrap().keys() {
            assert!(shown.get(key).is_some(), "`{key}` of {section} is not in the rule with every key");
        }
    }
}

#[test]
fn the_defaults_it_names_are_the_constants() {
    let rows = table(CONFIGURATION, "Rule files");
    let default = |key: &str| rows.iter().find(|row| row[0] == key).unwrap()[2].trim_matches('"').to_owned();
    let minutes = |span: TimeDelta| format!("{}m", span.num_minutes());
    assert_eq!(default("max_stops"), DEFAULT_MAX_STOPS.to_string());
    assert_eq!(default("min_age"), minutes(DEFAULT_MIN_AGE));
    assert_eq!(default("verify_timeout"), minutes(DEFAULT_VERIFY_TIMEOUT));
}

#[test]
fn the_fault_it_shows_is_how_a_fault_looks() {
    let shown = blocks_in("text").into_iter().find(|text| text.starts_with("schedules/")).unwrap();
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("schedules")).unwrap();
    let main = blocks_in("toml").swap_remove(0);
    fs::write(directory.path().join("offhours.toml"), main).unwrap();
    write_secret(&directory.path().join("dev.json"), SERVICE_KEY);
    let rule =
        "[[rule]]\nname  = \"evenings\"\n\nstop = \"0 25 * * MON-FRI\"\n[rule.select]\nresource_groups = [\"dev-*\"]\n";
    fs::write(directory.path().join("schedules/evenings.toml"), rule).unwrap();
    let output = offhours().arg("check").current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(Exit::Config as u8)));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&shown), "{said}");
}
