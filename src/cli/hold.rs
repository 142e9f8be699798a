//! `offhours hold`: "not tonight", beside a running daemon.

use serde_json::json;

use crate::cli::args::{Hold, HoldAdd};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output, rules, when};
use crate::config::Config;
use crate::domain::hold::{Hold as DomainHold, Target};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::instant::rfc3339;
use crate::domain::zone::Zone;
use crate::ledger::Ledger;
use crate::report::clean::{clean, shorten};
use crate::report::form::Form;
use crate::report::grid::Grid;

const LONGEST_REASON: usize = 500;

pub async fn hold(session: &Session, command: Hold) -> Result<Exit, Failure> {
    let config = session.config()?;
    match command {
        Hold::Add(args) => add(session, &config, args).await,
        Hold::List => list(session, &config).await,
        Hold::Remove { id } => remove(session, &config, id).await,
    }
}

async fn add(session: &Session, config: &Config, args: HoldAdd) -> Result<Exit, Failure> {
    let target = target(config, &args)?;
    let now = session.now();
    let until = when::end_of_hold(&args.until, config.zone.as_ref(), now)?;
    if until <= now {
        return Err(Failure::usage(format!("the hold would end at {}, which is over", rfc3339(until))));
    }
    let reason = args.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(Failure::usage(format!("a hold needs a reason of at most {LONGEST_REASON} characters")));
    }
    let by = args.by.or_else(user).map(|by| by.trim().to_owned()).filter(|by| !by.is_empty());
    let by = by.ok_or_else(|| Failure::usage("say who wants the hold with `--by NAME`"))?;
    let hold = DomainHold { id: 0, target, created_at: now, until, reason, by };
    let written = hold.clone();
    let id = Ledger::open(&config.state_dir)?
        .write(move |tx| tx.add_hold(&written.target, written.until, &written.reason, &written.by, now))
        .await?;
    let hold = DomainHold { id, ..hold };
    if session.json {
        output::print_json(&json_hold(&hold))?;
    } else {
        output::print(&format!("hold {id}: {} is left until {}\n", hold.target, form(config).instant(until)))?;
    }
    Ok(Exit::Well)
}

async fn list(session: &Session, config: &Config) -> Result<Exit, Failure> {
    let now = session.now();
    let holds = match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => ledger.read(move |tx| tx.holds(now)).await?,
        None => Vec::new(),
    };
    if session.json {
        output::print_json_list(holds.iter().map(json_hold))?;
    } else if holds.is_empty() {
        output::print("no holds are in force\n")?;
    } else {
        let mut table = Grid::new(&["HOLD", "WHAT", "UNTIL", "BY", "REASON"]);
        for hold in &holds {
            table.add_row([
                hold.id.to_string(),
                clean(&hold.target.to_string()),
                form(config).instant(hold.until),
                clean(&hold.by),
                clean(&hold.reason),
            ]);
        }
        output::print(&table.draw(output::screen()))?;
    }
    Ok(Exit::Well)
}

async fn remove(session: &Session, config: &Config, id: i64) -> Result<Exit, Failure> {
    let now = session.now();
    let removed = Ledger::open(&config.state_dir)?.write(move |tx| tx.remove_hold(id, now)).await?;
    if !removed {
        return Err(Failure::Usage {
            message: format!("there is no hold {id} in force"),
            hint: Some("`offhours hold list` shows them".to_owned()),
        });
    }
    output::print(&format!("hold {id} has ended\n"))?;
    Ok(Exit::Well)
}

fn target(config: &Config, args: &HoldAdd) -> Result<Target, Failure> {
    let bad = |error: crate::domain::id::BadId| Failure::usage(error.to_string());
    if let Some(id) = &args.deployment {
        return Ok(Target::Deployment(DeploymentId::new(id.as_str()).map_err(bad)?));
    }
    if let Some(group) = &args.resource_group {
        return Ok(Target::ResourceGroup(ResourceGroup::new(group.as_str()).map_err(bad)?));
    }
    if let Some(name) = &args.configuration {
        // Everywhere else it would be a pattern; here it would match nothing, and nobody would know.
        if name.trim().is_empty() || name.contains(['*', '?']) {
            let shown = shorten(name, 80);
            return Err(Failure::usage(format!("`{shown}` is no configuration: a hold names one, by its name or id")));
        }
        return Ok(Target::Configuration(name.clone()));
    }
    let rule = args.rule.as_deref().unwrap_or_default();
    Ok(Target::Rule(rules::find(config, rule)?.name.clone()))
}

fn user() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
}

fn form(config: &Config) -> Form<'_> {
    static UTC: std::sync::LazyLock<Zone> = std::sync::LazyLock::new(Zone::utc);
    let locale = config.locale();
    Form { locale, zone: config.zone.as_ref().unwrap_or(&UTC) }
}

fn json_hold(hold: &DomainHold) -> serde_json::Value {
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
