//! `offhours plan`: what the rules would stop, and why the rest is left. Holds the reading half of the client only.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::aicore::{Options, Reader};
use crate::cli::args::Plan;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::json_list::JsonList;
use crate::cli::session::Session;
use crate::cli::when::Direction;
use crate::cli::{output, recorded, rules, when};
use crate::config::Config;
use crate::domain::avoided::{Avoided, AvoidedState, Basis, Money};
use crate::domain::deployment::Nodes;
use crate::domain::hold::Hold;
use crate::domain::id::{ConnectionName, DeploymentId};
use crate::domain::locale::Locale;
use crate::domain::money::{Charge, HourlyRate};
use crate::domain::plain_text::clean;
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::reason::Reason;
use crate::domain::rule::{Mode, Rule};
use crate::domain::schedule::OffWindow;
use crate::executor::survey::{Gaps, Surveyor};
use crate::ledger::Ledger;
use crate::report::amount;
use crate::report::form::Form;
use crate::report::grid::{Grid, GridCell, Screen, Tone};
use crate::report::sum::Sum;

/// A table of more rows is no longer read; what would be stopped comes first.
const MOST_ROWS: usize = 2_000;

pub(crate) async fn plan(session: &Session, args: &Plan) -> Result<Exit, CommandError> {
    let config = session.config()?;
    let at = match &args.at {
        Some(text) => when::instant(text, config.zone.as_ref(), session.now(), Direction::Future)?,
        None => session.now(),
    };
    let rules = rules::find_all(&config, &args.rules)?;
    if at < session.now() - recorded::OVER {
        recorded::plan(session, &config, &rules, at).await?;
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
) -> Result<bool, CommandError> {
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
) -> Result<bool, CommandError> {
    let mut texts = Vec::new();
    let mut complete = true;
    let mut survey = RuleSurvey::open(session, config, at).await?;
    for rule in rules {
        let shown = survey.shown(rule).await?;
        complete &= shown.gaps.failed.is_empty();
        texts.push(shown.text(rule, at, config.locale(), output::screen()));
    }
    output::print(&texts.join("\n"))?;
    Ok(complete)
}

/// Surveys for rules one after the other, over one connection to each tenant.
pub(crate) struct RuleSurvey<'a> {
    session: &'a Session,
    config: &'a Config,
    holds: Vec<Hold>,
    at: DateTime<Utc>,
    readers: BTreeMap<ConnectionName, Reader>,
}

impl<'a> RuleSurvey<'a> {
    /// Prepares surveys as of `at`.
    pub(crate) async fn open(
        session: &'a Session,
        config: &'a Config,
        at: DateTime<Utc>,
    ) -> Result<Self, CommandError> {
        let holds = Ledger::read_where_it_is(&config.state_dir, move |tx| tx.holds(at)).await?;
        Ok(Self { session, config, holds, at, readers: BTreeMap::new() })
    }

    /// Hands each deployment that `rule` looks at to `each`, with its decision.
    pub(crate) async fn of(&mut self, rule: &Rule, mut each: impl FnMut(Planned)) -> Result<Gaps, CommandError> {
        let reader = match self.readers.entry(rule.connection.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(none) => none.insert(reader(self.session, self.config, rule)?),
        };
        let Config { protect, prices, .. } = self.config;
        let decisions = DecisionContext { rule, protect, holds: &self.holds, scheduled: self.at, now: self.at };
        let surveyor = Surveyor { reader, clock: &self.session.clock, prices, decisions };
        Ok(surveyor.survey(|surveyed| surveyed.planned.into_iter().for_each(&mut each)).await?)
    }

    /// The plan of `rule`, as far as a table shows it.
    pub(crate) async fn shown(&mut self, rule: &Rule) -> Result<Shown, CommandError> {
        let (mut shown, window) = (Shown::default(), rule.schedule.off_window(self.at));
        let gaps = self.of(rule, |planned| shown.add(planned, window)).await?;
        Ok(Shown { gaps, ..shown })
    }
}

/// What a table shows: what would be stopped first, and of the rest as much as there is room for.
#[derive(Default)]
pub(crate) struct Shown {
    stop: Vec<Planned>,
    leave: Vec<Planned>,
    /// How many would be stopped, and their ids.
    pub(crate) stops: BTreeSet<DeploymentId>,
    left: usize,
    /// What the stops would cost in an hour, and until the end of the off window.
    hourly: Sum,
    until_end: Sum,
    unpriced: usize,
    gaps: Gaps,
}

