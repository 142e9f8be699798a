//! `offhours plan`: what the rules would stop, and why the rest is left. Holds the reading half of the client only.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::aicore::{Options, Reader};
use crate::cli::args::Plan;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output, past, rules, when};
use crate::config::Config;
use crate::domain::deployment::Group;
use crate::domain::hold::Hold;
use crate::domain::plan::{Decision, Planned, Question};
use crate::domain::rule::{Mode, Rule};
use crate::executor::survey::{Gaps, survey};
use crate::ledger::Ledger;
use crate::report::clean::shorten;
use crate::report::form::Form;
use crate::report::table;

/// A table of more rows is no longer read; what would be stopped comes first.
const MOST_ROWS: usize = 2_000;

/// What one rule would do.
pub struct RulePlan {
    pub rule: Arc<Rule>,
    pub gaps: Gaps,
    pub rows: Vec<(Group, Vec<Planned>)>,
}

pub async fn plan(session: &Session, args: &Plan) -> Result<Exit, Failure> {
    let config = session.config()?;
    let at = match &args.at {
        Some(text) => when::instant(text, config.zone.as_ref())?,
        None => session.now(),
    };
    let rules = rules::find_all(&config, &args.rules)?;
    if at < session.now() - past::OVER {
        past::plan(session, &config, &rules, at).await?;
        return Ok(Exit::Well);
    }
    let plans = plans(session, &config, &rules, at).await?;
    if session.json {
        output::print_json_list(plans.iter().flat_map(json_rows))?;
    } else {
        let locale = config.locale();
        let texts = plans.iter().map(|plan| text(plan, at, &Form { locale, zone: &plan.rule.schedule.zone }));
        output::print(&texts.collect::<Vec<_>>().join("\n"))?;
    }
    let complete = plans.iter().all(|plan| plan.gaps.failed.is_empty());
    Ok(if complete { Exit::Well } else { Exit::Problem })
}

/// The plans of `rules` at `at`.
pub async fn plans(
    session: &Session,
    config: &Config,
    rules: &[Arc<Rule>],
    at: DateTime<Utc>,
) -> Result<Vec<RulePlan>, Failure> {
    let holds = holds(config, at).await?;
    let mut readers: Vec<(crate::domain::id::ConnectionName, Reader)> = Vec::new();
    let mut plans = Vec::new();
    for rule in rules {
        let open = readers.iter().find(|(name, _)| *name == rule.connection).map(|(_, reader)| reader.clone());
        let reader = match open {
            Some(reader) => reader,
            None => reader(session, config, rule)?,
        };
        readers.push((rule.connection.clone(), reader.clone()));
        let survey = survey(&reader, rule, &config.protect, &config.prices, at).await?;
        let question = Question { rule, protect: &config.protect, holds: &holds, scheduled: at, now: at };
        let (rows, gaps) = survey.plan(&question, &config.prices);
        plans.push(RulePlan { rule: Arc::clone(rule), gaps, rows: rows.collect() });
    }
    Ok(plans)
}

/// The reading half of a rule's connection.
pub fn reader(session: &Session, config: &Config, rule: &Rule) -> Result<Reader, Failure> {
    let connection = config
        .connections
        .get(&rule.connection)
        .ok_or_else(|| Failure::Missing(format!("there is no [connection.{}]", rule.connection)))?;
    let options = Options { clock: session.clock.clone(), ..Options::default() };
    Ok(Reader::connect(connection.key.clone(), options)?)
}

async fn holds(config: &Config, at: DateTime<Utc>) -> Result<Vec<Hold>, Failure> {
    match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => Ok(ledger.read(move |tx| tx.holds(at)).await?),
        None => Ok(Vec::new()),
    }
}

