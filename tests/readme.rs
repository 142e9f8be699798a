//! README.md and docs/ say nothing that the program does not do: their configuration loads, their commands parse, their
//! examples print what they print, and their tables are those of the program.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use clap::CommandFactory;
use offhours::cli::args::Cli;
use offhours::cli::exit::Exit;
use offhours::config::{self, Config, FileKind};
use offhours::domain::rule::{DEFAULT_MAX_STOPS, DEFAULT_MIN_AGE, DEFAULT_VERIFY_TIMEOUT};
use offhours::domain::run::{Outcome, RunResult};
use serde_json::Value;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
/// The papers, in the order in which README leads to them.
const PAPERS: [(&str, &str); 9] = [
    ("README.md", README),
    ("docs/rules.md", include_str!("../docs/rules.md")),
    ("docs/holds.md", include_str!("../docs/holds.md")),
    ("docs/configuration.md", include_str!("../docs/configuration.md")),
    ("docs/operations.md", include_str!("../docs/operations.md")),
    ("docs/figures.md", include_str!("../docs/figures.md")),
    ("docs/commands.md", include_str!("../docs/commands.md")),
    ("docs/rehearsals.md", include_str!("../docs/rehearsals.md")),
    ("docs/measurements.md", include_str!("../docs/measurements.md")),
];
/// README is a first screen and a way in; what is longer is reference.
const LONGEST_README: usize = 200;
const SERVICE_KEY: &str = r#"{
  "clientid": "sb-1", "clientsecret": "s", "url": "https://auth.example.com",
  "serviceurls": { "AI_API_URL": "https://api.example.com" }
}"#;

/// A fenced block: its language and its text, without the indentation of a list it may stand in.
struct Block {
    language: String,
    text: String,
}

/// The lines of all papers.
fn lines() -> impl Iterator<Item = &'static str> {
    PAPERS.iter().flat_map(|(_, text)| text.lines())
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((indent, Block { language: language.to_owned(), text: String::new() }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(""));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

fn blocks_in(language: &str) -> Vec<String> {
    let texts: Vec<String> =
        blocks().into_iter().filter(|block| block.language == language).map(|block| block.text).collect();
    assert!(!texts.is_empty(), "no {language} block");
    texts
}

/// The lines below a heading, up to the next one of any level.
fn section(heading: &str) -> Vec<&'static str> {
    let is_it = |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
    let mut lines = lines().skip_while(|line| !is_it(line));
    assert!(lines.next().is_some(), "no heading `{heading}`");
    lines.take_while(|line| !["# ", "## ", "### "].iter().any(|level| line.starts_with(level))).collect()
}

/// The rows of every table below a heading, without heads; cells without back-ticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let rows = section(heading).into_iter().filter(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        let inner = row.trim_matches('|').replace("\\|", "\u{0}");
        inner.split('|').map(|cell| cell.trim().replace('`', "").replace('\u{0}', "|")).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    // A head is what stands above a line of dashes.
    let is_rule = |row: &Vec<String>| row.iter().all(|cell| cell == "---");
    let body =
        rows.iter().enumerate().filter(|(index, row)| !is_rule(row) && !rows.get(index + 1).is_some_and(is_rule));
    let body: Vec<Vec<String>> = body.map(|(_, row)| row.clone()).collect();
    assert!(!body.is_empty(), "no table below `{heading}`");
    body
}

fn words(heading: &str) -> BTreeSet<String> {
    table(heading).into_iter().map(|row| row[0].clone()).collect()
}

// --- configuration

