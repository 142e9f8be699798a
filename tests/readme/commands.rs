//! Commands, options, exit codes and words in the papers are the program's.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;
use offhours::cli::args::Cli;
use offhours::cli::exit::Exit;
use offhours::domain::run::{Outcome, RunResult};

use super::blocks::{blocks_in, quoted, table};
use super::{COMMANDS, README, SCHEDULES, arguments, offhours, printed};

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
        let line = line.split(" # ").next().unwrap_or(line);
        let line = line.split([';', '>', '<']).next().unwrap_or(line).trim();
        let line = line.strip_prefix("sudo ").unwrap_or(line);
        let line = line.strip_prefix("offhoursctl ").map_or(line.to_owned(), |rest| format!("offhours {rest}"));
        if line.starts_with("offhours ") {
            Cli::command().try_get_matches_from(arguments(&line)).unwrap_or_else(|error| panic!("{line}: {error}"));
            parsed += 1;
        }
    }
    assert!(parsed >= 25, "only {parsed} commands found");
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
    for row in table(COMMANDS, "Commands") {
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
    let codes: Vec<String> = table(COMMANDS, "Exit codes").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(codes, all.map(|exit| (exit as u8).to_string()));
}

#[test]
fn its_outcomes_and_results_are_the_programs() {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    let results = RunResult::ALL.iter().map(|result| result.as_str());
    let all: BTreeSet<String> = outcomes.chain(results).map(str::to_owned).collect();
    let written = table(SCHEDULES, "What a run does").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(all, written);
}

#[test]
fn recipes_and_targets_that_papers_name_are_there() {
    let justfile = std::fs::read_to_string(super::root().join("justfile")).unwrap();
    let recipes: BTreeSet<&str> = justfile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split([' ', ':']).next())
        .collect();
    let text = super::PAPERS.map(|(_, text)| text).concat();
    let manifest = std::fs::read_to_string(super::root().join("Cargo.toml")).unwrap();
    for target in text.split("--test ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()) {
        assert!(manifest.contains(&format!("[[test]]\nname = \"{target}\"")), "there is no test target `{target}`");
    }
    let lines = blocks_in("sh").concat();
    let lines = lines.lines().map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned());
    for command in quoted(&text).chain(lines).filter(|text| text.starts_with("just ")) {
        let recipe = command.split_whitespace().nth(1).unwrap();
        assert!(recipe.starts_with('-') || recipes.contains(recipe), "`{command}` is not in the justfile");
    }
}
