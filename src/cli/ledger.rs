//! `offhours ledger`: a backup beside a running daemon, its return, a check, and trust in the clock.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::args::Ledger as Args;
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::built;
use crate::cli::trust_clock::trust_clock;
use crate::cli::{Session, on_threads, output};
use crate::domain::instant::rfc3339;
use crate::ledger::FILE;
use crate::ledger::backup::backup;
use crate::ledger::restore::{Restored, restore};
use crate::ledger::verify::{Verdict, verify_in};

pub fn ledger(session: &Session, args: Args) -> Result<Exit, Failure> {
    let directory = session.config()?.state_dir;
    if !matches!(args, Args::Restore { .. }) && directory.join(FILE).symlink_metadata().is_err() {
        return Err(Failure::Missing(format!("there is no ledger in `{}` yet", directory.display())));
    }
    let (verdict, text, json) = match args {
        Args::Backup { file } => {
            let verdict = backup(&directory, &file)?;
            (verdict, format!("copied to {}\n", file.display()), json!({ "copy": file }))
        }
        Args::Verify => (verify_in(&directory)?, String::new(), json!({ "copy": null })),
        Args::TrustClock { yes } => return on_threads(trust_clock(session, yes)),
        Args::Restore { file } => put_back(session, &directory, &file)?,
    };
    if session.json {
        output::print_json(&with_verdict(json, &verdict))?;
    } else {
        let mut text = text;
        let _ = writeln!(text, "{} runs, {} deployments, {} mails", verdict.runs, verdict.deployments, verdict.mails);
        for fault in &verdict.faults {
            let _ = writeln!(text, "fault: {fault}");
        }
        output::print(&text)?;
    }
    Ok(if verdict.is_whole() { Exit::Well } else { Exit::Ledger })
}

fn with_verdict(mut json: Value, verdict: &Verdict) -> Value {
    json["runs"] = verdict.runs.into();
    json["deployments"] = verdict.deployments.into();
    json["mails"] = verdict.mails.into();
    json["faults"] = json!(verdict.faults);
    json
}

fn put_back(session: &Session, directory: &Path, file: &Path) -> Result<(Verdict, String, Value), Failure> {
    let now = session.now();
    let Restored { verdict, kept, changes } = restore(directory, file, now, built())?;
    let mut text = format!("restored from {}\n", file.display());
    let mut say = |line: String| text.extend([line.as_str(), "\n"]);
    if let Some(kept) = &kept {
        say(format!("the ledger that was there is kept as {}", kept.display()));
    }
    say(format!("rules begin anew at {}: what came due before is not caught up", rfc3339(now)));
    if changes.interrupted > 0 {
        say(format!("{} runs were under way in it: closed as interrupted, and not resumed", changes.interrupted));
    }
    match changes.holds {
        Some(0) => {}
        Some(holds) => say(format!("{holds} holds that it lacked were carried over")),
        None => say("holds that were added since are lost, because the ledger that was there cannot be read: \
                     see `offhours hold list`, and add them again before you start offhours"
            .to_owned()),
    }
    if changes.waiting_mails > 0 {
        say(format!("{} mails wait in it and will be sent, some perhaps a second time", changes.waiting_mails));
    }
    say("runs and stops since the backup are not in it: reports of that time are incomplete".to_owned());
    let json = json!({
        "restored": file,
        "kept": kept.map(PathBuf::into_os_string).map(|name| name.to_string_lossy().into_owned()),
        "rules_begin_at": rfc3339(now),
        "interrupted_runs": changes.interrupted,
        "holds_carried_over": changes.holds,
        "mails_waiting": changes.waiting_mails,
    });
    Ok((verdict, text, json))
}
