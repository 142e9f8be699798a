//! `offhours check`: all faults of all files, or each rule's next firings and off windows, and what is odd about them.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::args::Check;
use crate::cli::check_online::{self, Sight};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::Session;
use crate::cli::{oddities, output};
use crate::config::{self, Config, ConfigFault, Days, Faults, Warning};
use crate::domain::calendar::{ClockChange, Touched, overlap, touched};
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::locale::Locale;
use crate::domain::plain_text::clean;
use crate::domain::plural::plural;
use crate::domain::rule::{Mode, Rule};
use crate::ledger::Ledger;
use crate::report::form::Form;

/// Firings shown of each rule.
const FIRINGS_SHOWN: usize = 3;
/// Holidays and skipped dates shown of each rule.
const DATES_SHOWN: usize = 3;
/// Days shown of each calendar, and how far ahead.
const DAYS_SHOWN: usize = 40;
const A_YEAR: TimeDelta = TimeDelta::days(366);
/// Firings of a rule that are compared with their own off windows.
const FIRINGS_COMPARED: usize = 30;
/// Clock changes shown of each rule; a rule that fires all night would fill pages.
const CHANGES_SHOWN: usize = 4;

/// Something odd: about which rule, where, and what.
struct Odd {
    rule: Option<RuleName>,
    /// In the files, where it is about a place in them.
    at: Option<Warning>,
    message: String,
}

impl Odd {
    fn of(rule: &Rule, message: String) -> Self {
        Self { rule: Some(rule.name.clone()), at: None, message }
    }

    fn general(message: impl Into<String>) -> Self {
        Self { rule: None, at: None, message: message.into() }
    }

    fn in_files(warning: Warning) -> Self {
        Self { rule: None, message: warning.to_string(), at: Some(warning) }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "rule": self.rule.as_ref().map(RuleName::as_str), "message": self.message, "severity": "warning",
        });
        if let Some(at) = &self.at {
            value["path"] = json!(at.path);
            value["line"] = json!(at.line);
            value["column"] = json!(at.column);
            value["key"] = json!(at.key);
        }
        value
    }
}

pub(crate) async fn check(session: &Session, args: &Check) -> Result<Exit, CommandError> {
    let (config, warnings) = match load(session, args) {
        Ok(loaded) => loaded,
        Err(faults) => {
            if session.json {
                let found: Vec<Value> = faults.iter().map(json_fault).collect();
                output::print_json(&json!({ "faults": found, "rules": [], "warnings": [] }))?;
            }
            return Err(faults.into());
        }
    };
    let now = session.now();
    let mut odd: Vec<Odd> = warnings.into_iter().map(Odd::in_files).collect();
    for rule in &config.rules {
        odd.extend(oddities::sentences(rule, now).map(|text| Odd::of(rule, text)));
        odd.extend(clock_changes(rule, now).into_iter().map(|text| Odd::of(rule, text)));
        odd.extend(self_overlap(rule, now).map(|text| Odd::of(rule, text)));
    }
    odd.extend(overlaps(&config.rules, now));
    if config.prices.periods.is_empty() {
        odd.push(Odd::general("there is no [prices]: reports show node hours and no money"));
    }
    if config.mail.is_none() {
        odd.push(Odd::general("there is no [mail]: nobody is told what was stopped, or that something failed"));
    }
    if !args.no_secrets {
        odd.extend(untried(&config).await);
    }
    let sight = if args.online { Some(check_online::look(session, &config, now).await?) } else { None };
    let seen = sight.iter().flat_map(|sight| &sight.warnings);
    odd.extend(seen.map(|(rule, message)| Odd { rule: rule.clone(), at: None, message: message.clone() }));
    if session.json {
        let rules: Vec<Value> = config.rules.iter().map(|rule| json_rule(rule, now)).collect();
        let warnings: Vec<Value> = odd.iter().map(Odd::json).collect();
        output::print_json(&json!({
            "config": config.path, "time_zone_data": crate::clock::zone_data(), "rules": rules, "warnings": warnings,
            "calendars": json_calendars(&config), "faults": [], "online": sight.as_ref().map(Sight::json),
        }))?;
    } else {
        output::print(&text(&config, &odd, sight.as_ref(), now))?;
    }
    if args.strict && !odd.is_empty() {
        let count = plural(odd.len(), "warning");
        return Err(CommandError::Missing(format!("{count}, and with `--strict` there must be none")));
    }
    Ok(if sight.is_some_and(|sight| sight.mail_failed()) { Exit::Problem } else { Exit::Well })
}

fn load(session: &Session, args: &Check) -> Result<(Config, Vec<Warning>), Faults> {
    let path = config::find(session.config.as_deref())?;
    if args.no_secrets { config::load_without_secrets(&path) } else { config::load(&path) }
}

