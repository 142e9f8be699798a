//! `offhours simulator`: a simulated AI Core over HTTP, for practice and for other clients.

use crate::cli::args::Simulator as Args;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output};
use crate::host::signals::Signals;
use crate::rehearsal::demo;
use crate::simulator::{Fleet, Simulator};

pub async fn simulator(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let fleet = match &args.fleet {
        Some(path) => read_fleet(path)?,
        None => demo::fleet().map_err(|error| Failure::Missing(error.to_string()))?,
    };
    let simulator = Simulator::start(fleet, session.clock.clone(), args.listen)
        .await
        .map_err(Failure::io(format!("cannot listen on {}", args.listen)))?;
    output::print(&format!("listening on {}\n{}\n", simulator.base_url(), simulator.service_key()))?;
    Signals::listen().map_err(Failure::io("signals cannot be listened to"))?.next().await;
    simulator.shutdown().await;
    Ok(Exit::Well)
}

/// Reads a fleet file.
pub fn read_fleet(path: &std::path::Path) -> Result<Fleet, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::io(format!("cannot read `{}`", path.display())))?;
    Fleet::parse(&text).map_err(|error| Failure::usage(format!("{}:{error}", path.display())))
}
