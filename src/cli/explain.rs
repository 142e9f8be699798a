//! `offhours explain`: one deployment, what each rule makes of it, and what became of it before.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tracing::warn;

use crate::cli::args::Explain;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::plan::per_hour;
use crate::cli::session::Session;
use crate::cli::sighting::{self, Sighting, Sightings};
use crate::cli::when::Direction;
use crate::cli::{output, recorded, when};
use crate::config::Config;
use crate::domain::hold::Hold;
use crate::domain::id::DeploymentId;
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::clean;
use crate::domain::plan::{Decision, DecisionContext};
use crate::domain::reason::Reason;
use crate::domain::rule::Rule;
use crate::executor::survey::labelled;
use crate::ledger::Ledger;
use crate::report::form::Form;

/// Deployments of one name whose past is told, the newest first.
const MOST_OF_A_NAME: u32 = 5;

pub(crate) async fn explain(session: &Session, args: &Explain) -> Result<Exit, CommandError> {
    let outline = session.outline()?;
    let config = outline.for_reading();
    let wanted = args.deployment.as_str();
    if !wanted.contains(char::is_alphanumeric) {
        let message = format!("`{}` is neither a deployment id nor a configuration name", wanted.escape_debug());
        return Err(CommandError::usage(message));
    }
    let at = match &args.at {
        Some(text) => when::instant(text, config.zone.as_ref(), session.now(), Direction::Future)?,
        None => session.now(),
    };
    if at < session.now() - recorded::OVER {
        let mut ids = ids_in_ledger(config, wanted, at).await?;
        ids.truncate(1);
        let id = ids.pop().map_or_else(|| DeploymentId::new(wanted), Ok);
        recorded::explain(session, config, &id.map_err(|error| CommandError::usage(error.to_string()))?, at).await?;
        return Ok(Exit::Well);
    }
    let sightings = match sighting::everywhere(session, config, wanted).await {
        Ok(sightings) => sightings,
        Err(failure) => {
            // The tenant is away; the ledger is not.
            if !session.json {
                output::print(&before(config, &ids_in_ledger(config, wanted, at).await?, at).await?)?;
            }
            return Err(failure);
        }
    };
    for (group, error) in &sightings.unseen {
        warn!("resource group {} could not be listed: {error}", group.id);
    }
    let holds = Ledger::read_where_it_is(&config.state_dir, move |tx| tx.holds(at)).await?;
    if session.json {
        let found = sightings.found.iter().flat_map(|sighting| said_of(config, sighting, &holds, at));
        let mut said: Vec<Value> = found.map(|said| said.json()).collect();
        if said.is_empty() {
            said = config.rules.iter().map(|rule| json_unfound(rule, wanted, at)).collect();
        }
        output::print_json_list(said)?;
    } else {
        output::print(&text(config, wanted, &sightings, &holds, at).await?)?;
    }
    Ok(Exit::Well)
}

async fn text(
    config: &Config,
    wanted: &str,
    sightings: &Sightings,
    holds: &[Hold],
    at: DateTime<Utc>,
) -> Result<String, CommandError> {
    let zone = config.zone_or_utc();
    let form = Form { locale: config.locale(), zone: &zone };
    let mut text = String::new();
    for sighting in &sightings.found {
        text.push_str(&head(sighting, &form));
        for said in said_of(config, sighting, holds, at) {
            let _ = writeln!(text, "  {}", said.line(config));
        }
    }
    let mut ids: Vec<DeploymentId> = sightings.found.iter().map(|sighting| sighting.deployment.id.clone()).collect();
    if ids.is_empty() {
        let where_not =
            if sightings.unseen.is_empty() { "no resource group" } else { "no resource group that could be listed" };
        let _ =
            writeln!(text, "{where_not} has a deployment `{}`, or one of a configuration of that name", clean(wanted));
        ids = ids_in_ledger(config, wanted, at).await?;
    }
    text.push_str(&before(config, &ids, at).await?);
    Ok(text)
}

/// What a deployment is, and what it costs.
fn head(sighting: &Sighting, form: &Form<'_>) -> String {
    let Sighting { connection, deployment, rate, .. } = sighting;
    let group = clean(deployment.resource_group.as_str());
    format!(
        "{} {} in resource group {group} of {connection}: {}, {}\n",
        deployment.id,
        clean(deployment.configuration()),
        deployment.status,
        per_hour(&deployment.nodes, rate, form)
    )
}