fn write_secret(path: &Path, text: &str) {
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

#[test]
fn the_rule_with_everything_has_every_key() {
    let block = blocks_in("toml").into_iter().find(|block| block.contains("enabled")).unwrap();
    let rule = &toml_value(&block)["rule"][0];
    let mut keys = schema_keys(&rule_schema());
    // Its exclusion shows two of the keys that the selection shows already.
    keys.remove("exclude");
    for key in keys.keys() {
        assert!(rule.get(key).is_some(), "`{key}` is not in the rule with everything in it");
    }
    let select = &rule_schema()["properties"]["select"];
    for key in schema_keys(select).keys() {
        assert!(rule["select"].get(key).is_some(), "`select.{key}` is not in the rule with everything in it");
    }
}

fn toml_value(text: &str) -> Value {
    let table: BTreeMap<String, Value> = toml::from_str(text).unwrap();
    serde_json::to_value(table).unwrap()
}

fn rule_schema() -> Value {
    config::schema(FileKind::Rules)["properties"]["rule"]["items"].clone()
}

/// The keys of a section, each with its default as TOML writes it, `required`, or nothing.
fn schema_keys(schema: &Value) -> BTreeMap<String, Option<String>> {
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = schema["properties"].as_object().unwrap_or_else(|| panic!("no properties in {schema}"));
    let default = |name: &String, key: &Value| match key.get("default") {
        Some(value) => Some(value.to_string()),
        None => required.contains(name.as_str()).then(|| "required".to_owned()),
    };
    keys.iter().map(|(name, key)| (name.clone(), default(name, key))).collect()
}

/// Compares a table of keys with a section of the schema.
fn same_keys(heading: &str, schema: &Value) {
    let keys = schema_keys(schema);
    let rows = table(heading);
    let written: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(written, keys.keys().map(String::as_str).collect(), "keys below `{heading}`");
    for row in &rows {
        let given = &row[2];
        match &keys[&row[0]] {
            Some(default) => assert_eq!(given, default, "`{heading}`, `{}`", row[0]),
            // Nothing stands in for it: the table says so, or says in words what holds.
            None => assert!(!given.starts_with('"') && given != "required", "`{heading}`, `{}`: {given}", row[0]),
        }
    }
}

#[test]
fn its_tables_of_keys_are_those_of_the_loader() {
    let rule = rule_schema();
    same_keys("`[[rule]]`", &rule);
    same_keys("`[rule.select]`", &rule["properties"]["select"]);
    same_keys("`[rule.exclude]`", &rule["properties"]["exclude"]);
    let main = config::schema(FileKind::Main);
    let of = |name: &str| main["properties"][name].clone();
    same_keys("Top of offhours.toml", &main);
    same_keys("`[connection.NAME]`", &of("connection")["additionalProperties"]);
    same_keys("`[prices]`", &of("prices"));
    same_keys("`[mail]`", &of("mail"));
    same_keys("`[[report]]`", &of("report")["items"]);
    same_keys("`[monitoring]`", &of("monitoring"));
}

#[test]
fn the_defaults_it_names_are_the_constants() {
    let rows = table("`[[rule]]`");
    let default = |key: &str| rows.iter().find(|row| row[0] == key).unwrap()[2].trim_matches('"').to_owned();
    let minutes = |span: TimeDelta| format!("{}m", span.num_minutes());
    assert_eq!(default("max_stops"), DEFAULT_MAX_STOPS.to_string());
    assert_eq!(default("min_age"), minutes(DEFAULT_MIN_AGE));
    assert_eq!(default("verify_timeout"), minutes(DEFAULT_VERIFY_TIMEOUT));
}

// --- commands

fn offhours() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhours"));
    command.env("NO_COLOR", "1").env_remove("OFFHOURS_CONFIG").env_remove("STATE_DIRECTORY");
    command
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Splits a command line as a shell does, as far as quotes go.
fn arguments(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let parts = quoted.flat_map(|(index, part)| match index % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    });
    parts.collect()
}

#[test]
fn the_two_commands_stand_on_its_first_screen() {
    let first = &blocks_in("sh")[0];
    assert_eq!(first, "cargo run --release -- demo\ncargo test\n");
    let line = README.lines().position(|line| line == "cargo test").unwrap();
    assert!(line < 30, "line {line}");
}