fn json_fault(fault: &ConfigFault) -> Value {
    json!({
        "path": fault.path, "line": fault.line, "column": fault.column, "key": fault.key, "message": fault.message,
        "hint": fault.hint, "severity": "fault",
    })
}

fn text(config: &Config, odd: &[Odd], sight: Option<&Sight>, now: DateTime<Utc>) -> String {
    let mut text = heading(config);
    for line in sight.iter().flat_map(|sight| sight.lines()) {
        let _ = writeln!(text, "{line}");
    }
    for rule in &config.rules {
        let _ = write!(text, "\n{}", describe(rule, config, now));
        if let Some(line) = sight.and_then(|sight| sight.line_of(&rule.name)) {
            let _ = writeln!(text, "  {line}");
        }
        for odd in odd.iter().filter(|odd| odd.rule.as_ref() == Some(&rule.name)) {
            let _ = writeln!(text, "  warning: {}", odd.message);
        }
    }
    for (name, days) in &config.calendars {
        text.push_str(&calendar(name, days, config, now));
    }
    for odd in odd.iter().filter(|odd| odd.rule.is_none()) {
        let _ = match &odd.at {
            Some(at) => write!(text, "\n{at}"),
            None => write!(text, "\nwarning: {}", odd.message),
        };
    }
    text.trim_end().to_owned() + "\n"
}

/// The days of a calendar within a year, by the names they have there: a wrong calendar is seen at a glance.
fn calendar(name: &str, days: &Days, config: &Config, now: DateTime<Utc>) -> String {
    let zone = config.zone_or_utc();
    let form = Form { locale: config.locale(), zone: &zone };
    let today = zone.wall_clock(now).date();
    let coming: Vec<_> = days.range(today..today + A_YEAR).collect();
    let mut text = format!("\ncalendar {}\n", clean(name));
    for (day, called) in coming.iter().take(DAYS_SHOWN) {
        let _ = writeln!(text, "  {}", format!("{}  {}", form.day(**day), clean(called)).trim_end());
    }
    match coming.len() {
        0 => text.push_str("  no day within a year\n"),
        all if all > DAYS_SHOWN => _ = writeln!(text, "  and {} more within a year", all - DAYS_SHOWN),
        _ => {}
    }
    text
}

/// Rules that enforce and have never been tried. Where there is no ledger, none has.
async fn untried(config: &Config) -> Vec<Odd> {
    let enforcing = config.rules.iter().filter(|rule| rule.mode == Mode::Enforce);
    let names: Vec<RuleName> = enforcing.map(|rule| rule.name.clone()).collect();
    let tried = match Ledger::open_to_read(&config.state_dir) {
        Ok(None) => Ok(vec![false; names.len()]),
        Ok(Some(ledger)) => {
            let names = names.clone();
            ledger.read(move |tx| names.iter().map(|name| tx.has_been_tried(name)).collect()).await
        }
        Err(error) => Err(error),
    };
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) => {
            let message = format!("the ledger cannot be read, so it is not known which rules have ever run: {error}");
            return vec![Odd::general(message)];
        }
    };
    let untried = names.into_iter().zip(tried).filter(|(_, tried)| !tried);
    let message = "enforces and has never run: run it with `mode = \"observe\"` for a week first";
    untried.map(|(name, _)| Odd { rule: Some(name), at: None, message: message.to_owned() }).collect()
}

fn heading(config: &Config) -> String {
    let rules = config.rules.len();
    let mut text = format!("{}: no faults, {}", config.path.display(), plural(rules, "rule"));
    if !config.disabled.is_empty() {
        let _ = write!(text, ", {} disabled", config.disabled.len());
    }
    let _ = writeln!(text, "\ntime zone data {}", crate::clock::zone_data());
    text
}

fn describe(rule: &Rule, config: &Config, now: DateTime<Utc>) -> String {
    let locale = config.locale();
    let form = Form { locale, zone: &rule.schedule.zone };
    let mode = if rule.mode == Mode::Observe { ", observes only" } else { "" };
    let mut text = format!("{} on {}{mode}\n", rule.name, rule.connection);
    if let Some(description) = &rule.description {
        let _ = writeln!(text, "  {description}");
    }
    let mut firings = rule.schedule.firings(now).take(FIRINGS_SHOWN).peekable();
    if firings.peek().is_none() {
        text.push_str("  never fires again\n");
    }
    for at in firings {
        let window = rule.schedule.off_window(at);
        let hours = (window.to - window.from).num_minutes();
        let _ =
            writeln!(text, "  {}  off for {} h {:02} min", form.span(window.from, window.to), hours / 60, hours % 60);
    }
    text.push_str(&dates(rule, &form, now));
    text
}

