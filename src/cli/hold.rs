//! `offhours hold`: "not tonight", beside a running daemon. It needs the ledger, and no more of the configuration than was
//! understood.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::cli::args::{HoldAdd, HoldCommand};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::hold_answer::HoldAnswer;
use crate::cli::hold_effect::{HoldEffect, effect};
use crate::cli::session::Session;
use crate::cli::{output, when};
use crate::config::{Outline, nearest};
use crate::domain::hold::{Hold as DomainHold, HoldTarget, LONG};
use crate::domain::id::{BadId, DeploymentId, ResourceGroup, RuleName};
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::{clean, shorten};
use crate::ledger::Ledger;
use crate::ledger::lock::daemon;
use crate::report::form::Form;
use crate::report::grid::Grid;

const LONGEST_REASON: usize = 500;
/// Nobody remembers a hold for longer.
const LONGEST: TimeDelta = TimeDelta::days(366);
const FOR_GOOD: &str =
    "`[rule.exclude]`, or the label `ext.ai.sap.com/offhours = \"keep\"`, keep something on for good";

pub(crate) async fn hold(session: &Session, command: HoldCommand) -> Result<Exit, CommandError> {
    match command {
        HoldCommand::Add(args) => add(session, &session.outline()?, args).await,
        HoldCommand::List => list(session, &session.outline_without_secrets()?).await,
        HoldCommand::Remove { id } => remove(session, &session.outline_without_secrets()?, id).await,
    }
}

async fn add(session: &Session, outline: &Outline, args: HoldAdd) -> Result<Exit, CommandError> {
    let now = session.now();
    let hold = asked_for(outline, &args, now)?;
    let ledger = Ledger::open_existing(outline.state_dir())?;
    let effect = effect(session, outline, &ledger, &hold).await?;
    if !effect.knows(&hold.target) && effect.doubts.is_empty() && !args.anyway {
        return Err(unknown(&hold.target, &effect));
    }
    let written = hold.clone();
    let id =
        ledger.write(move |tx| tx.add_hold(&written.target, written.until, &written.reason, &written.by, now)).await?;
    let hold = DomainHold { id, ..hold };
    let answer =
        HoldAnswer { hold: &hold, effect: &effect, daemon: daemon(ledger.directory()), ledger: ledger.directory() };
    if session.json {
        output::print_json(&answer.json(json_hold(&hold)))?;
    } else {
        let zone = outline.zone_or_utc();
        output::print(&answer.text(&Form { locale: outline.locale(), zone: &zone }))?;
    }
    Ok(Exit::Well)
}

/// The hold that `args` describe, without a number.
fn asked_for(outline: &Outline, args: &HoldAdd, now: DateTime<Utc>) -> Result<DomainHold, CommandError> {
    let target = target(outline, args)?;
    let until = when::end_of_hold(&args.until, outline.zone(), now)?;
    if until <= now {
        return Err(CommandError::usage(format!("the hold would end at {}, which is over", rfc3339(until))));
    }
    if until - now > LONGEST {
        return Err(CommandError::Usage {
            message: format!("a hold lasts a year at most, and this one until {}", rfc3339(until)),
            hint: Some(FOR_GOOD.to_owned()),
        });
    }
    if until - now > LONG && !args.long {
        return Err(CommandError::Usage {
            message: format!("the hold would last {} days, until {}", (until - now).num_days(), rfc3339(until)),
            hint: Some(format!("add `--long` if that is meant; {FOR_GOOD}")),
        });
    }
    let reason = args.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(CommandError::usage(format!("a hold needs a reason of at most {LONGEST_REASON} characters")));
    }
    let by = args.by.clone().unwrap_or_else(user).trim().to_owned();
    if by.is_empty() {
        return Err(CommandError::usage("a hold needs somebody who wants it: `--by NAME`"));
    }
    Ok(DomainHold { id: 0, target, created_at: now, until, reason, by, removed_at: None })
}

