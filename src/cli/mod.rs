//! Floor 5: the command line. Each command is a file; [`exit`] says how they end.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tracing::level_filters::LevelFilter;
use tracing::warn;

use crate::cli::args::Command;
use crate::cli::exit::{CommandError, Exit};
use crate::clock::Clock;
use crate::config::{self, Config, Outline};

pub mod args;
mod aside;
mod check;
mod check_online;
mod demo;
pub mod exit;
mod explain;
mod fire;
mod history;
mod hold;
mod hold_answer;
mod hold_effect;
mod init;
mod init_files;
mod json_list;
mod ledger;
mod logging;
mod mail;
mod new_file;
mod next;
mod oddities;
mod output;
mod plan;
mod progress;
mod recorded;
mod reference;
mod rehearse;
mod report;
mod rules;
mod run;
mod sighting;
mod simulator;
mod status;
mod trust_clock;
mod when;

/// What every command is given.
#[derive(Debug)]
struct Session {
    config: Option<PathBuf>,
    json: bool,
    clock: Clock,
}

/// Reads the command line of this process, does what it says, and gives the exit code.
pub fn main() -> Exit {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(message) => {
            let exit = if message.use_stderr() { Exit::Usage } else { Exit::Well };
            // Whoever closed its end does not want to know.
            let _ = message.print();
            return exit;
        }
    };
    let level = if matches!(cli.command, Command::Run) { LevelFilter::INFO } else { LevelFilter::WARN };
    logging::start(cli.log_format, level);
    crate::aicore::install_crypto();
    let session = Session { config: cli.config, json: cli.json, clock: Clock::System };
    match session.carry_out(cli.command) {
        Ok(exit) => exit,
        Err(failure) => {
            let arguments = std::env::args_os().skip(1);
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{}\n", failure.last_words(arguments)).as_bytes(),
            );
            failure.exit()
        }
    }
}

impl Session {
    fn carry_out(&self, command: Command) -> Result<Exit, CommandError> {
        match command {
            Command::Init(args) => on_threads(init::init(self, &args)),
            Command::Run => on_threads(run::run(self)),
            Command::Status => on_threads(status::status(self)),
            Command::Check(args) => on_threads(check::check(self, &args)),
            Command::Next(args) => next::next(self, &args),
            Command::Plan(args) => on_threads(plan::plan(self, &args)),
            Command::Explain(args) => on_threads(explain::explain(self, &args)),
            Command::Fire(args) => on_threads(fire::fire(self, &args)),
            Command::Hold(args) => on_threads(hold::hold(self, args)),
            Command::History(args) => on_threads(history::history(self, &args)),
            Command::Report(args) => on_threads(report::report(self, &args)),
            Command::Mail(args) => on_threads(mail::mail(self, args)),
            Command::Ledger(args) => ledger::ledger(self, args),
            Command::Rehearse(args) => rehearse::rehearse(self, &args),
            Command::Demo(args) => demo::demo(self, &args),
            Command::Simulator(args) => on_threads(simulator::simulator(self, &args)),
            Command::Completions { shell } => reference::completions(self, shell),
            Command::Man => reference::man(),
            Command::Schema { file } => reference::schema(file),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// As much of the configuration as was understood: holds and history need the ledger, not the rules. Faults are said
    /// and do not keep the command from its work; what the daemon does goes by what it has read.
    fn outline(&self) -> Result<Outline, CommandError> {
        Ok(said(config::outline(&config::find(self.config.as_deref())?, self.now())?))
    }

    /// The same for a command that asks nobody but the ledger: who may not read the keys may use it.
    fn outline_without_secrets(&self) -> Result<Outline, CommandError> {
        Ok(said(config::outline_without_secrets(&config::find(self.config.as_deref())?, self.now())?))
    }

    /// The configuration, with its warnings in the log.
    fn config(&self) -> Result<Config, CommandError> {
        let (config, warnings) = config::load(&config::find(self.config.as_deref())?)?;
        for warning in &warnings {
            warn!("{warning}");
        }
        Ok(config)
    }
}

/// `outline`, with its warnings and faults in the log.
fn said(outline: Outline) -> Outline {
    for warning in &outline.warnings {
        warn!("{warning}");
    }
    if let Some(faults) = &outline.faults {
        warn!("the configuration on disk has faults, and a daemon goes on by what it read before:\n{faults}");
    }
    outline
}

/// Runs an asynchronous command to its end.
fn on_threads(work: impl Future<Output = Result<Exit, CommandError>>) -> Result<Exit, CommandError> {
    on_runtime(work)
}

fn on_runtime<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CommandError::io("cannot start the runtime"))?
        .block_on(work)
}

/// Runs an asynchronous command on one thread, where virtual time is possible.
fn in_virtual_time<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io("cannot start the runtime"))?
        .block_on(work)
}
