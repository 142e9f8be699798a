//! `offhours fire`: a rule, now, to its end. On a terminal a person is shown first what would be stopped.

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use crate::cli::args::Fire;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::plan::RuleSurvey;
use crate::cli::progress::ProgressLine;
use crate::cli::run::executor;
use crate::cli::session::Session;
use crate::cli::{output, rules};
use crate::config::Config;
use crate::domain::failure::FailureCode;
use crate::domain::id::DeploymentId;
use crate::domain::plural::plural;
use crate::domain::rule::{Mode, Rule};
use crate::domain::run::{Run, RunResult};
use crate::domain::run_reason::RunReason;
use crate::host::signals::Signals;
use crate::ledger::Ledger;
use crate::mailer::Mailer;
use crate::report::{self, JsonWriter, ReportContext};

pub(crate) async fn fire(session: &Session, args: &Fire) -> Result<Exit, CommandError> {
    let mut config = session.config()?;
    let mut rule = rules::find(&config, &args.rule)?;
    let has_person = io::stdin().is_terminal() && io::stderr().is_terminal();
    if rule.mode == Mode::Enforce && has_person && !args.yes {
        let Some(agreed) = ask(session, &config, &rule).await? else {
            output::print("nothing was fired\n")?;
            return Ok(Exit::Problem);
        };
        rule = narrowed(&mut config, &rule, agreed);
    }
    let ledger = Ledger::open(&config.state_dir)?;
    let (executor, _lock) = executor(session, config, ledger)?;

    let mut signals = Signals::listen().map_err(CommandError::io("signals cannot be listened to"))?;
    let shutdown = executor.shutdown.clone();
    let listener = tokio::spawn(async move {
        signals.next().await;
        shutdown.cancel();
    });
    let progress = ProgressLine::start(&args.rule);
    let run = executor.fire(&rule, progress.observer()).await;
    drop(progress);
    let run = run?;
    if session.json {
        let mut json = JsonWriter::run(output::stdout());
        let _ = run.tell(&mut json);
        output::judge(json.finish())?;
    } else {
        let locale = executor.config.locale();
        let context = ReportContext::new(locale, &rule.schedule.zone, session.now());
        output::print(&report::run_summary(&run, &context, output::screen()))?;
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

/// Shows the plan and asks. The ids that may be stopped, or none where the answer is no. Where the run would be blocked,
/// or would stop nothing, there is nothing to ask.
async fn ask(session: &Session, config: &Config, rule: &Rule) -> Result<Option<BTreeSet<DeploymentId>>, CommandError> {
    let now = session.now();
    let plan = RuleSurvey::open(session, config, now).await?.shown(rule).await?;
    // Beside the question, on standard error: standard output belongs to the run.
    let mut out = io::stderr();
    let text = plan.text(rule, now, config.locale(), output::screen_of(&out));
    let failed = CommandError::io("the question cannot be asked");
    if let Err(error) = out.write_all(text.as_bytes()) {
        return Err(failed(error));
    }
    if plan.stops.is_empty() || plan.is_blocked(rule) {
        return Ok(Some(plan.stops));
    }
    let agreed = agreed(plan.stops.len(), rule, &mut io::stdin().lock(), &mut out).map_err(failed)?;
    Ok(agreed.then_some(plan.stops))
}

/// Asks whether so many deployments are to be stopped. Only `y`, `yes` and the rule's name say so.
fn agreed(count: usize, rule: &Rule, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<bool> {
    let what = plural(count, "deployment");
    let name = &rule.name;
    write!(out, "\nStop {what}? A stopped deployment cannot be started again. Type `y` or `{name}`: ")?;
    out.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes") || answer == name.as_str())
}

/// The rule as it was agreed to: what came since the plan was shown is left.
fn narrowed(config: &mut Config, rule: &Arc<Rule>, agreed: BTreeSet<DeploymentId>) -> Arc<Rule> {
    let mut narrow = Rule::clone(rule);
    narrow.select.only = Some(agreed);
    let narrow = Arc::new(narrow);
    for known in &mut config.rules {
        if known.name == narrow.name {
            *known = Arc::clone(&narrow);
        }
    }
    narrow
}

/// A run that failed because of AI Core itself says so in its exit code.
fn exit_of(run: &Run) -> Exit {
    let failure = run.reasons.iter().find_map(RunReason::failure).filter(|_| run.met_nothing());
    match (run.result, failure.map(|failure| failure.code)) {
        (RunResult::Done, _) => Exit::Well,
        (RunResult::Failed, Some(FailureCode::Auth | FailureCode::Token | FailureCode::Unreachable)) => Exit::AiCore,
        (RunResult::Failed, Some(FailureCode::Key)) => Exit::Config,
        _ => Exit::Problem,
    }
}
