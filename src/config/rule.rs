//! `[[rule]]`: from what a rule file says to what a rule is.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::calendar::DateList;
use crate::config::key::{Many, One, Typed, section};
use crate::config::mail::Recipients;
use crate::config::name::Text;
use crate::config::origin::Origin;
use crate::config::reading::{clip, did_you_mean};
use crate::config::section::Section;
use crate::config::selection::{ExcludeKeys, SelectKeys, exclude, select};
use crate::config::value::{Node, Value};
use crate::domain::calendar_end::last_day;
use crate::domain::cron::Cron;
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::rule::{DEFAULT_MAX_STOPS, DEFAULT_MIN_AGE, DEFAULT_VERIFY_TIMEOUT, MailWhen, Mode, Rule};
use crate::domain::schedule::Schedule;
use crate::domain::zone::Zone;

section! {
    /// A file of rules.
    RuleFileKeys {
        /// Rules: what to stop, when, and with which guards.
        rule: Many<RuleKeys>, Required "";
    }
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[
        ("connection", "connections stand in offhours.toml"),
        ("mail", "`[mail]` stands in offhours.toml"),
        ("prices", "`[prices]` stands in offhours.toml"),
        ("protect", "`[protect]` stands in offhours.toml"),
        ("calendars", "`[calendars]` stands in offhours.toml"),
        ("rules", "each rule begins with `[[rule]]`"),
    ];
}

section! {
    /// One rule: what to stop, when, and with which guards.
    RuleKeys {
        /// Unique over all files: 1 to 64 of a-z, 0-9 and `-`. The history knows the rule by it.
        name: RuleName, Required r#""dev-evenings""#;
        /// What the rule is for; shown to people only.
        description: Text, Optional r#""Nobody uses the dev models after seven""#;
        /// False switches the rule off; it is still checked.
        enabled: bool, Default "true";
        /// The connection it acts on; may be left out where there is one.
        connection: ConnectionName, Optional r#""dev""#;
        /// When it stops: cron of five fields, or six with seconds first.
        stop: Cron, Required r#""0 19 * * MON-FRI""#;
        /// When the deployments are wanted again, as cron: the end of the off window. Without it, the window ends at
        /// the next `stop`.
        until: Cron, Optional r#""0 7 * * MON-FRI""#;
        /// IANA time zone in which `stop` and `until` are read; that of offhours.toml where it is left out.
        timezone: Zone, Optional r#""Europe/Berlin""#;
        /// Local dates on which `until` does not occur, so that the off window goes on: a list, the name of a calendar
        /// from `[calendars]`, or a file that ends in `.ics` or `.txt`.
        holidays: DateList, Optional r#"["2026-12-25", "2026-12-26"]"#;
        /// Local dates on which the rule does not stop: a list, a calendar's name, or a file.
        skip: DateList, Optional r#"["2026-12-31"]"#;
        /// `enforce` stops; `observe` fires, decides and reports, and never sends a stop.
        mode: Mode, Default r#""enforce""#;
        /// A run that would stop more is blocked whole: 1 to 10000.
        max_stops: MaxStops, Default "50";
        /// Younger deployments are left.
        min_age: TimeDelta, Default r#""30m""#;
        /// How long a run waits until AI Core reports STOPPED.
        verify_timeout: TimeDelta, Default r#""15m""#;
        /// How long before a firing a mail says what will be stopped and how to hold it; at least 5m.
        notice: Notice, Optional r#""30m""#;
        /// Which runs are mailed: all, those that differ from the run before or need a person, those that ended neither
        /// `done` nor `skipped`, or none.
        mail: MailWhen, Default r#""always""#;
        /// Recipients in addition to those of `[mail]`.
        to: Recipients, Optional r#"["team-a@example.com"]"#;
        /// What it stops: all given keys must match.
        select: One<SelectKeys>, Required r#"{ resource_groups = ["dev-*"] }"#;
        /// What it leaves all the same: any key that matches is enough.
        exclude: One<ExcludeKeys>, Optional r#"{ configurations = ["*-keep"] }"#;
    }
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[
        ("resource_groups", "it belongs under `[rule.select]` or `[rule.exclude]`"),
        ("cron", "a rule has `stop`, and `until`"),
        ("schedule", "a rule has `stop`, and `until`"),
        ("start", "a stopped deployment is never started again; `until` says when the off window ends"),
    ];
}