/// What the ledger knows of these deployments.
async fn before(config: &Config, ids: &[DeploymentId], at: DateTime<Utc>) -> Result<String, CommandError> {
    let mut text = String::new();
    for id in ids {
        let (traces, counted) = recorded::traces(config, id, at).await?;
        if !traces.is_empty() {
            let _ = write!(text, "\nBefore, of {id}:\n{}", recorded::lines(&traces, config));
        }
        if let Some(counted) = counted {
            let _ = writeln!(text, "{}", recorded::may_be_among(&counted));
        }
    }
    Ok(text)
}

/// The deployments that the ledger knows by this id or name.
async fn ids_in_ledger(config: &Config, wanted: &str, at: DateTime<Utc>) -> Result<Vec<DeploymentId>, CommandError> {
    let wanted = wanted.to_owned();
    Ok(Ledger::read_where_it_is(&config.state_dir, move |tx| tx.ids_of(&wanted, at, MOST_OF_A_NAME)).await?)
}

/// What one rule makes of a deployment.
struct Said<'a> {
    rule: &'a Rule,
    sighting: &'a Sighting,
    decision: Decision,
    next: Option<DateTime<Utc>>,
    /// True where what leaves it now, as a hold, is over at the next firing.
    only_now: bool,
}

/// What each rule of its tenant makes of a deployment.
fn said_of<'a>(config: &'a Config, sighting: &'a Sighting, holds: &[Hold], at: DateTime<Utc>) -> Vec<Said<'a>> {
    let rules = config.rules.iter().filter(|rule| rule.connection == sighting.connection);
    let say = |rule: &'a Rule| {
        let deployment = &sighting.deployment;
        let group = labelled(&deployment.resource_group, sighting.labels.as_ref(), rule, &config.protect);
        let next = rule.schedule.next_firing(at);
        let (decision, only_now) = match group {
            Ok(group) => {
                let decide = |at| {
                    let decisions = DecisionContext { rule, protect: &config.protect, holds, scheduled: at, now: at };
                    decisions.decide(&group, deployment)
                };
                let (now, then) = (decide(at), next.map(decide));
                let only_now = now != Decision::Stop && then == Some(Decision::Stop);
                (now, only_now)
            }
            Err(error) => (Decision::Leave(Reason::Failure(error.failure())), false),
        };
        Said { rule, sighting, decision, next, only_now }
    };
    rules.map(|rule| say(rule)).collect()
}

impl Said<'_> {
    fn json(&self) -> Value {
        let Sighting { connection, deployment, rate, .. } = self.sighting;
        let reason = self.decision.reason();
        json!({
            "rule": self.rule.name.as_str(),
            "connection": connection.as_str(),
            "resource_group": deployment.resource_group.as_str(),
            "id": deployment.id.as_str(),
            "configuration_name": deployment.configuration_name,
            "status": deployment.status.as_str(),
            "nodes": deployment.nodes,
            "capacity_units_per_hour": rate.capacity_units().map(|units| units.normalize().to_string()),
            "decision": self.decision.as_str(),
            "reason": reason.map_or_else(String::new, Reason::to_string),
            "reason_code": reason.map(|reason| reason.kind().code()),
            "hold": reason.and_then(Reason::hold),
            "next_firing": self.next.map(rfc3339),
        })
    }

    fn line(&self, config: &Config) -> String {
        let rule = self.rule;
        let form = Form { locale: config.locale(), zone: &rule.schedule.zone };
        let reason = self.decision.reason().map(|reason| clean(&reason.say(&form.instants())));
        let why = reason.map_or_else(String::new, |reason| format!(", {reason}"));
        let then = if self.only_now { ", then: stop" } else { "" };
        format!("{}: {}{why} ({}{then})", rule.name, self.decision.as_str(), fires_next(self.next, &form))
    }
}

fn fires_next(next: Option<DateTime<Utc>>, form: &Form<'_>) -> String {
    next.map_or_else(|| "never fires again".to_owned(), |next| format!("fires next {}", form.instant(next)))
}

fn json_unfound(rule: &Rule, wanted: &str, at: DateTime<Utc>) -> Value {
    json!({
        "rule": rule.name.as_str(),
        "id": wanted,
        "decision": "leave",
        "reason": "not found: no resource group holds it",
        "next_firing": rule.schedule.next_firing(at).map(rfc3339),
    })
}
