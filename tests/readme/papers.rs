//! The papers as a whole: their links, their length, and that none is left out.

use std::collections::BTreeSet;
use std::fs;

use super::blocks::{anchors, quoted, section};
use super::{CHANGELOG, CONTRIBUTING, PAPERS, README, root};

/// README is a first screen and a way in; what is longer is reference.
const LONGEST_README: usize = 250;
/// CONTRIBUTING fits a screen.
const LONGEST_CONTRIBUTING: usize = 70;

/// Where the links and pictures of a paper lead.
fn targets(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pictures = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.chain(pictures).map(str::to_owned).collect()
}

#[test]
fn their_links_lead_somewhere() {
    for (name, text) in PAPERS {
        let place = root().join(name).parent().unwrap().to_owned();
        for target in targets(text).iter().filter(|target| !target.starts_with("https://")) {
            let (file, heading) =
                target.split_once('#').map_or((target.as_str(), None), |(file, heading)| (file, Some(heading)));
            let path = if file.is_empty() { root().join(name) } else { place.join(file) };
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
    let lines = CONTRIBUTING.lines().count();
    assert!(lines <= LONGEST_CONTRIBUTING, "{lines} lines: CONTRIBUTING fits a screen");
    let known: BTreeSet<&str> = PAPERS.iter().map(|(name, _)| *name).collect();
    for entry in fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap()) {
        let file = format!("docs/{}", entry.file_name().to_string_lossy());
        let leads = PAPERS.iter().any(|(paper, text)| {
            let inner = if paper.starts_with("docs/") { file.trim_start_matches("docs/") } else { file.as_str() };
            targets(text).iter().any(|target| target.split('#').next() == Some(inner))
        });
        assert!(leads, "no paper leads to {file}");
        let ends_with = |ending: &str| entry.path().extension().is_some_and(|found| found == ending);
        if ends_with("md") {
            assert!(known.contains(file.as_str()), "{file} is not read by these tests");
            assert!(README.contains(&format!("]({file})")), "README does not lead to {file}");
        } else {
            assert!(entry.path().is_dir() || ends_with("png"), "{file} is read by no test");
        }
    }
}

/// What papers name in back-ticks as a module or a path of the repository is there.
#[test]
fn modules_and_files_that_they_name_are_there() {
    let there = |name: &str| root().join(name).exists();
    for (paper, text) in PAPERS.iter().filter(|(name, _)| ["docs/design.md", "CONTRIBUTING.md"].contains(name)) {
        for name in quoted(text) {
            let is_path =
                ["src/", "tests/", "docs/"].iter().any(|place| name.starts_with(place)) && !name.contains("-N.");
            assert!(!is_path || there(&name), "{paper}: there is no `{name}`");
            let is_module = name.contains("::") && name.bytes().all(|b| b.is_ascii_lowercase() || b"_:".contains(&b));
            let file = format!("src/{}", name.replace("::", "/"));
            assert!(!is_module || there(&format!("{file}.rs")) || there(&file), "{paper}: there is no module `{name}`");
        }
    }
}

#[test]
fn the_changelog_knows_this_version() {
    let version = format!("[{}]", env!("CARGO_PKG_VERSION"));
    let headings: Vec<&str> = CHANGELOG.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(headings.first(), Some(&"[Unreleased]"));
    assert!(headings.iter().any(|heading| heading.starts_with(&version)), "{version} is not in {headings:?}");
    assert!(!section(CHANGELOG, "[Unreleased]").is_empty());
}

#[test]
fn the_picture_is_small() {
    assert!(fs::metadata(root().join("docs/mail.png")).unwrap().len() <= 150_000);
}