/// What offhours.toml gives to rules.
pub(super) struct Defaults {
    /// `timezone`.
    pub(super) zone: Option<Zone>,
    /// True where `timezone` is given, right or wrong.
    pub(super) has_zone: bool,
    /// All connections, with whether they are all right.
    pub(super) connections: Vec<ConnectionName>,
    /// True where there is a `[mail]`.
    pub(super) has_mail: bool,
    /// False where offhours.toml was not understood: then nothing it might say is missed.
    pub(super) understood: bool,
}

#[derive(Default)]
pub(super) struct Rules {
    /// Those that fire, in order.
    pub(super) enabled: Vec<Rule>,
    /// Those that are switched off.
    pub(super) disabled: Vec<RuleName>,
    pub(super) origins: BTreeMap<RuleName, Origin>,
}

impl Rules {
    /// Reads one `[[rule]]`.
    pub(super) fn read(&mut self, section: &Section<'_, RuleKeys>, defaults: &Defaults) {
        let name = section.need(|k| k.name);
        if let Some(name) = &name {
            self.claim(name, section);
        }
        let enabled = section.get(|k| k.enabled);
        let Some(rule) = resolve(section, name, defaults) else { return };
        if enabled == Some(false) {
            self.disabled.push(rule.name);
        } else {
            warn(section, &rule, defaults);
            self.enabled.push(rule);
        }
    }

    fn claim(&mut self, name: &RuleName, section: &Section<'_, RuleKeys>) {
        match self.origins.get(name) {
            Some(first) => section.place_of(|k| k.name).fault(
                format!("the name `{name}` is used by two rules"),
                format!("the first is at {first}; names are unique over all files"),
            ),
            None => _ = self.origins.insert(name.clone(), section.place().origin()),
        }
    }
}

fn resolve(section: &Section<'_, RuleKeys>, name: Option<RuleName>, defaults: &Defaults) -> Option<Rule> {
    let description = section.get(|k| k.description).map(|Text(text)| text);
    let connection = connection(section, defaults);
    let schedule = schedule(section, defaults);
    let mode = section.get(|k| k.mode).unwrap_or(Mode::Enforce);
    let max_stops = section.get(|k| k.max_stops).map_or(DEFAULT_MAX_STOPS, |MaxStops(n)| n);
    let min_age = section.get(|k| k.min_age).unwrap_or(DEFAULT_MIN_AGE);
    let verify_timeout = section.get(|k| k.verify_timeout).unwrap_or(DEFAULT_VERIFY_TIMEOUT);
    let notice = section.get(|k| k.notice).map(|Notice(notice)| notice);
    let mail = section.get(|k| k.mail).unwrap_or(MailWhen::Always);
    let to = section.get(|k| k.to).map_or_else(Vec::new, |Recipients(to)| to);
    let select = section.need_section(|k| k.select).map(|section| select(&section));
    let exclude = section.section(|k| k.exclude).map(|section| exclude(&section)).unwrap_or_default();
    Some(Rule {
        name: name?,
        description,
        connection: connection?,
        schedule: schedule?,
        mode,
        max_stops,
        min_age,
        verify_timeout,
        notice,
        mail,
        to: to.iter().map(|address| address.as_str().to_owned()).collect(),
        select: select?,
        exclude,
    })
}

fn schedule(section: &Section<'_, RuleKeys>, defaults: &Defaults) -> Option<Schedule> {
    let stop = section.need(|k| k.stop);
    let until = section.get(|k| k.until);
    let own = section.get(|k| k.timezone);
    if !section.has(|k| k.timezone) && !defaults.has_zone && defaults.understood {
        section.place().fault(
            "no time zone: neither this rule nor offhours.toml names one",
            "write `timezone = \"Europe/Berlin\"` here, or once at the head of offhours.toml",
        );
    }
    let dates =
        |dates: Option<DateList>| dates.map(|DateList(days)| days.keys().copied().collect()).unwrap_or_default();
    let holidays = dates(section.get(|k| k.holidays));
    let skip = dates(section.get(|k| k.skip));
    Some(Schedule { stop: stop?, until, zone: own.or_else(|| defaults.zone.clone())?, holidays, skip })
}

