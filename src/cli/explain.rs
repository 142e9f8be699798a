//! `offhours explain`: one deployment, and what each rule makes of it.

use serde_json::json;

use crate::cli::args::Explain;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan::{plans, words};
use crate::cli::{Session, output, when};
use crate::domain::id::DeploymentId;
use crate::report::form::Form;

pub async fn explain(session: &Session, args: &Explain) -> Result<Exit, Failure> {
    let config = session.config()?;
    let id = DeploymentId::new(args.deployment.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
    let at = match &args.at {
        Some(text) => when::instant(text, config.zone.as_ref())?,
        None => session.now(),
    };
    let plans = plans(session, &config, &config.rules, at).await?;
    let (mut rows, mut text) = (Vec::new(), String::new());
    let mut found = false;
    for plan in &plans {
        let planned = plan.rows.iter().flat_map(|(_, planned)| planned).find(|planned| planned.deployment.id == id);
        let (decision, reason) = match planned {
            Some(planned) => words(&planned.decision),
            None if plan.survey.failed.is_empty() => {
                ("leave", "not selected: it is in none of the rule's resource groups".to_owned())
            }
            None => ("leave", "unknown: a resource group of the rule could not be listed".to_owned()),
        };
        found |= planned.is_some();
        let next = plan.rule.schedule.next_firing(at);
        let form = Form {
            locale: config.mail.as_ref().map_or_else(Default::default, |mail| mail.locale),
            zone: &plan.rule.schedule.zone,
        };
        let next_text =
            next.map_or_else(|| "never fires again".to_owned(), |next| format!("fires next {}", form.instant(next)));
        text.push_str(&format!(
            "{}: {decision}{}{reason} ({next_text})\n",
            plan.rule.name,
            if reason.is_empty() { "" } else { ", " }
        ));
        rows.push(json!({
            "rule": plan.rule.name.as_str(),
            "id": id.as_str(),
            "decision": decision,
            "reason": reason,
            "next_firing": next.map(|next| next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        }));
    }
    if !found {
        text.push_str(&format!(
            "no rule's resource groups hold a deployment `{id}`: is the id right, and does it still exist?\n"
        ));
    }
    if session.json {
        output::print_json(&rows)?
    } else {
        output::print(&text)?
    }
    Ok(Exit::Well)
}
