//! `offhours demo`: a week on a built-in tenant, in seconds.

use crate::cli::args::Demo;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::rehearse::perform;
use crate::cli::session::Session;
use crate::rehearsal::demo;

pub(crate) fn demo(session: &Session, args: &Demo) -> Result<Exit, CommandError> {
    let rehearsal = demo::prepare(&args.output)?;
    let opening = "Rehearsing a week on a built-in tenant whose prices are made up; the clock is virtual.";
    let ended = perform(session, rehearsal, opening)?;
    if !session.json {
        output::print("For your own tenant: `offhours init --key dev.json`, with its service key\n")?;
    }
    Ok(ended)
}
