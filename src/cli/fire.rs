//! `offhours fire`: a rule, now, to its end.

use crate::cli::args::Fire;
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::Progress;
use crate::cli::run::executor;
use crate::cli::{Session, output, rules};
use crate::domain::run::{Run, RunResult, keyword};
use crate::host::signals::Signals;
use crate::ledger::Ledger;
use crate::mailer::Mailer;
use crate::report::{self, Context, JsonWriter};

pub async fn fire(session: &Session, args: &Fire) -> Result<Exit, Failure> {
    let config = session.config()?;
    let rule = rules::find(&config, &args.rule)?;
    let ledger = Ledger::open(&config.state_dir)?;
    let (executor, _lock) = executor(session, config, ledger)?;

    let mut signals = Signals::listen().map_err(Failure::io("signals cannot be listened to"))?;
    let shutdown = executor.shutdown.clone();
    let listener = tokio::spawn(async move {
        signals.next().await;
        shutdown.cancel();
    });
    let progress = Progress::start(&args.rule);
    let run = executor.fire(&rule, progress.observer()).await;
    drop(progress);
    let run = run?;
    if session.json {
        let mut json = JsonWriter::run(output::stdout());
        let _ = run.tell(&mut json);
        output::judge(json.finish())?;
    } else {
        let locale = executor.config.locale();
        let context = Context::new(locale, &rule.schedule.zone, session.now());
        output::print(&report::run_summary(&run, &context))?;
    }
    if let Some(settings) = &executor.config.mail {
        // What cannot be delivered now stays in the outbox, for the daemon.
        let (ledger, clock, shutdown) = (executor.ledger.clone(), executor.clock.clone(), executor.shutdown.clone());
        let mailer = Mailer { ledger, clock, shutdown };
        // Whoever waits in vain for a mail server may go.
        if let Some(delivered) = executor.shutdown.run_until_cancelled(mailer.deliver_due(settings)).await {
            delivered?;
        }
    }
    listener.abort();
    Ok(exit_of(&run))
}

/// A run that failed because of AI Core itself says so in its exit code.
fn exit_of(run: &Run) -> Exit {
    const AI_CORE: [&str; 3] = ["auth", "token", "unreachable"];
    let keyword = keyword(&run.reason);
    match run.result {
        RunResult::Done => Exit::Well,
        RunResult::Failed if run.met_nothing() && AI_CORE.contains(&keyword) => Exit::AiCore,
        RunResult::Failed if run.met_nothing() && keyword == "key" => Exit::Config,
        _ => Exit::Problem,
    }
}
