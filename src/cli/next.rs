//! `offhours next`: the next instants of a cron expression.

use crate::cli::args::Next;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::Session;
use crate::cli::when::Direction;
use crate::cli::{output, when};
use crate::clock;
use crate::domain::cron::{BadCron, Cron};
use crate::domain::instant::rfc3339;

pub(crate) fn next(session: &Session, args: &Next) -> Result<Exit, CommandError> {
    let zone = clock::zone(&args.timezone).map_err(|error| CommandError::Usage {
        message: error.to_string(),
        hint: match error {
            clock::BadZone::Unknown { suggestion: Some(known), .. } => Some(format!("did you mean `{known}`?")),
            clock::BadZone::Windows { iana, .. } => Some(format!("write `{iana}`")),
            _ => None,
        },
    })?;
    let cron = Cron::parse(&args.cron).map_err(|error| CommandError::Usage {
        message: format!("`{}` is not a valid cron expression: {error}", args.cron.escape_debug()),
        hint: Some(match &error {
            BadCron::Foreign { instead: Some(cron), .. } => format!("write `{cron}`"),
            _ => "`0 19 * * MON-FRI` is 19:00 on weekdays".to_owned(),
        }),
    })?;
    let from = match &args.from {
        Some(text) => when::instant(text, Some(&zone), session.now(), Direction::Future)?,
        None => session.now(),
    };
    let count = usize::try_from(args.count).unwrap_or(usize::MAX);
    let instants: Vec<String> = cron.instants(from, &zone).take(count).map(rfc3339).collect();
    if session.json {
        output::print_json(&instants)?;
    } else {
        output::print(&(instants.join("\n") + "\n"))?;
    }
    Ok(Exit::Well)
}
