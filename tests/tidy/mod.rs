//! House rules that the compiler does not know: which module may name which, which crate is confined to which module,
//! and how a file begins. Reads the sources as text.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod names;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the house. A module names lower floors and itself, never its own floor or a higher one.
const FLOORS: [(u8, &[&str]); 7] = [
    (0, &["domain"]),
    (
        1,
        &[
            "aicore",
            "clock",
            "heartbeat",
            "host",
            "ledger",
            "mail",
            "monitor",
            "private_file",
            "report",
            "secret",
            "simulator",
        ],
    ),
    (2, &["config"]),
    (3, &["accounting", "executor", "mailer"]),
    (4, &["daemon", "rehearsal"]),
    (5, &["cli"]),
    (6, &["lib", "main"]),
];

/// On floor 1, and for all others there: what time it is, where a secret is written down, and files of their owner only.
const LEAVES: [&str; 3] = ["clock", "private_file", "secret"];

/// Edges that break the rule and are known. An entry without such an edge fails too, so that none is left behind.
const KNOWN: &[(&str, &str)] = &[
    // The second look at a tenant uses the open connections of the first.
    ("accounting", "executor"),
];

/// Crates that only these modules may name.
const CONFINED: [(&str, &[&str]); 11] = [
    ("flate2", &["report"]),
    ("reqwest", &["aicore", "monitor"]),
    ("lettre", &["mail"]),
    ("rustls_platform_verifier", &["mail"]),
    ("tokio_rustls", &["mail"]),
    ("tokio_cron_scheduler", &["heartbeat"]),
    ("rusqlite", &["ledger"]),
    ("axum", &["monitor", "simulator"]),
    ("toml", &["config", "simulator"]),
    ("sd_notify", &["host"]),
    ("prometheus_client", &["monitor"]),
];

/// Lines after which a file asks to be two.
const LONGEST_FILE: usize = 450;
/// Longer ones that are better whole, each with its reason.
const LONG_FILES: &[&str] = &[];

struct File {
    /// Below the repository, as `src/config/rule.rs`.
    name: String,
    text: String,
}

impl File {
    /// The top module it belongs to: `config`, `heartbeat`, `lib`.
    fn module(&self) -> &str {
        let inner = self.name.trim_start_matches("src/");
        inner.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Lines of code with their numbers; comments may name whatever they like.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The modules it names, each with the line: `crate::config::…` as well as `crate::{config, ledger::Ledger}`.
    fn named(&self) -> Vec<(usize, String)> {
        // A list in braces may go over several lines, so the text is read as one.
        let code: String = self.text.lines().map(|line| blank_comment(line) + "\n").collect();
        let mut named = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            if at > 0 && is_word(code.as_bytes()[at - 1]) {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            named.extend(first_words(&code[at + "crate::".len()..]).into_iter().map(|word| (line, word)));
        }
        named
    }
}

/// The line, empty where it is a comment.
fn blank_comment(line: &str) -> String {
    if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// What follows `crate::`: one word, or the first word of each item of a list.
fn first_words(text: &str) -> Vec<String> {
    let Some(list) = text.strip_prefix('{') else { return vec![word(text)] };
    let (mut depth, mut words) = (0, vec![word(list)]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(word(&list[at + 1..])),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty() && word != "self");
    words
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// True where `from` may name `to`.
fn may_name(from: &str, to: &str) -> bool {
    let (Some(own), Some(other)) = (floor(from), floor(to)) else { return false };
    from == to || other < own || (own == 1 && LEAVES.contains(&to) && !LEAVES.contains(&from))
}

fn files(below: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<PathBuf> = vec![root.join(below)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push(File { name, text: fs::read_to_string(&path).unwrap() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!files.is_empty());
    files
}

/// Fails with all findings, a line each.
fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    let modules: BTreeSet<String> = files("src").iter().map(|file| file.module().to_owned()).collect();
    let placed: BTreeSet<String> = FLOORS.iter().flat_map(|(_, modules)| *modules).map(|m| (*m).to_owned()).collect();
    assert_eq!(modules, placed, "a module of src without a floor, or a floor's module that is not in src");
}

#[test]
fn no_file_names_its_own_floor_or_a_higher_one() {
    let (mut findings, mut seen) = (Vec::new(), BTreeSet::new());
    for file in files("src") {
        let from = file.module();
        for (line, to) in file.named() {
            // `crate::section!` and the like: what is defined at the root is nobody's.
            if floor(&to).is_none() || may_name(from, &to) {
                continue;
            }
            if let Some(edge) = KNOWN.iter().find(|(a, b)| *a == from && *b == to) {
                seen.insert(edge);
                continue;
            }
            findings.push(format!("{}:{line}: `{from}` names `{to}`", file.name));
        }
    }
    findings.extend(
        KNOWN.iter().filter(|edge| !seen.contains(edge)).map(|(from, to)| {
            format!("tests/tidy/mod.rs: `{from}` no longer names `{to}`: remove the entry from KNOWN")
        }),
    );
    report(&findings);
}

#[test]
fn a_crate_that_is_confined_stays_there() {
    let mut findings = Vec::new();
    for file in files("src") {
        for (line, code) in file.code() {
            for (name, homes) in CONFINED {
                if !homes.contains(&file.module()) && names_crate(code, name) {
                    findings.push(format!("{}:{line}: `{name}` belongs to {}", file.name, homes.join(" and ")));
                }
            }
        }
    }
    report(&findings);
}

/// True where `code` has `name::` as a path's first word, or `use name`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end_matches("::");
        let begins = !before.bytes().last().is_some_and(is_word) && !before.ends_with(['.', '"', '`']);
        let after = &code[at + name.len()..];
        begins && (after.starts_with("::") || code.trim_start().starts_with("use ") && after.starts_with([';', ' ']))
    })
}

#[test]
fn a_file_says_what_it_is_for_and_where_its_names_come_from() {
    let mut findings = Vec::new();
    for file in files("src").into_iter().chain(files("tests")) {
        // A file without anything in it has nothing to say yet.
        if !file.text.trim().is_empty() && !file.text.starts_with("//!") {
            findings.push(format!("{}:1: does not begin with `//!`", file.name));
        }
        for (line, code) in file.code() {
            if code.trim_start().starts_with("use super::*") {
                findings.push(format!("{}:{line}: `use super::*` hides where names come from", file.name));
            }
        }
    }
    report(&findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file is not its own finding.
    let marks = ["TO", "FIX", "XX"].map(|head| {
        format!(
            "{head}{}",
            if head == "TO" {
                "DO"
            } else if head == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    let mut findings = Vec::new();
    for file in files("src").into_iter().chain(files("tests")) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(mark.as_str())) {
                findings.push(format!("{}:{}: {mark}", file.name, index + 1));
            }
        }
    }
    report(&findings);
}

#[test]
fn no_file_is_a_heap() {
    let long = files("src").into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        let allowed = lines <= LONGEST_FILE || LONG_FILES.contains(&file.name.as_str());
        (!allowed).then(|| format!("{}: {lines} lines, and {LONGEST_FILE} are enough", file.name))
    });
    report(&long.collect::<Vec<_>>());
}

