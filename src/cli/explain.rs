//! `offhours explain`: one deployment, and what each rule makes of it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::args::Explain;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan::{RuleSurvey, words};
use crate::cli::when::Direction;
use crate::cli::{Session, output, past, when};
use crate::domain::id::DeploymentId;
use crate::domain::instant::rfc3339;
use crate::domain::locale::Locale;
use crate::domain::plan::Planned;
use crate::domain::rule::Rule;
use crate::executor::survey::Gaps;
use crate::report::form::Form;

pub async fn explain(session: &Session, args: &Explain) -> Result<Exit, Failure> {
    let outline = session.outline()?;
    let config = outline.for_reading();
    let id = DeploymentId::new(args.deployment.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
    let at = match &args.at {
        Some(text) => when::instant(text, config.zone.as_ref(), session.now(), Direction::Future)?,
        None => session.now(),
    };
    if at < session.now() - past::OVER {
        past::explain(session, config, &id, at).await?;
        return Ok(Exit::Well);
    }
    let mut survey = RuleSurvey::open(session, config, at).await?;
    let mut said = Vec::new();
    for rule in &config.rules {
        let mut found = None;
        let gaps = survey.of(rule, |planned| {
            if planned.deployment.id == id {
                found = Some(planned);
            }
        });
        let gaps = gaps.await?;
        said.push(say(rule, found.as_ref(), &gaps, at));
    }
    if session.json {
        output::print_json_list(said.iter().map(|said| said.json(&id)))?;
    } else {
        let mut text: String = said.iter().map(|said| said.line(config.locale())).collect();
        if said.iter().all(|said| !said.found) {
            let _ = writeln!(
                text,
                "no rule's resource groups hold a deployment `{id}`: is the id right, and does it still exist?"
            );
        }
        let (traces, counted) = past::traces(config, &id, at).await?;
        if !traces.is_empty() {
            let _ = write!(text, "\nBefore:\n{}", past::lines(&traces, config));
        }
        if let Some(counted) = counted {
            let _ = writeln!(text, "{}", past::may_be_among(&counted));
        }
        output::print(&text)?;
    }
    Ok(Exit::Well)
}

/// What one rule makes of the deployment.
struct Said<'a> {
    rule: &'a Rule,
    found: bool,
    decision: &'static str,
    reason: String,
    next: Option<DateTime<Utc>>,
}

fn say<'a>(rule: &'a Rule, planned: Option<&Planned>, gaps: &Gaps, at: DateTime<Utc>) -> Said<'a> {
    let (decision, reason) = match planned {
        Some(planned) => words(&planned.decision),
        None if gaps.failed.is_empty() => {
            ("leave", "not selected: it is in none of the rule's resource groups".to_owned())
        }
        None => ("leave", "unknown: a resource group of the rule could not be listed".to_owned()),
    };
    Said { rule, found: planned.is_some(), decision, reason, next: rule.schedule.next_firing(at) }
}

impl Said<'_> {
    fn json(&self, id: &DeploymentId) -> Value {
        json!({
            "rule": self.rule.name.as_str(),
            "id": id.as_str(),
            "decision": self.decision,
            "reason": self.reason,
            "next_firing": self.next.map(rfc3339),
        })
    }

    fn line(&self, locale: Locale) -> String {
        let rule = self.rule;
        let form = Form { locale, zone: &rule.schedule.zone };
        let next = self
            .next
            .map_or_else(|| "never fires again".to_owned(), |next| format!("fires next {}", form.instant(next)));
        let why = if self.reason.is_empty() { String::new() } else { format!(", {}", self.reason) };
        format!("{}: {}{why} ({next})\n", rule.name, self.decision)
    }
}
