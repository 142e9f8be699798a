//! `offhours plan`: what the rules would stop, and why the rest is left. Holds the reading half of the client only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::aicore::{Options, Reader};
use crate::cli::args::Plan;
use crate::cli::exit::{Exit, Failure};
use crate::cli::json_list::JsonList;
use crate::cli::{Session, output, past, rules, when};
use crate::config::Config;
use crate::domain::hold::Hold;
use crate::domain::id::ConnectionName;
use crate::domain::plan::{Decision, Planned, Question};
use crate::domain::rule::{Mode, Rule};
use crate::executor::survey::{Gaps, Surveyor};
use crate::ledger::Ledger;
use crate::report::clean::shorten;
use crate::report::form::Form;
use crate::report::table;

/// A table of more rows is no longer read; what would be stopped comes first.
const MOST_ROWS: usize = 2_000;

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
    let complete = if session.json {
        print_rows(session, &config, &rules, at).await?
    } else {
        print_tables(session, &config, &rules, at).await?
    };
    Ok(if complete { Exit::Well } else { Exit::Problem })
}

/// Prints each row as soon as its resource group is listed: a large tenant's plan is never in memory as a whole. False
/// where something could not be listed.
async fn print_rows(
    session: &Session,
    config: &Config,
    rules: &[Arc<Rule>],
    at: DateTime<Utc>,
) -> Result<bool, Failure> {
    let mut complete = true;
    let mut list = JsonList::begin();
    let mut survey = RuleSurvey::open(session, config, at).await?;
    for rule in rules {
        let gaps = survey.of(rule, |planned| list.push(&json_row(rule, &planned))).await?;
        complete &= gaps.failed.is_empty();
    }
    list.end()?;
    Ok(complete)
}

async fn print_tables(
    session: &Session,
    config: &Config,
    rules: &[Arc<Rule>],
    at: DateTime<Utc>,
) -> Result<bool, Failure> {
    let mut texts = Vec::new();
    let mut complete = true;
    let mut survey = RuleSurvey::open(session, config, at).await?;
    for rule in rules {
        let mut shown = Shown::default();
        let gaps = survey.of(rule, |planned| shown.add(planned)).await?;
        complete &= gaps.failed.is_empty();
        texts.push(text(rule, &shown, &gaps, at, &Form { locale: config.locale(), zone: &rule.schedule.zone }));
    }
    output::print(&texts.join("\n"))?;
    Ok(complete)
}

/// Surveys for rules one after the other, over one connection to each tenant.
pub struct RuleSurvey<'a> {
    session: &'a Session,
    config: &'a Config,
    holds: Vec<Hold>,
    at: DateTime<Utc>,
    readers: BTreeMap<ConnectionName, Reader>,
}

impl<'a> RuleSurvey<'a> {
    /// Prepares surveys as of `at`.
    pub async fn open(session: &'a Session, config: &'a Config, at: DateTime<Utc>) -> Result<Self, Failure> {
        let holds = match Ledger::open_to_read(&config.state_dir)? {
            Some(ledger) => ledger.read(move |tx| tx.holds(at)).await?,
            None => Vec::new(),
        };
        Ok(Self { session, config, holds, at, readers: BTreeMap::new() })
    }

    /// Hands each deployment that `rule` looks at to `each`, with its decision.
    pub async fn of(&mut self, rule: &Rule, mut each: impl FnMut(Planned)) -> Result<Gaps, Failure> {
        let reader = match self.readers.entry(rule.connection.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(none) => none.insert(reader(self.session, self.config, rule)?),
        };
        let Config { protect, prices, .. } = self.config;
        let question = Question { rule, protect, holds: &self.holds, scheduled: self.at, now: self.at };
        let surveyor = Surveyor { reader, clock: &self.session.clock, prices, question };
        Ok(surveyor.survey(|surveyed| surveyed.planned.into_iter().for_each(&mut each)).await?)
    }
}

/// What a table shows: what would be stopped first, and of the rest as much as there is room for.
#[derive(Default)]
struct Shown {
    stop: Vec<Planned>,
    leave: Vec<Planned>,
    stops: usize,
    left: usize,
}

impl Shown {
    fn add(&mut self, planned: Planned) {
        let (count, rows) = match planned.decision {
            Decision::Stop => (&mut self.stops, &mut self.stop),
            Decision::Leave(_) => (&mut self.left, &mut self.leave),
        };
        *count += 1;
        if rows.len() < MOST_ROWS {
            rows.push(planned);
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Planned> {
        self.stop.iter().chain(&self.leave).take(MOST_ROWS)
    }
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

fn json_row(rule: &Rule, planned: &Planned) -> Value {
    let deployment = &planned.deployment;
    let (decision, reason) = words(&planned.decision);
    json!({
        "rule": rule.name.as_str(),
        "connection": rule.connection.as_str(),
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
}

/// A decision in the words of the design.
pub fn words(decision: &Decision) -> (&'static str, String) {
    match decision {
        Decision::Stop => ("stop", String::new()),
        Decision::Leave(reason) => ("leave", reason.to_string()),
    }
}

fn text(rule: &Rule, shown: &Shown, gaps: &Gaps, at: DateTime<Utc>, form: &Form<'_>) -> String {
    let window = rule.schedule.off_window(at);
    let mut text = format!("{} ({}), off until {}\n", rule.name, rule.mode.as_str(), form.instant(window.to));
    let Shown { stops, left, .. } = *shown;
    if stops + left > 0 {
        let mut table = table::plain(&["DECISION", "GROUP", "DEPLOYMENT", "CONFIGURATION", "COST, OR WHY NOT"]);
        for planned in shown.rows() {
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
        if let Some(more) = (stops + left).checked_sub(MOST_ROWS).filter(|more| *more > 0) {
            let _ = writeln!(text, "and {more} more, which `--json` lists");
        }
    }
    let would = match rule.mode {
        Mode::Enforce => "would be stopped",
        Mode::Observe => "would be stopped, were the rule not in observe mode",
    };
    let _ = writeln!(text, "{stops} {would}, {left} left");
    if stops > usize::try_from(rule.max_stops).unwrap_or(usize::MAX) {
        let most = rule.max_stops;
        let _ = writeln!(text, "blocked: that is more than max_stops = {most}, so that the run would stop nothing");
    }
    for (group, error) in &gaps.failed {
        let _ = writeln!(text, "{} could not be listed: {error}", group.id);
    }
    let date = rule.schedule.zone.wall_clock(at).date();
    if rule.schedule.skip.contains(&date) {
        let _ = writeln!(text, "note: {date} is in `skip`: the rule does not fire on that date by itself");
    }
    for note in &gaps.notes {
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
