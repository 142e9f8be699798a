//! Loading: offhours.toml, then every rule file, all faults of all of them in one go.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::config::command::command;
use crate::config::exposed::Exposed;
use crate::config::fault::{ConfigFault, Faults, Warning};
use crate::config::main_file::{self, Main, MainKeys};
use crate::config::outline::{OnDisk, Outline};
use crate::config::reading::{Place, Reading};
use crate::config::resolved::Config;
use crate::config::rule::{Defaults, RuleFileKeys, Rules};
use crate::config::section::Section;
use crate::config::{document, state_dir};

/// The most rules that one file may have.
const MOST_RULES: usize = 1_000;
/// Where rules are when offhours.toml names no directory.
const DEFAULT_SCHEDULES: &str = "schedules";

/// Reads `path` and every rule file it names. Either everything is right, or nothing is taken.
pub fn load(path: &Path) -> Result<(Config, Vec<Warning>), Faults> {
    load_at(path, Clock::System.now())
}

/// As [`load`], without a look at keys and passwords: for a machine that has the rules and must not have the secrets.
pub(crate) fn load_without_secrets(path: &Path) -> Result<(Config, Vec<Warning>), Faults> {
    let Outline { config, faults, warnings } = read(path, &Reading::new(Clock::System.now(), false)).outline;
    faults.map_or(Ok((config, warnings)), Err)
}

/// As [`load`], with warnings as they are at `now`.
pub fn load_at(path: &Path, now: DateTime<Utc>) -> Result<(Config, Vec<Warning>), Faults> {
    let Outline { config, faults, warnings } = read(path, &Reading::new(now, true)).outline;
    faults.map_or(Ok((config, warnings)), Err)
}

/// Reads as much as can be told of files that may have faults. Fails where not even the place of the ledger can be told.
pub(crate) fn outline(path: &Path, now: DateTime<Utc>) -> Result<Outline, Faults> {
    sketch(path, &Reading::new(now, true))
}

/// The same, without a look at keys and passwords: for who reads the ledger and asks nobody else.
pub(crate) fn outline_without_secrets(path: &Path, now: DateTime<Utc>) -> Result<Outline, Faults> {
    sketch(path, &Reading::new(now, false))
}

fn sketch(path: &Path, reading: &Reading) -> Result<Outline, Faults> {
    let Read { outline, knows_state_dir } = read(path, reading);
    match outline.faults {
        Some(faults) if !knows_state_dir => Err(faults),
        _ => Ok(outline),
    }
}

/// Reads the files that `config` was read from once more.
pub(crate) fn on_disk(config: &Config, now: DateTime<Utc>) -> OnDisk {
    outline(&config.path, now).map_or_else(
        |faults| {
            OnDisk::Faulty(faults.iter().count(), faults.to_string().lines().next().unwrap_or_default().to_owned())
        },
        |outline| outline.compared_with(&config.fingerprint, None),
    )
}

/// What one reading of all files came to.
struct Read {
    outline: Outline,
    /// False where a fault hides which ledger is meant.
    knows_state_dir: bool,
}

fn read(path: &Path, reading: &Reading) -> Read {
    let main = read_main(path, reading);
    let directory =
        main.schedules.clone().unwrap_or_else(|| path.parent().unwrap_or(Path::new("")).join(DEFAULT_SCHEDULES));
    let rules = read_rules(path, &directory, &main, reading);
    let named = main.state_dir.clone();
    let is_named = named.is_some() || (reading.understood.get() && !main.has_state_dir);
    let state_dir = named.or_else(|| state_dir::default_for(path));
    let knows_state_dir = state_dir.is_some() && (is_named || state_dir::is_given());
    if state_dir.is_none() {
        reading.report(ConfigFault {
            path: path.to_owned(),
            line: 1,
            column: 1,
            key: Some("state_dir".to_owned()),
            message: "no place for the ledger: neither `state_dir` nor `$STATE_DIRECTORY` nor `$HOME` is set"
                .to_owned(),
            hint: Some("for example `state_dir = \"/var/lib/offhours\"`".to_owned()),
        });
    }
    if let Some(directory) = state_dir.as_deref().filter(|_| reading.has_secrets && reading.understood.get())
        && let Some(why) = state_dir::obstacle(directory)
    {
        let (line, column) = main.state_dir_at.as_ref().map_or((1, 1), |origin| (origin.line, origin.column));
        let remedy = match state_dir::given().filter(|given| *given != *directory) {
            Some(given) => format!("leave `state_dir` out: the service keeps it in `{}`", given.display()),
            None => "make it writable, or name another as `state_dir`".to_owned(),
        };
        reading.note(Warning {
            path: path.to_owned(),
            line,
            column,
            key: Some("state_dir".to_owned()),
            message: format!("the ledger cannot be kept in `{}`: {why}; {remedy}", directory.display()),
        });
    }
    let fingerprint = reading.fingerprint();
    let (faults, warnings) = reading.findings();
    let config = Config {
        path: path.to_owned(),
        command: command(path, state_dir::is_given()),
        fingerprint,
        zone: main.zone,
        state_dir: state_dir.unwrap_or_default(),
        connections: main.connections,
        protect: main.protect,
        prices: main.prices,
        calendars: reading.calendars(),
        mail: main.mail,
        monitoring: main.monitoring,
        reports: main.reports,
        rules: rules.enabled.into_iter().map(Arc::new).collect(),
        disabled: rules.disabled,
        origins: rules.origins,
    };
    Read { outline: Outline { config, faults: Faults::new(faults), warnings }, knows_state_dir }
}

