//! README.md and the other papers say nothing that the program does not do: their configuration loads, their commands parse,
//! their examples print what they print, their tables are those of the program, and their links lead somewhere.

mod blocks;
mod commands;
mod configuration;
mod demo;
mod json;
mod keys;
mod messages;
mod papers;
mod shown;
mod tenant;
mod unit;

use std::path::Path;
use std::process::Command;

/// Every paper, in the order in which README leads to them.
const PAPERS: [(&str, &str); 13] = [
    ("README.md", README),
    ("docs/configuration.md", CONFIGURATION),
    ("docs/schedules.md", SCHEDULES),
    ("docs/not-tonight.md", include_str!("../../docs/not-tonight.md")),
    ("docs/avoided-cost.md", AVOIDED_COST),
    ("docs/operations.md", OPERATIONS),
    ("docs/troubleshooting.md", TROUBLESHOOTING),
    ("docs/commands.md", COMMANDS),
    ("docs/json.md", JSON),
    ("docs/benchmarks.md", include_str!("../../docs/benchmarks.md")),
    ("docs/design.md", include_str!("../../docs/design.md")),
    ("CONTRIBUTING.md", CONTRIBUTING),
    ("CHANGELOG.md", CHANGELOG),
];
const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const SCHEDULES: &str = include_str!("../../docs/schedules.md");
const AVOIDED_COST: &str = include_str!("../../docs/avoided-cost.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");
const COMMANDS: &str = include_str!("../../docs/commands.md");
const JSON: &str = include_str!("../../docs/json.md");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

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