impl Shown {
    fn add(&mut self, planned: Planned, window: OffWindow) {
        if planned.decision == Decision::Stop {
            self.stops.insert(planned.deployment.id.clone());
            let hour = OffWindow { from: window.from, to: window.from + TimeDelta::hours(1) };
            let count =
                |window: OffWindow| Avoided::count(&planned.rate, window, window.from, window.to, Basis::Projected);
            self.hourly.add(&count(hour));
            self.until_end.add(&count(window));
            self.unpriced += usize::from(count(hour).state == AvoidedState::Unpriced);
        }
        let rows = match planned.decision {
            Decision::Stop => &mut self.stop,
            Decision::Leave(_) => {
                self.left += 1;
                &mut self.leave
            }
        };
        if rows.len() < MOST_ROWS {
            rows.push(planned);
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Planned> {
        self.stop.iter().chain(&self.leave).take(MOST_ROWS)
    }

    /// True where the run would be blocked whole.
    pub(crate) fn is_blocked(&self, rule: &Rule) -> bool {
        self.stops.len() > usize::try_from(rule.max_stops).unwrap_or(usize::MAX)
    }

    pub(crate) fn text(&self, rule: &Rule, at: DateTime<Utc>, locale: Locale, screen: Screen) -> String {
        let form = Form { locale, zone: &rule.schedule.zone };
        let window = rule.schedule.off_window(at);
        let mut text = format!("{} ({}), off until {}\n", rule.name, rule.mode.as_str(), form.instant(window.to));
        let all = self.stops.len() + self.left;
        if all > 0 {
            text.push_str(&self.table(&form).draw(screen));
        }
        let mut lines = Vec::new();
        if let Some(more) = all.checked_sub(MOST_ROWS).filter(|more| *more > 0) {
            lines.push(format!("and {more} more, which `--json` lists"));
        }
        lines.push(self.total(rule, window, &form));
        if self.is_blocked(rule) {
            let most = rule.max_stops;
            let blocked = format!("blocked: that is more than max_stops = {most}, so that the run would stop nothing");
            lines.push(blocked);
        }
        let failed = self.gaps.failed.iter();
        lines.extend(failed.map(|(group, error)| format!("{} could not be listed: {error}", group.id)));
        let date = rule.schedule.zone.wall_clock(at).date();
        if rule.schedule.skip.contains(&date) {
            lines.push(format!("note: {date} is in `skip`: the rule does not fire on that date by itself"));
        }
        lines.extend(self.gaps.notes.iter().map(|note| format!("note: {note}")));
        for line in lines.iter().flat_map(|line| screen.lines(line)) {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn table(&self, form: &Form<'_>) -> Grid {
        let mut table = Grid::new(&["DECISION", "GROUP", "DEPLOYMENT", "CONFIGURATION", "COST, OR WHY NOT"]);
        for planned in self.rows() {
            let (tone, why) = match &planned.decision {
                Decision::Stop => (Tone::Change, per_hour(&planned.deployment.nodes, &planned.rate, form)),
                Decision::Leave(reason) => (Tone::Plain, reason.say(&form.instants())),
            };
            table.add_row([
                GridCell::new(planned.decision.as_str(), tone),
                clean(planned.deployment.resource_group.as_str()).into(),
                planned.deployment.id.to_string().into(),
                clean(planned.deployment.configuration()).into(),
                clean(&why).into(),
            ]);
        }
        table.keep_whole(&[0, 2]);
        table
    }

    /// `6 would be stopped: EUR 8.58 an hour, EUR 66.12 until Tue 24 Nov 2026, 07:00 CET (estimate); 3 left`.
    fn total(&self, rule: &Rule, window: OffWindow, form: &Form<'_>) -> String {
        let would = match rule.mode {
            Mode::Enforce => "would be stopped",
            Mode::Observe => "would be stopped, were the rule not in observe mode",
        };
        let mut line = format!("{} {would}", self.stops.len());
        if !self.hourly.money().is_empty() {
            let (hour, end) = (amount(&self.hourly, form), amount(&self.until_end, form));
            let _ = write!(line, ": {hour} an hour, {end} until {} (estimate)", form.instant(window.to));
        }
        if self.unpriced > 0 {
            let hours = form.quantity(self.until_end.unpriced_hours);
            let _ = write!(line, "; {} of them without a price: {hours} node hours", self.unpriced);
        }
        let _ = write!(line, "; {} left", self.left);
        line
    }
}

/// The reading half of a rule's connection.
pub(crate) fn reader(session: &Session, config: &Config, rule: &Rule) -> Result<Reader, CommandError> {
    let connection = config
        .connections
        .get(&rule.connection)
        .ok_or_else(|| CommandError::Missing(format!("there is no [connection.{}]", rule.connection)))?;
    let options = Options { clock: session.clock.clone(), ..Options::default() };
    Ok(Reader::connect(connection.key.clone(), options)?)
}

fn json_row(rule: &Rule, planned: &Planned) -> Value {
    let deployment = &planned.deployment;
    let reason = planned.decision.reason();
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
        "decision": planned.decision.as_str(),
        "reason": reason.map_or_else(String::new, Reason::to_string),
        "reason_code": reason.map(|reason| reason.kind().code()),
        "hold": reason.and_then(Reason::hold),
        "nodes": deployment.nodes,
        "capacity_units_per_hour": planned.rate.capacity_units().map(|units| units.normalize().to_string()),
    })
}

/// `EUR 2.57/h (2.7 CU): 3 × infer.s`.
pub(crate) fn per_hour(nodes: &[Nodes], rate: &HourlyRate, form: &Form<'_>) -> String {
    let nodes = nodes.iter().filter(|n| n.count > 0);
    let machines = nodes.map(|n| format!("{} × {}", n.count, n.plan)).collect::<Vec<_>>().join(", ");
    match (&rate.charge, rate.cost()) {
        (Charge::Metered { capacity_units, .. }, Some((amount, currency))) => {
            let money = form.money(Money { amount: currency.round(amount), currency });
            format!("{money}/h ({} CU): {machines}", capacity_units.normalize())
        }
        (Charge::Metered { capacity_units, .. }, None) => format!("{} CU/h: {machines}", capacity_units.normalize()),
        (Charge::Unpriced { .. }, _) => format!("no price: {machines}"),
        (Charge::TokenBilled, _) => "billed by tokens: avoids nothing".to_owned(),
        (Charge::Nothing { reason }, _) => (*reason).to_owned(),
    }
}
