//! Calendars: dates in a list, in a file, or under a name that `[calendars]` defines.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use chrono::NaiveDate;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::ics;
use crate::config::key::Typed;
use crate::config::reading::{Calendar, Place, clip, did_you_mean};
use crate::config::source::NoText;
use crate::config::time::date;
use crate::config::value::{Node, Value};

/// A calendar as `[calendars]` defines it: a list of dates or a file.
pub(super) struct Definition(pub(super) Rc<BTreeSet<NaiveDate>>);

/// Dates as a rule names them: a list, a file, or a defined name.
pub(super) struct Dates(pub(super) Rc<BTreeSet<NaiveDate>>);

/// A fault in a calendar's file.
pub(super) struct BadLine {
    /// The line, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) message: String,
    /// What would be right.
    pub(super) hint: &'static str,
}

impl Typed for Definition {
    const WHAT: &'static str = "a list of dates, or the name of a file that ends in `.ics` or `.txt`";
    const EXAMPLE: &'static str = "[\"2026-12-25\", \"2026-12-26\"]";

    fn schema() -> Json {
        json!({ "anyOf": [Vec::<NaiveDate>::schema(), { "type": "string", "pattern": r"\.(ics|txt)$" }] })
    }
}

impl Value for Definition {
    fn read(node: Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::String(text) if is_file(text) => file(node, text).map(Self),
            DeValue::String(text) => node.refuse(format!("`{}` ends neither in `.ics` nor in `.txt`", clip(text))),
            DeValue::Array(_) => list(node).map(Self),
            _ => node.mismatch(Self::WHAT),
        }
    }
}

impl Typed for Dates {
    const WHAT: &'static str =
        "a list of dates, a calendar's name, or the name of a file that ends in `.ics` or `.txt`";

    fn schema() -> Json {
        json!({ "anyOf": [Vec::<NaiveDate>::schema(), { "type": "string", "minLength": 1 }] })
    }
}

impl Value for Dates {
    fn read(node: Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::String(text) if is_file(text) => file(node, text).map(Self),
            DeValue::String(text) => named(node, text).map(Self),
            DeValue::Array(_) => list(node).map(Self),
            _ => node.mismatch(Self::WHAT),
        }
    }
}

fn list(node: Node<'_>) -> Option<Rc<BTreeSet<NaiveDate>>> {
    Vec::<NaiveDate>::read(node).map(|dates| Rc::new(dates.into_iter().collect()))
}

fn named(node: Node<'_>, name: &str) -> Calendar {
    if !node.at.reading.understood.get() {
        return None;
    }
    match node.at.reading.calendar(name) {
        Ok(calendar) => calendar,
        Err(known) if known.is_empty() => node.refuse_with(
            format!("`{}` is no calendar: offhours.toml defines none", clip(name)),
            "define it under `[calendars]`, name a file that ends in `.ics` or `.txt`, or list dates",
        ),
        Err(known) => {
            let hint = did_you_mean(name, known.iter().map(String::as_str), "`[calendars]` defines");
            node.refuse_with(format!("`{}` is no calendar that offhours.toml defines", clip(name)), hint)
        }
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

fn is_file(name: &str) -> bool {
    has_ending(name, "ics") || has_ending(name, "txt")
}

fn file(node: Node<'_>, name: &str) -> Calendar {
    let path = node.at.source.beside(name);
    node.at.reading.calendar_file(&path, || {
        let source = match node.at.reading.source(&path) {
            Ok(source) => source,
            Err(NoText::Unreadable(error)) => {
                let message = format!("the calendar `{}` cannot be read: {error}", path.display());
                return node.refuse_with(message, "a relative path begins where this file is");
            }
            Err(NoText::Unusable(fault)) => {
                node.at.reading.report(fault);
                return None;
            }
        };
        let (dates, bad) = if has_ending(name, "ics") { ics::read(source.text()) } else { lines(source.text()) };
        let complete = bad.is_empty();
        for BadLine { line, message, hint } in bad {
            Place { source: &source, offset: source.line_start(line), ..node.at }.fault(message, hint);
        }
        complete.then(|| Rc::new(dates))
    })
}

/// Reads dates, one a line; `#` begins a comment.
fn lines(text: &str) -> (BTreeSet<NaiveDate>, Vec<BadLine>) {
    let mut dates = BTreeSet::new();
    let mut bad = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or("").trim();
        match date(content) {
            Some(date) => _ = dates.insert(date),
            None if content.is_empty() => {}
            None => bad.push(BadLine {
                line: at + 1,
                message: format!("`{}` is no date", clip(content)),
                hint: "write one date a line, as 2026-12-25; `#` begins a comment",
            }),
        }
    }
    if dates.is_empty() && bad.is_empty() {
        let message = "no date in this calendar".to_owned();
        bad.push(BadLine { line: 1, message, hint: "write one date a line, as 2026-12-25" });
    }
    (dates, bad)
}
