//! Every fault that we know of has a test. `tests/faults/rows.toml` says what can go wrong and what it comes to; tests
//! name their rows at the beginning of their names, scripts of `tests/interop` in a line `# Rows: …`. `tests/FAULTS.md`
//! lists both, and is written anew by `OFFHOURS_WRITE=1 cargo test --test suite faults`.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = "tests/FAULTS.md";
const HEAD: &str = "\
<!-- Written by `OFFHOURS_WRITE=1 cargo test --test suite faults`; not by hand. -->
# Faults and their tests

What can go wrong, what it comes to, and which tests provoke it. `cargo test a04` runs those of one row.
";
/// The first letters of rows, each with what its rows are about.
const SECTIONS: [(char, &str); 6] = [
    ('a', "AI Core and its tokens"),
    ('p', "The process and its disk"),
    ('t', "Time"),
    ('e', "Mail"),
    ('u', "People at a terminal, and scripts"),
    ('c', "Configuration: refused by `check`, at start and at reload, with file, line and column"),
];

/// Where a row is proven.
struct Proof {
    rows: Vec<String>,
    /// As it is written in the list.
    shown: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn rows() -> BTreeMap<String, String> {
    toml::from_str(&read("tests/faults/rows.toml")).unwrap()
}

/// Files below these directories with this ending, as paths below the repository, in order.
fn files(below: &[&str], ending: &str) -> Vec<String> {
    let mut open: Vec<PathBuf> = below.iter().map(|name| root().join(name)).collect();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|found| found == ending) {
            files.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
    files.sort();
    files
}

/// Names of the test functions in `text`, without those that are ignored.
fn tests(text: &str) -> Vec<String> {
    let (mut is_test, mut is_ignored) = (false, false);
    let mut names = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_ignored = true;
        } else if let Some(name) = function(line) {
            if is_test && !is_ignored {
                names.push(name);
            }
            (is_test, is_ignored) = (false, false);
        }
    }
    names
}

fn function(line: &str) -> Option<String> {
    let rest = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")?;
    Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

/// What looks like a row's id: a section's letter and a number, whatever its form.
fn is_id(word: &str) -> bool {
    let mut letters = word.chars();
    let begins = letters.next().is_some_and(|letter| SECTIONS.iter().any(|(section, _)| *section == letter));
    begins && word.len() > 1 && letters.all(|c| c.is_ascii_digit())
}

/// The ids that a test's name begins with: `e07_e08_clear_text` is of two.
fn ids(name: &str) -> Vec<String> {
    name.split('_').take_while(|word| is_id(word)).map(str::to_owned).collect()
}

/// The ids in a script's line `# Rows: t01 t04`.
fn claims(script: &str) -> Vec<String> {
    let line = script.lines().find_map(|line| line.strip_prefix("# Rows: ")).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

fn proofs() -> Vec<Proof> {
    let mut proofs = Vec::new();
    for file in files(&["src", "tests"], "rs") {
        for name in tests(&read(&file)) {
            proofs.push(Proof { rows: ids(&name), shown: format!("`{name}` in {file}") });
        }
    }
    // A script proves something only where it is run.
    assert!(read(".ci/run").contains("for script in tests/interop/*.sh; do"), ".ci/run does not run tests/interop");
    for file in files(&["tests/interop"], "sh").iter().filter(|name| name.matches('/').count() == 2) {
        proofs.push(Proof { rows: claims(&read(file)), shown: format!("the script {file}") });
    }
    proofs.retain(|proof| !proof.rows.is_empty());
    proofs
}

fn list(rows: &BTreeMap<String, String>, proofs: &[Proof]) -> String {
    let mut text = HEAD.to_owned();
    for (letter, title) in SECTIONS {
        let _ = write!(text, "\n## {title}\n");
        for (id, sentence) in rows.iter().filter(|(id, _)| id.starts_with(letter)) {
            let _ = write!(text, "\n**{id}** {sentence}\n\n");
            for proof in proofs.iter().filter(|proof| proof.rows.contains(id)) {
                let _ = writeln!(text, "- {}", proof.shown);
            }
        }
    }
    text
}

#[test]
fn each_row_has_a_test_and_each_test_has_its_row() {
    let (rows, proofs) = (rows(), proofs());
    let mut findings = Vec::new();
    for (id, sentence) in &rows {
        if !is_id(id) || id.len() != 3 {
            findings.push(format!("`{id}` is no id of a row: a letter of {SECTIONS:?} and two digits"));
        } else if !proofs.iter().any(|proof| proof.rows.contains(id)) {
            findings.push(format!("{id} has no test: {sentence}"));
        }
    }
    for proof in &proofs {
        for id in proof.rows.iter().filter(|id| !rows.contains_key(*id)) {
            findings.push(format!("{}: there is no row `{id}`", proof.shown));
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_list_is_what_the_tests_say() {
    let list = list(&rows(), &proofs());
    if std::env::var_os("OFFHOURS_WRITE").is_some() {
        fs::write(root().join(LIST), &list).unwrap();
    }
    assert!(read(LIST) == list, "{LIST} is out of date: OFFHOURS_WRITE=1 cargo test --test suite faults");
}

#[test]
fn the_readers_of_this_file_see_what_they_should() {
    let text = "#[test]\nfn a01_x() {}\n  #[tokio::test(start_paused = true)]\n  async fn b() {}\n#[test]\n#[ignore]\nfn c01_x() {}\nfn d() {}";
    assert_eq!(tests(text), ["a01_x", "b"]);
    assert_eq!(tests("#[ignore = \"slow\"]\n#[test]\nfn a() {}\n#[test]\n// Why.\nfn e01_b() {}"), ["e01_b"]);
    assert_eq!(ids("e07_e08_clear_text"), ["e07", "e08"]);
    assert_eq!(ids("t7_one_digit"), ["t7"], "found, so that it is refused");
    assert!(ids("a_good_run").is_empty() && ids("c_1").is_empty() && ids("at_19").is_empty());
    assert_eq!(claims("#!/bin/sh\n# Rows: t01 t04\n"), ["t01", "t04"]);
}
