//! Schedules as other programs write them, and what they are as cron. Only a text that is not a valid cron expression is looked
//! at, so that nothing that is understood is ever taken for something else.

use std::fmt;

/// Another program's way to write a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `cron(0 19 ? * MON-FRI *)`, `rate(1 day)`.
    EventBridge,
    /// `0 0 19 ? * 2-6`.
    Quartz,
    /// `Mon..Fri 19:00`.
    OnCalendar,
    /// `@daily`.
    Shorthand,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EventBridge => "AWS EventBridge (minute first, year last, 1 is Sunday)",
            Self::Quartz => "Quartz (seconds first, `?`, 1 is Sunday)",
            Self::OnCalendar => "systemd's OnCalendar",
            Self::Shorthand => "a cron with names for whole expressions",
        })
    }
}

/// Names of the weekdays; in AWS and Quartz the first is 1.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// The last number of second, minute, hour, day and month.
const LAST: [u32; 5] = [59, 59, 23, 31, 12];

/// The dialect that `text` is written in, and what it may be here. The second still has to be read.
pub(super) fn recognize(text: &str) -> Option<(Dialect, Option<String>)> {
    let text = text.trim();
    if let Some(inner) = within(text, "cron(") {
        let fields: Vec<&str> = inner.split_whitespace().collect();
        return Some((Dialect::EventBridge, event_bridge(&fields)));
    }
    if within(text, "rate(").is_some() {
        return Some((Dialect::EventBridge, None));
    }
    if text.starts_with('@') && (!text.contains(char::is_whitespace) || text.starts_with("@every ")) {
        return Some((Dialect::Shorthand, named(&text[1..])));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let asks = |at: usize| fields.get(at).is_some_and(|field| *field == "?");
    match fields.len() {
        6 if asks(2) || asks(4) => Some((Dialect::EventBridge, event_bridge(&fields))),
        6 | 7 if asks(3) || asks(5) => Some((Dialect::Quartz, quartz(&fields))),
        6 if is_weekdays(fields[4]) && (fields[5] == "*" || is_year(fields[5])) => {
            Some((Dialect::EventBridge, event_bridge(&fields)))
        }
        1 => named(text).map(|ours| (Dialect::OnCalendar, Some(ours))).or_else(|| on_calendar(&fields)),
        _ => on_calendar(&fields),
    }
}

/// What stands in the brackets of `name…)`.
fn within<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let head = text.get(..name.len())?;
    head.eq_ignore_ascii_case(name).then(|| text[name.len()..].trim_end_matches(')'))
}

fn named(word: &str) -> Option<String> {
    let ours = match word.to_ascii_lowercase().as_str() {
        "hourly" => "0 * * * *",
        "daily" | "midnight" => "0 0 * * *",
        "weekly" => "0 0 * * MON",
        "monthly" => "0 0 1 * *",
        "yearly" | "annually" => "0 0 1 1 *",
        _ => return None,
    };
    Some(ours.to_owned())
}

fn is_weekdays(field: &str) -> bool {
    let known = |word: &str| WEEKDAYS.iter().any(|day| day.eq_ignore_ascii_case(word));
    field.split([',', '-']).all(known)
}

fn is_year(field: &str) -> bool {
    field.len() >= 4 && field.split([',', '-']).all(|year| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()))
}

/// Minute, hour, day, month, weekday, year.
fn event_bridge(fields: &[&str]) -> Option<String> {
    let [minute, hour, day, month, weekday, year] = *fields else { return None };
    ours(["0", minute, hour, day, month], weekday, year)
}

/// Second, minute, hour, day, month, weekday, and perhaps a year.
fn quartz(fields: &[&str]) -> Option<String> {
    let [second, minute, hour, day, month, weekday, ref rest @ ..] = *fields else { return None };
    ours([second, minute, hour, day, month], weekday, rest.first().unwrap_or(&"*"))
}

/// An expression without a year: one that is for some years only cannot be said.
fn ours(fields: [&str; 5], weekday: &str, year: &str) -> Option<String> {
    if year != "*" {
        return None;
    }
    let fields = fields.iter().zip(LAST).map(|(field, last)| stepped(field, last)).collect::<Vec<_>>();
    let skipped = usize::from(fields[0] == "0");
    Some(format!("{} {}", fields[skipped..].join(" "), numbered_from_one(weekday)?))
}

/// `0/15` of another dialect is `*/15`; `?` is `*`.
fn stepped(field: &str, last: u32) -> String {
    let part = |part: &str| match part.split_once('/') {
        Some(("0" | "*", step)) => format!("*/{step}"),
        Some((first, step)) if first.bytes().all(|b| b.is_ascii_digit()) => format!("{first}-{last}/{step}"),
        _ => part.replace('?', "*"),
    };
    field.split(',').map(part).collect::<Vec<_>>().join(",")
}

