//! Values that are times: cron expressions, zones, durations, dates.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::clock::BadZone;
use crate::config::key::Typed;
use crate::config::reading::clip;
use crate::config::value::{Node, Value};
use crate::domain::cron::{BadCron, Cron};
use crate::domain::duration::read_duration;
use crate::domain::plain_text::clean;
use crate::domain::zone::Zone;

/// The longest duration: a year.
const LONGEST: TimeDelta = TimeDelta::days(366);

impl Typed for Cron {
    const WHAT: &'static str = "a cron expression in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^\s*(\S+\s+){4,5}\S+\s*$" })
    }
}

impl Value for Cron {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let shown = clip(text);
        let bad = match node.at.reading.cron(text) {
            Ok(cron) => return Some(cron),
            Err(bad) => bad,
        };
        match bad {
            BadCron::Never => {
                let verb = if node.key == "until" { "occurs" } else { "fires" };
                node.refuse_with(
                    format!("`{}` never {verb}: no date matches `{shown}`", node.key),
                    format!("some dates, such as 30 February, do not exist; `{}` occurs", bare(node.example)),
                )
            }
            BadCron::FieldCount(_) => node.refuse_with(
                format!("`{shown}` is not a valid cron expression: {bad}"),
                format!("the five are minute, hour, day, month, weekday: `{}`", bare(node.example)),
            ),
            BadCron::Foreign { dialect, instead } => {
                let message = format!("`{shown}` is not a valid cron expression: it is written for {dialect}");
                match instead {
                    Some(cron) => node.refuse_with(message, format!("write `{cron}`")),
                    None => node.refuse_with(message, cron_hint(node)),
                }
            }
            BadCron::OutOfRange { .. } | BadCron::Field(_) => {
                node.refuse_with(format!("`{shown}` is not a valid cron expression: {bad}"), cron_hint(node))
            }
        }
    }
}

fn cron_hint(node: Node<'_>) -> String {
    let example = bare(node.example);
    let means = match example {
        "0 19 * * MON-FRI" => "stops at 19:00 on weekdays",
        "0 7 * * MON-FRI" => "ends the off window at 07:00 on weekdays",
        _ => "is one",
    };
    format!("`{example}` {means}; `offhours next '{example}' --timezone Europe/Berlin` shows when")
}

fn bare(example: &str) -> &str {
    example.trim_matches('"')
}

impl Typed for Zone {
    const WHAT: &'static str = "an IANA time zone in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(UTC|[A-Za-z_]+/[A-Za-z0-9_+/-]+)$" })
    }
}

impl Value for Zone {
    fn read(node: Node<'_>) -> Option<Self> {
        let bad = match node.at.reading.zone(node.text(Self::WHAT)?) {
            Ok(zone) => return Some(zone),
            Err(bad) => bad,
        };
        let hint = match &bad {
            BadZone::Unknown { suggestion: Some(name), .. } => format!("did you mean `{name}`?"),
            BadZone::Unknown { suggestion: None, .. } => node.for_example(),
            BadZone::Windows { iana, .. } => format!("write `{iana}`"),
            BadZone::Abbreviation(_) => "an abbreviation does not say when clocks change; a place does".to_owned(),
        };
        node.refuse_with(clean(&bad.to_string()), hint)
    }
}

impl Typed for TimeDelta {
    const WHAT: &'static str = "a duration in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$" })
    }
}

impl Value for TimeDelta {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let shown = clip(text);
        if text.trim_start().starts_with('-') {
            return node.refuse(format!("`{}` is negative: `{shown}`", node.key));
        }
        match read_duration(text) {
            None => node.refuse(format!("`{shown}` is not a valid duration: write numbers with `s`, `m`, `h` or `d`")),
            Some(duration) if duration.is_zero() => node.refuse(format!("`{}` is zero: `{shown}`", node.key)),
            Some(duration) if duration <= LONGEST => Some(duration),
            Some(_) => node.refuse(format!("`{}` is longer than a year: `{shown}`", node.key)),
        }
    }
}

impl Typed for NaiveDate {
    const WHAT: &'static str = "a date";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
    }
}

impl Value for NaiveDate {
    fn read(node: Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::String(text) => match date(text) {
                Some(date) => Some(date),
                None => node
                    .refuse(format!("`{}` is not a valid date: write year, month and day, as 2026-12-25", clip(text))),
            },
            DeValue::Datetime(toml::value::Datetime { date: Some(date), time: None, offset: None }) => {
                Self::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
                    .or_else(|| node.mismatch(Self::WHAT))
            }
            DeValue::Datetime(_) => node.refuse(format!("`{}` takes a date alone, without a time", node.key)),
            _ => node.mismatch(Self::WHAT),
        }
    }
}

/// Reads `2026-12-25`, and nothing looser.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let exact = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if exact { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok() } else { None }
}