#[test]
fn every_command_in_it_parses() {
    let mut parsed = 0;
    for line in blocks_in("sh").iter().chain(&blocks_in("console")).flat_map(|block| block.lines()) {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let line = line.split(" # ").next().unwrap_or(line).trim();
        if line.starts_with("offhours ") {
            Cli::command().try_get_matches_from(arguments(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
            parsed += 1;
        }
    }
    assert!(parsed >= 12, "only {parsed} commands found");
}

#[test]
fn its_cron_examples_print_what_they_print() {
    let mut compared = 0;
    for block in blocks_in("console") {
        for example in block.split("$ ").filter(|example| example.starts_with("offhours next")) {
            let (command, expected) = example.split_once('\n').unwrap();
            let output = printed(offhours().args(&arguments(command)[1..]));
            assert_eq!(output, expected, "{command}");
            compared += 1;
        }
    }
    assert_eq!(compared, 4);
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

/// Every command that can be given, as `hold add`, with its options.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let mut commands = BTreeMap::new();
    for command in Cli::command().get_subcommands() {
        if command.has_subcommands() {
            for inner in command.get_subcommands() {
                commands.insert(format!("{} {}", command.get_name(), inner.get_name()), options(inner));
            }
        } else {
            commands.insert(command.get_name().to_owned(), options(command));
        }
    }
    commands
}

fn options(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter(|argument| !argument.is_global_set());
    own.filter_map(|argument| argument.get_long())
        .filter(|long| *long != "help")
        .map(|long| format!("--{long}"))
        .collect()
}

#[test]
fn its_list_of_commands_and_options_is_claps() {
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table("Commands") {
        let mut usage = row[0].split_whitespace().map(|word| word.trim_matches(['[', ']']));
        assert_eq!(usage.next(), Some("offhours"));
        let is_name = |word: &&str| !word.starts_with('-') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let name: Vec<&str> = usage.take_while(is_name).collect();
        let options =
            row.iter().flat_map(|cell| cell.split([' ', '[', ']', ','])).filter(|word| word.starts_with("--"));
        written.insert(name.join(" "), options.map(str::to_owned).collect());
    }
    assert_eq!(written, commands());
}

#[test]
fn its_exit_codes_are_the_programs() {
    let all = [Exit::Well, Exit::Problem, Exit::Usage, Exit::Config, Exit::AiCore, Exit::Ledger, Exit::Held];
    for exit in all {
        match exit {
            // A new one belongs into the list above, and into the table.
            Exit::Well | Exit::Problem | Exit::Usage | Exit::Config | Exit::AiCore | Exit::Ledger | Exit::Held => {}
        }
    }
    let codes: Vec<String> = table("Exit codes").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(codes, all.map(|exit| (exit as u8).to_string()));
}

#[test]
fn its_outcomes_and_results_are_the_programs() {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    let results = RunResult::ALL.iter().map(|result| result.as_str());
    let all: BTreeSet<String> = outcomes.chain(results).map(str::to_owned).collect();
    assert_eq!(words("What is decided, in which order"), all);
}

// --- the demo

/// Holds the demo in a directory of its own; gives what it printed.
fn demo(directory: &Path) -> String {
    printed(offhours().arg("demo").current_dir(directory))
}

#[test]
fn the_demo_prints_what_it_shows() {
    let directory = TempDir::new().unwrap();
    let account = demo(directory.path());
    let mut rest = account.lines();
    let shown = blocks_in("text").into_iter().find(|text| text.starts_with("Rehearsing")).unwrap();
    for line in shown.lines().filter(|line| !line.is_empty() && *line != "…") {
        assert!(
            rest.any(|printed| printed == line),
            "the demo does not print, or not in this order: {line}\n{account}"
        );
    }
    let left: Vec<PathBuf> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [directory.path().join("offhours-demo")]);
}

#[test]
fn its_list_of_json_fields_is_what_history_prints() {
    let directory = TempDir::new().unwrap();
    demo(directory.path());
    let line = README.split('`').find(|text| text.starts_with("offhours --config offhours-demo")).unwrap();
    let history = printed(offhours().args(&arguments(line)[1..]).arg("--json").current_dir(directory.path()));
    let runs: Value = serde_json::from_str(&history).unwrap();
    let text = section("JSON").join(" ");
    let between = |from: &str, to: &str| {
        let part =
            text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).unwrap_or_else(|| panic!("{from}")).0;
        part.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let keys = |values: Vec<&Value>| -> BTreeSet<String> {
        values.into_iter().filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect()
    };
    let all_runs: Vec<&Value> = runs.as_array().unwrap().iter().collect();
    let deployments: Vec<&Value> = all_runs.iter().flat_map(|run| run["deployments"].as_array().unwrap()).collect();
    let avoided = deployments.iter().map(|deployment| &deployment["avoided"]).collect();
    assert_eq!(between("A run has ", "Each of"), keys(all_runs));
    assert_eq!(between("its deployments has ", "`avoided` has"), keys(deployments));
    assert_eq!(between("`avoided` has ", " (`projected`"), keys(avoided));
}

// --- the rest of it

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with("## ") || line.starts_with("### "));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn their_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in PAPERS {
        let place = root.join(name).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) =
                target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
            let path = if file.is_empty() { root.join(name) } else { place.join(file) };
            assert!(path.exists(), "{name}: no file {file}");
            if let Some(heading) = heading {
                assert!(anchors(&fs::read_to_string(&path).unwrap()).contains(heading), "{name}: nothing at {target}");
            }
        }
    }
}

#[test]
fn readme_is_a_way_in_and_leads_to_every_paper() {
    assert!(README.lines().count() <= LONGEST_README, "{} lines: reference belongs into docs/", README.lines().count());
    let known: BTreeSet<String> = PAPERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let files = docs.map(|entry| entry.unwrap()).filter(|entry| !entry.path().is_dir());
    for file in files.map(|entry| format!("docs/{}", entry.file_name().to_string_lossy())) {
        assert!(known.contains(&file) && README.contains(&format!("]({file})")), "README does not lead to {file}");
    }
}

#[test]
fn the_unit_is_the_one_it_describes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = fs::read_to_string(root.join("systemd/offhours.service")).unwrap();
    let value =
        |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(value("WatchdogSec="), ["60"]);
    assert_eq!(value("ExecStart="), ["/usr/local/bin/offhours run"]);
    assert_eq!(
        value("LoadCredential="),
        ["service-key:/etc/offhours/service-key.json", "smtp-password:/etc/offhours/smtp-password"]
    );
    let never = [Exit::Usage, Exit::Config, Exit::Ledger].map(|exit| (exit as u8).to_string());
    assert_eq!(value("RestartPreventExitStatus="), [never.join(" ")]);
    let section = section("Under systemd").join("\n");
    for name in
        ["credential = \"service-key\"", "password_credential = \"smtp-password\"", "/etc/offhours/service-key.json"]
    {
        assert!(section.contains(name), "{name}");
    }
}