fn unknown(target: &HoldTarget, effect: &HoldEffect) -> CommandError {
    let likely = match effect.option {
        Some(option) => Some(format!("{option} {}", shorten(target.name(), 80))),
        None => nearest(target.name(), effect.names.iter().map(String::as_str)).map(|known| shorten(known, 80)),
    };
    let likely = likely.map_or_else(String::new, |known| format!("did you mean `{known}`? "));
    let noun = match target {
        HoldTarget::Deployment(_) => "deployment",
        HoldTarget::ResourceGroup(_) => "resource group",
        HoldTarget::Configuration(_) => "configuration",
        HoldTarget::Rule(_) => "rule",
    };
    CommandError::Usage {
        message: format!(
            "there is no {noun} `{}` where a rule looks, and no run has met one: nothing was held",
            shorten(target.name(), 80)
        ),
        hint: Some(format!("{likely}`--anyway` holds the name all the same")),
    }
}

async fn list(session: &Session, outline: &Outline) -> Result<Exit, CommandError> {
    let now = session.now();
    let holds = Ledger::read_where_it_is(outline.state_dir(), move |tx| tx.holds(now)).await?;
    if session.json {
        output::print_json_list(holds.iter().map(json_hold))?;
    } else if holds.is_empty() {
        output::print("no holds are in force\n")?;
    } else {
        let zone = outline.zone_or_utc();
        let form = Form { locale: outline.locale(), zone: &zone };
        let mut table = Grid::new(&["HOLD", "WHAT", "UNTIL", "BY", "REASON"]);
        for hold in &holds {
            table.add_row([
                hold.id.to_string(),
                clean(&hold.target.to_string()),
                form.instant(hold.until),
                clean(&hold.by),
                clean(&hold.reason),
            ]);
        }
        output::print(&table.draw(output::screen()))?;
    }
    Ok(Exit::Well)
}

async fn remove(session: &Session, outline: &Outline, id: i64) -> Result<Exit, CommandError> {
    let now = session.now();
    let removed = Ledger::open_existing(outline.state_dir())?.write(move |tx| tx.remove_hold(id, now)).await?;
    if !removed {
        return Err(CommandError::Usage {
            message: format!("there is no hold {id} in force"),
            hint: Some("`offhours hold list` shows them".to_owned()),
        });
    }
    output::print(&format!("hold {id} has ended\n"))?;
    Ok(Exit::Well)
}

fn target(outline: &Outline, args: &HoldAdd) -> Result<HoldTarget, CommandError> {
    let bad = |error: BadId| CommandError::usage(error.to_string());
    if let Some(id) = &args.deployment {
        return Ok(HoldTarget::Deployment(DeploymentId::new(id.as_str()).map_err(bad)?));
    }
    if let Some(group) = &args.resource_group {
        return Ok(HoldTarget::ResourceGroup(ResourceGroup::new(group.as_str()).map_err(bad)?));
    }
    if let Some(name) = &args.configuration {
        // Everywhere else it would be a pattern; here it would match nothing, and nobody would know.
        if name.trim().is_empty() || name.contains(['*', '?']) {
            let shown = shorten(name, 80);
            return Err(CommandError::usage(format!(
                "`{shown}` is not a configuration: a hold names one, by its name or id"
            )));
        }
        return Ok(HoldTarget::Configuration(name.clone()));
    }
    let rule = args.rule.as_deref().unwrap_or_default();
    if outline.disabled().iter().any(|disabled| disabled.as_str() == rule) {
        return Err(CommandError::Usage {
            message: format!("the rule `{rule}` is disabled: it stops nothing"),
            hint: Some("it has `enabled = false`".to_owned()),
        });
    }
    Ok(HoldTarget::Rule(RuleName::new(rule).map_err(bad)?))
}

/// Who types the command; where nobody says a name, the number of the user.
fn user() -> String {
    let name = |name: &&str| std::env::var(name).ok().filter(|user| !user.trim().is_empty());
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(name);
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

fn json_hold(hold: &DomainHold) -> Value {
    json!({
        "id": hold.id,
        "kind": hold.target.kind(),
        "name": hold.target.name(),
        "created_at": rfc3339(hold.created_at),
        "until": rfc3339(hold.until),
        "reason": hold.reason,
        "by": hold.by,
    })
}