fn connection(section: &Section<'_, RuleKeys>, defaults: &Defaults) -> Option<ConnectionName> {
    let given = section.get(|k| k.connection);
    let known = &defaults.connections;
    if !defaults.understood || known.is_empty() {
        return given;
    }
    let all = || known.iter().map(ConnectionName::as_str);
    match given {
        Some(name) if known.contains(&name) => Some(name),
        Some(name) => {
            let hint = did_you_mean(name.as_str(), known.iter().map(ConnectionName::as_str), "offhours.toml defines");
            section.place_of(|k| k.connection).fault(format!("no connection is named `{name}`"), hint);
            None
        }
        None if section.has(|k| k.connection) => None,
        None if known.len() == 1 => known.first().cloned(),
        None => {
            let names = all().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!("`connection` is missing, and there are several: {names}");
            section.place().fault(message, format!("for example `connection = \"{}\"`", all().next().unwrap_or("")));
            None
        }
    }
}

/// What works and is probably not meant.
fn warn(section: &Section<'_, RuleKeys>, rule: &Rule, defaults: &Defaults) {
    const YEAR: TimeDelta = TimeDelta::days(366);
    let now = section.place().reading.now;
    let schedule = &rule.schedule;
    let name = &rule.name;
    if schedule.until.is_none() && section.has(|k| k.holidays) {
        let message = format!("`holidays` of rule `{name}` has no effect without `until`");
        section.place_of(|k| k.holidays).warn(message);
    }
    let holidays = (section.has(|k| k.holidays), "holidays", section.place_of(|k| k.holidays), &schedule.holidays);
    let skip = (section.has(|k| k.skip), "skip", section.place_of(|k| k.skip), &schedule.skip);
    for (_, key, place, dates) in [holidays, skip].into_iter().filter(|(given, ..)| *given) {
        let today = schedule.zone.wall_clock(now).date();
        if let Some(last) = dates.last().filter(|last| **last < today) {
            place.warn(format!("`{key}` of rule `{name}` is out of date: its last day was {last}"));
        } else if let Some(last) = last_day(dates, today) {
            place.warn(format!("`{key}` of rule `{name}` ends on {last}: add the dates that follow"));
        }
    }
    if !schedule.skip.is_empty() {
        let unskipped = schedule.stop.next_after(now, &schedule.zone);
        match (unskipped, schedule.next_firing(now)) {
            (Some(first), Some(next)) if next != first && next - now > YEAR => {
                let day = next.date_naive();
                section
                    .place_of(|k| k.skip)
                    .warn(format!("because of `skip`, rule `{name}` does not fire before {day}"));
            }
            (Some(_), None) => {
                section.place_of(|k| k.skip).warn(format!("because of `skip`, rule `{name}` never fires again"));
            }
            _ => {}
        }
    }
    if section.has(|k| k.to) && !defaults.has_mail {
        section.place_of(|k| k.to).warn(format!("rule `{name}` names recipients, and offhours.toml has no `[mail]`"));
    }
}

/// `max_stops`: 1 to 10000.
pub(super) struct MaxStops(u32);

impl MaxStops {
    const MOST: u32 = 10_000;
}

impl Typed for MaxStops {
    const WHAT: &'static str = "a whole number from 1 to 10000";

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": Self::MOST })
    }
}

impl Value for MaxStops {
    fn read(node: Node<'_>) -> Option<Self> {
        let DeValue::Integer(integer) = node.value else { return node.mismatch(Self::WHAT) };
        match i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| u32::try_from(n).ok()) {
            Some(n) if (1..=Self::MOST).contains(&n) => Some(Self(n)),
            _ => {
                let shown = clip(integer.as_str());
                node.refuse(format!("`{}` is out of range 1-{}: {shown}", node.key, Self::MOST))
            }
        }
    }
}

/// `notice`: at least five minutes, so that who reads it can still hold something.
pub(super) struct Notice(TimeDelta);

impl Notice {
    const LEAST: TimeDelta = TimeDelta::minutes(5);
}

impl Typed for Notice {
    const WHAT: &'static str = TimeDelta::WHAT;

    fn schema() -> Json {
        TimeDelta::schema()
    }
}

impl Value for Notice {
    fn read(node: Node<'_>) -> Option<Self> {
        let notice = TimeDelta::read(node)?;
        if notice < Self::LEAST {
            return node.refuse("`notice` is shorter than five minutes: that leaves no time to add a hold".to_owned());
        }
        Some(Self(notice))
    }
}
