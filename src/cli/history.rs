//! `offhours history`: the runs of a time, one run in full, or what became of one deployment.

use std::io;
use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::cli::args::History;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::Session;
use crate::cli::when::Direction;
use crate::cli::{output, rules, when};
use crate::config::Config;
use crate::domain::id::{DeploymentId, RuleName};
use crate::domain::plain_text::clean;
use crate::domain::run::{DeploymentResult, Firing, LeftOut, Run};
use crate::domain::visit::{Kept, RunVisitor};
use crate::ledger::overview::RunHead;
use crate::ledger::runs::RunFilter;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::report::form::Form;
use crate::report::grid::{Grid, GridCell};
use crate::report::table::outcome_tone;
use crate::report::{HistoryTable, JsonWriter, ReportContext, run_detail};

/// How far back runs are shown where nothing is said.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(7);

pub(crate) async fn history(session: &Session, args: &History) -> Result<Exit, CommandError> {
    let outline = session.outline_without_secrets()?;
    let config = outline.for_reading();
    let since =
        args.since.as_ref().map(|text| when::instant(text, config.zone.as_ref(), session.now(), Direction::Past));
    let since = since.transpose()?;
    let rule = args.rule.as_deref().map(RuleName::new).transpose().map_err(|e| CommandError::usage(e.to_string()))?;
    if let Some(firing) = &args.firing {
        return of_firing(session, config, firing).await;
    }
    if let Some(id) = &args.deployment {
        let id = DeploymentId::new(id.as_str()).map_err(|error| CommandError::usage(error.to_string()))?;
        return of_deployment(session, config, id, RunFilter { since, before: None, rule }).await;
    }
    let since = since.unwrap_or(session.now() - DEFAULT_SPAN);
    let filter = RunFilter { since: Some(since), before: None, rule: rule.clone() };
    let ledger = Ledger::open_to_read(&config.state_dir)?;
    let found = match (ledger, session.json) {
        (Some(ledger), true) => print_json(&ledger, filter).await?,
        (None, true) => JsonWriter::runs(output::stdout()).finish().map(|()| true),
        (Some(ledger), false) => print_table(&ledger, filter, config, session.now()).await?,
        (None, false) => Ok(false),
    };
    if !session.json {
        let zone = config.zone_or_utc();
        let form = Form { locale: config.locale(), zone: &zone };
        let open = under_way(config, rule.as_ref(), &form).await?;
        match found {
            Ok(false) if open.is_empty() => output::print(&format!("no runs since {}\n", form.instant(since)))?,
            _ => output::print(&open)?,
        }
    }
    output::judge(found.map(drop))?;
    Ok(Exit::Well)
}

/// A line for each run that is at work: it comes into the history with its end.
async fn under_way(config: &Config, rule: Option<&RuleName>, form: &Form<'_>) -> Result<String, LedgerError> {
    let runs = Ledger::read_where_it_is(&config.state_dir, |tx| tx.under_way()).await?;
    let of_rule = runs.iter().filter(|run| rule.is_none_or(|rule| run.firing.rule == *rule));
    let line = |run: &RunHead| {
        let Firing { rule, at } = &run.firing;
        format!("under way: {rule}, {}; `offhours status` shows how it stands\n", form.instant(*at))
    };
    Ok(of_rule.map(line).collect())
}

/// What cannot be printed is in the inner result.
async fn print_json(ledger: &Ledger, filter: RunFilter) -> Result<io::Result<bool>, LedgerError> {
    let print = move |tx: &Tx<'_>| {
        let mut json = JsonWriter::runs(output::stdout());
        tx.each_run(&filter, &mut json)?;
        Ok(json.finish().map(|()| true))
    };
    ledger.read(print).await
}

/// False where there is nothing to print.
async fn print_table(
    ledger: &Ledger,
    filter: RunFilter,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<io::Result<bool>, LedgerError> {
    let (locale, zone) = (config.locale(), config.zone_or_utc());
    let print = move |tx: &Tx<'_>| {
        let mut table = HistoryTable::new(output::stdout(), ReportContext::new(locale, &zone, now), output::screen());
        tx.each_run(&filter, &mut table)?;
        Ok(table.finish())
    };
    ledger.read(print).await
}

