//! `offhours simulator`: a simulated AI Core over HTTP, for practice and for other clients. At its end it says what it
//! was asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::args::SimulatorArgs as Args;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::session::Session;
use crate::host::signals::Signals;
use crate::rehearsal::demo;
use crate::simulator::{Fleet, Simulator};

pub(crate) async fn simulator(session: &Session, args: &Args) -> Result<Exit, CommandError> {
    let fleet = match &args.fleet {
        Some(path) => read_fleet(path)?,
        None => demo::fleet().map_err(|error| CommandError::Missing(error.to_string()))?,
    };
    let simulator = Simulator::start(fleet, session.clock.clone(), args.listen)
        .await
        .map_err(CommandError::io(format!("cannot listen on {}", args.listen)))?;
    output::print(&format!("listening on {}\n{}\n", simulator.base_url(), simulator.service_key()))?;
    Signals::listen().map_err(CommandError::io("signals cannot be listened to"))?.next().await;
    let account = account(&simulator);
    simulator.shutdown().await;
    output::print(&account)?;
    Ok(Exit::Well)
}

/// What the simulator was asked, by method, and which of it nobody should have sent.
fn account(simulator: &Simulator) -> String {
    let journal = simulator.journal();
    let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &journal {
        *methods.entry(entry.method.as_str()).or_default() += 1;
    }
    let methods: Vec<String> = methods.iter().map(|(method, count)| format!("{count} {method}")).collect();
    let mut text = format!("answered {} requests: {}\n", journal.len(), methods.join(", "));
    for violation in simulator.violations() {
        let _ = writeln!(text, "nobody should have sent {violation}");
    }
    text
}

pub(crate) fn read_fleet(path: &std::path::Path) -> Result<Fleet, CommandError> {
    let text = std::fs::read_to_string(path).map_err(CommandError::io(format!("cannot read `{}`", path.display())))?;
    Fleet::parse(&text).map_err(|error| CommandError::usage(format!("{}:{error}", path.display())))
}
