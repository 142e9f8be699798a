//! `offhours history`: runs and what became of each deployment.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};

use crate::cli::args::History;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output, when};
use crate::domain::id::RuleName;
use crate::domain::instant::rfc3339;
use crate::domain::locale::Locale;
use crate::domain::zone::Zone;
use crate::ledger::runs::Filter;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::report::{Context, HistoryTable, JsonWriter};

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
    let ledger = Ledger::open_to_read(&config.state_dir)?;
    let found = match (ledger, session.json) {
        (Some(ledger), true) => print_json(&ledger, filter).await?,
        (None, true) => JsonWriter::runs(output::stdout()).finish().map(|()| true),
        (Some(ledger), false) => {
            let zone = config.zone.clone().unwrap_or_else(Zone::utc);
            print_table(&ledger, filter, config.locale(), zone, session.now()).await?
        }
        (None, false) => Ok(false),
    };
    if let Ok(false) = found {
        output::print(&format!("no runs since {}\n", rfc3339(since)))?;
    }
    output::judge(found.map(drop))?;
    Ok(Exit::Well)
}

/// What cannot be printed is in the inner result.
async fn print_json(ledger: &Ledger, filter: Filter) -> Result<io::Result<bool>, LedgerError> {
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
    filter: Filter,
    locale: Locale,
    zone: Zone,
    now: DateTime<Utc>,
) -> Result<io::Result<bool>, LedgerError> {
    let print = move |tx: &Tx<'_>| {
        let mut table = HistoryTable::new(output::stdout(), Context::new(locale, &zone, now));
        tx.each_run(&filter, &mut table)?;
        Ok(table.finish())
    };
    ledger.read(print).await
}