/// One run, named `rule@time`, or by its rule alone: the newest.
async fn of_firing(session: &Session, config: &Config, text: &str) -> Result<Exit, CommandError> {
    let (name, at) = text.split_once('@').map_or((text, None), |(name, at)| (name, Some(at)));
    let rule = RuleName::new(name).map_err(|error| CommandError::usage(error.to_string()))?;
    // A rule that is no longer configured has a past all the same.
    let rules = config.rules.iter().find(|known| known.name == rule);
    let zone = rules.map_or_else(|| config.zone_or_utc(), |rule| rule.schedule.zone.clone());
    let at = at.map(|at| when::instant(at, Some(&zone), session.now(), Direction::Past)).transpose()?;
    let found = match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => {
            let (rule, now) = (rule.clone(), session.now());
            // Tables show no seconds, and a firing by hand has some.
            let whole_minute = at.is_some_and(|at| at.timestamp() % 60 == 0);
            let within = TimeDelta::milliseconds(if whole_minute { 59_999 } else { 999 });
            let read = move |tx: &Tx<'_>| {
                let mut kept = Kept::default();
                tx.run_before(&rule, at.map_or(now, |at| at + within), &mut kept)?;
                Ok(kept.runs.pop().filter(|run| at.is_none_or(|at| run.firing.at >= at)))
            };
            ledger.read(read).await?
        }
        None => None,
    };
    let form = Form { locale: config.locale(), zone: &zone };
    // Its rows come with its end; what is asked for by its time may be an earlier run.
    let open = if session.json { String::new() } else { under_way(config, Some(&rule), &form).await? };
    output::print(&open)?;
    let Some(run) = found else {
        return if open.is_empty() { Err(no_run(config, name, at, &rule)) } else { Ok(Exit::Well) };
    };
    if session.json {
        let mut json = JsonWriter::runs(output::stdout());
        let _ = run.tell(&mut json);
        output::judge(json.finish())?;
    } else {
        let context = ReportContext::new(config.locale(), &zone, session.now());
        output::print(&run_detail(&run, &context, output::screen()))?;
    }
    Ok(Exit::Well)
}

fn no_run(config: &Config, name: &str, at: Option<DateTime<Utc>>, rule: &RuleName) -> CommandError {
    let message = match at {
        Some(at) => format!("there is no run {}", Firing { rule: rule.clone(), at }),
        None => match rules::find(config, name) {
            Err(unknown) => return unknown,
            Ok(_) => format!("the rule `{name}` has not run yet"),
        },
    };
    CommandError::Usage { message, hint: Some(format!("`offhours history --rule {name} --json` names each `firing`")) }
}

/// What became of one deployment in the runs that met it.
async fn of_deployment(
    session: &Session,
    config: &Config,
    id: DeploymentId,
    filter: RunFilter,
) -> Result<Exit, CommandError> {
    let (wanted, json) = (id.clone(), session.json);
    let read = move |tx: &Tx<'_>| {
        let mut met = Met { id: wanted, row: None, runs: Vec::new() };
        tx.each_run(&filter, &mut met)?;
        Ok(met.runs)
    };
    let runs = Ledger::read_where_it_is(&config.state_dir, read).await?;
    if json {
        let mut json = JsonWriter::runs(output::stdout());
        let _ = runs.iter().try_for_each(|run| run.tell(&mut json));
        output::judge(json.finish())?;
    } else if runs.is_empty() {
        output::print(&format!("no run kept a row of a deployment `{id}`\n"))?;
    } else {
        output::print(&table_of(&runs, config))?;
    }
    Ok(Exit::Well)
}

fn table_of(runs: &[Run], config: &Config) -> String {
    let zone = config.zone_or_utc();
    let form = Form { locale: config.locale(), zone: &zone };
    let mut table = Grid::new(&["WHEN", "RULE", "GROUP", "CONFIGURATION", "OUTCOME", "OFF SINCE", "REASON"]);
    for (run, row) in runs.iter().flat_map(|run| run.deployments.iter().map(move |row| (run, row))) {
        table.add_row([
            form.stamp(run.firing.at).into(),
            run.firing.rule.to_string().into(),
            clean(row.resource_group.as_str()).into(),
            clean(row.configuration()).into(),
            GridCell::new(row.outcome.as_str(), outcome_tone(row.outcome)),
            row.confirmed_at.map_or_else(String::new, |at| form.stamp(at)).into(),
            clean(&row.why(&form.instants())).into(),
        ]);
    }
    table.keep_whole(&[0, 4, 5]);
    format!("{}Times in {}.\n", table.draw(output::screen()), zone.name())
}

/// Keeps the runs that met one deployment, with nothing but its row.
struct Met {
    id: DeploymentId,
    row: Option<DeploymentResult>,
    runs: Vec<Run>,
}

impl RunVisitor for Met {
    fn row(&mut self, _: &Run, row: &DeploymentResult) -> ControlFlow<()> {
        if row.id == self.id {
            self.row = Some(row.clone());
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, run: &Run) -> ControlFlow<()> {
        if let Some(row) = self.row.take() {
            self.runs.push(Run { deployments: vec![row], left_out: LeftOut::new(), ..run.clone() });
        }
        ControlFlow::Continue(())
    }
}
