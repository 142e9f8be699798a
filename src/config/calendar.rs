//! Calendars: dates in a list, in a file, or under a name that `[calendars]` defines.

use std::path::Path;
use std::rc::Rc;

use chrono::NaiveDate;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::content_line::BadLine;
use crate::config::days::Days;
use crate::config::ics::{self, Contents};
use crate::config::key::Typed;
use crate::config::reading::{Calendar, Place, clip, did_you_mean};
use crate::config::source::NoText;
use crate::config::time::date;
use crate::config::value::{Node, Value};

/// A calendar as `[calendars]` defines it: a list of dates or a file.
pub(super) struct Definition(pub(super) Rc<Days>);

/// Dates as a rule names them: a list, a file, or a defined name.
pub(super) struct DateList(pub(super) Rc<Days>);

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

impl Typed for DateList {
    const WHAT: &'static str =
        "a list of dates, a calendar's name, or the name of a file that ends in `.ics` or `.txt`";

    fn schema() -> Json {
        json!({ "anyOf": [Vec::<NaiveDate>::schema(), { "type": "string", "minLength": 1 }] })
    }
}

impl Value for DateList {
    fn read(node: Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::String(text) if is_file(text) => file(node, text).map(Self),
            DeValue::String(text) => named(node, text).map(Self),
            DeValue::Array(_) => list(node).map(Self),
            _ => node.mismatch(Self::WHAT),
        }
    }
}

fn list(node: Node<'_>) -> Option<Rc<Days>> {
    Vec::<NaiveDate>::read(node).map(|dates| Rc::new(dates.into_iter().map(|date| (date, String::new())).collect()))
}

fn named(node: Node<'_>, name: &str) -> Calendar {
    if !node.at.reading.understood.get() {
        return None;
    }
    match node.at.reading.calendar(name) {
        Ok(calendar) => calendar,
        Err(known) if known.is_empty() => node.refuse_with(
            format!("`{}` is not a calendar: offhours.toml defines none", clip(name)),
            "define it under `[calendars]`, name a file that ends in `.ics` or `.txt`, or list dates",
        ),
        Err(known) => {
            let hint = did_you_mean(name, known.iter().map(String::as_str), "`[calendars]` defines");
            node.refuse_with(format!("`{}` is not a calendar that offhours.toml defines", clip(name)), hint)
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
        let at_line = |line| Place { source: &source, offset: source.line_start(line), ..node.at };
        let Contents { days, bad, meetings } =
            if has_ending(name, "ics") { ics::read(source.text()) } else { lines(source.text()) };
        if let Some(first) = meetings.first() {
            let others = match meetings.len() - 1 {
                0 => String::new(),
                1 => ", and so is 1 more".to_owned(),
                others => format!(", and so are {others} more"),
            };
            at_line(*first).warn(format!("a meeting of some hours is not a whole day and is skipped{others}"));
        }
        let complete = bad.is_empty();
        for BadLine { line, message, hint } in bad {
            at_line(line).fault(message, hint);
        }
        complete.then(|| Rc::new(days))
    })
}

/// Reads dates, one a line; `#` begins a comment, which is the day's name.
fn lines(text: &str) -> Contents {
    let mut contents = Contents::default();
    for (at, line) in text.lines().enumerate() {
        let (content, name) = line.split_once('#').unwrap_or((line, ""));
        let content = content.trim();
        match date(content) {
            Some(date) => _ = contents.days.insert(date, name.trim().to_owned()),
            None if content.is_empty() => {}
            None => contents.bad.push(BadLine {
                line: at + 1,
                message: format!("`{}` is not a valid date", clip(content)),
                hint: "write one date a line, as 2026-12-25; `#` begins a comment",
            }),
        }
    }
    if contents.days.is_empty() && contents.bad.is_empty() {
        let message = "no date in this calendar".to_owned();
        contents.bad.push(BadLine { line: 1, message, hint: "write one date a line, as 2026-12-25" });
    }
    contents
}
