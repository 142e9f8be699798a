//! Help and manual pages: every command has both, with examples that work, and they name what the program really reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chrono::TimeDelta;
use clap::CommandFactory;
use offhours::cli::args::Cli;
use offhours::simulator::Fleet;

use crate::process::bench::{Bench, idle_rule, names};

/// So long may a line to type be to stand in a page of 80 columns with what is left free before it.
const LONGEST_EXAMPLE: usize = 71;
/// Examples with one of these words are only read: they serve until they are told to stop, need what a bench does not have, write
/// outside of it, or copy a ledger through a pipe.
const NOT_RUN: [&str; 6] = ["init", "run", "simulator", "remove", "man", "-"];
/// Variables that a crate reads for us.
const OF_CRATES: [&str; 10] = [
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CLICOLOR_FORCE",
    "TERM",
    "TZ",
    "TZDIR",
    "NOTIFY_SOCKET",
];

fn bench() -> Bench {
    let tenant = Fleet::new().group("dev-a").running("d11invoice", "infer.s").configuration("invoice-ocr");
    let tenant = tenant.stop_after(TimeDelta::zero());
    let bench = Bench::new(tenant, &idle_rule("dev-evenings"));
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rehearsal/demo/fleet.toml"), bench.path("fleet.toml")).unwrap();
    bench
}

/// Every command in words, `hold add`; the program itself has none.
fn commands(command: &clap::Command, words: &[&str]) -> Vec<Vec<String>> {
    let own = words.iter().map(|word| (*word).to_owned()).collect();
    let below = command.get_subcommands().filter(|inner| inner.get_name() != "help");
    [own].into_iter().chain(below.flat_map(|inner| commands(inner, &[words, &[inner.get_name()]].concat()))).collect()
}

/// All pages by their files' names.
fn pages(bench: &Bench) -> BTreeMap<String, String> {
    bench.run(&["man", "--output", "share/man1"]).ends(0);
    let directory = bench.path("share/man1");
    let read = |name: String| (name.clone(), fs::read_to_string(directory.join(name)).unwrap());
    names(&directory).into_iter().map(read).collect()
}

/// The example lines at the end of a help, with the comment above each.
fn examples(help: &str) -> Vec<(String, String)> {
    let (_, text) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no examples: {help}"));
    let mut comment = String::new();
    let mut examples = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("  ").unwrap();
        assert!(line.starts_with('#') || line.len() <= LONGEST_EXAMPLE, "too long for a terminal: {line}");
        match line.strip_prefix("# ") {
            Some(text) => text.clone_into(&mut comment),
            None => examples.push((comment.clone(), line.to_owned())),
        }
    }
    examples
}

/// The words that the program gets from the shell.
fn arguments(line: &str) -> Vec<String> {
    let own = [" | ", " > ", " < "].iter().fold(line, |own, end| own.split(end).next().unwrap());
    let words = shlex::split(own).unwrap();
    let at = words.iter().position(|word| word == "offhours" || word == "offhoursctl").unwrap();
    words[at + 1..].to_vec()
}