fn json_rule(rule: &Rule, now: DateTime<Utc>) -> Value {
    let firings = rule.schedule.firings(now).take(FIRINGS_SHOWN).map(|at| {
        let window = rule.schedule.off_window(at);
        json!({ "at": rfc3339(at), "off_window": { "from": rfc3339(window.from), "to": rfc3339(window.to) } })
    });
    json!({
        "rule": rule.name.as_str(), "connection": rule.connection.as_str(), "mode": rule.mode.as_str(),
        "stop": rule.schedule.stop.as_str(), "until": rule.schedule.until.as_ref().map(|until| until.as_str()),
        "timezone": rule.schedule.zone.name(), "next": firings.collect::<Vec<_>>(),
    })
}

/// Each calendar with all its days, which programs can compare.
fn json_calendars(config: &Config) -> Value {
    let days = |days: &Days| -> Vec<Value> {
        days.iter().map(|(day, name)| json!({ "date": day.to_string(), "name": name })).collect()
    };
    config.calendars.iter().map(|(name, all)| json!({ "name": name, "days": days(all) })).collect()
}

/// The next dates of `holidays` and `skip`, where there are any.
fn dates(rule: &Rule, form: &Form<'_>, now: DateTime<Utc>) -> String {
    let today = rule.schedule.zone.wall_clock(now).date();
    let next = |dates: &std::collections::BTreeSet<chrono::NaiveDate>| {
        let shown: Vec<String> = dates.range(today..).take(DATES_SHOWN).map(|day| form.day(*day)).collect();
        shown.join(", ")
    };
    let (holidays, skip) = (next(&rule.schedule.holidays), next(&rule.schedule.skip));
    let mut text = String::new();
    if !holidays.is_empty() {
        let _ = writeln!(text, "  stays off on {holidays} (holidays)");
    }
    if !skip.is_empty() {
        let _ = writeln!(text, "  does not stop on {skip} (skip)");
    }
    text
}

/// Firings that come while the off window of the one before still lasts.
fn self_overlap(rule: &Rule, now: DateTime<Utc>) -> Option<String> {
    let firings: Vec<DateTime<Utc>> = rule.schedule.firings(now).take(FIRINGS_COMPARED).collect();
    let pair = firings.windows(2).find(|pair| rule.schedule.off_window(pair[0]).to > pair[1])?;
    let until = rule.schedule.off_window(pair[0]).to;
    let form = Form { locale: Locale::En, zone: &rule.schedule.zone };
    Some(format!("fires again at {} while it is off until {}", form.instant(pair[1]), form.instant(until)))
}

/// What the clock changes of the coming year do to `stop` and `until`.
fn clock_changes(rule: &Rule, now: DateTime<Utc>) -> Vec<String> {
    let schedule = &rule.schedule;
    let of = |name: &str, cron: &crate::domain::cron::Cron| -> Vec<String> {
        let found = touched(cron, &schedule.zone, now);
        let mut said: Vec<String> =
            found.iter().take(CHANGES_SHOWN).map(|touched| sentence(name, touched, rule)).collect();
        if found.len() > CHANGES_SHOWN {
            said.push(format!("`{name}`: {} more such times within a year", found.len() - CHANGES_SHOWN));
        }
        said
    };
    let mut said = of("stop", &schedule.stop);
    said.extend(schedule.until.as_ref().map_or_else(Vec::new, |until| of("until", until)));
    said
}

fn sentence(name: &str, touched: &Touched, rule: &Rule) -> String {
    let local = |at: &DateTime<Utc>| {
        let zone = &rule.schedule.zone;
        format!("{} {}", zone.wall_clock(*at).format("%H:%M:%S"), zone.abbreviation(*at))
    };
    let wall = touched.wall.format("%Y-%m-%d %H:%M");
    match &touched.effect {
        ClockChange::Moved(at) => format!("`{name}` at {wall} falls in a clock change and happens at {}", local(at)),
        ClockChange::LeftOut => format!("`{name}` at {wall} falls in a clock change and does not happen"),
        ClockChange::Once(at) => {
            format!("`{name}` at {wall} comes twice and happens the first time only, at {}", local(at))
        }
        ClockChange::Twice(first, second) => {
            format!("`{name}` at {wall} comes twice and happens twice, at {} and {}", local(first), local(second))
        }
    }
}

fn overlaps(rules: &[Arc<Rule>], now: DateTime<Utc>) -> Vec<Odd> {
    // Each pair once; thousands of rules are not compared with each other.
    const MOST_RULES: usize = 300;
    let mut found = Vec::new();
    if rules.len() > MOST_RULES {
        found.push(Odd::general(format!("only the first {MOST_RULES} rules were looked through for overlaps")));
    }
    for (index, rule) in rules.iter().enumerate().take(MOST_RULES) {
        for other in rules.iter().take(MOST_RULES).skip(index + 1) {
            if let Some(at) = overlap(rule, other, now) {
                let at = rfc3339(at);
                found.push(Odd::of(
                    rule,
                    format!("overlaps `{}`, first at {at}: the first to fire stops the deployment, and the other finds it off", other.name),
                ));
            }
        }
    }
    found
}
