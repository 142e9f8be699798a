//! `offhours demo`: a week on a built-in tenant, in seconds.

use crate::cli::Session;
use crate::cli::args::Demo;
use crate::cli::exit::{Exit, Failure};
use crate::cli::rehearse::perform;
use crate::rehearsal::demo;

pub fn demo(session: &Session, args: &Demo) -> Result<Exit, Failure> {
    let rehearsal = demo::prepare(&args.output)?;
    perform(
        session,
        rehearsal,
        "Rehearsing a week on a built-in tenant whose prices are made up; the clock is virtual.",
    )
}
