//! Floor 5: the command line. Each command is a file; [`exit`] says how they end.

use tracing::level_filters::LevelFilter;

use crate::cli::args::Command;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::session::{Session, on_threads};
use crate::clock::Clock;

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
mod man;
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
mod session;
mod sighting;
mod simulator;
mod status;
mod trust_clock;
mod when;

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
    match carry_out(&session, cli.command) {
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

fn carry_out(session: &Session, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Init(args) => on_threads(init::init(session, &args)),
        Command::Run => on_threads(run::run(session)),
        Command::Status => on_threads(status::status(session)),
        Command::Check(args) => on_threads(check::check(session, &args)),
        Command::Next(args) => next::next(session, &args),
        Command::Plan(args) => on_threads(plan::plan(session, &args)),
        Command::Explain(args) => on_threads(explain::explain(session, &args)),
        Command::Fire(args) => on_threads(fire::fire(session, &args)),
        Command::Hold(args) => on_threads(hold::hold(session, args)),
        Command::History(args) => on_threads(history::history(session, &args)),
        Command::Report(args) => on_threads(report::report(session, &args)),
        Command::Mail(args) => on_threads(mail::mail(session, args)),
        Command::Ledger(args) => ledger::ledger(session, args),
        Command::Rehearse(args) => rehearse::rehearse(session, &args),
        Command::Demo(args) => demo::demo(session, &args),
        Command::Simulator(args) => on_threads(simulator::simulator(session, &args)),
        Command::Completions { shell } => reference::completions(session, shell),
        Command::Man(args) => man::man(&args),
        Command::Schema { file } => reference::schema(file),
    }
}