/// What `cargo tree` says of a build for this machine; nothing is fetched.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix=none"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.is_empty()).collect()
}

/// A list in deny.toml.
fn deny(section: &str, key: &str) -> Vec<toml::Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    table[section][key].as_array().unwrap().clone()
}

/// True where the licence expression can be met with what is allowed: one of each `OR`, all of each `AND`.
fn may_be_used(expression: &str, allowed: &[&str]) -> bool {
    let all = expression.replace('/', " OR ");
    all.split(" AND ")
        .all(|part| part.trim_matches(['(', ')']).split(" OR ").any(|name| allowed.contains(&name.trim())))
}

#[test]
fn the_tree_is_as_deny_toml_says() {
    // What cargo-deny would say, without the minutes that it takes to install.
    let (licences, skipped) = (deny("licenses", "allow"), deny("bans", "skip"));
    let allowed: Vec<&str> = licences.iter().filter_map(|licence| licence.as_str()).collect();
    let skipped: Vec<&str> = skipped.iter().filter_map(|skip| skip["crate"].as_str()?.split(':').next()).collect();
    let banned = deny("bans", "deny");
    let mut findings = Vec::new();
    for line in tree(&["--format={p}|{l}"]) {
        let (package, licence) = line.split_once('|').unwrap();
        let name = package.split(' ').next().unwrap();
        if !may_be_used(licence, &allowed) {
            findings.push(format!("{package}: the licence `{licence}` is not on the list"));
        }
        // What comes from elsewhere is shown with its place.
        if name != "offhours" && package.replace("(proc-macro)", "").contains('(') {
            findings.push(format!("{package}: does not come from the registry"));
        }
        if banned.iter().any(|ban| ban["crate"].as_str() == Some(name)) {
            findings.push(format!("{package}: is banned"));
        }
    }
    for package in tree(&["--duplicates", "--depth=0", "--format={p}"]) {
        if !package.split(' ').next().is_some_and(|name| skipped.contains(&name)) {
            findings.push(format!("{package}: not the only version, and deny.toml gives no reason"));
        }
    }
    report(&findings);
}

#[test]
fn the_readers_of_this_file_see_what_they_should() {
    let named = |text: &str| {
        let file = File { name: "src/domain/x.rs".to_owned(), text: text.to_owned() };
        file.named().into_iter().map(|(line, word)| format!("{line} {word}")).collect::<Vec<_>>()
    };
    assert_eq!(named("use crate::config::Config;\nlet a = crate::clock::zone();"), ["1 config", "2 clock"]);
    assert_eq!(named("use crate::{\n    cli::{args, exit},\n    ledger,\n};"), ["1 cli", "1 ledger"]);
    assert_eq!(named("//! [`crate::daemon`]\nuse my_crate::cli;"), Vec::<String>::new());
    assert!(may_name("aicore", "clock") && may_name("config", "secret") && may_name("cli", "domain"));
    for (from, to) in
        [("domain", "clock"), ("aicore", "ledger"), ("clock", "secret"), ("executor", "mailer"), ("ledger", "cli")]
    {
        assert!(!may_name(from, to), "{from} may not name {to}");
    }
    assert!(may_be_used("MIT/Apache-2.0", &["MIT"]) && may_be_used("(A OR B) AND C", &["B", "C"]));
    assert!(!may_be_used("(A OR B) AND C", &["A", "B"]) && !may_be_used("", &["MIT"]));
    assert!(names_crate("use toml::Spanned;", "toml") && names_crate("    x: ::toml::Value,", "toml"));
    assert!(names_crate("use reqwest as http;", "reqwest"));
    assert!(!names_crate("let file = \"rules.toml\";", "toml") && !names_crate("basic_toml::from_str(x)", "toml"));
}