fn read_main(path: &Path, reading: &Reading) -> Main {
    let source = match reading.source(path) {
        Ok(source) => source,
        Err(no_text) => {
            reading.report(no_text.into_fault(path));
            return Main::default();
        }
    };
    let Some(table) = document::parse(&source, reading) else { return Main::default() };
    reading.understood.set(true);
    main_file::read(&Section::<MainKeys>::root(table.get_ref(), Place::start(reading, &source)))
}

fn read_rules(main_path: &Path, directory: &Path, main: &Main, reading: &Reading) -> Rules {
    let defaults = Defaults {
        zone: main.zone.clone(),
        has_zone: main.has_zone,
        connections: main.connection_names.clone(),
        has_mail: main.has_mail,
        understood: reading.understood.get(),
    };
    let mut rules = Rules::default();
    let (line, column) = main.schedules_at.as_ref().map_or((1, 1), |origin| (origin.line, origin.column));
    let report = |message, hint| {
        let key = Some("schedules".to_owned());
        reading.report(ConfigFault { path: main_path.to_owned(), line, column, key, message, hint: Some(hint) });
    };
    if let Some(exposed) = Exposed::directory(directory).filter(|_| defaults.understood) {
        report(exposed.message(), exposed.hint());
        return rules;
    }
    match rule_files(directory) {
        Ok(RuleFiles { files, passed_over }) => {
            let warn = |message| {
                let key = Some("schedules".to_owned());
                reading.note(Warning { path: main_path.to_owned(), line, column, key, message });
            };
            passed_over.into_iter().for_each(warn);
            // With `schedules = "."` offhours.toml is its own neighbour.
            let own = fs::canonicalize(main_path).ok();
            for file in files.into_iter().filter(|file| own.is_none() || fs::canonicalize(file).ok() != own) {
                read_rule_file(&file, &defaults, reading, &mut rules);
            }
            if rules.origins.is_empty() && rules.enabled.is_empty() {
                let directory = directory.display();
                warn(format!("there is no rule in `{directory}`, so nothing is ever stopped"));
            }
        }
        // Where offhours.toml was not understood, it may well name another directory.
        Err(_) if !defaults.understood => {}
        Err(error) => {
            let message = format!("the directory of rules `{}` cannot be read: {error}", directory.display());
            let hint = "make it, or name another: `schedules = \"schedules\"`, relative to this file";
            report(message, hint.to_owned());
        }
    }
    rules
}

/// What a directory of rules holds.
#[derive(Default)]
struct RuleFiles {
    /// The rule files, in the order of their names.
    files: Vec<PathBuf>,
    /// What looks like rules and is not read, and why.
    passed_over: Vec<String>,
}

/// The rule files of a directory; hidden files are no rule files.
fn rule_files(directory: &Path) -> std::io::Result<RuleFiles> {
    let mut found = RuleFiles::default();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_rules = path.extension().is_some_and(|ending| ending == "toml");
        let ends_in = |ending: &str| name.to_lowercase().ends_with(ending);
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if holds_toml(&path) {
                found.passed_over.push(format!("the rules in `{}` are not read: folders are not", path.display()));
            }
        } else if is_rules {
            found.files.push(path);
        } else if is_toml(&path) || ends_in(".toml.txt") {
            let path = path.display();
            found.passed_over.push(format!("`{path}` is not read: the name of a rule file ends in `.toml`"));
        }
    }
    found.files.sort();
    found.passed_over.sort();
    Ok(found)
}

fn holds_toml(directory: &Path) -> bool {
    fs::read_dir(directory)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| is_toml(&entry.path()))))
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

fn read_rule_file(path: &Path, defaults: &Defaults, reading: &Reading, rules: &mut Rules) {
    let source = match reading.source(path) {
        Ok(source) => source,
        Err(no_text) => return reading.report(no_text.into_fault(path)),
    };
    let Some(table) = document::parse(&source, reading) else { return };
    let root = Section::<RuleFileKeys>::root(table.get_ref(), Place::start(reading, &source));
    if !root.has(|k| k.rule) {
        root.place().fault("no rule in this file", "each rule begins with `[[rule]]`; `schedules/` has some to copy");
    }
    let sections = root.sections(|k| k.rule);
    if let Some(first) = sections.get(MOST_RULES) {
        let message = format!("this file has {} rules, and {MOST_RULES} are allowed", sections.len());
        return first.place().fault(message, "spread them over several files; one over the limit begins here");
    }
    for section in &sections {
        rules.read(section, defaults);
    }
}