#[test]
fn every_command_has_a_page_with_all_sections() {
    let bench = bench();
    let pages = pages(&bench);
    let commands = commands(&Cli::command(), &[]);
    assert_eq!(pages.len(), commands.len(), "{:?}", pages.keys());
    for words in &commands {
        let name = [&["offhours".to_owned()], words.as_slice()].concat().join("-");
        let page = &pages[&format!("{name}.1")];
        let mut sections = vec!["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "GLOBAL OPTIONS", "EXAMPLES", "SEE ALSO"];
        let is_top = words.is_empty();
        if is_top || ["hold", "mail", "ledger"].contains(&words.join(" ").as_str()) {
            sections.insert(5, "COMMANDS");
        }
        if is_top {
            sections.splice(6..6, ["EXIT STATUS", "ENVIRONMENT", "FILES"]);
        }
        let found = page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"'));
        assert_eq!(found.collect::<Vec<_>>(), sections, "{name}");
        for bold in page.split("\\fB").skip(1) {
            assert!(bold.lines().next().unwrap().contains("\\fR"), "a backtick without another in {name}: {bold}");
        }
        // A date that is left out makes groff take the version for it.
        let head = page.lines().find_map(|line| line.strip_prefix(&format!(".TH {name} 1 20"))).unwrap();
        assert!(head.ends_with(concat!(" \"offhours ", env!("CARGO_PKG_VERSION"), "\" \"User Commands\"")), "{head}");
        // What it leads to is there.
        let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        for (before, _) in plain.match_indices("(1)").map(|(at, _)| plain.split_at(at)) {
            let other = before.rsplit([' ', '\n']).next().unwrap();
            assert!(pages.contains_key(&format!("{other}.1")) || other == "systemd-creds", "{name} leads to {other}");
        }
        // One by one it is the same.
        let one = [&["man"], words.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
        assert_eq!(&bench.run(&one).ends(0).out, page);
    }
    assert_eq!(bench.run(&["man", "hold-add"]).ends(0).out, pages["offhours-hold-add.1"]);
    assert!(bench.run(&["man", "hold", "ad"]).ends(2).err.contains("there is no command `hold ad`"));
}

#[test]
fn every_example_works_and_stands_in_help_and_page() {
    let bench = bench();
    let pages = pages(&bench);
    for words in commands(&Cli::command(), &[]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = bench.run(&[&words, &["--help"][..]].concat()).ends(0).out;
        assert_eq!(bench.run(&[&["help"], &words[..]].concat()).ends(0).out, help);
        let page = pages[&format!("{}.1", [&["offhours"], &words[..]].concat().join("-"))].replace("\\-", "-");
        let examples = examples(&help);
        assert!((1..=4).contains(&examples.len()), "{words:?}: {examples:?}");
        for (comment, line) in examples {
            let given = arguments(&line);
            let asked = ["offhours"].into_iter().chain(given.iter().map(String::as_str));
            let read = Cli::command().try_get_matches_from(asked);
            assert!(read.is_ok() && !comment.is_empty(), "{words:?}: {line}: {read:?}");
            let shown = page.replace("\\fB", "").replace("\\fR", "").replace("\\*(Aq", "'");
            assert!(shown.contains(&line), "{line} is not in the page of {words:?}: {shown}");
            if !NOT_RUN.iter().any(|name| given.contains(&(*name).to_owned())) {
                let given: Vec<&str> = given.iter().map(String::as_str).collect();
                let said = bench.run(&given);
                assert_ne!(said.code, Some(2), "{line}: {said:?}");
            }
        }
    }
}

/// The string literals of a source that could be a variable's name, as far as they are on a line that reads one or belong to us
/// or SAP by their beginning.
fn variables(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let read = ["var(", "var_os(", "variable(", "path(", "GIVEN", "VARIABLE", "SUDO_USER", "\"AICORE_"];
    let lines = code.lines().filter(|line| read.iter().any(|part| line.contains(part)));
    let words = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_name = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    words.filter(is_name).map(str::to_owned).collect()
}

fn sources(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let of_entry = |path: std::path::PathBuf| match path.is_dir() {
        true if path.ends_with("tests") => Vec::new(),
        true => sources(&path),
        false if path.extension().is_some_and(|ending| ending == "rs") => vec![fs::read_to_string(path).unwrap()],
        false => Vec::new(),
    };
    entries.flat_map(of_entry).collect()
}

#[test]
fn the_page_names_every_variable_that_is_read() {
    let page = bench().run(&["man"]).ends(0).out;
    let environment = page.split(".SH ENVIRONMENT").nth(1).and_then(|rest| rest.split(".SH FILES").next()).unwrap();
    let read: BTreeSet<String> = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
        .iter()
        .flat_map(|source| variables(source))
        .collect();
    assert!(read.len() > 20, "{read:?}");
    for name in read.iter().map(String::as_str).chain(OF_CRATES) {
        assert!(environment.contains(&format!("\\fB{name}\\fR")), "{name} is not in the manual page");
    }
}

#[test]
fn the_page_has_every_exit_code() {
    let page = bench().run(&["man"]).ends(0).out;
    let status = page.split(".SH \"EXIT STATUS\"").nth(1).and_then(|rest| rest.split(".SH").next()).unwrap();
    for code in ["0", "1", "2", "3", "4", "5", "75"] {
        let (_, meaning) =
            status.split_once(&format!("\\fB{code}\\fR\n")).unwrap_or_else(|| panic!("{code}: {status}"));
        assert!(meaning.lines().next().is_some_and(|line| line.len() > 10), "{code}: {status}");
    }
}