fn json_rows(plan: &RulePlan) -> impl Iterator<Item = Value> {
    let rows = plan.rows.iter().flat_map(|(_, planned)| planned);
    rows.map(move |planned| {
        let deployment = &planned.deployment;
        let (decision, reason) = words(&planned.decision);
        json!({
            "rule": plan.rule.name.as_str(),
            "connection": plan.rule.connection.as_str(),
            "resource_group": deployment.resource_group.as_str(),
            "id": deployment.id.as_str(),
            "configuration_id": deployment.configuration_id,
            "configuration_name": deployment.configuration_name,
            "scenario_id": deployment.scenario_id,
            "executable_id": deployment.executable_id,
            "status": deployment.status.as_str(),
            "decision": decision,
            "reason": reason,
            "nodes": deployment.nodes,
            "capacity_units_per_hour": planned.rate.capacity_units().map(|units| units.normalize().to_string()),
        })
    })
}

/// A decision in the words of the design.
pub fn words(decision: &Decision) -> (&'static str, String) {
    match decision {
        Decision::Stop => ("stop", String::new()),
        Decision::Leave(reason) => ("leave", reason.to_string()),
    }
}

fn text(plan: &RulePlan, at: DateTime<Utc>, form: &Form<'_>) -> String {
    let rule = &plan.rule;
    let window = rule.schedule.off_window(at);
    let mut text = format!("{} ({}), off until {}\n", rule.name, rule.mode.as_str(), form.instant(window.to));
    let mut rows: Vec<&Planned> = plan.rows.iter().flat_map(|(_, planned)| planned).collect();
    rows.sort_by_key(|planned| planned.decision != Decision::Stop);
    if !rows.is_empty() {
        let mut table = table::plain(&["DECISION", "GROUP", "DEPLOYMENT", "CONFIGURATION", "COST, OR WHY NOT"]);
        for planned in rows.iter().take(MOST_ROWS) {
            let (decision, reason) = words(&planned.decision);
            let why = if planned.decision == Decision::Stop { per_hour(planned) } else { reason };
            table.add_row([
                decision.to_owned(),
                shorten(planned.deployment.resource_group.as_str(), 30),
                planned.deployment.id.to_string(),
                shorten(planned.deployment.configuration(), 30),
                shorten(&why, 80),
            ]);
        }
        table::keep_whole(&mut table, &[0, 1, 2]);
        text.push_str(&table::finished(&table));
        if let Some(more) = rows.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
            let _ = writeln!(text, "and {more} more, which `--json` lists");
        }
    }
    let stop = rows.iter().filter(|planned| planned.decision == Decision::Stop).count();
    let would = match rule.mode {
        Mode::Enforce => "would be stopped",
        Mode::Observe => "would be stopped, were the rule not in observe mode",
    };
    let _ = writeln!(text, "{stop} {would}, {} left", rows.len() - stop);
    if stop > usize::try_from(rule.max_stops).unwrap_or(usize::MAX) {
        let most = rule.max_stops;
        let _ = writeln!(text, "blocked: that is more than max_stops = {most}, so that the run would stop nothing");
    }
    for (group, error) in &plan.gaps.failed {
        let _ = writeln!(text, "{} could not be listed: {error}", group.id);
    }
    let date = rule.schedule.zone.wall_clock(at).date();
    if rule.schedule.skip.contains(&date) {
        let _ = writeln!(text, "note: {date} is in `skip`: the rule does not fire on that date by itself");
    }
    for note in &plan.gaps.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn per_hour(planned: &Planned) -> String {
    use crate::domain::money::Charge;
    let nodes = planned.deployment.nodes.iter().filter(|n| n.count > 0);
    let machines = nodes.map(|n| format!("{} × {}", n.count, n.plan)).collect::<Vec<_>>().join(", ");
    match &planned.rate.charge {
        Charge::Metered { capacity_units, .. } => format!("{} CU/h: {machines}", capacity_units.normalize()),
        Charge::Unpriced { .. } => format!("no price: {machines}"),
        Charge::TokenBilled => "billed by tokens: avoids nothing".to_owned(),
        Charge::Nothing { reason } => (*reason).to_owned(),
    }
}
