//! `offhours check`: all faults of all files, or each rule's next firings and off windows, and what is odd about them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::args::Check;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan::RuleSurvey;
use crate::cli::{Session, output};
use crate::config::{self, Config};
use crate::domain::calendar::{Effect, Touched, overlap, touched};
use crate::domain::instant::rfc3339;
use crate::domain::money::Charge;
use crate::domain::rule::{Mode, Rule};
use crate::report::form::Form;

/// Firings shown of each rule.
const FIRINGS_SHOWN: usize = 3;
/// Holidays and skipped dates shown of each rule.
const DATES_SHOWN: usize = 3;
/// Firings of a rule that are compared with their own off windows.
const FIRINGS_COMPARED: usize = 30;
/// Clock changes shown of each rule; a rule that fires all night would fill pages.
const CHANGES_SHOWN: usize = 4;

pub async fn check(session: &Session, args: &Check) -> Result<Exit, Failure> {
    let (config, warnings) = config::load(&config::find(session.config.as_deref())?)?;
    let now = session.now();
    let mut odd: Vec<(Option<&Rule>, String)> = warnings.iter().map(|warning| (None, warning.to_string())).collect();
    for rule in &config.rules {
        odd.extend(clock_changes(rule, now).into_iter().map(|text| (Some(&**rule), text)));
        odd.extend(self_overlap(rule, now).map(|text| (Some(&**rule), text)));
    }
    odd.extend(overlaps(&config.rules, now));
    if config.prices.periods.is_empty() {
        odd.push((None, "there is no [prices]: reports show node hours and no money".to_owned()));
    }
    let mut online = Vec::new();
    if args.online {
        online = check_online(session, &config, now).await?;
    }
    if session.json {
        let rules: Vec<Value> = config.rules.iter().map(|rule| json_rule(rule, now)).collect();
        let warnings: Vec<Value> = odd
            .iter()
            .map(|(rule, text)| (rule.map(|rule| rule.name.to_string()), text.clone()))
            .chain(online.into_iter().map(|(rule, text)| (Some(rule.name.to_string()), text)))
            .map(|(rule, message)| json!({ "rule": rule, "message": message }))
            .collect();
        output::print_json(&json!({
            "config": config.path, "time_zone_data": crate::clock::zone_data(), "rules": rules, "warnings": warnings,
        }))?;
        return Ok(Exit::Well);
    }
    let mut text = heading(&config);
    for rule in &config.rules {
        let _ = write!(text, "\n{}", describe(rule, &config, now));
        let own = odd.iter().filter(|(of, _)| of.is_some_and(|of| of.name == rule.name)).map(|(_, text)| text);
        for warning in own.chain(online.iter().filter(|(of, _)| of.name == rule.name).map(|(_, text)| text)) {
            let _ = writeln!(text, "  warning: {warning}");
        }
    }
    for (_, warning) in odd.iter().filter(|(rule, _)| rule.is_none()) {
        let _ = write!(text, "\nwarning: {}", warning.replace(": warning: ", ": "));
    }
    output::print(&(text.trim_end().to_owned() + "\n"))?;
    Ok(Exit::Well)
}

fn heading(config: &Config) -> String {
    let rules = config.rules.len();
    let mut text =
        format!("{}: no faults, {rules} {}", config.path.display(), if rules == 1 { "rule" } else { "rules" });
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
    Some(format!("fires again at {} while it is off until {}", rfc3339(pair[1]), rfc3339(until)))
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
        Effect::Moved(at) => format!("`{name}` at {wall} falls in a clock change and happens at {}", local(at)),
        Effect::LeftOut => format!("`{name}` at {wall} falls in a clock change and does not happen"),
        Effect::Once(at) => format!("`{name}` at {wall} comes twice and happens the first time only, at {}", local(at)),
        Effect::Twice(first, second) => {
            format!("`{name}` at {wall} comes twice and happens twice, at {} and {}", local(first), local(second))
        }
    }
}

fn overlaps(rules: &[Arc<Rule>], now: DateTime<Utc>) -> Vec<(Option<&Rule>, String)> {
    // Each pair once; thousands of rules are not compared with each other.
    const MOST_RULES: usize = 300;
    let mut found = Vec::new();
    if rules.len() > MOST_RULES {
        found.push((None, format!("only the first {MOST_RULES} rules were looked through for overlaps")));
    }
    for (index, rule) in rules.iter().enumerate().take(MOST_RULES) {
        for other in rules.iter().take(MOST_RULES).skip(index + 1) {
            if let Some(at) = overlap(rule, other, now) {
                let at = rfc3339(at);
                found.push((
                    Some(&**rule),
                    format!("overlaps `{}`, first at {at}: what the one has stopped, the other finds off", other.name),
                ));
            }
        }
    }
    found
}

/// What only AI Core can tell: rules that match nothing, plans without a price.
async fn check_online<'a>(
    session: &Session,
    config: &'a Config,
    now: DateTime<Utc>,
) -> Result<Vec<(&'a Rule, String)>, Failure> {
    let mut found = Vec::new();
    let mut survey = RuleSurvey::open(session, config, now).await?;
    for rule in &config.rules {
        let (mut matches, mut unpriced) = (0_usize, BTreeSet::new());
        let gaps = survey.of(rule, |planned| {
            matches += 1;
            if let Charge::Unpriced { plan } = planned.rate.charge {
                unpriced.insert(plan);
            }
        });
        let gaps = gaps.await?;
        if matches == 0 {
            found.push((&**rule, "matches no deployment now".to_owned()));
        }
        for (group, error) in &gaps.failed {
            found.push((&**rule, format!("resource group `{}` could not be listed: {error}", group.id)));
        }
        for plan in unpriced {
            found.push((&**rule, format!("no price for `{plan}`: its node hours are shown without money")));
        }
    }
    Ok(found)
}