/// A weekday field whose 1 is Sunday, by names.
fn numbered_from_one(field: &str) -> Option<String> {
    let name = |text: &str| match text.parse::<usize>() {
        Ok(number) => WEEKDAYS.get(number.checked_sub(1)?).map(|day| (*day).to_owned()),
        Err(_) => Some(text.to_owned()),
    };
    let part = |part: &str| match part {
        "?" | "*" => Some("*".to_owned()),
        "L" => Some("SAT".to_owned()),
        _ if part.contains('#') => {
            let (day, which) = part.split_once('#')?;
            Some(format!("{}#{which}", name(day)?))
        }
        _ if part.ends_with('L') && part.len() == 2 => Some(format!("{}L", name(&part[..1])?)),
        _ => Some(part.split('-').map(name).collect::<Option<Vec<_>>>()?.join("-")),
    };
    Some(field.split(',').map(part).collect::<Option<Vec<_>>>()?.join(","))
}

/// Weekdays, date, time and zone of a systemd timer, each of which may be missing.
fn on_calendar(tokens: &[&str]) -> Option<(Dialect, Option<String>)> {
    let (mut weekdays, mut date, mut time) = ("*".to_owned(), None, None);
    let mut is_one = false;
    for token in tokens {
        let first = token.chars().next()?;
        if first.is_alphabetic()
            && let Some(days) = weekday_names(token)
        {
            is_one |= token.contains("..");
            weekdays = days;
        } else if token.contains(':') && !first.is_alphabetic() {
            is_one = true;
            time = Some(clock_time(token));
        } else if token.contains('-') && (first == '*' || first.is_ascii_digit()) {
            date = Some(month_and_day(token));
        } else if !(token.contains('/') && first.is_alphabetic() || *token == "UTC") {
            return None;
        }
    }
    is_one |= date.is_some() && tokens.len() == 1;
    if !is_one {
        return None;
    }
    let ours = || {
        let (month, day) = date.unwrap_or_else(|| Some(("*".to_owned(), "*".to_owned())))?;
        Some(format!("{} {day} {month} {weekdays}", time.unwrap_or_else(|| Some("0 0".to_owned()))?))
    };
    Some((Dialect::OnCalendar, ours()))
}

/// `Mon..Fri`, `Sat,Sun`, `Friday`.
fn weekday_names(token: &str) -> Option<String> {
    let number =
        |word: &str| WEEKDAYS.iter().position(|day| word.get(..3).is_some_and(|w| day.eq_ignore_ascii_case(w)));
    let part = |part: &str| match part.split_once("..").or_else(|| part.split_once('-')) {
        None => number(part).map(|day| WEEKDAYS[day].to_owned()),
        Some((first, last)) => {
            let (a, b) = (number(first)?, number(last)?);
            let (first, last) = (WEEKDAYS[a], WEEKDAYS[b]);
            Some(match (a <= b, a, b) {
                (true, ..) => format!("{first}-{last}"),
                (false, 6, 0) => "SAT,SUN".to_owned(),
                (false, 6, _) => format!("SAT,SUN-{last}"),
                (false, _, 0) => format!("{first}-SAT,SUN"),
                (false, ..) => format!("{first}-SAT,SUN-{last}"),
            })
        }
    };
    Some(token.trim_end_matches(',').split(',').map(part).collect::<Option<Vec<_>>>()?.join(","))
}

/// `19:00` or `19:00:00` as minute and hour, with seconds first where there are any.
fn clock_time(token: &str) -> Option<String> {
    let mut parts = token.split(':').map(field);
    let (hour, minute) = (parts.next()??, parts.next()??);
    match parts.next() {
        None => Some(format!("{minute} {hour}")),
        Some(second) => match second?.as_str() {
            "0" => Some(format!("{minute} {hour}")),
            second => Some(format!("{second} {minute} {hour}")),
        },
    }
}

/// `*-12-24` or `12-24` as month and day; a year cannot be said.
fn month_and_day(token: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = token.split('-').collect();
    match parts[..] {
        ["*", month, day] | [month, day] => Some((field(month)?, field(day)?)),
        _ => None,
    }
}

/// `07`, `19,20`, `1..5`, `*`.
fn field(text: &str) -> Option<String> {
    let number = |text: &str| text.parse::<u32>().ok().map(|number| number.to_string());
    let part = |part: &str| match part.split_once("..") {
        _ if part == "*" => Some("*".to_owned()),
        Some((first, last)) => Some(format!("{}-{}", number(first)?, number(last)?)),
        None => number(part),
    };
    Some(text.split(',').map(part).collect::<Option<Vec<_>>>()?.join(","))
}
