//! `offhours history`: runs and what became of each deployment.

use chrono::TimeDelta;

use crate::cli::args::History;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output, when};
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::zone::Zone;
use crate::ledger::Ledger;
use crate::ledger::runs::Filter;
use crate::report::{self, Context};

/// How far back runs are shown where nothing is said.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(7);

pub async fn history(session: &Session, args: &History) -> Result<Exit, Failure> {
    let config = session.config()?;
    let since = match &args.since {
        Some(text) => when::instant(text, config.zone.as_ref())?,
        None => session.now() - DEFAULT_SPAN,
    };
    let rule = args.rule.as_deref().map(RuleName::new).transpose().map_err(|e| Failure::usage(e.to_string()))?;
    let filter = Filter { since: Some(since), before: None, rule };
    let runs = match Ledger::open_to_read(&config.state_dir)? {
        Some(ledger) => ledger.read(move |tx| tx.history(&filter)).await?,
        None => Vec::new(),
    };
    if session.json {
        output::print_json_list(runs.iter().map(report::json_run))?;
        return Ok(Exit::Well);
    }
    if runs.is_empty() {
        output::print(&format!("no runs since {}\n", rfc3339(since)))?;
        return Ok(Exit::Well);
    }
    let locale = config.locale();
    let zone = config.zone.clone().unwrap_or_else(Zone::utc);
    output::print(&report::history_table(&runs, &Context::new(locale, &zone, session.now())))?;
    Ok(Exit::Well)
}
