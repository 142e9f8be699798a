//! What is shipped to be copied: the rules in `schedules/`, `offhours.example.toml`, the JSON Schemas for editors. All
//! of it must load, say what its comments say, and be what the program itself prints.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use offhours::config::{self, Config, FileKind, Warning};
use offhours::domain::rule::Mode;
use tempfile::TempDir;

const SERVICE_KEY: &str = r#"{
  "clientid": "sb-1", "clientsecret": "s", "url": "https://auth.example.com",
  "serviceurls": { "AI_API_URL": "https://api.example.com" }
}"#;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn monday_noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Loads `main` beside a copy of the shipped rules.
fn load(main: &str) -> (Config, Vec<Warning>) {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("schedules")).unwrap();
    for entry in fs::read_dir(shipped("schedules")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), at("schedules").join(entry.file_name())).unwrap();
    }
    fs::write(at("offhours.toml"), main).unwrap();
    write_secret(&at("dev.json"), SERVICE_KEY);
    write_secret(&at("smtp-password"), "s");
    config::load_at(&at("offhours.toml"), monday_noon()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn minimal() -> (Config, Vec<Warning>) {
    load("timezone = \"Europe/Berlin\"\n[connection.dev]\nservice_key = \"dev.json\"\n")
}

#[test]
fn every_shipped_rule_loads_without_a_warning() {
    let (config, warnings) = minimal();
    let names: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        names,
        ["team-nights", "team-weekends", "staging-observed", "dev-evenings", "sandbox-weekends"],
        "in the order of their files"
    );
    assert_eq!(warnings, []);
}

#[test]
fn off_windows_are_as_the_comments_say() {
    let (config, _) = minimal();
    let windows = |name: &str, count: usize| -> Vec<String> {
        let rule = config.rules.iter().find(|rule| rule.name.as_str() == name).unwrap();
        let local = |at| rule.schedule.zone.wall_clock(at).format("%a %H:%M").to_string();
        let firings = rule.schedule.firings(monday_noon()).take(count);
        firings
            .map(|at| rule.schedule.off_window(at))
            .map(|w| format!("{} to {}", local(w.from), local(w.to)))
            .collect()
    };
    assert_eq!(windows("dev-evenings", 5)[3..], ["Thu 19:00 to Fri 07:00", "Fri 19:00 to Mon 07:00"]);
    assert_eq!(
        windows("sandbox-weekends", 3),
        ["Fri 20:00 to Mon 06:00", "Sat 20:00 to Mon 06:00", "Sun 20:00 to Mon 06:00"]
    );
    assert_eq!(windows("team-nights", 4)[3..], ["Thu 22:00 to Fri 06:00"]);
    assert_eq!(windows("team-weekends", 1), ["Fri 18:00 to Mon 06:00"]);
}

#[test]
fn whoever_copies_a_rule_stops_nothing_by_that() {
    let (config, _) = minimal();
    assert!(config.rules.iter().all(|rule| rule.mode == Mode::Observe));
}

#[test]
fn the_example_loads() {
    let example = fs::read_to_string(shipped("offhours.example.toml")).unwrap();
    let (config, warnings) = load(&example);
    assert_eq!(warnings, []);
    assert_eq!(config.prices.periods.len(), 1);
    assert_eq!(config.reports.len(), 1);
    assert_eq!(config.reports[0].to, config.mail.unwrap().to);
}

#[test]
fn every_shipped_file_names_its_schema() {
    let first_line = |path: &Path| fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(first_line(&shipped("offhours.example.toml")), "#:schema schema/offhours.json");
    for entry in fs::read_dir(shipped("schedules")).unwrap() {
        assert_eq!(first_line(&entry.unwrap().path()), "#:schema ../schema/rules.json");
    }
}

/// `OFFHOURS_WRITE=1 cargo test --test suite shipped_rules` writes them anew.
#[test]
fn the_committed_schemas_are_those_that_are_printed() {
    for (kind, name) in [(FileKind::Main, "schema/offhours.json"), (FileKind::Rules, "schema/rules.json")] {
        let printed = serde_json::to_string_pretty(&config::schema(kind)).unwrap() + "\n";
        if std::env::var_os("OFFHOURS_WRITE").is_some() {
            fs::write(shipped(name), &printed).unwrap();
        }
        assert!(fs::read_to_string(shipped(name)).unwrap() == printed, "{name} is out of date");
    }
}

/// What the schema calls a default is what holds when the key is left out.
#[test]
fn documented_defaults_are_the_real_ones() {
    let schema = config::schema(FileKind::Rules);
    let of = |key: &str| schema["properties"]["rule"]["items"]["properties"][key]["default"].clone();
    let (config, _) = minimal();
    let rule = config.rules.iter().find(|rule| rule.name.as_str() == "dev-evenings").unwrap();
    // The samples observe, which is not what happens where nothing is said.
    assert_eq!(of("mode"), "enforce");
    let duration = |key: &str| {
        let text = of(key);
        let text = text.as_str().unwrap();
        chrono::TimeDelta::minutes(text.strip_suffix('m').unwrap().parse().unwrap())
    };
    assert_eq!(of("enabled"), true);
    assert_eq!(of("max_stops"), rule.max_stops);
    assert_eq!(duration("min_age"), rule.min_age);
    assert_eq!(duration("verify_timeout"), rule.verify_timeout);
    assert_eq!(of("mail"), "always");
}
