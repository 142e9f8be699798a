//! The tables of keys in docs/configuration.md are written from the schemas, which are made from what the reader goes by:
//! `OFFHOURS_WRITE=1 cargo test --test suite readme`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use offhours::config::{self, FileKind};
use serde_json::Value;

use super::{CONFIGURATION, root};

const PAPER: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- keys: ";
const END: &str = "<!-- end of keys -->";
/// The whole of the main file, in place of a section.
const MAIN_FILE: &str = "offhours.toml";

/// What texts of a form are called; the form is the pattern that the schema gives for it.
const FORMS: [(&str, &str); 6] = [
    (r"^\s*(\S+\s+){4,5}\S+\s*$", "cron"),
    (r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$", "duration"),
    ("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "date"),
    ("^(UTC|[A-Za-z_]+/[A-Za-z0-9_+/-]+)$", "time zone"),
    (r"^[0-9]{1,9}(\.[0-9]{1,9})?$", "decimal in quotes"),
    ("^[A-Z]{3}$", "currency code"),
];

/// The schema of a section as a paper names it: `[[rule]]`, `[rule.select]`, `[connection.NAME]`.
pub(super) fn schema_of(section: &str) -> Value {
    if section == MAIN_FILE {
        return config::schema(FileKind::Main);
    }
    let path = section.trim_matches(['[', ']']);
    let kind = if path.split('.').next() == Some("rule") { FileKind::Rules } else { FileKind::Main };
    path.split('.').fold(config::schema(kind), |schema, name| {
        let key = if name == "NAME" { &schema["additionalProperties"] } else { &schema["properties"][name] };
        let section = key.get("items").unwrap_or(key).clone();
        assert!(section.is_object(), "there is no section `{section}`");
        section
    })
}

/// The sections that the program knows, as papers name them.
fn sections() -> BTreeSet<String> {
    let mut found = BTreeSet::from([MAIN_FILE.to_owned()]);
    let mut open =
        vec![(String::new(), config::schema(FileKind::Main)), (String::new(), config::schema(FileKind::Rules))];
    while let Some((path, schema)) = open.pop() {
        for (name, key) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (inner, shown) = if key["items"]["properties"].is_object() {
                (&key["items"], format!("[[{path}]]"))
            } else if key["additionalProperties"]["properties"].is_object() {
                (&key["additionalProperties"], format!("[{path}.NAME]"))
            } else {
                (key, format!("[{path}]"))
            };
            if inner["properties"].is_object() {
                found.insert(shown);
                open.push((path, inner.clone()));
            }
        }
    }
    found
}

fn type_of(key: &Value) -> String {
    if let Some(words) = key["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect::<Vec<_>>().join(", ");
    }
    if let Some(ways) = key["anyOf"].as_array() {
        return ways.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    match key["type"].as_str() {
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => format!("{} to {}", key["minimum"], key["maximum"]),
        Some("array") if key["items"]["properties"].is_object() => "sections".to_owned(),
        Some("array") if key["items"]["enum"].is_array() => format!("list of {}", type_of(&key["items"])),
        Some("array") if key["items"]["pattern"].is_string() && type_of(&key["items"]) != "text" => {
            format!("list of {}s", type_of(&key["items"]))
        }
        Some("array") => "list".to_owned(),
        Some("object") if key["properties"].is_object() => "section".to_owned(),
        Some("object") if key["additionalProperties"]["properties"].is_object() => "sections".to_owned(),
        Some("object") => format!("name = {}", type_of(&key["additionalProperties"])),
        _ => {
            let form = FORMS.iter().find(|(pattern, _)| key["pattern"] == *pattern);
            form.map_or("text", |(_, name)| name).to_owned()
        }
    }
}

/// The table of a section's keys: those that are required first, then in the alphabet's order.
fn table_of(section: &str) -> String {
    let schema = schema_of(section);
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = schema["properties"].as_object().unwrap_or_else(|| panic!("`{section}` has no keys"));
    let mut keys: Vec<(&String, &Value)> = keys.iter().collect();
    keys.sort_by_key(|(name, _)| (!required.contains(name.as_str()), *name));
    let mut table = String::from("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (name, key) in keys {
        let default = match key.get("default") {
            Some(value) => format!("`{value}`"),
            None if required.contains(name.as_str()) => "required".to_owned(),
            None => "–".to_owned(),
        };
        let meaning = key["description"].as_str().unwrap_or_else(|| panic!("`{name}` of `{section}` has no meaning"));
        let cells = [format!("`{name}`"), type_of(key), default, meaning.trim_end_matches('.').to_owned()];
        let _ = writeln!(table, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    table
}

/// The paper with its tables as they should be, and the sections that it has tables of.
fn rewritten(paper: &str) -> (String, BTreeSet<String>) {
    let (mut text, mut seen) = (String::new(), BTreeSet::new());
    let mut lines = paper.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(text, "{line}");
        let Some(section) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        assert!(seen.insert(section.to_owned()), "two tables of `{section}`");
        assert!(lines.by_ref().any(|line| line == END), "the table of `{section}` has no end");
        let _ = write!(text, "\n{}\n{END}\n", table_of(section));
    }
    (text, seen)
}

#[test]
fn the_tables_of_keys_are_those_of_the_reader() {
    let (wanted, seen) = rewritten(CONFIGURATION);
    assert_eq!(seen, sections(), "a section without a table, or a table of none");
    if std::env::var_os("OFFHOURS_WRITE").is_some() {
        fs::write(root().join(PAPER), &wanted).unwrap();
    }
    let written = fs::read_to_string(root().join(PAPER)).unwrap();
    assert!(written == wanted, "{PAPER} is out of date: `just write` writes it anew");
}
